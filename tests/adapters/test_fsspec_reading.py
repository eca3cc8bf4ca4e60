"""Reading: cat, ranges, files that are read, and what happens when an object is replaced meanwhile."""

from __future__ import annotations

import io
import os
import pickle
import random
from typing import Any

import pytest

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import Answer, FaultProxy
from tests.adapters.fsspec_fixtures import asked, behind, fs, options, place, proxied, proxy

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]

BYTES = bytes(range(200))
MIB = 1024**2


@pytest.fixture
def path(behind: s3kv.Store, place: str) -> str:
    """Return the path of an object of 200 bytes."""
    behind["object"] = BYTES
    return f"{place}/object"


# ---------------------------------------------------------------- bytes

LIMITS = [None, 0, 1, 100, 199, 200, 201, 5000, -1, -100, -199, -200, -201, -5000]


def test_a_range_is_what_a_slice_of_the_bytes_would_be(fs: S3KVFileSystem, path: str) -> None:
    """From either end, clamped to the object; in one call for many, too."""
    pairs = [(start, end) for start in LIMITS for end in LIMITS]
    starts, ends = zip(*pairs, strict=True)
    expected = [BYTES[start:end] for start, end in pairs]
    assert fs.cat_ranges([path] * len(pairs), list(starts), list(ends)) == expected
    for start, end in random.Random(1).sample(pairs, 20):
        assert fs.cat_file(path, start, end) == BYTES[start:end]
    assert (fs.head(path, 3), fs.tail(path, 3), fs.tail(path, 0)) == (BYTES[:3], BYTES[-3:], b"")
    assert fs.read_bytes(path, start=5) == BYTES[5:]
    assert fs.read_block(path, 10, 20) == BYTES[10:30]


def test_ranges_of_an_empty_object_are_empty(fs: S3KVFileSystem, path: str) -> None:
    """Whatever they are."""
    fs.pipe_file(path, b"")
    for start, end in ((None, None), (0, 10), (5, None), (-5, None), (-5, -1), (0, 0)):
        assert fs.cat_file(path, start, end) == b""
    with fs.open(path) as file:
        assert file.read() == b""


@pytest.mark.parametrize(
    ("limits", "requests"),
    [
        ((None, None), ["GetObject"]),
        ((0, 10), ["GetObject"]),
        ((-10, None), ["GetObject"]),
        ((150, 500), ["GetObject", "GetObject"]),
        ((-10, -5), ["HeadObject", "GetObject"]),
    ],
)
def test_a_look_at_the_object_is_for_ranges_that_need_one(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str, limits: Any, requests: list[str]
) -> None:
    """One request where the range tells all."""
    proxied.cat_file(path, *limits)
    assert asked(proxy) == requests


def test_an_object_that_is_replaced_meanwhile_gives_no_more_than_was_asked_for(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str
) -> None:
    """It was too short at the first look, and long at the second."""
    proxy.inject(Answer.error(416, "InvalidRange"), operation="GetObject")
    assert proxied.cat_file(path, 5, 10) == BYTES[5:10]
    assert asked(proxy) == ["GetObject", "GetObject"]


def replaced_after_a_look(behind: s3kv.Store, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What takes the object's place when its size has been looked at, the last first; now, 300 zeros."""
    stat = s3kv.Store.stat
    later = [bytes(300)]

    def measure(self: s3kv.Store, key: Any) -> Any:
        info = stat(self, key)
        if later:
            behind["object"] = later.pop()
        return info

    monkeypatch.setattr(s3kv.Store, "stat", measure)
    return later


def test_a_range_from_the_end_is_of_the_version_that_was_measured(
    fs: S3KVFileSystem, behind: s3kv.Store, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or of the next one, measured again; never of one with the limits of another."""
    later = replaced_after_a_look(behind, monkeypatch)
    assert fs.cat_file(path, -250, -1) == bytes(249)
    monkeypatch.setattr("s3kv.fsspec.contents._MOST_CHANGES", 1)
    later.append(BYTES)
    with pytest.raises(OSError, match="again and again"):
        fs.cat_file(path, -250, -1)


def test_ranges_close_together_are_fetched_together(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str
) -> None:
    """Those of one object; those of several, side by side."""
    starts = list(range(0, 200, 10))
    ends = [start + 5 for start in starts]
    assert proxied.cat_ranges([path] * 20, starts, ends) == [
        BYTES[s:e] for s, e in zip(starts, ends, strict=True)
    ]
    assert asked(proxy) == ["GetObject"]
    many = [f"{path}-{number}" for number in range(20)]
    proxied.pipe(dict.fromkeys(many, BYTES))
    assert proxied.cat_ranges(many * 2, 0, [3] * 20 + [5] * 20) == [BYTES[:3]] * 20 + [BYTES[:5]] * 20
    assert asked(proxy).count("GetObject") == 1 + 20


@pytest.mark.parametrize(
    ("odd", "requests"),
    [
        ((195, 500), ["GetObject", "HeadObject", "GetObject"]),
        ((-500, None), ["GetObject", "GetObject", "HeadObject", "GetObject"]),
        ((-10, -5), ["HeadObject", "GetObject"]),
        ((300, None), ["GetObject", "GetObject", "HeadObject", "GetObject"]),
        ((7, 3), ["HeadObject", "GetObject"]),
    ],
)
def test_one_range_that_needs_a_look_leaves_the_others_together(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str, odd: Any, requests: list[str]
) -> None:
    """A few requests for all of them."""
    spans = [(start, start + 5) for start in range(0, 195, 5)]
    spans[20:20] = [odd]
    found = proxied.cat_ranges([path] * 40, [start for start, _ in spans], [end for _, end in spans])
    assert found == [BYTES[slice(*span)] for span in spans]
    assert sorted(asked(proxy)) == sorted(requests)
    proxy.requests.clear()
    assert proxied.cat_ranges([path, f"{path}-2"], [*odd[:1]] * 2, [*odd[1:]] * 2)[0] == BYTES[slice(*odd)]


def test_ranges_that_need_a_look_are_of_the_version_that_was_looked_at(
    fs: S3KVFileSystem, behind: s3kv.Store, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or of the next one; and there is an end to it."""
    later = replaced_after_a_look(behind, monkeypatch)
    assert fs.cat_ranges([path] * 2, [0, 190], [5, 400]) == [bytes(5), bytes(110)]
    monkeypatch.setattr("s3kv.fsspec.contents._MOST_CHANGES", 1)
    later.append(BYTES)
    for error in fs.cat_ranges([path] * 2, [0, 190], [5, 400]):
        assert isinstance(error, OSError)
        assert "again and again" in str(error)
    behind.delete("object")
    for error in fs.cat_ranges([path] * 2, [0, -190], [5, -1]):
        assert isinstance(error, FileNotFoundError)


def test_the_error_of_a_range_is_returned_or_raised(fs: S3KVFileSystem, path: str) -> None:
    """Whatever is wrong with the others."""
    bucket = path.partition("/")[0]
    paths = [path, f"{path}-none", bucket, "no-such-bucket/key", path]
    found = fs.cat_ranges(paths, 0, 3)
    assert [found[0], found[4]] == [BYTES[:3]] * 2
    assert [type(error) for error in found[1:4]] == [
        FileNotFoundError,
        IsADirectoryError,
        FileNotFoundError,
    ]
    assert found[1].filename == f"{path}-none"
    assert isinstance(found[1].__cause__, s3kv.KeyNotFound)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, 0, 3, on_error="raise")
    with pytest.raises(ValueError, match="3 starts"):
        fs.cat_ranges(paths, [0, 0, 0], 3)
    with pytest.raises(TypeError, match="list"):
        fs.cat_ranges(path, 0, 3)


def test_cat_reads_one_object_or_many(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """A path gives bytes; a list, a pattern or a folder a dict, without the folders in it."""
    behind.put_many({"d/a": b"1", "d/b": b"2", "d/e/c": b"3"})
    a, b, c = (f"{place}/d/{name}" for name in ("a", "b", "e/c"))
    assert fs.cat(a) == b"1"
    assert fs.cat([a]) == {a: b"1"}
    assert fs.cat([a, c]) == {a: b"1", c: b"3"}
    assert fs.cat(f"{place}/d/*") == {a: b"1", b: b"2"}
    assert fs.cat(f"{place}/d/a*") == {a: b"1"}
    assert fs.cat(f"{place}/d", recursive=True) == {a: b"1", b: b"2", c: b"3"}
    assert fs.cat([a, b], start=1) == {a: b"", b: b""}
    assert fs.get_mapper(f"{place}/d")["e/c"] == b"3"
    with pytest.raises(FileNotFoundError):
        fs.cat(f"{place}/none*")


def test_cat_does_with_errors_as_it_is_told(fs: S3KVFileSystem, path: str) -> None:
    """Raise, omit or return them."""
    missing = f"{path}-none"
    with pytest.raises(FileNotFoundError) as caught:
        fs.cat([path, missing])
    assert caught.value.filename == missing
    assert fs.cat([path, missing], on_error="omit") == {path: BYTES}
    found = fs.cat([path, missing, path.partition("/")[0]], on_error="return")
    assert {name: type(value) for name, value in found.items()} == {
        path: bytes,
        missing: FileNotFoundError,
        path.partition("/")[0]: IsADirectoryError,
    }


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", PermissionError),
        (404, "NoSuchKey", FileNotFoundError),
        (404, "NoSuchBucket", FileNotFoundError),
        (503, "SlowDown", OSError),
        (400, "InvalidArgument", OSError),
    ],
)
def test_errors_are_those_of_file_systems(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str, status: int, code: str, error: type[OSError]
) -> None:
    """And tell what the store said."""
    proxy.inject(Answer.error(status, code), times=None)
    for read in (proxied.cat_file, lambda path: proxied.cat([path]), proxied.rm_file):
        with pytest.raises(error) as caught:
            read(path)
        told = caught.value if isinstance(caught.value, s3kv.S3KVError) else caught.value.__cause__
        assert isinstance(told, s3kv.S3KVError)
        assert told.status == status


# ---------------------------------------------------------------- files


def test_a_file_reads_as_any_other(fs: S3KVFileSystem, path: str) -> None:
    """Seek, tell, read, readinto, lines, and the end."""
    with fs.open(path) as file:
        assert (file.readable(), file.seekable(), file.writable(), file.size) == (True, True, False, 200)
        assert file.read(3) == BYTES[:3]
        assert file.tell() == 3
        assert file.seek(-5, io.SEEK_END) == 195
        assert file.read() == BYTES[-5:]
        assert file.read(5) == b""
        buffer = bytearray(4)
        assert (file.seek(10), file.readinto(buffer), bytes(buffer)) == (10, 4, BYTES[10:14])
        assert file.seek(-4, io.SEEK_CUR) == 10
        assert file.seek(500) == 500
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="before start"):
            file.seek(-1)
        with pytest.raises(ValueError):
            file.write(b"1")
        assert file.info()["name"] == path
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_file_reads_text_and_what_is_compressed(fs: S3KVFileSystem, place: str) -> None:
    """Line by line, and whole, in any encoding."""
    fs.write_text(f"{place}/t", "één\ntwee\n", encoding="latin-1")
    with fs.open(f"{place}/t", "r", encoding="latin-1") as file:
        assert list(file) == ["één\n", "twee\n"]
    for name in ("t.gz", "t.bz2", "t.xz", "t.zip"):
        with fs.open(f"{place}/{name}", "wt", compression="infer") as file:
            file.write("text\n" * 1000)
        with fs.open(f"{place}/{name}", "rt", compression="infer") as file:
            assert file.read() == "text\n" * 1000
        assert name == "t.zip" or fs.size(f"{place}/{name}") < 1000


@pytest.mark.parametrize("blocks", [None, 1, 3, 7])
def test_a_file_is_looked_through_for_the_ends_of_lines(
    fs: S3KVFileSystem, place: str, blocks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the pieces end that it is read in, and whatever else is read in between."""
    monkeypatch.setattr("s3kv.fsspec.read_file._PIECE", 5)
    data = b"one\n\ntwo and more\r\n" + b"x" * 100 + b"\r\nthe end"
    fs.pipe(f"{place}/lines", data)
    with fs.open(f"{place}/lines", block_size=16) as file, io.BytesIO(data) as same:
        assert list(file) == data.splitlines(keepends=True)
        assert (file.tell(), file.readline()) == (len(data), b"")
        file.seek(0)
        assert file.readuntil(b"\r\n", blocks) == data[: data.index(b"\r\n") + 2]
        assert file.readuntil(b"\r\n", blocks) == b"x" * 100 + b"\r\n"
        assert file.readuntil(b"none", blocks) == b"the end"
        for place_, count in [(0, 0), (2, 3), (1, 1), (60, 5), (4, 10), (3, 2), (125, 9), (500, 1)]:
            assert file.seek(place_) == same.seek(place_)
            assert (file.readline(), file.tell()) == (same.readline(), same.tell())
            assert file.read(count) == same.read(count)
            assert (file.readline(), file.tell()) == (same.readline(), same.tell())
    with pytest.raises(ValueError, match="closed"):
        file.readline()


def test_a_line_is_no_reason_to_copy_a_block(fs: S3KVFileSystem, place: str) -> None:
    """All lines together are copied about once."""
    data = b"line\n" * 20_000
    fs.pipe(f"{place}/lines", data)
    copied = []
    with fs.open(f"{place}/lines") as file:
        fetch = file.cache._fetch

        def watch(start: int, end: int) -> bytes:
            found: bytes = fetch(start, end)
            copied.append(len(found))
            return found

        file.cache._fetch = watch
        assert b"".join(file) == data
    assert sum(copied) <= 2 * len(data)


@pytest.mark.parametrize("cache", ["readahead", "bytes", "blockcache", "none", "all", "first"])
def test_a_file_reads_the_same_with_every_cache(fs: S3KVFileSystem, path: str, cache: str) -> None:
    """In any order."""
    with fs.open(path, cache_type=cache, block_size=16) as file:
        for start, count in [(0, 5), (190, 50), (3, 20), (100, 1), (0, 200), (60, 30), (59, 2), (199, 1)]:
            file.seek(start)
            assert file.read(count) == BYTES[start : start + count]


def test_opening_asks_once_and_not_at_all_if_all_is_known(
    proxied: S3KVFileSystem, proxy: FaultProxy, path: str
) -> None:
    """One HEAD; what is read ahead is not asked for again."""
    with proxied.open(path, block_size=150) as file:
        assert asked(proxy) == ["HeadObject"]
        assert file.read(10) + file.read(10) + file.read(100) == BYTES[:120]
        assert asked(proxy) == ["HeadObject", "GetObject"]
    with proxied.open(path, size=200) as file:
        assert file.read() == BYTES
    assert asked(proxy) == ["HeadObject", "GetObject", "GetObject"]
    with proxied.open(
        path, cache_type="blockcache", cache_options={"maxblocks": 1}, block_size=100
    ) as file:
        for place in (0, 150, 0):
            file.seek(place)
            file.read(1)
    assert asked(proxy)[3:] == ["HeadObject", *["GetObject"] * 3]


@pytest.mark.parametrize("known", [{}, {"size": 200}])
def test_a_file_stays_with_the_version_it_began_with(
    fs: S3KVFileSystem, behind: s3kv.Store, path: str, known: dict[str, int]
) -> None:
    """The rest of it, if it was replaced, is an error, never bytes of the other one."""
    with fs.open(path, cache_type="none", **known) as file:
        assert file.read(10) == BYTES[:10]
        behind["object"] = bytes(200)
        with pytest.raises(OSError, match="replaced") as caught:
            file.read(10)
        assert caught.value.filename == path
        behind["object"] = BYTES
        assert file.read(10) == BYTES[10:20]
        behind.delete("object")
        with pytest.raises(FileNotFoundError):
            file.read(10)


def test_a_large_read_is_of_one_version_too(
    proxied: S3KVFileSystem,
    proxy: FaultProxy,
    behind: s3kv.Store,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is made in parts, side by side."""
    for module in ("s3kv.reading", "s3kv.fsspec.read_file"):
        monkeypatch.setattr(f"{module}.PART_BYTES", MIB)
    value = random.Random(2).randbytes(5 * MIB + 3)
    behind["large"] = value
    for known in ({}, {"size": len(value)}):
        with proxied.open(f"{place}/large", cache_type="none", **known) as file:
            assert file.read(2 * MIB + 1) == value[: 2 * MIB + 1]
            before = len(asked(proxy))
            assert file.read() == value[2 * MIB + 1 :]
            assert len(asked(proxy)) > before + 2
            file.seek(0)
            behind["large"] = bytes(5 * MIB + 3)
            with pytest.raises(OSError, match="replaced"):
                file.read()
            behind.delete("large")
            with pytest.raises(FileNotFoundError):
                file.read()
            behind["large"] = value


def test_a_file_travels_with_its_place_version_and_cache(
    fs: S3KVFileSystem, behind: s3kv.Store, path: str
) -> None:
    """In a pickle."""
    with fs.open(path, cache_type="bytes", cache_options={"trim": False}, block_size=7) as file:
        file.seek(20)
        data = pickle.dumps(file)
    with pickle.loads(data) as copy:
        assert (copy.tell(), copy.cache.name, copy.cache.trim, copy.blocksize) == (20, "bytes", False, 7)
        assert copy.read(5) == BYTES[20:25]
    behind["object"] = bytes(200)
    with pickle.loads(data) as copy, pytest.raises(OSError, match="replaced"):
        copy.read(5)


@pytest.mark.parametrize(
    ("name", "mode", "error"),
    [
        ("none", "rb", FileNotFoundError),
        ("", "rb", IsADirectoryError),
        ("object", "r+b", io.UnsupportedOperation),
        ("object", "xb", FileExistsError),
        ("object", "x", FileExistsError),
    ],
)
def test_what_cannot_be_opened_says_why(
    fs: S3KVFileSystem, path: str, name: str, mode: str, error: type[OSError]
) -> None:
    """At once, not when it is read or closed."""
    with pytest.raises(error):
        fs.open(f"{os.path.dirname(path)}/{name}", mode)
    bucket = path.partition("/")[0]
    for attempt in (
        fs.open,
        lambda path: fs.open(path, "wb"),
        fs.cat_file,
        fs.rm_file,
        lambda p: fs.pipe_file(p, b""),
    ):
        with pytest.raises(IsADirectoryError):
            attempt(bucket)


def test_files_of_the_same_version_are_equal(fs: S3KVFileSystem, path: str) -> None:
    """As fsspec has it."""
    with fs.open(path) as one, fs.open(path) as other:
        assert one == other
        fs.pipe_file(path, b"1")
        with fs.open(path) as third:
            assert one != third
