"""Memory for large bodies: what is made for them, and what somebody brings."""

from __future__ import annotations

import array
import gc
import hashlib
import mmap
import platform
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv import buffers
from s3kv.buffers import FreshBytes, GivenBuffer, Room
from s3kv.payload import writable

pytestmark = pytest.mark.skipif(not buffers.available(), reason="this interpreter cannot do it")

HUGE = 2 * 1024 * 1024


@given(st.binary(max_size=50), st.data())
def test_bytes_that_are_filled_in_any_order_are_those_bytes(value: bytes, data: st.DataObject) -> None:
    """By pieces or through the view; equal, of the same hash, and as good as any other."""
    start = data.draw(st.integers(0, len(value)))
    fresh = FreshBytes(len(value), value[:start])
    places = data.draw(st.permutations(range(start, len(value))))
    for number, place in enumerate(places):
        if number % 2:
            fresh.view[place] = value[place]
        else:
            fresh.write(place, value[place : place + 1])
    assert type(fresh.data) is bytes
    assert len(fresh.view) == len(value)
    assert fresh.data == value
    assert hash(fresh.data) == hash(value)
    assert {fresh.data: 1}[value] == 1


@pytest.mark.parametrize("size", [0, 1, 2, 255, 4096, HUGE - 1, HUGE, HUGE + 1, 2 * HUGE + 12345])
def test_bytes_of_any_size_can_be_made(size: int) -> None:
    """Also such that are no object of their own, of one byte or none; and the next byte is left alone."""
    value = bytes(index % 251 for index in range(997)) * (size // 997 + 1)
    fresh = FreshBytes(size, b"")
    assert len(fresh.data) == len(fresh.view) == size
    fresh.view[:] = value[:size]
    assert hashlib.sha256(fresh.data).digest() == hashlib.sha256(value[:size]).digest()
    # Every bytes object ends with a zero, which C strings rely on.
    assert fresh.data + b"x" == value[:size] + b"x"
    assert float(FreshBytes(3, b"1.5").data) == 1.5


def test_two_made_of_the_same_size_are_two() -> None:
    """Filling one does not fill the other, nor anything that is already there."""
    for size in (1, 10):
        one, two = FreshBytes(size, b""), FreshBytes(size, b"")
        one.view[:] = b"1" * size
        two.view[:] = b"2" * size
        if size > 1:
            assert (one.data, two.data) == (b"1" * size, b"2" * size)
    assert (b"1"[0], b"2"[0], b"\0"[0]) == (0x31, 0x32, 0)


@pytest.mark.parametrize(("offset", "piece"), [(0, b"12345"), (3, b"12"), (4, b"1"), (100, b"1")])
def test_what_does_not_fit_is_refused(offset: int, piece: bytes) -> None:
    """It would be written over somebody else's memory."""
    fresh = FreshBytes(4, b"abcd")
    with pytest.raises(ValueError, match="fit"):
        fresh.write(offset, piece)
    assert fresh.data == b"abcd"
    with pytest.raises(ValueError):
        FreshBytes(2, b"abc")


def test_nothing_keeps_the_bytes_when_they_are_given_up() -> None:
    """The memory of a large body is free again with its last user."""
    fresh = FreshBytes(100, b"")
    data = fresh.data
    counted = sys.getrefcount(data)
    del fresh
    gc.collect()
    assert sys.getrefcount(data) < counted


def test_a_room_keeps_its_owner() -> None:
    """For as long as somebody may write to it: a view of fresh bytes does not."""

    class Owner:
        pass

    owner = Owner()
    seen = weakref.ref(owner)
    room = Room(memoryview(bytearray(10)), owner)
    given_one = GivenBuffer(room, 5, b"")
    del room, owner
    gc.collect()
    assert seen() is not None
    del given_one
    gc.collect()
    assert seen() is None


def test_a_given_buffer_is_filled_where_it_is() -> None:
    """As far as it is asked for, and not one byte further."""
    memory = bytearray(b"." * 10)
    region = GivenBuffer(Room(memoryview(memory)), 6, b"ab")
    region.write(4, b"ef")
    region.view[2:4] = b"cd"
    assert bytes(region.data) == b"abcdef"
    assert memory == b"abcdef...."
    with pytest.raises(ValueError):
        region.write(5, b"12")
    assert memory == b"abcdef...."


def test_a_room_that_is_printed_shows_no_bytes() -> None:
    """They are nobody's business in a traceback."""
    assert repr(Room(memoryview(bytearray(b"secret" * 1000)))) == "<room for 6,000 bytes>"


def test_rooms_may_be_read_into_however_pages_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no huge pages, nothing is asked for."""
    monkeypatch.setattr(sys, "platform", "somewhere")
    fresh = FreshBytes(3 * HUGE, b"start")
    assert fresh.data[:5] == b"start"


# ------------------------------------------------------------------ somebody's buffer


def _table() -> memoryview:
    """Two dimensions, as an array of NumPy's has them."""
    return memoryview(bytearray(48)).cast("B").cast("I", (3, 4))


GOOD: dict[str, tuple[Callable[[], Any], int]] = {
    "a bytearray": (lambda: bytearray(7), 7),
    "an empty bytearray": (bytearray, 0),
    "an array": (lambda: array.array("d", [0.0] * 5), 40),
    "an empty array": (lambda: array.array("d"), 0),
    "a view": (lambda: memoryview(bytearray(9)), 9),
    "part of a view": (lambda: memoryview(bytearray(9))[2:6], 4),
    "none of a view": (lambda: memoryview(bytearray(9))[2:2], 0),
    "two dimensions": (_table, 48),
    "a row of two dimensions": (lambda: memoryview(bytearray(12)).cast("B", (3, 4))[1:2], 4),
    "no dimension": (lambda: memoryview(bytearray(8)).cast("d", ()), 8),
    "no rows": (lambda: _table()[0:0], 0),
    "memory of the system": (lambda: mmap.mmap(-1, 100), 100),
}


@pytest.mark.parametrize(("make", "size"), GOOD.values(), ids=GOOD)
def test_memory_that_can_be_written_to_is_taken_as_bytes(make: Callable[[], Any], size: int) -> None:
    """Of whatever type and dimensions its elements are: what is written is there."""
    thing = make()
    view = writable(thing)
    assert (view.format, view.ndim, len(view), view.nbytes) == ("B", 1, size, size)
    view[:] = bytes(range(size))
    assert bytes(memoryview(thing).cast("B") if size else b"") == bytes(range(size))
    view.release()
    if isinstance(thing, mmap.mmap):
        thing.close()


BAD: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"1234",
    "a string": lambda: "1234",
    "nothing": lambda: None,
    "a number": lambda: 5,
    "a list": lambda: [0] * 4,
    "a view of bytes": lambda: memoryview(b"1234"),
    "a view made read-only": lambda: memoryview(bytearray(4)).toreadonly(),
    "an empty view of bytes": lambda: memoryview(b""),
    "every second byte": lambda: memoryview(bytearray(8))[::2],
    "backwards": lambda: memoryview(bytearray(8))[::-1],
    "every second row": lambda: _table()[::2],
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_anything_else_is_a_type_error(make: Callable[[], Any]) -> None:
    """That says what is wrong with it."""
    with pytest.raises(TypeError, match=r"(?i)buffer"):
        writable(make())


def test_a_file_mapped_for_reading_only_is_a_type_error(tmp_path: Path) -> None:
    """And not a crash when it is written to."""
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        pytest.raises(TypeError, match="writable"),
    ):
        writable(mapped)


TAKE_AND_FREE = """
import resource, threading
from s3kv import buffers

def rounds(count):
    for _ in range(count):
        pieces = [buffers.FreshBytes(1 << 20, b"") for _ in range(10)]
        for piece in pieces:
            piece.view[::4096] = bytes(256)
        del piece
        pieces.clear()

def work():
    rounds(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    rounds(10)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_memory_that_was_freed_is_used_again() -> None:
    """It need not be taken from the system, page by page, for every body anew."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE_AND_FREE], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 10 * 10 * 256 / 10
