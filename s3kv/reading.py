"""How an object's bytes are read: in one request, or, if they are many, in several side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .byterange import ByteRange
from .errors import Changed, ConditionFailed, DataLoss
from .etag import quoted
from .handle import Handle
from .operations.read import Found, Unmet, get_object, verify_body
from .operations.stat import Missing
from .parts import IN_FLIGHT
from .pipeline.batch import Entry

# How much the first request reads of an object of at least twice as many bytes, and how long the parts are
# that others read meanwhile.
PART_BYTES = 16 * 1024**2

# So often is an object read that was replaced meanwhile.
_MOST_CHANGES = 4


class Reading(Handle):
    """What the reading methods of a store have in common."""

    __slots__ = ()

    def _read_object(
        self, name: str, full: str, wanted: ByteRange, into: memoryview | None = None
    ) -> Found | Missing:
        """All of the bytes asked for.

        Args:
            into: Where to put them; default: into new memory.

        Raises:
            Changed: the object was replaced again and again while it was read.
        """
        started = self._core.clock.monotonic()
        for _ in range(_MOST_CHANGES):
            found: Any = self._run(get_object, name, full, wanted, (), into, PART_BYTES, since=started)
            assert isinstance(found, (Found, Missing))
            if isinstance(found, Missing) or not found.rest:
                return found
            complete = self._complete(name, full, found, started)
            if complete is not None:
                return complete
        raise Changed(
            "the object was replaced again and again while it was read",
            operation="GetObject",
            key=name,
            elapsed=self._core.clock.monotonic() - started,
        )

    def _complete(self, name: str, full: str, found: Found, started: float) -> Found | None:
        """An object that was read in part, read to its end; None if it is another one by now.

        Args:
            started: Monotonic time from which the store's timeout counts.
        """
        core, timeout, view = self._core, self._timeout, found.view
        assert view is not None
        etag = quoted(found.headers.get("etag", ""))
        pinned = (("if-match", etag),) if etag else ()
        size = len(view)

        def begin(place: int) -> Entry[int]:
            end = min(place + PART_BYTES, size)
            part = ByteRange(found.start + place, found.start + end)
            return core.entry(
                place, get_object, name, timeout, full, part, pinned, view[place:end], since=started
            )

        places: Iterator[int] = iter(range(size - found.rest, size, PART_BYTES))
        for entry in core.batch(begin, places, timeout, window=IN_FLIGHT):
            part: Any = entry.result
            if isinstance(entry.error, ConditionFailed) or isinstance(part, (Missing, Unmet)):
                return None
            if entry.error is not None:
                raise entry.error
            if quoted(part.headers.get("etag", "")) != etag:
                return None
            if not isinstance(part.value, memoryview):
                # The store sent it in another way than straight into its place.
                view[entry.item : entry.item + len(part.value)] = part.value
        if found.start == 0 and "content-range" not in found.headers:
            try:
                verify_body(core, found.headers, found.value)
            except DataLoss as error:
                error.operation, error.key = "GetObject", name
                raise
        return Found(found.value, found.headers)
