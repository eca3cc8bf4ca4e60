"""Threads that call a store's methods for somebody who does not want to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import exitsafe, forksafe
from .signals import Whole

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


# The methods whose work would be missed.
WRITES = frozenset({"copy", "delete", "download", "modify", "put", "upload", "write"})


class _Promise:
    """A call that is made once, by whoever comes first: a pool may keep in its queue what it has refused.

    Attributes:
        future: Gets the outcome.
    """

    __slots__ = ("_arguments", "_claim", "_function", "_options", "future")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        from concurrent.futures import Future

        self._function = function
        self._arguments = arguments
        self._options = options
        self._claim = threading.Lock()
        self.future: Future[Any] = Future()

    def keep(self) -> None:
        """Make the call, unless that has been done, or is not wanted any more."""
        future = self.future
        if not self._claim.acquire(False) or not future.set_running_or_notify_cancel():
            return
        try:
            result = self._function(*self._arguments, **self._options)
        except BaseException as error:
            future.set_exception(error)
            # The error's traceback keeps this frame, and must not keep the future that has it.
            del future, self
            if not isinstance(error, Exception):
                raise
        else:
            future.set_result(result)


class Callers:
    """A pool of threads, none of which is a worker: they may wait for what workers do.

    Mutable state: ``_pool``, made under ``_lock`` when it is first needed, and ``_closed``; ``_promised``,
    the futures that have not ended, and whether they write, changed by single steps of the interpreter.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._promised: dict[Future[Any], bool] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        forksafe.register(self)

    def submit(
        self, count: int, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Future[Any]:
        """Have a thread call ``function``; this one does where the pool is closed, or no thread can be had.

        Args:
            count: How many threads there may be; the first call decides.
        """
        promise = _Promise(function, arguments, options)
        future = promise.future
        try:
            with Whole():
                if self._queue(count, promise, getattr(function, "__name__", "") in WRITES):
                    return future
        except RuntimeError:
            # No thread can be started: there are too many, or the main thread has ended.
            pass
        promise.keep()
        return future

    def _queue(self, count: int, promise: _Promise, writes: bool) -> bool:
        """Leave a call to a thread; False where the pool is closed."""
        future = promise.future
        with self._lock:
            if self._pool is None and not self._closed:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(count, thread_name_prefix="s3kv-caller")
                exitsafe.promise(self)
            pool = self._pool
            if pool is None:
                return False
            self._promised[future] = writes
            future.add_done_callback(self._kept)
        pool.submit(promise.keep)
        return True

    def promised(self) -> dict[Future[Any], bool]:
        """The futures that have not ended, and whether they write."""
        return dict(self._promised)

    def _kept(self, future: Future[Any]) -> None:
        self._promised.pop(future, None)

    def close(self) -> None:
        """Let the threads end with what they have been given."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    def after_fork(self) -> None:
        """Forget the parent's threads; the next call starts new ones."""
        self._lock = threading.Lock()
        self._promised = {}
        self._pool = None
