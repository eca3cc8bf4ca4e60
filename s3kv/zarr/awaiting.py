"""Operations of a store awaited in an event loop, which none of them ever blocks.

The loop's own thread puts them into the executor's queue, and is told of their outcomes in bunches: to wake
a thread for each single one costs more than what it then does.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, TypeVar

from ..call import Cancelled
from ..executor import GRACE, overdue
from ..pipeline.batch import Entry
from ..pipeline.express import Asked, Express
from ..signals import start
from ..store import Store

T = TypeVar("T")

# How many threads may call functions that block, for one loop.
_THREADS = 32


class Mailbox:
    """Where an event loop finds the outcomes of operations.

    Mutable state: ``_complete``, operations that have ended and that the loop does not know of yet, a
    deque, changed by single steps of the interpreter; ``_rung``, the loop was told to look and has not done
    so yet.

    Args:
        loop: The loop.

    Attributes:
        loop: The same.
        threads: What is to be held while a thread is used; belongs to the loop.
    """

    __slots__ = ("_complete", "_rung", "loop", "threads")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.threads = asyncio.Semaphore(_THREADS)
        self._complete: deque[Entry[asyncio.Future[Any]]] = deque()
        self._rung = False

    def complete(self, entry: Entry[asyncio.Future[Any]]) -> bool:
        """Say that an operation has ended; any thread may.

        Returns:
            Whether the loop is to be told, by :meth:`ring`. Who expects more may wait with that.
        """
        self._complete.append(entry)
        return not self._rung

    def ring(self) -> None:
        """Have the loop look; any thread may."""
        if not self._rung:
            self._rung = True
            _tell(self.loop, self._deliver)

    def _deliver(self) -> None:
        # From now on, whatever is completed rings again.
        self._rung = False
        complete = self._complete
        while complete:
            entry = complete.popleft()
            _settle(entry.item, entry.result, entry.error)


class Awaiting:
    """Awaits what a store does. Any number of loops may, each in a thread of its own.

    Mutable state: ``_here``, which has each thread's ``mailbox``: that of the loop that ran there last.

    Args:
        store: The store.
    """

    __slots__ = ("_here", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        # Loops in other threads take turns with this one: each keeps its own.
        self._here = threading.local()

    async def run(
        self,
        operation: Callable[..., Generator[Any, Any, T]],
        key: str,
        *arguments: Any,
        express: Express | None = None,
        asked: Asked | None = None,
    ) -> T:
        """The result of an operation on one key; see :meth:`s3kv.core.Core.run`.

        Raises:
            StoreClosed: the store was closed.
            S3KVError: whatever the operation raises.
        """
        store = self._store
        core, timeout = store._core, store._timeout
        mailbox = self._open_mailbox(key)
        future: asyncio.Future[T] = mailbox.loop.create_future()
        entry = core.entry(
            future,
            operation,
            key,
            timeout,
            *arguments,
            since=core.clock.monotonic(),
            express=express,
            asked=asked,
        )
        watchdog = None if timeout is None else mailbox.loop.call_later(timeout + GRACE, _give_up, entry)
        try:
            core.begin(entry, mailbox)
            return await future
        finally:
            core.end(entry)
            if watchdog is not None:
                watchdog.cancel()

    async def later(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of a function that may block, called in another thread.

        Not in a pool, for whose threads the interpreter waits at exit, however long they take.
        """
        mailbox = self._open_mailbox(None)
        async with mailbox.threads:
            future: asyncio.Future[T] = mailbox.loop.create_future()
            call = mailbox.loop, future, function, arguments
            start(threading.Thread(target=_call, args=call, name="s3kv-zarr", daemon=True))
            return await future

    def _open_mailbox(self, key: str | None) -> Mailbox:
        """The mailbox of the loop that runs in this thread.

        Raises:
            StoreClosed: the store was closed.
        """
        self._store._check_open(key)
        loop = asyncio.get_running_loop()
        mailbox: Mailbox | None = getattr(self._here, "mailbox", None)
        if mailbox is None or mailbox.loop is not loop:
            mailbox = self._here.mailbox = Mailbox(loop)
        return mailbox


async def all_of(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, which run at the same time; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _call(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[T],
    function: Callable[..., T],
    arguments: tuple[Any, ...],
) -> None:
    """Call a function, and have the loop told of its outcome."""
    result: Any = None
    failure: Exception | None = None
    try:
        result = function(*arguments)
    except Exception as error:
        failure = error
    _tell(loop, _settle, future, result, failure)
    # Its traceback holds this frame.
    del failure


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Give a future its outcome, unless it has one."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Cancelled):
        # The interpreter is about to exit.
        future.cancel()
    else:
        future.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *arguments: Any) -> None:
    """Have a loop call a function; one that is closed has nobody who waits."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _give_up(entry: Entry[asyncio.Future[Any]]) -> None:
    """End an operation that should have ended by itself."""
    _settle(entry.item, None, overdue(entry.call))
