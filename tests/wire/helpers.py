"""Small helpers of the wire tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """A call made in a thread of its own, so that the test goes on, and never waits for ever.

    Example:
        >>> call = Background(lambda: 6 * 7)
        >>> call.result()
        42
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        start = time.monotonic()
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error
        self.seconds = time.monotonic() - start

    def done(self, seconds: float) -> bool:
        """Whether the call is over, waiting up to so many seconds for it."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self, seconds: float = 5.0) -> T:
        """The result, or the exception, of the call."""
        assert self.done(seconds), f"the call was not over after {seconds:g} s"
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._result  # type: ignore[no-any-return]

    def error(self, seconds: float = 5.0) -> BaseException:
        """The exception that the call ended with."""
        assert self.done(seconds), f"the call was not over after {seconds:g} s"
        assert self._error is not None, f"the call succeeded: {self._result!r}"
        error, self._error = self._error, None
        return error


class Stopwatch:
    """Measures the seconds that a block takes."""

    seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._start
