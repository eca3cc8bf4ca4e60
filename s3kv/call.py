"""The running record of one operation: its name, clock, attempts, and how to stop it."""

from __future__ import annotations

from typing import Any, Protocol


class Abortable(Protocol):
    """What a call waits on: a connection in an exchange, or a pause."""

    def abort(self) -> None:
        """Wake the waiting thread; safe from any thread, at any time."""


class Cancelled(Exception):
    """The caller no longer waits for this operation; never seen by users."""


class Call:
    """One operation under way, from the user's call to its result.

    Written by the thread that runs the operation; :meth:`cancel` and :meth:`interrupt` may come from any
    other thread.

    Attributes:
        operation: S3's name of the request being tried.
        key: The key relative to the store, for messages; None for bucket-level operations.
        started: Monotonic time of the user's call, in seconds.
        deadline: Monotonic time at which the operation must be over, or None.
        attempts: How many times a request was sent for this operation.
        begun: What the first attempt was sent with, if that was done ahead of the request's life, which
            takes it from here; None for nothing.
        uncertain: How many requests the store may have carried out although their answers were lost.
        cancelled: The caller no longer waits for the result.
        stop: Why the operation must not go on; None as long as it may.
    """

    __slots__ = (
        "_waiting",
        "attempts",
        "begun",
        "cancelled",
        "deadline",
        "key",
        "operation",
        "started",
        "stop",
        "uncertain",
    )

    def __init__(self, key: str | None, started: float, timeout: float | None = None) -> None:
        self.operation = ""
        self.key = key
        self.started = started
        self.deadline = None if timeout is None else started + timeout
        self.attempts = 0
        self.begun: Any = None
        self.uncertain = 0
        self.cancelled = False
        self.stop: Exception | None = None
        self._waiting: Abortable | None = None

    def attach(self, waiting: Abortable) -> None:
        """Say what the operation is about to wait on."""
        self._waiting = waiting
        # A cancel that came just before found nothing to abort.
        if self.stop is not None:
            waiting.abort()

    def detach(self) -> None:
        """Say that the wait is over."""
        self._waiting = None

    def moved(self) -> int:
        """How many bytes have gone both ways over the connection it waits on; 0 where that is unknown."""
        count = getattr(self._waiting, "moved", None)
        return 0 if count is None else int(count())

    def cancel(self) -> None:
        """Stop the operation: nobody waits for it any more."""
        self.cancelled = True
        self.interrupt(Cancelled())

    def interrupt(self, error: Exception) -> None:
        """Have the operation end with ``error`` as soon as its thread notices, and wake that thread."""
        self.stop = error
        waiting = self._waiting
        if waiting is not None:
            waiting.abort()
