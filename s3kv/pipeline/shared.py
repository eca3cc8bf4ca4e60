"""How many requests at once: the process-wide executor, and those with a limit of their own."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from .. import forksafe
from ..executor import RequestExecutor, parse_concurrency
from .multiplex import AVAILABLE, Multiplexer, Spreader


def new_executor(limit: int) -> RequestExecutor:
    """An executor for ``limit`` requests at once, multiplexing where the system can."""
    return RequestExecutor(limit, Multiplexer if AVAILABLE else Spreader)


class Concurrency:
    """A limit on the requests in flight, and the executor that keeps it.

    Mutable state: ``_executor``, made under ``_lock`` when the first request needs it.

    Args:
        limit: How many at once; None for the limit that the whole process shares.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._executor: RequestExecutor | None = None
        forksafe.register(self)

    def executor(self, environ: Mapping[str, str]) -> RequestExecutor:
        """The executor; ``environ`` is read when the first request of the process needs it.

        Raises:
            SpecError: TENSORSTORE_S3_REQUEST_CONCURRENCY is not a positive integer.
        """
        executor = self._executor
        if executor is None:
            if self.limit is None and self is not _shared:
                return _shared.executor(environ)
            with self._lock:
                executor = self._executor
                if executor is None:
                    limit = self.limit or parse_concurrency(environ)
                    executor = self._executor = new_executor(limit)
        return executor

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held; the executor forgets its own."""
        self._lock = threading.Lock()


_shared = Concurrency()
