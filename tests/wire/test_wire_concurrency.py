"""Many threads, one store: the limit holds, nobody waits for a stranger, every result is one's own."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

import s3kv
from s3kv.executor import RequestExecutor
from s3kv.pipeline.multiplex import Spreader
from s3kv.pipeline.shared import new_executor
from tests.wire.authority import Authority
from tests.wire.conftest import FAST, OpenStore
from tests.wire.helpers import Background
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    RESET,
    Answer,
    Forever,
    Gauge,
    Peer,
    Recorded,
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


def _value(path: str, size: int = 1) -> bytes:
    return path.encode() * size


@dataclass(frozen=True)
class Counted(Step):
    """Hold a request for some milliseconds, counted, then answer it with its own path.

    The first ones are held until so many are there together as are to be, at most.
    """

    gauge: Gauge
    until: int
    size: int = 1
    seconds: float = 0.002

    def run(self, peer: Peer) -> None:
        with self.gauge:
            patience = time.monotonic() + 3
            while self.gauge.peak < self.until and time.monotonic() < patience:
                time.sleep(0.001)
            time.sleep(self.seconds)
        peer.send(ok(_value(peer.requests[-1].path, self.size)))


@pytest.fixture(params=["built-in", "session"])
def transport(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what to give as ``session=``: None, or a session with room for all connections."""
    if request.param == "built-in":
        yield None
        return
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
        yield session


@pytest.mark.parametrize("size", [1, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("limit", [1, 8])
def test_no_more_requests_are_under_way_than_the_limit(
    limit: int, size: int, transport: Any, open_store: OpenStore
) -> None:
    """64 threads, and the limit is made use of, too."""
    gauge = Gauge()
    turns = 1 if limit == 1 else 4

    def work(number: int) -> None:
        for turn in range(turns):
            path = f"/bucket/{number}-{turn}"
            assert store.get(f"{number}-{turn}") == _value(path, size)

    with ScriptedServer(then=[Forever(READ, Counted(gauge, limit, size))]) as server:
        store = open_store(server, executor=new_executor(limit), session=transport)
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(work, range(64)))
        assert gauge.peak == limit
        assert len(server.connections) <= limit
        assert len(server.requests) == 64 * turns


def test_the_limit_counts_the_requests_of_all_stores_that_share_it(open_store: OpenStore) -> None:
    """It is the executor's, whatever store a request belongs to."""
    gauge = Gauge()
    executor = new_executor(4)
    with ScriptedServer(then=[Forever(READ, Counted(gauge, 4))]) as server:
        stores = [open_store(server, executor=executor) for _ in range(4)]
        with ThreadPoolExecutor(32) as pool:
            results = list(pool.map(lambda number: stores[number % 4].get(str(number)), range(200)))
        assert results == [_value(f"/bucket/{number}") for number in range(200)]
        assert gauge.peak == 4


@pytest.mark.parametrize("limit", [1, 8])
def test_the_limit_holds_where_the_system_has_no_epoll(limit: int, open_store: OpenStore) -> None:
    """Each request has a thread of its own there, and nothing else changes."""
    gauge = Gauge()

    def work(number: int) -> None:
        for turn in range(3):
            assert store.get(f"{number}-{turn}") == _value(f"/bucket/{number}-{turn}")

    with ScriptedServer(then=[Forever(READ, Counted(gauge, limit, seconds=0.001))]) as server:
        store = open_store(server, executor=RequestExecutor(limit, Spreader))
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(work, range(24)))
        assert gauge.peak == limit
        assert len(server.connections) <= limit
        assert len(server.requests) == 72


LIMITED = """
import sys, threading
import s3kv

store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"})
threads = [threading.Thread(target=store.get, args=(str(n),)) for n in range(24)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize(("variable", "limit"), [("3", 3), (None, 32)])
def test_the_environment_says_how_many_requests_are_under_way(variable: str | None, limit: int) -> None:
    """TENSORSTORE_S3_REQUEST_CONCURRENCY bounds the process; 32 without it."""
    gauge = Gauge()
    environment = {} if variable is None else {"TENSORSTORE_S3_REQUEST_CONCURRENCY": variable}
    with ScriptedServer(then=[Forever(READ, Counted(gauge, min(limit, 24), seconds=0.01))]) as server:
        subprocess.run([sys.executable, "-c", LIMITED, server.url], env=environment, check=True, timeout=12)
        assert len(server.requests) == 24
    assert gauge.peak == min(limit, 24)


@dataclass
class Obstacle:
    """A request that does not come to its end, while others are to."""

    steps: list[Step]
    call: Callable[[s3kv.Store], Any]
    used: bool = True
    go: threading.Event = field(default_factory=threading.Event)


def _obstacles() -> dict[str, Obstacle]:
    go = threading.Event()
    half = ok(b"x" * 3_000_000)
    return {
        "no answer": Obstacle([READ, Wait(go)], lambda store: store.get("slow"), go=go),
        "no answer on a new connection": Obstacle(
            [READ, Wait(go)], lambda store: store.get("slow"), used=False, go=go
        ),
        "half a head": Obstacle(
            [READ, Send(b"HTTP/1.1 200 "), Wait(go)], lambda store: store.get("slow"), go=go
        ),
        "half a body": Obstacle(
            [READ, Send(ok(b"12345")[:-2]), Wait(go)], lambda store: store.get("slow"), go=go
        ),
        "half a large body": Obstacle(
            [READ, Send(half[:1_500_000]), Wait(go)], lambda store: store.get("slow"), go=go
        ),
        "half a chunk": Obstacle(
            [READ, Send(chunked(b"12345")[:-8]), Wait(go)], lambda store: store.get("slow"), go=go
        ),
        "an upload not taken": Obstacle(
            [Wait(go)], lambda store: store.put("slow", b"x" * 20_000_000), go=go
        ),
        "a backoff": Obstacle(
            [READ, Send(error(503, "SlowDown", "Retry-After: 2", "Connection: close"))],
            lambda store: store.get("slow"),
            go=go,
        ),
    }


@pytest.mark.parametrize("name", _obstacles())
def test_whoever_waits_does_not_hold_up_others(name: str, open_store: OpenStore) -> None:
    """Fifty small requests pass by one that stands still."""
    obstacle = _obstacles()[name]
    first: list[Step] = [READ, Send(ok())] if obstacle.used else []
    with ScriptedServer(
        [*first, *obstacle.steps, CLOSE], then=[Forever(READ, Send(ok(b"fast")))], lenient=True
    ) as server:
        store = open_store(server, executor=new_executor(8))
        if obstacle.used:
            store.put("first", b"")
        slow = Background(lambda: obstacle.call(store))
        if obstacle.steps[0] == READ:
            _until(lambda: len(server.requests) > obstacle.used)
        time.sleep(0.05)
        for _ in range(50):
            call = Background(lambda: store.get("fast"))
            assert call.result(1) == b"fast"
        assert not slow.done(0)
        obstacle.go.set()
        store.close()
        assert slow.done(3)


def test_a_handshake_that_stands_still_does_not_hold_up_others(
    trusted: Authority, open_store: OpenStore
) -> None:
    """Opening a connection is somebody else's business."""
    executor = new_executor(4)
    with ScriptedServer([HOLD]) as silent, ScriptedServer(exchanges(*[ok(b"fast")] * 20)) as server:
        stuck = open_store(silent.url.replace("http:", "https:"), executor=executor, timeout=0.5)
        slow = Background(lambda: stuck.get("slow"))
        _until(lambda: len(silent.connections) == 1)
        store = open_store(server, executor=executor)
        for _ in range(20):
            assert Background(lambda: store.get("fast")).result(1) == b"fast"
        assert isinstance(slow.error(), s3kv.DeadlineExceeded)


def test_a_backoff_is_no_request_under_way(open_store: OpenStore) -> None:
    """The limit counts requests; one that waits for its next attempt leaves its place to others."""
    busy: list[Step] = [READ, Send(error(503, "SlowDown", "Retry-After: 2", "Connection: close"))]
    with ScriptedServer(busy, then=[Forever(READ, Send(ok(b"fast")))]) as server:
        store = open_store(server, executor=new_executor(1))
        slow = Background(lambda: store.get("slow"))
        _until(lambda: len(server.requests) == 1)
        time.sleep(0.05)
        call = Background(lambda: store.get("fast"))
        try:
            assert call.result(1) == b"fast"
            assert not slow.done(0)
        finally:
            store.close()
            assert slow.done(3)


def test_every_result_is_ones_own(open_store: OpenStore) -> None:
    """Thirty threads, answers of every kind and size, servers that misbehave: nothing gets mixed up."""

    def misbehave(request: Recorded) -> bytes:
        kind = int(request.path.rpartition("-")[2])
        body = _value(request.path, (1, 50, 5_000, 150_000)[kind % 4])
        if kind % 5 == 0:
            return chunked(body[:7], body[7:])
        return ok(body)

    def work(number: int) -> None:
        dice = random.Random(number)
        for _ in range(12):
            kind = dice.randrange(1000)
            key = f"{number}-{kind}"
            path = f"/bucket/{key}"
            if kind % 7 == 0:
                store.put(key, _value(path, 3000))
            assert store.get(key) == _value(path, (1, 50, 5_000, 150_000)[kind % 4])

    @dataclass(frozen=True)
    class Fickle(Step):
        """Answer right, mostly; now and then close, reset, be busy or cut the answer short."""

        def run(self, peer: Peer) -> None:
            number = len(peer.requests)
            request = peer.requests[-1]
            data = misbehave(request) if request.method == "GET" else ok()
            if number % 11 == 3:
                peer.send(error(503, "SlowDown"))
            elif number % 11 == 5:
                peer.send(data[: len(data) // 2])
                RESET.run(peer)
            elif number % 11 == 8:
                peer.send(data)
                CLOSE.run(peer)
            else:
                peer.send(data)

    with ScriptedServer(then=[Forever(READ, Fickle())], lenient=True) as server:
        store = open_store(
            server,
            executor=new_executor(12),
            policy=FAST._replace(max_retries=20),
        )
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(work, range(30)))
        puts = [request for request in server.requests if request.method == "PUT"]
        assert puts
        for request in puts:
            assert request.body == _value(request.path, 3000)


def test_an_error_is_its_own_callers(open_store: OpenStore) -> None:
    """Of a crowd, those fail whose keys are missing, with errors that name their own keys."""

    def some(request: Recorded) -> bytes:
        number = int(request.path.rpartition("/")[2])
        return error(404, "NoSuchKey") if number % 3 == 0 else ok(_value(request.path))

    with ScriptedServer(then=[Forever(READ, Answer(some))]) as server:
        store = open_store(server, executor=new_executor(8))
        calls = [Background(lambda n=n: store.get(str(n))) for n in range(60)]  # type: ignore[misc]
        for number, call in enumerate(calls):
            if number % 3 == 0:
                caught = call.error()
                assert isinstance(caught, s3kv.KeyNotFound)
                assert caught.key == str(number)
            else:
                assert call.result() == _value(f"/bucket/{number}")


def test_no_call_is_forgotten_when_workers_come_and_go(open_store: OpenStore) -> None:
    """Calls that come just when idle workers retire are served like any other."""
    with ScriptedServer(then=[Forever(READ, Send(ok(b"v")))]) as server:
        store = open_store(server, executor=new_executor(4))

        def work(number: int) -> None:
            dice = random.Random(number)
            for _ in range(25):
                assert store.get("key") == b"v"
                time.sleep(dice.uniform(0.045, 0.056))

        calls = [Background(lambda n=n: work(n)) for n in range(3)]  # type: ignore[misc]
        for call in calls:
            call.result(8)


def test_a_crowd_of_small_requests_is_served(open_store: OpenStore) -> None:
    """Two thousand of them from 64 threads; whoever is lost hangs the test."""
    with ScriptedServer(then=[Forever(READ, Send(ok(b"v")))]) as server:
        store = open_store(server, executor=new_executor(16))

        def work(_: int) -> int:
            return sum(len(store.get("key")) for _ in range(32))

        with ThreadPoolExecutor(64) as pool:
            assert sum(pool.map(work, range(64))) == 2048
        assert len(server.requests) == 2048


def test_a_listing_may_go_on_while_objects_are_read(open_store: OpenStore) -> None:
    """Reading what a scan yields, from the same thread, waits for nothing that it holds."""

    def serve(request: Recorded) -> bytes:
        if not request.query:
            return ok(_value(request.path))
        number = int(request.query.partition("token=")[2].partition("&")[0] or 0)
        return listing(f"{number}", token=str(number + 1) if number < 20 else None)

    with ScriptedServer(then=[Forever(READ, Answer(serve))]) as server:
        store = open_store(server, executor=new_executor(1))
        found = {entry.key: store.get(entry.key) for entry in store.scan()}
        assert found == {str(n): _value(f"/bucket/{n}") for n in range(21)}


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)
