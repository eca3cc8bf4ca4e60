"""How many threads hash or copy large bodies at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .. import forksafe
from ..messages import Body
from ..sigv4 import EMPTY_SHA256

# From so many bytes on a body is large.
LARGE = 1024 * 1024
# Hashing so much at a time keeps the interpreter lock, which for little costs less than to win it back.
_HELD = 2047
_SMALL = 8 * _HELD
# So much is hashed between two chances for Ctrl-C.
_PIECE = 32 * 1024 * 1024


class CopyLimit:
    """Lets a limited number of threads work on large bodies.

    Mutable state: ``_slots``, a semaphore.

    Args:
        limit: How many at once; None for as many as there are processors to run on.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit or _processors()
        self._slots = threading.Semaphore(self.limit)
        forksafe.register(self)

    @contextmanager
    def slot(self, size: int, timeout: float | None = None) -> Iterator[None]:
        """Wait for a turn to work on ``size`` bytes; small bodies need none.

        Raises:
            TimeoutError: there was none within ``timeout`` seconds.
        """
        if size < LARGE:
            yield
            return
        slots = self._slots
        if not slots.acquire(timeout=timeout):
            raise TimeoutError(f"no turn to work on {size:,} bytes within {timeout:g} s")
        try:
            yield
        finally:
            slots.release()

    def sha256(self, body: Body, timeout: float | None = None) -> str:
        """SHA-256 of a body in hexadecimal.

        Args:
            body: The bytes.
            timeout: Seconds that waiting for a turn may take; None for as long as it takes.

        Raises:
            TimeoutError: there was no turn in time.
        """
        size = len(body)
        if size <= _HELD or _SMALL < size < LARGE:
            return hashlib.sha256(body).hexdigest() if size else EMPTY_SHA256
        if size <= _SMALL:
            digest = hashlib.sha256(body[:_HELD])
            for start in range(_HELD, size, _HELD):
                digest.update(body[start : start + _HELD])
            return digest.hexdigest()
        with self.slot(size, timeout), memoryview(body) as view:
            digest = hashlib.sha256()
            for start in range(0, size, _PIECE):
                digest.update(view[start : start + _PIECE])
            return digest.hexdigest()

    def after_fork(self) -> None:
        """Forget the slots that the parent's threads hold."""
        self._slots = threading.Semaphore(self.limit)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
