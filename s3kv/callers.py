"""Threads that call a store's methods for somebody who does not want to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import forksafe

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


class Callers:
    """A pool of threads, none of which is a worker: they may wait for what workers do.

    Mutable state: ``_pool``, made under ``_lock`` when it is first needed, and ``_closed``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        forksafe.register(self)

    def submit(
        self, count: int, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Future[Any]:
        """Have a thread call ``function``; in a pool that is closed, this one does.

        Args:
            count: How many threads there may be; the first call decides.
        """
        with self._lock:
            if not self._closed:
                if self._pool is None:
                    from concurrent.futures import ThreadPoolExecutor

                    self._pool = ThreadPoolExecutor(count, thread_name_prefix="s3kv-caller")
                return self._pool.submit(function, *arguments, **options)
        from concurrent.futures import Future

        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future

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
        self._pool = None
