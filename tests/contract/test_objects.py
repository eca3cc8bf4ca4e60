"""Objects: what is put is what is got, with its type and metadata, whatever its size and kind."""

from __future__ import annotations

import array
import ctypes
import hashlib
import mmap
import random
import time
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import cache
from typing import Any

import pytest
import requests

import s3kv
from tests.contract.behind import Behind


@cache
def noise(size: int) -> bytes:
    """Return bytes that nothing could have made up, the same on every run."""
    return random.Random(size).randbytes(size)


def test_an_object_is_put_read_listed_described_and_deleted(store_by: s3kv.Store, behind: Behind) -> None:
    """And every way of looking at it tells the same."""
    before = time.time()
    stamp = store_by.put("folder/key", b"value")
    assert before <= stamp.time <= time.time()
    assert isinstance(stamp.generation, s3kv.StorageGeneration)
    assert stamp.generation.has_etag

    value = store_by.get("folder/key")
    assert (value, type(value)) == (b"value", bytes)
    assert store_by.list() == ["folder/key"]
    (entry,) = store_by.scan()
    info = store_by.stat("folder/key")
    assert entry.key == info.key == "folder/key"
    assert entry.size == info.size == 5
    assert entry.etag == info.etag == stamp.generation
    facts = behind.head(store_by, "folder/key")
    assert (facts["ContentLength"], facts["ETag"]) == (5, stamp.generation)

    gone = store_by.delete("folder/key")
    assert gone.generation == s3kv.StorageGeneration.NO_VALUE
    assert stamp.time <= gone.time <= time.time()
    assert store_by.list() == []
    with pytest.raises(s3kv.KeyNotFound):
        store_by.get("folder/key")


@pytest.mark.parametrize(
    "size",
    [0, 1, 4096, 1024 * 1024 + 1, 20_000_000],
    ids=["empty", "1 byte", "4 KiB", "1 MiB and 1 byte", "20 MB"],
)
def test_a_value_of_any_size_comes_back_whole(store_by: s3kv.Store, behind: Behind, size: int) -> None:
    """To s3kv and to boto3, and so does one that boto3 wrote."""
    value = noise(size)
    store_by.put("key", value)
    # Compared by digest: pytest would try to show 20 MB of difference.
    assert digest(store_by.get("key")) == digest(value)
    assert store_by.stat("key").size == size
    assert digest(behind.get(store_by, "key")) == digest(value)
    behind.put(store_by, "key", value[::-1])
    assert digest(store_by.get("key")) == digest(value[::-1])


def test_an_object_is_as_good_after_many_others_on_the_same_connection(store_by: s3kv.Store) -> None:
    """Empty and large, present and missing answers do not run into each other."""
    values = {f"key-{size}": noise(size) for size in (0, 1, 10, 1000, 70_000, 1_200_000)}
    store_by.update(values)
    keys = [*values, "missing"] * 3
    random.Random(3).shuffle(keys)
    for key in keys:
        if key == "missing":
            assert store_by.get(key, b"nothing") == b"nothing"
        else:
            assert store_by.stat(key).size == len(values[key])
            assert digest(store_by.get(key)) == digest(values[key])


NUMBERS = array.array("I", range(5000))


class Pair(ctypes.Structure):
    """Two numbers next to each other."""

    _fields_ = (("first", ctypes.c_uint32), ("second", ctypes.c_uint64))


def anonymous_map() -> mmap.mmap:
    """Return a page of memory that is not a bytes object."""
    memory = mmap.mmap(-1, 4096)
    memory.write(b"mapped")
    return memory


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(bytearray(b"0123"), b"0123", id="bytearray"),
        pytest.param(bytearray(), b"", id="empty bytearray"),
        pytest.param(memoryview(b"0123"), b"0123", id="memoryview"),
        pytest.param(memoryview(b""), b"", id="empty memoryview"),
        pytest.param(memoryview(b"0123456789")[3:7], b"3456", id="part of a memoryview"),
        pytest.param(NUMBERS, NUMBERS.tobytes(), id="array of integers"),
        pytest.param(memoryview(NUMBERS), NUMBERS.tobytes(), id="memoryview of integers"),
        pytest.param(memoryview(b"0123456789ab").cast("B", (3, 4)), b"0123456789ab", id="two dimensions"),
        pytest.param(Pair(1, 2), bytes(Pair(1, 2)), id="ctypes structure"),
        pytest.param(
            (ctypes.c_double * 3)(1, 2, 3), array.array("d", [1, 2, 3]).tobytes(), id="ctypes array"
        ),
    ],
)
def test_any_contiguous_buffer_is_a_value(store_by: s3kv.Store, value: Any, expected: bytes) -> None:
    """Its bytes are stored, as they lie in memory."""
    store_by.put("key", value)
    assert store_by.get("key") == expected


class Words(str, Enum):
    """Text that shows itself as something else."""

    KEY = "key"
    TYPE = "application/json"
    NAME = "name"
    VALUE = "red"
    PUT = "PUT"


def test_text_of_any_class_is_stored_as_the_text_that_it_is(store_by: s3kv.Store) -> None:
    """Not as its class shows it: types, metadata, conditions and methods."""
    store_by.put(Words.KEY, b"1", content_type=Words.TYPE, metadata={Words.NAME: Words.VALUE})
    info = store_by.stat("key")
    assert (info.content_type, info.metadata) == ("application/json", {"name": "red"})
    etag = Enum("ETag", {"NOW": info.etag}, type=str).NOW
    assert store_by.read("key", if_not_equal=etag).state == "unspecified"
    store_by.put("key", b"2", if_equal=etag)
    with pytest.raises(s3kv.ConditionFailed):
        store_by.put("key", b"3", if_equal=etag)
    with requests.put(store_by.presign("key", method=Words.PUT), data=b"4", timeout=10) as response:
        assert response.ok, response.text
    assert store_by.get("key") == b"4"


def test_a_memory_map_is_a_value_and_is_let_go_of(store_by: s3kv.Store) -> None:
    """Nothing holds on to the buffer once the value is stored."""
    memory = anonymous_map()
    store_by.put("key", memory)
    memory.close()
    assert store_by.get("key") == b"mapped" + bytes(4090)


def test_a_bytearray_may_be_changed_once_it_is_stored(store: s3kv.Store) -> None:
    """And even resized, which a forgotten view of it would forbid."""
    value = bytearray(noise(100_000))
    store.put("key", value)
    value += b"more"
    assert store.get("key") == noise(100_000)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(memoryview(b"0123456789")[::2], id="every second byte"),
        pytest.param(memoryview(b"0123456789")[::-1], id="reversed"),
    ],
)
def test_a_buffer_with_gaps_is_refused(open_store: Any, session: Any, value: Any) -> None:
    """It would have to be copied, which the caller had better know. Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError, match="contiguous"):
        store.put("key", value)
    assert session.sent == []


@pytest.mark.parametrize(
    "value", ["text", None, 7, ["a"], {"a": 1}, object()], ids=lambda value: type(value).__name__
)
def test_a_value_that_is_not_bytes_is_a_type_error(open_store: Any, session: Any, value: Any) -> None:
    """Text is not encoded on a guess, and a number is not taken for a length. Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError, match=type(value).__name__):
        store.put("key", value)
    with pytest.raises(TypeError, match=type(value).__name__):
        store["key"] = value
    assert session.sent == []


def test_overwriting_replaces_value_type_and_metadata(store_by: s3kv.Store) -> None:
    """Nothing of the object before is left, and the generation is another."""
    first = store_by.put("key", b"first", content_type="text/plain", metadata={"colour": "red"})
    second = store_by.put("key", b"the second", metadata={"size": "10"})
    assert second.generation != first.generation
    assert second.time >= first.time
    assert store_by.get("key") == b"the second"
    info = store_by.stat("key")
    assert (info.size, info.etag, info.metadata) == (10, second.generation, {"size": "10"})
    assert info.content_type != "text/plain"
    assert store_by.list() == ["key"]


def test_the_same_value_has_the_same_generation(store: s3kv.Store) -> None:
    """And another value has another one: a generation is the ETag of the bytes."""
    one = store.put("one", b"value").generation
    assert store.put("two", b"value").generation == one
    assert one == f'"{hashlib.md5(b"value").hexdigest()}"'
    assert store.put("one", b"other").generation != one


def test_a_content_type_is_stored(store_by: s3kv.Store, behind: Behind) -> None:
    """With its parameters, to be seen by s3kv and by boto3."""
    store_by.put("key", b"{}", content_type='application/json; charset="utf-8"')
    assert store_by.stat("key").content_type == 'application/json; charset="utf-8"'
    assert behind.head(store_by, "key")["ContentType"] == 'application/json; charset="utf-8"'


def test_metadata_are_stored_with_names_in_lower_case(store_by: s3kv.Store, behind: Behind) -> None:
    """Values keep their case, their inner spaces and every printable character of ASCII."""
    metadata = {"Colour": "Deep  Blue", "x-y.1": "".join(map(chr, range(0x21, 0x7F)))}
    expected = {name.lower(): value for name, value in metadata.items()}
    store_by.put("key", b"value", metadata=metadata)
    assert store_by.stat("key").metadata == expected
    assert behind.head(store_by, "key")["Metadata"] == expected


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("under_score", marks=pytest.mark.feature("metadata-underscore")),
        pytest.param("!#$%&'*+^`|~", marks=pytest.mark.feature("metadata-punctuation")),
    ],
)
def test_a_name_of_metadata_may_have_punctuation(store_by: s3kv.Store, name: str) -> None:
    """It comes back as it is."""
    store_by.put("key", b"value", metadata={name: "value"})
    assert store_by.stat("key").metadata == {name: "value"}


def test_an_object_without_metadata_has_none(store: s3kv.Store) -> None:
    """Not even what s3kv or the server might add of its own."""
    store.put("key", b"value")
    assert store.stat("key").metadata == {}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"content_type": "text/plain\r\nx-amz-acl: public-read"}, id="CR and LF in the type"),
        pytest.param({"content_type": "text/plain\n"}, id="LF after the type"),
        pytest.param({"content_type": "naïve/type"}, id="a type not in ASCII"),
        pytest.param({"metadata": {"name": "a\r\nb: c"}}, id="CR and LF in a value"),
        pytest.param({"metadata": {"name": "a\x00b"}}, id="NUL in a value"),
        pytest.param({"metadata": {"name": "é"}}, id="a value not in ASCII"),
        pytest.param({"metadata": {"name": " padded "}}, id="spaces that HTTP would drop"),
        pytest.param({"metadata": {"na me": "value"}}, id="a space in a name"),
        pytest.param({"metadata": {"na\nme": "value"}}, id="LF in a name"),
        pytest.param({"metadata": {"": "value"}}, id="a name of no characters"),
        pytest.param({"metadata": {"Name": "1", "nAME": "2"}}, id="a name twice"),
    ],
)
def test_what_a_header_cannot_carry_is_refused_before_anything_is_sent(
    open_store: Any, session: Any, headers: dict[str, Any]
) -> None:
    """With a ValueError: nothing is dropped, encoded or smuggled in."""
    store = open_store(session=session)
    with pytest.raises(ValueError):
        store.put("key", b"value", **headers)
    assert session.sent == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": 7},
        {"content_type": b"text/plain"},
        {"metadata": {"name": 7}},
        {"metadata": {7: "value"}},
    ],
    ids=repr,
)
def test_a_type_or_metadata_that_are_no_text_are_a_type_error(
    open_store: Any, session: Any, headers: dict[str, Any]
) -> None:
    """Numbers are not turned into text on a guess. Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError, match="is a str, not"):
        store.put("key", b"value", **headers)
    assert session.sent == []


def test_the_time_of_a_write_is_aware_and_the_same_everywhere(store: s3kv.Store) -> None:
    """In UTC, and close to the clock on the wall."""
    before = datetime.now(timezone.utc)
    store.put("key", b"value")
    told = store.stat("key").last_modified
    (entry,) = store.scan()
    assert told is not None
    assert entry.last_modified is not None
    assert told.utcoffset() == entry.last_modified.utcoffset() == timedelta(0)
    assert abs(told - before) < timedelta(seconds=5)
    assert entry.last_modified.replace(microsecond=0) == told


def test_deleting_a_missing_key_is_no_error(store_by: s3kv.Store) -> None:
    """Neither the first time nor after it was there."""
    never = store_by.delete("never")
    assert never.generation == s3kv.StorageGeneration.NO_VALUE
    store_by.put("key", b"value")
    store_by.delete("key")
    assert store_by.delete("key").generation == s3kv.StorageGeneration.NO_VALUE


def test_deleting_an_object_leaves_the_others(store: s3kv.Store) -> None:
    """Also those whose keys start with its key."""
    store.update({"a": b"1", "ab": b"2", "b": b"3"})
    store.delete("a")
    assert dict(store.items()) == {"ab": b"2", "b": b"3"}


def digest(value: bytes) -> tuple[int, str]:
    """Return the length and a digest of bytes too many to be shown."""
    return len(value), hashlib.sha256(value).hexdigest()
