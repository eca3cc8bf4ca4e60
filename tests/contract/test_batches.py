"""Batches on real servers: many keys got, put and deleted at once, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind

COUNT = 60


def names(count: int = COUNT) -> list[str]:
    """Return so many keys, in order."""
    return [f"k{number:04}" for number in range(count)]


def value(key: str) -> bytes:
    """Return the value of a key."""
    return key.encode() * 3


@pytest.fixture
def full(store_by: s3kv.Store) -> s3kv.Store:
    """Return a store of many objects, for each transport."""
    store_by.put_many({key: value(key) for key in names()})
    return store_by


def test_what_is_put_at_once_is_there(store_by: s3kv.Store, behind: Behind) -> None:
    """From a mapping, pairs or an iterator; bytes of every sort, empty ones too; each has its stamp."""
    values: dict[str, Any] = {"a": b"1", "b": bytearray(b"22"), "c/d": memoryview(b"x333")[1:], "e": b""}
    for items in (values, list(values.items()), iter(values.items())):
        store_by.clear()
        stamps = store_by.put_many(items)
        assert stamps.keys() == values.keys()
        assert {key: behind.get(store_by, key) for key in values} == {
            key: bytes(found) for key, found in values.items()
        }
        assert {key: store_by.read(key).stamp.generation for key in values} == {
            key: stamp.generation for key, stamp in stamps.items()
        }


def test_many_objects_are_got_at_once(full: s3kv.Store) -> None:
    """Each key has its own bytes; a key that comes twice comes once; keys may be bytes."""
    wanted = {key: value(key) for key in names()}
    assert full.get_many(names()) == wanted
    assert full.get_many([*names(3), *(key.encode() for key in names(5))]) == {
        key: value(key) for key in names(5)
    }
    assert dict(full.iter_many(iter(names()))) == wanted
    assert len(list(full.iter_many(names()))) == COUNT


def test_missing_keys_are_errors_unless_they_are_to_be_skipped(full: s3kv.Store) -> None:
    """Each is a KeyNotFound of its own, beside the results of the others."""
    keys = ["missing", *names(8), "gone"]
    wanted = {key: value(key) for key in names(8)}
    assert full.get_many(keys, on_missing="skip") == wanted
    assert dict(full.iter_many(keys, on_missing="skip")) == wanted
    with pytest.raises(s3kv.BatchError) as caught:
        full.get_many(keys)
    assert caught.value.results == wanted
    assert {key: type(error) for key, error in caught.value.errors.items()} == {
        "missing": s3kv.KeyNotFound,
        "gone": s3kv.KeyNotFound,
    }
    assert {key: getattr(error, "key", None) for key, error in caught.value.errors.items()} == {
        "missing": "missing",
        "gone": "gone",
    }
    found: dict[str, bytes] = {}
    with pytest.raises(s3kv.BatchError) as caught:
        found.update(full.iter_many(keys))
    assert caught.value.errors.keys() == {"missing", "gone"}
    assert found == wanted


@pytest.mark.parametrize("key", ["gone", b"gone", "g"])
def test_one_key_is_not_taken_for_many(full: s3kv.Store, key: Any) -> None:
    """Nor are its characters for keys: that they are missing would be said, or not even that."""
    why = f"keys are many, for instance a list, not one {type(key).__name__}"
    for call in (full.get_many, full.iter_many, full.delete_many):
        with pytest.raises(TypeError, match=why):
            call(key)
    with pytest.raises(TypeError, match="keys are many"):
        full.get_many(key, on_missing="skip")


def test_keys_and_values_that_cannot_be_are_errors_of_their_own(store: s3kv.Store) -> None:
    """What is right is written beside them."""
    wrong: dict[str, Any] = {"x" * 1025: b"1", "none": None, "text": "text", "\ud800": b"1"}
    with pytest.raises(s3kv.BatchError) as caught:
        store.put_many({"a": b"1", **wrong, "b": b"2"})
    kinds = {key[:4]: type(error) for key, error in caught.value.errors.items()}
    assert kinds == {
        "xxxx": s3kv.InvalidKey,
        "\ud800": s3kv.InvalidKey,
        "none": TypeError,
        "text": TypeError,
    }
    assert caught.value.results.keys() == {"a", "b"}
    assert store.list() == ["a", "b"]


def test_the_last_of_several_values_for_a_key_stays(store: s3kv.Store) -> None:
    """In the order of the pairs, however they are sent."""
    pairs = [(f"k{number % 3}", str(number).encode()) for number in range(30)]
    stamps = store.put_many(iter(pairs))
    assert store.get_many(dict(pairs)) == dict(pairs)
    for key, stamp in stamps.items():
        assert store.read(key).stamp.generation == stamp.generation


def test_many_keys_are_deleted_at_once(full: s3kv.Store, behind: Behind) -> None:
    """And counted; keys that are not there are deleted already, and a key that comes twice counts once."""
    assert full.delete_many(names(50)) == 50
    assert behind.keys(full) == names()[50:]
    assert full.delete_many(iter([*names(), "never", names()[0]])) == COUNT + 1
    assert behind.keys(full) == []


def test_keys_with_all_that_xml_minds_are_deleted(store: s3kv.Store, behind: Behind) -> None:
    """And their neighbours are spared."""
    odd = ["a&b", "a<b>", "quo'te\"s", "é", "plus+space ", "per%20cent"]
    store.put_many(dict.fromkeys([*odd, "a", "a&amp;b", "per cent"], b"v"))
    assert store.delete_many(odd) == len(odd)
    assert behind.keys(store) == ["a", "a&amp;b", "per cent"]


def test_a_prefix_is_deleted_and_nothing_else(full: s3kv.Store) -> None:
    """The count is of what was there."""
    full.put_many({"k": b"1", "l0": b"2", "K0": b"3"})
    assert full.delete_prefix("k001") == 10
    assert (full + "k").delete_prefix("0") == COUNT - 10
    assert full.delete_prefix("k0") == 0
    assert full.list() == ["K0", "k", "l0"]


def test_a_range_is_deleted_and_nothing_else(full: s3kv.Store) -> None:
    """From its first key, up to and without its last; an empty one is none."""
    assert full.delete_range(s3kv.KeyRange(names()[10], names()[20])) == 10
    assert full.list() == names()[:10] + names()[20:]
    assert full.delete_range(s3kv.KeyRange("b", "a")) == 0
    assert full.delete_range(s3kv.KeyRange(names()[30])) == COUNT - 30
    assert (full + "k").delete_range(s3kv.KeyRange("", "0005")) == 5
    assert full.list() == names()[5:10] + names()[20:30]


def test_a_long_prefix_is_deleted_in_requests_of_a_thousand(
    open_store: Any, credentials: None, session: Any
) -> None:
    """As many as there are keys for, and one listing for each page."""
    keys = [f"k{number:04}" for number in range(1010)]
    with open_store() as plain:
        plain.put_many(dict.fromkeys(keys, b""))
    store = open_store(session=session)
    assert store.delete_prefix("k") == 1010
    methods = [sent.method for sent in session.sent]
    assert methods.count("POST") == 2
    assert methods.count("DELETE") == 0
    assert all(
        "content-md5" in map(str.lower, sent.headers) for sent in session.sent if sent.method == "POST"
    )
    assert store.list() == []


def test_a_batch_may_be_made_of_another(full: s3kv.Store) -> None:
    """What one yields goes into the next as it comes, within the same limit."""
    copy = full + "copy-"

    def pairs() -> Iterator[tuple[str, bytes]]:
        for key, found in full.iter_many(names()):
            yield key, found[:5]

    assert copy.put_many(pairs()).keys() == set(names())
    assert copy.get_many(copy) == {key: value(key)[:5] for key in names()}
    assert copy.delete_many(entry.key for entry in copy.scan()) == COUNT
    assert len(full) == COUNT


def test_progress_is_shown_to_nobody_here(store: s3kv.Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal nothing is written, and the results are the same."""
    assert store.put_many({"a": b"1"}, progress=True).keys() == {"a"}
    assert store.get_many(["a"], progress=True) == {"a": b"1"}
    assert list(store.iter_many(["a"], progress=True)) == [("a", b"1")]
    assert store.delete_many(["a"], progress=True) == 1
    assert capsys.readouterr() == ("", "")
