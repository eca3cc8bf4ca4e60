"""What happens to operations under way when the interpreter exits.

The interpreter waits for the threads of every ``ThreadPoolExecutor``, and so for whatever they do. An
operation that only a daemon thread waits for must not hold it up; one that a thread waits for which the
interpreter lets finish must be allowed to finish too. What futures have promised is done first, as long as
there is any progress: an exit must not hang on a store that does not answer.
"""

from __future__ import annotations

import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from .weak import living

if TYPE_CHECKING:
    from concurrent.futures import Future

# Seconds without any progress after which futures are given up: where some of them write, where none does.
_WRITES, _READS = 10.0, 2.0
# Seconds from one look to the next.
_LOOK = 0.1


class Stoppable(Protocol):
    """Something whose work may have to be cut short at exit."""

    def keep_only(self, callers: set[int | None]) -> None:
        """Cancel what was not called by one of these threads, given by their identifiers."""

    def moved(self) -> int:
        """A number that changes when there is progress in what is under way."""

    def give_up(self, why: str) -> None:
        """Have everything end with an error that says why, now and from now on."""


class Promising(Protocol):
    """Something that has promised to do what the interpreter should not leave undone."""

    def promised(self) -> dict[Future[Any], bool]:
        """The futures that have not ended, and whether they write."""


# Every executor that has threads, and every pool of futures; changed by the functions below, read at exit.
_registered: weakref.WeakSet[Stoppable] = weakref.WeakSet()
_promising: weakref.WeakSet[Promising] = weakref.WeakSet()
_armed = False


def register(thing: Stoppable) -> None:
    """Have the interpreter's exit cancel what nobody waits for any more.

    Must be called after ``concurrent.futures.thread`` was imported: the last to register is asked first.
    """
    _registered.add(thing)
    _arm()


def promise(thing: Promising) -> None:
    """Have the interpreter's exit wait for what was promised, though not for ever; see :func:`register`."""
    _promising.add(thing)
    _arm()


def _arm() -> None:
    global _armed
    # There is no public way in before the threads are joined; concurrent.futures uses this one too.
    arm = getattr(threading, "_register_atexit", None)
    if not _armed and arm is not None:
        _armed = True
        arm(_at_exit)


def _at_exit() -> None:
    callers = {thread.ident for thread in threading.enumerate() if not thread.daemon}
    for thing in living(_registered):
        thing.keep_only(callers)
    try:
        _wait_for_promises()
    except KeyboardInterrupt:
        _give_up("Ctrl-C came while the interpreter was exiting")


def _wait_for_promises() -> None:
    """Wait for futures as long as there is progress."""
    progress, since = None, monotonic()
    while promised := _promised():
        from concurrent.futures import wait

        wait(promised, timeout=_LOOK)
        now = (len(promised), [thing.moved() for thing in living(_registered)])
        if now != progress:
            progress, since = now, monotonic()
        elif monotonic() - since > (_WRITES if any(promised.values()) else _READS):
            _give_up("the interpreter exits, and the store does not answer")
            return


def _promised() -> dict[Future[Any], bool]:
    return {future: writes for thing in living(_promising) for future, writes in thing.promised().items()}


def _give_up(why: str) -> None:
    """End what futures have promised; say so where something may not have been written."""
    promised = _promised()
    for future in promised:
        future.cancel()
    for thing in living(_registered):
        thing.give_up(why)
    lost = sum(promised.values())
    if lost:
        import logging

        logging.getLogger("s3kv").warning("%d writes that no one waited for were given up: %s", lost, why)
