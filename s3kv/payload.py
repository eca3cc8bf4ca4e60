"""Values to be written: bytes as they lie in memory, and files that are read a part at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .messages import Body
from .operations.multipart import MAX_PART_BYTES, MAX_PARTS

# From so many bytes on, several connections are faster than one.
LARGE_VALUE = 32 * 1024**2
# Parts are this long, unless 10,000 of them would not do.
PART_BYTES = 8 * 1024**2

_MIB = 1024**2
# Bytes that a file is asked for, to see that there are none left.
_PROBE = 64 * 1024
# In the format of a buffer, the names of fields stand between colons.
_FIELD = re.compile(":[^:]*:")
# Parts of a file of unknown length begin to grow after so many, and double after so many more.
_STEADY = 1000
_DOUBLING = 250


def part_size(size: int) -> int:
    """How long the parts of so many bytes are, the last one aside.

    Raises:
        ValueError: no object can be so large.
    """
    if size > MAX_PARTS * MAX_PART_BYTES:
        raise ValueError(f"a value of {size:,} bytes is larger than the 48.8 TiB that an object may be")
    needed = -(-size // MAX_PARTS)
    return max(PART_BYTES, -(-needed // _MIB) * _MIB)


def growing_size(number: int) -> int:
    """How long the part of this number is, from 1 on, where nobody knows how many there will be."""
    doublings = max(0, number - _STEADY + _DOUBLING - 1) // _DOUBLING
    return min(MAX_PART_BYTES, PART_BYTES << min(doublings, 16))


def cut(body: Body) -> Iterator[memoryview]:
    """The parts of bytes in memory, as views."""
    size = part_size(len(body))
    view = memoryview(body)
    for start in range(0, len(view), size):
        yield view[start : start + size]


class Source:
    """A binary file as parts. Belongs to one thread.

    Args:
        file: Has ``read(size)``; where it can ``seek``, its length is known and it can be read again.
        step: Told of how many bytes were read.
        check: Called when all was read; what it raises keeps the value from being written.

    Raises:
        TypeError: it is no binary file.
        ValueError: it is larger than an object may be.
    """

    def __init__(
        self,
        file: Any,
        step: Callable[[int], object] = lambda size: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._step = step
        self.check = check
        self._start, self._size = _measure(file)
        self._part = None if self._size is None else part_size(self._size)
        # What was read to see whether there is more; None once it was handed out.
        self._small = self._size is not None and self._size <= LARGE_VALUE
        self._first: bytes | None = (
            self._read(LARGE_VALUE + 1, (self._size or 0) + 1)
            if self._small
            else self._read(self._part or PART_BYTES)
        )

    @property
    def repeatable(self) -> bool:
        """It can be read again."""
        return self._start is not None

    @property
    def at_hand(self) -> bool:
        """It is a file whose length is known, not what somebody may still be writing."""
        return self._size is not None

    @property
    def whole(self) -> bytes | None:
        """All of it, if that is not much; None otherwise."""
        first = self._first
        assert first is not None
        return (
            first if len(first) < (LARGE_VALUE + 1 if self._small else self._part or PART_BYTES) else None
        )

    def parts(self) -> Iterator[bytes]:
        """The parts, read as they are taken."""
        number = 1
        if self._first is not None:
            piece, self._first = self._first, None
        else:
            self._file.seek(self._start)
            piece = self._read(self._part or growing_size(1))
        while piece:
            size = len(piece)
            wanted = self._part or growing_size(number)
            yield piece
            if size < wanted:
                return
            number += 1
            piece = self._read(self._part or growing_size(number))

    def _read(self, size: int, likely: int | None = None) -> bytes:
        """So many bytes; fewer only at the end.

        Args:
            likely: After so many that is most likely; default: nobody knows.
        """
        pieces: list[bytes] = []
        missing = size
        while missing:
            wanted = missing
            if likely is not None:
                # A file makes room for all that it is asked for, however little there is.
                wanted = min(missing, max(likely, _PROBE))
            piece = self._file.read(wanted)
            if piece is None:
                raise TypeError("a value's file does not block: it has no bytes to read at the moment")
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"a value's file must be opened in binary mode; read() gave {type(piece).__name__}"
                )
            if not piece:
                break
            if len(piece) > wanted:
                raise ValueError(
                    f"a value's file gave {len(piece):,} bytes where {wanted:,} were asked for"
                )
            pieces.append(bytes(piece))
            missing -= len(piece)
            if likely is not None:
                likely -= len(piece)
        self._step(size - missing)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def open_value(value: object) -> Body | Source:
    """A value as something that can be sent: without a copy where it lies in memory.

    Raises:
        TypeError: neither bytes-like nor a binary file, or not contiguous, or addresses of objects.
        ValueError: larger than an object may be.
    """
    if isinstance(value, bytes):
        return value
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        if callable(getattr(value, "read", None)):
            return Source(value)
        raise TypeError(
            "a value is a bytes-like object (bytes, bytearray, memoryview, array) or a binary file, not "
            f"{type(value).__name__}"
        ) from None
    if not view.c_contiguous:
        raise TypeError("a value's buffer must be C-contiguous; make a copy of it first")
    if _holds_objects(view):
        raise TypeError(f"a value's buffer holds bytes: this {type(value).__name__} holds Python objects")
    if not view.nbytes:
        return b""
    part_size(view.nbytes)
    return view.cast("B")


def writable(buffer: object) -> memoryview:
    """A buffer as bytes that can be written to.

    Raises:
        TypeError: it is none, or not contiguous, or must not be written to, or has addresses of objects.
    """
    try:
        view = memoryview(buffer)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"a buffer is writable memory (bytearray, memoryview, mmap, array), not {type(buffer).__name__}"
        ) from None
    if view.readonly:
        raise TypeError(f"the buffer must be writable, and {type(buffer).__name__} is not")
    if not view.c_contiguous:
        raise TypeError("the buffer must be C-contiguous")
    if _holds_objects(view):
        raise TypeError(f"a buffer holds bytes: this {type(buffer).__name__} holds Python objects")
    return view.cast("B") if view.nbytes else memoryview(bytearray())


def _holds_objects(view: memoryview) -> bool:
    """Whether what lies in memory are addresses of objects, which nobody else can use or must change."""
    return "O" in _FIELD.sub("", view.format)


def _measure(file: Any) -> tuple[int | None, int | None]:
    """Where a file is read from, and how many bytes it has from there; None where that cannot be known."""
    try:
        if not file.seekable():
            return None, None
        start = int(file.tell())
        end = file.seek(0, 2)
        # Not every file-like object says where it gets to.
        end = int(file.tell() if end is None else end)
        file.seek(start)
    except (AttributeError, OSError, TypeError, ValueError):
        # Some files say that they can, and cannot.
        return None, None
    return start, max(0, end - start)
