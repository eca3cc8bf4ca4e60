"""What must start afresh in a forked child: pools, executors, locks.

A child gets a copy of the parent's memory but none of its threads, and its sockets are the parent's
too. Objects that hold such things register here and are told, in the child, to drop them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Protocol

from .weak import living


class ForkAware(Protocol):
    """Something that must forget threads and sockets in a forked child."""

    def after_fork(self) -> None:
        """Start afresh; runs in the child, before any other code."""


# Held while a module is loaded on first use. A child that is forked in the middle of an import would
# find the module half loaded and its lock held by a thread that is no more; so a fork waits.
importing = threading.RLock()

_armed = False

# Every registered object that is still alive; changed only by register(), read in the child.
_registered: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def register(thing: ForkAware) -> None:
    """Have ``thing.after_fork()`` called in every forked child."""
    _registered.add(thing)


def _after_fork() -> None:
    global importing
    importing = threading.RLock()
    for thing in living(_registered):
        # One that fails must not keep the others from starting afresh.
        with contextlib.suppress(OSError):
            thing.after_fork()


def arm() -> None:
    """Begin to look after forks; called when a store is opened, and does something once.

    Whoever registers last is asked first. This must be asked before ``logging``, whose lock an import may
    need, so both modules that a store needs and that register themselves are imported here; by a worker
    they must not be, while another thread may be forking.
    """
    global _armed
    if _armed or not hasattr(os, "register_at_fork"):
        return
    _armed = True
    import concurrent.futures.thread  # noqa: F401
    import hmac
    import logging  # noqa: F401

    # OpenSSL loads each algorithm at its first use, under a lock that a child would inherit.
    hmac.digest(b"", b"", "sha256")

    os.register_at_fork(
        before=lambda: importing.acquire(),
        after_in_parent=lambda: importing.release(),
        after_in_child=_after_fork,
    )
