"""Byte ranges: a Python slice on the way in, a ``Range`` header on the way out.

The semantics are TensorStore's: a range that is not wholly inside the object is an error, never a
shorter answer. https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

from __future__ import annotations

import operator
import re
from typing import Any, NamedTuple

from .errors import ByteRangeError

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)").fullmatch
_UNSATISFIED = re.compile(r"bytes \*/([0-9]{1,19})").fullmatch


class ByteRange(NamedTuple):
    """A half-open range of bytes; a negative start counts from the end of the object.

    Attributes:
        start: First byte, or minus the number of bytes wanted from the end.
        stop: One past the last byte, or None for the end of the object.
    """

    start: int
    stop: int | None

    @property
    def empty(self) -> bool:
        """True when the range holds no byte (``slice(n, n)``), which no Range header can say."""
        return self.stop is not None and self.start == self.stop

    @property
    def whole(self) -> bool:
        """True when the range is the whole object, whatever its length."""
        return self.start == 0 and self.stop is None

    @property
    def length(self) -> int | None:
        """How many bytes it is, where that does not depend on the object."""
        if self.start < 0:
            return -self.start
        return None if self.stop is None else self.stop - self.start

    def header(self) -> str:
        """The value of the ``Range`` header. Not for empty ranges."""
        if self.start < 0:
            return f"bytes={self.start}"
        if self.stop is None:
            return f"bytes={self.start}-"
        return f"bytes={self.start}-{self.stop - 1}"

    def resolve(self, size: int) -> tuple[int, int]:
        """First byte and one past the last, in an object of ``size`` bytes.

        Raises:
            ByteRangeError: the range is not wholly inside the object.
        """
        if self.empty:
            return self.start, self.start
        start = self.start + size if self.start < 0 else self.start
        stop = size if self.stop is None else self.stop
        # Zero bytes are inside only as the whole of an empty object.
        if not (0 <= start < stop <= size or (self.whole and size == 0)):
            raise ByteRangeError(f"byte range {self} is not inside an object of {size:,} bytes")
        return start, stop

    def __str__(self) -> str:
        first = "" if self.start == 0 and self.stop is not None else str(self.start)
        return f"[{first}:{'' if self.stop is None else self.stop}]"


WHOLE = ByteRange(0, None)


def parse_slice(value: slice | None) -> ByteRange:
    """The byte range that a ``slice`` means.

    Raises:
        TypeError: not a slice, or its members are not integers.
        ByteRangeError: a step, a negative stop, or a stop before the start.
    """
    if value is None:
        return WHOLE
    if not isinstance(value, slice):
        raise TypeError(f"byte_range is a slice such as slice(0, 100), not {type(value).__name__}")
    if value.step is not None:
        raise ByteRangeError(f"byte_range {value} has a step; byte ranges have none")
    start = 0 if value.start is None else _whole_number(value, value.start)
    stop = None if value.stop is None else _whole_number(value, value.stop)
    if stop is not None and stop < 0:
        raise ByteRangeError(
            f"byte_range {value} ends before the end of the object by a count: a negative stop is "
            "not supported, give the stop as an offset from the start"
        )
    if stop is not None and start < 0:
        raise ByteRangeError(
            f"byte_range {value} mixes an offset from the end with one from the start; for the "
            f"last {-start} bytes use slice({start}, None)"
        )
    if stop is not None and stop < start:
        raise ByteRangeError(f"byte_range {value} stops before it starts")
    return ByteRange(start, stop)


def _whole_number(value: slice, bound: Any) -> int:
    try:
        return operator.index(bound)
    except TypeError:
        raise TypeError(
            f"byte_range {value} has a bound of type {type(bound).__name__}: "
            "allowed are whole numbers and None"
        ) from None


def parse_content_range(value: str) -> tuple[int, int, int | None] | None:
    """(first, one past last, size or None when unknown) of a ``Content-Range``; None if malformed."""
    match = _CONTENT_RANGE(value)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    size = None if match[3] == "*" else int(match[3])
    if last < first or (size is not None and last >= size):
        return None
    return first, last + 1, size


def parse_unsatisfied(value: str) -> int | None:
    """The object's size that a 416 answer's ``Content-Range: bytes */n`` tells, or None."""
    match = _UNSATISFIED(value)
    return None if match is None else int(match[1])
