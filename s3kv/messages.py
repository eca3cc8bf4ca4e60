"""The frozen values that travel between operations, the pipeline and the transports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .buffers import Room
from .http1 import Fields
from .pending import Pending
from .sigv4 import EMPTY_SHA256

if TYPE_CHECKING:
    from .xml import ErrorBody

Pairs = tuple[tuple[str, str], ...]
Body = bytes | bytearray | memoryview

# The largest object that S3 can hold, 10,000 parts of 5 GiB; what announces more is no object.
MAX_OBJECT_BYTES = 10_000 * 5 * 1024**3


class Settings(NamedTuple):
    """How a transport treats its connections.

    Attributes:
        connect_timeout: Seconds that connecting may take, and again the handshakes of a proxy and of TLS;
            default 10.
        read_timeout: Seconds that a peer may stay silent in an exchange; default 60.
        max_idle: Connections kept open per origin while nobody uses them; default 256.
        user_agent: Value of the User-Agent header.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    max_idle: int = 256
    user_agent: str = "s3kv"


class Request(NamedTuple):
    """One S3 request before endpoint, date and signature.

    Attributes:
        operation: S3's name for it, for instance ``"GetObject"``.
        method: The HTTP method.
        key: The full object key, or None for a request about the bucket.
        query: Query parameters, not encoded.
        headers: Headers to send and sign, names in lower case.
        body: The payload.
        payload_hash: SHA-256 of the payload in hexadecimal.
        data: The body of a 2xx answer is an object's bytes: not bounded in size, but its end must
            be certain. Otherwise it is a document of limited size.
        into: Where to put such a body if it fits; None for new memory.
        cut: Of such a body, if it is much longer than this, read this much only; 0 for all.
    """

    operation: str
    method: str
    key: str | None
    query: Pairs = ()
    headers: Pairs = ()
    body: Body = b""
    payload_hash: str = EMPTY_SHA256
    data: bool = False
    into: Room | None = None
    cut: int = 0


class Origin(NamedTuple):
    """Where connections go: one pool of connections for each.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: Host name or address, without brackets.
        port: TCP port.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port == (443 if self.scheme == "https" else 80):
            return f"{self.scheme}://{host}"
        return f"{self.scheme}://{host}:{self.port}"


def header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """Headers as they go on the wire; the caller has made sure that they hold no control character."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


class WireRequest(NamedTuple):
    """A request ready to send: endpoint, headers and signature are settled.

    Attributes:
        origin: Where to send it.
        method: The HTTP method.
        target: Path and query exactly as they go on the wire.
        lines: The header lines as they go on the wire, each with its line end, the first of them Host.
        body: The payload.
        data: See :class:`Request`.
        fresh: Do not use a connection that has carried a request before.
        into: See :class:`Request`.
        cut: See :class:`Request`.
    """

    origin: Origin
    method: str
    target: str
    lines: str
    body: Body = b""
    data: bool = False
    fresh: bool = False
    into: Room | None = None
    cut: int = 0

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values of the headers."""
        return [
            (name, value)
            for name, _, value in (line.partition(": ") for line in self.lines.split("\r\n")[:-1])
        ]

    def __repr__(self) -> str:
        # Not the headers: they hold the signature and the session token.
        return f"<WireRequest {self.method} {self.origin}{self.target}>"


class Headed(Protocol):
    """What has headers that are looked at when somebody asks."""

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case to values."""


class Response:
    """One whole answer.

    Args:
        headers: Names in lower case to values, or what gives them when they are asked for.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case to values.
        plain: It is known to have no Content-Range and no checksum.
        body: The body, as it was sent: never decompressed.
        error: What the body of an error answer says; set by the pipeline.
        rest: How many bytes at the end of the body were not read, for want of room or because so was asked.
        view: The memory of such a body, to be filled.
    """

    __slots__ = ("_headers", "body", "error", "plain", "rest", "status", "view")

    def __init__(
        self, status: int, headers: dict[str, str] | Headed, body: bytes | memoryview, plain: bool = False
    ) -> None:
        self.status = status
        self._headers = headers
        self.plain = plain
        # Only of what was asked to be put into somebody's buffer, a body is a view.
        self.body: bytes = body  # type: ignore[assignment]
        self.error: ErrorBody | None = None
        self.rest = 0
        self.view: memoryview | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case to values."""
        found = self._headers
        return found if type(found) is dict else found.headers  # type: ignore[union-attr]

    @property
    def etag(self) -> str:
        """The ETag as it was sent; empty if there is none."""
        found = self._headers
        return found.etag if isinstance(found, Fields) else self.headers.get("etag", "")

    @property
    def code(self) -> str:
        """S3's error code, or an empty string."""
        return self.error.code if self.error is not None else ""

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.code or f'{len(self.body)} bytes'}>"


class Await(NamedTuple):
    """Ask the driver to go on when something is settled that another thread does.

    Attributes:
        pending: What is awaited.
    """

    pending: Pending[Any]


class Pause(NamedTuple):
    """Ask the driver to wait before the next attempt.

    Attributes:
        seconds: How long.
    """

    seconds: float
