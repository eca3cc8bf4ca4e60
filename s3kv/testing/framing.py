"""Where HTTP/1.1 messages end, and no more: what goes by is passed on, right or wrong. No I/O.

Nothing here is the client's own code, whose mistakes it would then share.
"""

from __future__ import annotations

import re
from typing import Protocol

_LENGTH = re.compile(r"[0-9]{1,18}").fullmatch


class Framing(Protocol):
    """Tells where a body ends."""

    @property
    def done(self) -> bool:
        """The body has ended."""

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body; all of them unless it ends."""


class Counted:
    """A body of so many bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        """The body has ended."""
        return not self._left

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body."""
        count = min(len(data), self._left)
        self._left -= count
        return count


class Endless:
    """A body that ends with its connection."""

    done = False

    def take(self, data: bytes) -> int:
        """All of them."""
        return len(data)


class Chunked:
    """A body in chunks. One that breaks the rules ends with its connection."""

    def __init__(self) -> None:
        # Of the chunk that is under way, its line end included.
        self._left = 0
        self._line = bytearray()
        self._trailers = False
        self._broken = False
        self.done = False

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body, sizes and trailers included."""
        at = 0
        while at < len(data) and not self.done:
            if self._broken:
                return len(data)
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if end >= 0:
                self._next(bytes(self._line).strip())
                self._line.clear()
        return at

    def _next(self, line: bytes) -> None:
        """A line with a size, or a trailer."""
        if self._trailers:
            self.done = not line
            return
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            size = -1
        if size < 0:
            self._broken = True
        elif size:
            self._left = size + 2
        else:
            self._trailers = True


def headers_of(head: bytes) -> dict[str, str]:
    """The headers of a message; names in lower case, values of one name joined by commas."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def status_of(head: bytes) -> int:
    """The status of an answer's head; 0 for one that breaks HTTP."""
    version, _, rest = head.partition(b" ")
    digits = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(digits) != 3 or not digits.isdigit():
        return 0
    return int(digits)


def request_framing(headers: dict[str, str]) -> Framing:
    """The body of a request with these headers."""
    return _framing(headers) or Counted(0)


def answer_framing(method: str, status: int, headers: dict[str, str]) -> Framing:
    """The body of an answer with these headers to a request with this method."""
    if method == "HEAD" or status in (204, 304):
        return Counted(0)
    return _framing(headers) or Endless()


def _framing(headers: dict[str, str]) -> Framing | None:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Chunked()
    length = headers.get("content-length")
    if length is None:
        return None
    return Counted(int(length)) if _LENGTH(length) else Endless()
