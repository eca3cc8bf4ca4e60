"""Progress bars, where there is somebody to see them."""

from __future__ import annotations

import sys
from collections.abc import Sized
from types import TracebackType
from typing import Any


class Progress:
    """No bar at all."""

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
    """A bar of tqdm's, for a terminal or a notebook."""

    def __init__(self, what: str, total: int | None) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True needs tqdm: install the extra 'progress' (pip install 's3kv[progress]')"
            ) from error
        self._bar: Any = tqdm(total=total, desc=what, unit="key")
        self._size = 0

    def step(self, size: int, count: int = 1) -> None:
        self._size += size
        if self._size:
            self._bar.set_postfix_str(f"{self._size / 1e6:,.1f} MB", refresh=False)
        self._bar.update(count)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


def show_progress(wanted: bool, what: str, items: object) -> Progress:
    """A bar if one is wanted and would be seen.

    Args:
        wanted: What the caller says.
        what: What is done.
        items: To be counted, if that is possible.

    Raises:
        ImportError: tqdm is not installed; names the extra.
    """
    if not wanted or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return Progress()
    # To count a store's keys would be to list them.
    counts = isinstance(items, Sized) and not hasattr(type(items), "_is_store")
    return _Bar(what, len(items) if counts else None)  # type: ignore[arg-type]
