"""Sets of what others hold."""

from __future__ import annotations

import weakref
from typing import TypeVar

T = TypeVar("T")


def living(things: weakref.WeakSet[T]) -> list[T]:
    """What is in a set to which other threads may add, even while it is looked through."""
    while True:
        try:
            return list(things)
        except RuntimeError:
            # Somebody did this moment.
            continue
