"""One HTTP/1.1 answer put together from its bytes as they come. No I/O: the caller brings them."""

from __future__ import annotations

from typing import NamedTuple

from . import buffers
from .buffers import Room
from .byterange import parse_content_range
from .errors import MalformedResponse, TransportError
from .http1 import MAX_HEAD_BYTES, MAX_INTERIM, ChunkedDecoder, Head, check_start, has_body, parse_head
from .messages import MAX_OBJECT_BYTES, Response
from .xml import MAX_DOCUMENT_BYTES, MAX_ERROR_BYTES


class Partial(NamedTuple):
    """What came of an object's bytes before the answer broke off.

    Attributes:
        status: The answer's status.
        headers: Names in lower case to values.
        body: The bytes, unless they are in ``region``.
        region: The memory they are in, if they are many or belong into somebody's buffer.
        have: How many they are.
        length: How many were to be read; None when the answer does not tell.
        rest: How many more were to be left unread.
    """

    status: int
    headers: dict[str, str]
    body: bytes | bytearray
    region: buffers.FreshBytes | buffers.GivenBuffer | None
    have: int
    length: int | None
    rest: int


class ResponseReader:
    """Takes bytes until an answer is whole.

    Args:
        method: The method of the request, which says whether the answer has a body.
        data: A 2xx body is an object's bytes: of any size, but its end must be certain.
        into: Where to put those bytes if they fit; default: into new memory.
        cut: Of a body that is much longer than this, read this much only; default 0: read all.

    Attributes:
        started: Some byte of the answer has come.
        head: The final head, or None as long as it is not complete.
        clean: The answer ended exactly where it said it would, and lets the connection live on.
        response: The answer, once it is whole.
    """

    # No slots: most answers come in one piece, and need little of this.
    _rest = 0
    _pending = b""
    _interim = 0
    # Not a list of pieces: those can be a byte each, and a list entry is much more.
    _body: bytes | bytearray = b""
    _have = 0
    _length: int | None = None
    _limit: int | None = None
    _most = MAX_OBJECT_BYTES
    _decoder: ChunkedDecoder | None = None
    _fresh: buffers.FreshBytes | buffers.GivenBuffer | None = None
    started = False
    head: Head | None = None
    clean = False
    response: Response | None = None

    def __init__(self, method: str, data: bool, into: Room | None = None, cut: int = 0) -> None:
        self._method = method
        self._data = data
        self._into = into
        self._cut = cut

    def feed(self, data: bytes) -> bool:
        """Take bytes in the order in which they came; True when the answer is whole.

        Raises:
            MalformedResponse: the answer breaks HTTP, or does not end.
        """
        self.started = True
        if self.head is not None:
            return self._take(data)
        if self._pending:
            data = self._pending + data
        while True:
            end = data.find(b"\r\n\r\n")
            if end > MAX_HEAD_BYTES or (end < 0 and len(data) > MAX_HEAD_BYTES):
                raise MalformedResponse(f"the answer's head is longer than {MAX_HEAD_BYTES:,} bytes")
            if end < 0:
                check_start(data)
                self._pending = data
                return False
            head = parse_head(data[:end])
            data = data[end + 4 :]
            if head.status >= 200:
                break
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise MalformedResponse(f"the answer is an unexpected interim {head.status}")
        self._pending = b""
        self.head = head
        if not has_body(self._method, head.status):
            return self._finish(b"", clean=not data)
        length = head.length
        success = head.status < 300
        if self._data and success:
            if length is None and not head.chunked:
                raise MalformedResponse("the answer does not say how long the object's bytes are")
            if length is not None and length > MAX_OBJECT_BYTES:
                raise MalformedResponse(f"the answer announces an object of {length:,} bytes")
        else:
            self._limit = MAX_DOCUMENT_BYTES if success else MAX_ERROR_BYTES
            if length is not None and length > self._limit and success:
                raise MalformedResponse(f"the answer announces {length:,} bytes of document")
        if length is not None:
            if self._into is not None and self._limit is None and not (self._into.rest and self._whole):
                return self._begin_into(self._into, data, length)
            if len(data) == length:
                return self._finish(data, clean=True)
            if success and length >= buffers.FRESH and buffers.available():
                try:
                    region = buffers.FreshBytes(length, data[:length])
                except MemoryError as error:
                    raise MalformedResponse(
                        f"the answer announces {length:,} bytes, for which there is no memory"
                    ) from error
                return self._begin(region, data, length)
            self._length = length
        elif head.chunked:
            self._decoder = ChunkedDecoder()
            told = None if head.plain else parse_content_range(head.headers.get("content-range", ""))
            if told is not None:
                self._most = told[1] - told[0]
        self._body = bytearray()
        return bool(data or length == 0) and self._take(data)

    @property
    def _whole(self) -> bool:
        """It is all of the object; some stores send ranges with status 200."""
        assert self.head is not None
        return self.head.status != 206 and "content-range" not in self.head.headers

    def _begin_into(self, room: Room, data: bytes, length: int) -> bool:
        """The beginning of a body that belongs into somebody's memory."""
        if length > len(room.view) or (room.ranged and self._whole):
            # It is for the caller to say what that means; there is no use in reading on.
            self._rest = length
            return self._finish(b"", clean=False)
        return self._begin(buffers.GivenBuffer(room, length, data[:length]), data, length)

    def _begin(self, region: buffers.FreshBytes | buffers.GivenBuffer, data: bytes, length: int) -> bool:
        """The beginning of a body whose bytes go straight to where they belong."""
        self._fresh = region
        self._have = min(len(data), length)
        self._length = length
        if self._cut and self._cut >= self._have and length >= 2 * self._cut and self._is_strong():
            self._length = self._cut
            self._rest = length - self._cut
        return self._have == self._length and self._finish(region.data, clean=len(data) == length)

    def _is_strong(self) -> bool:
        """The answer has an ETag that tells one version's bytes from another's (RFC 9110, 8.8.3)."""
        assert self.head is not None
        etag = self.head.headers.get("etag", "")
        return bool(etag) and not etag.startswith("W/")

    def _take(self, data: bytes) -> bool:
        """More of the body."""
        if self._fresh is not None:
            count = min(len(data), self.missing)
            self._fresh.write(self._have, data[:count])
            return self.filled(count, clean=count == len(data))
        if self._decoder is not None:
            for piece in self._decoder.feed(data):
                self._body += piece
            self._have = len(self._body)
            if self._limit is None and self._have > self._most:
                raise MalformedResponse(
                    f"the answer is longer than the {self._most:,} bytes that it tells of"
                )
            if self._decoder.done:
                return self._finish(bytes(self._body), clean=not self._decoder.rest)
        else:
            length = self._length
            if length is not None and self._have + len(data) >= length:
                clean = self._have + len(data) == length
                body = data if not self._body else bytes(self._body) + data
                return self._finish(body if clean else body[:length], clean=clean)
            self._body += data
            self._have = len(self._body)
        limit = self._limit
        if limit is not None and self._have > limit:
            assert self.head is not None
            if self.head.status < 300:
                raise MalformedResponse(f"the answer is a document of over {limit:,} bytes")
            # Of an error that does not end, the beginning is enough.
            return self._finish(bytes(self._body[:limit]), clean=False)
        return False

    def end(self) -> Response:
        """The peer has closed the connection: the answer, if it may end so.

        Raises:
            TransportError: the answer was cut short.
        """
        if self.head is None or self._length is not None or self._decoder is not None:
            error = TransportError("the answer was cut short", reason="short", sent=True)
            error.partial = self.partial()
            raise error
        self._finish(bytes(self._body), clean=False)
        assert self.response is not None
        return self.response

    def partial(self) -> Partial | None:
        """What there is of an object's bytes; None for nothing, and for any other answer."""
        head = self.head
        if head is None or not self._data or self._limit is not None or self.response is not None:
            return None
        return Partial(
            head.status, head.headers, self._body, self._fresh, self._have, self._length, self._rest
        )

    @property
    def missing(self) -> int:
        """Bytes of body still to come; 0 when that is not known."""
        return 0 if self._length is None else self._length - self._have

    @property
    def wanted(self) -> int:
        """How many bytes to ask for at most; 0 when that is not known."""
        if self._length is None:
            return 0
        wanted = min(self._length - self._have, buffers.LARGE)
        return wanted if self._limit is None else min(wanted, self._limit - self._have + 1)

    @property
    def large(self) -> bool:
        """The body is large, or has turned out to be."""
        return (self._length or 0) >= buffers.LARGE or self._have >= buffers.LARGE

    def room(self) -> memoryview | None:
        """Where a large body's next bytes belong, to be received straight into; None otherwise."""
        return None if self._fresh is None else self._fresh.view[self._have : self._length]

    def filled(self, count: int, *, clean: bool = True) -> bool:
        """Say that ``count`` bytes were put into :meth:`room`; True when the answer is whole."""
        assert self._fresh is not None
        self._have += count
        return not self.missing and self._finish(self._fresh.data, clean=clean)

    def _finish(self, body: bytes | memoryview, *, clean: bool) -> bool:
        assert self.head is not None
        self.clean = clean and self.head.keep_alive and not self._rest
        response = self.response = Response(self.head.status, self.head, body, self.head.plain)
        if self._rest:
            response.rest = self._rest
            if self._fresh is not None:
                response.view = self._fresh.view
        # A view of the body's memory must not outlive the moment the body is handed out.
        self._fresh = None
        return True
