"""A body that was cut off in the middle, read on from there instead of from its beginning. No I/O.

The rest is asked for with ``Range`` and ``If-Match``, so that it can only be of the same version:
https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
"""

from __future__ import annotations

from collections.abc import Mapping

from ..buffers import Room
from ..byterange import parse_content_range
from ..http1_reader import Partial
from ..messages import Request, Response

# Headers of the first request that say which bytes of which version are wanted.
_CHECKSUMS = "x-amz-checksum-mode"
_REPLACED = frozenset({"range", "if-match", "if-none-match", _CHECKSUMS})


class Resumption:
    """What there is of an object's bytes, and the request for the others.

    Belongs to the request's life.
    """

    __slots__ = (
        "_body",
        "_conditional",
        "_end",
        "_etag",
        "_first",
        "_have",
        "_partial",
        "_size",
        "request",
    )

    def __init__(self, request: Request, partial: Partial, etag: str, first: int) -> None:
        told = parse_content_range(partial.headers.get("content-range", ""))
        self._partial = partial
        self._etag = etag
        self._first = first
        self._have = partial.have
        whole = None if partial.length is None else partial.length + partial.rest
        self._size = whole if told is None else told[2]
        self._end = first + partial.length if partial.length is not None else told and told[1]
        self._body = bytearray(partial.body)
        self._conditional = any(name in _REPLACED and name != _CHECKSUMS for name, _ in request.headers)
        self.request = self._rest_of(request)

    @classmethod
    def of(cls, request: Request, partial: Partial | None) -> Resumption | None:
        """How to go on after a cut; None where the bytes of two versions could not be told apart.

        Args:
            request: What was asked for.
            partial: What came, if any did.
        """
        if partial is None or not partial.have or request.method != "GET":
            return None
        etag = partial.headers.get("etag", "")
        if not etag.startswith('"'):
            return None
        told = parse_content_range(partial.headers.get("content-range", ""))
        if told is None and (partial.status != 200 or "content-range" in partial.headers):
            return None
        return cls(request, partial, etag, 0 if told is None else told[0])

    def _rest_of(self, request: Request) -> Request:
        """The request for what is missing."""
        begin = self._first + self._have
        last = "" if self._end is None else self._end - 1
        headers = tuple(pair for pair in request.headers if pair[0] not in _REPLACED)
        region, room = self._partial.region, None
        if region is not None:
            view = region.view[self._have : self._partial.length]
            room = Room(view, region.owner, ranged=True, rest=True)
        return request._replace(
            headers=(("range", f"bytes={begin}-{last}"), ("if-match", self._etag), *headers),
            into=room,
            cut=0,
        )

    def extend(self, partial: Partial | None) -> bool:
        """Take what came of the rest before that was cut off too; False when it is not of this object."""
        if partial is None or not partial.have:
            return True
        if not self._continues(partial.status, partial.headers):
            return False
        self._add(partial.body, in_place=partial.region is not None)
        self._have += partial.have
        self.request = self._rest_of(self.request)
        return True

    def complete(self, response: Response) -> Response | None:
        """The whole answer to the first request; None when this is not the rest of it."""
        headers = response.headers
        if response.rest:
            return None
        region = self._partial.region
        if response.status == 200 and "content-range" not in headers:
            # Ranges are ignored here, so it is the answer to the first request as well.
            return None if self._conditional and headers.get("etag") != self._etag else response
        told = self._continues(response.status, headers)
        if told is None or told[1] - told[0] != len(response.body) or self._end not in (None, told[1]):
            return None
        if self._end is None and told[1] != told[2]:
            return None
        partial = self._partial
        self._add(response.body, in_place=isinstance(response.body, memoryview))
        body = bytes(self._body) if region is None else region.data
        whole = Response(partial.status, partial.headers, body)
        if partial.rest and region is not None:
            whole.rest, whole.view = partial.rest, region.view
        return whole

    def _continues(self, status: int, headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
        """The range that an answer sends, if it begins where this ends, in the same version."""
        told = parse_content_range(headers.get("content-range", ""))
        if told is None or status >= 300 or headers.get("etag") != self._etag:
            return None
        if told[0] != self._first + self._have or (self._end is not None and told[1] > self._end):
            return None
        return told if None in (told[2], self._size) or told[2] == self._size else None

    def _add(self, piece: bytes | bytearray, *, in_place: bool) -> None:
        region = self._partial.region
        if region is None:
            self._body += piece
        elif not in_place:
            region.write(self._have, piece)
