"""The one executor of this process, for stores without a limit of their own."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from .. import forksafe
from ..executor import RequestExecutor, parse_concurrency
from .multiplex import AVAILABLE, Multiplexer, Spreader


def new_executor(limit: int) -> RequestExecutor:
    """An executor for ``limit`` requests at once, multiplexing where the system can."""
    return RequestExecutor(limit, Multiplexer if AVAILABLE else Spreader)


class _Shared:
    """Mutable state: ``executor``, made under ``lock`` when the first request needs it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executor: RequestExecutor | None = None
        forksafe.register(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_shared = _Shared()


def shared_executor(environ: Mapping[str, str]) -> RequestExecutor:
    """The process-wide executor; ``environ`` is read when the first request needs it.

    Raises:
        SpecError: TENSORSTORE_S3_REQUEST_CONCURRENCY is not a positive integer.
    """
    executor = _shared.executor
    if executor is None:
        with _shared.lock:
            executor = _shared.executor
            if executor is None:
                executor = _shared.executor = new_executor(parse_concurrency(environ))
    return executor
