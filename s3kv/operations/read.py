"""Reading an object: whole, or a range of it.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from ..buffers import Room
from ..byterange import ByteRange, parse_content_range, parse_unsatisfied
from ..call import Call
from ..checksums import verify
from ..errors import ByteRangeError, DataLoss, KeyNotFound, MalformedResponse
from ..limits.copying import LARGE, CopyLimit
from ..messages import Body, Pairs, Request, Response
from ..pipeline.express import Kind
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe_answer, service_error
from .stat import Missing, head_object

_CHECKED = (("x-amz-checksum-mode", "ENABLED"),)


class Found(NamedTuple):
    """An object's bytes.

    Attributes:
        value: The bytes asked for; in the buffer that was given, a view of it.
        answer: What they came with.
        rest: How many bytes at the end are still to be read.
        view: The memory of ``value``, if there are any.
        start: Where in the object ``value`` begins, if there are any.
        spent: Seconds since the call, if there are any: the deadline for them is that much nearer.
    """

    value: bytes
    answer: Response
    rest: int = 0
    view: memoryview | None = None
    start: int = 0
    spent: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers."""
        return self.answer.headers


class Unmet(NamedTuple):
    """The object is not in the state that was asked for.

    Attributes:
        status: 304 for the generation that is not wanted, 412 for another than the one that is.
    """

    status: int


def whole_object(copies: CopyLimit) -> Kind:
    """Reads of whole objects without conditions, as a kind of plain request.

    Args:
        copies: Who has large bodies verified.
    """

    def accept(response: Response, time: float) -> Found | None:
        if response.status != 200 or response.rest:
            return None
        if not response.plain:
            if "content-range" in response.headers:
                return None
            try:
                _verify(copies, response.headers, response.body)
            except DataLoss:
                return None
        return Found(response.body, response)

    return Kind("GetObject", "GET", _CHECKED, True, accept)


def get_object(
    resources: Resources,
    call: Call,
    key: str,
    byte_range: ByteRange,
    conditions: Pairs = (),
    into: Room | None = None,
    cut: int = 0,
    peek: bool = False,
) -> Generator[Effect, Any, Found | Missing | Unmet]:
    """The bytes of an object.

    Args:
        key: The full key.
        byte_range: Which bytes.
        conditions: Headers that say when they are wanted; default: always.
        into: A buffer for them, no longer than they are if that is known; default: new memory.
        cut: If they are much more than this, read so many only; default 0: all.
        peek: If the buffer is too small, read nothing and say so; default: that is an error, or, where
            the store ignores ranges, reason to do without the buffer.

    Raises:
        ByteRangeError: the range is not wholly inside the object.
        ValueError: the buffer is too small.
        S3KVError: the store refused, or did not answer.
    """
    if byte_range.empty:
        return (yield from _empty(resources, call, key))
    whole = byte_range.whole
    headers = (_CHECKED if whole else (("range", byte_range.header()),)) + conditions
    request = Request("GetObject", "GET", key, (), headers, data=True, into=into, cut=cut)
    response = yield from live(request, resources, call)
    status = response.status
    if conditions and status in (304, 412):
        return Unmet(status)
    try:
        if status == 200 and whole and (response.plain or "content-range" not in response.headers):
            resources.memory.found = True
            if response.rest and peek:
                return Found(b"", response, response.rest)
            if response.rest:
                return _begun(resources, call, response, into, 0)
            if not response.plain:
                verify_body(resources, response.headers, response.body)
            return Found(response.body, response)
        if status == 200 and response.rest:
            if peek:
                return Found(b"", response, response.rest)
            # The Range header was ignored, which takes more than there is room for.
            return (yield from get_object(resources, call, key, byte_range, conditions))
        if status in (200, 206) and not whole:
            if response.rest and response.view is None:
                if byte_range.length is not None:
                    raise MalformedResponse(
                        f"the store sent {response.rest:,} bytes where {byte_range.length:,} were asked for"
                    )
                return _begun(resources, call, response, into, 0)
            value = _cut(response, byte_range)
            if response.rest:
                told = parse_content_range(response.headers.get("content-range", ""))
                assert told is not None
                return _begun(resources, call, response, into, told[0])
            return Found(value, response)
        if status == 416 and not whole:
            raise _outside(response, byte_range)
        if 200 <= status < 300:
            raise MalformedResponse(f"the store answered a GET with {status}, and part of the object")
    except (ByteRangeError, DataLoss, MalformedResponse) as fault:
        raise describe_answer(fault, response, call, resources.clock.monotonic()) from fault.__cause__
    error = service_error(response, request, call, resources.clock.monotonic())
    if status == 404 and isinstance(error, KeyNotFound):
        return Missing(error)
    raise error


def verify_body(resources: Resources, headers: Mapping[str, str], body: Body) -> None:
    """Check a whole object's bytes against the checksums in the answer; large ones wait for their turn.

    Raises:
        DataLoss: a checksum does not match.
    """
    _verify(resources.copies, headers, body)


def _verify(copies: CopyLimit, headers: Mapping[str, str], body: Body) -> None:
    size = len(body)
    if size < LARGE:
        verify(headers, body)
        return
    with copies.slot(size):
        verify(headers, body)


def _begun(resources: Resources, call: Call, response: Response, into: Room | None, start: int) -> Found:
    """An answer that was not read to its end.

    Raises:
        ValueError: there was no room for it.
    """
    if response.view is None:
        room = 0 if into is None else len(into.view)
        raise ValueError(f"the buffer of {room:,} bytes is too small for the {response.rest:,} asked for")
    spent = resources.clock.monotonic() - call.started
    return Found(response.body, response, response.rest, response.view, start, spent)


def _empty(resources: Resources, call: Call, key: str) -> Generator[Effect, Any, Found | Missing]:
    """No Range header asks for no bytes: all there is to know is whether the object exists."""
    headers = yield from head_object(resources, call, key)
    return headers if isinstance(headers, Missing) else Found(b"", Response(200, headers, b""))


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
