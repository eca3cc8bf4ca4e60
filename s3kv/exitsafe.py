"""What happens to operations under way when the interpreter exits.

The interpreter waits for the threads of every ``ThreadPoolExecutor``, and so for whatever they do. An
operation that only a daemon thread waits for must not hold it up; one that a thread waits for which the
interpreter lets finish must be allowed to finish too.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Stoppable(Protocol):
    """Something whose work may have to be cut short at exit."""

    def keep_only(self, callers: set[int | None]) -> None:
        """Cancel what was not called by one of these threads, given by their identifiers."""


# Every executor that has threads; changed only by register(), read at exit.
_registered: weakref.WeakSet[Stoppable] = weakref.WeakSet()
_armed = False


def register(thing: Stoppable) -> None:
    """Have the interpreter's exit cancel what nobody waits for any more.

    Must be called after ``concurrent.futures.thread`` was imported: the last to register is asked first.
    """
    global _armed
    _registered.add(thing)
    # There is no public way in before the threads are joined; concurrent.futures uses this one too.
    arm = getattr(threading, "_register_atexit", None)
    if not _armed and arm is not None:
        _armed = True
        arm(_at_exit)


def _at_exit() -> None:
    callers = {thread.ident for thread in threading.enumerate() if not thread.daemon}
    for thing in list(_registered):
        thing.keep_only(callers)
