"""The multiplexing driver: carries many operations in one thread, each one's small exchange on a
connection of its own.

It does what the blocking driver does, step for step, as long as nothing has to be waited for but
answers. A connection to be opened, a bucket's region to be asked for or a large body would hold up
everyone else: such an operation is handed, as it stands, to a worker of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import MalformedResponse, TransportError
from ..messages import Await, Pause, WireRequest
from .operation import Operation

if TYPE_CHECKING:
    from ..executor import Bell, RequestExecutor, Task
    from ..transport.connection import Connection
    from ..transport.protocol import Exchange

AVAILABLE = hasattr(select, "epoll") and hasattr(os, "eventfd")

# How often, in seconds, exchanges are checked for silence when nothing else wakes the leader.
_TICK = 1.0


def hand_out(executor: RequestExecutor) -> None:
    """Give every queued operation a worker of its own."""
    queue, permits = executor.queue, executor.permits
    while queue and permits:
        try:
            permits.pop()
        except IndexError:
            return
        try:
            operation = queue.popleft()
        except IndexError:
            permits.append(None)
            return
        executor.hand_off(operation, alone=not queue)


class Spreader:
    """The leader where the system has no epoll: one thread for each operation.

    Args:
        executor: Whose queue to serve.
    """

    sleeping = False

    def __init__(self, executor: RequestExecutor) -> None:
        self._executor = executor
        self.active = False

    def lead(self) -> None:
        """Hand out what is queued."""
        hand_out(self._executor)

    def wake(self) -> None:
        """Nobody sleeps here."""

    def carried(self) -> list[Task]:
        """None: each is handed out at once."""
        return []

    def close(self) -> None:
        """Nothing is held."""


class Multiplexer:
    """The leader of an executor (see :class:`s3kv.executor.Leader`).

    Mutable state: ``_exchanges``, the operations that wait for an answer, by file descriptor,
    ``_unheard``, idle descriptors that made noise and are no longer polled, ``_bells``, batches that are
    to be told of outcomes, ``_ended``, operations whose callers are to be, and ``_check_at`` belong to the
    thread that leads; the executor sees to it that there is one at most. ``active`` and ``sleeping`` are
    written by that thread, and ``sleeping`` is cleared by whoever wakes it.
    Connections stay registered with ``_poller`` while they lie in their pool; whoever else takes one
    calls :meth:`unwatch` first.

    Args:
        executor: Whose queue to serve.
    """

    def __init__(self, executor: RequestExecutor) -> None:
        self._executor = executor
        self._exchanges: dict[int, Operation] = {}
        self._bells: set[Bell] = set()
        self._ended: list[Operation] = []
        self._check_at = 0.0
        self._unheard: set[int] = set()
        self._poller: select.epoll | None = None
        self._bell: int = -1
        self.active = False
        self.sleeping = False

    def lead(self) -> None:
        """Start and carry queued operations until none is left that waits for an answer."""
        executor = self._executor
        try:
            poller = self._poller or self._open()
        except OSError:
            # Out of descriptors: threads can wait without any.
            hand_out(executor)
            return
        queue, permits = executor.queue, executor.permits
        exchanges = self._exchanges
        self.active = True
        while True:
            while queue and permits:
                try:
                    permits.pop()
                except IndexError:
                    break
                try:
                    operation = queue.popleft()
                except IndexError:
                    permits.append(None)
                    break
                self._start(operation)  # type: ignore[arg-type]
                del operation
            if not exchanges:
                self._ring()
                self.active = False
                if queue and permits:
                    self.active = True
                    continue
                return
            executor.rouse_for_slow()
            now = monotonic()
            if now >= self._check_at:
                self._check(now)
                continue
            events: list[tuple[int, int]] = []
            if self._bells or self._ended:
                events = poller.poll(0)
                if not events:
                    # Nothing more to tell for a while.
                    self._ring()
            if not events:
                self.sleeping = True
                if queue and permits:
                    self.sleeping = False
                    continue
                events = poller.poll(self._check_at - now)
                self.sleeping = False
            for descriptor, _ in events:
                waiting = exchanges.get(descriptor)
                if waiting is not None:
                    self._advance(descriptor, waiting)
                elif descriptor == self._bell:
                    os.eventfd_read(descriptor)
                else:
                    # An idle connection that the store has closed, most likely.
                    self._unheard.add(descriptor)
                    self._forget(descriptor)
            if self._ended:
                self._wake_callers()

    def _ring(self) -> None:
        self._wake_callers()
        while self._bells:
            self._bells.pop().ring()

    def _wake_callers(self) -> None:
        """Wake those whose operations have ended, all of a round at once.

        Each that is awake wants the interpreter's lock, which this thread would have to win back from them
        after each system call of the rest of the round.
        """
        ended = self._ended
        if ended:
            self._ended = []
            for operation in ended:
                operation.ring()

    def _open(self) -> select.epoll:
        poller = select.epoll()
        bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            poller.register(bell, select.EPOLLIN)
        except OSError:
            os.close(bell)
            raise
        self._bell = bell
        self._poller = poller
        return poller

    # ---------------------------------------------------------------- one operation

    def _start(self, operation: Operation) -> None:
        steps = operation.steps
        try:
            if operation.call.stop is not None:
                # What they hold is given back now, not when the last trace of them is collected.
                steps.close()
                raise operation.call.stop
            if (express := operation.express) is not None:
                assert operation.asked is not None
                try:
                    exchange = express.begin(operation, operation.asked)
                except TransportError as error:
                    operation.catch_up()
                    effect = steps.throw(error)
                else:
                    if exchange is not None:
                        self._expect(operation, exchange)
                        return
                    operation.express = None
                    effect = next(steps)
            else:
                effect = next(steps)
        except StopIteration as end:
            self._complete(operation, end.value, None)
        except BaseException as error:
            self._complete(operation, None, error)
        else:
            self._pursue(operation, effect)

    def _pursue(self, operation: Operation, effect: Any) -> None:
        """Do what the steps ask for, or hand the operation off with it."""
        steps = operation.steps
        try:
            while True:
                if operation.call.stop is not None:
                    steps.close()
                    raise operation.call.stop
                exchange = None
                if type(effect) is WireRequest:
                    try:
                        exchange = operation.transport.begin(effect, operation.call)
                    except TransportError as error:
                        effect = steps.throw(error)
                        continue
                break
        except StopIteration as end:
            self._complete(operation, end.value, None)
            return
        except BaseException as error:
            self._complete(operation, None, error)
            return
        if exchange is None:
            if not operation.waits_itself and type(effect) in (Pause, Await):
                operation.pause = effect.seconds if type(effect) is Pause else effect.pending
                self._executor.release(operation)
                return
            operation.effect = effect
            self._hand_off(operation)
            return
        self._expect(operation, exchange)

    def _expect(self, operation: Operation, exchange: Exchange) -> None:
        """Wait for the answer to a request that was sent."""
        operation.exchange = exchange
        connection = exchange.connection
        descriptor = connection.descriptor
        if (connection.watcher is not self or descriptor in self._unheard) and not self._watch(
            connection, descriptor
        ):
            self._hand_off(operation)
            return
        self._exchanges[descriptor] = operation
        deadline = operation.call.deadline
        if deadline is not None and deadline < self._check_at:
            self._check_at = deadline

    def _advance(self, descriptor: int, operation: Operation) -> None:
        """Take what has arrived for an operation; go on with it when its answer is whole."""
        exchange = operation.exchange
        assert exchange is not None
        try:
            try:
                response = exchange.advance()
            except (TransportError, MalformedResponse) as error:
                del self._exchanges[descriptor]
                operation.exchange = None
                operation.catch_up()
                effect = operation.steps.throw(error)
            else:
                if response is None:
                    if exchange.large:
                        del self._exchanges[descriptor]
                        self.unwatch(exchange.connection)
                        self._hand_off(operation)
                    return
                del self._exchanges[descriptor]
                operation.exchange = None
                if operation.express is not None:
                    assert operation.asked is not None
                    result = operation.express.end(operation, operation.asked, response)
                    if result is not None:
                        self._complete(operation, result, None)
                        return
                    operation.catch_up()
                effect = operation.steps.send(response)
        except StopIteration as end:
            self._complete(operation, end.value, None)
        except BaseException as error:
            self._complete(operation, None, error)
        else:
            self._pursue(operation, effect)

    def _hand_off(self, operation: Operation) -> None:
        operation.catch_up()
        self._executor.hand_off(operation, alone=not self._exchanges and not self._executor.queue)

    def _complete(self, operation: Operation, result: Any, error: BaseException | None) -> None:
        if error is not None and operation.call.begun is not None:
            # Something that no life knows of: it ends here, and gives back what it holds.
            operation.catch_up()
            operation.steps.close()
        bell = operation.settle(result, error)
        if bell is operation:
            self._ended.append(operation)
        elif bell is not None:
            self._bells.add(bell)
        self._executor.release(operation)

    def _check(self, now: float) -> None:
        """End the exchanges whose time is over, and say when to look again."""
        self._check_at = now + _TICK
        for descriptor, operation in list(self._exchanges.items()):
            exchange = operation.exchange
            assert exchange is not None
            until = exchange.expires
            deadline = operation.call.deadline
            if deadline is not None and deadline < until:
                until = deadline
            if until > now:
                self._check_at = min(self._check_at, until)
                continue
            del self._exchanges[descriptor]
            operation.exchange = None
            try:
                operation.catch_up()
                effect = operation.steps.throw(exchange.expire())
            except StopIteration as end:
                self._complete(operation, end.value, None)
            except BaseException as failure:
                self._complete(operation, None, failure)
            else:
                self._pursue(operation, effect)

    # ---------------------------------------------------------------- watching

    def _watch(self, connection: Connection, descriptor: int) -> bool:
        assert self._poller is not None
        try:
            self._poller.register(descriptor, select.EPOLLIN)
        except OSError:
            return False
        self._unheard.discard(descriptor)
        connection.watcher = self
        return True

    def unwatch(self, connection: Connection) -> None:
        """Stop watching a connection; whoever owns it may call this, from any thread."""
        connection.watcher = None
        self._forget(connection.fileno())

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            assert self._poller is not None
            self._poller.unregister(descriptor)

    def wake(self) -> None:
        """Wake the thread that leads."""
        self.sleeping = False
        os.eventfd_write(self._bell, 1)

    def carried(self) -> list[Task]:
        """The operations that wait for an answer."""
        return list(self._exchanges.values())

    def close(self) -> None:
        """Close the descriptors; for a forked child, where they are copies of the parent's."""
        if self._poller is not None:
            self._poller.close()
            self._poller = None
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()
