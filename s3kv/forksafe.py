"""What must start afresh in a forked child: pools, executors, locks.

A child gets a copy of the parent's memory but none of its threads, and its sockets are the parent's
too. Objects that hold such things register here and are told, in the child, to drop them.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Something that must forget threads and sockets in a forked child."""

    def after_fork(self) -> None:
        """Start afresh; runs in the child, before any other code."""


# Every registered object that is still alive; changed only by register(), read in the child.
_registered: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def register(thing: ForkAware) -> None:
    """Have ``thing.after_fork()`` called in every forked child."""
    _registered.add(thing)


def _after_fork() -> None:
    for thing in list(_registered):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
