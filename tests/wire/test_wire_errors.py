"""Errors tell all that is known of a failure, survive pickling, and show no secret."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import s3kv
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, TOKEN, OpenStore
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    answer,
    error,
    exchanges,
    ok,
)

IDS = ("x-amz-request-id: REQUEST-ID", "x-amz-id-2: HOST-ID")
FIELDS = ("message", "operation", "key", "status", "code", "request_id", "host_id", "attempts", "elapsed")


def _get(store: s3kv.Store) -> Any:
    return store.get("folder/key")


def _put(store: s3kv.Store) -> Any:
    return store.put("folder/key", b"value")


@dataclass(frozen=True)
class Failure:
    """A way to fail, and what the error is to say.

    Attributes:
        kind: The class of the error.
        also: A built-in exception that it is, too.
        steps: What the server does.
        call: What is asked of it.
        facts: The fields of the error that are not None, but for message and elapsed.
        words: A part of the message.
        timeout: The store's timeout.
    """

    kind: type[s3kv.S3KVError]
    also: type[Exception]
    steps: tuple[Step, ...]
    facts: dict[str, Any]
    words: str
    call: Callable[[s3kv.Store], Any] = _get
    timeout: float | None = None


def _answered(
    status: int, code: str | None, attempts: int = 1, operation: str = "GetObject"
) -> dict[str, Any]:
    return {
        "operation": operation,
        "key": "folder/key",
        "status": status,
        "code": code,
        "request_id": "REQUEST-ID",
        "host_id": "HOST-ID",
        "attempts": attempts,
    }


def _once(status: int, code: str) -> tuple[Step, ...]:
    return READ, Send(error(status, code, *IDS))


BUSY = Send(error(503, "SlowDown", *IDS))
UNANSWERED = {"operation": "GetObject", "key": "folder/key"}

FAILURES = {
    "a missing key": Failure(
        s3kv.KeyNotFound, KeyError, _once(404, "NoSuchKey"), _answered(404, "NoSuchKey"), "Sorry."
    ),
    "a missing key without a code": Failure(
        s3kv.KeyNotFound,
        KeyError,
        (READ, Send(answer(404, b"", *IDS))),
        _answered(404, None),
        "no object has",
    ),
    "a missing bucket": Failure(
        s3kv.BucketNotFound, Exception, _once(404, "NoSuchBucket"), _answered(404, "NoSuchBucket"), "Sorry."
    ),
    "a refusal": Failure(
        s3kv.PermissionDenied,
        PermissionError,
        _once(403, "AccessDenied"),
        _answered(403, "AccessDenied"),
        "Sorry.",
    ),
    "a refused write": Failure(
        s3kv.PermissionDenied,
        PermissionError,
        _once(403, "SignatureDoesNotMatch"),
        _answered(403, "SignatureDoesNotMatch", operation="PutObject"),
        "Sorry.",
        _put,
    ),
    "a condition": Failure(
        s3kv.ConditionFailed,
        Exception,
        _once(412, "PreconditionFailed"),
        _answered(412, "PreconditionFailed", operation="PutObject"),
        "Sorry.",
        _put,
    ),
    "anything else": Failure(
        s3kv.ServiceError,
        Exception,
        _once(400, "InvalidArgument"),
        _answered(400, "InvalidArgument"),
        "Sorry.",
    ),
    "a redirect": Failure(
        s3kv.ServiceError,
        Exception,
        (READ, Send(answer(307, b"", "Location: http://elsewhere.invalid/", *IDS))),
        _answered(307, None),
        "elsewhere.invalid",
    ),
    "a range outside": Failure(
        s3kv.ByteRangeError,
        ValueError,
        (READ, Send(answer(416, b"", "Content-Range: bytes */3", *IDS))),
        _answered(416, None) | {"host_id": None},
        "byte range [5:9] is not inside",
        lambda store: store.get("folder/key", byte_range=slice(5, 9)),
    ),
    "a wrong checksum": Failure(
        s3kv.DataLoss,
        Exception,
        (READ, Send(ok(b"value", "x-amz-checksum-crc32: AAAAAA==", *IDS))),
        _answered(200, None) | {"host_id": None},
        "CRC32",
    ),
    "part of an object": Failure(
        s3kv.MalformedResponse,
        Exception,
        (READ, Send(answer(206, b"value", "Content-Range: bytes 0-4/10", *IDS))),
        _answered(206, None) | {"host_id": None},
        "206",
    ),
    "an answer that is no HTTP": Failure(
        s3kv.MalformedResponse,
        Exception,
        (READ, Send(b"what?\r\n\r\n")),
        UNANSWERED | {"attempts": 1},
        "HTTP/1.1",
    ),
    "an answer that is always busy": Failure(
        s3kv.RetriesExhausted,
        Exception,
        (READ, BUSY) * 4,
        _answered(503, "SlowDown", attempts=4),
        "given up after trying 4 times: Sorry.",
    ),
    "no answer at all": Failure(
        s3kv.RetriesExhausted, Exception, (READ, CLOSE), UNANSWERED | {"attempts": 4}, "without an answer"
    ),
    "a deadline": Failure(
        s3kv.DeadlineExceeded,
        TimeoutError,
        (READ, HOLD),
        UNANSWERED | {"attempts": 1},
        "timeout",
        timeout=0.1,
    ),
    "a deadline in the middle of retries": Failure(
        s3kv.DeadlineExceeded,
        TimeoutError,
        (READ, Send(error(503, "SlowDown", "Retry-After: 60", *IDS))),
        _answered(503, "SlowDown"),
        "timeout",
        timeout=5.0,
    ),
}


def _fail(failure: Failure, store: s3kv.Store) -> s3kv.S3KVError:
    with pytest.raises(failure.kind) as caught:
        failure.call(store)
    return caught.value


@pytest.fixture(params=FAILURES)
def failure(request: pytest.FixtureRequest) -> Failure:
    """Return each way to fail."""
    return FAILURES[request.param]


@pytest.fixture
def caught(failure: Failure, session_keys: None, open_store: OpenStore) -> s3kv.S3KVError:
    """Return the error of each way to fail, of a store that signs with a session token."""
    policy = FAST._replace(max_delay=60.0)
    with ScriptedServer(then=failure.steps, lenient=True) as server:
        store = open_store(server, credentials="environment", policy=policy, timeout=failure.timeout)
        return _fail(failure, store)


def test_an_error_has_all_that_is_known(failure: Failure, caught: s3kv.S3KVError) -> None:
    """As attributes; what is not known is None."""
    assert type(caught) is failure.kind
    assert isinstance(caught, failure.also)
    for name in FIELDS:
        if name not in ("message", "elapsed"):
            assert getattr(caught, name) == failure.facts.get(name), name
    assert caught.elapsed is not None
    assert 0 <= caught.elapsed < 5
    assert failure.words in caught.message


def test_an_error_says_all_that_is_known(failure: Failure, caught: s3kv.S3KVError) -> None:
    """In its text: the message and every fact, and nothing that is not known."""
    text = str(caught)
    assert text.startswith(caught.message)
    for name, value in failure.facts.items():
        if value is not None:
            assert f"{name}={value!r}" in text or f"{name}={value}" in text
    assert re.search(r"elapsed=\d+\.\d+s", text)
    assert "None" not in text
    assert "\n" not in text
    assert type(caught).__name__ in repr(caught)
    assert text[:40] in repr(caught)


def test_an_error_survives_pickling_and_copying(caught: s3kv.S3KVError) -> None:
    """With class, text and every attribute, in every protocol."""
    copies = [
        pickle.loads(pickle.dumps(caught, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    copies += [copy.copy(caught), copy.deepcopy(caught)]
    for each in copies:
        assert type(each) is type(caught)
        assert str(each) == str(caught)
        assert repr(each) == repr(caught)
        assert each.args == caught.args
        for name in FIELDS:
            assert getattr(each, name) == getattr(caught, name)


def test_an_error_shows_no_secret(caught: s3kv.S3KVError) -> None:
    """Neither it nor what it came from, printed, formatted or pickled."""
    _assert_silent("".join(traceback.format_exception(caught)))
    link: BaseException | None = caught
    while link is not None:
        _assert_silent(f"{link} {link!r} {link.args} {vars(link)}")
        link = link.__cause__ or link.__context__
    _assert_silent(pickle.dumps(caught).decode("latin-1"))


def test_the_ids_in_the_body_stand_in_for_those_in_the_head(open_store: OpenStore) -> None:
    """Some stores send them only there."""
    with ScriptedServer(exchanges(error(403, "AccessDenied"))) as server:
        store = open_store(server)
        with pytest.raises(s3kv.PermissionDenied) as found:
            store.get("key")
        assert found.value.request_id == "BODY-REQUEST-ID"
        assert found.value.host_id == "BODY-HOST-ID"


def test_a_refusal_to_read_says_that_the_key_may_be_missing(open_store: OpenStore) -> None:
    """S3 answers 403 for a missing key to those who may not list; a write is refused plainly."""
    with ScriptedServer(exchanges(*[error(403, "AccessDenied")] * 2)) as server:
        store = open_store(server)
        with pytest.raises(s3kv.PermissionDenied, match="does not exist"):
            store.get("key")
        with pytest.raises(s3kv.PermissionDenied) as found:
            store.put("key", b"")
        assert "does not exist" not in str(found.value)


def test_a_refused_head_is_asked_again_for_its_reason(open_store: OpenStore) -> None:
    """An answer to HEAD has no body: a GET of one byte has; the error is HEAD's all the same."""
    with ScriptedServer(exchanges(answer(403, b""), error(403, "InvalidAccessKeyId"))) as server:
        store = open_store(server)
        with pytest.raises(s3kv.PermissionDenied) as found:
            store.stat("key")
        assert found.value.code == "InvalidAccessKeyId"
        assert found.value.operation == "HeadObject"
        assert [request.method for request in server.requests] == ["HEAD", "GET"]
        assert server.requests[1].header("range") == "bytes=0-0"


def test_a_missing_key_and_a_missing_bucket_are_told_apart_once(open_store: OpenStore) -> None:
    """By a listing of one key, after the first HEAD that finds nothing."""
    with ScriptedServer(exchanges(answer(404), error(404, "NoSuchBucket"))) as server:
        store = open_store(server)
        with pytest.raises(s3kv.BucketNotFound):
            store.stat("key")
        assert "max-keys=1" in server.requests[1].query
    page = answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    with ScriptedServer(exchanges(answer(404), page, answer(404), answer(404))) as server:
        store = open_store(server)
        for _ in range(3):
            with pytest.raises(s3kv.KeyNotFound):
                store.stat("key")


# How servers show too much: debug pages, gateways that quote a bad header, stores that explain a refusal.
ECHOES: dict[str, Callable[[str], bytes]] = {
    "an S3 message": lambda text: error(400, "InvalidArgument", message=text),
    "an S3 message of a refusal": lambda text: error(403, "SignatureDoesNotMatch", message=text),
    "an S3 message of a busy store": lambda text: error(503, "SlowDown", message=text),
    "a page": lambda text: answer(400, f"<p>{text}</p>".encode(), "Content-Type: text/html"),
    "plain text": lambda text: answer(400, text.encode(), "Content-Type: text/plain"),
    "plain text that is cut off": lambda text: answer(
        400, b"x" * 150 + text.encode(), "Content-Type: text/plain"
    ),
    "a redirect": lambda text: answer(302, b"", f"Location: http://x.invalid/?{text}"),
    "no head at all": lambda text: f"{text}\r\n\r\n".encode(),
}


@pytest.mark.parametrize("part", ["authorization", "x-amz-security-token"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_server_that_repeats_a_secret_does_not_get_it_into_an_error(
    echo: Callable[[str], bytes], part: str, session_keys: None, open_store: OpenStore
) -> None:
    """What is known to be secret is left out of whatever the server says."""

    def show(request: Recorded) -> bytes:
        value = request.header(part) or ""
        return echo(value.partition("Signature=")[2] or value)

    with ScriptedServer(then=[Forever(READ, Answer(show))], lenient=True) as server:
        store = open_store(server, credentials="environment", policy=FAST)
        with pytest.raises(s3kv.S3KVError) as found:
            store.get("key")
        _assert_silent("".join(traceback.format_exception(found.value)), server)


def test_logs_show_no_secret(
    session_keys: None, transport: Any, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """At the level of DEBUG, of every logger, whatever happens."""
    caplog.set_level(logging.DEBUG)
    script: list[list[Step]] = [
        [READ, Send(ok(b"v")), READ, Send(error(503, "SlowDown")), READ, Send(ok()), READ, CLOSE],
        [READ, Send(error(403, "AccessDenied"))],
    ]
    with ScriptedServer(*script) as server:
        store = open_store(server, credentials="environment", policy=FAST, session=transport)
        store.get("key")
        store.put("key", b"v")
        with pytest.raises(s3kv.PermissionDenied):
            store.get("key")
        for record in caplog.records:
            _assert_silent(f"{record.getMessage()} {record.args} {record.exc_text}", server)


def test_reprs_show_no_secret(session_keys: None, transport: Any, open_store: OpenStore) -> None:
    """Of no object of the package that exists after some requests."""
    with ScriptedServer(then=[Forever(READ, Send(ok(b"v")))]) as server:
        store = open_store(server, credentials="environment", session=transport)
        for _ in range(3):
            store.get("key")
            store.put("key", b"v")
        seen = 0
        for thing in gc.get_objects():
            if type(thing).__module__.partition(".")[0] == "s3kv":
                _assert_silent(f"{thing!r} {thing!s}", server)
                seen += 1
        assert seen > 5
        _assert_silent(f"{store!r} {store.spec()} {store.spec(include_defaults=True)}", server)


def test_a_pickled_store_holds_no_secret(session_keys: None, open_store: OpenStore) -> None:
    """Credentials are found again where the store is opened again."""
    with ScriptedServer(exchanges(ok(b"v"))) as server:
        store = open_store(server, credentials="environment")
        store.get("key")
        data = pickle.dumps(store)
        _assert_silent(data.decode("latin-1"), server)
        assert ACCESS_KEY.encode() not in data


def test_missing_credentials_are_an_error_before_any_request(open_store: OpenStore) -> None:
    """That names the variable that is not set."""
    with ScriptedServer() as server:
        store = open_store(server, credentials="environment")
        with pytest.raises(s3kv.CredentialsError, match="AWS_ACCESS_KEY_ID"):
            store.get("key")


def test_half_a_pair_of_keys_is_an_error_before_any_request(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it shows neither half."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    with ScriptedServer() as server:
        store = open_store(server, credentials="environment")
        with pytest.raises(s3kv.CredentialsError) as found:
            store.get("key")
        _assert_silent("".join(traceback.format_exception(found.value)))


def _assert_silent(text: str, server: ScriptedServer | None = None) -> None:
    """Assert that a text holds no secret: key, token, or the signature of any request."""
    assert SECRET_KEY not in text
    assert TOKEN not in text
    assert TOKEN[:20] not in text, "a part of the token"
    assert "AWS4-HMAC-SHA256" not in text
    assert not re.search(r"Signature=[0-9a-f]", text)
    for request in server.requests if server else ():
        signature = (request.header("authorization") or "").partition("Signature=")[2]
        assert not signature or signature[:20] not in text, "a part of a signature"
