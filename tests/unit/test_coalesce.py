"""Ranges of one object that are close together are fetched as one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.byterange import ByteRange, parse_slice
from s3kv.coalesce import MAX_GAP, MAX_SIZE, coalesce

MIB = 1024 * 1024

BOUNDED = st.tuples(st.integers(0, 30_000), st.integers(0, 9_000)).map(lambda p: slice(p[0], p[0] + p[1]))
OPEN = st.integers(-500, 30_000).map(lambda start: slice(start, None))


@given(st.lists(BOUNDED | OPEN, max_size=12))
def test_every_range_is_in_exactly_one_request_that_holds_it(slices: list[slice]) -> None:
    """Nothing is asked for twice, and no more than the gaps."""
    ranges = [parse_slice(each) for each in slices]
    groups = coalesce(ranges)
    assert sorted(position for group in groups for position in group.members) == list(range(len(ranges)))
    for wanted, members in groups:
        parts = [ranges[position] for position in members]
        if wanted.stop is None or wanted.empty:
            assert set(parts) == {wanted}
            continue
        assert wanted.start == min(part.start for part in parts)
        assert wanted.stop == max(part.stop for part in parts if part.stop is not None)
    bounded = sorted(
        group.wanted for group in groups if group.wanted.stop is not None and not group.wanted.empty
    )
    for one, other in itertools.pairwise(bounded):
        assert one.stop is not None
        assert other.start - one.stop > MAX_GAP
    # The same open range is asked for once.
    alone = [group.wanted for group in groups if group.wanted not in bounded]
    assert len(alone) == len(set(alone))


@pytest.mark.parametrize(
    ("slices", "requests"),
    [
        ([], []),
        ([(0, 10), (10, 20)], [(0, 20)]),
        ([(0, 10), (10 + MAX_GAP, 6000)], [(0, 6000)]),
        ([(0, 10), (10 + MAX_GAP + 1, 6000)], [(0, 10), (10 + MAX_GAP + 1, 6000)]),
        ([(100, 200), (0, 10)], [(0, 200)]),
        ([(0, 100), (20, 30)], [(0, 100)]),
        ([(0, 100 * MIB), (100 * MIB, 128 * MIB)], [(0, MAX_SIZE)]),
        ([(0, 100 * MIB), (100 * MIB, 128 * MIB + 1)], [(0, 100 * MIB), (100 * MIB, 128 * MIB + 1)]),
        ([(0, 200 * MIB), (5, 10)], [(0, 200 * MIB)]),
        ([(0, 200 * MIB), (5, 201 * MIB)], [(0, 200 * MIB), (5, 201 * MIB)]),
        ([(3, 3), (3, 3), (4, 4)], [(3, 3), (4, 4)]),
        ([(5, None), (-3, None), (5, None), (0, 1)], [(-3, None), (0, 1), (5, None)]),
    ],
)
def test_the_requests_for_some_ranges(
    slices: list[tuple[int, int | None]], requests: list[tuple[int, int | None]]
) -> None:
    """At the borders of what is close and of what is large."""
    ranges = [ByteRange(*each) for each in slices]
    assert sorted(tuple(group.wanted) for group in coalesce(ranges)) == requests
