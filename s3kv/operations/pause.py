"""Waiting between two operations, as an operation: Ctrl-C, the timeout and close() end it at once."""

from __future__ import annotations

from collections.abc import Generator

from ..call import Call
from ..messages import Pause
from ..pipeline.life import Effect, Resources


def pause(resources: Resources, call: Call, seconds: float) -> Generator[Effect, None, None]:
    """Wait for so many seconds."""
    yield Pause(seconds)
