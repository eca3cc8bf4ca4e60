"""A store over the user's own ``requests.Session``: mocked with ``responses``, and on the wire."""

from __future__ import annotations

import contextlib
import gzip
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

import s3kv
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, OpenStore, RecordingTimer
from tests.wire.scripted import (
    CLOSE,
    FIN,
    READ,
    RESET,
    Answer,
    Forever,
    Peer,
    ScriptedServer,
    Send,
    Step,
    answer,
    chunked,
    error,
    exchanges,
    ok,
)
from tests.wire.scripted import listing as listing_answer

ENDPOINT = "http://s3.invalid"
URL = f"{ENDPOINT}/bucket"
ETAG = {"ETag": '"e"'}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a session, closed at the end."""
    with requests.Session() as made:
        yield made


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    """Return a mock that stands in for every adapter, and wants all its answers used."""
    with responses.RequestsMock() as made:
        yield made


@pytest.fixture
def store(session: requests.Session, mock: responses.RequestsMock, open_store: OpenStore) -> s3kv.Store:
    """Return a store whose requests reach nobody but the mock."""
    return open_store(ENDPOINT, session=session)


def _xml(document: bytes) -> bytes:
    return document.partition(b"\r\n\r\n")[2]


def test_get_returns_the_mocked_bytes(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """A mock needs no Content-Length, as mocks seldom have one."""
    mock.get(f"{URL}/key", body=b"value")
    assert store.get("key") == b"value"
    request = mock.calls[0].request
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["Host"] == "s3.invalid"


def test_get_returns_the_mocked_bytes_of_a_known_length(
    store: s3kv.Store, mock: responses.RequestsMock
) -> None:
    """Content-Length is checked where it is given."""
    mock.get(f"{URL}/key", body=b"value", auto_calculate_content_length=True)
    mock.get(f"{URL}/empty", body=b"", auto_calculate_content_length=True)
    assert store.get("key") == b"value"
    assert store.get("empty") == b""


def test_get_of_a_range(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """The Range header is sent, and the answer's Content-Range is held against it."""
    headers = {"Content-Range": "bytes 1-2/5", **ETAG}
    match = responses.matchers.header_matcher({"range": "bytes=1-2"})
    mock.get(f"{URL}/key", status=206, body=b"al", headers=headers, match=[match])
    assert store.get("key", byte_range=slice(1, 3)) == b"al"
    mock.get(f"{URL}/key", status=416, headers={"Content-Range": "bytes */5"})
    with pytest.raises(s3kv.ByteRangeError):
        store.get("key", byte_range=slice(9, 10))


@pytest.mark.parametrize(
    "value", [b"value", b"", bytes(range(256)), bytearray(b"x"), memoryview(b"abc")[1:]]
)
def test_put_sends_the_value(value: Any, store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """And returns the ETag of the answer."""
    mock.put(f"{URL}/key", headers=ETAG)
    assert store.put("key", value, content_type="text/plain", metadata={"a": "b"}).generation == '"e"'
    request = mock.calls[0].request
    assert (request.body or b"") == bytes(value)
    assert request.headers["Content-Length"] == str(len(bytes(value)))
    assert request.headers["Content-Type"] == "text/plain"
    assert request.headers["x-amz-meta-a"] == "b"


def test_stat_reads_the_headers(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """Size, ETag, time, type and metadata."""
    headers = {
        "Content-Length": "7",
        "ETag": "unquoted",
        "Last-Modified": "Sat, 31 Jan 2026 23:59:59 GMT",
        "x-amz-meta-Color": "blue",
    }
    mock.head(f"{URL}/key", headers=headers, content_type="text/plain")
    info = store.stat("key")
    assert (info.key, info.size, info.etag, info.content_type) == ("key", 7, '"unquoted"', "text/plain")
    assert info.last_modified is not None
    assert info.last_modified.isoformat() == "2026-01-31T23:59:59+00:00"
    assert info.metadata == {"color": "blue"}


def test_list_follows_the_pages(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """Each with the token of the one before."""
    query = {"list-type": "2", "encoding-type": "url", "prefix": "a b/"}
    first = responses.matchers.query_param_matcher(query)
    second = responses.matchers.query_param_matcher({**query, "continuation-token": "t+/="})
    mock.get(URL, body=_xml(listing_answer("a+b/%2B1", "a+b/%C3%A9", token="t+/=")), match=[first])
    mock.get(URL, body=_xml(listing_answer("a+b/%252F")), match=[second])
    assert store.list("a b/") == sorted(["a b/+1", "a b/é", "a b/%2F"])


def test_delete_and_contains(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """204 is the usual answer; a bucket that is known is not asked about again."""
    mock.delete(f"{URL}/key", status=204)
    mock.head(f"{URL}/key", headers={"Content-Length": "1"})
    mock.head(f"{URL}/gone", status=404)
    store.delete("key")
    assert "key" in store
    assert "gone" not in store


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", s3kv.KeyNotFound),
        (404, "", s3kv.KeyNotFound),
        (404, "NoSuchBucket", s3kv.BucketNotFound),
        (403, "AccessDenied", s3kv.PermissionDenied),
        (401, "", s3kv.PermissionDenied),
        (412, "PreconditionFailed", s3kv.ConditionFailed),
        (400, "InvalidArgument", s3kv.ServiceError),
        (418, "", s3kv.ServiceError),
    ],
)
def test_error_answers_are_exceptions(
    status: int, code: str, kind: type[s3kv.S3KVError], store: s3kv.Store, mock: responses.RequestsMock
) -> None:
    """The same as without a session, with everything that the answer says."""
    headers = {"x-amz-request-id": "ID", "x-amz-id-2": "ID2"}
    body = f"<Error><Code>{code}</Code><Message>So sorry.</Message></Error>" if code else ""
    mock.get(f"{URL}/key", status=status, body=body, headers=headers)
    with pytest.raises(kind) as caught:
        store.get("key")
    found = caught.value
    assert (found.status, found.code, found.request_id, found.host_id) == (
        status,
        code or None,
        "ID",
        "ID2",
    )
    assert (found.operation, found.key, found.attempts) == ("GetObject", "key", 1)
    assert "So sorry." in str(found) or not code


def test_a_mocked_failure_is_tried_again(
    session: requests.Session, mock: responses.RequestsMock, open_store: OpenStore
) -> None:
    """Connection errors and timeouts of requests are transient, as are 5xx."""
    timer = RecordingTimer()
    store = open_store(ENDPOINT, session=session, policy=FAST, timer=timer)
    mock.get(f"{URL}/key", body=requests.exceptions.ConnectionError("reset"))
    mock.get(f"{URL}/key", body=requests.exceptions.ReadTimeout("silence"))
    mock.get(f"{URL}/key", status=503, body="<Error><Code>SlowDown</Code></Error>")
    mock.get(f"{URL}/key", body=b"value")
    assert store.get("key") == b"value"
    assert len(timer.waits) == 3


def test_a_short_body_is_asked_for_again(
    session: requests.Session, mock: responses.RequestsMock, open_store: OpenStore
) -> None:
    """And never returned, even when the session does not notice."""
    store = open_store(ENDPOINT, session=session, policy=FAST)
    mock.get(f"{URL}/key", body=b"val", headers={"Content-Length": "5"})
    mock.get(f"{URL}/key", body=b"value", headers={"Content-Length": "5"})
    assert store.get("key") == b"value"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "put", "delete", "stat"])
def test_redirects_are_not_followed(
    status: int, method: str, keys: None, session: requests.Session, open_store: OpenStore
) -> None:
    """A signed request must not go to a host that somebody else names; the error names it instead."""
    with ScriptedServer() as elsewhere:
        location = f"Location: {elsewhere.url}/stolen"
        with ScriptedServer([READ, Send(answer(status, b"", location))]) as server:
            store = open_store(server, credentials="environment", session=session)
            with pytest.raises(s3kv.S3KVError, match=re.escape(elsewhere.url)) as caught:
                getattr(store, method)(*["key", b"v"] if method == "put" else ["key"])
            assert caught.value.status == status


def test_nothing_of_requests_own_gets_into_a_request(
    keys: None,
    session: requests.Session,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """No login of .netrc, no cookie of an answer before, no ``auth``, ``params`` or Accept-Encoding."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login joe password opensesame\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    session.cookies.set("mine", "1", domain="127.0.0.1", path="/")
    session.auth = ("joe", "opensesame")
    session.params = {"a": "b"}
    session.headers["Accept-Encoding"] = "gzip, br"
    cookie = "Set-Cookie: theirs=1; Path=/"
    with ScriptedServer(exchanges(ok(b"v", cookie), ok(b"v", cookie))) as server:
        store = open_store(server, credentials="environment", session=session)
        store.get("key")
        store.get("key")
        for request in server.requests:
            assert request.target == "/bucket/key"
            assert request.header("cookie") is None
            assert request.header("accept-encoding") == "identity"
            assert "Basic" not in (request.header("authorization") or "")
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


def test_an_anonymous_request_has_no_login_of_netrc(
    session: requests.Session, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unsigned means unsigned."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login joe password opensesame\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(exchanges(ok(b"v"))) as server:
        open_store(server, session=session).get("key")
        assert server.requests[0].header("authorization") is None


def test_the_sessions_headers_are_sent_and_ours_win(
    keys: None, session: requests.Session, open_store: OpenStore
) -> None:
    """An extra header for a gateway gets through; none that is part of the protocol can be replaced."""
    session.headers.update(
        {
            "X-Gateway-Token": "open",
            "host": "evil.invalid",
            "authorization": "Bearer x",
            "accept-encoding": "gzip",
            "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
        }
    )
    with ScriptedServer(exchanges(ok(b"v"), ok())) as server:
        store = open_store(server, credentials="environment", session=session)
        store.get("key")
        store.put("key", b"value")
        for request in server.requests:
            assert request.header("x-gateway-token") == "open"
            assert request.header("host") == f"127.0.0.1:{server.port}"
            assert request.header("accept-encoding") == "identity"
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


@pytest.mark.parametrize(
    ("bucket", "key", "url"),
    [
        ("bucket", "/lead", f"{URL}//lead"),
        ("bucket", "../x", f"{URL}/../x"),
        ("bucket", "a//b", f"{URL}/a//b"),
        ("bucket", "é %2F", f"{URL}/%C3%A9%20%252F"),
        ("", "/lead", f"{ENDPOINT}//lead"),
        ("", "//lead", f"{ENDPOINT}///lead"),
        ("", "./x", f"{ENDPOINT}/./x"),
    ],
)
def test_the_adapter_gets_the_url_as_it_is(
    bucket: str, key: str, url: str, session: requests.Session, open_store: OpenStore
) -> None:
    """Adapters and mocks see the very path that is signed."""
    seen: list[str] = []

    class Recorder(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> Any:
            seen.extend([request.url or "", request.path_url])
            raise requests.exceptions.InvalidURL("no more")

    session.mount("http://", Recorder())
    store = open_store(ENDPOINT, bucket=bucket, session=session)
    with pytest.raises(s3kv.TransportError):
        store.get(key)
    assert seen == [url, url.removeprefix(ENDPOINT)]


def test_a_mounted_adapter_carries_the_requests(session: requests.Session, open_store: OpenStore) -> None:
    """The one whose prefix fits best."""
    calls: list[str] = []

    class Counting(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> Any:
            calls.append(request.method or "")
            return super().send(request, *arguments, **options)

    with ScriptedServer(exchanges(ok(b"v"), ok())) as server:
        session.mount(server.url, Counting())
        store = open_store(server, session=session)
        store.get("key")
        store.put("key", b"v")
    assert calls == ["GET", "PUT"]


def test_compressed_bodies_are_not_decompressed(session: requests.Session, open_store: OpenStore) -> None:
    """requests would; the object's bytes are what is asked for."""
    packed = gzip.compress(b"some text" * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n"
    with ScriptedServer(exchanges(ok(packed, "Content-Encoding: gzip"), data)) as server:
        store = open_store(server, session=session)
        assert store.get("key") == packed
        assert store.get("key") == packed


@pytest.mark.parametrize(
    "data",
    [
        ok(b"x"),
        chunked(b"x"),
        answer(404, b""),
        error(404, "NoSuchKey"),
        error(403, "AccessDenied"),
    ],
    ids=["200", "chunks", "404 empty", "404", "403"],
)
def test_a_sessions_connection_is_used_again(
    data: bytes, session: requests.Session, open_store: OpenStore
) -> None:
    """After every answer whose end is sure."""
    with ScriptedServer(exchanges(data, ok(b"next"))) as server:
        store = open_store(server, session=session)
        with contextlib.suppress(s3kv.KeyNotFound, s3kv.PermissionDenied):
            assert store.get("key") == b"x"
        assert store.get("key") == b"next"
        assert len(server.connections) == 1


@pytest.mark.parametrize("method", ["stat", "delete", "put"])
def test_a_sessions_connection_is_used_again_after_an_answer_without_a_body(
    method: str, session: requests.Session, open_store: OpenStore
) -> None:
    """A new connection for each HEAD would cost a TLS handshake each."""

    def fitting(request: Any) -> bytes:
        if request.method == "DELETE":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return answer(200, b"", 'ETag: "e"')

    with ScriptedServer(then=[Forever(READ, Answer(fitting))]) as server:
        store = open_store(server, session=session)
        for _ in range(5):
            getattr(store, method)(*["key", b"v"] if method == "put" else ["key"])
        assert len(server.requests) == 5
        assert len(server.connections) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("body", [b"", b"some bytes"], ids=["empty", "some bytes"])
def test_object_bytes_without_a_length_are_refused(
    version: str, body: bytes, session: requests.Session, open_store: OpenStore
) -> None:
    """On the wire nobody can say whether the connection had carried them all."""
    data = f"HTTP/{version} 200 OK\r\n\r\n".encode() + body
    with ScriptedServer([READ, Send(data), FIN]) as server:
        store = open_store(server, session=session, policy=FAST._replace(max_retries=1))
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert isinstance(caught.value, (s3kv.MalformedResponse, s3kv.RetriesExhausted))


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
            # urllib3 leaves the socket to the collector when it refuses this.
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"Content-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000 + b"\r\nContent-Length: 2\r\n\r\nab",
    ],
    ids=[
        "garbage",
        "no status",
        "two lengths",
        "two lengths in one",
        "negative length",
        "no number",
        "no chunk size",
        "negative chunk size",
        "too many headers",
        "a long header",
    ],
)
def test_what_breaks_http_is_an_error_of_ours(
    data: bytes, session: requests.Session, open_store: OpenStore
) -> None:
    """None of requests', urllib3's or http.client's, and no bytes."""
    with ScriptedServer(then=[READ, Send(data), CLOSE], lenient=True) as server:
        store = open_store(server, session=session, policy=FAST)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert caught.value.operation == "GetObject"


def test_the_session_stays_open_when_the_store_closes(
    session: requests.Session, open_store: OpenStore
) -> None:
    """It is the user's."""
    with ScriptedServer(exchanges(ok(b"v"), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as server:
        store = open_store(server, session=session)
        store.get("key")
        store.close()
        assert session.get(f"{server.url}/x").text == "hi"
        with pytest.raises(s3kv.StoreClosed):
            store.get("key")


def test_a_store_with_a_session_does_not_pickle(store: s3kv.Store, mock: responses.RequestsMock) -> None:
    """A session may hold secrets; the error says so."""
    with pytest.raises(TypeError, match="session"):
        pickle.dumps(store)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    ],
    ids=["another protocol", "two lengths", "a long header", "many headers"],
)
def test_an_answer_that_is_not_http_is_not_asked_for_again(data: bytes, open_store: OpenStore) -> None:
    """The built-in transport says so at once, and so does a session."""
    script = [READ, Send(data), CLOSE]
    with requests.Session() as session, ScriptedServer(script, lenient=True) as server:
        with pytest.raises(s3kv.MalformedResponse, match="HTTP") as caught:
            open_store(server, session=session).get("key")
        assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "line", ['ETag: "{}"', "Content-Range: bytes {}-7/8"], ids=["ETag", "Content-Range"]
)
@pytest.mark.parametrize("second", [1, 2], ids=["the same", "another"])
def test_what_is_told_twice_is_not_believed(
    second: int, line: str, session: requests.Session, open_store: OpenStore
) -> None:
    """To requests, it is one value with a comma in it; the built-in transport refuses it, too."""
    data = answer(206, b"1234567", line.format(1), line.format(second))
    for given in (session, None):
        with ScriptedServer(then=[READ, Send(data), CLOSE], lenient=True) as server:
            store = open_store(server, session=given)
            with pytest.raises(s3kv.MalformedResponse, match="twice"):
                store.get("key", byte_range=slice(1, 8))
            with pytest.raises(s3kv.MalformedResponse, match="twice"):
                store.put("key", b"value")


WHOLE = b'HTTP/1.1 200 OK\r\nETag: "9b2cf535f27731c974343645a3985328"\r\nContent-Length: 0\r\n\r\n'
SAYS_404 = b"HTTP/1.1 404 Not Found\r\n"


@pytest.mark.parametrize("method", ["PUT", "HEAD"])
@pytest.mark.parametrize("end", [17, 23, 30, 57, 59, 62])
def test_a_head_cut_short_is_no_answer(
    end: int, method: str, session: requests.Session, open_store: OpenStore
) -> None:
    """http.client takes the end of the connection for the end of the head."""
    with ScriptedServer([READ, Send(WHOLE[:end]), CLOSE], exchanges(WHOLE)) as server:
        store = open_store(server, session=session, policy=FAST)
        etag = store.stat("key").etag if method == "HEAD" else store.put("key", b"").generation
        assert etag == '"9b2cf535f27731c974343645a3985328"'


TOLD = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 123\r\nETag: "9b2cf535f27731c974343645a3985328"\r\n'
    b"x-amz-meta-run: twelve\r\n\r\n"
)
# Where a line of it ends, or is as good as whole; and what is only the beginning of a length.
CUTS = [17, 19, 33, 35, 37, 38, 40, 45, 78, 79, 80, 96, 102, 103, 104, 105]


@pytest.mark.parametrize("end", CUTS)
def test_the_head_of_a_cut_head_is_not_all_there_is_to_say(
    end: int, session: requests.Session, open_store: OpenStore
) -> None:
    """Of a HEAD, no body tells that some of its headers are missing, or are not all there."""
    with ScriptedServer([READ, Send(TOLD[:end]), CLOSE], exchanges(TOLD)) as server:
        info = open_store(server, session=session, policy=FAST).stat("key")
        assert (info.size, info.etag) == (123, '"9b2cf535f27731c974343645a3985328"')
        assert info.metadata == {"run": "twelve"}


@pytest.mark.parametrize("end", [33, 35, 36, 38])
def test_a_cut_head_of_a_write_is_a_lost_answer(
    end: int, session: requests.Session, open_store: OpenStore
) -> None:
    """It says nothing against the write."""
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "e"\r\n\r\n'
    with ScriptedServer([READ, Send(whole[:end]), CLOSE], exchanges(whole)) as server:
        assert open_store(server, session=session, policy=FAST).put("key", b"").generation == '"e"'


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_write_is_not_sent_again_because_its_connection_was_closed(
    method: str, session: requests.Session, open_store: OpenStore
) -> None:
    """Without a word: all that there is to know has been said."""
    done = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "e"\r\n\r\n'
    with ScriptedServer(then=[READ, Send(done), CLOSE]) as server:
        store = open_store(server, session=session, policy=FAST)
        for number in range(3):
            if method == "put":
                assert store.put(str(number), b"").generation == '"e"'
            else:
                store.delete(str(number))
        assert len(server.requests) == 3


def test_a_store_that_closes_every_connection_is_believed(
    session: requests.Session, open_store: OpenStore
) -> None:
    """When it has told the same twice; then at once."""
    with ScriptedServer(then=[READ, Send(TOLD), CLOSE]) as server:
        store = open_store(server, session=session, policy=FAST)
        for number in range(5):
            assert store.stat(str(number)).metadata == {"run": "twelve"}
        assert len(server.requests) == 5 + 1


@pytest.mark.parametrize("status", ["102 Processing", "103 Early Hints"])
def test_an_interim_answer_is_no_answer(
    status: str, session: requests.Session, open_store: OpenStore
) -> None:
    """http.client knows of 100 only, and what follows must not be taken for the next request's answer."""
    interim = f"HTTP/1.1 {status}\r\n\r\n".encode()
    with ScriptedServer(
        [READ, Send(interim + ok(b"lost")), CLOSE], exchanges(ok(b"one"), ok(b"two"))
    ) as server:
        store = open_store(server, session=session, policy=FAST)
        assert store.get("key") == b"one"
        assert store.get("key") == b"two"


def test_the_cut_head_of_an_error_does_not_hide_what_is_missing(
    session: requests.Session, open_store: OpenStore
) -> None:
    """It may be the bucket, as its body says."""
    whole = error(404, "NoSuchBucket")
    with ScriptedServer([READ, Send(SAYS_404), CLOSE], exchanges(whole)) as server:
        store = open_store(server, session=session, policy=FAST)
        with pytest.raises(s3kv.BucketNotFound):
            store.get("key", None)


def test_an_answer_that_ends_with_its_connection_is_whole_if_it_says_so(
    session: requests.Session, open_store: OpenStore
) -> None:
    """A server that closes need not count."""
    plain = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nConnection: close\r\n\r\n'
    old = b'HTTP/1.0 200 OK\r\nETag: "e"\r\n\r\n'
    with ScriptedServer([READ, Send(plain), CLOSE], [READ, Send(old), CLOSE]) as server:
        store = open_store(server, session=session, policy=FAST)
        for _ in range(2):
            assert store.put("key", b"").generation == '"e"'


class Hello(Step):
    """Read the beginning of a handshake."""

    def run(self, peer: Peer) -> None:
        peer.receive()


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_handshake_that_breaks_off_is_tried_again(
    end: Step, session: requests.Session, open_store: OpenStore
) -> None:
    """Nothing was said against the certificate."""
    with ScriptedServer(then=[Hello(), end]) as server:
        store = open_store(server.url.replace("http:", "https:"), session=session, policy=FAST)
        with pytest.raises(s3kv.RetriesExhausted):
            store.get("key")
        assert len(server.connections) == FAST.max_retries
