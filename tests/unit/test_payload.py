"""How values are cut into parts: S3's bounds, whatever the size."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.operations.multipart import MAX_PART_BYTES, MAX_PARTS
from s3kv.payload import (
    LARGE_VALUE,
    PART_BYTES,
    Source,
    cut,
    growing_size,
    open_value,
    part_size,
    writable,
)

MIB, GIB, TIB = 1024**2, 1024**3, 1024**4
MOST = 10_000 * 5 * GIB


def test_the_bounds_are_amazons() -> None:
    """10,000 parts of up to 5 GiB; over 32 MiB a value is cut into parts of 8 MiB."""
    assert (MAX_PARTS, MAX_PART_BYTES) == (10_000, 5 * GIB)
    assert (PART_BYTES, LARGE_VALUE) == (8 * MIB, 32 * MIB)


@given(st.one_of(st.integers(0, MOST), st.integers(0, 200 * GIB), st.integers(MOST - 10_000, MOST)))
def test_the_parts_of_a_size_are_within_the_bounds(size: int) -> None:
    """No more than 10,000, none longer than 5 GiB, none but the last shorter than 8 MiB."""
    length = part_size(size)
    assert PART_BYTES <= length <= MAX_PART_BYTES
    assert -(-size // length) <= MAX_PARTS
    assert length % MIB == 0


@given(st.integers(0, 10_000 * PART_BYTES))
def test_parts_are_8_mib_as_long_as_that_will_do(size: int) -> None:
    """Longer ones only waste memory."""
    assert part_size(size) == PART_BYTES


def _short(value: object) -> str:
    """What names a test: the same in every process."""
    return repr(value)[:12]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 8 * MIB),
        (80_000 * MIB, 8 * MIB),
        (80_000 * MIB + 1, 9 * MIB),
        (90_000 * MIB, 9 * MIB),
        (TIB, 105 * MIB),
        (MOST, 5 * GIB),
    ],
)
def test_parts_grow_with_what_there_is_to_send(size: int, expected: int) -> None:
    """By whole MiB."""
    assert part_size(size) == expected


@given(st.integers(MOST + 1, 2 * MOST))
def test_what_is_larger_than_an_object_may_be_is_refused(size: int) -> None:
    """The message says how large that is."""
    with pytest.raises(ValueError, match=r"48\.8 TiB"):
        part_size(size)


@given(st.integers(1, MAX_PARTS - 1))
def test_parts_of_a_stream_never_shrink(number: int) -> None:
    """And are within the bounds."""
    assert PART_BYTES <= growing_size(number) <= growing_size(number + 1) <= MAX_PART_BYTES
    assert growing_size(number + 1) <= 2 * growing_size(number)


def test_parts_of_a_stream_are_short_for_long_and_enough_for_anything() -> None:
    """8 MiB for the first 8 GB; all 10,000 of them hold tens of TiB."""
    sizes = [growing_size(number) for number in range(1, MAX_PARTS + 1)]
    assert set(sizes[:1000]) == {PART_BYTES}
    assert sizes[1000] == 2 * PART_BYTES
    assert sizes[-1] == MAX_PART_BYTES
    assert sum(sizes) > 30 * TIB


# ----------------------------------------------------------------------------------- bytes in memory


@given(st.binary(max_size=1000), st.integers(1, 300))
def test_bytes_are_cut_without_a_copy(body: bytes, length: int) -> None:
    """Each part is a view of what lies in memory, and all of them are all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.payload.PART_BYTES", length)
        patch.setattr("s3kv.payload._MIB", 1)
        parts = list(cut(body))
        assert b"".join(parts) == body
        assert all(part.obj is body for part in parts)
        assert {len(part) for part in parts[:-1]} <= {length}


@pytest.mark.parametrize(
    "value",
    [b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), array.array("H", [1, 2]), memoryview(b"abcd")[1:]],
    ids=["empty", "bytes", "bytearray", "view", "array", "part of a view"],
)
def test_what_has_a_buffer_is_sent_as_its_bytes(value: Any) -> None:
    """Counted in bytes, not in items."""
    opened = open_value(value)
    assert not isinstance(opened, Source)
    assert bytes(opened) == bytes(value)
    assert len(opened) == memoryview(value).nbytes


def test_a_file_mapped_into_memory_is_bytes() -> None:
    """Though it can be read, too."""
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        with mmap.mmap(file.fileno(), 10) as mapped:
            opened = open_value(mapped)
            assert bytes(opened) == b"0123456789"  # type: ignore[arg-type]
            del opened


@pytest.mark.parametrize(
    "value", [None, "text", 7, [b"a"], object(), {"read": 1}], ids=lambda value: repr(value)[:12]
)
def test_anything_else_is_a_type_error(value: Any) -> None:
    """It says what a value is."""
    with pytest.raises(TypeError, match="bytes-like object"):
        open_value(value)


def test_a_buffer_with_gaps_is_a_type_error() -> None:
    """It would have to be copied."""
    with pytest.raises(TypeError, match="contiguous"):
        open_value(memoryview(b"0123456789")[::2])


# --------------------------------------------------------------------------------------------- files


class Reader:
    """A file of which nothing is known but ``read``."""

    def __init__(self, value: bytes, most: int) -> None:
        self._file = io.BytesIO(value)
        self._most = most

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._most))


@given(st.binary(max_size=600), st.integers(0, 50), st.integers(1, 64), st.integers(1, 8))
def test_a_file_in_parts_is_the_file(value: bytes, start: int, length: int, small: int) -> None:
    """Whole if that is not much; each time again, where it can be read again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.payload.PART_BYTES", length)
        patch.setattr("s3kv.payload._MIB", 1)
        patch.setattr("s3kv.payload.LARGE_VALUE", length * small)
        file = io.BytesIO(value)
        file.seek(start)
        source = Source(file)
        assert source.repeatable
        if len(value) - start <= length * small:
            assert source.whole == value[start:]
            return
        assert source.whole is None
        for _ in range(2):
            parts = list(source.parts())
            assert b"".join(parts) == value[start:]
            assert {len(part) for part in parts[:-1]} <= {length}


@given(st.binary(max_size=600), st.integers(1, 64), st.integers(1, 70))
def test_a_stream_in_parts_is_the_stream(value: bytes, length: int, most: int) -> None:
    """However little each read gives; once, for it cannot be read again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.payload.PART_BYTES", length)
        source = Source(Reader(value, most))
        assert not source.repeatable
        if len(value) < length:
            assert source.whole == value
            return
        assert source.whole is None
        parts = list(source.parts())
        assert b"".join(parts) == value
        assert {len(part) for part in parts[:-1]} <= {length}
        assert min(map(len, parts)) > 0


@pytest.mark.parametrize("size", [0, 5, 10, 25, 30])
def test_a_stream_is_not_read_again_after_its_end(size: int) -> None:
    """At a terminal, that would wait for another one."""

    class Terminal(Reader):
        ends = 0

        def read(self, size: int) -> bytes:
            piece = super().read(size)
            self.ends += not piece
            return piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.payload.PART_BYTES", 10)
        terminal = Terminal(b"x" * size, 4)
        source = Source(terminal)
        if source.whole is None:
            assert b"".join(source.parts()) == b"x" * size
        assert terminal.ends == 1


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    """As is one that shrinks."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with pytest.MonkeyPatch.context() as patch, path.open("rb", buffering=0) as file:
        patch.setattr("s3kv.payload.PART_BYTES", 10)
        patch.setattr("s3kv.payload._MIB", 1)
        patch.setattr("s3kv.payload.LARGE_VALUE", 40)
        parts = Source(file).parts()
        first = next(parts)
        with path.open("ab") as end:
            end.write(b"y" * 25)
        assert first + b"".join(parts) == b"x" * 100 + b"y" * 25
        file.seek(0)
        source = Source(file)
        path.write_bytes(b"z" * 35)
        assert b"".join(source.parts()) == b"x" * 10 + b"z" * 25


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_of_a_small_file_not_much_more_is_asked_for_than_there_is(size: int) -> None:
    """A file makes room for all that it is asked for."""
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

    assert Source(Watched(bytes(size))).whole == bytes(size)
    assert min(asked) > 0
    assert max(asked) <= size + 64 * 1024


def test_a_file_too_large_for_an_object_is_refused_unread() -> None:
    """Its length is known before its bytes."""

    class Enormous(io.RawIOBase):
        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return 0

        def seek(self, offset: int, whence: int = 0) -> int:
            return MOST + 1 if whence == 2 else offset

        def read(self, size: int = -1) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(ValueError, match=r"48\.8 TiB"):
        Source(Enormous())


def test_a_closed_file_is_a_value_error() -> None:
    """As whoever reads one is told."""
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        open_value(file)


class Named(ctypes.Structure):
    """Two numbers, one with a name that is a letter of formats."""

    _fields_ = (("O", ctypes.c_int), ("b", ctypes.c_double))


class Pair(ctypes.Structure):
    """A number, and the address of an object."""

    _fields_ = (("a", ctypes.c_int), ("b", ctypes.py_object))


@pytest.mark.parametrize("kind", [ctypes.py_object * 2, Pair], ids=["array", "structure"])
@pytest.mark.parametrize("use", [open_value, writable])
def test_addresses_of_objects_are_no_bytes(use: Any, kind: Any) -> None:
    """Elsewhere they mean nothing; and whoever writes over them has the interpreter crash."""
    with pytest.raises(TypeError, match="Python objects"):
        use(kind())


@pytest.mark.parametrize("use", [open_value, writable])
def test_the_name_of_a_field_says_nothing_of_what_is_in_it(use: Any) -> None:
    """A structure of numbers is bytes, whatever its fields are called."""
    assert len(use(Named(1, 2.0))) == ctypes.sizeof(Named)
