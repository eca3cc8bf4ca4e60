"""``modify`` on a store in memory: who is beaten tries again, and nobody's update is made twice."""

from __future__ import annotations

import array
import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.wire.conftest import FAST, FixedClock, OpenStore
from tests.wire.memory_s3 import MemoryS3, Turn, etag_of
from tests.wire.scripted import CLOSE, RESET, ScriptedServer, answer, error

OLD, NEW, OTHER = b"old", b"new", b"other"
MODES = {"headers": True, "look and headers": None}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
PATIENT = {"max_retries": 50, "initial_delay": "1ms", "max_delay": "2ms"}

Open = Callable[..., s3kv.Store]


@pytest.fixture
def open_() -> Iterator[Open]:
    """Return a function that opens a store whose pauses between attempts are short."""
    opened: list[s3kv.Store] = []

    def open_store(server: ScriptedServer, mode: bool | None = True, **options: Any) -> s3kv.Store:
        members: dict[str, Any] = {
            "bucket": "bucket",
            "endpoint": server.url,
            "aws_region": "us-east-1",
            "aws_credentials": {"type": "anonymous"},
            "s3_request_retries": PATIENT,
        }
        if mode is not None:
            members["use_conditional_write"] = mode
        opened.append(s3kv.Store(members, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.mark.parametrize("refusals", [0, 1, 3, 4])
@pytest.mark.parametrize("kind", ["bytes", "array", "file", "pipe"])
def test_a_default_is_written_whole_however_often_it_is_tried(
    kind: str, refusals: int, open_: Open
) -> None:
    """A file is read once, from where it stands, and not from its end when somebody came in between."""
    default: Any = NEW
    if kind == "array":
        default = array.array("H", NEW * 2)
    elif kind == "file":
        default = io.BytesIO(b"skipped" + NEW)
        default.seek(7)
    elif kind == "pipe":
        default = Pipe(NEW)
    expected = bytes(default) if kind == "array" else NEW
    bucket = MemoryS3()
    # Somebody is faster, and has gone again when the object is looked at.
    bucket.writes = [Turn(acts=False, told=error(412, "PreconditionFailed"))] * refusals
    with bucket.server() as server:
        store = open_(server)
        assert store.setdefault("key", default) == expected
        assert store["key"] == expected
        assert store.setdefault("key", io.BytesIO(OTHER)) == expected


class Pipe:
    """A file that can be read once."""

    def __init__(self, value: bytes) -> None:
        self._rest = io.BytesIO(value)

    def read(self, size: int = -1) -> bytes:
        """Return what comes next."""
        return self._rest.read(size)


def methods(server: ScriptedServer) -> list[str]:
    """Return the methods of the requests on keys so far."""
    return [request.method for request in server.requests if not request.query]


class Function:
    """Returns what it is told to, and remembers what it was given."""

    def __init__(self, result: bytes | None) -> None:
        self.result = result
        self.given: list[bytes | None] = []

    def __call__(self, old: bytes | None) -> bytes | None:
        """Return the result."""
        self.given.append(old)
        return self.result


def test_a_modification_is_a_read_and_a_conditional_write(open_: Open) -> None:
    """The condition is what was read: a generation, or nothing."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        assert store.modify("key", Function(OLD)).generation == etag_of(OLD)
        assert store.modify("key", Function(NEW)).generation == etag_of(NEW)
        assert store.modify("key", Function(None)).generation == StorageGeneration.NO_VALUE
        assert store.modify("key", Function(None)).generation == StorageGeneration.NO_VALUE
        assert methods(server) == ["GET", "PUT", "GET", "PUT", "GET", "DELETE", "GET"]
        create, replace, delete = (r for r in server.requests if r.method in ("PUT", "DELETE"))
        assert create.header("if-none-match") == "*"
        assert replace.header("if-match") == etag_of(OLD)
        assert delete.header("if-match") == etag_of(NEW)


@each_mode
@pytest.mark.parametrize("result", [NEW, None], ids=["replace", "delete"])
def test_who_is_beaten_is_called_again_with_the_new_value(
    mode: bool | None, result: bytes | None, open_: Open
) -> None:
    """As often as that happens."""
    bucket = MemoryS3(key=OLD)
    values = iter([b"1", b"2", b"3"])
    reads = [Turn(then=lambda: bucket.set("key", next(values)))]
    # A look before the write is a request too, and nobody comes in between it and the read.
    bucket.looks = (reads if mode else [*reads, Turn()]) * 3
    with bucket.server() as server:
        function = Function(result)
        open_(server, mode).modify("key", function)
        assert function.given == [OLD, b"1", b"2", b"3"]
        assert len(bucket.applied) == 1


@pytest.mark.parametrize("there", [{}, {"key": OLD}], ids=["missing", "there"])
def test_a_store_that_refuses_though_nothing_changes_is_an_error(
    there: dict[str, bytes], open_store: OpenStore
) -> None:
    """Not an endless loop: a bounded number of calls, then an error that says what the store does."""
    bucket = MemoryS3(**there)
    bucket.choose = lambda: Turn(acts=False, told=error(412, "PreconditionFailed"))
    with bucket.server() as server:
        function = Function(NEW)
        with pytest.raises(s3kv.ServiceError, match="refuses to replace") as caught:
            open_store(server, policy=FAST, clock=FixedClock(0.0)).modify("key", function)
        assert 2 <= len(function.given) <= 20
        assert bucket.applied == []
        assert (caught.value.key, caught.value.operation) == ("key", "PutObject")


def test_an_object_that_always_changes_is_no_contradiction(open_store: OpenStore) -> None:
    """Whoever is beaten thirty times in a row goes on: only the timeout ends it."""
    bucket = MemoryS3(key=OLD)
    numbers = iter(range(30))
    bucket.looks = [Turn(then=lambda: bucket.set("key", b"%d" % next(numbers))), Turn()] * 30
    with bucket.server() as server:
        function = Function(NEW)
        open_store(server, policy=FAST, clock=FixedClock(0.0)).modify("key", function)
        assert function.given == [OLD, *(b"%d" % number for number in range(30))]
        assert bucket.applied == [("PUT", "key", NEW)]


def test_the_timeout_bounds_all_the_tries_together(open_: Open) -> None:
    """Reads, writes, pauses and the function's own time."""
    bucket = MemoryS3(key=OLD)
    numbers = iter(range(10_000))
    bucket.choose = lambda: Turn(
        acts=False,
        told=error(412, "PreconditionFailed"),
        then=lambda: bucket.set("key", b"%d" % next(numbers)),
    )
    with bucket.server() as server:
        store = open_(server, timeout=0.3)
        started = time.monotonic()
        with pytest.raises(s3kv.DeadlineExceeded):
            store.modify("key", Function(NEW))
        assert 0.2 < time.monotonic() - started < 1.5
        assert bucket.applied == []

        def slow(old: bytes | None) -> bytes:
            time.sleep(0.35)
            return NEW

        with pytest.raises(s3kv.DeadlineExceeded):
            store.modify("key", slow)
        assert bucket.applied == []


@pytest.mark.parametrize("lost", [CLOSE, RESET, answer(500)], ids=["closed", "reset", "500"])
@pytest.mark.parametrize("result", [NEW, None], ids=["replace", "delete"])
def test_a_write_whose_answer_was_lost_is_found_to_be_done(
    lost: Any, result: bytes | None, open_: Open
) -> None:
    """The function is called once."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=lost)]
    with bucket.server() as server:
        function = Function(result)
        stamp = open_(server).modify("key", function)
        assert stamp.generation == (StorageGeneration.NO_VALUE if result is None else etag_of(NEW))
        assert function.given == [OLD]
        assert len(bucket.applied) == 1


@pytest.mark.parametrize("there", [{}, {"key": OLD}], ids=["missing", "there"])
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
def test_a_function_is_never_called_again_on_a_maybe(
    there: dict[str, bytes], acts: bool, open_: Open
) -> None:
    """Its update may be in what somebody else wrote since: nothing can be said, so nothing is done."""
    bucket = MemoryS3(**there)
    bucket.writes = [Turn(acts=acts, told=CLOSE, then=lambda: bucket.set("key", OTHER))]
    with bucket.server() as server:
        function = Function(NEW)
        with pytest.raises(s3kv.OutcomeUnknown):
            open_(server).modify("key", function)
        assert function.given == [there.get("key")]
        assert bucket.objects["key"].value == OTHER


def faulty(seed: int) -> Callable[[], Turn]:
    """Return what chooses turns of which a good part are lost, before the act or after it."""
    chance = random.Random(seed)
    turns = [*[Turn()] * 10, Turn(told=CLOSE), Turn(told=RESET), Turn(acts=False, told=CLOSE)]
    turns += [Turn(told=answer(500)), Turn(acts=False, told=error(503, "SlowDown"))]
    return lambda: chance.choice(turns)


@pytest.mark.parametrize("there", [{}, {"key": b"<>"}], ids=["missing", "there"])
@pytest.mark.parametrize("seed", range(3))
def test_no_update_is_lost_or_made_twice_though_answers_are_lost(
    there: dict[str, bytes], seed: int, open_: Open
) -> None:
    """Each success is there once; what is not known is there once or not at all, and was not redone."""
    bucket = MemoryS3(**there)
    bucket.choose = faulty(seed)
    calls: dict[bytes, list[bytes]] = {}
    with bucket.server() as server, ThreadPoolExecutor(8) as threads:
        store = open_(server, timeout=10)

        def append(entry: bytes) -> bool:
            calls[entry] = []

            def fn(old: bytes | None) -> bytes:
                calls[entry].append(old or b"")
                return (old or b"") + entry

            try:
                store.modify("key", fn)
            except s3kv.OutcomeUnknown:
                return False
            return True

        entries = [b"<%d>" % number for number in range(40)]
        done = dict(zip(entries, threads.map(append, entries), strict=True))
    written = bucket.objects["key"].value
    for entry, known in done.items():
        assert written.count(entry) in ((1,) if known else (0, 1)), entry
        # Nobody is shown a value with his own update in it: that would be to update twice.
        assert not any(entry in old for old in calls[entry]), entry
    assert len(written) == len(there.get("key", b"")) + sum(map(len, filter(written.count, entries)))
    assert list(done.values()).count(True) >= 5


def test_many_who_switch_an_object_on_and_off_are_not_taken_for_a_contradiction(open_: Open) -> None:
    """The same few generations come again and again, though the object changes all the time."""
    bucket = MemoryS3()
    racers, steps = 8, 20
    start = threading.Barrier(racers)
    with bucket.server() as server, ThreadPoolExecutor(racers) as threads:
        store = open_(server, timeout=12)

        def switch(_: int) -> None:
            start.wait(5)
            for _step in range(steps):
                store.modify("key", lambda old: b"on" if old is None else None)

        list(threads.map(switch, range(racers)))
    assert len(bucket.applied) == racers * steps
    assert [method for method, _, _ in bucket.applied] == ["PUT", "DELETE"] * (racers * steps // 2)
    assert bucket.objects == {}


@pytest.mark.parametrize("default", [(), (None,)], ids=["none", "default"])
def test_pop_returns_no_bytes_that_it_leaves_there(open_: Open, default: tuple[None, ...]) -> None:
    """What somebody writes after pop has found nothing is for whoever takes it next."""
    bucket = MemoryS3()
    bucket.looks = [Turn(then=lambda: bucket.set("key", NEW))]
    with bucket.server() as server:
        store = open_(server)
        if default:
            assert store.pop("key", *default) is None
        else:
            with pytest.raises(s3kv.KeyNotFound) as caught:
                store.pop("key")
            assert (caught.value.key, caught.value.status) == ("key", 404)
        assert methods(server) == ["GET"]
        assert store.pop("key") == NEW
    assert bucket.objects == {}
