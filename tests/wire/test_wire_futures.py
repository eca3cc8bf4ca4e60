"""Futures of a store: the results, errors and orders of its methods, without waiting for them."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import s3kv
from s3kv.futures import Futures
from tests.wire.helpers import Background
from tests.wire.memory_s3 import MemoryS3, Turn, etag_of
from tests.wire.scripted import HOLD, ScriptedServer, Step, Wait, error

Open = Callable[..., s3kv.Store]

# What is about one key, and has a result to wait for.
METHODS = [
    "copy",
    "delete",
    "download",
    "get",
    "get_into",
    "get_ranges",
    "modify",
    "presign",
    "put",
    "read",
    "stat",
    "upload",
    "write",
]


@pytest.fixture
def open_() -> Iterator[Open]:
    """Return a function that opens a store which tries four times, with short pauses."""
    opened: list[s3kv.Store] = []

    def open_store(server: ScriptedServer, limit: int | None = None, **options: Any) -> s3kv.Store:
        members: dict[str, Any] = {
            "bucket": "bucket",
            "endpoint": server.url,
            "aws_region": "us-east-1",
            "use_conditional_write": True,
            "aws_credentials": {"type": "anonymous"},
            "s3_request_retries": {"max_retries": 4, "initial_delay": "1ms", "max_delay": "2ms"},
        }
        if limit is not None:
            members["s3_request_concurrency"] = {"limit": limit}
        opened.append(s3kv.Store(members, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


class Gate(Step):
    """Wait for an event, then send."""

    def __init__(self, event: threading.Event, data: bytes) -> None:
        self._event = event
        self._data = data

    def run(self, peer: Any) -> None:
        Wait(self._event).run(peer)
        peer.send(self._data)


# ---------------------------------------------------------------------------------------- each method


def test_every_method_about_one_key_has_a_future() -> None:
    """And nothing else has."""
    assert sorted(name for name in vars(Futures) if not name.startswith("_")) == METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_that_of_the_store_takes(name: str) -> None:
    """By the same names, so that a call can be moved from one to the other."""
    given = inspect.signature(getattr(Futures, name)).parameters
    expected = inspect.signature(getattr(s3kv.Store, name)).parameters
    assert list(given) == list(expected)
    for parameter in expected.values():
        assert given[parameter.name].kind == parameter.kind


def test_each_future_has_what_its_method_returns(open_: Open) -> None:
    """Results are the very ones, of the very types."""
    bucket = MemoryS3(key=b"value", gone=b"x")
    with bucket.server() as server:
        store = open_(server)
        f = store.futures
        g = etag_of(b"value")
        assert f.get("key").result() == b"value"
        assert f.get(b"key").result() == b"value"
        assert f.get("missing", None).result() is None
        assert f.stat("key").result().size == 5
        assert f.read("key").result().value == b"value"
        assert f.read("key", if_not_equal=g).result().state == "unspecified"
        assert f.read("missing", staleness_bound=1.0).result().state == "missing"
        stamp = f.put("new", io.BytesIO(b"new"), content_type="text/x", metadata={"a": "b"}).result()
        assert isinstance(stamp, s3kv.TimestampedStorageGeneration)
        assert stamp.generation == etag_of(b"new")
        assert store.stat("new").metadata == {"a": "b"}
        assert f.put("new", b"newer", if_equal=stamp.generation).result().generation == etag_of(b"newer")
        assert f.write("key", b"2", if_equal=g).result().generation == etag_of(b"2")
        unknown = s3kv.StorageGeneration.UNKNOWN
        assert f.write("key", b"3", if_equal=g).result().generation == unknown
        assert f.modify("key", lambda old: (old or b"") + b"!").result().generation == etag_of(b"2!")
        assert f.copy("key", "copy", if_absent=True).result().generation == etag_of(b"2!")
        assert f.presign("a b", method="PUT").result() == store.presign("a b", method="PUT")
        nothing = s3kv.StorageGeneration.NO_VALUE
        assert f.delete("gone").result().generation == nothing
        assert f.delete("key", if_equal=etag_of(b"2!")).result().generation == nothing
        assert bucket.objects.keys() == {"new", "copy"}


def test_a_default_may_be_given_by_its_name(open_: Open) -> None:
    """As to ``get`` itself."""
    with MemoryS3().server() as server:
        store = open_(server)
        assert store.get("missing", default=None) is None
        assert store.futures.get("missing", default=None).result() is None


def test_each_error_is_in_its_future(open_: Open) -> None:
    """Those of wrong arguments, too: nothing is raised where the future is made."""
    with MemoryS3(key=b"value").server() as server:
        f = open_(server).futures
        futures = {
            s3kv.KeyNotFound: [f.get("missing"), f.stat("missing"), f.copy("missing", "x")],
            s3kv.ConditionFailed: [
                f.put("key", b"", if_absent=True),
                f.delete("key", if_equal='"x"'),
                f.copy("key", "key", if_absent=True),
            ],
            s3kv.InvalidKey: [f.get(""), f.put("k" * 1025, b""), f.copy("key", "")],
            ValueError: [
                f.get("key", byte_range=slice(0, 1, 2)),
                f.put("key", b"", if_equal="unquoted"),
                f.put("key", b"", if_equal='"x"', if_absent=True),
                f.put("key", b"", content_type="a\nb"),
            ],
            TypeError: [
                f.get(7),  # type: ignore[arg-type]
                f.put("key", "text"),
                f.put("key", io.StringIO("text")),
                f.read("key", staleness_bound="now"),  # type: ignore[arg-type]
            ],
            ZeroDivisionError: [f.modify("key", lambda _: 1 // 0)],
        }
        for kind, made in futures.items():
            for future in made:
                with pytest.raises(kind):
                    future.result()
                assert isinstance(future.exception(), kind)


def test_a_future_is_one_of_the_standard_library(open_: Open) -> None:
    """So that all that takes those takes these."""
    with MemoryS3(key=b"value").server() as server:
        future = open_(server).futures.get("key")
        assert isinstance(future, concurrent.futures.Future)
        assert future.result(5) == b"value"
        assert future.done()
        assert not future.cancel()


def test_the_path_and_timeout_of_a_store_are_those_of_its_futures(open_: Open) -> None:
    """A child's are its own."""
    bucket = MemoryS3()
    bucket.looks = [Turn(acts=False, told=HOLD)]
    with bucket.server() as server:
        store = open_(server)
        (store / "a/").futures.put("b", b"1").result()
        assert bucket.objects.keys() == {"a/b"}
        with pytest.raises(s3kv.DeadlineExceeded):
            store.with_timeout(0.2).futures.get("key").result()


def test_the_view_says_whose_it_is(open_: Open) -> None:
    """And nothing secret."""
    with MemoryS3().server() as server:
        store = open_(server)
        assert repr(store) in repr(store.futures)


# ----------------------------------------------------------------------------------------- many


def test_a_thousand_puts_are_all_done(open_: Open) -> None:
    """Each once, and each future is completed."""
    bucket = MemoryS3()
    with bucket.server() as server:
        f = open_(server).futures
        futures = {f.put(f"{number}", b"%d" % number): number for number in range(1000)}
        done = list(concurrent.futures.as_completed(futures, timeout=10))
        assert len(done) == len(set(done)) == 1000
        for future in done:
            assert future.result().generation == etag_of(b"%d" % futures[future])
        assert len(bucket.applied) == len(bucket.objects) == 1000


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_requests_are_in_flight_than_the_limit_allows(limit: int, open_: Open) -> None:
    """And as many as it does: the others wait in a queue, where they can be cancelled."""
    go = threading.Event()
    bucket = MemoryS3(key=b"value")
    bucket.looks = [Turn(told=Gate(go, b""))] * limit
    with bucket.server() as server:
        store = open_(server, limit)
        futures = [store.futures.get("key", None) for _ in range(limit + 5)]
        while len(server.requests) < limit:
            time.sleep(0.002)
        time.sleep(0.05)
        assert len(server.requests) == limit
        assert [future.cancel() for future in futures] == [False] * limit + [True] * 5
        go.set()
        assert concurrent.futures.wait(futures, 5).not_done == set()
        for future in futures[limit:]:
            with pytest.raises(concurrent.futures.CancelledError):
                future.result()
        # Each lost its answer once, and was asked for again.
        assert [future.result() for future in futures[:limit]] == [b"value"] * limit
        assert len(server.requests) == 2 * limit


@pytest.mark.parametrize("limit", [1, 4])
def test_callbacks_may_use_the_store(limit: int, open_: Open) -> None:
    """Also where one request at a time is all that is allowed."""
    bucket = MemoryS3(key=b"value")
    with bucket.server() as server:
        store = open_(server, limit)
        ended = threading.Semaphore(0)
        problems: list[BaseException] = []

        def follow(future: Any) -> None:
            try:
                store.put("copy", future.result())
                assert store.get("copy") == b"value"
                assert store.get_many(["key", "copy"]) == {"key": b"value", "copy": b"value"}
                # A further future is not waited for here: there may be no thread for it.
                store.futures.get("key").add_done_callback(lambda _: ended.release())
            except BaseException as error:
                problems.append(error)
                ended.release()

        for _ in range(10):
            store.futures.get("key").add_done_callback(follow)
        for _ in range(10):
            assert ended.acquire(timeout=5)
        assert problems == []


def test_futures_and_plain_calls_share_the_workers(open_: Open) -> None:
    """Whoever waits for futures holds no place that they need."""
    bucket = MemoryS3(key=b"value")
    with bucket.server() as server:
        store = open_(server, 1)

        def both() -> list[bytes]:
            futures = [store.futures.get("key") for _ in range(20)]
            plain = [store.get("key") for _ in range(20)]
            return plain + [future.result() for future in futures]

        calls = [Background(both) for _ in range(4)]
        for call in calls:
            assert call.result() == [b"value"] * 40


def test_modify_is_atomic_in_futures_too(open_: Open) -> None:
    """Each is called in a thread of its own, and nobody's update is lost."""
    bucket = MemoryS3(key=b"0")
    with bucket.server() as server:
        store = open_(server, 8)
        futures = [store.futures.modify("key", lambda old: b"%d" % (int(old or 0) + 1)) for _ in range(20)]
        for future in futures:
            future.result(10)
        assert bucket.objects["key"].value == b"20"


# ---------------------------------------------------------------------------------------- the end


def test_a_closed_store_makes_no_futures_that_do_anything(open_: Open) -> None:
    """The error is raised, or in the future."""
    with MemoryS3(key=b"value").server() as server:
        store = open_(server)
        child = store / "a"
        store.close()
        for closed in (store, child):
            with pytest.raises(s3kv.S3KVError, match="closed"):
                closed.futures.get("key").result()
        assert server.requests == []


def test_closing_ends_what_is_under_way_and_what_is_queued(open_: Open) -> None:
    """Every future is completed, soon."""
    bucket = MemoryS3(key=b"value")
    bucket.looks = [Turn(acts=False, told=HOLD)] * 2
    with bucket.server() as server:
        store = open_(server, 2)
        futures = [store.futures.get("key") for _ in range(50)]
        while len(server.requests) < 2:
            time.sleep(0.002)
        store.close()
        assert concurrent.futures.wait(futures, 2).not_done == set()
        for future in futures:
            with pytest.raises(s3kv.S3KVError, match="closed"):
                future.result()
        assert len(server.requests) == 2


def callers() -> list[str]:
    """Return the names of the threads that call for somebody else."""
    return [thread.name for thread in threading.enumerate() if "caller" in thread.name]


def gone(seconds: float = 2.0) -> bool:
    """Whether no such thread is left within so many seconds."""
    end = time.monotonic() + seconds
    while callers() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    return not callers()


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_a_store_that_is_done_with_leaves_no_thread(how: str) -> None:
    """Be it closed or just forgotten."""
    assert gone()
    with MemoryS3(key=b"value").server() as server:
        store = s3kv.Store(
            bucket="bucket",
            endpoint=server.url,
            aws_region="us-east-1",
            aws_credentials={"type": "anonymous"},
        )
        assert callers() == []
        assert store.futures.get("key").result() == b"value"
        assert callers() != []
        if how == "closed":
            store.close()
        else:
            del store
        assert gone()


def test_a_result_need_not_be_fetched(open_: Open) -> None:
    """An error that nobody looks at disturbs nobody."""
    bucket = MemoryS3()
    bucket.looks = [Turn(acts=False, told=error(403, "AccessDenied"))] * 9
    with bucket.server() as server:
        store = open_(server)
        concurrent.futures.wait([store.futures.get("key")], 5)
        gc.collect()


def test_a_call_is_made_once_where_there_can_be_no_more_threads(
    open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that finds out late refuses what it has put into its queue already."""
    bucket = MemoryS3(key=b"0")
    with bucket.server() as server:
        store = open_(server)
        go = threading.Event()
        busy = store.futures.modify("other", lambda old: b"1" if go.wait(5) else None)

        def refuse(_: object) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(concurrent.futures.ThreadPoolExecutor, "_adjust_thread_count", refuse)
            late = store.futures.modify("key", lambda old: b"%d" % (int(old or b"0") + 1))
        assert late.done()
        go.set()
        busy.result(5)
        # Its thread has seen by now whatever else is in the queue.
        assert store.futures.get("key").result(5) == b"1"
        assert [key for _, key, _ in bucket.applied] == ["key", "other"]


OPENING = """
import os, sys, threading, time
import s3kv

store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"})
"""


def run(code: str, url: str) -> str:
    """Return the output of a program, which must end well and complain about nothing."""
    options = ["-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning"]
    command = [sys.executable, *options, "-c", OPENING + code, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=12)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@pytest.mark.parametrize("limit", ["", "4"], ids=["shared", "own"])
def test_the_interpreter_does_what_is_queued_before_it_ends(limit: str) -> None:
    """All of it, quietly; what was promised is kept."""
    bucket = MemoryS3()
    code = "store = s3kv.Store(store.spec(), s3_request_concurrency={'limit': 4})\n" if limit else ""
    code += "for number in range(300): store.futures.put(f'{number}', b'%d' % number)\n"
    with bucket.server() as server:
        assert run(code, server.url) == ""
        assert len(bucket.objects) == 300
        assert all(stored.value == key.encode() for key, stored in bucket.objects.items())


def test_callbacks_run_while_the_interpreter_ends() -> None:
    """What they ask of the store is done, too."""
    bucket = MemoryS3(key=b"value")
    code = """
def follow(future):
    store.put("copy", future.result())
    print("done", flush=True)
store.futures.get("key").add_done_callback(follow)
"""
    with bucket.server() as server:
        assert run(code, server.url) == "done\n"
        assert bucket.objects["copy"].value == b"value"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_futures_of_its_own() -> None:
    """Whatever its parent's threads were doing; and the parent's go on."""
    bucket = MemoryS3(key=b"value")
    code = """
first = [store.futures.get("key") for _ in range(100)]
child = os.fork()
if child == 0:
    futures = [store.futures.get("key") for _ in range(100)]
    assert all(future.result(5) == b"value" for future in futures)
    store.futures.put("child", b"child").result(5)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert all(future.result(5) == b"value" for future in first)
store.futures.put("parent", b"parent").result(5)
store.close()
"""
    with bucket.server() as server:
        assert run(code, server.url) == ""
        assert {"child", "parent"} < bucket.objects.keys()


def test_who_is_tired_of_waiting_may_wait_again(open_: Open) -> None:
    """A wait that ends ends nothing else."""
    go = threading.Event()
    bucket = MemoryS3(key=b"value")
    bucket.looks = [Turn(told=Gate(go, b""))]
    with bucket.server() as server:
        future = open_(server).futures.get("key")
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.05)
        go.set()
        assert future.result(5) == b"value"
