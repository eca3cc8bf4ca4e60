"""Nobody waits for ever: the store's timeout bounds an operation, the read timeout a silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

import s3kv
from s3kv.messages import Settings
from s3kv.pipeline.shared import new_executor
from s3kv.retry import RetryPolicy
from tests.wire.authority import Authority
from tests.wire.conftest import FAST, FixedClock, OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    READ_HEAD,
    STOP,
    Flood,
    Forever,
    Peer,
    ScriptedServer,
    Send,
    Step,
    Wait,
    chunked,
    error,
    exchanges,
    listing,
    ok,
)

TIMEOUT = 0.1

used_or_new = pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])


@dataclass(frozen=True)
class Dribble(Step):
    """Send a byte every few milliseconds until the client closes."""

    piece: bytes
    gap: float = 0.02

    def run(self, peer: Peer) -> None:
        while not peer.server.stopping.is_set():
            peer.send(self.piece)
            time.sleep(self.gap)


BIG = ok(b"x" * 3_000_000)

# What a server may do instead of answering, and the operation that it does it to.
DELAYS: dict[str, list[Step]] = {
    "says nothing": [READ, HOLD],
    "does not even read": [STOP],
    "dribbles a header": [READ, Send(b"HTTP/1.1 200 OK\r\nX-A: "), Dribble(b"x")],
    "dribbles headers": [READ, Send(b"HTTP/1.1 200 OK\r\n"), Dribble(b"X-A: b\r\n")],
    "stalls in the status line": [READ, Send(b"HTTP/1.1 20"), HOLD],
    "stalls in the head": [READ, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"), HOLD],
    "stalls after an interim answer": [READ, Send(b"HTTP/1.1 100 Continue\r\n\r\n"), HOLD],
    "sends interim answers": [READ, Dribble(b"HTTP/1.1 100 Continue\r\n\r\n", gap=0.1)],
    "stalls before the body": [READ, Send(ok(b"fine")[:-4]), HOLD],
    "stalls in the body": [READ, Send(ok(b"fine")[:-1]), HOLD],
    "dribbles the body": [READ, Send(ok(b"x" * 100_000)[:-99_000]), Dribble(b"x")],
    "stalls in a large body": [READ, Send(BIG[:1_500_000]), HOLD],
    "dribbles a large body": [READ, Send(BIG[:1_500_000]), Dribble(b"x" * 100)],
    "stalls in a chunk": [READ, Send(chunked(b"fine")[:-8]), HOLD],
    "stalls between chunks": [READ, Send(chunked(b"fine")[:-5]), HOLD],
    "dribbles chunks": [READ, Send(chunked(b"fine")[:-5]), Dribble(b"1\r\nx\r\n")],
    "stalls in the trailers": [READ, Send(chunked(b"fine", trailers="X-A: b\r\n")[:-2]), HOLD],
    "is always busy": [Forever(READ, Send(error(503, "SlowDown")))],
    "always closes": [READ, CLOSE],
}


@used_or_new
@pytest.mark.parametrize("steps", DELAYS.values(), ids=DELAYS)
def test_the_timeout_ends_an_operation(steps: list[Step], used: bool, open_store: OpenStore) -> None:
    """Not before its time, and not long after, whatever the server does instead of answering."""
    first: list[list[Step]] = [[READ, Send(ok()), *steps]] if used else []
    # Patient enough to go on trying for much longer.
    policy = RetryPolicy(max_retries=1000, initial_delay=0.01, max_delay=0.02)
    with ScriptedServer(*first, then=steps, lenient=True) as server:
        store = open_store(server, policy=policy)
        if used:
            store.put("key", b"")
        _assert_deadline(lambda: store.with_timeout(TIMEOUT).get("key"))
        _assert_given_up(server, steps)


# Enough to see each way of reading; the rest is the same code.
SESSION_DELAYS = {
    name: DELAYS[name]
    for name in (
        "says nothing",
        "does not even read",
        "dribbles a header",
        "stalls in the body",
        "dribbles the body",
        "dribbles chunks",
        "is always busy",
        "always closes",
    )
}


@pytest.mark.parametrize("steps", SESSION_DELAYS.values(), ids=SESSION_DELAYS)
def test_the_timeout_ends_an_operation_of_a_session(steps: list[Step], open_store: OpenStore) -> None:
    """The caller comes back in time, even where requests waits on."""
    policy = RetryPolicy(max_retries=1000, initial_delay=0.01, max_delay=0.02)
    with requests.Session() as session, ScriptedServer(then=steps, lenient=True) as server:
        store = open_store(server, policy=policy, timeout=TIMEOUT, session=session)
        _assert_deadline(lambda: store.get("key"))


@pytest.mark.parametrize("name", ["dribbles the body", "dribbles chunks"])
def test_a_session_stops_reading_what_nobody_waits_for(name: str, open_store: OpenStore) -> None:
    """A body that never ends, and never pauses for long, must not keep its thread for ever."""
    with requests.Session() as session, ScriptedServer(then=DELAYS[name], lenient=True) as server:
        store = open_store(server, timeout=TIMEOUT, session=session)
        _assert_deadline(lambda: store.get("key"))
        for peer in server.connections:
            assert peer.gone.wait(1), "the connection is still read from"


TLS_DELAYS = [
    "says nothing",
    "does not even read",
    "dribbles a header",
    "stalls in a large body",
    "stalls in the body",
]


@used_or_new
@pytest.mark.parametrize("name", TLS_DELAYS)
def test_the_timeout_ends_an_operation_over_tls(
    name: str, used: bool, trusted: Authority, open_store: OpenStore
) -> None:
    """Encryption makes no difference."""
    steps = DELAYS[name]
    first: list[list[Step]] = [[READ, Send(ok()), *steps]] if used else []
    tls = trusted.server_context("127.0.0.1")
    with ScriptedServer(*first, then=steps, lenient=True, tls=tls) as server:
        store = open_store(server)
        if used:
            store.put("key", b"")
        _assert_deadline(lambda: store.with_timeout(TIMEOUT).get("key"))


def test_the_timeout_ends_a_handshake(trusted: Authority, open_store: OpenStore) -> None:
    """A server that takes the connection and says nothing about certificates."""
    with ScriptedServer(then=[HOLD], lenient=True) as server:
        store = open_store(server.url.replace("http:", "https:"), timeout=TIMEOUT)
        _assert_deadline(lambda: store.get("key"))


@used_or_new
@pytest.mark.parametrize("size", [20_000_000, 300_000])
def test_the_timeout_ends_an_upload_that_nobody_takes(size: int, used: bool, open_store: OpenStore) -> None:
    """Sending waits for the server too."""
    first: list[list[Step]] = [[READ, Send(ok()), STOP]] if used else []
    with ScriptedServer(*first, then=[STOP], lenient=True) as server:
        store = open_store(server)
        if used:
            store.put("key", b"")
        value = b"x" * size
        _assert_deadline(lambda: store.with_timeout(TIMEOUT).put("key", value))


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("HeadObject", lambda store: store.stat("key")),
        ("PutObject", lambda store: store.put("key", b"v")),
        ("DeleteObject", lambda store: store.delete("key")),
        ("ListObjectsV2", lambda store: store.list()),
        ("GetObject", lambda store: store.get("key", byte_range=slice(0, 4))),
        ("HeadObject", lambda store: "key" in store),
    ],
    ids=["stat", "put", "delete", "list", "range", "in"],
)
def test_the_error_says_what_was_not_done(
    name: str, operation: Callable[[s3kv.Store], Any], open_store: OpenStore
) -> None:
    """Operation, key, attempts and seconds are in the error and in its text."""
    with ScriptedServer([READ, HOLD]) as server:
        store = open_store(server, timeout=TIMEOUT)
        with pytest.raises(s3kv.DeadlineExceeded) as caught:
            operation(store)
        found = caught.value
        assert isinstance(found, TimeoutError)
        assert found.operation == name
        assert found.key == (None if name == "ListObjectsV2" else "key")
        assert found.attempts == 1
        assert found.elapsed is not None
        assert found.elapsed >= TIMEOUT * 0.95
        text = str(found)
        assert name in text
        assert "attempts=1" in text
        assert "elapsed=0.1" in text or "elapsed=0.2" in text


def test_the_error_counts_the_attempts_that_were_made(open_store: OpenStore) -> None:
    """And says what the last answer was."""
    policy = RetryPolicy(max_retries=1000, initial_delay=0.3, max_delay=0.3)
    with ScriptedServer([Forever(READ, Send(error(503, "SlowDown")))]) as server:
        # No attempt begins so late that it may not be answered in time.
        store = open_store(server, policy=policy, timeout=0.5, clock=FixedClock(1.0))
        with pytest.raises(s3kv.DeadlineExceeded) as caught:
            store.get("key")
        assert caught.value.attempts == len(server.requests) == 2
        assert caught.value.status == 503
        assert caught.value.code == "SlowDown"
        assert isinstance(caught.value.__cause__, s3kv.ServiceError)


def test_a_backoff_that_would_outlast_the_timeout_is_not_begun(open_store: OpenStore) -> None:
    """There is nothing to be had by waiting; the error comes at once, or in time."""
    with (
        ScriptedServer(exchanges(error(503, "SlowDown", "Retry-After: 30"))) as server,
        Stopwatch() as watch,
    ):
        store = open_store(server, timeout=TIMEOUT)
        with pytest.raises(s3kv.DeadlineExceeded):
            store.get("key")
        assert len(server.requests) == 1
    assert watch.seconds < 1


@used_or_new
def test_after_a_timeout_the_store_works(used: bool, open_store: OpenStore) -> None:
    """On a new connection: the old one may still carry the answer that came too late."""
    late = threading.Event()
    steps: list[Step] = [READ, Wait(late), Send(ok(b"too late"))]
    with ScriptedServer([READ, Send(ok()), *steps] if used else steps, exchanges(ok(b"fine"))) as server:
        store = open_store(server)
        if used:
            store.put("key", b"")
        with pytest.raises(s3kv.DeadlineExceeded):
            store.with_timeout(0.1).get("key")
        late.set()
        assert server.connections[0].gone.wait(2)
        assert store.get("key") == b"fine"


@pytest.mark.parametrize("method", ["__delitem__", "setdefault", "pop"])
def test_the_timeout_bounds_all_requests_for_one_key(method: str, open_store: OpenStore) -> None:
    """Each by itself would be in time."""

    @dataclass(frozen=True)
    class Slowly(Step):
        def run(self, peer: Peer) -> None:
            time.sleep(0.2)
            if peer.requests[-1].method == "GET" and method == "setdefault":
                peer.send(error(404, "NoSuchKey"))
            else:
                peer.send(ok())

    with ScriptedServer(then=[Forever(READ, Slowly())], lenient=True) as server:
        store = open_store(server, timeout=0.3)
        arguments = (b"",) if method == "setdefault" else ()
        call = Background(lambda: getattr(store, method)("key", *arguments))
        assert isinstance(call.error(2), s3kv.DeadlineExceeded)
        assert 0.2 < call.seconds < 0.39


def test_the_timeout_bounds_a_page_and_not_a_listing(open_store: OpenStore) -> None:
    """Three pages of 0.15 s each are in time; one that takes longer is not."""

    @dataclass(frozen=True)
    class Sleep(Step):
        seconds: float

        def run(self, peer: Peer) -> None:
            time.sleep(self.seconds)

    pages = [listing("a", token="1"), listing("b", token="2"), listing("c", token="3")]
    steps: list[Step] = [step for page in pages for step in (READ, Sleep(0.15), Send(page))]
    with ScriptedServer([*steps, READ, HOLD]) as server:
        entries = open_store(server, timeout=0.3).scan()
        assert [next(entries).key for _ in pages] == ["a", "b", "c"]
        with pytest.raises(s3kv.DeadlineExceeded):
            next(entries)


def test_the_timeout_includes_the_wait_for_a_turn(open_store: OpenStore) -> None:
    """When every request that may be under way is, others wait, but not past their time."""
    go = threading.Event()
    with ScriptedServer([READ, Wait(go), Send(ok(b"one"))], lenient=True) as server:
        store = open_store(server, executor=new_executor(1))
        first = Background(lambda: store.get("one"))
        _until(lambda: len(server.requests) == 1)
        found = _assert_deadline(lambda: store.with_timeout(TIMEOUT).get("two"))
        assert not found.attempts
        go.set()
        assert first.result() == b"one"


def test_an_operation_without_a_timeout_waits(open_store: OpenStore) -> None:
    """A slow answer is an answer."""
    go = threading.Event()
    with ScriptedServer([READ, Wait(go), Send(ok(b"slow"))]) as server:
        store = open_store(server)
        call = Background(lambda: store.get("key"))
        assert not call.done(0.3)
        go.set()
        assert call.result() == b"slow"


def test_a_timeout_given_to_one_store_is_not_anothers(open_store: OpenStore) -> None:
    """A connection that has been used under a timeout has none of it left."""
    go = threading.Event()
    with ScriptedServer([READ, Send(ok()), READ, Wait(go), Send(ok(b"slow"))]) as server:
        store = open_store(server)
        store.with_timeout(0.1).put("key", b"")
        call = Background(lambda: store.get("key"))
        assert not call.done(0.3)
        go.set()
        assert call.result() == b"slow"


SILENCES = {
    name: DELAYS[name]
    for name in (
        "says nothing",
        "stalls in the status line",
        "stalls in the head",
        "stalls in the body",
        "stalls in a large body",
        "stalls in a chunk",
    )
}


@pytest.fixture(params=["plain", "TLS"])
def scheme(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return the server's TLS context, or None for a plain server."""
    if request.param == "plain":
        yield None
    else:
        yield request.getfixturevalue("trusted").server_context("127.0.0.1")


@used_or_new
@pytest.mark.parametrize("steps", SILENCES.values(), ids=SILENCES)
def test_a_silent_server_is_a_transient_failure(
    steps: list[Step], used: bool, open_store: OpenStore
) -> None:
    """After the read timeout the request is sent again, on a new connection."""
    first: list[Step] = [READ, Send(ok()), *steps] if used else steps
    with ScriptedServer(first, exchanges(ok(b"fine"))) as server, Stopwatch() as watch:
        store = open_store(server, settings=Settings(read_timeout=0.1), policy=FAST)
        if used:
            store.put("key", b"")
        assert store.get("key") == b"fine"
    # With many requests in one thread, silences are looked for once a second.
    assert 0.1 <= watch.seconds < 1.7


@pytest.mark.parametrize("steps", SILENCES.values(), ids=SILENCES)
def test_a_silent_tls_server_is_a_transient_failure(
    steps: list[Step], trusted: Authority, open_store: OpenStore
) -> None:
    """Encryption makes no difference."""
    tls = trusted.server_context("127.0.0.1")
    script = [[READ, Send(ok()), *steps], exchanges(ok(b"fine"))]
    with ScriptedServer(*script, tls=tls) as server, Stopwatch() as watch:
        store = open_store(server, settings=Settings(read_timeout=0.1), policy=FAST)
        store.put("key", b"")
        assert store.get("key") == b"fine"
    assert 0.1 <= watch.seconds < 1.7


@used_or_new
def test_a_server_that_is_always_silent_exhausts_the_retries(
    used: bool, scheme: Any, open_store: OpenStore
) -> None:
    """The error is no DeadlineExceeded: the caller has set none."""
    first: list[list[Step]] = [[READ, Send(ok()), READ, HOLD]] if used else []
    policy = FAST._replace(max_retries=2)
    with ScriptedServer(*first, then=[READ, HOLD], tls=scheme) as server, Stopwatch() as watch:
        store = open_store(server, settings=Settings(read_timeout=0.1), policy=policy)
        if used:
            store.put("key", b"")
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == 2
        cause = caught.value.__cause__
        assert isinstance(cause, s3kv.TransportError)
        assert cause.reason == "timeout"
    assert watch.seconds < 2


@pytest.mark.parametrize("size", [20_000_000, 300_000])
def test_a_server_that_takes_nothing_is_a_transient_failure(
    size: int, scheme: Any, open_store: OpenStore
) -> None:
    """The read timeout bounds sending too."""
    script: list[list[Step]] = [[READ_HEAD, STOP], [READ, Send(ok())]]
    with ScriptedServer(*script, tls=scheme) as server, Stopwatch() as watch:
        store = open_store(server, settings=Settings(read_timeout=0.1), policy=FAST)
        store.put("key", b"x" * size)
    assert watch.seconds < 3


@used_or_new
def test_a_slow_answer_that_never_falls_silent_is_waited_for(
    used: bool, scheme: Any, open_store: OpenStore
) -> None:
    """The read timeout is for each silence, not for the answer."""

    @dataclass(frozen=True)
    class Slowly(Step):
        data: bytes
        pieces: int

        def run(self, peer: Peer) -> None:
            size = len(self.data) // self.pieces + 1
            for start in range(0, len(self.data), size):
                time.sleep(0.06)
                peer.send(self.data[start : start + size])

    first: list[Step] = [READ, Send(ok())] if used else []
    script = [*first, READ, Slowly(ok(b"x" * 1000), 4), READ, Slowly(ok(b"y" * 2_000_000), 4)]
    with ScriptedServer(script, tls=scheme) as server:
        store = open_store(server, settings=Settings(read_timeout=0.2), policy=FAST._replace(max_retries=1))
        if used:
            store.put("key", b"")
        assert store.get("key") == b"x" * 1000
        assert store.get("key") == b"y" * 2_000_000


def test_a_silent_handshake_is_a_transient_failure(trusted: Authority, open_store: OpenStore) -> None:
    """It ends with the connect timeout, and is tried again."""
    with ScriptedServer(then=[HOLD]) as server, Stopwatch() as watch:
        store = open_store(
            server.url.replace("http:", "https:"),
            settings=Settings(connect_timeout=0.1),
            policy=FAST._replace(max_retries=3),
        )
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == 3
        assert len(server.connections) == 3
    assert watch.seconds < 2


def test_a_busy_connection_does_not_delay_the_timeouts_of_others(open_store: OpenStore) -> None:
    """One answer that floods in must not keep the clock of the rest from being looked at."""
    go = [threading.Event(), threading.Event()]
    flood: list[Step] = [READ, Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
    flood.append(Flood(b"10000\r\n" + b"x" * 65536 + b"\r\n", limit=2_000_000_000))
    script = [[READ, Wait(go[0]), Send(ok()), READ, HOLD], [READ, Wait(go[1]), Send(ok()), *flood]]
    with ScriptedServer(*script, lenient=True) as server:
        store = open_store(server, policy=FAST)
        calls = []
        for number in range(2):
            calls.append(Background(lambda: store.put("key", b"")))
            _until(lambda: len(server.requests) > number)  # noqa: B023 (called at once)
        for number in range(2):
            go[number].set()
            calls[number].result()
        # The connection that came back last is used first: this one gets the flood, the other silence.
        first = Background(lambda: store.with_timeout(0.6).get("flood"))
        time.sleep(0.1)
        _assert_deadline(lambda: store.with_timeout(TIMEOUT).get("silent"))
        assert isinstance(first.error(), s3kv.DeadlineExceeded)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_timeout_is_a_positive_number_of_seconds(timeout: Any, open_store: OpenStore) -> None:
    """Anything else is refused when the store is made."""
    with ScriptedServer() as server:
        with pytest.raises((ValueError, TypeError)):
            open_store(server, timeout=timeout)
        store = open_store(server)
        with pytest.raises((ValueError, TypeError)):
            store.with_timeout(timeout)


def _assert_given_up(server: ScriptedServer, steps: list[Step]) -> None:
    """Assert that nobody waits for answers any more that nobody wants: their connections are closed."""
    # A server that does not even read does not notice; one that answers is none to be given up.
    if steps[0] != STOP and steps is not DELAYS["is always busy"]:
        for peer in server.connections:
            assert peer.gone.wait(1), "a connection is still read from"


def _assert_deadline(call: Callable[[], Any]) -> s3kv.DeadlineExceeded:
    background = Background(call)
    found = background.error(3)
    assert isinstance(found, s3kv.DeadlineExceeded), repr(found)
    # A pause that would outlast the timeout is not begun.
    assert TIMEOUT * 0.8 <= background.seconds <= 1.0, f"after {background.seconds:.3f} s: {found!r}"
    assert found.elapsed is not None
    assert TIMEOUT * 0.8 <= found.elapsed <= 1.0
    return found


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)


def test_an_answer_is_read_when_the_deadline_passes_while_sending(
    open_store: OpenStore,
) -> None:
    """A store that refuses a large body before it has read it says why."""
    refusal = error(403, "AccessDenied")
    with ScriptedServer([READ_HEAD, Send(refusal), STOP]) as server:
        store = open_store(server, timeout=0.5)
        with pytest.raises(s3kv.PermissionDenied):
            store.put("key", bytes(30_000_000))
