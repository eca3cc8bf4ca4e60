"""The first attempt of a plain request is sent ahead of its life, which makes no difference to anyone."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import s3kv
from s3kv.transport.sockets import SocketTransport
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, TOKEN, OpenStore, RecordingTimer
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    READ,
    STOP,
    Answer,
    Hold,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    answer,
    chunked,
    error,
    exchanges,
    ok,
)
from tests.wire.test_wire_retries import FAILURES, FINAL, TRANSIENT


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what was sent ahead; a test in which nothing was is no test of it."""
    launch = SocketTransport.launch
    sent: list[str] = []

    def spied(self: SocketTransport, origin: Any, head: bytes, *rest: Any) -> Any:
        exchange = launch(self, origin, head, *rest)
        if exchange is not None:
            sent.append(head.split(b"\r\n", 1)[0].decode())
        return exchange

    monkeypatch.setattr(SocketTransport, "launch", spied)
    yield sent
    assert sent


GET: Callable[[s3kv.Store], Any] = lambda store: store.get("key")  # noqa: E731
MANY: Callable[[s3kv.Store], Any] = lambda store: store.get_many(["key"])["key"]  # noqa: E731
WAYS = pytest.mark.parametrize("get", [GET, MANY], ids=["get", "get_many"])


def prime(store: s3kv.Store) -> None:
    """Have a connection that is open: only on such a one is anything sent ahead."""
    assert store.get("first") == b"primed"


CRC32 = base64.b64encode(zlib.crc32(b"fine").to_bytes(4, "big")).decode()
PRIMED: list[Step] = exchanges(ok(b"primed"))


@WAYS
@pytest.mark.parametrize("first", TRANSIENT.values(), ids=TRANSIENT)
def test_a_transient_answer_is_followed_by_another_attempt(
    first: bytes, get: Callable[[s3kv.Store], Any], open_store: OpenStore
) -> None:
    """One pause in between; both attempts are counted."""
    timer = RecordingTimer()
    closes = b"Connection: close" in first
    steps: list[Step] = [*PRIMED, READ, Send(first)]
    fine = exchanges(ok(b"fine"))
    with ScriptedServer(*[steps, fine] if closes else [steps + fine]) as server:
        store = open_store(server, policy=FAST, timer=timer)
        prime(store)
        assert get(store) == b"fine"
        assert len(server.requests) == 3
        assert len(timer.waits) == 1
        metrics = store.metrics
        assert (metrics["requests"], metrics["retries"], metrics["read"]) == (2, 1, 2)
        assert metrics["bytes_read"] == len(b"primedfine")
        assert metrics["in_flight"] == 0


@pytest.mark.parametrize("first", FINAL.values(), ids=FINAL)
def test_an_answer_that_is_final_is_not_asked_for_again(first: bytes, open_store: OpenStore) -> None:
    """One request, an error with the status of the answer and one attempt."""
    with ScriptedServer([*PRIMED, READ, Send(first)]) as server:
        store = open_store(server, policy=FAST, timer=RecordingTimer())
        prime(store)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert caught.value.status == int(first[9:12])
        assert (caught.value.attempts, caught.value.operation, caught.value.key) == (1, "GetObject", "key")
        assert len(server.requests) == 2
        assert store.metrics["in_flight"] == 0


# What ends an old connection before any answer costs no attempt, and no pause.
_STALE = {"reset", "closed", "closed in one direction"}


@WAYS
@pytest.mark.parametrize("name", [name for name in FAILURES if "before the request" not in name])
def test_a_broken_connection_is_followed_by_another_attempt(
    name: str, get: Callable[[s3kv.Store], Any], open_store: OpenStore
) -> None:
    """On a new connection, after one pause where the store may be to blame."""
    timer = RecordingTimer()
    with ScriptedServer([*PRIMED, *FAILURES[name]], exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=FAST, timer=timer)
        prime(store)
        assert get(store) == b"fine"
        assert len(timer.waits) == (0 if name in _STALE else 1)
        assert store.metrics["in_flight"] == 0


@pytest.mark.parametrize(
    "whole",
    [
        chunked(b"fi", b"ne"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"fine"),
        ok(b"fine", "Connection: close"),
        ok(b"fine", "Content-Encoding: gzip"),
        ok(b"fine", 'Content-Type: text/plain; x="\t\xe9"'),
        answer(200, b"fine"),
        ok(
            b"fine",
            f"x-amz-checksum-crc32: {CRC32}",
        ),
        ok(b"fine", "x-amz-checksum-sha256: AAAA-2", "x-amz-checksum-type: COMPOSITE"),
        b"HTTP/1.1 200\r\nCONTENT-LENGTH:4 \r\n\r\nfine",
    ],
)
@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_an_answer_that_is_not_so_plain_is_understood(
    whole: bytes, pieces: int, open_store: OpenStore
) -> None:
    """In one piece, in two, and byte by byte."""
    step = max(1, -(-len(whole) // pieces))
    sends = [Send(whole[start : start + step]) for start in range(0, len(whole), step)]
    with ScriptedServer([*PRIMED, READ, *sends]) as server:
        store = open_store(server, policy=FAST)
        prime(store)
        assert store.get("key") == b"fine"
        assert store.metrics["retries"] == 0


@pytest.mark.parametrize(
    ("whole", "kind"),
    [
        (ok(b"fine", "x-amz-checksum-crc32: AAAAAA=="), s3kv.DataLoss),
        (ok(b"fine", "Content-Length: 4"), s3kv.MalformedResponse),
        (ok(b"fine", 'ETag: "two"'), s3kv.MalformedResponse),
        (answer(200, b"fine", length=-4), s3kv.MalformedResponse),
        (ok(b"fine", "Bad Name: x"), s3kv.MalformedResponse),
        (ok(b"fine", "X-Bell: \x07"), s3kv.MalformedResponse),
        (answer(206, b"fine"), s3kv.MalformedResponse),
        (answer(204), s3kv.MalformedResponse),
    ],
)
def test_an_answer_that_is_wrong_is_refused(
    whole: bytes, kind: type[s3kv.S3KVError], open_store: OpenStore
) -> None:
    """With the same error as ever; what is no HTTP may be left over, and is asked for once more."""
    again = [] if whole[9:12] != b"200" or kind is s3kv.DataLoss else [[READ, Send(whole)]]
    with ScriptedServer([*PRIMED, READ, Send(whole)], *again) as server:
        store = open_store(server, policy=FAST)
        prime(store)
        with pytest.raises(kind) as caught:
            store.get("key")
        assert caught.value.key == "key"


def test_what_comes_after_an_answer_is_not_the_next_answer(open_store: OpenStore) -> None:
    """A connection with bytes that nobody asked for is not used again."""
    forged = [*PRIMED, READ, Send(ok(b"fine") + ok(b"forged")), STOP]
    with ScriptedServer(forged, exchanges(ok(b"two"))) as server:
        store = open_store(server, policy=FAST)
        prime(store)
        assert store.get("key") == b"fine"
        assert store.get("key") == b"two"


def test_requests_sent_ahead_are_signed_as_all_others(session_keys: None, open_store: OpenStore) -> None:
    """Whatever the key, and with the payload of a put."""
    names = ["a", "a//b", "../x", "/lead", "ä b+c%", "~-_.", "\x01\n", "漢字😀"]
    answers = [ok(b"primed"), *[ok(b"x")] * len(names), *[ok()] * 2]
    with ScriptedServer(exchanges(*answers)) as server:
        store = open_store(server, credentials="environment")
        prime(store)
        for name in names:
            assert store.get(name) == b"x"
        before = time.time()
        stamp = store.put("put", b"value" * 1000)
        assert before <= stamp.time <= time.time()
        assert stamp.generation == '"9b2cf535f27731c974343645a3985328"'
        store.put("empty", b"")
        assert len(server.requests) == len(answers)
        for request in server.requests:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")
            assert request.header("x-amz-security-token") == TOKEN
            assert request.header("accept-encoding") == "identity"
        put, empty = server.requests[-2:]
        assert put.body == b"value" * 1000
        assert put.header("x-amz-content-sha256") == hashlib.sha256(put.body).hexdigest()
        assert empty.header("content-length") == "0"
        assert server.requests[1].header("x-amz-checksum-mode") == "ENABLED"


def test_a_put_without_an_etag_is_an_error(open_store: OpenStore) -> None:
    """As it is when it is not sent ahead."""
    with ScriptedServer([*PRIMED, *exchanges(answer(200))]) as server:
        store = open_store(server)
        prime(store)
        with pytest.raises(s3kv.MalformedResponse, match="ETag"):
            store.put("key", b"value")


def test_an_expired_token_is_renewed_and_the_request_sent_again(
    session_keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, without a pause."""
    timer = RecordingTimer()
    script = [*PRIMED, *exchanges(error(400, "ExpiredToken"), ok(b"fine"))]
    with ScriptedServer(script) as server:
        store = open_store(server, credentials="environment", policy=FAST, timer=timer)
        prime(store)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
        assert store.get("key") == b"fine"
        assert server.requests[-1].header("x-amz-security-token") == "another"
        assert timer.waits == []


@WAYS
def test_a_store_that_falls_silent_meets_the_timeout(
    get: Callable[[s3kv.Store], Any], open_store: OpenStore
) -> None:
    """In time, and with what was tried."""
    with ScriptedServer([*PRIMED, READ, Hold()]) as server, Stopwatch() as watch:
        store = open_store(server)
        prime(store)
        store = store.with_timeout(0.3)
        with pytest.raises((s3kv.DeadlineExceeded, s3kv.BatchError)) as caught:
            get(store)
        failure: Any = caught.value
        failure = failure.errors["key"] if isinstance(failure, s3kv.BatchError) else failure
        assert isinstance(failure, s3kv.DeadlineExceeded)
        assert (failure.operation, failure.attempts) == ("GetObject", 1)
    assert watch.seconds < 2


def test_a_log_at_level_debug_tells_of_each_request(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture, launched: list[str]
) -> None:
    """Then nothing is sent ahead: it would not be told of."""
    with ScriptedServer(exchanges(ok(b"primed"), ok(b"one"), ok(b"two"))) as server:
        store = open_store(server)
        prime(store)
        assert store.get("quiet") == b"one"
        assert launched == ["GET /bucket/quiet HTTP/1.1"]
        with caplog.at_level(logging.DEBUG, "s3kv"):
            assert store.get("loud") == b"two"
        assert [record for record in caplog.records if "'loud'" in record.getMessage()]
        assert len(launched) == 1


def test_closing_the_store_ends_what_was_sent_ahead(open_store: OpenStore) -> None:
    """At once, with an error that says so."""
    with ScriptedServer([*PRIMED, READ, Hold()]) as server:
        store = open_store(server)
        prime(store)
        call = Background(lambda: store.get("key"))
        while len(server.requests) < 2:
            time.sleep(0.001)
        store.close()
        assert isinstance(call.error(), s3kv.StoreClosed)


def test_a_failure_that_nobody_expects_leaves_nothing_behind(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes through, and the request is no longer counted as under way."""
    from s3kv.transport.connection import Connection

    def fail(self: Connection, scratch: memoryview) -> int:
        raise MemoryError("none left")

    with ScriptedServer([*PRIMED, *exchanges(ok(b"fine")), CLOSE]) as server:
        store = open_store(server)
        prime(store)
        monkeypatch.setattr(Connection, "take_now", fail)
        with pytest.raises(MemoryError):
            store.get("key")
        assert store.metrics["in_flight"] == 0
        assert store.metrics["failures"] == 1


def test_requests_sent_ahead_and_others_use_the_same_connection(open_store: OpenStore) -> None:
    """One after the other, forwards and back."""

    def told(request: Recorded) -> bytes:
        return ok(request.target.encode())

    with ScriptedServer([READ, Answer(told)] * 6 + [CLOSE]) as server:
        store = open_store(server)
        for _ in range(3):
            assert store.get("whole") == b"/bucket/whole"
            assert store.stat("head").size == len(b"/bucket/head")
