"""What can go wrong with one request, as values: each says what a :class:`FaultProxy` does to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


@dataclass(frozen=True)
class Fault:
    """What all faults have in common: nothing but that they are faults."""


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (RST) instead of an answer.

    Attributes:
        went_through: False: the server does not see the request; True: it has answered, and nothing
            of that arrives. Default False.
    """

    went_through: bool = False

    def __post_init__(self) -> None:
        _check_bool(self, "went_through", self.went_through)


@dataclass(frozen=True)
class DropResponse(Fault):
    """The request goes through, and the connection is closed (FIN) without a byte of the answer."""


@dataclass(frozen=True)
class CutRequest(Fault):
    """The request breaks off: the server gets its head and some of its body, then both sides are reset.

    A request with a shorter body goes through whole; its answer is lost.

    Attributes:
        at: How many bytes of the body the server gets.
    """

    at: int

    def __post_init__(self) -> None:
        _check_count(self, "at", self.at)


@dataclass(frozen=True)
class CutBody(Fault):
    """The connection ends in the middle of the answer's body.

    A shorter body arrives whole, and the connection ends behind it.

    Attributes:
        at: How many bytes of the body arrive; of one in chunks the bytes as they are on the wire, the
            lines with the sizes included.
        reset: End it with RST instead of FIN, which may overtake bytes that the client has not read yet.
            Default False.
    """

    at: int
    reset: bool = False

    def __post_init__(self) -> None:
        _check_count(self, "at", self.at)
        _check_bool(self, "reset", self.reset)


@dataclass(frozen=True)
class CutAnswer(Fault):
    """The connection ends in the middle of the answer, wherever that is.

    Attributes:
        at: How many bytes arrive, counted from the first of the status line.
        reset: End it with RST instead of FIN, which may overtake bytes that the client has not read yet.
            Default False.
    """

    at: int
    reset: bool = False

    def __post_init__(self) -> None:
        _check_count(self, "at", self.at)
        _check_bool(self, "reset", self.reset)


@dataclass(frozen=True)
class Stall(Fault):
    """The request goes through, and the answer stands still for a while, then goes on.

    Attributes:
        seconds: For how long. Default None: until it is released (:meth:`Injection.release`,
            :meth:`FaultProxy.release`), the client is gone, or the proxy is closed.
        at: After so many bytes of the body. Default None: before the first byte of the answer.
    """

    seconds: float | None = None
    at: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None:
            _check_seconds(self, "seconds", self.seconds)
        if self.at is not None:
            _check_count(self, "at", self.at)


@dataclass(frozen=True)
class Delay(Fault):
    """The request goes through at once, and the answer comes later.

    Attributes:
        seconds: How much later.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self, "seconds", self.seconds)


@dataclass(frozen=True)
class Throttle(Fault):
    """The request's body and the answer come slowly.

    Attributes:
        bytes_per_second: How slowly, each of the two.
    """

    bytes_per_second: float

    def __post_init__(self) -> None:
        _check_seconds(self, "bytes_per_second", self.bytes_per_second)
        if not self.bytes_per_second:
            raise ValueError("Throttle.bytes_per_second is 0: allowed is a positive number; see Stall")


@dataclass(frozen=True)
class Corrupt(Fault):
    """One byte of the answer's body arrives as another one: all its bits are turned over.

    Attributes:
        at: Which, from 0. A shorter body arrives as it is. Default 0.
    """

    at: int = 0

    def __post_init__(self) -> None:
        _check_count(self, "at", self.at)


@dataclass(frozen=True)
class Answer(Fault):
    """This is answered in place of what the server says. The connection goes on.

    Attributes:
        status: The HTTP status, 200 to 599. Default 200.
        headers: A mapping, or pairs of name and value; kept as a tuple of pairs. Content-Length is added
            unless it is among them. Default: none.
        body: The body; a str is sent as UTF-8. Default: none.
        went_through: False: the server does not see the request; True: it has answered something else, as
            behind a gateway that gives up too early. Default False.
    """

    status: int = 200
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    body: bytes | str = b""
    went_through: bool = False

    def __post_init__(self) -> None:
        _check_bool(self, "went_through", self.went_through)
        if type(self.status) is not int or not 200 <= self.status <= 599:
            raise ValueError(f"Answer.status is {self.status!r}: allowed is 200 to 599")
        given = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        pairs = tuple((str(name), str(value)) for name, value in given)
        for name, value in pairs:
            if not _TOKEN(name) or not _VALUE(value):
                raise ValueError(f"Answer.headers has {name!r}: {value!r}, which no header can be")
        object.__setattr__(self, "headers", pairs)
        body = self.body.encode() if isinstance(self.body, str) else bytes(self.body)
        object.__setattr__(self, "body", body)

    @classmethod
    def error(
        cls, status: int, code: str, message: str = "This is a test.", *, went_through: bool = False
    ) -> Answer:
        """An error as S3 tells it.

        Args:
            status: The HTTP status.
            code: S3's code, for instance ``"SlowDown"``.
            message: S3's words. Default ``"This is a test."``.
            went_through: See :class:`Answer`. Default False.

        Example:
            >>> Answer.error(503, "SlowDown").status
            503
        """
        for name, value in {"code": code, "message": message}.items():
            if not isinstance(value, str):
                raise TypeError(f"the {name} is a str, not {type(value).__name__}")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(code, False)}</Code><Message>{escape(message, False)}</Message></Error>"
        )
        return cls(status, {"Content-Type": "application/xml"}, body, went_through)

    def encoded(self, *, without_body: bool = False) -> bytes:
        """The answer as it is sent.

        Args:
            without_body: The request was a HEAD. Default False.
        """
        assert isinstance(self.body, bytes)
        pairs = tuple(self.headers)
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in pairs]
        bare = self.status in (204, 304)
        if not bare and "content-length" not in (name.lower() for name, _ in pairs):
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if without_body or bare else head + self.body


@dataclass(frozen=True)
class RawAnswer(Fault):
    """These bytes are answered, HTTP or not, and the connection is closed. The server is not asked.

    Attributes:
        data: The bytes, all of the answer.
    """

    data: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise TypeError(f"RawAnswer.data is bytes, not {type(self.data).__name__}")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _check_count(fault: Fault, name: str, value: object) -> None:
    kind = type(fault).__name__
    if type(value) is not int:
        raise TypeError(f"{kind}.{name} is a number of bytes, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{kind}.{name} is {value}: allowed is 0 or more")


def _check_seconds(fault: Fault, name: str, value: object) -> None:
    kind = type(fault).__name__
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{kind}.{name} is a number, not {type(value).__name__}")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{kind}.{name} is {value!r}: allowed is 0 or more")


def _check_bool(fault: Fault, name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{type(fault).__name__}.{name} is True or False, not {value!r:.40}")
