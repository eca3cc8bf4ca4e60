"""Limits that stores share or have for themselves: requests at once, attempts, large copies."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import s3kv
from s3kv.limits.copying import LARGE
from tests.wire.conftest import opening
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Gauge,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    error,
    ok,
)
from tests.wire.test_wire_concurrency import Counted
from tests.wire.test_wire_interrupts import running

OpenStore = Callable[..., s3kv.Store]


def _serve(request: Recorded) -> bytes:
    return ok(b"" if request.method == "PUT" else b"value")


FINE: list[Step] = [Forever(READ, Answer(_serve))]


@pytest.fixture
def opened() -> Iterator[OpenStore]:
    """Return a function that opens a store on a server as users do; all are closed at the end."""
    with opening(aws_region="us-east-1", aws_credentials={"type": "anonymous"}) as open_:
        yield open_


def at_once(limit: Any) -> dict[str, Any]:
    """The resource that limits requests in flight."""
    return {"s3_request_concurrency": {"limit": limit}}


def crowd(threads: int, turns: int, *stores: s3kv.Store) -> None:
    """Have many threads read, and look at what they get."""

    def work(number: int) -> None:
        for turn in range(turns):
            key = f"{number}-{turn}"
            assert stores[number % len(stores)].get(key) == f"/bucket/{key}".encode()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


# ------------------------------------------------------------------------------ requests at once


@pytest.mark.parametrize("limit", [1, 3, 40])
@pytest.mark.parametrize("way", ["inline", "context"])
def test_no_more_requests_are_under_way_than_a_store_is_allowed(
    way: str, limit: int, transport: Any, opened: OpenStore
) -> None:
    """And as many as that under load, even if that is more than the 32 of everybody else."""
    gauge = Gauge()
    options = at_once(limit) if way == "inline" else {"context": s3kv.Context(at_once(limit))}
    with ScriptedServer(then=[Forever(READ, Counted(gauge, limit))]) as server:
        store = opened(server, session=transport, **options)
        crowd(50, 1 if limit == 1 else 3, store, store / "", store.with_timeout(10))
        assert gauge.peak == limit


def _pairs(how: str, open_: Callable[..., s3kv.Store]) -> list[s3kv.Store]:
    context = s3kv.Context({**at_once(4), "s3_request_concurrency#mine": {"limit": 4}})
    inner = s3kv.Context({"s3_request_concurrency#its": "s3_request_concurrency#mine"}, parent=context)
    named = {"s3_request_concurrency": "s3_request_concurrency#mine"}
    if how == "one context":
        return [open_(context=context), open_(context=context, path="")]
    if how == "one name":
        return [open_(context=context, **named), open_(context=context, **named)]
    if how == "a name and its reference":
        its = {"s3_request_concurrency": "s3_request_concurrency#its"}
        return [open_(context=context, **named), open_(context=inner, **its)]
    if how == "two names":
        return [open_(context=context), open_(context=context, **named)]
    if how == "two contexts":
        return [open_(context=context), open_(context=s3kv.Context(at_once(4)))]
    assert how == "inline"
    return [open_(**at_once(4)), open_(**at_once(4))]


@pytest.mark.parametrize(
    ("how", "together"),
    [
        ("one context", 4),
        ("one name", 4),
        ("a name and its reference", 4),
        ("two names", 8),
        ("two contexts", 8),
        ("inline", 8),
    ],
)
def test_a_limit_belongs_to_those_who_refer_to_it(how: str, together: int, opened: OpenStore) -> None:
    """Two stores of one resource share its four requests; of two, each has four."""
    gauge = Gauge()
    with ScriptedServer(then=[Forever(READ, Counted(gauge, together))]) as server:
        stores = _pairs(how, lambda **options: opened(server, **options))
        crowd(24, 2, *stores)
        assert gauge.peak == together


SHARED = """
import os, sys, threading
import s3kv

def opened(**options):
    return s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                      aws_credentials={"type": "anonymous"}, **options)

def crowd(*stores):
    threads = [threading.Thread(target=stores[n % len(stores)].get, args=(str(n),)) for n in range(24)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def _run(code: str, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", SHARED + code, url]
    return subprocess.run(command, env=environment, timeout=10, capture_output=True, text=True, check=False)


def test_shared_is_one_limit_for_the_whole_process() -> None:
    """Whatever the context, and whether it is said or left out."""
    code = """
shared = {"s3_request_concurrency": {"limit": "shared"}}
crowd(opened(), opened(**shared), opened(context=s3kv.Context(shared)), opened(context=s3kv.Context()),
      opened(context=s3kv.Context({"s3_request_concurrency": None})),
      opened(context=s3kv.Context({"s3_request_concurrency#x": {}}),
             s3_request_concurrency="s3_request_concurrency#x"))
"""
    gauge = Gauge()
    with ScriptedServer(then=[Forever(READ, Counted(gauge, 3, seconds=0.01))]) as server:
        done = _run(code, server.url, TENSORSTORE_S3_REQUEST_CONCURRENCY="3")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.requests) == 24
    assert gauge.peak == 3


def test_the_environment_is_read_at_the_first_request() -> None:
    """Not at import and not when a store or a context is opened; later changes do nothing."""
    code = """
stores = [opened(), opened(context=s3kv.Context({"s3_request_concurrency": {"limit": "shared"}}))]
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "2"
stores[0].get("first")
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "20"
crowd(*stores, opened(context=s3kv.Context()))
"""
    gauge = Gauge()
    with ScriptedServer(
        [READ, Send(ok()), Forever(READ, Counted(gauge, 2, seconds=0.01))],
        then=[Forever(READ, Counted(gauge, 2, seconds=0.01))],
    ) as server:
        done = _run(code, server.url, TENSORSTORE_S3_REQUEST_CONCURRENCY="of no use")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.requests) == 25
    assert gauge.peak == 2


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1e2", "0x10"])
def test_a_bad_value_in_the_environment_is_an_error_of_the_first_request(value: str) -> None:
    """It names the variable; stores with a limit of their own do not care, and it can be put right."""
    code = """
opened(s3_request_concurrency={"limit": 2}).get("limited")
store = opened()
for _ in range(2):
    try:
        store.get("key")
    except s3kv.SpecError as error:
        print(error.member, error)
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "1"
store.get("right")
"""
    with ScriptedServer(then=FINE) as server:
        done = _run(code, server.url, TENSORSTORE_S3_REQUEST_CONCURRENCY=value)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert len(lines) == 2
        for line in lines:
            assert line.startswith("TENSORSTORE_S3_REQUEST_CONCURRENCY TENSORSTORE_S3_REQUEST_CONCURRENCY")
            assert repr(value) in line
        assert [request.path for request in server.requests] == ["/bucket/limited", "/bucket/right"]


# -------------------------------------------------------------------------------- nothing is left


def _held() -> tuple[int, int]:
    """How many descriptors and threads this process has for s3kv's sake, at least."""
    descriptors = len(os.listdir("/proc/self/fd"))
    return descriptors, sum(thread.name.startswith("s3kv") for thread in threading.enumerate())


def _let_go(store_of: Callable[[], s3kv.Store], *, closing: bool) -> None:
    store = store_of()
    calls = [Background(partial(store.get, str(number))) for number in range(6)]
    for call in calls:
        call.result()
    if closing:
        store.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not tell its descriptors")
@pytest.mark.parametrize("closing", [True, False], ids=["closed", "forgotten"])
@pytest.mark.parametrize("way", ["inline", "context"])
def test_an_executor_goes_away_with_its_stores(way: str, closing: bool) -> None:
    """Its threads and descriptors too; the process may open stores with limits of their own for ever."""
    with ScriptedServer(then=[Forever(READ, Counted(Gauge(), 3))]) as server:

        def store_of() -> s3kv.Store:
            return s3kv.Store(
                bucket="bucket",
                endpoint=server.url,
                aws_region="us-east-1",
                aws_credentials={"type": "anonymous"},
                **(at_once(3) if way == "inline" else {"context": s3kv.Context(at_once(3))}),
            )

        # What tests before this one had is not to pass for something of this one's.
        time.sleep(0.1)
        gc.collect()
        time.sleep(0.05)
        before = _held()
        for _ in range(4):
            _let_go(store_of, closing=closing)

        def gone() -> bool:
            # Idle workers linger for a moment, and so do the server's own ends of the connections.
            gc.collect()
            return all(now <= then for now, then in zip(_held(), before, strict=True))

        assert _settled(gone, 2), (before, _held())


def _settled(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# ---------------------------------------------------------------------------------- attempts


@pytest.mark.parametrize("attempts", [1, 2, 7])
@pytest.mark.parametrize("way", ["inline", "context", "name"])
def test_max_retries_is_how_often_a_request_is_sent(way: str, attempts: int, opened: OpenStore) -> None:
    """In all, the first time included; the error counts them."""
    retries = {"s3_request_retries": {"max_retries": attempts, "initial_delay": "1ms", "max_delay": "1ms"}}
    options: dict[str, dict[str, Any]] = {
        "inline": retries,
        "context": {"context": s3kv.Context(retries)},
        "name": {
            "context": {"s3_request_retries#x": retries["s3_request_retries"]},
            "s3_request_retries": "s3_request_retries#x",
        },
    }
    with ScriptedServer(then=[Forever(READ, Send(error(503, "SlowDown")))]) as server:
        store = opened(server, **options[way])
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.attempts == len(server.requests) == attempts
        with pytest.raises(s3kv.RetriesExhausted):
            (store / "child").put("key", b"v")
        assert len(server.requests) == 2 * attempts


def test_the_initial_delay_is_the_longest_before_the_second_attempt(opened: OpenStore) -> None:
    """And doubles from there: four attempts in 10, 20 and 40 ms at most, whatever the longest is."""
    retries = {"max_retries": 4, "initial_delay": "10ms", "max_delay": "1h"}
    with ScriptedServer(then=[Forever(READ, Send(error(503, "SlowDown")))]) as server:
        store = opened(server, s3_request_retries=retries)
        with Stopwatch() as watch, pytest.raises(s3kv.RetriesExhausted):
            store.get("key")
        # With the default of a second it would be 3.5 s on average.
        assert watch.seconds < 0.07 + 0.1


def test_the_longest_delay_is_the_longest_whatever_the_store_asks_for(opened: OpenStore) -> None:
    """An hour, here; it is honoured as far as that."""
    with ScriptedServer(
        [READ, Send(error(503, "SlowDown", "Retry-After: 3600")), READ, Send(ok(b"v"))]
    ) as server:
        store = opened(server, s3_request_retries={"initial_delay": "0", "max_delay": "150ms"})
        with Stopwatch() as watch:
            assert store.get("key") == b"v"
        assert 0.15 <= watch.seconds < 0.35


# ------------------------------------------------------------------------------------ copies


def test_large_bodies_are_hashed_in_turn(opened: OpenStore) -> None:
    """While one takes the only turn, others wait, of every store of the context; small ones pass."""
    with ScriptedServer(then=FINE) as server:
        context = s3kv.Context({"data_copy_concurrency": {"limit": 1}})
        first, second = opened(server, context=context), opened(server, context=context)
        with first._core.copies.slot(LARGE):
            waits = [Background(partial(s.put, "large", bytes(LARGE))) for s in (first, second / "x")]
            time.sleep(0.05)
            assert Background(lambda: second.put("small", bytes(LARGE - 1))).result(1)
            assert Background(lambda: first.get("key")).result(1) == b"value"
            # One with a limit of its own does not wait for theirs.
            other = opened(server, data_copy_concurrency={"limit": 1})
            assert Background(lambda: other.put("large", bytes(LARGE))).result(1)
            assert not any(wait.done(0) for wait in waits)
        for wait in waits:
            wait.result()
        assert sorted(len(request.body) for request in server.requests) == [
            0,
            LARGE - 1,
            LARGE,
            LARGE,
            LARGE,
        ]


def test_the_timeout_includes_the_wait_for_a_turn_to_hash(opened: OpenStore) -> None:
    """It is a limit on the whole operation; nothing is sent afterwards."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, data_copy_concurrency={"limit": 1}, timeout=0.15)
        with store._core.copies.slot(LARGE):
            wait = Background(lambda: store.put("large", bytes(LARGE)))
            waited = wait.done(0.6)
        assert isinstance(wait.error(), s3kv.DeadlineExceeded)
        assert waited
        assert server.requests == []


HASHING = """
store = opened(data_copy_concurrency={"limit": 1})
value = bytes(1 << 20)
with store._core.copies.slot(len(value)):
    say("ready")
    try:
        store.put("slow", value)
    except KeyboardInterrupt:
        say("interrupted", time.monotonic())
store.put("next", value)
say("ending")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_ctrl_c_ends_the_wait_for_a_turn_to_hash() -> None:
    """Within half a second; the turn goes to whoever comes next."""
    with ScriptedServer(then=FINE) as server, running(HASHING, server.url) as program:
        assert program.line() == ["ready"]
        time.sleep(0.1)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end() == ("ending\n", "")
        assert [request.path for request in server.requests] == ["/bucket/next"]
