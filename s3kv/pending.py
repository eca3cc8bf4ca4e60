"""Something under way in another thread, which any number of operations wait for without one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A result that is still to come.

    Mutable state, guarded by ``_lock``: the result or error, set once, and who is to be told of it.

    Args:
        renew: Makes an error of its own for each who asks, to which it may add its own facts.
    """

    __slots__ = ("_error", "_lock", "_renew", "_settled", "_value", "_watchers")

    def __init__(self, renew: Callable[[Exception], Exception] = lambda error: error) -> None:
        self._lock = threading.Lock()
        self._renew = renew
        self._watchers: list[Callable[[], None]] = []
        self._settled = False
        self._value: T | None = None
        self._error: Exception | None = None

    @property
    def settled(self) -> bool:
        """The result or the error is there."""
        return self._settled

    def settle(self, value: T | None, error: Exception | None) -> None:
        """Set the result or the error, and tell whoever watches."""
        with self._lock:
            self._value, self._error = value, error
            self._settled = True
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have ``watcher`` called once, by the thread that settles this; now if it is settled already."""
        with self._lock:
            if not self._settled:
                self._watchers.append(watcher)
                return
        watcher()

    def result(self) -> T:
        """The result, or the error raised; to be asked for once it is settled."""
        if self._error is not None:
            raise self._renew(self._error)
        return self._value  # type: ignore[return-value]
