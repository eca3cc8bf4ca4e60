"""Pauses between attempts, without a thread for each: an operation that backs off holds up nobody."""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Generic, Protocol, TypeVar

from .call import Call
from .signals import start

# Seconds that one wait of the system may last.
_LONGEST = 10.0**6


class Pausable(Protocol):
    """What can pause: something with a call that can be stopped meanwhile."""

    call: Call


T = TypeVar("T", bound=Pausable)


class Alarm(Generic[T]):
    """Gives tasks back when their pause is over.

    Mutable state: ``_heap``, (due time, number, task) in heap order, ``_count``, and ``_thread``, which
    lives only while somebody pauses; all guarded by ``_lock``. ``_bell`` is released to wake that thread.

    Args:
        ring: Takes a task whose pause is over; called without the lock.
    """

    def __init__(self, ring: Callable[[T], None]) -> None:
        self._ring = ring
        # No condition, whose lock Ctrl-C could leave with nobody. It is taken twice where a call is stopped
        # already that a pause is attached to.
        self._lock = threading.RLock()
        self._bell = threading.Lock()
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self._thread: threading.Thread | None = None

    def set(self, task: T, seconds: float) -> None:
        """Give ``task`` back after ``seconds``, or as soon as its call is stopped."""
        with self._lock:
            self._count += 1
            heapq.heappush(self._heap, (monotonic() + seconds, self._count, task))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="s3kv-alarm", daemon=True)
                try:
                    start(thread)
                except RuntimeError:
                    # Too late for threads: the interpreter is about to exit.
                    self._heap = [entry for entry in self._heap if entry[2] is not task]
                    thread = None  # type: ignore[assignment]
                self._thread = thread
            late = self._thread is None
            if not late:
                # Inside the lock, so that the task cannot be given back before it is attached.
                task.call.attach(_Pause(self, task))
        self._wake()
        if late:
            sleep(seconds)
            self._ring(task)

    def hurry(self, task: T) -> None:
        """Give ``task`` back now, if its pause is not over yet."""
        with self._lock:
            for index, (_, number, paused) in enumerate(self._heap):
                if paused is task:
                    self._heap[index] = (0.0, number, task)
                    heapq.heapify(self._heap)
                    break
        self._wake()

    def _wake(self) -> None:
        # It may have been woken already.
        with contextlib.suppress(RuntimeError):
            self._bell.release()

    def tasks(self) -> list[T]:
        """The tasks that pause at the moment."""
        with self._lock:
            return [task for _, _, task in self._heap]

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._heap:
                    self._thread = None
                    return
                left = self._heap[0][0] - monotonic()
                task = heapq.heappop(self._heap)[2] if left <= 0 else None
            if task is None:
                self._bell.acquire(True, min(left, _LONGEST))
                continue
            task.call.detach()
            self._ring(task)
            del task


class _Pause(Generic[T]):
    """A pause under way, as what its call waits on."""

    __slots__ = ("_alarm", "_task")

    def __init__(self, alarm: Alarm[T], task: T) -> None:
        self._alarm = alarm
        self._task = task

    def abort(self) -> None:
        self._alarm.hurry(self._task)
