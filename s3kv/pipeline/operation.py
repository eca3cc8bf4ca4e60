"""An operation as a task: its steps, and where it stands in them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..call import Call
from ..executor import Task
from ..messages import Pause
from ..transport.protocol import Exchange, Transport
from .driver import Timer, drive
from .life import Effect

Steps = Generator[Effect, Any, Any]


class Operation(Task):
    """One operation under way. Belongs to the worker that carries it.

    Attributes:
        steps: The operation itself.
        transport: What sends its requests.
        effect: What the steps asked for and nobody has begun; None for nothing.
        exchange: The request that was sent and not yet answered; None for none.
    """

    __slots__ = ("_timer", "effect", "exchange", "steps", "transport")

    def __init__(self, steps: Steps, call: Call, transport: Transport, timer: Timer | None) -> None:
        super().__init__(call)
        self.steps = steps
        self.transport = transport
        self._timer = timer
        self.effect: Effect | None = None
        self.exchange: Exchange | None = None

    @property
    def waits_itself(self) -> bool:
        """Pauses are waited for by the worker, on a timer of the operation's own."""
        return self._timer is not None

    def run(self) -> None:
        result = failure = None
        try:
            result = drive(self.steps, self.call, self.transport, self._timer, self.effect, self.exchange)
        except BaseException as error:
            failure = error
        self.effect = self.exchange = None
        if type(result) is Pause:
            self.pause = result.seconds
        else:
            self.finish(result, failure)
