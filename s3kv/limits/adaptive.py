"""How many requests a store takes at once, found out by its own refusals.

A store that answers 503 or 429 wants less, and to come back later with as much as before is to be refused
again. So each such answer halves the number of requests in flight, and each success raises it by a
little, until it is what was configured: as TCP does with its window (RFC 5681, section 3.1).
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable

from .. import forksafe
from ..pending import Pending


class AdaptiveLimit:
    """The limit of one bucket's requests in flight.

    As long as the store refuses nothing, there is none, and it costs next to nothing.

    Mutable state: ``flying``, a set changed by single steps of the interpreter; all else is guarded by
    ``_lock``, which only a store that refuses requests makes anyone take.

    Args:
        ceiling: Tells the configured limit.

    Attributes:
        flying: One object for each request in flight.
        active: The store has asked for less, or somebody waits for a turn.
        epoch: How often it has.
    """

    def __init__(self, ceiling: Callable[[], int]) -> None:
        self.flying: set[object] = set()
        self._ceiling = ceiling
        self._reset()
        forksafe.register(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Pending[None]] = deque()
        self._allowed = math.inf
        self.active = False
        self.epoch = 0

    @property
    def allowed(self) -> int | None:
        """How many requests may be in flight at the moment; None for as many as configured."""
        allowed = self._allowed
        return None if allowed == math.inf else int(allowed)

    def turn(self) -> Pending[None] | None:
        """What to wait for before another request may be sent; None when it may be at once."""
        with self._lock:
            if len(self.flying) + 1 <= self._allowed:
                return None
            turn: Pending[None] = Pending()
            self._waiting.append(turn)
            if len(self.flying) + 1 <= self._allowed:
                # One has ended this moment, and may have found nobody who waits.
                self._waiting.pop()
                return None
            return turn

    def leave(self, turn: Pending[None]) -> None:
        """Say that nobody waits for a turn any more; if it was given already, it is another's."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(turn)
        self.pass_on()

    def pass_on(self) -> None:
        """Say that a request has ended: others may be sent."""
        with self._lock:
            room = min(self._allowed - len(self.flying), len(self._waiting))
            turns = [self._waiting.popleft() for _ in range(int(max(room, 0)))]
            self._update()
        for turn in turns:
            turn.settle(None, None)

    def refused(self, epoch: int) -> None:
        """Say that the store wants less.

        Args:
            epoch: What it was when the request was sent: one that was under way when the limit was last
                reduced tells nothing new.
        """
        with self._lock:
            if epoch != self.epoch:
                return
            self.epoch += 1
            # The one that was refused is no longer in flight, but was.
            self._allowed = max(1.0, min(self._allowed, len(self.flying) + 1) / 2)
            self._update()

    def accepted(self) -> None:
        """Say that a request has succeeded."""
        with self._lock:
            self._allowed += 1.0 / self._allowed
            if self._allowed >= self._ceiling():
                self._allowed = math.inf
        self.pass_on()

    def _update(self) -> None:
        self.active = self._allowed != math.inf or bool(self._waiting)

    def after_fork(self) -> None:
        """Forget the parent's requests."""
        self.flying = set()
        self._reset()
