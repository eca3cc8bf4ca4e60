"""Which requests a fault hits, and when: the script that a :class:`FaultProxy` follows."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from .faults import Fault
from .seen import Seen

if TYPE_CHECKING:
    import asyncio


class Rule(NamedTuple):
    """Which requests a fault is for.

    Attributes:
        method, operation: The very word, or None for any.
        path, key: A glob pattern (``*``, ``?``, ``[…]``), or None for any.
        where: Asked about each request that fits so far, or None.
    """

    method: str | None
    operation: str | None
    path: str | None
    key: str | None
    where: Callable[[Seen], bool] | None

    def fits(self, seen: Seen) -> bool:
        """Whether a request is one of them."""
        return (
            (self.method is None or seen.method == self.method)
            and (self.operation is None or seen.operation == self.operation)
            and (self.path is None or fnmatchcase(seen.path, self.path))
            and (self.key is None or fnmatchcase(seen.key, self.key))
            and (self.where is None or bool(self.where(seen)))
        )


class Injection:
    """A fault that waits for its requests; :meth:`FaultProxy.inject` returns it.

    Mutable state, all behind the lock of ``_changed``: what is left of ``skip`` and ``times``, the
    hits, and the stalls that wait to be released.

    Attributes:
        fault: What is done to the requests.
    """

    def __init__(
        self, fault: Fault, rule: Rule, skip: int, times: int | None, probability: float, seed: int | None
    ) -> None:
        self.fault = fault
        self._rule = rule
        self._skip = skip
        self._times = times
        self._probability = probability
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._hits = 0
        self._removed = False
        self._released = False
        self._stalled: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<{self.fault} of {self._hits} requests so far>"

    @property
    def hits(self) -> int:
        """How many requests it has hit so far."""
        return self._hits

    def wait(self, hits: int = 1, timeout: float = 10.0) -> None:
        """Wait until it has hit so many requests in all.

        Args:
            hits: How many. Default 1.
            timeout: Seconds. Default 10.

        Raises:
            TimeoutError: it has not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._hits >= hits, timeout):
                raise TimeoutError(f"{self!r}, not {hits}, after {timeout:g} s")

    def release(self) -> None:
        """End its stalls: those of now, and those of later requests before they begin."""
        with self._changed:
            self._released = True
            stalled, self._stalled = self._stalled, []
        for loop, future in stalled:
            # The loop of a proxy that is closed by now has nobody waiting.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future)

    def remove(self) -> None:
        """Hit no further request; its stalls end."""
        with self._changed:
            self._removed = True
        self.release()

    def take(self, seen: Seen) -> bool:
        """Whether it hits a request; then that is counted."""
        if not self._rule.fits(seen):
            return False
        with self._changed:
            if self._removed or self._times == 0:
                return False
            if self._skip:
                self._skip -= 1
                return False
            if self._probability < 1 and self._random.random() >= self._probability:
                return False
            if self._times is not None:
                self._times -= 1
            self._hits += 1
            self._changed.notify_all()
            return True

    async def released(self) -> None:
        """Wait for :meth:`release`."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._changed:
            if self._released:
                return
            self._stalled.append((loop, future))
        await future


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Script:
    """The faults of one proxy, and the requests that it has seen.

    Mutable state, all behind ``_lock``: the injections in their order, and the latest requests.
    """

    def __init__(self, remember: int) -> None:
        self._lock = threading.Lock()
        self._injections: list[Injection] = []
        self._seen: deque[Note] = deque(maxlen=remember)

    def add(self, injection: Injection) -> None:
        """Follow an injection, after those that there are."""
        with self._lock:
            self._injections.append(injection)

    def clear(self) -> None:
        """Remove all injections."""
        with self._lock:
            gone, self._injections = self._injections, []
        for injection in gone:
            injection.remove()

    def release(self) -> None:
        """End the stalls of all injections."""
        with self._lock:
            injections = list(self._injections)
        for injection in injections:
            injection.release()

    def begin(self, seen: Seen) -> tuple[Note, Injection | None]:
        """Note a request, and choose what to do to it."""
        with self._lock:
            injections = list(self._injections)
        hit = next((injection for injection in injections if injection.take(seen)), None)
        note = Note(seen if hit is None else seen._replace(fault=hit.fault))
        with self._lock:
            self._seen.append(note)
        return note, hit

    def requests(self) -> list[Seen]:
        """The requests so far, in the order in which their heads came."""
        with self._lock:
            return [note.seen for note in self._seen]


class Note:
    """What is known of one request by now; only its own exchange changes that.

    Attributes:
        seen: The facts, replaced as a whole.
    """

    __slots__ = ("seen",)

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
