"""Listings: every key once, in order, a page at a time and no sooner than it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import s3kv
from tests.contract.direct import Direct
from tests.contract.many import FILES, FOLDERS, MANY


@pytest.fixture
def recorded(open_store: Any, session: Any, long_listing: str, credentials: None) -> s3kv.Store:
    """Return a store of many objects whose requests are recorded in ``session``."""
    store: s3kv.Store = open_store(path=long_listing, session=session)
    return store


@pytest.fixture
def many(open_store: Any, long_listing: str, credentials: None) -> s3kv.Store:
    """Return a store of many objects."""
    store: s3kv.Store = open_store(path=long_listing)
    return store


# --------------------------------------------------------------------------- many pages


def test_a_listing_of_several_pages_has_every_key_once(
    open_store: Any, transport: Any, long_listing: str, credentials: None
) -> None:
    """In order, with sizes."""
    entries = list(open_store(path=long_listing, **transport).scan())
    assert [entry.key for entry in entries] == MANY
    assert {entry.key: entry.size for entry in entries} == {key: len(key) for key in MANY}


def test_list_len_and_iteration_go_on_to_the_last_page(many: s3kv.Store) -> None:
    """And agree."""
    assert many.list() == MANY
    assert list(many) == MANY
    assert len(many) == len(MANY)


def test_a_page_is_fetched_when_the_iterator_gets_to_it(
    recorded: s3kv.Store, session: Any, direct: Direct
) -> None:
    """Nothing before the first step, and the next page only when this one is used up."""
    size = len(direct.page(prefix=recorded.path).keys)
    scan = recorded.scan()
    assert len(session.sent) == 0
    for number, key in enumerate(MANY):
        assert next(scan).key == key
        assert len(session.sent) == number // size + 1
    assert next(scan, None) is None
    assert len(session.sent) == -(-len(MANY) // size)


@pytest.mark.parametrize("start", ["iter", "keys", "scan"])
def test_a_listing_that_is_given_up_sends_no_more(recorded: s3kv.Store, session: Any, start: str) -> None:
    """Whether the iterator is closed or forgotten."""
    iterator: Iterator[Any] = iter(
        {"iter": recorded, "keys": recorded.keys(), "scan": recorded.scan()}[start]
    )
    for _ in range(10):
        next(iterator)
    del iterator
    assert len(session.sent) == 1
    # Nothing goes on behind it either: what is sent next is the next thing that is asked for.
    assert recorded.get(FILES[0]) == FILES[0].encode()
    assert [sent.method for sent in session.sent] == ["GET", "GET"]
    assert "list-type=2" not in session.sent[1].url


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        pytest.param("file-", FILES, id="two pages"),
        pytest.param("file-00", FILES[:100], id="a part of a page"),
        pytest.param("file-0007", ["file-0007"], id="one key"),
        pytest.param("folder-1", MANY[1300 + 1000 :], id="folders"),
        pytest.param("folder-0003/", ["folder-0003/key"], id="one folder"),
        pytest.param("folder-0003/key-and-more", [], id="longer than a key"),
        pytest.param("nothing", [], id="no key"),
        pytest.param("File-", [], id="another case"),
    ],
)
def test_a_prefix_selects_the_keys_that_start_with_it(
    many: s3kv.Store, prefix: str, expected: list[str]
) -> None:
    """Wherever a page ends."""
    assert [entry.key for entry in many.scan(prefix)] == expected


@pytest.mark.parametrize(
    "start", ["", "file-0000", "file-1000-and-more", "file-1299", "folder-1199/k", "folder-1199/key", "z"]
)
def test_a_scan_starts_after_a_key_whether_it_exists_or_not(many: s3kv.Store, start: str) -> None:
    """The key itself is left out."""
    found = [entry.key for entry in many.scan(start_after=start)]
    assert found == [key for key in MANY if key > start]
    assert next(many.scan(start_after=start.encode()), None) == next(many.scan(start_after=start), None)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("file-0049", FILES[50:100], id="a key"),
        pytest.param("file-0049-and-more", FILES[50:100], id="between keys"),
        pytest.param("file-00", FILES[:100], id="the prefix"),
        pytest.param("a", FILES[:100], id="before"),
        pytest.param("file-01", [], id="behind"),
    ],
)
def test_a_prefix_and_a_start_go_together(many: s3kv.Store, start: str, expected: list[str]) -> None:
    """A start before the prefix leaves nothing out, one behind it everything."""
    assert [entry.key for entry in many.scan("file-00", start_after=start)] == expected


def test_one_level_of_several_pages_is_complete(
    open_store: Any, transport: Any, long_listing: str, credentials: None
) -> None:
    """Folders once each, however many keys are in them, and objects beside them."""
    store = open_store(path=long_listing, **transport)
    prefixes, entries = store.list_dir()
    assert prefixes == FOLDERS
    assert [entry.key for entry in entries] == FILES
    assert {entry.size for entry in entries} == {len(FILES[0])}


# ------------------------------------------------------------------------------- one page


def test_an_empty_store_lists_nothing(store_by: s3kv.Store) -> None:
    """That is no error, and there are no folders."""
    assert store_by.list() == []
    assert list(store_by.scan()) == []
    assert store_by.list_dir() == ([], [])
    assert len(store_by) == 0


def test_a_store_lists_only_keys_below_its_path(store: s3kv.Store) -> None:
    """Relative to it; the path is a start of keys, not a folder."""
    (store + "a/").put("key", b"")
    (store + "ab").put("c", b"")
    (store + "b/").put("key", b"")
    assert (store + "a/").list() == ["key"]
    assert (store + "a").list() == ["/key", "bc"]
    assert store.list() == ["a/key", "abc", "b/key"]
    assert (store + "abcd").list() == []


def test_the_object_at_the_path_itself_has_the_empty_key_and_is_listed(store: s3kv.Store) -> None:
    """Before every other."""
    at = store + "object"
    at.put("", b"itself")
    at.put("-2", b"another")
    assert at.list() == ["", "-2"]
    assert [entry.key for entry in at.scan()] == ["", "-2"]
    assert [entry.key for entry in at.list_dir()[1]] == ["", "-2"]
    assert at[""] == b"itself"
    assert dict(at.items()) == {"": b"itself", "-2": b"another"}
    del at[""]
    assert at.list() == ["-2"]


def test_one_level_has_folders_and_objects(store_by: s3kv.Store) -> None:
    """Folders end with their slash; what is deeper belongs to them."""
    for key in ("a", "b/1", "b/2", "b/c/3", "d e/4", "é+%/5", "z"):
        store_by.put(key, key.encode())
    prefixes, entries = store_by.list_dir()
    assert prefixes == ["b/", "d e/", "é+%/"]
    assert [(entry.key, entry.size) for entry in entries] == [("a", 1), ("z", 1)]
    prefixes, entries = store_by.list_dir("b/")
    assert prefixes == ["b/c/"]
    assert [entry.key for entry in entries] == ["b/1", "b/2"]
    assert store_by.list_dir("b/c/")[0] == []
    assert store_by.list_dir("é+%/")[1][0].key == "é+%/5"
    assert store_by.list_dir("b") == (["b/"], [])
    assert store_by.list_dir("nothing/") == ([], [])


@pytest.mark.feature("empty-prefix-vanishes")
def test_a_folder_goes_with_its_last_key(store: s3kv.Store) -> None:
    """It was only ever the start of a key."""
    store.update({"a/b/c": b"", "z": b""})
    assert store.list_dir()[0] == ["a/"]
    store.delete("a/b/c")
    prefixes, entries = store.list_dir()
    assert (prefixes, [entry.key for entry in entries]) == ([], ["z"])


ORDERED = ["B", "a", "l/a-", "l/a/1", "l/a0", "l0", "é", "\uffee", "😀"]


def test_list_sorts_keys_by_their_bytes(store: s3kv.Store) -> None:
    """Whatever the order of the server; capitals come first, emoji last."""
    for key in reversed(ORDERED):
        store.put(key, b"")
    assert sorted(ORDERED, key=str.encode) == ORDERED
    assert store.list() == ORDERED
    assert store.list("l") == ORDERED[2:6]
    prefixes, entries = store.list_dir()
    assert prefixes == ["l/"]
    assert [entry.key for entry in entries] == [key for key in ORDERED if "/" not in key]


@pytest.mark.feature("list-utf8-order")
def test_scan_and_iteration_go_in_the_order_of_the_bytes_of_keys(store: s3kv.Store) -> None:
    """A slash is a byte like any other."""
    for key in reversed(ORDERED):
        store.put(key, b"")
    assert [entry.key for entry in store.scan()] == ORDERED
    assert list(store) == ORDERED
    assert list(store.keys()) == ORDERED


@pytest.mark.feature("list-utf8-order")
def test_a_scan_starts_after_a_key_in_the_order_of_bytes(store: s3kv.Store) -> None:
    """Among folders too, at a key and between keys."""
    for key in reversed(ORDERED):
        store.put(key, b"")
    for start in (*ORDERED, "l", "l/", "l/a/", "l/b", "ê"):
        found = [entry.key for entry in store.scan(start_after=start)]
        assert found == [key for key in ORDERED if key.encode() > start.encode()]


@pytest.mark.feature("list-control-start-after")
def test_a_scan_may_start_after_a_control_character(store: s3kv.Store) -> None:
    """Which XML could not carry."""
    store.update({"a\x01b": b"", "a\x01c": b"", "b": b""})
    assert [entry.key for entry in store.scan(start_after="a\x01b")] == ["a\x01c", "b"]


def test_a_listed_entry_tells_what_stat_tells(store: s3kv.Store) -> None:
    """Size, quoted ETag and time, for each of several objects."""
    values = {"a": b"", "b/c": b"1", "d": bytes(5000)}
    stamps = {key: store.put(key, value) for key, value in values.items()}
    entries = {entry.key: entry for entry in store.scan()}
    assert entries.keys() == values.keys()
    for key, entry in entries.items():
        info = store.stat(key)
        assert entry.size == info.size == len(values[key])
        assert entry.etag == info.etag == stamps[key].generation
        assert (entry.etag[0], entry.etag[-1]) == ('"', '"')
        assert entry.last_modified is not None
        assert entry.last_modified.replace(microsecond=0) == info.last_modified


def test_what_is_written_or_deleted_is_seen_by_the_next_listing(store: s3kv.Store) -> None:
    """At once: nothing is cached."""
    for number in range(5):
        store.put(f"key-{number}", b"")
        assert len(store.list()) == number + 1
    for number in range(5):
        store.delete(f"key-{number}")
        assert len(store.list()) == 4 - number


@pytest.mark.parametrize("method", ["list", "scan", "list_dir"])
@pytest.mark.parametrize("prefix", [None, 7, b"bytes", ("a",)], ids=lambda value: type(value).__name__)
def test_a_prefix_that_is_no_text_is_a_type_error(
    open_store: Any, session: Any, method: str, prefix: Any
) -> None:
    """At once, not when the first entry is asked for. Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError, match="prefix is a str"):
        getattr(store, method)(prefix)
    assert session.sent == []


@pytest.mark.parametrize("method", ["list", "scan", "list_dir"])
def test_a_prefix_that_is_not_unicode_is_an_invalid_key(open_store: Any, session: Any, method: str) -> None:
    """No key could start with it. Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(s3kv.InvalidKey):
        getattr(store, method)("a\ud800b")
    assert session.sent == []
