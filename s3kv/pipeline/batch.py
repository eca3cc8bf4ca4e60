"""Many operations at once, so many at a time, their outcomes handed out as they come.

The thread that wants the outcomes takes items as long as there is room, puts their operations into the
executor's queue, and sleeps only when nothing is complete. What a batch holds is bounded by its window,
however long it is.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from ..call import Call
from ..errors import StoreClosed
from ..executor import GRACE, LISTEN, RequestExecutor, identify, overdue
from ..transport.protocol import Transport
from .driver import Timer
from .operation import Operation, Steps

T = TypeVar("T")

# Seconds within which operations that are ready are announced once.
_TOGETHER = 0.0002
# Seconds that cancelled operations may take to end, and between two looks at them.
_PATIENCE = 0.3
_PAUSE = 0.002
# Bytes of an operation of which many may be in memory: to switch between threads costs more than those.
_LIGHT = 64 * 1024
# Seconds that items are taken while an outcome is ready to be handed out.
_FILLING = 0.005


class Collector(Protocol):
    """Who is told when operations have ended."""

    def complete(self, entry: Any) -> bool:
        """Say that an :class:`Entry` has ended; any thread may. Whether somebody waits to be told of it."""

    def ring(self) -> None:
        """Tell whoever waits; any thread may."""


class Entry(Operation, Generic[T]):
    """One operation of a batch.

    Attributes:
        item: What it is for.
        ended: Nobody works on it any more.
        collector: Who is told when it has ended; None for nobody any more.
    """

    __slots__ = ("collector", "ended", "item")

    def __init__(
        self, item: T, steps: Steps, call: Call, transport: Transport, timer: Timer | None
    ) -> None:
        # As the base classes do it, but for the lock: one waits for many. There are so many of these that
        # the calls count.
        self.item = item
        self.steps = steps
        self.call = call
        self.transport = transport
        self._timer = timer
        self.caller = identify()
        self.result = self.error = self.pause = None
        self.effect = self.exchange = self.express = self.asked = self.timeout = None
        self.ended = False
        self.collector: Collector | None = None

    def finish(self, result: Any, error: BaseException | None) -> None:
        bell = self.settle(result, error)
        if bell is not None:
            bell.ring()

    def settle(self, result: Any, error: BaseException | None) -> Collector | None:
        self.ended = True
        collector = self.collector
        if collector is None:
            return None
        self.result = result
        self.error = error
        return collector if collector.complete(self) else None


class Batch(Generic[T]):
    """The operations of a batch under way.

    Mutable state: ``_outstanding``, what has been begun and not handed out yet, in the order in which it
    was begun, belongs to the thread that iterates. ``_complete`` is a deque, changed by single steps of the
    interpreter; ``_stopped`` is why the batch must not go on; ``_bell`` is released by whoever finds
    ``_asleep`` set.

    Args:
        executor: What carries the operations.
        begin: Makes the operation for an item; None for "not now, ask again when one has ended".
        items: What to do; taken as there is room.
        window: How many operations may be outstanding at once; twice as many as long as they are light and
            handed out faster than they end.
        timeout: Seconds that each operation has from when it starts; None for no limit.
        stale: If the batch ends before its operations, wait a moment until nobody works on them any more;
            put into this list where somebody still does. Default: do not wait.
        weigh: Bytes that an operation that has ended holds; default: nobody knows, and none is light.
    """

    def __init__(
        self,
        executor: RequestExecutor,
        begin: Callable[[T], Entry[T] | None],
        items: Iterable[T],
        window: int,
        timeout: float | None = None,
        stale: list[Entry[T]] | None = None,
        weigh: Callable[[Entry[T]], int] | None = None,
    ) -> None:
        self._stale = stale
        self._weigh = weigh
        self._executor = executor
        self._begin = begin
        self._items: Iterator[T] = iter(items)
        self._window = window
        # How many may be outstanding at the moment.
        self._room = window
        self._timeout = timeout
        self._outstanding: dict[Entry[T], None] = {}
        self._complete: deque[Entry[T]] = deque()
        self._held_back: list[T] = []
        self._given_up: list[Entry[T]] = []
        self._exhausted = False
        self._asleep = False
        self._stopped: Exception | None = None
        self._process = os.getpid()
        self._bell = threading.Lock()
        self._bell.acquire()

    def complete(self, entry: Entry[T]) -> bool:
        """Say that an operation has ended; any thread may.

        Returns:
            Whether somebody waits to be told of it. Who expects more may wait with that: to wake a thread
            for each single one costs more than what it then does.
        """
        if entry.error is not None and entry.call.cancelled:
            # Nobody wants it, or a daemon thread that is about to be stopped for good.
            return False
        complete = self._complete
        complete.append(entry)
        if not self._asleep:
            return False
        # So many outcomes are worth being woken for, whatever else is to come.
        if len(complete) >= self._room // 4:
            self.ring()
            return False
        return True

    def interrupt(self, error: Exception) -> None:
        """Have the batch end with an error; any thread may."""
        self._stopped = error
        for entry in self._last_first():
            entry.call.interrupt(error)
        self.ring()

    def _last_first(self) -> list[Entry[T]]:
        """What is outstanding; those in the queue first, so that none takes the place of one that ends."""
        return list(self._outstanding)[::-1]

    def ring(self) -> None:
        """Wake the thread that iterates, if it sleeps; any thread may."""
        if self._asleep:
            self._asleep = False
            # Somebody else may have rung this moment.
            with contextlib.suppress(RuntimeError):
                self._bell.release()

    def in_order(self) -> Iterator[Entry[T]]:
        """The operations that have ended, in the order of their items."""
        ended: set[Entry[T]] = set()
        for entry in self._run(ended, keep=True):
            ended.add(entry)
            while self._outstanding and (first := next(iter(self._outstanding))) in ended:
                ended.discard(first)
                del self._outstanding[first]
                yield first

    def __iter__(self) -> Iterator[Entry[T]]:
        """The operations that have ended, in the order in which they did."""
        return self._run(())

    def _run(self, ended: Container[Entry[T]], *, keep: bool = False) -> Iterator[Entry[T]]:
        outstanding = self._outstanding
        try:
            while True:
                self._fill()
                if self._stopped is not None:
                    raise self._stopped
                if not self._outstanding and not self._held_back:
                    return
                waited = not self._complete
                self._sleep(ended)
                if self._stopped is not None:
                    raise self._stopped
                ready = len(self._complete)
                while self._complete:
                    entry = self._complete.popleft()
                    ready -= 1
                    # One that was given up has ended after all.
                    if entry in outstanding:
                        if not keep:
                            del outstanding[entry]
                        yield entry
                if self._weigh is not None:
                    # The last one tells what others will be like.
                    quick = waited and ready > -self._window // 2
                    wide = quick and self._weigh(entry) <= _LIGHT
                    self._room = self._window * (2 if wide else 1)
        finally:
            for entry in self._last_first():
                entry.call.cancel()
            if self._stale is not None:
                self._stale += self._wait_for_the_end()

    def _wait_for_the_end(self) -> list[Entry[T]]:
        """Wait until nobody works on what was cancelled; who still does when that takes too long."""
        until = monotonic() + _PATIENCE
        going = [*self._given_up, *self._outstanding]
        while going := [entry for entry in going if not entry.ended]:
            if monotonic() >= until:
                break
            self._bell.acquire(True, _PAUSE)
        return going

    def _fill(self) -> None:
        """Begin what there is room for; where items are slow to come, an outcome waits for one at most."""
        executor = self._executor
        announced = 0.0
        until = monotonic() + _FILLING
        try:
            while len(self._outstanding) < self._room:
                now = monotonic()
                if self._complete and now > until:
                    return
                entry = self._next()
                if entry is None:
                    return
                executor.enqueue(entry)
                # Items that come one right after the other are announced together.
                if now - announced > _TOGETHER:
                    executor.announce()
                    announced = now
        finally:
            executor.announce()

    def _next(self) -> Entry[T] | None:
        """Make the next operation; None when there is none at the moment."""
        if self._held_back:
            item = self._held_back.pop()
        elif self._exhausted:
            return None
        else:
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                return None
        if self._stopped is not None:
            return None
        entry = self._begin(item)
        if entry is None:
            self._held_back.append(item)
            return None
        entry.collector = self
        self._outstanding[entry] = None
        # If it was stopped this moment, whoever did that may not have seen this one.
        return entry if self._stopped is None else None

    def _sleep(self, ended: Container[Entry[T]]) -> None:
        """Wait until something is complete; give up what should have been by now."""
        while not self._complete and self._stopped is None:
            # Those that were begun later end later.
            oldest = next((entry for entry in self._outstanding if entry not in ended), None)
            deadline = None if oldest is None else oldest.call.deadline
            wait = -1.0
            if deadline is not None:
                wait = deadline + GRACE - monotonic()
                if wait <= 0:
                    assert oldest is not None
                    self._give_up(oldest)
                    return
            elif self._timeout is not None:
                # It has no deadline as long as it waits for its turn; look again when it may have one.
                wait = self._timeout + GRACE
            self._asleep = True
            if not self._complete and self._stopped is None:
                rung = self._bell.acquire(True, LISTEN if wait < 0 else min(wait, LISTEN))
                if not rung and os.getpid() != self._process:
                    # Nobody works on it here: its threads are the parent's.
                    self._stopped = StoreClosed("what was begun before a fork goes on in the parent only")
            self._asleep = False

    def _give_up(self, entry: Entry[T]) -> None:
        entry.collector = None
        self._given_up.append(entry)
        entry.error = overdue(entry.call)
        entry.call.cancel()
        self._complete.append(entry)
