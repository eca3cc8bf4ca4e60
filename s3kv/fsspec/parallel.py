"""Many things at once that a store does one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from ..scope import take
from ..signals import Whole

T = TypeVar("T")

# So many may have been begun and not ended, the queues of the stores' threads included.
_WINDOW = 256


def run_all(
    items: Iterable[T], begin: Callable[[T], Future[Any]], ended: Callable[[T, Future[Any]], None]
) -> None:
    """Begin something for every item, and tell of each when it has ended, in this thread.

    What ``begin`` or ``ended`` raises comes through when those that are under way have ended; after
    Ctrl-C, at once. Nothing else is begun then.

    Args:
        items: Taken as there is room.
        begin: Begins one, by ``Store.futures`` for instance.
        ended: Gets the item and the future, which is done.
    """
    waiting: dict[Future[Any], T] = {}
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    rest = iter(items)
    try:
        while True:
            for item in islice(rest, _WINDOW - len(waiting)):
                # In one step: Ctrl-C could not end what is not known here.
                with Whole():
                    future = begin(item)
                    waiting[future] = item
                    future.add_done_callback(done.put)
            if not waiting:
                return
            future = take(done)
            ended(waiting.pop(future), future)
    except BaseException as error:
        left = [future for future in waiting if not future.cancel()]
        if isinstance(error, Exception):
            wait(left)
        raise
