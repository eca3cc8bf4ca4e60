"""The store as a mapping, where it works on many keys: views, update, pop, clear, in batches."""

from __future__ import annotations

from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind

COUNT = 80


def contents(count: int = COUNT) -> dict[str, bytes]:
    """Return so many keys, in order, with their values."""
    return {f"k{number:03}": str(number).encode() for number in range(count)}


@pytest.fixture
def full(store: s3kv.Store) -> s3kv.Store:
    """Return a store of many objects."""
    store.update(contents())
    return store


def test_views_come_in_the_order_of_the_keys(full: s3kv.Store) -> None:
    """However many there are, and whatever order their answers have."""
    assert list(full) == list(full.keys()) == list(contents())
    assert list(full.values()) == list(contents().values())
    assert list(full.items()) == list(contents().items())


def test_views_may_be_taken_in_part(full: s3kv.Store) -> None:
    """What is left of them is given up, and the store works on; a view may be iterated again."""
    items = full.items()
    for _ in range(3):
        iterator = iter(items)
        assert [next(iterator) for _ in range(3)] == list(contents().items())[:3]
    assert len(items) == COUNT
    assert next(iter(full.values())) == b"0"


def test_two_views_may_be_taken_side_by_side(full: s3kv.Store) -> None:
    """Neither waits for the other."""
    assert list(zip(full.items(), full.values(), strict=True)) == [
        ((key, found), found) for key, found in contents().items()
    ]


def test_what_is_deleted_meanwhile_is_left_out(full: s3kv.Store, behind: Behind, raw: Any) -> None:
    """It was there when the keys were listed, and is no error; what comes before it is not changed."""
    # More than are fetched ahead.
    many = 200
    for view, first in ((full.items(), ("k000", b"0")), (full.values(), b"0")):
        full.update(contents(many))
        iterator = iter(view)
        assert next(iterator) == first
        raw.delete_object(Bucket=full.bucket, Key=full.path + "k199")
        left = list(iterator)
        assert len(left) == many - 2
        assert ("k199", b"199") not in left
        assert b"199" not in left


def test_views_read_no_more_than_is_needed(open_store: Any, credentials: None, session: Any) -> None:
    """The objects are fetched once each, after one listing; the keys alone need none of them."""
    store = open_store(session=session)
    store.update(contents(20))
    for view, gets in ((store.keys(), 0), (store.values(), 20), (store.items(), 20)):
        session.sent.clear()
        # A list would ask for the length first, which is a listing of its own.
        assert sum(1 for _ in view) == 20
        listings = [sent for sent in session.sent if "list-type=2" in sent.url]
        assert len(listings) == 1
        assert len(session.sent) - 1 == gets


def test_update_takes_another_store(full: s3kv.Store, open_store: Any, path: str) -> None:
    """A copy through this process; also of itself into a folder of its own."""
    other = open_store(path=f"{path}other/")
    other.update(full + "k00")
    assert dict(other.items()) == {str(number): str(number).encode() for number in range(10)}
    other.update(other.items(), **{"5": b"five"})
    assert other["5"] == b"five"
    assert len(other) == 10


def test_update_takes_whatever_has_keys(store: s3kv.Store) -> None:
    """As dict does: an object with keys() need not be a mapping."""

    class Keyed:
        def keys(self) -> list[str]:
            return ["a", "b"]

        def __getitem__(self, key: str) -> bytes:
            return key.encode()

    store.update(Keyed(), other=b"1", self=b"2")
    assert dict(store.items()) == {"a": b"a", "b": b"b", "other": b"1", "self": b"2"}
    store.update()
    store.update({})
    assert len(store) == 4


def test_an_update_that_fails_in_part_says_which(store: s3kv.Store) -> None:
    """The rest is written."""
    wrong: Any = {"a": b"1", "b": "text", "c": b"3"}
    with pytest.raises(s3kv.BatchError) as caught:
        store.update(wrong)
    assert caught.value.errors.keys() == {"b"}
    assert store.list() == ["a", "c"]


def test_pop_returns_the_default_for_a_missing_key_only(store: s3kv.Store) -> None:
    """An object that is empty is there; the default may be anything, and is not written."""
    store["empty"] = b""
    assert store.pop("empty", None) == b""
    assert store.pop("empty", None) is None
    sentinel = object()
    assert store.pop("empty", sentinel) is sentinel
    assert store.pop("empty", b"") == b""
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store.pop("empty")
    assert caught.value.key == "empty"
    assert store.list() == []


def test_setdefault_keeps_an_empty_object(store: s3kv.Store) -> None:
    """It is there."""
    store["empty"] = b""
    assert store.setdefault("empty", b"new") == b""
    assert store["empty"] == b""


def test_popitem_takes_each_object_once(store: s3kv.Store) -> None:
    """Then there is none left, which is a KeyError."""
    store.update(contents(4))
    assert dict(store.popitem() for _ in range(4)) == contents(4)
    with pytest.raises(KeyError):
        store.popitem()


def test_popitem_lists_a_few_keys_and_goes_on_where_others_took_them(
    open_store: Any, credentials: None, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand would have to be read for each single one."""
    monkeypatch.setattr("s3kv.store._FEW", 3)
    store = open_store(session=session)
    store.update(contents(9))
    session.sent.clear()
    key, _ = store.popitem()
    listings = [sent.url for sent in session.sent if "list-type=2" in sent.url]
    assert len(listings) == 1
    assert "max-keys=3" in listings[0]
    pop = s3kv.Store.pop
    taken: list[str] = []

    def take(self: s3kv.Store, key: str, default: None) -> bytes | None:
        taken.append(key)
        return None if len(taken) < 6 else pop(self, key, default)

    monkeypatch.setattr(s3kv.Store, "pop", take)
    assert store.popitem()[0] == taken[5]
    assert len({key, *taken}) == 7
    assert len(store) == 7


def test_clear_needs_no_request_for_each_key(open_store: Any, credentials: None, session: Any) -> None:
    """A listing and a deletion."""
    store = open_store(session=session)
    store.update(contents(30))
    session.sent.clear()
    store.clear()
    assert [sent.method for sent in session.sent] == ["GET", "POST"]
    assert len(store) == 0
