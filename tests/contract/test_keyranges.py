"""Listing ranges of keys, on every server."""

from __future__ import annotations

import pytest

import s3kv
from s3kv import KeyRange

KEYS = ["a", "b-1", "b/1", "b/2", "b/3/x", "b0", "ba", "c", "é", "日本"]

RANGES = [
    KeyRange(),
    KeyRange("b"),
    KeyRange("", "b0"),
    KeyRange("b/2", "c"),
    KeyRange("b/1", "b/2"),
    KeyRange("b/10", "b/3/y"),
    KeyRange("b-", "b/2"),
    KeyRange("b/1", ""),
    KeyRange.prefix("b/"),
    KeyRange.prefix("é"),
    KeyRange("c", "b"),
    KeyRange("zzz", "zzzz"),
    KeyRange("d"),
]


@pytest.fixture
def filled(store: s3kv.Store) -> s3kv.Store:
    """Give a store with all the keys."""
    for key in KEYS:
        store[key] = b""
    return store


def test_a_range_lists_its_keys(filled: s3kv.Store) -> None:
    """Sorted by their bytes, whatever the order of the store."""
    for wanted in RANGES:
        assert filled.list(range=wanted) == [key for key in sorted(KEYS) if key in wanted], wanted
        assert {entry.key for entry in filled.scan(range=wanted)} == {k for k in KEYS if k in wanted}


def test_a_range_a_prefix_and_a_start_go_together(filled: s3kv.Store) -> None:
    """A key is listed that is in all of them."""
    for wanted in RANGES:
        for prefix in ("", "b", "b/", "x"):
            for after in (None, "b/1", "b/15", "c"):
                expected = [
                    key
                    for key in sorted(KEYS)
                    if key in wanted and key.startswith(prefix) and (after is None or key > after)
                ]
                found = filled.scan(prefix, range=wanted, start_after=after)
                assert sorted(entry.key for entry in found) == expected, (wanted, prefix, after)


def test_listed_keys_may_be_cut(filled: s3kv.Store) -> None:
    """Those that are not longer than the cut are left out."""
    assert filled.list("b", strip_prefix_length=2) == ["1", "1", "2", "3/x"]
    assert filled.list("b/", strip_prefix_length=3) == ["/x"]
    assert filled.list(strip_prefix_length=0) == sorted(KEYS)
    assert filled.list(strip_prefix_length=100) == []
