"""An operation as a task: its steps, and where it stands in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

from ..call import Call
from ..executor import Task
from ..messages import Await, Pause
from ..transport.protocol import Exchange, Transport
from .driver import Timer, drive
from .express import Asked, Express
from .life import Effect

Steps = Generator[Effect, Any, Any]


class Operation(Task):
    """One operation under way. Belongs to the worker that carries it.

    Attributes:
        steps: The operation itself.
        transport: What sends its requests.
        express: What may send its first attempt before the steps begin; None for nothing, or no longer.
        asked: What that attempt asks for.
        timeout: Seconds that it has from when it starts; None where its call's deadline says it all.
        effect: What the steps asked for and nobody has begun; None for nothing.
        exchange: The request that was sent and not yet answered; None for none.
    """

    __slots__ = ("_timer", "asked", "effect", "exchange", "express", "steps", "timeout", "transport")

    def __init__(self, steps: Steps, call: Call, transport: Transport, timer: Timer | None) -> None:
        super().__init__(call)
        self.steps = steps
        self.transport = transport
        self._timer = timer
        self.effect: Effect | None = None
        self.exchange: Exchange | None = None
        self.express: Express | None = None
        self.asked: Asked | None = None
        self.timeout: float | None = None

    def catch_up(self) -> None:
        """Have the steps stand where they have sent what was sent for them, if anything was."""
        self.express = None
        if self.call.begun is not None:
            next(self.steps)

    @property
    def waits_itself(self) -> bool:
        """Pauses are waited for by the worker, on a timer of the operation's own."""
        return self._timer is not None

    def run(self) -> None:
        result = failure = None
        try:
            result = drive(
                self.steps,
                self.call,
                self.transport,
                self._timer,
                self.effect,
                self.exchange,
                self._obtain,
            )
        except BaseException as error:
            failure = error
        self.effect = self.exchange = None
        try:
            self._go_on(result, failure)
        finally:
            # Its traceback keeps this frame.
            del failure

    def _go_on(self, result: Any, failure: BaseException | None) -> None:
        if type(result) is Pause:
            self.pause = result.seconds
        elif type(result) is Await:
            self.pause = result.pending
        else:
            self.finish(result, failure)

    def _obtain(self, function: Callable[[], Any]) -> Any:
        """The result of a function that cannot be interrupted; who waits for it can."""
        waiting = _Waiting(self)
        self.call.attach(waiting)
        try:
            return function()
        finally:
            self.call.detach()
            waiting.end()


class _Waiting:
    """A function under way, as what its call waits on.

    Mutable state: ``_over``, guarded by ``_lock``: the function has returned, or nobody waits any more.
    """

    __slots__ = ("_lock", "_operation", "_over")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._lock = threading.Lock()
        self._over = False

    def abort(self) -> None:
        """Let the caller go at once; the worker follows when the function returns."""
        with self._lock:
            if not self._over:
                self._over = True
                call = self._operation.call
                self._operation.finish(None, call.stop)
                call.cancelled = True

    def end(self) -> None:
        with self._lock:
            self._over = True
