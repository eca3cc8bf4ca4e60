"""Large objects and given memory on real servers, and what these servers' listings look like."""

from __future__ import annotations

import array
import mmap
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import s3kv
from s3kv import listing_xml
from s3kv.operations import listing
from tests.contract.behind import Behind

MIB = 1024**2
PART = 1 * MIB
OpenStore = Callable[..., s3kv.Store]


@cache
def noise(size: int) -> bytes:
    """Return bytes of which no two parts are the same, the same on every run."""
    return random.Random(size).randbytes(size)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have objects be large from 2 MiB on."""
    monkeypatch.setattr("s3kv.reading.PART_BYTES", PART)
    monkeypatch.setattr("s3kv.many.PART_BYTES", PART)


SIZES = [2 * PART - 1, 2 * PART, 2 * PART + 1, 7 * PART + 12345]


def test_a_large_object_comes_back_as_it_was_written(
    store_by: s3kv.Store, behind: Behind, small_parts: None
) -> None:
    """In parts or in one piece, in new memory or in given memory."""
    for size in SIZES:
        behind.put(store_by, "key", noise(size))
        assert store_by.get("key") == noise(size)
        buffer = bytearray(size + 1)
        assert store_by.get_into("key", buffer) == size
        assert buffer == noise(size) + b"\0"


def test_a_large_range_comes_back_as_it_was_written(
    store_by: s3kv.Store, behind: Behind, small_parts: None
) -> None:
    """From the beginning, in the middle and at the end."""
    size = 9 * PART + 7
    behind.put(store_by, "key", noise(size))
    for wanted in (slice(0, 3 * PART), slice(5, -1 + size), slice(PART // 2, None), slice(-4 * PART, None)):
        expected = noise(size)[wanted]
        assert store_by.get("key", byte_range=wanted) == expected
        buffer = bytearray(len(expected))
        assert store_by.get_into("key", buffer, byte_range=wanted) == len(expected)
        assert buffer == expected
    for outside in (slice(0, size + 1), slice(size, None), slice(-size - 1, None)):
        with pytest.raises(s3kv.ByteRangeError):
            store_by.get("key", byte_range=outside)
        with pytest.raises(s3kv.ByteRangeError):
            store_by.get_into("key", bytearray(2 * size), byte_range=outside)


def test_parts_are_really_asked_for(
    store: s3kv.Store, behind: Behind, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are: every server here tells versions apart, and knows ranges."""
    from s3kv.transport.sockets import SocketTransport

    asked = []
    begin, exchange, launch = SocketTransport.begin, SocketTransport.exchange, SocketTransport.launch

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: SocketTransport, request: Any, call: Any) -> Any:
            result = method(self, request, call)
            if result is not None:
                asked.append(dict(request.headers).get("range"))
            return result

        return call

    def launched(self: SocketTransport, *arguments: Any) -> Any:
        result = launch(self, *arguments)
        if result is not None:
            # Only requests for whole objects are sent this way.
            asked.append(None)
        return result

    behind.put(store, "key", noise(5 * PART))
    assert store.stat("key").size == 5 * PART
    monkeypatch.setattr(SocketTransport, "launch", launched)
    monkeypatch.setattr(SocketTransport, "begin", counted(begin))
    monkeypatch.setattr(SocketTransport, "exchange", counted(exchange))
    assert store.get("key") == noise(5 * PART)
    assert asked.count(None) == 1
    assert set(asked) - {None} == {f"bytes={at}-{at + PART - 1}" for at in range(PART, 5 * PART, PART)}


def test_an_object_as_large_as_the_constants_have_it_comes_back(store: s3kv.Store, behind: Behind) -> None:
    """This once without a fixture that makes parts small."""
    size = 33 * MIB
    behind.put(store, "key", noise(size))
    assert store.get("key") == noise(size)
    buffer = bytearray(size)
    assert store.get_into("key", buffer) == size
    assert buffer == noise(size)


def test_large_objects_may_be_among_small_ones(
    store: s3kv.Store, behind: Behind, small_parts: None
) -> None:
    """In every batch."""
    values = {f"k{number}": noise(3 * PART + number if number % 4 == 0 else 50) for number in range(10)}
    for key, value in values.items():
        behind.put(store, key, value)
    assert store.get_many(values) == values
    assert dict(store.iter_many(values)) == values
    assert list(store.items()) == sorted(values.items())


def test_an_object_is_read_into_memory_of_any_kind(store_by: s3kv.Store, behind: Behind) -> None:
    """Exactly as long, or longer."""
    behind.put(store_by, "key", noise(800))
    numbers = array.array("d", bytes(800))
    assert store_by.get_into("key", numbers) == 800
    assert numbers.tobytes() == noise(800)
    table = memoryview(bytearray(1000)).cast("B", (10, 100))
    assert store_by.get_into("key", table[1:]) == 800
    assert table.tobytes() == bytes(100) + noise(800) + bytes(100)
    with mmap.mmap(-1, 800) as mapped:
        assert store_by.get_into("key", mapped) == 800
        assert mapped[:] == noise(800)


@pytest.mark.parametrize(
    "wanted", [None, slice(0, 10), slice(3, None), slice(-4, None), slice(9, 10)], ids=str
)
def test_a_range_is_read_into_memory(store_by: s3kv.Store, behind: Behind, wanted: slice | None) -> None:
    """Where there is room for it; what is behind it is left alone."""
    behind.put(store_by, "key", b"0123456789")
    expected = b"0123456789"[wanted] if wanted else b"0123456789"
    for room in (len(expected), 30):
        buffer = bytearray(b"." * room)
        assert store_by.get_into("key", buffer, byte_range=wanted) == len(expected)
        assert buffer == expected.ljust(room, b".")
    with pytest.raises(ValueError, match="small"):
        store_by.get_into("key", bytearray(len(expected) - 1), byte_range=wanted)
    assert store_by.get("key") == b"0123456789"


@pytest.mark.parametrize("outside", [slice(5, 100), slice(0, 11), slice(-100, None)], ids=str)
def test_a_range_outside_is_that_error_whatever_the_room(
    store_by: s3kv.Store, behind: Behind, outside: slice
) -> None:
    """No memory would do for it; and a missing key is not found, with room for it or not."""
    behind.put(store_by, "key", b"0123456789")
    for room in (0, 10, 200):
        with pytest.raises(s3kv.ByteRangeError) as caught:
            store_by.get_into("key", bytearray(room), byte_range=outside)
        assert caught.value.key == "key"
        with pytest.raises(s3kv.KeyNotFound):
            store_by.get_into("missing", bytearray(room), byte_range=outside)


def test_nothing_is_read_into_memory_where_there_is_nothing(store_by: s3kv.Store, behind: Behind) -> None:
    """An empty object is no bytes, and a missing one is not found."""
    behind.put(store_by, "empty", b"")
    assert store_by.get_into("empty", bytearray()) == 0
    assert store_by.get_into("empty", bytearray(3)) == 0
    with pytest.raises(s3kv.KeyNotFound):
        store_by.get_into("missing", bytearray(3))
    with pytest.raises(s3kv.KeyNotFound):
        store_by.get_into("missing", bytearray(3), byte_range=slice(0, 1))


def test_listings_of_real_servers_are_read_by_columns(
    store: s3kv.Store, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast, and as the parser reads them; one level of folders, too."""
    keys = sorted(["a", "a b+%", "é/1", "é/2", "x/y/z", "漢字", "z"])
    for key in keys:
        behind.put(store, key, key.encode())
    pages: list[bytes] = []

    def read(data: bytes, *, keys_only: bool = False) -> listing_xml.Columns:
        pages.append(data)
        return listing_xml.read_page(data, keys_only=keys_only)

    monkeypatch.setattr(listing, "read_page", read)
    assert store.list() == keys
    assert store.list_dir()[0] == ["x/", "é/"]
    assert len(pages) >= 2
    for data in pages:
        fast = listing_xml._read_alike(data)
        assert fast is not None, data.decode()
        assert fast.page() == listing_xml.parse_page(data)
