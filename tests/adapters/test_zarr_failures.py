"""What goes wrong is an error, never fill values; and nothing holds up an event loop or the prompt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

import s3kv

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

import zarr
from zarr.core.buffer import default_buffer_prototype

from s3kv.call import Cancelled
from s3kv.zarr import ZarrStore
from s3kv.zarr.awaiting import Mailbox
from tests.adapters.zarr_scripts import answering, opened, respond, serving
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import HOLD, READ, Answer, Forever, Notify, ScriptedServer, Send, answer, error, ok

PROTOTYPE = default_buffer_prototype()
VALUE = PROTOTYPE.buffer.from_bytes(b"value")

# Every method that sends a request.
CALLS: dict[str, Callable[[ZarrStore], Coroutine[Any, Any, Any]]] = {
    "get": lambda store: store.get("key", PROTOTYPE),
    "get_partial_values": lambda store: store.get_partial_values(PROTOTYPE, [("key", None)] * 2),
    "exists": lambda store: store.exists("key"),
    "getsize": lambda store: store.getsize("key"),
    "set": lambda store: store.set("key", VALUE),
    "set_if_not_exists": lambda store: store.set_if_not_exists("key", VALUE),
    "delete": lambda store: store.delete("key"),
    "delete_dir": lambda store: store.delete_dir("folder"),
    "clear": lambda store: store.clear(),
    "is_empty": lambda store: store.is_empty("folder"),
    "getsize_prefix": lambda store: store.getsize_prefix("folder"),
    "list": lambda store: _all(store.list()),
    "list_prefix": lambda store: _all(store.list_prefix("folder/")),
    "list_dir": lambda store: _all(store.list_dir("folder")),
}
PLAIN: dict[str, Callable[[ZarrStore], Any]] = {
    "get_sync": lambda store: store.get_sync("key"),
    "set_sync": lambda store: store.set_sync("key", VALUE),
    "delete_sync": lambda store: store.delete_sync("key"),
}

FAILURES: dict[str, tuple[bytes, type[Exception]]] = {
    "403": (error(403, "AccessDenied"), s3kv.PermissionDenied),
    "no bucket": (error(404, "NoSuchBucket"), s3kv.BucketNotFound),
    "500": (error(500, "InternalError"), s3kv.RetriesExhausted),
    "404 of a proxy": (answer(404, b"<html>no such page</html>"), s3kv.ServiceError),
}


async def _all(keys: Any) -> list[str]:
    return [key async for key in keys]


@pytest.mark.parametrize("method", [*CALLS, *PLAIN])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_an_error_of_every_method(failure: str, method: str) -> None:
    """No key is taken to be missing because of it, no folder to be empty."""
    told, expected = FAILURES[failure]
    call = PLAIN.get(method) or (lambda store: asyncio.run(CALLS[method](store)))
    with answering(lambda request: told) as server, opened(server) as below, pytest.raises(expected):
        call(ZarrStore(below))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_chunk_that_cannot_be_read_is_no_chunk_of_fill_values(failure: str) -> None:
    """The metadata can; of two chunks one is missing, which is fill values, and one fails."""
    told, expected = FAILURES[failure]
    memory: dict[str, Any] = {}
    array = zarr.create_array(memory, shape=(20,), chunks=(10,), dtype="u1", fill_value=7)
    array[:] = 9
    objects = {"zarr.json": memory["zarr.json"].to_bytes(), "c/1": told}
    with serving(objects) as (store, _):
        array = zarr.open_array(store, mode="r")
        assert array[:10].tolist() == [7] * 10
        with pytest.raises(expected):
            array[10:]


@pytest.mark.parametrize("failure", FAILURES)
def test_what_cannot_be_read_is_not_created_anew(failure: str) -> None:
    """Opening for appending creates what is missing; what nobody knows of is not missing."""
    told, expected = FAILURES[failure]
    with answering(lambda request: told) as server, opened(server) as below:
        with pytest.raises(expected):
            zarr.open_group(ZarrStore(below), mode="a")
        assert {request.method for request in server.requests} <= {"GET", "HEAD"}


def test_an_endpoint_where_nobody_listens_is_an_error() -> None:
    """Said within the store's timeout."""
    with ScriptedServer(lenient=True) as server:
        pass
    with opened(server.url, timeout=0.2) as below, pytest.raises(s3kv.S3KVError):
        zarr.open_group(ZarrStore(below), mode="r")


# ---------------------------------------------------------------- waiting


async def test_a_silent_server_holds_up_nothing_but_who_waits_for_it() -> None:
    """The loop goes on, whatever is waited for; and all of it ends at the store's timeout."""
    arrived = threading.Event()
    with ScriptedServer(then=[READ, Notify(arrived), HOLD]) as server:
        with opened(server, timeout=0.5) as below:
            store = ZarrStore(below)
            waiting = [asyncio.ensure_future(call(store)) for call in CALLS.values()]
            beats = 0
            while not all(task.done() for task in waiting):
                await asyncio.sleep(0.001)
                beats += 1
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, s3kv.DeadlineExceeded)
        assert arrived.is_set()
        # One that was held up by each of them would have had as many.
        assert beats > 2 * len(CALLS)


async def test_closing_the_store_below_ends_what_waits() -> None:
    """And everything after it is StoreClosed, too."""
    arrived = threading.Event()
    with ScriptedServer(then=[READ, Notify(arrived), HOLD]) as server, opened(server) as below:
        store = ZarrStore(below)
        waiting = asyncio.ensure_future(store.get("key", PROTOTYPE))
        await asyncio.to_thread(arrived.wait, 10)
        below.close()
        with pytest.raises(s3kv.StoreClosed):
            await asyncio.wait_for(waiting, 10)
        for call in CALLS.values():
            with pytest.raises(s3kv.StoreClosed):
                await call(store)


async def test_a_child_that_is_closed_is_of_no_use_while_its_parent_is() -> None:
    """The store below may be a part of another."""
    with answering(lambda request: ok(b"fine")) as server, opened(server) as parent:
        child = parent / "a.zarr/"
        child.close()
        for call in CALLS.values():
            with pytest.raises(s3kv.StoreClosed):
                await call(ZarrStore(child))
        assert await ZarrStore(parent).get("key", PROTOTYPE) is not None


async def test_what_does_not_end_at_its_deadline_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the look-up of a name, which nothing can interrupt."""
    over = threading.Event()

    def look_up(*_: Any, **__: Any) -> Any:
        over.wait(20)
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    try:
        with (
            opened("http://no-such-name.invalid", timeout=0.2) as below,
            Stopwatch() as watch,
            pytest.raises(s3kv.DeadlineExceeded) as caught,
        ):
            await ZarrStore(below).get("key", PROTOTYPE)
    finally:
        over.set()
    assert watch.seconds < 10
    assert caught.value.elapsed is not None
    assert caught.value.elapsed > 0.2


async def test_what_the_exit_cancels_is_a_cancelled_future() -> None:
    """Not an error that nobody has asked for."""
    mailbox = Mailbox(asyncio.get_running_loop())
    future: asyncio.Future[Any] = mailbox.loop.create_future()
    mailbox.complete(cast("Any", SimpleNamespace(item=future, result=None, error=Cancelled())))
    mailbox.ring()
    await asyncio.wait({future}, timeout=10)
    assert future.cancelled()


async def test_what_is_cancelled_gives_its_place_to_others() -> None:
    """Its request is given up: the server sees the connection close."""
    arrived = threading.Event()
    with ScriptedServer([READ, Notify(arrived), HOLD], then=[Forever(READ, Send(ok(b"fine")))]) as server:
        below = opened(server)
        limited = s3kv.Store(below.spec(), context={"s3_request_concurrency": {"limit": 1}})
        with limited:
            store = ZarrStore(limited)
            waiting = asyncio.ensure_future(store.get("key", PROTOTYPE))
            await asyncio.to_thread(arrived.wait, 10)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            found = await asyncio.wait_for(store.get("other", PROTOTYPE), 10)
            assert found is not None
            assert found.to_bytes() == b"fine"
        assert server.connections[0].gone.wait(5)
        below.close()


async def test_the_first_request_that_fails_ends_the_others_of_its_call() -> None:
    """Nobody waits for what a silent server might say."""
    arrived = threading.Event()

    def respond_or_not(request: Any) -> bytes:
        arrived.wait(10)
        return error(403, "AccessDenied")

    holding = [READ, Notify(arrived), HOLD]
    with (
        ScriptedServer(holding, then=[Forever(READ, Answer(respond_or_not))]) as server,
        opened(server) as below,
    ):
        both = ZarrStore(below).get_partial_values(PROTOTYPE, [("a", None), ("b", None)])
        with pytest.raises(s3kv.PermissionDenied):
            await asyncio.wait_for(both, 10)
        assert await asyncio.to_thread(server.connections[0].gone.wait, 5)


# ---------------------------------------------------------------- processes

# What every program starts with.
OPENING = """
import os, signal, sys, threading, time
import s3kv, zarr
from s3kv.call import Cancelled
from s3kv.zarr import ZarrStore
from s3kv.zarr.awaiting import Mailbox

below = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"})
store = ZarrStore(below)

def say(*words):
    print(*words, flush=True)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks are as POSIX has them")


def metadata(**options: Any) -> dict[str, bytes]:
    """Return an array of 40 numbers, its chunks as they lie in a store."""
    memory: dict[str, Any] = {}
    array = zarr.create_array(memory, shape=(40,), chunks=(10,), dtype="u1", **options)
    array[:] = list(range(40))
    return {key: value.to_bytes() for key, value in memory.items()}


@posix
@pytest.mark.parametrize(
    "call", ["zarr.open_array(store, mode='r')[:]", "list(zarr.open_group(store, mode='w').keys())"]
)
def test_ctrl_c_returns_the_prompt_and_the_interpreter_exits(call: str) -> None:
    """While a read, or a listing, waits for a silent server; another store works at once."""
    program = f"""
{OPENING}
try:
    {call}
except KeyboardInterrupt:
    say("interrupted")
with s3kv.Store(bucket="bucket", endpoint=sys.argv[2], aws_region="us-east-1",
                aws_credentials={{"type": "anonymous"}}) as other:
    say(zarr.open_array(ZarrStore(other), mode="r")[:].sum())
"""
    arrived = threading.Event()
    objects = metadata()
    with (
        ScriptedServer(then=[READ, Notify(arrived), HOLD]) as silent,
        answering(lambda request: respond(request, objects)) as fine,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, silent.url, fine.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        try:
            assert arrived.wait(30)
            child.send_signal(signal.SIGINT)
            with Stopwatch() as watch:
                output, errors = child.communicate(timeout=30)
        finally:
            child.kill()
        assert output == "interrupted\n780\n", errors
        assert child.returncode == 0
        assert watch.seconds < 10


@posix
def test_a_forked_child_reads_with_connections_of_its_own() -> None:
    """While the parent has zarr's loop running, and connections open."""
    program = f"""
{OPENING}
array = zarr.open_array(store, mode="r")
assert array[:].sum() == 780
child = os.fork()
if child == 0:
    signal.alarm(10)
    status = 1
    try:
        assert array[10:30].tolist() == list(range(10, 30))
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
assert array[:].sum() == 780
say("both")
"""
    objects = metadata()
    with answering(lambda request: respond(request, objects)) as server:
        done = Background(
            lambda: subprocess.run(
                [sys.executable, "-c", program, server.url], capture_output=True, text=True, timeout=60
            )
        ).result(60)
    assert done.stdout == "both\n", done.stderr
