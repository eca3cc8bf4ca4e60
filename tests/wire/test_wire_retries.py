"""What is transient is tried again, what is not is not, and nobody waits longer than need be."""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

import s3kv
from s3kv.messages import Settings
from s3kv.retry import RetryPolicy
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, FixedClock, OpenStore, RecordingTimer
from tests.wire.scripted import (
    CLOSE,
    FIN,
    READ,
    READ_HEAD,
    RESET,
    STOP,
    Answer,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    Wait,
    answer,
    chunked,
    error,
    exchanges,
    listing,
    ok,
)

XML = ("Content-Type: application/xml",)

TRANSIENT = {
    "408": answer(408),
    "429": answer(429),
    "500": answer(500),
    "502": answer(502, b"<html>Bad Gateway</html>", "Content-Type: text/html"),
    "503": answer(503),
    "504": answer(504),
    "509": answer(509),
    "503 SlowDown": error(503, "SlowDown"),
    "503 ServiceUnavailable": error(503, "ServiceUnavailable"),
    "500 InternalError": error(500, "InternalError"),
    "400 RequestTimeout": error(400, "RequestTimeout", "Connection: close"),
    "400 InternalError": error(400, "InternalError"),
    "400 SlowDown": error(400, "SlowDown"),
    "400 Throttling": error(400, "Throttling"),
    "400 ThrottlingException": error(400, "ThrottlingException"),
    "403 ThrottledWithAStrangeStatus": error(403, "ThrottlingException"),
    "503 closed": error(503, "SlowDown", "Connection: close"),
}

FINAL = {
    "400": answer(400),
    "400 InvalidArgument": error(400, "InvalidArgument"),
    "400 BadDigest": error(400, "BadDigest"),
    "400 ExpiredToken": error(400, "ExpiredToken"),
    "401": answer(401),
    "403 AccessDenied": error(403, "AccessDenied"),
    "403 SignatureDoesNotMatch": error(403, "SignatureDoesNotMatch"),
    "403 InvalidAccessKeyId": error(403, "InvalidAccessKeyId"),
    "404 NoSuchKey": error(404, "NoSuchKey"),
    "404 NoSuchBucket": error(404, "NoSuchBucket"),
    "405 MethodNotAllowed": error(405, "MethodNotAllowed"),
    "409 OperationAborted": error(409, "OperationAborted"),
    "411 MissingContentLength": error(411, "MissingContentLength"),
    "412 PreconditionFailed": error(412, "PreconditionFailed"),
    "413": answer(413),
    "414": answer(414),
    "501 NotImplemented": error(501, "NotImplemented"),
    "505": answer(505),
    "301 without a region": error(301, "PermanentRedirect"),
    "302": answer(302, b"", "Location: http://127.0.0.1:1/elsewhere"),
}


@pytest.mark.parametrize("first", TRANSIENT.values(), ids=TRANSIENT)
def test_a_transient_answer_is_followed_by_another_attempt(
    first: bytes, transport: Any, open_store: OpenStore
) -> None:
    """One pause in between, and the caller sees the second answer only."""
    timer = RecordingTimer()
    steps: list[Step] = [READ, Send(first)]
    fine: list[Step] = [READ, Send(ok(b"fine"))]
    closes = b"Connection: close" in first
    with ScriptedServer(*[steps, fine] if closes else [steps + fine]) as server:
        store = open_store(server, policy=FAST, timer=timer, session=transport)
        assert store.get("key") == b"fine"
        assert len(server.requests) == 2
        assert len(timer.waits) == 1


@pytest.mark.parametrize("first", FINAL.values(), ids=FINAL)
def test_an_answer_that_is_final_is_not_asked_for_again(
    first: bytes, transport: Any, open_store: OpenStore
) -> None:
    """One request, no pause, an error with the status of the answer."""
    timer = RecordingTimer()
    with ScriptedServer([READ, Send(first)]) as server:
        store = open_store(server, policy=FAST, timer=timer, session=transport)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert not isinstance(caught.value, s3kv.RetriesExhausted)
        assert caught.value.status == int(first[9:12])
        assert caught.value.attempts == 1
        assert len(server.requests) == 1
        assert timer.waits == []


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.get("key"),
        lambda store: store.get("key", byte_range=slice(0, 4)),
        lambda store: store.put("key", b"value"),
        lambda store: store.put("key", b"v" * 300_000),
        lambda store: store.delete("key"),
        lambda store: store.stat("key"),
        lambda store: store.list(),
        lambda store: "key" in store,
    ],
    ids=["get", "range", "put", "large put", "delete", "stat", "list", "in"],
)
def test_every_operation_is_tried_again(
    operation: Callable[[s3kv.Store], Any], transport: Any, open_store: OpenStore
) -> None:
    """With the very same request, body included, signed anew."""

    def answers(request: Any) -> bytes:
        if request.query:
            return listing("a")
        return ok(b"fine") if request.method == "GET" else answer(200, b"", 'ETag: "e"')

    # A session that is not told finds out with an attempt of its own, now and then.
    busy = answer(503, b"", "Connection: close")
    script: list[list[Step]] = [[READ, Send(busy), CLOSE], [READ, Send(busy), CLOSE]]
    with ScriptedServer(*script, [READ, Answer(answers)]) as server:
        operation(open_store(server, policy=FAST, session=transport))
        first, second, third = server.requests
        assert first.line == second.line == third.line
        assert first.body == second.body == third.body
        assert first.names == second.names == third.names


def test_each_attempt_is_signed_for_its_own_time(keys: None, open_store: OpenStore) -> None:
    """An attempt after a long backoff with the date of the first would be refused."""

    class Slow(RecordingTimer):
        def wait(self, seconds: float, call: Any) -> None:
            clock.now += 600

    class Late(FixedClock):
        __slots__ = ("now",)

        def __init__(self) -> None:
            super().__init__(0.5)
            self.now = 0.0

        def time(self) -> float:
            return time.time() + self.now

    clock = Late()
    with ScriptedServer(exchanges(error(503, "SlowDown"), ok(b"fine"))) as server:
        store = open_store(server, credentials="environment", policy=FAST, timer=Slow(), clock=clock)
        assert store.get("key") == b"fine"
        first, second = server.requests
        assert first.header("x-amz-date") != second.header("x-amz-date")
        for request in server.requests:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


FAILURES: dict[str, list[Step]] = {
    "reset": [READ, RESET],
    "closed": [READ, CLOSE],
    "closed in one direction": [READ, FIN],
    "closed before the request": [CLOSE],
    "reset before the request": [RESET],
    "cut in the status line": [READ, Send(b"HTTP/1.1 2"), CLOSE],
    "cut in a header": [READ, Send(b"HTTP/1.1 200 OK\r\nContent-Le"), CLOSE],
    "cut before the body": [READ, Send(ok(b"fine")[:-4]), CLOSE],
    "cut in the body": [READ, Send(ok(b"fine")[:-1]), CLOSE],
    "cut in the body by a reset": [READ, Send(ok(b"fine")[:-1]), RESET],
    "cut in a chunk": [READ, Send(chunked(b"fine")[:-7]), CLOSE],
    "cut before the last chunk": [READ, Send(chunked(b"fine")[:-5]), CLOSE],
    "cut in the last chunk": [READ, Send(chunked(b"fine")[:-2]), CLOSE],
    "cut after an interim answer": [READ, Send(b"HTTP/1.1 100 Continue\r\n\r\n"), CLOSE],
}


@pytest.mark.parametrize("steps", FAILURES.values(), ids=FAILURES)
def test_a_broken_connection_is_followed_by_another_attempt(
    steps: list[Step], open_store: OpenStore
) -> None:
    """On a new connection, after one pause."""
    timer = RecordingTimer()
    with ScriptedServer(steps, exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=FAST, timer=timer)
        assert store.get("key") == b"fine"
        assert len(timer.waits) == 1


# http.client takes the end of the connection for the end of the last chunk: the data are all there.
SESSION_FAILURES = {name: steps for name, steps in FAILURES.items() if name != "cut in the last chunk"}


@pytest.mark.parametrize("steps", SESSION_FAILURES.values(), ids=SESSION_FAILURES)
def test_a_broken_connection_of_a_session_is_followed_by_another_attempt(
    steps: list[Step], open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session makes no difference to what is transient."""
    # Its records hold on to the connection by a traceback, and pytest holds on to the records.
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "disabled", True)
    timer = RecordingTimer()
    with requests.Session() as session, ScriptedServer(steps, exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=FAST, timer=timer, session=session)
        assert store.get("key") == b"fine"
        assert len(timer.waits) == 1


@pytest.mark.parametrize("steps", FAILURES.values(), ids=FAILURES)
def test_a_connection_that_always_breaks_exhausts_the_retries(
    steps: list[Step], open_store: OpenStore
) -> None:
    """As many requests as the policy says; the error has the last failure as its cause."""
    timer = RecordingTimer()
    with ScriptedServer(*[steps] * 4) as server:
        store = open_store(server, policy=FAST, timer=timer)
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == 4
        assert isinstance(caught.value.__cause__, s3kv.TransportError)
        # A connection that is reset before anything was sent may never have been open for the client.
        assert READ not in steps or not isinstance(caught.value, s3kv.EndpointUnreachable)
        assert len(timer.waits) == 3


def test_an_answer_that_is_always_transient_exhausts_the_retries(
    transport: Any, open_store: OpenStore
) -> None:
    """The error says what the last answer said."""
    busy = error(503, "SlowDown", "x-amz-request-id: LAST", message="Please reduce your request rate.")
    with ScriptedServer(exchanges(*[busy] * 4)) as server:
        store = open_store(server, policy=FAST, session=transport)
        with pytest.raises(s3kv.RetriesExhausted, match="Please reduce your request rate") as caught:
            store.get("key")
        found = caught.value
        assert (found.status, found.code, found.request_id) == (503, "SlowDown", "LAST")
        assert (found.operation, found.key, found.attempts) == ("GetObject", "key", 4)
        assert isinstance(found.__cause__, s3kv.ServiceError)
        assert len(server.requests) == 4


def test_failures_of_different_kinds_are_counted_together(open_store: OpenStore) -> None:
    """An attempt is an attempt."""
    script: list[list[Step]] = [
        [READ, RESET],
        [READ, Send(error(503, "SlowDown")), READ, Send(ok(b"fine")[:-1]), CLOSE],
        [READ, Send(error(400, "RequestTimeout"))],
    ]
    with ScriptedServer(*script) as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == 4
        assert caught.value.code == "RequestTimeout"


@pytest.mark.parametrize("max_retries", [1, 2, 5])
def test_max_retries_counts_attempts_in_all(max_retries: int, open_store: OpenStore) -> None:
    """One means that nothing is tried again."""
    timer = RecordingTimer()
    busy = error(503, "SlowDown")
    with ScriptedServer(exchanges(*[busy] * max_retries)) as server:
        store = open_store(server, policy=FAST._replace(max_retries=max_retries), timer=timer)
        with pytest.raises(s3kv.RetriesExhausted):
            store.get("key")
        assert len(server.requests) == max_retries
        assert len(timer.waits) == max_retries - 1


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_delays_double_up_to_the_longest(draw: float, open_store: OpenStore) -> None:
    """Drawn from nothing to a second, to two, to four, and to five from then on."""
    timer = RecordingTimer()
    policy = RetryPolicy(max_retries=7, initial_delay=1.0, max_delay=5.0)
    with ScriptedServer(exchanges(*[error(503, "SlowDown")] * 6, ok(b"fine"))) as server:
        store = open_store(server, policy=policy, timer=timer, clock=FixedClock(draw))
        assert store.get("key") == b"fine"
    assert timer.waits == [draw * ceiling for ceiling in (1, 2, 4, 5, 5, 5)]


def test_delays_are_spread_out(open_store: OpenStore) -> None:
    """A crowd that fails together must not come back together."""
    timer = RecordingTimer()
    policy = RetryPolicy(max_retries=21, initial_delay=1.0, max_delay=1.0)
    with ScriptedServer(exchanges(*[error(503, "SlowDown")] * 20, ok(b"fine"))) as server:
        open_store(server, policy=policy, timer=timer).get("key")
    assert len(set(timer.waits)) == 20
    assert all(0 <= wait <= 1 for wait in timer.waits)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("Retry-After: 0", 0.0, 0.0),
        ("Retry-After: 3", 3.0, 3.0),
        ("Retry-After: 3600", 5.0, 5.0),
        ("Retry-After: 0.25", 0.25, 0.25),
        ("x-amz-retry-after: 1500", 1.5, 1.5),
        (f"Retry-After: {email.utils.formatdate(time.time() + 100_000, usegmt=True)}", 5.0, 5.0),
        (f"Retry-After: {email.utils.formatdate(time.time() - 100_000, usegmt=True)}", 0.0, 0.0),
        ("Retry-After: soon", 0.0, 0.0),
        ("Retry-After: -5", 0.0, 0.0),
        ("Retry-After: 1e9", 0.0, 0.0),
        ("Retry-After: nan", 0.0, 0.0),
        ("Retry-After:", 0.0, 0.0),
    ],
    ids=[
        "0",
        "3",
        "3600",
        "0.25",
        "1500 ms",
        "tomorrow",
        "yesterday",
        "soon",
        "-5",
        "1e9",
        "nan",
        "nothing",
    ],
)
def test_the_store_may_say_how_long_to_wait(
    header: str, low: float, high: float, transport: Any, open_store: OpenStore
) -> None:
    """Up to the longest delay of the policy; what is no time is no wish."""
    timer = RecordingTimer()
    policy = RetryPolicy(max_retries=2, initial_delay=1.0, max_delay=5.0)
    with ScriptedServer(exchanges(error(503, "SlowDown", header), ok(b"fine"))) as server:
        store = open_store(server, policy=policy, timer=timer, clock=FixedClock(0.0), session=transport)
        assert store.get("key") == b"fine"
    assert len(timer.waits) == 1
    assert low <= timer.waits[0] <= high


def test_the_store_may_not_shorten_the_wait(open_store: OpenStore) -> None:
    """The jitter stays where the store asks for less."""
    timer = RecordingTimer()
    policy = RetryPolicy(max_retries=2, initial_delay=4.0, max_delay=5.0)
    with ScriptedServer(exchanges(error(503, "SlowDown", "Retry-After: 1"), ok(b"fine"))) as server:
        store = open_store(server, policy=policy, timer=timer, clock=FixedClock(0.5))
        assert store.get("key") == b"fine"
    assert timer.waits == [2.0]


@pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["FIN, then RST", "RST"])
def test_an_answer_that_came_before_the_request_was_sent_is_read(
    end: Step, used: bool, open_store: OpenStore
) -> None:
    """A store may refuse a large upload after its head, and close: what it said is what counts."""
    refusal: list[Step] = [READ_HEAD, Send(error(403, "AccessDenied", "Connection: close")), end]
    with ScriptedServer([READ, Send(ok()), *refusal] if used else refusal) as server:
        store = open_store(server, policy=FAST)
        if used:
            store.put("key", b"")
        with pytest.raises(s3kv.PermissionDenied) as caught:
            store.put("key", b"x" * 20_000_000)
        assert caught.value.attempts == 1
        assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])
def test_an_answer_to_a_request_that_is_not_taken_is_read(used: bool, open_store: OpenStore) -> None:
    """The store answers early and neither reads on nor closes: there is no point in pushing on."""
    refusal: list[Step] = [READ_HEAD, Send(error(403, "AccessDenied")), STOP]
    with ScriptedServer([READ, Send(ok()), *refusal] if used else refusal) as server:
        store = open_store(server, policy=FAST, settings=Settings(read_timeout=0.3))
        if used:
            store.put("key", b"")
        with pytest.raises(s3kv.PermissionDenied) as caught:
            store.put("key", b"x" * 20_000_000)
        assert caught.value.attempts == 1


def test_an_early_answer_ends_the_connection(open_store: OpenStore) -> None:
    """The server got part of a body: the rest would be taken for a request."""
    go = threading.Event()
    first: list[Step] = [READ_HEAD, Send(error(403, "AccessDenied")), Wait(go), CLOSE]
    with ScriptedServer(first, exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=FAST)
        timer = threading.Timer(0.1, go.set)
        timer.start()
        with pytest.raises(s3kv.PermissionDenied):
            store.put("key", b"x" * 20_000_000)
        timer.join()
        assert store.get("key") == b"fine"


def test_a_clock_that_is_wrong_is_corrected_once(keys: None, open_store: OpenStore) -> None:
    """The store's Date says what time it is; requests from then on are signed for it."""
    ahead = 3 * 3600.0

    def judge(request: Recorded) -> bytes:
        date = time.strptime(request.header("x-amz-date") or "", "%Y%m%dT%H%M%SZ")
        now = time.gmtime(time.time() + ahead)
        served = f"Date: {email.utils.formatdate(time.time() + ahead, usegmt=True)}"
        if abs(time.mktime(date) - time.mktime(now)) > 900:
            return error(403, "RequestTimeTooSkewed", served)
        sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")
        return ok(b"fine", served)

    with ScriptedServer([READ, Answer(judge), READ, Answer(judge), READ, Answer(judge)]) as server:
        store = open_store(server, credentials="environment", policy=FAST)
        assert store.get("key") == b"fine"
        assert store.get("key") == b"fine"
        assert len(server.requests) == 3


def test_a_clock_that_cannot_be_corrected_is_an_error(keys: None, open_store: OpenStore) -> None:
    """A store that goes on complaining, with a Date that says that all is well, is believed."""

    def complain(_: Recorded) -> bytes:
        # Rounded to the second that is nearest.
        date = email.utils.formatdate(time.time() + 0.5, usegmt=True)
        return error(403, "RequestTimeTooSkewed", f"Date: {date}")

    with ScriptedServer([READ, Answer(complain)]) as server:
        store = open_store(server, credentials="environment", policy=FAST)
        with pytest.raises(s3kv.PermissionDenied) as caught:
            store.get("key")
        assert caught.value.code == "RequestTimeTooSkewed"


def test_expired_credentials_are_fetched_again_once(
    keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is signed with the new ones; a second refusal is the error."""

    def judge(request: Recorded) -> bytes:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSECOND")
        if "AKIDSECOND" in (request.header("authorization") or ""):
            sigv4.check(request, "AKIDSECOND", SECRET_KEY, "us-east-1")
            return ok(b"fine")
        return error(400, "ExpiredToken")

    with ScriptedServer([READ, Answer(judge), READ, Answer(judge)]) as server:
        store = open_store(server, credentials="environment", policy=FAST)
        assert store.get("key") == b"fine"

    with ScriptedServer(exchanges(*[error(400, "ExpiredToken")] * 2)) as server:
        store = open_store(server, credentials="environment", policy=FAST)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert caught.value.code == "ExpiredToken"
        assert caught.value.attempts == 2


def test_a_later_operation_starts_counting_anew(open_store: OpenStore) -> None:
    """Attempts, and delays, belong to one operation."""
    timer = RecordingTimer()
    busy = error(503, "SlowDown")
    policy = RetryPolicy(max_retries=3, initial_delay=1.0, max_delay=30.0)
    with ScriptedServer(exchanges(busy, busy, ok(b"1"), busy, busy, ok(b"2"))) as server:
        store = open_store(server, policy=policy, timer=timer, clock=FixedClock(1.0))
        assert store.get("key") == b"1"
        assert store.get("key") == b"2"
    assert timer.waits == [1.0, 2.0, 1.0, 2.0]
