"""HTTP/1.1 messages as bytes: request heads out, response heads and chunked bodies in.

No I/O here: the caller brings the bytes. Parsing is strict, because a client that guesses where an
answer ends can hand one object's bytes to the reader of another.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import re

from .errors import MalformedResponse

MAX_HEAD_BYTES = 64 * 1024
MAX_CHUNK_LINE = 1024
MAX_INTERIM = 32

# RFC 9112 section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]. Some servers
# leave out the second space when there is no reason. RFC 9110 section 5: field-name = token,
# field values hold no control character but tab. Obsolete line folding starts with white space and
# so is no field line here: it is refused, not unfolded.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?"
    rb"((?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*)"
).fullmatch
_FIELD = re.compile(r"\r\n([^:]+):[\t ]*([^\r]*)").findall
_DIGITS = re.compile(rb"[0-9]{1,19}").fullmatch
# What says where the answer ends, and what kind of object's bytes it has; in lower case.
_TELLING = re.compile(
    rb"\r\n(content-(?:length|range)|transfer-encoding|connection|x-amz-checksum-[a-z0-9-]+):[\t ]*([^\r]*)"
).findall
# The most frequent head of all, in lower case: a success with a length that keeps the connection, and
# nothing that would make its body anything but a whole object. The grammar is that of _HEAD.
_PLAIN = re.compile(
    rb"http/1\.1 200(?: [\t\x20-\x7e\x80-\xff]*)?"
    rb"(?:\r\n(?:content-length:[\t ]*([0-9]{1,15})|connection: keep-alive(?=\r|\Z)"
    rb"|content-type:[\t\x20-\x7e\x80-\xff]*"
    rb"|(?!con|transfer-e|x-amz-checksum-)[!#$%&'*+\-.^_`|~0-9a-z]+:[\t\x20-\x7e\x80-\xff]*))*"
).fullmatch
_ETAG = re.compile(rb"\r\n[Ee][Tt][Aa][Gg]:[\t ]*([^\r]*)").search
# chunk-size = 1*HEXDIG; extensions are skipped, but not their control characters.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*").fullmatch


class Fields:
    """Header lines that were found good, looked at when somebody asks, which not all do."""

    __slots__ = ("_headers", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case to values; a field sent twice is joined with a comma."""
        if self._headers is None:
            self._headers = _headers_of(self._text)
        return self._headers

    @property
    def etag(self) -> str:
        """The field of that name, without the trouble of looking at all others; empty if there is none."""
        match = _ETAG(self._text)
        return "" if match is None else match[1].rstrip(b"\t ").decode("latin-1")


class Head(Fields):
    """The head of one response.

    Attributes:
        status: The status code, 100 to 599.
        length: Bytes of body announced by Content-Length, or None.
        chunked: The body is in chunks.
        keep_alive: The connection may carry another request after this answer.
        plain: It has no Content-Range and no checksum.
    """

    __slots__ = ("chunked", "keep_alive", "length", "plain", "status")

    def __init__(
        self, status: int, fields: bytes, length: int | None, chunked: bool, keep_alive: bool, plain: bool
    ) -> None:
        super().__init__(fields)
        self.status = status
        self.length = length
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.plain = plain


def request_head(method: str, target: str, lines: str) -> bytes:
    """The bytes of a request head, the empty line included.

    Args:
        lines: The header lines, each with its line end. The caller has made sure that no name or value
            holds a control character.
    """
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def parse_head(data: bytes) -> Head:
    """The head of a response from its bytes, without the empty line that ends it.

    Raises:
        MalformedResponse: the head breaks HTTP/1.1, or leaves in doubt where the body ends.
    """
    match = _HEAD(data)
    if match is None:
        raise MalformedResponse(f"the answer does not start like HTTP/1.1: {_excerpt(data)}")
    version, status, fields = match.groups()
    length: int | None = None
    coding: bytes | None = None
    connection = b""
    plain = True
    ranged = False
    lowered = fields.lower()
    if lowered.count(b"\r\netag:") > 1:
        raise MalformedResponse("the answer has the field etag twice")
    for name, value in _TELLING(lowered):
        if name == b"content-length":
            if length is not None:
                raise MalformedResponse("the answer has the field content-length twice")
            if not _DIGITS(value):
                value = value.rstrip(b"\t ")
                if not _DIGITS(value):
                    raise MalformedResponse(f"the answer's Content-Length is no number: {_excerpt(value)}")
            length = int(value)
        elif name == b"connection":
            connection = connection + b"," + value if connection else value
        elif name == b"transfer-encoding":
            if coding is not None:
                raise MalformedResponse("the answer has the field transfer-encoding twice")
            coding = value.rstrip(b"\t ")
        elif name == b"content-range" and ranged:
            raise MalformedResponse("the answer has the field content-range twice")
        else:
            plain = False
            ranged = ranged or name == b"content-range"
    if coding is not None:
        if length is not None:
            raise MalformedResponse("the answer has both Content-Length and Transfer-Encoding")
        if coding != b"chunked":
            raise MalformedResponse(f"the answer's Transfer-Encoding is {_excerpt(coding)}, not chunked")
        if version == b"0":
            raise MalformedResponse("the answer is chunked but says HTTP/1.0")
    keep_alive = version == b"1"
    if connection and not (keep_alive and connection == b"keep-alive"):
        options = [option.strip(b"\t ") for option in connection.split(b",")]
        keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
    return Head(int(status), fields, length, coding is not None, keep_alive, plain)


def split_plain(data: bytearray, view: memoryview, count: int) -> tuple[Fields, bytes] | None:
    """The headers and the body of a whole answer that is a plain success; None for all else.

    What it takes, :func:`parse_head` takes too and says the same of: status 200, Content-Length, a
    connection that lives on, no Content-Range and no checksum.

    Args:
        data: Has the answer at its beginning.
        view: A view of it.
        count: How many bytes the answer is.
    """
    end = data.find(b"\r\n\r\n", 0, count)
    if not 0 < end <= MAX_HEAD_BYTES:
        return None
    head = view[:end].tobytes()
    lowered = head.lower()
    match = _PLAIN(lowered)
    if match is None or lowered.count(b"\r\ncontent-length:") != 1 or lowered.count(b"\r\netag:") > 1:
        return None
    if count - end - 4 != int(match[1]) or head[:5] != b"HTTP/":
        return None
    return Fields(head), view[end + 4 : count].tobytes()


def check_start(data: bytes) -> None:
    """Look at the beginning of a head: what is none will not become one by more bytes.

    Raises:
        MalformedResponse: it does not begin like HTTP/1.1, or its first line does not end like one.
    """
    end = data.find(b"\n")
    if data[:7] != b"HTTP/1."[: len(data)] or (end >= 0 and data[end - 1] != 0x0D):
        raise MalformedResponse(f"the answer does not start like HTTP/1.1: {_excerpt(data)}")


def _headers_of(text: bytes) -> dict[str, str]:
    """Header lines that were found good, as a dict."""
    fields = _FIELD(text.decode("latin-1"))
    headers = {name.lower(): value.rstrip("\t ") for name, value in fields}
    if len(headers) == len(fields):
        return headers
    headers.clear()
    for name, value in fields:
        name = name.lower()
        value = value.rstrip("\t ")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def has_body(method: str, status: int) -> bool:
    """Whether an answer can have a body at all (RFC 9112 section 6.3, rules 1 and 2)."""
    if method == "CONNECT" and 200 <= status < 300:
        # What follows is the tunnel.
        return False
    return method != "HEAD" and status >= 200 and status != 204 and status != 304


def _excerpt(data: bytes) -> str:
    return repr(bytes(data[:60])) + ("…" if len(data) > 60 else "")


class ChunkedDecoder:
    """Takes the bytes of a chunked body as they come, and gives back the data in them.

    Attributes:
        done: The last chunk and the trailers have been read.
        rest: Bytes that came after the end of the body.
    """

    __slots__ = ("_left", "_line", "_state", "_trailers", "done", "rest")

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._state = "size"
        self._trailers = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of body in ``data``, in order.

        Raises:
            MalformedResponse: a chunk size, its end or a trailer is not as HTTP wants it.
        """
        pieces = []
        while data:
            if self.done:
                self.rest += data
                break
            if self._state == "data":
                piece = data[: self._left]
                pieces.append(piece)
                self._left -= len(piece)
                data = data[len(piece) :]
                if not self._left:
                    self._state = "end"
                continue
            line, data = self._take_line(data)
            if line is None:
                break
            self._end_line(line)
        return pieces

    def _take_line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """A whole line without its CR LF, or None when more bytes are needed; and what follows."""
        end = data.find(b"\n")
        if end < 0:
            self._line += data
            if len(self._line) > MAX_CHUNK_LINE:
                raise MalformedResponse("a line of the chunked answer is too long")
            return None, b""
        line = self._line + data[: end + 1]
        self._line = b""
        if len(line) > MAX_CHUNK_LINE:
            raise MalformedResponse("a line of the chunked answer is too long")
        if not line.endswith(b"\r\n"):
            raise MalformedResponse(f"a line of the chunked answer lacks CR: {_excerpt(line)}")
        return line[:-2], data[end + 1 :]

    def _end_line(self, line: bytes) -> None:
        if self._state == "size":
            match = _CHUNK(line)
            if match is None:
                raise MalformedResponse(f"the answer has a bad chunk size: {_excerpt(line)}")
            self._left = int(match[1], 16)
            self._state = "data" if self._left else "trailer"
        elif self._state == "end":
            if line:
                raise MalformedResponse(f"a chunk is longer than it said: {_excerpt(line)}")
            self._state = "size"
        elif not line:
            self.done = True
        else:
            self._trailers += len(line)
            if self._trailers > MAX_HEAD_BYTES or _TRAILER(line) is None:
                raise MalformedResponse(f"the answer has a bad trailer: {_excerpt(line)}")
