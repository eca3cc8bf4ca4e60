"""What a store does with many ranges of one object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

from .byterange import WHOLE, ByteRange, parse_slice
from .coalesce import Group, coalesce
from .errors import ByteRangeError, Changed
from .etag import quoted
from .keys import check_key, key_text
from .operations.read import Found, get_object
from .operations.stat import Missing
from .pipeline.batch import Entry
from .reading import Reading


class Ranges(Reading):
    """The methods of a store that are about many ranges of one object."""

    __slots__ = ()

    def get_ranges(self, key: str | bytes, ranges: Iterable[slice]) -> list[bytes]:
        """Several ranges of one object, fetched in parallel, all of the same version of it.

        Ranges that are less than 4 KiB apart are fetched in one request, up to 128 MiB. Where the store
        gives no ETag, or a weak one, so that two versions could not be told apart, all of them are.

        Args:
            key: The key.
            ranges: Slices, each as for :meth:`get`; in any order, and they may overlap.

        Returns:
            The bytes of each range, in the order of ``ranges``.

        Raises:
            KeyNotFound: no object has the key.
            ByteRangeError: a range is not wholly inside the object.
            Changed: the object was replaced meanwhile.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("data.bin", b"0123456789")
            >>> store.get_ranges("data.bin", [slice(0, 2), slice(4, 6), slice(-1, None)])
            [b'01', b'45', b'9']
        """
        return self._get_ranges(key, ranges, None)

    def _get_ranges(self, key: str | bytes, ranges: Iterable[slice], etag: str | None) -> list[bytes]:
        """As :meth:`get_ranges`, of the version with this ETag; None for any, as long as it is one."""
        name = key_text(key)
        full = check_key(self._path, name)
        if isinstance(ranges, slice):
            raise TypeError(
                "ranges are many slices, for instance a list, not one slice; that is get's byte_range"
            )
        wanted = [parse_slice(each) for each in ranges]
        self._check_open(name)
        core, timeout = self._core, self._timeout
        started = core.clock.monotonic()

        def begin(group: Group) -> Entry[Group]:
            return core.entry(group, get_object, name, timeout, full, group.wanted, since=started)

        results = [b""] * len(wanted)
        seen = etag
        groups = coalesce(wanted)
        several = sum(not group.wanted.empty for group in groups) > 1
        with closing(core.batch(begin, groups, timeout, limiter=core.rates.reads)) as batch:
            for entry in batch:
                if entry.error is not None:
                    if isinstance(entry.error, ByteRangeError):
                        _name_one(entry.error, entry.item, wanted)
                    raise entry.error
                if isinstance(entry.result, Missing):
                    # Of an object that was deleted meanwhile there may be parts already.
                    raise entry.result.error if seen is None else _changed(name, seen, "nothing")
                found: Found = entry.result
                now = quoted(found.headers.get("etag", ""))
                if several and (not now or now.startswith("W/")):
                    # Nothing would tell two versions apart.
                    break
                if seen is not None and now != seen:
                    raise _changed(name, seen, now)
                seen = now
                group = entry.item
                for position in group.members:
                    part = wanted[position]
                    if part == group.wanted:
                        results[position] = found.value
                    else:
                        assert part.stop is not None
                        offset = group.wanted.start
                        results[position] = found.value[part.start - offset : part.stop - offset]
            else:
                return results
        return self._in_one_piece(name, full, wanted, started)

    def _in_one_piece(
        self, name: str, full: str, wanted: Sequence[ByteRange], started: float
    ) -> list[bytes]:
        """The ranges, cut out of one answer that has them all."""
        filled = [position for position, part in enumerate(wanted) if not part.empty]
        span = WHOLE
        if all(wanted[position].stop is not None for position in filled):
            stop = max(wanted[position].stop or 0 for position in filled)
            span = ByteRange(min(wanted[position].start for position in filled), stop)
        try:
            found = self._read_object(name, full, span, since=started)
            if isinstance(found, Missing):
                raise found.error
            size = span.start + len(found.value)
            limits = [part.resolve(size) for part in wanted]
        except ByteRangeError as error:
            error.operation, error.key = "GetObject", name
            _name_one(error, Group(span, tuple(filled)), wanted)
            raise
        return [bytes(found.value[start - span.start : stop - span.start]) for start, stop in limits]


def _name_one(error: ByteRangeError, group: Group, wanted: Sequence[ByteRange]) -> None:
    """Have an error tell of a range that was asked for, not of what was requested for it and others."""
    outermost = max((wanted[position] for position in group.members), key=lambda each: each.stop or 0)
    error.message = error.message.replace(f" {group.wanted} ", f" {outermost} ", 1)


def _changed(key: str, before: str, after: str) -> Changed:
    return Changed(
        f"the object was replaced while its ranges were read: first it was {before}, then {after}",
        operation="GetObject",
        key=key,
    )
