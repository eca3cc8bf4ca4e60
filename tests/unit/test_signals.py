"""Blocks in whose middle Ctrl-C is not heard of: it comes at their end, to whoever handles it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from s3kv.signals import Whole, start

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_comes_at_the_end() -> None:
    """However often it is pressed, once."""
    done = []

    def work() -> None:
        with Whole():
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
                done.append("step")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["step"] * 3


def test_without_ctrl_c_nothing_happens() -> None:
    """Neither in the block nor after it; and then it comes at once again."""
    with Whole():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_of_the_block_is_the_context_of_ctrl_c() -> None:
    """It is not lost; without Ctrl-C it comes as it is."""
    error = ValueError("wrong")

    def work() -> None:
        with Whole():
            signal.raise_signal(signal.SIGINT)
            raise error

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert caught.value.__context__ is error
    with pytest.raises(ValueError, match="wrong"), Whole():
        raise ValueError("wrong")


def test_a_handler_of_the_program_is_asked() -> None:
    """With what it would have got."""
    calls: list[tuple[int, FrameType | None]] = []

    def handler(number: int, frame: FrameType | None) -> Any:
        calls.append((number, frame))

    signal.signal(signal.SIGINT, handler)
    with Whole():
        signal.raise_signal(signal.SIGINT)
        assert calls == []
    assert [number for number, _ in calls] == [signal.SIGINT]
    assert calls[0][1] is not None
    assert signal.getsignal(signal.SIGINT) is handler
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_blocks_in_blocks_are_one() -> None:
    """The outermost ends it."""
    done = []

    def work() -> None:
        with Whole():
            with Whole():
                signal.raise_signal(signal.SIGINT)
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["outer"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_program_that_does_not_hear_of_ctrl_c_is_left_alone(handler: signal.Handlers) -> None:
    """What the system does with the signal stays."""
    signal.signal(signal.SIGINT, handler)
    with Whole():
        assert signal.getsignal(signal.SIGINT) == handler
    assert signal.getsignal(signal.SIGINT) == handler
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_changes_no_handler() -> None:
    """It may not, and is not interrupted anyway."""
    seen = []
    go_on = threading.Event()

    def work() -> None:
        go_on.wait(5)
        with Whole():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    start(thread)
    go_on.set()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_signal_that_raises_leaves_ctrl_c_heard_of() -> None:
    """Another one, which comes in the middle and is not kept back."""

    class StopNow(Exception):
        pass

    def stop(number: int, frame: FrameType | None) -> None:
        raise StopNow

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(StopNow), Whole():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
