"""What lies over a file that is written, compression and text, and gives up with it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any


class Compressed(io.BufferedIOBase):
    """A compressor and the file that it writes to, closed together.

    Mutable state: ``_place``, how many bytes were written, counted from those that the file had before.

    Args:
        file: The file; closed, discarded or forgotten with this.
        make: Makes of ``file`` what writes to it, and has ``write`` and ``close``.
    """

    def __init__(self, file: Any, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._file = file
        self._place = int(file.tell())
        self._compressor = make(file)

    def writable(self) -> bool:
        """Whether the file is open."""
        return not self.closed

    def write(self, data: Any) -> int:
        """Compress bytes, and write what comes out."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        with memoryview(data) as view:
            size = view.nbytes
        self._compressor.write(data)
        self._place += size
        return size

    def tell(self) -> int:
        """Where the next bytes go, 0 only if there are none yet."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        return self._place

    def close(self) -> None:
        """Write what is left, and close the file."""
        if self.closed:
            return
        try:
            self._compressor.close()
        except BaseException:
            self._file.discard()
            raise
        finally:
            super().close()
        self._file.close()

    def discard(self) -> None:
        """Forget all that was written."""
        self._file.discard()
        self._end()

    def forget(self) -> None:
        """Give up, as when nobody has the file any more."""
        if not self.closed:
            self._file.forget()
            self._end()

    def _end(self) -> None:
        # What a compressor writes at its end has nowhere to go.
        with contextlib.suppress(Exception):
            self._compressor.close()
        super().close()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        self.forget()


class Text(io.TextIOWrapper):
    """Text over a file that is written, given up with it.

    Args:
        file: A file of bytes; closed, discarded or forgotten with this.
        **options: As for ``io.TextIOWrapper``.
    """

    def __init__(self, file: Any, **options: Any) -> None:
        self._file: Any = file
        # Only a file that says so is asked where it is, and a byte order mark is for the beginning alone:
        # without this, UTF-16 would have none, and what is appended in "utf-8-sig" another one.
        file.seekable = lambda: True
        try:
            super().__init__(file, **options)
        finally:
            del file.seekable

    def detach(self) -> Any:
        """Write the text that waits here, and leave the file to the caller; this is of no more use."""
        file = super().detach()
        self._file = None
        return file

    def close(self) -> None:
        """Write the text that waits here, and close the file."""
        if self._file is not None:
            super().close()

    def discard(self) -> None:
        """Forget all that was written."""
        if self._file is not None:
            self._file.discard()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        # Otherwise the text that waits here would be written, and the file be closed as if all was well. A
        # file that is closed may still wait for its transaction.
        if self._file is not None and not self._file.closed:
            self._file.forget()
