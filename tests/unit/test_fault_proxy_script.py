"""Which requests a fault hits, what the proxy remembers of them, and what it refuses to be told."""

from __future__ import annotations

import asyncio
import gc
import http.client
import pickle
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3kv
from s3kv.testing import (
    Answer,
    Corrupt,
    CutAnswer,
    CutBody,
    CutRequest,
    Delay,
    FaultProxy,
    LocalServer,
    RawAnswer,
    Reset,
    Seen,
    Stall,
    Throttle,
    seen,
)
from s3kv.testing.exchange import _first
from s3kv.testing.framing import Chunked, Counted, answer_framing, headers_of, status_of
from s3kv.testing.seen import operation_of

# No request gets as far as the server.
NOBODY = "127.0.0.1:9"
FINE = Answer(200)


class Asking:
    """Sends requests through a proxy that answers all of them itself."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=10)

    def __call__(self, method: str, target: str, **headers: str) -> int:
        self._connection.request(method, target, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Return a proxy in front of nobody."""
    with FaultProxy(NOBODY) as running:
        yield running


@pytest.fixture
def ask(proxy: FaultProxy) -> Iterator[Asking]:
    """Return what sends a request through the proxy, and returns the status of the answer."""
    asking = Asking(proxy)
    yield asking
    asking.close()


# ------------------------------------------------------------------------------- which requests


CONDITIONS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "any": ({}, [0, 1, 2, 3]),
    "a method": ({"method": "PUT"}, [1]),
    "a method in lower case": ({"method": "get"}, [0, 3]),
    "an operation": ({"operation": "GetObject"}, [0]),
    "a path": ({"path": "/bucket/a/*"}, [0, 1]),
    "a path with an escape": ({"path": "/bucket/a/é?x"}, [0]),
    "a key": ({"key": "a/[b-d]"}, [1]),
    "the very key": ({"key": "b"}, [2]),
    "no key": ({"key": ""}, [3]),
    "a function": ({"where": lambda seen: "list-type" in seen.query}, [3]),
    "two conditions": ({"method": "DELETE", "key": "b*"}, [2]),
    "two that exclude each other": ({"method": "DELETE", "key": "a*"}, []),
}
REQUESTS = [
    ("GET", "/bucket/a/%C3%A9+x"),
    ("PUT", "/bucket/a/c"),
    ("DELETE", "/bucket/b"),
    ("GET", "/bucket?list-type=2"),
]


@pytest.mark.parametrize(("conditions", "hit"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_fault_is_for_requests_that_fit(
    conditions: dict[str, Any], hit: list[int], proxy: FaultProxy, ask: Asking
) -> None:
    """All of its conditions hold."""
    injected = proxy.inject(Answer(418), times=None, **conditions)
    proxy.inject(FINE, times=None)
    assert [number for number, one in enumerate(REQUESTS) if ask(*one) == 418] == hit
    assert injected.hits == len(hit)


@pytest.mark.parametrize(
    ("skip", "times", "hit"),
    [(0, 1, [0]), (2, 1, [2]), (1, 3, [1, 2, 3]), (4, 9, [4, 5]), (3, None, [3, 4, 5])],
)
def test_a_fault_is_for_some_of_them(
    skip: int, times: int | None, hit: list[int], proxy: FaultProxy, ask: Asking
) -> None:
    """Counted from the injection on, and only those that fit."""
    proxy.inject(Answer(418), method="GET", skip=skip, times=times)
    proxy.inject(FINE, times=None)
    statuses = [(ask("PUT", "/b/k"), ask("GET", "/b/k")) for _ in range(6)]
    assert [number for number, told in enumerate(statuses) if told == (200, 418)] == hit
    assert set(statuses) <= {(200, 418), (200, 200)}


def test_chance_is_the_same_for_the_same_seed(proxy: FaultProxy, ask: Asking) -> None:
    """And about as frequent as it says."""

    def run(seed: int) -> list[int]:
        proxy.clear()
        proxy.inject(Answer(418), times=None, probability=0.25, seed=seed)
        proxy.inject(FINE, times=None)
        return [ask("GET", "/b/k") for _ in range(200)]

    first = run(1)
    assert first == run(1) != run(2)
    assert 25 <= first.count(418) <= 75


def test_a_request_is_hit_by_the_first_fault_that_can(proxy: FaultProxy, ask: Asking) -> None:
    """The others do not count it."""
    first = proxy.inject(Answer(401), times=2)
    second = proxy.inject(Answer(402), skip=1)
    third = proxy.inject(Answer(403), times=None)
    assert [ask("GET", "/b/k") for _ in range(6)] == [401, 401, 403, 402, 403, 403]
    assert (first.hits, second.hits, third.hits) == (2, 1, 3)


def test_faults_can_be_taken_back(proxy: FaultProxy, ask: Asking) -> None:
    """One, or all."""
    first = proxy.inject(Answer(401), times=None)
    proxy.inject(Answer(402), times=None)
    assert ask("GET", "/b/k") == 401
    first.remove()
    assert ask("GET", "/b/k") == 402
    proxy.clear()
    proxy.inject(FINE, times=None)
    assert ask("GET", "/b/k") == 200
    assert first.hits == 1


def test_a_hit_can_be_waited_for(proxy: FaultProxy, ask: Asking) -> None:
    """For so long."""
    injected = proxy.inject(FINE, times=2)
    with pytest.raises(TimeoutError, match="0 requests so far"):
        injected.wait(timeout=0.01)
    ask("GET", "/b/k")
    injected.wait()
    with pytest.raises(TimeoutError):
        injected.wait(2, timeout=0.01)
    ask("GET", "/b/k")
    injected.wait(2)


def test_faults_may_be_injected_before_the_proxy_runs() -> None:
    """They wait for their requests."""
    proxy = FaultProxy(NOBODY)
    proxy.inject(Answer(418))
    with proxy:
        ask = Asking(proxy)
        assert ask("GET", "/b/k") == 418
        ask.close()


# ------------------------------------------------------------------------------- what was seen


def test_every_request_is_remembered_with_what_became_of_it(proxy: FaultProxy, ask: Asking) -> None:
    """Also after the proxy is closed."""
    proxy.inject(Answer(404, body="gone"), times=1)
    proxy.inject(FINE)
    ask("GET", "/bucket/a%20b/%C3%A9?partNumber=3&x=%2F", **{"X-One": "1", "x-amz-date": "now"})
    ask("HEAD", "/bucket")
    first, second = proxy.requests
    assert (first.connection, first.method) == (1, "GET")
    assert first.target == "/bucket/a%20b/%C3%A9?partNumber=3&x=%2F"
    assert (first.path, first.bucket, first.key) == ("/bucket/a b/é", "bucket", "a b/é")
    assert first.query == {"partNumber": "3", "x": "/"}
    assert first.headers["x-one"] == "1"
    assert first.headers["host"] == proxy.endpoint.removeprefix("http://")
    assert (first.operation, first.status, first.fault) == ("GetObject", 404, Answer(404, body="gone"))
    assert first.answer_bytes == len(Answer(404, body="gone").encoded())
    assert (second.bucket, second.key, second.operation) == ("bucket", "", "HeadBucket")


def test_only_the_latest_requests_are_remembered() -> None:
    """As many as asked for."""
    with FaultProxy(NOBODY, remember=3) as proxy:
        proxy.inject(FINE, times=None)
        ask = Asking(proxy)
        for number in range(5):
            ask("GET", f"/b/{number}")
        ask.close()
        assert [seen.key for seen in proxy.requests] == ["2", "3", "4"]


COPY = {"x-amz-copy-source": "/b/k"}
OPERATIONS = [
    ("GET", "/b/k", {}, "GetObject"),
    ("HEAD", "/b/k/l", {}, "HeadObject"),
    ("PUT", "/b/k", {}, "PutObject"),
    ("PUT", "/b/k", COPY, "CopyObject"),
    ("DELETE", "/b/k", {}, "DeleteObject"),
    ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
    ("POST", "/b/k?uploads=", {}, "CreateMultipartUpload"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart"),
    ("PUT", "/b/k?uploadId=u&partNumber=1", COPY, "UploadPartCopy"),
    ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
    ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
    ("GET", "/b/k?uploadId=u", {}, "ListParts"),
    ("GET", "/b?uploads", {}, "ListMultipartUploads"),
    ("GET", "/b?list-type=2&prefix=a", {}, "ListObjectsV2"),
    ("GET", "/b/?list-type=2", {}, "ListObjectsV2"),
    ("GET", "/b", {}, "ListObjects"),
    ("POST", "/b?delete", {}, "DeleteObjects"),
    ("POST", "/b/?delete=", {}, "DeleteObjects"),
    ("HEAD", "/b", {}, "HeadBucket"),
    ("HEAD", "/b/", {}, "HeadBucket"),
    ("PUT", "/b", {}, "CreateBucket"),
    ("DELETE", "/b", {}, "DeleteBucket"),
    ("GET", "/", {}, "ListBuckets"),
    ("OPTIONS", "/b/k", {}, "OPTIONS"),
]


@pytest.mark.parametrize(("method", "target", "headers", "name"), OPERATIONS)
def test_a_request_has_s3s_name(method: str, target: str, headers: dict[str, str], name: str) -> None:
    """Or its method, where S3 has none."""
    assert operation_of(method, target, headers) == name


def test_every_name_can_be_asked_for() -> None:
    """And no other but a method."""
    assert {name for *_, name in OPERATIONS if not name.isupper()} == seen.OPERATIONS
    FaultProxy(NOBODY).inject(Reset(), operation="OPTIONS")


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CutBody(at=-1), "CutBody.at is -1: allowed is 0 or more"),
        (lambda: CutBody(at=1.5), "CutBody.at is a number of bytes, not float"),  # type: ignore[arg-type]
        (lambda: CutAnswer(at=True), "CutAnswer.at is a number of bytes, not bool"),
        (lambda: CutRequest(at=-2), "CutRequest.at is -2"),
        (lambda: Corrupt(at=-1), "Corrupt.at is -1"),
        (lambda: CutBody(1, reset=1), "CutBody.reset is True or False, not 1"),  # type: ignore[arg-type]
        (lambda: Reset("after"), "Reset.went_through is True or False, not 'after'"),  # type: ignore[arg-type]
        (lambda: Stall(-1), "Stall.seconds is -1: allowed is 0 or more"),
        (lambda: Stall("1s"), "Stall.seconds is a number, not str"),  # type: ignore[arg-type]
        (lambda: Stall(at=-1), "Stall.at is -1"),
        (lambda: Delay(float("nan")), "Delay.seconds is nan"),
        (lambda: Throttle(0), "Throttle.bytes_per_second is 0"),
        (lambda: Answer(99), "Answer.status is 99: allowed is 200 to 599"),
        (lambda: Answer("200"), "Answer.status is '200'"),  # type: ignore[arg-type]
        (lambda: Answer(200, {"a b": "c"}), "Answer.headers has 'a b': 'c'"),
        (lambda: Answer(200, {"a": "b\r\nc: d"}), "which no header can be"),
        (lambda: RawAnswer("text"), "RawAnswer.data is bytes, not str"),  # type: ignore[arg-type]
        (lambda: Answer.error(503, 5), "the code is a str, not int"),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_cannot_be_is_refused(make: Any, message: str) -> None:
    """When it is made, with what is allowed."""
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fault": CutBody}, "a fault is one of s3kv.testing.faults"),
        ({"fault": "reset"}, "a fault is one of s3kv.testing.faults, not 'reset'"),
        ({"method": 1}, "method is a str, not int"),
        ({"key": b"k"}, "key is a str, not bytes"),
        ({"operation": "GetObjects"}, "operation is 'GetObjects': allowed are AbortMultipartUpload, "),
        ({"where": "PUT"}, "where is a function of a request, not str"),
        ({"skip": -1}, "skip is -1: allowed is 0 or more"),
        ({"skip": True}, "skip is True"),
        ({"times": 0}, "times is 0: allowed is 1 or more, or None for all"),
        ({"times": "all"}, "times is 'all'"),
        ({"probability": 0}, "probability is 0: allowed is above 0, up to 1"),
        ({"probability": 1.5}, "probability is 1.5"),
        ({"probability": "1"}, "probability is a number, not str"),
        ({"probability": 0.5}, "a probability below 1 needs a seed"),
    ],
)
def test_an_injection_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    """With the argument, and what is allowed."""
    proxy = FaultProxy(NOBODY)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        proxy.inject(**{"fault": Reset(), **arguments})


@pytest.mark.parametrize(
    "upstream",
    ["", "https://127.0.0.1:1", "ftp://h:1", "http://:80", "http://u:p@h:1", "h:port", "h:99999", "h:1:2"],
)
def test_an_upstream_that_is_no_address_is_refused(upstream: str) -> None:
    """It is http, and has a host."""
    with pytest.raises(ValueError, match="allowed is http://host:port, or host:port"):
        FaultProxy(upstream)


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("h:1", "h:1"),
        ("http://h:1", "h:1"),
        ("http://h:1/path", "h:1"),
        ("http://h", "h:80"),
        ("HTTP://H:1", "h:1"),
        ("[::1]:5", "::1:5"),
    ],
)
def test_an_upstream_is_a_url_or_an_address(upstream: str, shown: str) -> None:
    """Nobody is asked before there is a request."""
    assert repr(FaultProxy(upstream)) == f"<FaultProxy not running in front of {shown}>"


def test_an_upstream_of_another_kind_is_refused() -> None:
    """What has no endpoint cannot be in front of."""
    with pytest.raises(TypeError, match="not object"):
        FaultProxy(object())  # type: ignore[arg-type]
    with s3kv.Store("s3://bucket/") as store, pytest.raises(ValueError, match="no endpoint of its own"):
        FaultProxy(store)
    with pytest.raises(ValueError, match="remember is -1"):
        FaultProxy(NOBODY, remember=-1)


@pytest.mark.parametrize("name", ["endpoint", "connections", "sever"])
def test_a_proxy_that_is_not_running_says_so(name: str) -> None:
    """Before its block, and after it."""
    proxy = FaultProxy(NOBODY)
    for _ in range(2):
        with pytest.raises(s3kv.S3KVError, match="the proxy is not running: use it as `with"):
            getattr(proxy, name)()
        with proxy:
            assert repr(proxy) == f"<FaultProxy {proxy.endpoint} in front of {NOBODY}>"


def test_a_proxy_runs_once_at_a_time() -> None:
    """And again after its block, at another place."""
    proxy = FaultProxy(NOBODY)
    with proxy, pytest.raises(s3kv.S3KVError, match="running already"):
        proxy.__enter__()
    with proxy:
        proxy.inject(FINE)
        ask = Asking(proxy)
        assert ask("GET", "/b/k") == 200
        ask.close()


def test_a_proxy_of_an_address_opens_no_store() -> None:
    """It does not know the bucket."""
    with FaultProxy(NOBODY) as proxy, pytest.raises(s3kv.S3KVError, match=r"endpoint=proxy\.endpoint"):
        proxy.store()


def test_a_store_through_a_proxy_is_that_of_its_upstream() -> None:
    """But for the endpoint, and quick retries; members go before both."""
    members: dict[str, Any] = {
        "bucket": "bucket",
        "endpoint": "http://127.0.0.1:9/base",
        "aws_region": "eu-x-1",
        "aws_credentials": {"type": "anonymous"},
    }
    with s3kv.Store(members, path="p/") as upstream, FaultProxy(upstream) as proxy:
        store = proxy.store()
        assert (store.bucket, store.path) == ("bucket", "p/")
        assert store.spec() == {
            **upstream.spec(),
            "endpoint": f"{proxy.endpoint}/base",
            "s3_request_retries": {"initial_delay": "10ms", "max_delay": "100ms"},
        }
        other = proxy.store(path="q/", s3_request_retries={"max_retries": 1})
        assert other.path == "q/"
        assert other.spec()["s3_request_retries"] == {"max_retries": 1}
        with FaultProxy(proxy) as outer:
            assert outer.store().spec()["endpoint"] == f"{outer.endpoint}/base"
    for closed in (store, other):
        with pytest.raises(s3kv.StoreClosed):
            closed.get("key")


def test_faults_and_what_was_seen_are_values() -> None:
    """Equal, hashable, and pickled as such."""
    faults = [Reset(), CutBody(3), Stall(1.5, at=2), Answer(500, {"A": "b"}, "x"), RawAnswer(b"y")]
    assert pickle.loads(pickle.dumps(faults)) == faults
    assert len({*faults, *pickle.loads(pickle.dumps(faults))}) == len(faults)
    assert Answer(500, {"A": "b"}, "x") == Answer(500, [("A", "b")], b"x")
    seen = Seen(1, "GET", "/b/k", {}, "GetObject", Reset())
    assert pickle.loads(pickle.dumps(seen)) == seen


def test_an_error_of_s3_is_xml() -> None:
    """Whatever the words are."""
    told = Answer.error(503, "SlowDown", "a < b & c").encoded()
    assert told.startswith(b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\n")
    assert told.endswith(b"<Error><Code>SlowDown</Code><Message>a &lt; b &amp; c</Message></Error>")


def test_a_server_that_was_not_started_is_no_upstream() -> None:
    """The error says what to do."""
    with pytest.raises(s3kv.S3KVError, match="local server is not running"):
        FaultProxy(LocalServer())


# ------------------------------------------------------------------------------- where bodies end


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    behind=st.binary(max_size=10),
    cuts=st.lists(st.integers(0, 300), max_size=12),
    extension=st.sampled_from(["", ";a=b", " "]),
    trailers=st.sampled_from(["", "X-A: b\r\n"]),
)
def test_a_body_in_chunks_ends_where_it_says(
    chunks: list[bytes], behind: bytes, cuts: list[int], extension: str, trailers: str
) -> None:
    """However the bytes come."""
    pieces = [f"{len(chunk):X}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    body = b"".join(pieces) + f"0{extension}\r\n{trailers}\r\n".encode()
    data = body + behind
    framing = Chunked()
    taken = 0
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in pairwise(edges):
        taken += framing.take(data[start:end])
    assert framing.done
    assert taken == len(body)


def test_chunks_that_break_the_rules_end_with_the_connection() -> None:
    """All that comes belongs to them."""
    for data in (b"xyz\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"\r\n\r\n"):
        framing = Chunked()
        assert framing.take(data) == len(data)
        assert framing.take(b"more") == 4
        assert not framing.done


def test_the_head_tells_how_long_a_body_is() -> None:
    """What cannot be believed lasts as long as the connection."""

    def ends(method: str, head: bytes, body: bytes) -> bool:
        framing = answer_framing(method, status_of(head), headers_of(head))
        framing.take(body)
        return framing.done

    assert ends("GET", b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  2 \r\n", b"ab")
    assert not ends("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", b"ab")
    assert not ends("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n", b"ab")
    assert not ends("GET", b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n", b"ab")
    assert not ends("GET", b"HTTP/1.1 200 OK\r\n", b"ab")
    assert ends("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", b"")
    assert ends("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n", b"")
    heads = (b"HTTP/1.1 404 X", b"HTTP/1.0 200", b"SSH-2.0-x", b"HTTP/1.1 2", b"")
    assert [status_of(head) for head in heads] == [404, 200, 0, 0, 0]
    assert Counted(3).take(b"abcd") == 3


def test_what_failed_while_nobody_waited_any_more_is_not_complained_about() -> None:
    """asyncio would, when the task is collected."""
    complaints: list[object] = []

    async def fail() -> None:
        raise OSError("gone")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        failing = asyncio.ensure_future(fail())
        waiting = asyncio.ensure_future(_first(failing))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert failing.done()
        del failing, waiting
        gc.collect()

    asyncio.run(work())
    assert complaints == []
