"""Connections are kept and used again; a dead one is replaced at once and costs nothing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import s3kv
from s3kv.messages import Settings
from s3kv.pipeline.shared import new_executor
from tests.wire.conftest import FAST, OpenStore, RecordingTimer
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    FIN,
    HOLD,
    READ,
    READ_HEAD,
    RESET,
    Answer,
    Forever,
    Notify,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    Wait,
    answer,
    error,
    exchanges,
    listing,
    ok,
)

# One attempt: whatever costs one ends in RetriesExhausted.
ONCE = FAST._replace(max_retries=1)

ENDS = {"FIN": FIN, "FIN, then RST": CLOSE, "RST": RESET}
ends = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)

LARGE = b"large" * 500_000


def _get(store: s3kv.Store) -> None:
    assert store.get("key") == b"fine"


def _put(store: s3kv.Store) -> None:
    store.put("key", b"small")


def _put_large(store: s3kv.Store) -> None:
    store.put("key", LARGE)


def _stat(store: s3kv.Store) -> None:
    assert store.stat("key").size == 4


def _delete(store: s3kv.Store) -> None:
    store.delete("key")


def _list(store: s3kv.Store) -> None:
    assert store.list() == ["a"]


Operation = Callable[[s3kv.Store], None]
operations = pytest.mark.parametrize("operation", [_get, _put, _put_large, _stat, _delete, _list])


def _fitting(request: Recorded) -> bytes:
    if request.method == "GET" and request.query:
        return listing("a")
    if request.method == "HEAD":
        return answer(200, b"", 'ETag: "e"', length=4)
    return ok(b"fine") if request.method == "GET" else ok()


def test_the_connection_used_last_is_used_first(open_store: OpenStore) -> None:
    """So that the ones a crowd has left behind grow old and can be closed."""
    go = [threading.Event() for _ in range(3)]
    script = [[READ, Wait(event), Send(ok()), Forever(READ, Send(ok(b"again")))] for event in go]
    with ScriptedServer(*script) as server:
        store = open_store(server)
        calls = []
        for number in range(3):
            calls.append(Background(lambda number=number: store.get(f"first {number}")))  # type: ignore[misc]
            _until(lambda: len(server.requests) > number)  # noqa: B023 (called at once)
        for number in (1, 0, 2):
            go[number].set()
            calls[number].result()
        for _ in range(5):
            assert store.get("again") == b"again"
        assert [len(peer.requests) for peer in server.connections] == [1, 1, 6]


def test_children_and_timeouts_share_the_connections(open_store: OpenStore) -> None:
    """A child store opens none of its own."""
    with ScriptedServer(exchanges(*[ok(b"v")] * 5)) as server:
        store = open_store(server)
        for each in (store, store / "a", store + "b", store.with_timeout(5), (store / "a").with_timeout(5)):
            assert each.get("key") == b"v"


@ends
@operations
def test_a_connection_that_died_while_idle_is_replaced_for_free(
    operation: Operation, end: Step, open_store: OpenStore
) -> None:
    """Closed by the server before the next request: no attempt is counted, nothing waits."""
    die, dead, timer = threading.Event(), threading.Event(), RecordingTimer()
    script = [READ, Send(ok()), Wait(die), end, Notify(dead)]
    with ScriptedServer(script, [READ, Answer(_fitting)], lenient=True) as server:
        store = open_store(server, policy=ONCE, timer=timer)
        store.put("first", b"")
        die.set()
        assert dead.wait(5)
        operation(store)
        assert len(server.connections) == 2
        assert len(server.connections[1].requests) == 1
        assert timer.waits == []


@ends
@operations
def test_a_connection_that_dies_under_a_request_is_replaced_for_free(
    operation: Operation, end: Step, open_store: OpenStore
) -> None:
    """Closed by the server after the next request came: again no attempt, and no wait."""
    timer = RecordingTimer()
    script = [READ, Send(ok()), READ_HEAD, end]
    with ScriptedServer(script, [READ, Answer(_fitting)], lenient=True) as server:
        store = open_store(server, policy=ONCE, timer=timer)
        store.put("first", b"")
        operation(store)
        assert len(server.connections) == 2
        assert server.connections[0].requests[1].method == server.connections[1].requests[0].method
        assert timer.waits == []


@ends
def test_a_new_connection_that_dies_costs_an_attempt(end: Step, open_store: OpenStore) -> None:
    """It has never worked, so something is wrong with the store: back off."""
    timer = RecordingTimer()
    with ScriptedServer([READ, end], [READ, end], [READ, Send(ok(b"fine"))]) as server:
        store = open_store(server, policy=FAST, timer=timer)
        _get(store)
        assert len(timer.waits) == 2


@ends
def test_the_replacement_of_a_dead_connection_is_not_free_for_ever(
    end: Step, open_store: OpenStore
) -> None:
    """When the new connection dies too, that is an attempt, and the error counts just that one."""
    script = [READ, Send(ok()), READ, end]
    with ScriptedServer(script, [READ, end]) as server:
        store = open_store(server, policy=ONCE)
        store.put("first", b"")
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == 1


def test_a_request_that_was_answered_in_part_is_no_dead_connection(open_store: OpenStore) -> None:
    """Once an answer has begun, what follows is an attempt like any other."""
    timer = RecordingTimer()
    script = [READ, Send(ok()), READ, Send(b"HTTP/1.1 2"), CLOSE]
    with ScriptedServer(script, [READ, Send(ok(b"fine"))]) as server:
        store = open_store(server, policy=FAST, timer=timer)
        store.put("first", b"")
        _get(store)
        assert len(timer.waits) == 1


def test_many_dead_connections_cost_one_replacement(open_store: OpenStore) -> None:
    """The request goes to a new connection at once, not to one dead connection after the other."""
    go, die = threading.Event(), threading.Event()
    first = [READ, Wait(go), Send(ok()), Wait(die), CLOSE]
    with ScriptedServer(*[first] * 6, exchanges(*[ok(b"fine")] * 3)) as server:
        store = open_store(server, policy=ONCE)
        calls = [Background(lambda: store.get("first")) for _ in range(6)]
        _until(lambda: len(server.requests) == 6)
        go.set()
        for call in calls:
            call.result()
        die.set()
        for peer in server.connections:
            assert peer.gone.wait(5)
        for _ in range(3):
            _get(store)
        assert len(server.connections) == 7


def test_a_connection_is_looked_at_before_it_is_used(open_store: OpenStore) -> None:
    """One that the server has closed meanwhile gets no request any more."""
    dead = threading.Event()
    # After FIN the server goes on reading: a request that comes all the same is not in the script.
    script = [READ, Send(ok()), FIN, Notify(dead)]
    with ScriptedServer(script, exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=ONCE)
        store.put("first", b"")
        assert dead.wait(5)
        time.sleep(0.05)
        _get(store)
        assert server.connections[0].gone.wait(5)
        assert server.connections[0].leftover == b""


def test_an_idle_connection_that_has_something_to_say_is_closed(open_store: OpenStore) -> None:
    """Nobody asked, so nobody wants it: some servers say 408 before they close."""
    script = [READ, Send(ok()), Send(error(408, "RequestTimeout"))]
    with ScriptedServer(script, exchanges(ok(b"fine"))) as server:
        store = open_store(server, policy=ONCE)
        store.put("first", b"")
        time.sleep(0.05)
        _get(store)
        assert server.connections[0].gone.wait(5)
        assert server.connections[0].leftover == b""


def test_no_more_connections_are_kept_than_the_settings_say(open_store: OpenStore) -> None:
    """The others are closed as soon as they have done their work."""
    go = threading.Event()
    with ScriptedServer(*[[READ, Wait(go), Send(ok())]] * 4) as server:
        store = open_store(server, settings=Settings(max_idle=2))
        calls = [Background(lambda: store.get("key")) for _ in range(4)]
        _until(lambda: len(server.requests) == 4)
        go.set()
        for call in calls:
            call.result()
        _until(lambda: sum(peer.gone.is_set() for peer in server.connections) == 2)


def test_closing_a_store_closes_its_connections(open_store: OpenStore) -> None:
    """At once; and every further use says that the store is closed."""
    with ScriptedServer(exchanges(ok())) as server:
        store = open_store(server)
        store.put("key", b"")
        store.close()
        assert server.connections[0].gone.wait(1)
        assert server.connections[0].closed_by_client
        with pytest.raises(s3kv.StoreClosed):
            store.get("key")
        with pytest.raises(s3kv.StoreClosed):
            list(store.scan())
        store.close()


def test_leaving_a_with_block_closes_the_connections(open_store: OpenStore) -> None:
    """Also those that a child has used."""
    with ScriptedServer(exchanges(ok())) as server:
        with open_store(server) as store:
            child = store / "child"
            child.put("key", b"")
        assert server.connections[0].gone.wait(1)
        with pytest.raises(s3kv.StoreClosed):
            child.get("key")


def test_closing_a_child_leaves_the_parent_at_work(open_store: OpenStore) -> None:
    """And its connection."""
    with ScriptedServer(exchanges(ok(), ok(b"fine"))) as server:
        store = open_store(server)
        child = store / "child"
        child.put("key", b"")
        child.close()
        with pytest.raises(s3kv.StoreClosed):
            child.get("key")
        _get(store)


def test_a_forgotten_store_closes_its_connections() -> None:
    """Without a ResourceWarning, which is an error here."""
    with ScriptedServer(exchanges(ok())) as server:
        store = s3kv.Store(
            bucket="bucket",
            endpoint=server.url,
            aws_region="us-east-1",
            aws_credentials={"type": "anonymous"},
        )
        store.put("key", b"")
        del store
        gc.collect()
        assert server.connections[0].gone.wait(1)
        assert server.connections[0].closed_by_client


def test_a_forgotten_child_keeps_nothing_and_a_kept_one_keeps_all() -> None:
    """Resources live as long as any store that shares them."""
    with ScriptedServer(exchanges(ok(), ok(b"fine"))) as server:
        store = s3kv.Store(
            bucket="bucket",
            endpoint=server.url,
            aws_region="us-east-1",
            aws_credentials={"type": "anonymous"},
        )
        child = store / "child"
        store.put("key", b"")
        del store
        gc.collect()
        assert child.get("key") == b"fine"
        del child
        gc.collect()
        assert server.connections[0].gone.wait(1)


def test_a_connection_in_use_when_the_store_closes_is_closed_too(open_store: OpenStore) -> None:
    """When its exchange is over at the latest; nothing is left to the collector."""
    go = threading.Event()
    with ScriptedServer([READ, Wait(go), Send(ok(b"fine"))], lenient=True) as server:
        store = open_store(server)
        call = Background(lambda: store.get("key"))
        _until(lambda: len(server.requests) == 1)
        store.close()
        go.set()
        assert call.done(2)
        assert server.connections[0].gone.wait(1)


LATE: dict[str, Callable[[s3kv.Store], object]] = {
    "get": lambda store: store.get("key"),
    "get_many": lambda store: store.get_many(["key", "other"]),
    "scan": lambda store: list(store.scan()),
    "upload_prefix": lambda store: store.upload_prefix(Path(__file__).parent, "to/"),
}


@pytest.mark.parametrize("call", LATE.values(), ids=LATE)
def test_a_call_that_begins_while_its_store_is_closed_ends(
    call: Callable[[s3kv.Store], object], open_store: OpenStore
) -> None:
    """Even if whoever closes it has not seen the call yet: nobody would end it otherwise."""

    class Late(set[Any]):
        """Is looked at just before the first thing is added."""

        def add(self, thing: Any) -> None:
            store.close()
            super().add(thing)

    with ScriptedServer(then=[READ, HOLD], lenient=True) as server:
        store = open_store(server)
        store._core._calls = Late()
        store._core._batches = Late()
        waiting = Background(lambda: call(store))
        assert isinstance(waiting.error(3), s3kv.StoreClosed)
        assert not store._core._calls
        assert not store._core._batches


@pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])
def test_closing_a_store_ends_a_backoff_at_once(used: bool, open_store: OpenStore) -> None:
    """Whoever waits for a store that is closed has waited long enough."""
    busy = error(503, "SlowDown", "Retry-After: 5")
    script = exchanges(ok(), busy) if used else exchanges(busy)
    with ScriptedServer(script) as server:
        store = open_store(server)
        if used:
            store.put("key", b"")
        call = Background(lambda: store.get("key"))
        _until(lambda: len(server.requests) == len(script) // 2)
        time.sleep(0.05)
        with Stopwatch() as watch:
            store.close()
            caught = call.error(3)
        assert isinstance(caught, s3kv.S3KVError)
        assert watch.seconds < 0.5


@pytest.mark.parametrize("how", ["new connection", "used connection", "session"])
def test_closing_a_store_ends_its_calls(how: str, open_store: OpenStore) -> None:
    """Those that wait for an answer say that the store was closed; their connections are closed too.

    (A session's connection is the session's.)
    """
    used = how == "used connection"
    steps: list[Step] = [READ, HOLD]
    with (
        requests.Session() as session,
        ScriptedServer([READ, Send(ok()), *steps] if used else steps) as server,
    ):
        store = open_store(server, session=session if how == "session" else None)
        if used:
            store.put("key", b"")
        call = Background(lambda: store.get("key"))
        _until(lambda: len(server.requests) == 1 + used)
        time.sleep(0.02)
        with Stopwatch() as watch:
            store.close()
            caught = call.error(3)
        assert isinstance(caught, s3kv.StoreClosed)
        assert caught.key == "key"
        assert watch.seconds < 0.5
        assert how == "session" or server.connections[0].gone.wait(1)


def test_a_server_that_closes_after_every_answer_is_no_trouble(open_store: OpenStore) -> None:
    """Without announcing it, under eight threads: every result is right, and no attempt is lost."""

    def echo(request: Recorded) -> bytes:
        return ok(request.path.encode())

    def work(number: int) -> None:
        for turn in range(25):
            key = f"{number}-{turn}"
            assert store.get(key) == f"/bucket/{key}".encode()

    timer = RecordingTimer()
    with ScriptedServer(then=[READ, Answer(echo), CLOSE]) as server:
        store = open_store(server, policy=ONCE, timer=timer, executor=new_executor(8))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert timer.waits == []
        assert len(server.requests) >= 200


def test_a_server_that_resets_every_other_request_is_no_trouble(open_store: OpenStore) -> None:
    """The second request of each connection is answered with RST, and asked again on a new one."""

    def echo(request: Recorded) -> bytes:
        return ok(request.path.encode() * 100)

    def work(number: int) -> None:
        for turn in range(25):
            key = f"{number}-{turn}"
            assert store.get(key) == f"/bucket/{key}".encode() * 100

    with ScriptedServer(then=[READ, Answer(echo), READ, RESET]) as server:
        store = open_store(server, policy=ONCE, executor=new_executor(8))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert 200 <= len(server.requests) <= 400


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)
