"""Copies on real servers: what is copied is what is read, whatever its name, size and metadata."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind
from tests.contract.shapes import each_shape, fitted
from tests.servers import LocalProcessServer, departure
from tests.servers.departures import FATAL

feature = pytest.mark.feature

MIB = 1024**2
PATIENCE = 1.5

OpenStore = Callable[..., s3kv.Store]


def noise(size: int) -> bytes:
    """Return bytes of which no two parts are the same, the same on every run."""
    return random.Random(size).randbytes(size)


def test_a_copy_is_what_was_copied(store_by: s3kv.Store, behind: Behind) -> None:
    """Its content, type and metadata; its generation is the one that is told."""
    store_by.put("src", b"value", content_type="text/x-test", metadata={"colour": "red"})
    stamp = store_by.copy("src", "folder/dst")
    assert behind.get(store_by, "folder/dst") == b"value"
    facts = behind.head(store_by, "folder/dst")
    # rclone adds the time of the source.
    assert (facts["ContentType"], facts["Metadata"]["colour"]) == ("text/x-test", "red")
    assert stamp.generation == facts["ETag"] == store_by.stat("folder/dst").etag
    assert store_by.get("src") == b"value"


@feature("copy-cache-control")
@pytest.mark.parametrize("conditional", [False, True], ids=["plain", "made under a condition"])
def test_a_copy_has_what_else_the_object_was_stored_with(
    store: s3kv.Store, raw: Any, behind: Behind, conditional: bool
) -> None:
    """Also where s3kv, and not the server, has to say it again."""
    metadata = {"s3kv-write-id": "another"} if conditional else {}
    raw.put_object(
        Bucket=store.bucket,
        Key=f"{store.path}src",
        Body=b"value",
        CacheControl="max-age=60",
        ContentDisposition="inline",
        ContentLanguage="de",
        Metadata=metadata,
    )
    before = behind.head(store, "src")
    store.copy("src", "dst")
    after = behind.head(store, "dst")
    for name in ("CacheControl", "ContentDisposition", "ContentLanguage", "ContentType"):
        # A server may not keep what it does not know; then there is nothing to copy.
        assert after.get(name) == before.get(name)
    assert after["CacheControl"] == "max-age=60"


@feature("copy-replace")
def test_the_id_of_the_write_that_made_the_source_is_not_copied(
    store_by: s3kv.Store, behind: Behind
) -> None:
    """All other metadata is; a copy under a condition has an id of its own."""
    store_by.put("src", b"value", if_absent=True, content_type="text/x", metadata={"colour": "red"})
    ids = [behind.head(store_by, "src")["Metadata"]["s3kv-write-id"]]
    store_by.copy("src", "plain")
    store_by.copy("src", "absent", if_absent=True)
    assert behind.head(store_by, "plain")["Metadata"] == {"colour": "red"}
    ids.append(behind.head(store_by, "absent")["Metadata"]["s3kv-write-id"])
    assert len(set(ids)) == 2
    for key in ("plain", "absent"):
        info = store_by.stat(key)
        assert (info.metadata, info.content_type, info.size) == ({"colour": "red"}, "text/x", 5)
        assert store_by.get(key) == b"value"


@each_shape
def test_a_key_of_any_shape_is_copied_from_and_to(store: s3kv.Store, behind: Behind, shape: str) -> None:
    """It is the very key on both sides."""
    key = fitted(store.path, shape)
    # Some servers answer 500 to what they cannot do, which is tried again.
    patient = store.with_timeout(PATIENCE)
    patient.put(key, b"from")
    patient.copy(key, "copy")
    assert patient.get("copy") == b"from"
    patient.put("src", b"to")
    patient.copy("src", key)
    assert sorted(behind.keys(store)) == sorted(["copy", "src", key])
    assert behind.get(store, key) == b"to"


def test_a_missing_source_is_a_missing_key(store_by: s3kv.Store, behind: Behind) -> None:
    """Of the source's name; nothing is made, and nothing replaced."""
    store_by.put("dst", b"old")
    for dst in ("dst", "new", "missing"):
        with pytest.raises(s3kv.KeyNotFound) as caught:
            store_by.copy("missing", dst)
        assert caught.value.key == "missing"
    assert behind.keys(store_by) == ["dst"]
    assert behind.get(store_by, "dst") == b"old"


def test_a_copy_onto_itself_changes_nothing(store: s3kv.Store, behind: Behind) -> None:
    """Not even when it was written."""
    stamp = store.put("key", b"value", content_type="text/x", metadata={"colour": "red"})
    before = behind.head(store, "key")
    assert store.copy("key", "key").generation == stamp.generation
    with pytest.raises(s3kv.ConditionFailed):
        store.copy("key", "key", if_absent=True)
    after = behind.head(store, "key")
    for name in ("ETag", "LastModified", "ContentType", "Metadata"):
        assert after[name] == before[name]


@pytest.mark.parametrize("mode", [None, False], ids=["default", "look"])
def test_a_copy_replaces_nothing_that_must_not_be_there(
    mode: bool | None, open_store: OpenStore, credentials: None, behind: Behind
) -> None:
    """Also where the server ignores the condition: s3kv looks first."""
    store = open_store() if mode is None else open_store(use_conditional_write=mode)
    store.put("src", b"new")
    store.put("dst", b"old")
    with pytest.raises(s3kv.ConditionFailed) as caught:
        store.copy("src", "dst", if_absent=True)
    assert caught.value.key == "dst"
    assert behind.get(store, "dst") == b"old"
    assert store.copy("src", "dst").generation == store.copy("src", "new", if_absent=True).generation
    assert behind.get(store, "dst") == behind.get(store, "new") == b"new"


@feature("copy-if-none-match")
def test_a_condition_can_be_left_to_the_server_alone(
    open_store: OpenStore, credentials: None, behind: Behind
) -> None:
    """Where it honours the header, which is what ``use_conditional_write`` promises."""
    store = open_store(use_conditional_write=True)
    store.put("src", b"new")
    store.copy("src", "dst", if_absent=True)
    store.put("dst", b"old")
    with pytest.raises(s3kv.ConditionFailed):
        store.copy("src", "dst", if_absent=True)
    assert behind.get(store, "dst") == b"old"


def test_an_endpoint_that_names_the_bucket_will_do(
    open_store: OpenStore, credentials: None, members: dict[str, Any], behind: Behind
) -> None:
    """The source is named with it all the same."""
    usual = open_store()
    store = open_store(bucket="", endpoint=f"{members['endpoint']}/{members['bucket']}")
    store.put("a b", b"value")
    store.copy("a b", "c d")
    assert behind.get(usual, "c d") == b"value"


@pytest.mark.parametrize("size", [0, 1, 20 * MIB], ids=["empty", "1 byte", "20 MiB"])
def test_a_copy_of_any_size_is_whole(store: s3kv.Store, size: int) -> None:
    """No bytes pass through here but those of this test."""
    store.put("src", noise(size))
    store.copy("src", "dst")
    assert store.get("dst") == noise(size)


def test_many_threads_copy_at_once(store: s3kv.Store) -> None:
    """Each gets its own."""
    store.put_many({f"src/{number}": b"%d" % number for number in range(40)})
    futures = [store.futures.copy(f"src/{number}", f"dst/{number}") for number in range(40)]
    for future in futures:
        future.result(30)
    found = store.get_many([f"dst/{number}" for number in range(40)])
    assert found == {f"dst/{number}": b"%d" % number for number in range(40)}


# ------------------------------------------------------------------------------------------ in parts


@pytest.fixture
def small_copies(server: LocalProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every copy be one of parts of 5 MiB, as those of more than 5 GiB are."""
    if (server.name, "copy-part") in FATAL:
        pytest.xfail(reason=str(departure(server.name, "copy-part")))
    monkeypatch.setattr("s3kv.copies.MAX_COPY_BYTES", 1)
    monkeypatch.setattr("s3kv.copies._PART_BYTES", 5 * MIB)


@feature("copy-part")
@pytest.mark.parametrize("size", [5 * MIB, 12 * MIB + 345], ids=["one part", "three parts"])
def test_a_copy_in_parts_is_what_was_copied(
    store_by: s3kv.Store, behind: Behind, size: int, small_copies: None
) -> None:
    """With its type and metadata, but for the id of a write."""
    value = noise(size)
    store_by.put("src/a b+", value, if_absent=True, content_type="text/x", metadata={"colour": "red"})
    stamp = store_by.copy("src/a b+", "dst")
    assert behind.get(store_by, "dst") == value
    facts = behind.head(store_by, "dst")
    assert facts["ContentType"] == "text/x"
    assert store_by.stat("dst").metadata == {"colour": "red"}
    assert facts["ETag"] == stamp.generation
    assert facts["Metadata"].get("s3kv-write-id") != behind.head(store_by, "src/a b+")["Metadata"].get(
        "s3kv-write-id"
    )


@feature("copy-part")
def test_a_copy_in_parts_replaces_nothing_that_must_not_be_there(
    store: s3kv.Store, raw: Any, behind: Behind, small_copies: None
) -> None:
    """And leaves no upload behind."""
    store.put("src", noise(6 * MIB))
    store.put("dst", b"old")
    with pytest.raises(s3kv.ConditionFailed):
        store.copy("src", "dst", if_absent=True)
    assert behind.get(store, "dst") == b"old"
    store.copy("src", "new", if_absent=True)
    assert behind.get(store, "new") == noise(6 * MIB)
    left = raw.list_multipart_uploads(Bucket=store.bucket, Prefix=store.path)
    assert left.get("Uploads", []) == []
