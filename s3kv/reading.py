"""How an object's bytes are read: in one request, or, if they are many, in several side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

from .buffers import Room
from .byterange import ByteRange, parse_content_range
from .errors import ByteRangeError, Changed, ConditionFailed, DataLoss, MalformedResponse
from .etag import quoted
from .handle import Handle
from .operations.read import Found, Unmet, get_object, verify_body
from .operations.stat import Missing
from .parts import IN_FLIGHT
from .pipeline.batch import Entry
from .sigv4 import EMPTY_SHA256

# How much the first request reads of an object of at least twice as many bytes, and how long the parts are
# that others read meanwhile.
PART_BYTES = 16 * 1024**2

# So often is an object read that was replaced meanwhile.
MOST_CHANGES = 4


class Replaced(Exception):
    """The object is another version by now; never seen by users."""


class Unsplittable(Exception):
    """The store does not send parts of this object; never seen by users."""


class Reading(Handle):
    """What the reading methods of a store have in common."""

    __slots__ = ()

    def _read_object(
        self,
        name: str,
        full: str,
        wanted: ByteRange,
        into: memoryview | None = None,
        *,
        since: float | None = None,
    ) -> Found | Missing:
        """All of the bytes asked for.

        Args:
            into: Where to put them; default: into new memory.
            since: Monotonic time from which the store's timeout counts; default: now.

        Raises:
            Changed: the object was replaced again and again while it was read.
        """
        started = self._core.clock.monotonic() if since is None else since
        cut = PART_BYTES
        cause: BaseException | None = None
        stale: list[Entry[Any]] = []
        for _ in range(MOST_CHANGES):
            if into is None:
                plain = wanted.whole and cut == PART_BYTES
                found: Any = self._run(
                    get_object,
                    name,
                    full,
                    wanted,
                    (),
                    None,
                    cut,
                    since=started,
                    express=self._core.gets if plain else None,
                    asked=(full, b"", EMPTY_SHA256, PART_BYTES) if plain else None,
                )
            else:
                found = self._read_into(
                    name, full, wanted, Room(into, ranged=not wanted.whole), cut, started
                )
            assert isinstance(found, (Found, Missing))
            if isinstance(found, Missing) or not found.rest:
                return found
            try:
                return self._complete(name, full, found, started, stale)
            except Unsplittable:
                cut = 0
            except Replaced as replaced:
                cause = replaced.__cause__
            if stale and into is not None:
                # Somebody may still write bytes of the other version there.
                break
        raise self._changed(name, started) from cause

    def _read_into(
        self, name: str, full: str, wanted: ByteRange, room: Room, cut: int, started: float
    ) -> Found | Missing:
        """As one operation; when this ends in any way, nobody writes into the room any more."""
        core, timeout = self._core, self._timeout
        self._check_open(name)

        def begin(item: None) -> Entry[None]:
            return core.entry(item, get_object, name, timeout, full, wanted, (), room, cut, since=started)

        with closing(core.batch(begin, (None,), timeout, stale=[])) as batch:
            found: Found | Missing = _outcome(next(batch))
            return found

    def _complete(
        self, name: str, full: str, found: Found, started: float, stale: list[Entry[Any]]
    ) -> Found:
        """An object that was read in part, read to its end.

        Args:
            started: Monotonic time from which the store's timeout counts.
            stale: Gets what may still be written to the same memory.

        Raises:
            Replaced: it is another version by now.
            Unsplittable: the store does not send parts of it.
        """
        view = found.view
        assert view is not None
        size = len(view)

        def room(first: int, end: int) -> Room:
            assert view is not None
            return Room(view[first - found.start : end - found.start], found.value, ranged=True)

        begin, end = found.start + size - found.rest, found.start + size
        pieces = self._parts(name, full, found.headers, begin, end, room, started, stale)
        with closing(pieces):
            for place, part in pieces:
                if not isinstance(part, memoryview):
                    # The store sent it in another way than straight into its place.
                    view[place - found.start : place - found.start + len(part)] = part
        if "content-range" not in found.headers:
            try:
                verify_body(self._core, found.headers, found.value)
            except DataLoss as error:
                error.operation, error.key = "GetObject", name
                raise
        return Found(found.value, found.answer)

    def _parts(
        self,
        name: str,
        full: str,
        headers: Mapping[str, str],
        begin: int,
        end: int,
        room: Callable[[int, int], Room],
        started: float,
        stale: list[Entry[Any]],
        *,
        in_order: bool = False,
    ) -> Generator[tuple[int, bytes], None, None]:
        """The bytes of an object from one offset to another, in parts, side by side.

        Args:
            headers: Those of the answer that told of the object.
            room: Gives the memory for the bytes from one offset to another.
            started: As for :meth:`_complete`.
            stale: As for :meth:`_complete`.
            in_order: In the order of the object, not in that in which they come.

        Raises:
            Replaced: it is another version by now.
            Unsplittable: the store does not send parts of it.
        """
        core, timeout = self._core, self._timeout
        etag = quoted(headers.get("etag", ""))
        if not etag or etag.startswith("W/"):
            # Nothing would tell the parts of two versions apart.
            raise Unsplittable
        pinned = (("if-match", etag),)
        size = _size_of(headers)

        def fetch(first: int) -> Entry[int]:
            last = min(first + PART_BYTES, end)
            return core.entry(
                first,
                get_object,
                name,
                timeout,
                full,
                ByteRange(first, last),
                pinned,
                room(first, last),
                0,
                True,
                since=started,
            )

        places = range(begin, end, PART_BYTES)
        batch = core.batch(fetch, places, timeout, in_order=in_order, window=IN_FLIGHT, stale=stale)
        # Closed here and now: an exception, whose traceback holds this frame, must not come before its end.
        with closing(batch) as parts:
            for entry in parts:
                if isinstance(entry.error, (ConditionFailed, ByteRangeError, MalformedResponse)):
                    # A store that ignores conditions shows so that the object is not what it was.
                    raise Replaced from entry.error
                place = entry.item
                value = _part_of(_outcome(entry), etag, size)
                # Not to be held while the next is waited for.
                entry.result = None
                yield place, value
                del value

    def _changed(self, name: str, started: float) -> Changed:
        return Changed(
            "the object was replaced again and again while it was read",
            operation="GetObject",
            key=name,
            elapsed=self._core.clock.monotonic() - started,
        )


def _outcome(entry: Entry[Any]) -> Any:
    """An operation's result; its error is raised, and kept by nothing that its traceback keeps."""
    error = entry.error
    if error is None:
        return entry.result
    entry.error = None
    try:
        raise error
    finally:
        del error


def _part_of(part: Found | Missing | Unmet, etag: str, size: int | None) -> bytes:
    """The bytes of a part of the version with this ETag, of so many bytes in all.

    Raises:
        Replaced: it is not that version.
        Unsplittable: it is no part, but all of it.
    """
    if not isinstance(part, Found):
        raise Replaced
    if part.rest:
        raise Unsplittable
    if quoted(part.headers.get("etag", "")) != etag or _size_of(part.headers) not in (None, size):
        raise Replaced
    return part.value


def _size_of(headers: Mapping[str, str]) -> int | None:
    """The size of the whole object that an answer is about; None where it does not tell."""
    told = parse_content_range(headers.get("content-range", ""))
    if told is not None:
        return told[2]
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
