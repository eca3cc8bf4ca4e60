"""Steps that Ctrl-C must not cut in two.

CPython looks for signals after nearly every call, also inside its own ``threading``: KeyboardInterrupt may
come when a condition's lock has been taken and nothing has been noted yet. Nobody then gives it back. A
thread that is being started waits for it for ever, and the interpreter's exit waits for that thread; a pool
cut so starts no thread any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Whole:
    """A block at whose end Ctrl-C is heard of, not in its middle; for what takes no time.

    Other threads than the main one are not interrupted anyway, nor are programs without a handler.

    Example:
        >>> import threading
        >>> from s3kv.signals import Whole
        >>> thread = threading.Thread(target=str)
        >>> with Whole():
        ...     thread.start()
        >>> thread.join()
    """

    __slots__ = ("_came", "_handler", "_inside")

    def __enter__(self) -> None:
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._inside = False
        self._came: tuple[int, FrameType | None] | None = None
        if threading.get_ident() != threading.main_thread().ident:
            return
        import signal

        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            self._handler = handler
            try:
                signal.signal(signal.SIGINT, self._note)
            except ValueError:
                # Not the main interpreter: it has no signals.
                self._handler = None
            # Last, so that a block that another signal keeps from beginning keeps nothing back.
            self._inside = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            self._came = number, frame
        elif self._handler is not None:
            self._handler(number, frame)

    def __exit__(self, *exc_info: object) -> None:
        handler = self._handler
        if handler is None:
            return
        import signal

        self._inside = False
        signal.signal(signal.SIGINT, handler)
        came, self._came = self._came, None
        if came is not None:
            handler(*came)


def start(thread: threading.Thread) -> None:
    """Start a thread, wholly or not at all.

    Raises:
        RuntimeError: no thread can be started.
    """
    with Whole():
        thread.start()
