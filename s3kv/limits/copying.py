"""How many threads hash or copy large bodies at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import deque
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


class _Turn:
    """A place in the queue for a slot.

    Attributes:
        given: It has one.
        bell: Released when it gets one.
    """

    __slots__ = ("bell", "given")

    def __init__(self) -> None:
        self.given = False
        self.bell = threading.Lock()
        self.bell.acquire()


class CopyLimit:
    """Lets a limited number of threads work on large bodies.

    No semaphore: Ctrl-C in the middle of one leaves its lock with nobody, or a slot.

    Mutable state, guarded by ``_lock``: ``_free``, how many slots nobody has, and ``_waiting``, who is to
    get the next ones.

    Args:
        limit: How many at once; None for as many as there are processors to run on.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit or _processors()
        self.after_fork()
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
        turn = _Turn()
        try:
            with self._lock:
                if self._free:
                    self._free -= 1
                    turn.given = True
                else:
                    self._waiting.append(turn)
            if not turn.given and not turn.bell.acquire(True, -1 if timeout is None else timeout):
                raise TimeoutError(f"no turn to work on {size:,} bytes within {timeout:g} s")
            yield
        finally:
            self._end(turn)

    def _end(self, turn: _Turn) -> None:
        """Give the slot, if there is one, to whoever waits, or the place in the queue to nobody."""
        with self._lock:
            if not turn.given:
                # Ctrl-C may have come before it was there.
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            elif self._waiting:
                following = self._waiting[0]
                following.given = True
                del self._waiting[0]
                following.bell.release()
            else:
                self._free += 1

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
        self._lock = threading.Lock()
        self._free = self.limit
        self._waiting: deque[_Turn] = deque()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
