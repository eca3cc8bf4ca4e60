"""Progress bars, where there is somebody to see them."""

from __future__ import annotations

import sys
from collections.abc import Sized
from time import monotonic
from types import TracebackType
from typing import Any

# Seconds before which a rate says nothing.
_SOON = 1.0


class Progress:
    """No bar at all."""

    def expect(self, size: int) -> None:
        """Say that all there is to do is one object of so many bytes, from its beginning."""

    def step(self, size: int, count: int = 1) -> None:
        """Say that ``count`` more are done, of ``size`` bytes."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to close."""


class _Bar(Progress):
    """A bar of tqdm's, for a terminal or a notebook: of keys, with their bytes beside; or of bytes.

    Mutable state, of the one thread that steps it: tqdm's bar, made when there is something to show.
    """

    def __init__(self, what: str, total: int | None, *, at_once: bool) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True needs tqdm: install the extra 'progress' (pip install 's3kv[progress]')"
            ) from error
        self._make: Any = tqdm
        self._what = what
        self._total = total
        self._at_once = at_once
        self._bar: Any = None
        self._bytes = False
        self._size = 0
        self._began = monotonic()

    def _shown(self) -> Any:
        if self._bar is None:
            self._bar = self._make(total=self._total, desc=self._what, unit="key")
        return self._bar

    def expect(self, size: int) -> None:
        if self._bar is None:
            self._bytes = True
            self._bar = self._make(total=size, desc=self._what, unit="B", unit_scale=True)
        elif self._bytes:
            # The object has been replaced, and is begun anew.
            self._bar.reset(total=size)

    def step(self, size: int, count: int = 1) -> None:
        bar = self._shown()
        if self._bytes:
            bar.update(size)
            return
        self._size += size
        if self._size:
            bar.set_postfix_str(self._amount(), refresh=False)
        bar.update(count)

    def _amount(self) -> str:
        """How many bytes so far, and how many a second."""
        text = f"{self._size / 1e6:,.1f} MB"
        seconds = monotonic() - self._began
        return text if seconds < _SOON else f"{text}, {self._size / 1e6 / seconds:,.1f} MB/s"

    def __enter__(self) -> Progress:
        self._began = monotonic()
        if self._at_once:
            self._shown()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def show_progress(wanted: bool, what: str, items: object) -> Progress:
    """A bar if one is wanted and would be seen. It is shown from the beginning of its ``with`` block.

    Args:
        wanted: What the caller says.
        what: What is done.
        items: To be counted, if that is possible; None for what is known later, when the bar is shown.

    Raises:
        ImportError: tqdm is not installed; names the extra.
    """
    if not wanted or not (_on_a_terminal() or _in_a_notebook()):
        return Progress()
    # To count a store's keys would be to list them.
    counts = isinstance(items, Sized) and not hasattr(type(items), "_is_store")
    total = len(items) if counts else None  # type: ignore[arg-type]
    return _Bar(what, total, at_once=items is not None)


def _on_a_terminal() -> bool:
    # A program without a console has no standard error.
    return sys.stderr is not None and sys.stderr.isatty()


def _in_a_notebook() -> bool:
    """Whether this is a kernel of Jupyter's; IPython on a terminal is none."""
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return find is not None and hasattr(find(), "kernel")
