"""Keys of every shape go to the server and come back as they are, whatever the path and transport."""

from __future__ import annotations

from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind
from tests.contract.shapes import each_shape, fitted, shapes_of
from tests.servers import LocalProcessServer

# Some servers answer 500 to what they cannot do, which is tried again for a quarter of an hour.
PATIENCE = 4.0


def check_round_trip(store: s3kv.Store, key: str, behind: Behind) -> None:
    """Do to a key, in an empty store, everything that can be done to it."""
    assert key not in store
    stamp = store.put(key, b"first")
    assert store.get(key) == b"first"
    assert key in store
    info = store.stat(key)
    assert (info.key, info.size, info.etag) == (key, 5, stamp.generation)
    assert store.list() == [key]
    entry = next(iter(store.scan()))
    assert (entry.key, entry.size, entry.etag) == (key, 5, stamp.generation)

    assert behind.get(store, key) == b"first"
    assert behind.keys(store) == [key]
    behind.put(store, key, b"second one")
    assert store.get(key) == b"second one"
    assert store.stat(key).size == 10

    store.delete(key)
    assert key not in store
    assert store.list() == []
    assert store.get(key, None) is None


@each_shape
def test_a_key_of_any_shape_round_trips_below_a_path(
    store_by: s3kv.Store, shape: str, behind: Behind
) -> None:
    """What s3kv writes, boto3 finds under the same key, and the other way round."""
    check_round_trip(store_by, fitted(store_by.path, shape), behind)


@each_shape
def test_a_key_of_any_shape_round_trips_in_a_whole_bucket(
    store_at_root: s3kv.Store, shape: str, behind: Behind
) -> None:
    """A path of no characters adds nothing, not even a slash."""
    check_round_trip(store_at_root, shape, behind)


@each_shape
def test_a_key_of_any_shape_can_be_a_path(store: s3kv.Store, shape: str, behind: Behind) -> None:
    """The object at the path itself has the key "" and is listed under it."""
    folder = store + "in/"
    child = folder + fitted(folder.path, shape)
    child.put("", b"value")
    assert behind.get(child, "") == b"value"
    assert child.get("") == b"value"
    assert child.stat("").size == 5
    assert "" in child
    assert folder.list() == [child.path.removeprefix(folder.path)]
    child.delete("")
    assert folder.list() == []


@pytest.mark.parametrize(
    "prefix",
    [
        "a b",
        "a+b",
        "a%2Fb",
        "a&b=c",
        "é",
        "漢",
        "😀",
        "a\tb",
        pytest.param("a\r\nb", marks=pytest.mark.feature("newline")),
        "<b>",
        pytest.param("a\x01b", marks=pytest.mark.feature("list-control-prefix")),
        "a\x7fb",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("method", ["list", "scan", "list_dir"])
def test_any_text_can_be_the_prefix_of_a_listing(store: s3kv.Store, prefix: str, method: str) -> None:
    """It is matched literally: neither decoded nor a pattern."""
    keys = [prefix + "1", prefix + "2"]
    for key in [*keys, "another", prefix[:-1] + "?"]:
        store.put(key, b"")
    if method == "list":
        found = store.list(prefix)
    elif method == "scan":
        found = [entry.key for entry in store.scan(prefix)]
    else:
        prefixes, entries = store.list_dir(prefix)
        assert prefixes == []
        found = [entry.key for entry in entries]
    assert found == keys


def test_keys_of_all_shapes_live_side_by_side(server: LocalProcessServer, store_by: s3kv.Store) -> None:
    """Each keeps its own value, and they are listed in the order of their bytes."""
    keys = shapes_of(server.name, store_by.path)
    for key in keys:
        store_by.put(key, key.encode())
    assert store_by.list() == keys
    for key in keys:
        assert store_by.get(key) == key.encode()
    for key in keys:
        store_by.delete(key)
    assert store_by.list() == []


def test_a_key_may_be_given_as_its_bytes_in_utf_8(store: s3kv.Store) -> None:
    """The same object answers to both."""
    key: Any = "é/漢".encode()
    store.put(key, b"value")
    assert store.get("é/漢") == store.get(key) == b"value"
    assert key in store
    assert store.stat(key).key == "é/漢"
    store.delete(key)
    assert store.list() == []


@pytest.mark.feature("prefix-key")
def test_a_key_and_a_longer_one_that_goes_on_with_a_slash_are_unrelated(store: s3kv.Store) -> None:
    """Deleting one leaves the other."""
    store = store.with_timeout(PATIENCE)
    # One after the other: of both at once, SeaweedFS may lose one.
    store["a"] = b"1"
    store["a/b"] = b"2"
    assert store.list() == ["a", "a/b"]
    store.delete("a")
    assert (store.list(), store["a/b"]) == (["a/b"], b"2")


@pytest.mark.feature("normal-forms")
def test_a_letter_and_its_decomposed_form_are_different_keys(store: s3kv.Store) -> None:
    """Keys are compared by their bytes."""
    store.update({"\u00e9": b"composed", "e\u0301": b"decomposed"})
    assert store["\u00e9"] == b"composed"
    assert store["e\u0301"] == b"decomposed"
    assert store.list() == ["e\u0301", "\u00e9"]


@pytest.mark.feature("parent-not-a-key")
def test_what_would_be_a_folder_of_a_key_is_a_missing_key(store: s3kv.Store) -> None:
    """Deleting it is no error and changes nothing."""
    store = store.with_timeout(PATIENCE)
    store.put("a/b/c", b"value")
    for parent in ("a", "a/", "a/b", "a/b/"):
        assert parent not in store
        store.delete(parent)
    assert store.list() == ["a/b/c"]


def test_the_longest_key_counts_the_path(store: s3kv.Store) -> None:
    """Path and key have 1,024 bytes together; one byte more is refused before anything is sent."""
    room = 1024 - len(store.path.encode())
    key = "/".join(["k" * 99] * 11)[:room]
    assert len(key) == room
    store.put(key, b"value")
    assert store.list() == [key]
    with pytest.raises(s3kv.InvalidKey, match="1,025 bytes"):
        store.put(key + "k", b"value")


OPERATIONS: dict[str, Any] = {
    "get": lambda store, key: store.get(key),
    "get with a default": lambda store, key: store.get(key, None),
    "get of a range": lambda store, key: store.get(key, byte_range=slice(0, 1)),
    "put": lambda store, key: store.put(key, b"value"),
    "delete": lambda store, key: store.delete(key),
    "stat": lambda store, key: store.stat(key),
    "in": lambda store, key: key in store,
    "subscript": lambda store, key: store[key],
    "assignment": lambda store, key: store.__setitem__(key, b"value"),
    "del": lambda store, key: store.__delitem__(key),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@each_operation
@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param("k" * 1025, "1,025 bytes", id="1,025 bytes"),
        pytest.param("é" * 513, "1,026 bytes", id="1,026 bytes in 513 characters"),
        pytest.param("a\ud800b", "surrogate", id="a lone surrogate"),
        pytest.param(b"a\xffb", "not valid UTF-8", id="bytes that are not UTF-8"),
    ],
)
def test_a_key_that_s3_cannot_hold_is_refused_before_anything_is_sent(
    open_store: Any, session: Any, operation: Any, key: Any, words: str
) -> None:
    """With InvalidKey, which is a ValueError and says what is wrong with the key."""
    store = open_store(path="", session=session)
    with pytest.raises(s3kv.InvalidKey, match=words) as caught:
        operation(store, key)
    assert isinstance(caught.value, ValueError)
    assert session.sent == []


@each_operation
@pytest.mark.parametrize("key", [None, 7, ("a",), bytearray(b"a")], ids=lambda key: type(key).__name__)
def test_a_key_that_is_no_text_is_a_type_error(
    open_store: Any, session: Any, operation: Any, key: Any
) -> None:
    """Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError, match="a key is a str"):
        operation(store, key)
    assert session.sent == []
