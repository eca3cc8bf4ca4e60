"""Threads that call a store's methods for somebody who does not want to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import exitsafe, forksafe

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


# The methods whose work would be missed.
WRITES = frozenset({"copy", "delete", "download", "modify", "put", "upload", "write"})


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
        with self._lock:
            if not self._closed:
                if self._pool is None:
                    from concurrent.futures import ThreadPoolExecutor

                    self._pool = ThreadPoolExecutor(count, thread_name_prefix="s3kv-caller")
                    exitsafe.promise(self)
                # None can be had any more when the main thread has ended.
                with suppress(RuntimeError):
                    promised = self._pool.submit(function, *arguments, **options)
                    self._promised[promised] = getattr(function, "__name__", "") in WRITES
                    promised.add_done_callback(self._kept)
                    return promised
        from concurrent.futures import Future

        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future

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
