"""What is done at the same time for one call of the user's, and is stopped together with it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .callers import Callers
from .core import Core
from .errors import StoreClosed
from .executor import LISTEN
from .handle import Handle
from .signals import Whole

if TYPE_CHECKING:
    from concurrent.futures import Future
    from queue import SimpleQueue

H = TypeVar("H", bound=Handle)
Item = TypeVar("Item")
Result = TypeVar("Result")

# No more threads than this, whatever the limit of requests: each may have many of them in flight.
_MOST_THREADS = 256
# Bytes that may be in memory at once, unless a single item needs more.
_MEMORY = 512 * 1024**2
# Seconds that what is stopped may take to end, and between two looks at it.
_PATIENCE = 0.3
_PAUSE = 0.02


class Scope(Core):
    """The same opened bucket, for operations that are to be stopped together, and no others with them.

    Mutable state: as the core's; ``_calls``, ``_batches`` and ``closed`` are its own.

    Attributes:
        whole: The core.
    """

    def __init__(self, core: Core) -> None:
        # Everything else is the core's: nothing is opened here, and nothing must be closed.
        self.__dict__.update(core.__dict__)
        self._calls = set()
        self._batches = set()
        self.whole = core

    def open(self) -> None:
        """Have the end of the core be the end of this, as it is that of a batch; until :meth:`close`."""
        self.whole._batches.add(self)  # type: ignore[arg-type]
        if self.whole.closed:
            self.closed = True

    def interrupt(self, error: Exception) -> None:
        """End all that is under way with an error of this kind, and refuse anything else."""
        self.closed = True
        for call in list(self._calls):
            call.interrupt(type(error)(str(error)))
        for batch in list(self._batches):
            batch.interrupt(type(error)(str(error)))

    def close(self) -> None:
        """Take no part in the core any more."""
        self.closed = True
        self.whole._batches.discard(self)

    def __del__(self) -> None:
        """Leave alone what is the core's."""


class Crew(Generic[H]):
    """Threads that work for one call on a store, and end with it.

    Mutable state: that of the scope; what is under way belongs to the thread that iterates.

    Args:
        store: Whom they work for.

    Attributes:
        store: The same store, for the threads: what they do through it can be stopped.
    """

    def __init__(self, store: H) -> None:
        self._scope = Scope(store._core)
        self.store: H = type(store)._over(self._scope, store._context, store._path, store._timeout)
        # Not the store's own: to wait for those from one of them could be to wait for ever.
        self._callers = Callers()

    def check(self) -> None:
        """Raise StoreClosed if the work is to stop; for work that sends no requests for a while."""
        if self._scope.closed:
            raise StoreClosed("the store was closed meanwhile")

    def each(
        self,
        items: Iterable[Item],
        work: Callable[[Item], Result],
        weigh: Callable[[Item], int],
    ) -> Generator[tuple[Item, Future[Result]], None, None]:
        """Do something for every item, and hand out each, with what came of it, when it is done.

        When the iterator is closed, or ends with an exception, what is under way is stopped.

        Args:
            items: Taken as there is room.
            work: What to do, in a thread of its own.
            weigh: How many bytes in memory that takes.

        Raises:
            StoreClosed: the store was closed meanwhile.
        """
        # Not at import, which takes time, and most programs never get here.
        from queue import SimpleQueue

        waiting: dict[Future[Result], tuple[Item, int]] = {}
        done: SimpleQueue[Future[Result]] = SimpleQueue()
        in_memory = 0
        rest = iter(items)
        try:
            self._scope.open()
            count = min(self._scope._find_executor().limit, _MOST_THREADS)
            held = list(_next(rest))
            while held or waiting:
                while held and len(waiting) < 2 * count:
                    weight = weigh(held[0])
                    if waiting and in_memory + weight > _MEMORY:
                        break
                    item = held.pop()
                    future = self._callers.submit(count, work, item)
                    waiting[future] = item, weight
                    in_memory += weight
                    with Whole():
                        future.add_done_callback(done.put)
                    held += _next(rest)
                future = take(done)
                item, weight = waiting.pop(future)
                in_memory -= weight
                self.check()
                yield item, future
        finally:
            self._stop()

    def _stop(self) -> None:
        """End what is under way, if anything is, and wait a moment for that."""
        ended = StoreClosed("what it was done for has ended")
        try:
            # All that was begun: Ctrl-C may have come before the last one was noted here.
            left = [future for future in self._callers.promised() if not future.cancel()]
            until = monotonic() + _PATIENCE
            while left and monotonic() < until:
                from concurrent.futures import wait

                # Again and again: one may just have been about to begin with something else.
                self._scope.interrupt(ended)
                left = list(wait(left, _PAUSE).not_done)
        finally:
            # Also when Ctrl-C came only now, or once more.
            self._scope.interrupt(ended)
            self._scope.close()
            self._callers.close()


def _next(rest: Iterator[Item]) -> Iterator[Item]:
    """The next item, if there is one."""
    for item in rest:
        yield item
        return


def take(done: SimpleQueue[Future[Any]]) -> Future[Any]:
    """The next of futures that are done; a signal is seen while there is none."""
    from queue import Empty

    while True:
        try:
            return done.get(timeout=LISTEN)
        except Empty:
            continue
