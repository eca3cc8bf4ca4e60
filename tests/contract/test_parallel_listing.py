"""Listings side by side on real servers: what a listing page by page gives, whatever the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import s3kv
from s3kv import KeyRange
from tests.contract.many import FILES, MANY

ODD = ["a b", "a+b", "a%41", "a&<b>", "é/1", "é/2", "漢字", "😀/a", "z\x7f", "~"]


@pytest.fixture
def many(open_store: Callable[..., s3kv.Store], long_listing: str, credentials: None) -> s3kv.Store:
    """Return a store of 2,500 objects, flat and in folders."""
    store: s3kv.Store = open_store(path=long_listing)
    return store


def found(store: s3kv.Store, *arguments: Any, **options: Any) -> list[str]:
    """Return the keys of a parallel scan."""
    return [entry.key for entry in store.scan(*arguments, parallel=True, **options)]


def test_every_key_is_there_once_and_in_order(many: s3kv.Store) -> None:
    """With all that is told of it; and a list has them too."""
    parallel = list(many.scan(parallel=True))
    assert [entry.key for entry in parallel] == MANY
    assert parallel == list(many.scan())
    assert {entry.size for entry in parallel[: len(FILES)]} == {len(FILES[0])}
    assert many.list() == MANY


@pytest.mark.parametrize("prefix", ["file-00", "folder-", "folder-0003/", "x"])
def test_a_prefix_selects(many: s3kv.Store, prefix: str) -> None:
    """Wherever it ends."""
    assert found(many, prefix) == [key for key in MANY if key.startswith(prefix)]


@pytest.mark.parametrize("start", ["file-0999", "folder-0500/", "folder-1199/key"])
def test_a_start_leaves_out(many: s3kv.Store, start: str) -> None:
    """Keys up to it, whether it is one or not."""
    assert found(many, start_after=start) == [key for key in MANY if key > start]


@pytest.mark.parametrize(
    ("first", "end"),
    [
        ("file-1200", "folder-0007/l"),
        ("folder-0600/key", ""),
        ("", "file-0003"),
    ],
)
def test_a_range_selects(many: s3kv.Store, first: str, end: str) -> None:
    """Its first key included, its end not; with a prefix and a start, what is in all of them."""
    wanted = KeyRange(first, end)
    keys = [key for key in MANY if key in wanted]
    assert found(many, range=wanted) == keys
    assert found(many, "f", range=wanted, start_after="file-1000") == [
        key for key in keys if key > "file-1000"
    ]


@pytest.mark.parametrize("sub", ["folder-00", "folder-0003/"])
def test_a_store_with_a_longer_path_has_its_own_keys(many: s3kv.Store, sub: str) -> None:
    """Without that path."""
    assert found(many + sub) == [key.removeprefix(sub) for key in MANY if key.startswith(sub)]


def test_keys_of_any_characters_are_found(store: s3kv.Store) -> None:
    """Every one, in the order of their bytes where the server has that."""
    store.put_many(dict.fromkeys(ODD, b""))
    assert sorted(found(store)) == sorted(ODD)
    assert found(store, "é/") == ["é/1", "é/2"]
    assert sorted(store.list()) == sorted(ODD)


def test_nothing_is_found_where_nothing_is(store: s3kv.Store) -> None:
    """Under a path that no key has."""
    assert found(store) == []
    assert found(store, "prefix", start_after="prefix/a") == []
