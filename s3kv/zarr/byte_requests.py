"""zarr's byte requests as ranges of an object.

zarr cuts a request to the value's length, as slices of a sequence are cut; a store's byte range must be
wholly inside the object. So what is asked for is tried as it is: one GET, for a request that fits, as most
do. Only one that does not fit is followed by another, for what there is.
"""

from __future__ import annotations

from typing import NamedTuple

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from ..byterange import WHOLE, ByteRange
from ..errors import ByteRangeError


class Attempt(NamedTuple):
    """A way to have the bytes of a request.

    Attributes:
        byte_range: Read this, if it is wholly inside the object.
        cut: Take this of it.
    """

    byte_range: ByteRange
    cut: slice = slice(None)


def attempts(request: ByteRequest | None) -> tuple[Attempt, ...]:
    """What to read for a request, in turn; where none is inside the object, there are no bytes of it.

    Raises:
        TypeError: it is no request.
        ByteRangeError: a negative number, or an end before the start.
    """
    if request is None:
        return (Attempt(WHOLE),)
    if isinstance(request, RangeByteRequest):
        start, end = request.start, request.end
        if 0 <= start <= end:
            # From a start on there is less than was asked for, or it would have fitted.
            return Attempt(ByteRange(start, end)), Attempt(ByteRange(start, None), slice(end - start))
    elif isinstance(request, OffsetByteRequest):
        if request.offset >= 0:
            return (Attempt(ByteRange(request.offset, None)),)
    elif isinstance(request, SuffixByteRequest):
        suffix = request.suffix
        if suffix > 0:
            return Attempt(ByteRange(-suffix, None)), Attempt(WHOLE, slice(-suffix, None))
        if suffix == 0:
            return (Attempt(ByteRange(0, 0)),)
    else:
        raise TypeError(
            f"Unexpected byte_range, got {request!r:.80}: allowed are RangeByteRequest, OffsetByteRequest, "
            "SuffixByteRequest and None"
        )
    raise ByteRangeError(
        f"{request} is no range of bytes: allowed are 0 <= start <= end, and counts from 0"
    )
