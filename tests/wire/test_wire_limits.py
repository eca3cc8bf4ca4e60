"""Rate limits: which requests wait for which, who shares them, and what ends the wait."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import s3kv
from tests.wire.conftest import opening
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    READ,
    Answer,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    error,
    listing,
    ok,
)
from tests.wire.test_wire_interrupts import running

OpenStore = Callable[..., s3kv.Store]
Operation = Callable[[s3kv.Store], object]

# So slow a rate that no test lives to see a token.
NEVER = 0.001


def _serve(request: Recorded) -> bytes:
    if request.query:
        return listing("a", "b", token=None if "token=" in request.query else "more")
    return ok(b"" if request.method in ("HEAD", "DELETE") else b"value")


FINE: list[Step] = [Forever(READ, Answer(_serve))]


@pytest.fixture
def opened() -> Iterator[OpenStore]:
    """Return a function that opens a store on a server as users do; all are closed at the end."""
    with opening(aws_region="us-east-1", aws_credentials={"type": "anonymous"}) as open_:
        yield open_


def rates(**members: Any) -> dict[str, Any]:
    """The member of a spec that limits rates."""
    return {"experimental_s3_rate_limiter": members}


# --------------------------------------------------------------------------- reads and writes

READS: dict[str, Operation] = {
    "get": lambda store: store.get("key"),
    "get a range": lambda store: store.get("key", byte_range=slice(1, 3)),
    "get nothing": lambda store: store.get("key", byte_range=slice(2, 2)),
    "stat": lambda store: store.stat("key"),
    "in": lambda store: "key" in store,
    "list": lambda store: store.list(),
    "scan": lambda store: next(store.scan()),
    "list_dir": lambda store: store.list_dir(),
    "len": len,
}
WRITES: dict[str, Operation] = {
    "put": lambda store: store.put("key", b"value"),
    "delete": lambda store: store.delete("key"),
    "[] =": lambda store: store.__setitem__("key", b"value"),
}


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_an_operation_waits_for_its_own_side_only(name: str, opened: OpenStore) -> None:
    """Reads and lists for the one, writes and deletes for the other; nothing is sent meanwhile."""
    operation, own = {**READS, **WRITES}[name], "read_rate" if name in READS else "write_rate"
    other = {"read_rate": "write_rate", "write_rate": "read_rate"}[own]
    with ScriptedServer(then=FINE) as server:
        limited = opened(server, timeout=5, **rates(**{own: NEVER}))
        with pytest.raises(s3kv.DeadlineExceeded, match="rate limit"):
            operation(limited)
        assert server.requests == []
        operation(opened(server, timeout=5, **rates(**{other: NEVER})))
        assert server.requests != []


def test_each_request_takes_a_token(opened: OpenStore) -> None:
    """Whatever it is for; the pages of a listing are requests, and so are both halves of ``del``."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, **rates(read_rate=25, write_rate=100))
        with Stopwatch() as watch:
            store.get("key")
            store.stat("key")
            assert "key" in store
            assert store.list() == ["a", "a", "b", "b"]
            del store["key"]
        assert len(server.requests) == 7
        # Six reads, and a write, which waits for the first token of its own side.
        assert 6 / 25 + 1 / 100 <= watch.seconds < 6 / 25 + 1 / 100 + 0.15


def test_the_rate_is_that_of_all_threads_together(opened: OpenStore) -> None:
    """Ten threads of one store wait as long as one thread would."""
    stamps: list[float] = []
    with ScriptedServer(then=[Forever(READ, Stamp(stamps), Send(ok(b"v")))]) as server:
        store = opened(server, **rates(read_rate=50))
        start = time.monotonic()
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda number: store.get(str(number)), range(20)))
        for number, stamp in enumerate(sorted(stamps), 1):
            assert stamp - start >= number / 50
        assert len(stamps) == 20
        assert stamps[-1] - start < 20 / 50 + 0.15


@dataclass(frozen=True)
class Stamp(Step):
    """Note when a request has come."""

    stamps: list[float]

    def run(self, peer: Peer) -> None:
        self.stamps.append(time.monotonic())


def test_each_attempt_takes_a_token(transport: Any, opened: OpenStore) -> None:
    """A store that is busy is not asked more often for that."""
    stamps: list[float] = []
    busy = error(503, "SlowDown")
    script: list[Step] = [
        step for data in (busy, busy, ok(b"v")) for step in (READ, Stamp(stamps), Send(data))
    ]
    with ScriptedServer(script) as server:
        retries = {"initial_delay": "1ms", "max_delay": "1ms"}
        store = opened(server, session=transport, s3_request_retries=retries, **rates(read_rate=12.5))
        start = time.monotonic()
        assert store.get("key") == b"v"
        for number, stamp in enumerate(stamps, 1):
            assert 0 <= stamp - start - number / 12.5 < 0.1


@pytest.mark.parametrize("first", [[], [READ]], ids=["closed while idle", "closed at the request"])
def test_a_dead_connection_that_is_replaced_takes_none(first: list[Step], opened: OpenStore) -> None:
    """The store has not had the request yet. A second token would come after the timeout."""
    with ScriptedServer([READ, Send(ok(b"1")), *first, CLOSE], [READ, Send(ok(b"2"))]) as server:
        store = opened(server, **rates(read_rate=2.5))
        assert store.get("one") == b"1"
        assert store.with_timeout(0.6).get("two") == b"2"
        assert len(server.requests) == 2 + len(first)


# ------------------------------------------------------------------------------- no more waiting


def test_a_token_that_comes_too_late_is_an_error_at_once(opened: OpenStore) -> None:
    """That names the limit; nothing was sent, and nobody else waits any longer for it."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, **rates(read_rate=4))
        hurried = store.with_timeout(0.2)
        with Stopwatch() as watch:
            for _ in range(50):
                with pytest.raises(s3kv.DeadlineExceeded, match=r"rate limit.*4 a second") as caught:
                    hurried.get("key")
                assert (caught.value.operation, caught.value.key) == ("GetObject", "key")
                assert caught.value.attempts == 0
        assert watch.seconds < 0.2
        assert server.requests == []
        with Stopwatch() as watch:
            store.get("key")
        assert watch.seconds < 0.4


BATCHES: dict[str, Callable[[s3kv.Store, list[str]], object]] = {
    "get_many": lambda store, keys: store.get_many(keys),
    "iter_many": lambda store, keys: list(store.iter_many(keys)),
    "put_many": lambda store, keys: store.put_many(dict.fromkeys(keys, b"1")),
}


@pytest.mark.parametrize("call", BATCHES.values(), ids=BATCHES)
def test_a_batch_may_take_longer_than_the_timeout_of_an_item(
    call: Callable[[s3kv.Store, list[str]], object], opened: OpenStore
) -> None:
    """Which counts while the item waits for a token: so it is begun when that is near, not before."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, timeout=0.4, **rates(read_rate=50, write_rate=50))
        with Stopwatch() as watch:
            call(store, [str(number) for number in range(45)])
        assert len(server.requests) == 45
        assert watch.seconds > 0.8


def test_a_batch_whose_tokens_come_too_late_fails_at_once(opened: OpenStore) -> None:
    """Nothing would be gained by waiting."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, timeout=0.4, **rates(read_rate=0.01))
        with Stopwatch() as watch, pytest.raises(s3kv.BatchError) as caught:
            store.get_many([str(number) for number in range(9)])
        assert len(caught.value.errors) == 9
        assert watch.seconds < 0.4
        assert server.requests == []


def test_an_attempt_whose_token_comes_too_late_is_not_made(opened: OpenStore) -> None:
    """The error counts those that were."""
    with ScriptedServer(then=[Forever(READ, Send(error(503, "SlowDown")))]) as server:
        retries = {"initial_delay": "1ms", "max_delay": "1ms"}
        store = opened(server, timeout=0.45, s3_request_retries=retries, **rates(read_rate=4))
        with Stopwatch() as watch, pytest.raises(s3kv.DeadlineExceeded) as caught:
            store.get("key")
        assert caught.value.attempts == 1
        assert len(server.requests) == 1
        assert 0.25 <= watch.seconds < 0.45


@pytest.mark.parametrize("closed", ["the store", "the parent"])
def test_close_ends_the_wait_for_a_token(closed: str, opened: OpenStore) -> None:
    """At once, for everyone who waits."""
    with ScriptedServer() as server:
        store = opened(server, **rates(read_rate=NEVER, write_rate=NEVER))
        used = store if closed == "the store" else store / "child"
        waits: list[Background[Any]] = [
            Background(lambda: used.get("key")),
            Background(lambda: used.put("key", b"v")),
        ]
        time.sleep(0.05)
        assert not any(wait.done(0) for wait in waits)
        with Stopwatch() as watch:
            store.close()
            for wait in waits:
                assert isinstance(wait.error(1), s3kv.S3KVError)
        assert watch.seconds < 0.3


def test_a_wait_that_is_given_up_leaves_its_place_at_once(opened: OpenStore) -> None:
    """Whoever comes next has it, though the error is still kept: a notebook keeps the last one."""
    with ScriptedServer(then=FINE) as server:
        context = s3kv.Context(rates(read_rate=3))
        first, second = opened(server, context=context), opened(server, context=context)
        wait = Background(lambda: first.get("key"))
        time.sleep(0.05)
        first.close()
        kept = wait.error(1)
        # Alone it waits a third of a second; behind the other, two thirds.
        assert second.with_timeout(0.5).get("key") == b"value"
        assert kept is not None


WAITING = """
store = opened(experimental_s3_rate_limiter={"read_rate": 0.001})
say("ready")
try:
    store.get("slow")
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(opened().get("fast").decode())
say("ending")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_ctrl_c_ends_the_wait_for_a_token() -> None:
    """Within half a second; nothing is sent, the next call works, and the program ends."""
    with ScriptedServer(then=FINE) as server, running(WAITING, server.url) as program:
        assert program.line() == ["ready"]
        time.sleep(0.1)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end() == ("value\nending\n", "")
        assert [request.path for request in server.requests] == ["/bucket/fast"]


def test_whoever_waits_for_a_token_is_no_request_under_way(opened: OpenStore) -> None:
    """With a limit of one at once, any number may wait to write, and reads pass them by."""
    with ScriptedServer(then=FINE) as server:
        store = opened(server, s3_request_concurrency={"limit": 1}, **rates(write_rate=NEVER))
        waits = [Background(lambda: store.put("key", b"v")) for _ in range(5)]
        time.sleep(0.05)
        for _ in range(20):
            assert store.with_timeout(2).get("key") == b"value"
        assert not any(wait.done(0) for wait in waits)
        store.close()
        for wait in waits:
            wait.error(1)


def test_a_rate_that_is_next_to_nothing_holds_up_nobody_else(opened: OpenStore) -> None:
    """Its first token comes after the sun is gone; other stores' waits end when they should."""
    program = """
slow = opened(experimental_s3_rate_limiter={"read_rate": 1e-12})
threading.Thread(target=lambda: slow.get("slow"), daemon=True).start()
time.sleep(0.1)
say(opened(experimental_s3_rate_limiter={"read_rate": 20}, timeout=1).get("fast").decode())
"""
    with ScriptedServer(then=FINE) as server, running(program, server.url) as process:
        assert process.end(4) == ("value\n", "")


# ------------------------------------------------------------------------------- who shares it

LIMITED = rates(read_rate=2)


def _pair(how: str, open_: Callable[..., s3kv.Store]) -> tuple[s3kv.Store, s3kv.Store]:
    """Two stores with a read rate, opened in one of the ways in which two stores can be."""
    context = s3kv.Context({**LIMITED, "experimental_s3_rate_limiter#same": "experimental_s3_rate_limiter"})
    store = open_(context=context)
    named = {"experimental_s3_rate_limiter": "experimental_s3_rate_limiter#same"}
    inline = open_(**LIMITED)
    return {
        "one context": lambda: (store, open_(context=context, path="other/")),
        "one name and another": lambda: (store, open_(context=context, **named)),
        "a context and one below it": lambda: (
            store,
            open_(context=s3kv.Context({"s3_request_retries": None}, parent=context)),
        ),
        "a child": lambda: (inline, inline / "child"),
        "a suffix": lambda: (inline, inline + "suffix"),
        "a copy": lambda: (inline, copy.copy(inline)),
        "inline": lambda: (inline, open_(**LIMITED)),
        "two contexts alike": lambda: (store, open_(context=s3kv.Context(LIMITED))),
        "a mapping twice": lambda: (open_(context=LIMITED), open_(context=LIMITED)),
        "its spec": lambda: (store, open_(**store.spec())),
    }[how]()


@pytest.mark.parametrize(
    ("how", "shared"),
    [
        ("one context", True),
        ("one name and another", True),
        ("a context and one below it", True),
        ("a child", True),
        ("a suffix", True),
        ("a copy", True),
        ("inline", False),
        ("two contexts alike", False),
        ("a mapping twice", False),
        ("its spec", False),
    ],
)
def test_a_limiter_belongs_to_those_who_refer_to_it(how: str, shared: bool, opened: OpenStore) -> None:
    """One that is shared has its second token after a second: too late for the second store."""
    with ScriptedServer(then=FINE) as server:
        first, second = _pair(how, partial(opened, server))
        wait = Background(lambda: first.get("key"))
        time.sleep(0.03)
        if shared:
            with pytest.raises(s3kv.DeadlineExceeded, match="rate limit"):
                second.with_timeout(0.75).get("key")
        else:
            assert second.with_timeout(0.75).get("key") == b"value"
        assert wait.result() == b"value"


# ------------------------------------------------------------------------------- as measured


@pytest.mark.parametrize(
    ("members", "seconds", "expected"),
    [
        ({"read_rate": 200}, 2.0, 400),
        # 40·0.5 / ln 2·(2^(1.5 / 0.5) - 1)
        ({"read_rate": 40, "doubling_time": "500ms"}, 1.5, 202),
    ],
    ids=["constant", "doubling"],
)
def test_the_rate_is_kept_and_made_use_of(
    members: dict[str, Any], seconds: float, expected: float, opened: OpenStore
) -> None:
    """Eight threads read as fast as they may: no more than the rate, and at least nine tenths of it."""
    with ScriptedServer(then=FINE) as server:
        for attempt in (1, 2):
            store = opened(server, **rates(**members))
            end = time.monotonic() + seconds

            def work(_: int) -> int:
                done = 0
                while True:
                    store.get("key")  # noqa: B023
                    if time.monotonic() > end:  # noqa: B023
                        return done
                    done += 1

            with ThreadPoolExecutor(8) as pool:
                count = sum(pool.map(work, range(8)))
            # Never more; fewer only while the machine does something else.
            assert count <= expected
            if count >= 0.9 * expected or attempt == 2:
                break
        assert count >= 0.9 * expected


def test_the_doubling_time_of_the_environment_is_read_when_the_limiter_is_made(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad value is an error there, that names the variable, and none where there is no rate."""
    with ScriptedServer(then=FINE) as server:
        monkeypatch.setenv("TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME", "soon")
        assert opened(server).get("key") == b"value"
        assert opened(server, **rates(read_rate=50, doubling_time="0")).get("key") == b"value"
        context = s3kv.Context(LIMITED)
        for options in (LIMITED, {"context": context}):
            with pytest.raises(s3kv.SpecError, match=r"TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME.*soon"):
                opened(server, **options)
        # A rate of 10 that doubles every 20 ms is soon no limit: its 50th token comes after 0.16 s.
        monkeypatch.setenv("TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME", "0.02")
        for options in (rates(read_rate=10), {"context": s3kv.Context(rates(read_rate=10))}):
            store = opened(server, **options)
            with Stopwatch() as watch:
                for _ in range(50):
                    store.get("key")
            assert watch.seconds < 2
        assert opened(server, context=context).get("key") == b"value"
