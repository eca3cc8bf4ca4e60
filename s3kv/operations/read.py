"""Reading an object: whole, or a range of it.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from ..byterange import ByteRange, parse_content_range, parse_unsatisfied
from ..call import Call
from ..checksums import verify
from ..errors import ByteRangeError, DataLoss, KeyNotFound, MalformedResponse
from ..limits.copying import LARGE
from ..messages import Pairs, Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe, service_error
from .stat import Missing, head_object

_CHECKED = (("x-amz-checksum-mode", "ENABLED"),)


class Found(NamedTuple):
    """An object's bytes.

    Attributes:
        value: The bytes asked for.
        headers: The answer's headers.
    """

    value: bytes
    headers: dict[str, str]


class Unmet(NamedTuple):
    """The object is not in the state that was asked for.

    Attributes:
        status: 304 for the generation that is not wanted, 412 for another than the one that is.
    """

    status: int


def get_object(
    resources: Resources, call: Call, key: str, byte_range: ByteRange, conditions: Pairs = ()
) -> Generator[Effect, Any, Found | Missing | Unmet]:
    """The bytes of an object.

    Args:
        key: The full key.
        byte_range: Which bytes.
        conditions: Headers that say when they are wanted; default: always.

    Raises:
        ByteRangeError: the range is not wholly inside the object.
        S3KVError: the store refused, or did not answer.
    """
    if byte_range.empty:
        return (yield from _empty(resources, call, key))
    whole = byte_range.whole
    headers = (_CHECKED if whole else (("range", byte_range.header()),)) + conditions
    request = Request("GetObject", "GET", key, (), headers, data=True)
    response = yield from live(request, resources, call)
    status = response.status
    if conditions and status in (304, 412):
        return Unmet(status)
    try:
        if status == 200 and whole and "content-range" not in response.headers:
            _verify(resources, response)
            resources.memory.found = True
            return Found(response.body, response.headers)
        if status in (200, 206) and not whole:
            return Found(_cut(response, byte_range), response.headers)
        if status == 416 and not whole:
            raise _outside(response, byte_range)
        if 200 <= status < 300:
            raise MalformedResponse(f"the store answered a GET with {status}, and part of the object")
    except (ByteRangeError, DataLoss, MalformedResponse) as fault:
        fault.status = status
        fault.request_id = response.headers.get("x-amz-request-id")
        raise describe(fault, call, resources.clock.monotonic()) from fault.__cause__
    error = service_error(response, request, call, resources.clock.monotonic())
    if status == 404 and isinstance(error, KeyNotFound):
        return Missing(error)
    raise error


def _verify(resources: Resources, response: Response) -> None:
    """Check the bytes against the checksums in the answer; large bodies wait for their turn."""
    size = len(response.body)
    if size < LARGE:
        verify(response.headers, response.body)
        return
    with resources.copies.slot(size):
        verify(response.headers, response.body)


def _empty(resources: Resources, call: Call, key: str) -> Generator[Effect, Any, Found | Missing]:
    """No Range header asks for no bytes: all there is to know is whether the object exists."""
    headers = yield from head_object(resources, call, key)
    return headers if isinstance(headers, Missing) else Found(b"", headers)


def _cut(response: Response, byte_range: ByteRange) -> bytes:
    """The bytes of the range from an answer, whether the store honoured the range or not."""
    body = response.body
    text = response.headers.get("content-range")
    if text is None:
        if response.status == 206:
            raise MalformedResponse("the store sent part of the object without saying which")
        # The Range header was ignored, which HTTP allows: here is the whole object.
        start, stop = byte_range.resolve(len(body))
        return body[start:stop]
    told = parse_content_range(text)
    if told is None:
        if not body:
            # Some stores answer so for an empty object.
            byte_range.resolve(0)
        raise MalformedResponse(f"the store sent part of the object as {text[:80]!r}")
    first, end, size = told
    if size is None and byte_range.start >= 0 and byte_range.stop is not None:
        start, stop = byte_range.start, byte_range.stop
        if end < stop:
            raise ByteRangeError(f"byte range {byte_range} is not inside the object")
    elif size is None:
        raise MalformedResponse(f"the store does not tell the object's size: {text[:80]!r}")
    else:
        start, stop = byte_range.resolve(size)
    if len(body) != end - first or (first, end) != (start, stop):
        raise MalformedResponse(
            f"the store sent {len(body):,} bytes as {text[:80]!r} where {start}-{stop - 1} was asked"
        )
    return body


def _outside(response: Response, byte_range: ByteRange) -> ByteRangeError:
    size = parse_unsatisfied(response.headers.get("content-range", ""))
    detail = "" if size is None else f" of {size:,} bytes"
    return ByteRangeError(f"byte range {byte_range} is not inside the object{detail}")
