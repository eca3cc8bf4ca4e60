"""The blocking driver: carries out, in the current thread, what a request's life asks for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ..call import Call
from ..errors import MalformedResponse, TransportError
from ..messages import Await, Pause, Response, WireRequest
from ..pending import Pending
from ..transport.protocol import Exchange, Transport
from .life import Effect, Obtain

T = TypeVar("T")


class Timer:
    """Waits in the thread that drives, until another thread ends it."""

    def wait(self, seconds: float, call: Call) -> None:
        """Wait for ``seconds``, or until the call is stopped."""
        pause = _Pause()
        call.attach(pause)
        pause.lock.acquire(timeout=seconds)
        call.detach()


class _Pause:
    """A wait in progress."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()

    def abort(self) -> None:
        # Another thread that cancels too may have released it already.
        with contextlib.suppress(RuntimeError):
            self.lock.release()


def drive(
    steps: Generator[Effect, Any, T],
    call: Call,
    transport: Transport,
    timer: Timer | None,
    effect: Effect | None,
    exchange: Exchange | None,
    obtain: Callable[[Callable[[], Any]], Any],
) -> T | Pause | Await:
    """Run ``steps`` to the end, and return its result.

    Args:
        timer: What waits between attempts; None to return the pause instead, after which the steps can
            be driven on, or what they await.
        effect: What the steps asked for where they were begun, and nobody has done yet; None for nothing.
        exchange: The request that was sent for them there, and is not yet answered; None for none.
        obtain: What calls the function of an :class:`Obtain`.

    Raises:
        Cancelled: nobody waits any more; nothing more was sent.
        S3KVError: whatever the steps raise.
    """
    try:
        if exchange is not None:
            effect = _resume(steps, exchange.finish)
        elif effect is None:
            effect = next(steps)
        while True:
            if call.stop is not None:
                raise call.stop
            if type(effect) is WireRequest:
                effect = _resume(steps, transport.exchange, effect, call)
            elif type(effect) is Pause:
                if timer is None:
                    return effect
                timer.wait(effect.seconds, call)
                effect = steps.send(None)
            elif type(effect) is Await:
                if timer is None:
                    return effect
                _await(effect.pending, call)
                effect = steps.send(None)
            else:
                assert type(effect) is Obtain
                try:
                    result = obtain(effect.function)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except BaseException:
        steps.close()
        raise


def _await(pending: Pending[Any], call: Call) -> None:
    """Wait until something is settled, or the call is stopped."""
    pause = _Pause()
    call.attach(pause)
    pending.watch(pause.abort)
    pause.lock.acquire()
    call.detach()


def _resume(
    steps: Generator[Effect, Any, Any], receive: Callable[..., Response], *arguments: Any
) -> Effect:
    """Go on with the answer that ``receive`` waits for, or with its failure."""
    try:
        response = receive(*arguments)
    except (TransportError, MalformedResponse) as error:
        return steps.throw(error)
    return steps.send(response)
