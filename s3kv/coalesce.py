"""Fewer requests for many ranges of one object: those that are close together are fetched as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .byterange import ByteRange

# TensorStore's numbers: up to so many bytes between two ranges are fetched and thrown away, and up to so
# many are fetched in one request because of that.
MAX_GAP = 4095
MAX_SIZE = 128 * 1024 * 1024


class Group(NamedTuple):
    """Ranges that one request fetches.

    Attributes:
        wanted: What is requested.
        members: The positions, among all ranges, of those that are in it.
    """

    wanted: ByteRange
    members: tuple[int, ...]


def coalesce(ranges: Sequence[ByteRange]) -> list[Group]:
    """The requests for many ranges, every one of which is in exactly one of them.

    Ranges whose ends depend on the object's size, or that are empty, are requested by themselves; the same
    one only once.
    """
    alone: dict[ByteRange, list[int]] = {}
    bounded: list[tuple[int, int, int]] = []
    for position, wanted in enumerate(ranges):
        if wanted.stop is None or wanted.empty:
            alone.setdefault(wanted, []).append(position)
        else:
            bounded.append((wanted.start, wanted.stop, position))
    groups = [Group(wanted, tuple(positions)) for wanted, positions in alone.items()]
    bounded.sort()
    first = last = 0
    members: list[int] = []
    for start, stop, position in bounded:
        if members and start - last <= MAX_GAP and (max(stop, last) - first <= MAX_SIZE or stop <= last):
            last = max(stop, last)
        else:
            if members:
                groups.append(Group(ByteRange(first, last), tuple(members)))
            first, last, members = start, stop, []
        members.append(position)
    if members:
        groups.append(Group(ByteRange(first, last), tuple(members)))
    return groups
