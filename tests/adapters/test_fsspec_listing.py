"""What there is: info, ls, find, glob, walk and du, keys with odd names, and the cache of listings."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fsspec.dircache import DirCache  # type: ignore[import-untyped]

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import Answer, FaultProxy
from tests.adapters.fsspec_fixtures import (
    asked,
    behind,
    fs,
    opened,
    options,
    place,
    proxied,
    proxy,
    storage_options,
)

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]

TREE = ["a", "d/a", "d/b", "d/e/c", "d/e/x/y", "dd", "both", "both/in"]


@pytest.fixture
def tree(behind: s3kv.Store, place: str) -> str:
    """Return a folder with the objects of ``TREE``, each of which has its key as its bytes."""
    behind.put_many({key: key.encode() for key in TREE})
    return place


def below(place: str, names: list[str]) -> list[str]:
    """Return the paths of these names in a folder."""
    return [f"{place}/{name}" for name in names]


# ---------------------------------------------------------------- one path


def test_info_tells_of_an_object_what_the_store_does(fs: S3KVFileSystem, place: str) -> None:
    """Size, times, ETag, content type and metadata."""
    fs.pipe_file(f"{place}/k", b"hello", content_type="text/plain", metadata={"colour": "red"})
    info = fs.info(f"s3kv://{place}/k")
    written = info["LastModified"]
    assert abs((datetime.now(timezone.utc) - written).total_seconds()) < 3600
    assert info == {
        "name": f"{place}/k",
        "size": 5,
        "type": "file",
        "ETag": '"5d41402abc4b2a76b9719d911017c592"',
        "LastModified": written,
        "mtime": written,
        "ContentType": "text/plain",
        "metadata": {"colour": "red"},
    }
    assert fs.modified(f"{place}/k") == fs.created(f"{place}/k") == written
    assert fs.sizes([f"{place}/k", place]) == [5, 0]


@pytest.mark.parametrize(
    ("name", "kind", "isfile", "isdir"),
    [
        ("a", "file", True, False),
        ("d", "directory", False, True),
        ("d/", "directory", False, True),
        ("both", "file", True, True),
        ("d/e", "directory", False, True),
        ("b", None, False, False),
        ("a/x", None, False, False),
    ],
)
def test_a_path_is_an_object_or_a_folder_or_both_or_nothing(
    fs: S3KVFileSystem, tree: str, name: str, kind: str | None, isfile: bool, isdir: bool
) -> None:
    """A folder is what keys have in common; where there is an object, too, info is about that."""
    path = f"{tree}/{name}"
    assert (fs.isfile(path), fs.isdir(path), fs.exists(path)) == (isfile, isdir, kind is not None)
    if kind is None:
        with pytest.raises(FileNotFoundError) as caught:
            fs.info(path)
        assert caught.value.filename == path
    else:
        assert fs.info(path)["type"] == kind


def test_a_bucket_is_a_folder_and_a_missing_one_is_nothing(fs: S3KVFileSystem, place: str) -> None:
    """Also where there is nothing in it; and so are all buckets together, whose names nobody tells."""
    bucket = place.partition("/")[0]
    assert (
        fs.info(bucket) == fs.info(f"s3kv://{bucket}/") == {"name": bucket, "size": 0, "type": "directory"}
    )
    assert fs.isdir(bucket)
    assert not fs.isfile(bucket)
    for path in ("no-such-bucket", "no-such-bucket/key"):
        assert (fs.exists(path), fs.isfile(path), fs.isdir(path)) == (False, False, False)
        for look in (fs.info, fs.ls, fs.find, fs.du):
            with pytest.raises(FileNotFoundError):
                look(path)
    assert fs.glob("no-such-bucket/*") == []
    assert fs.info("")["type"] == "directory"
    assert fs.isdir("s3kv://")
    for look in (fs.ls, fs.find, lambda _: fs.glob("*/key")):
        with pytest.raises(io.UnsupportedOperation, match="bucket/key"):
            look("")


def test_a_refusal_is_neither_yes_nor_no(proxied: S3KVFileSystem, proxy: FaultProxy, place: str) -> None:
    """exists, isfile and isdir raise what the store says."""
    proxy.inject(Answer.error(403, "AccessDenied"), times=None)
    for look in (proxied.exists, proxied.isfile, proxied.isdir, proxied.ls, proxied.glob):
        with pytest.raises(PermissionError, match="AccessDenied"):
            look(f"{place}/k*" if look == proxied.glob else f"{place}/k")


def test_whether_there_is_a_folder_costs_one_key(
    proxied: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """Not a page of a thousand."""
    assert proxied.isdir(f"{tree}/d")
    [request] = proxy.requests
    assert request.query["max-keys"] == "1"


def test_the_version_of_an_object_has_a_name_and_a_number(fs: S3KVFileSystem, place: str) -> None:
    """Others for other contents; a folder has none."""
    path = f"{place}/k"
    fs.pipe_file(path, b"1")
    before = fs.ukey(path), fs.checksum(path)
    assert (fs.ukey(path), fs.checksum(path)) == before
    fs.pipe_file(path, b"2")
    assert fs.ukey(path) != before[0]
    assert fs.checksum(path) != before[1]
    for look in (fs.ukey, fs.checksum, fs.modified):
        with pytest.raises(IsADirectoryError):
            look(place)


# ---------------------------------------------------------------- folders


def test_ls_lists_one_level(fs: S3KVFileSystem, tree: str) -> None:
    """Sorted; with details by default, as fsspec has it."""
    assert fs.ls(tree, detail=False) == below(tree, ["a", "both", "both", "d", "dd"])
    assert [info["type"] for info in fs.ls(f"{tree}/")] == [
        "file",
        "file",
        "directory",
        "directory",
        "file",
    ]
    assert fs.ls(f"{tree}/d/e", detail=False) == below(tree, ["d/e/c", "d/e/x"])
    [info] = fs.ls(f"{tree}/a")
    assert (info["name"], info["size"], info["type"]) == (f"{tree}/a", 1, "file")
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{tree}/none")


@pytest.mark.parametrize(
    ("name", "wanted", "found"),
    [
        ("", {}, ["a", "both", "both/in", "d/a", "d/b", "d/e/c", "d/e/x/y", "dd"]),
        ("d", {}, ["d/a", "d/b", "d/e/c", "d/e/x/y"]),
        ("d", {"withdirs": True}, ["d", "d/a", "d/b", "d/e", "d/e/c", "d/e/x", "d/e/x/y"]),
        ("d", {"maxdepth": 1}, ["d/a", "d/b"]),
        ("d", {"maxdepth": 2, "withdirs": True}, ["d", "d/a", "d/b", "d/e", "d/e/c", "d/e/x"]),
        ("d", {"maxdepth": 3}, ["d/a", "d/b", "d/e/c", "d/e/x/y"]),
        ("d", {"prefix": "e"}, ["d/e/c", "d/e/x/y"]),
        ("", {"prefix": "d", "maxdepth": 1, "withdirs": True}, ["", "d", "dd"]),
        ("a", {}, ["a"]),
        ("none", {}, []),
        ("both", {}, ["both/in"]),
    ],
)
def test_find_finds_what_is_in_a_folder(
    fs: S3KVFileSystem, tree: str, name: str, wanted: dict[str, Any], found: list[str]
) -> None:
    """With folders or without, so many levels or all."""
    paths = [path.rstrip("/") for path in below(tree, found)]
    path = f"{tree}/{name}"
    assert fs.find(path, **wanted) == paths
    detailed = fs.find(path, detail=True, **wanted)
    assert list(detailed) == paths
    assert all(info["name"] == each and "size" in info for each, info in detailed.items())


def test_find_lists_keys_and_not_folders(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str
) -> None:
    """One request for a hundred folders; with a depth, one for each folder above the last level."""
    behind.put_many({f"{number}/x/key": b"" for number in range(20)})
    assert len(proxied.find(place)) == 20
    assert len(asked(proxy)) == 1
    assert len(proxied.find(place, maxdepth=2, withdirs=True)) == 41
    assert len(asked(proxy)) == 1 + 1 + 20
    with pytest.raises(ValueError, match="maxdepth"):
        proxied.find(place, maxdepth=0)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["a", "both", "d", "dd"]),
        ("d*", ["d", "dd"]),
        ("d/*/", ["d/e"]),
        ("**/y", ["d/e/x/y"]),
        ("d/**", ["d", "d/a", "d/b", "d/e", "d/e/c", "d/e/x", "d/e/x/y"]),
        ("?", ["a", "d"]),
        ("d/[ab]", ["d/a", "d/b"]),
        ("d/[!a]", ["d/b", "d/e"]),
        ("none*", []),
        ("a", ["a"]),
        ("none", []),
    ],
)
def test_glob_finds_what_matches(fs: S3KVFileSystem, tree: str, pattern: str, found: list[str]) -> None:
    """As the shell does, and with ``**``."""
    assert fs.glob(f"{tree}/{pattern}") == below(tree, found)
    assert list(fs.glob(f"{tree}/{pattern}", detail=True)) == below(tree, found)


def test_glob_lists_only_what_begins_as_the_pattern_does(
    proxied: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """The store is asked for a prefix."""
    proxied.glob(f"{tree}/d/e*")
    [request] = proxy.requests
    assert request.query["prefix"] == f"{tree.partition('/')[2]}/d/e"


def test_walk_goes_from_folder_to_folder(fs: S3KVFileSystem, tree: str) -> None:
    """As os.walk does."""
    assert [(path.removeprefix(tree), *rest) for path, *rest in fs.walk(tree)] == [
        ("", ["both", "d"], ["a", "both", "dd"]),
        ("/both", [], ["in"]),
        ("/d", ["e"], ["a", "b"]),
        ("/d/e", ["x"], ["c"]),
        ("/d/e/x", [], ["y"]),
    ]


def test_du_adds_up_sizes_without_looking_at_each_object(
    proxied: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """One listing."""
    assert proxied.du(f"{tree}/d") == len("d/ad/bd/e/cd/e/x/y")
    assert asked(proxy) == ["ListObjectsV2"]
    sizes = {f"{tree}/d": 0, f"{tree}/d/a": 3, f"{tree}/d/b": 3, f"{tree}/d/e": 0}
    assert proxied.du(f"{tree}/d", total=False, withdirs=True, maxdepth=1) == sizes
    assert proxied.du(f"{tree}/a") == 1


# ---------------------------------------------------------------- keys with odd names


@pytest.mark.parametrize(
    "key",
    [
        "a b",
        "p%20q",
        "q?versionId=1",
        "h#a",
        "m*k",
        "[x]",
        "é☃",
        "a:b",
        "a//b",
        "/lead",
        "..",
        "+&=",
        "{}",
    ],
)
def test_every_key_is_read_written_listed_and_deleted_as_it_is(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, key: str
) -> None:
    """No character of it means anything; the others around it stay."""
    others = {"other": b"1", f"{key}-not": b"2", "m-k": b"3", "x": b"4"}
    behind.put_many(others)
    path = f"s3kv://{place}/{key}"
    fs.pipe_file(path, b"value")
    plain = f"{place}/{key}"
    assert behind[key] == fs.cat_file(path) == fs.cat(path) == b"value"
    assert fs.info(path)["name"] == plain
    assert plain in fs.find(place)
    assert plain in fs.ls(plain.rpartition("/")[0].rstrip("/"), detail=False)
    with fs.open(path) as file:
        assert file.read() == b"value"
    fs.rm(path)
    assert behind.list() == sorted(others)


def test_an_object_whose_key_ends_with_a_slash_marks_a_folder(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """It is no file, whatever its size; who names it with the slash gets it."""
    behind.put_many({"m/": b"mark", "m/n/": b"", "m/x": b"1"})
    assert fs.ls(place, detail=False) == [f"{place}/m"]
    assert fs.ls(f"{place}/m", detail=False) == below(place, ["m/n", "m/x"])
    assert fs.ls(f"{place}/m/n") == []
    assert fs.find(place) == [f"{place}/m/x"]
    assert fs.find(place, withdirs=True) == [place, *below(place, ["m", "m/n", "m/x"])]
    assert fs.isdir(f"{place}/m/n")
    assert fs.cat_file(f"{place}/m/") == b"mark"
    fs.pipe_file(f"{place}/m/n/", b"2")
    assert behind["m/n/"] == b"2"
    fs.rm_file(f"{place}/m/n/")
    assert behind.list() == ["m/", "m/x"]


def test_an_object_is_not_hidden_by_what_marks_a_folder_of_its_name(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """At any depth."""
    behind.put_many({"a": b"1", "a/": b"", "a/b": b"2"})
    for depth in (None, 2):
        found = fs.find(place, maxdepth=depth, withdirs=True, detail=True)
        assert {path.removeprefix(place): info["type"] for path, info in found.items()} == {
            "": "directory",
            "/a": "file",
            "/a/b": "file",
        }


def test_what_is_in_a_nameless_folder_is_listed_with_what_is_around_it(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """Its own path would be that of the folder around it, and a walk would never end."""
    behind.put_many({"a//b": b"", "a//c/d": b"", "a/e": b"", "//f": b""})
    assert fs.ls(f"{place}/a", detail=False) == below(place, ["a//b", "a//c", "a/e"])
    assert fs.ls(place, detail=False) == below(place, ["//f", "a"])
    assert [path for path, _, _ in fs.walk(f"{place}/a")] == below(place, ["a", "a//c"])
    assert fs.find(f"{place}/a", maxdepth=1) == below(place, ["a//b", "a/e"])


# ---------------------------------------------------------------- the cache


def test_without_being_asked_nothing_is_cached(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """What others do is seen at once."""
    behind["a"] = b""
    assert len(fs.ls(place)) == 1
    behind["b"] = b""
    assert len(fs.ls(place)) == 2
    assert len(fs.dircache) == 0


@pytest.fixture
def caching(proxy: FaultProxy) -> Iterator[S3KVFileSystem]:
    """Return a file system that keeps listings, and asks through the proxy."""
    yield from opened({**storage_options(proxy), "use_listings_cache": True})


def test_with_a_cache_a_listing_is_asked_for_once(
    caching: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """And answers what is asked of what it lists; refresh asks again."""
    first = caching.ls(tree)
    first[0]["name"] = "changed by whoever got it"
    assert caching.ls(tree, detail=False) == below(tree, ["a", "both", "both", "d", "dd"])
    assert caching.info(f"{tree}/dd")["size"] == 2
    assert caching.isfile(f"{tree}/a")
    assert caching.isdir(tree)
    assert [caching.isdir(f"{tree}/{name}") for name in ("d", "both", "a", "none")] == [1, 1, 0, 0]
    assert not caching.exists(f"{tree}/none")
    assert asked(proxy) == ["ListObjectsV2"]
    caching.ls(tree, refresh=True)
    caching.info(f"{tree}/dd", refresh=True)
    assert asked(proxy) == ["ListObjectsV2", "ListObjectsV2", "HeadObject"]
    caching.ls(f"{tree}/dd")
    assert not caching.isdir(f"{tree}/dd")


def test_the_listing_of_a_folder_hides_no_object_of_its_name(
    caching: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """It does not tell of one; the listing around it does."""
    both = f"{tree}/both"
    caching.ls(both)
    assert (caching.info(both)["type"], caching.info(f"{tree}/d")["type"]) == ("file", "directory")
    assert caching.isfile(both)
    caching.ls(tree)
    caching.ls(f"{tree}/d")
    before = asked(proxy)
    assert (caching.info(both)["type"], caching.info(f"{tree}/d")["type"]) == ("file", "directory")
    assert (caching.isfile(both), caching.isfile(f"{tree}/d")) == (True, False)
    assert asked(proxy) == before
    caching.invalidate_cache()
    caching.ls(both)
    caching.rm(both, recursive=True)
    assert not caching.exists(both)


def test_one_file_of_a_long_cached_listing_is_found_without_looking_through_it(
    caching: S3KVFileSystem, proxy: FaultProxy, place: str
) -> None:
    """Each of a thousand, and none of those that are not there."""
    looked_at = 0

    class Watched(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            nonlocal looked_at
            looked_at += 1
            return super().__getitem__(name)

    names = sorted([f"{place}/{number}" for number in range(1000)] + [f"{place}/1 ", f"{place}/é"])
    caching.dircache[place] = [
        Watched(name=name, size=number, type="file") for number, name in enumerate(names)
    ]
    for number, name in enumerate(names):
        assert caching.info(name)["size"] == number
        assert caching.isfile(name)
        assert not caching.exists(f"{name}!")
    assert looked_at < 3 * 1002 * 20
    assert asked(proxy) == []


def test_a_write_does_not_look_through_all_listings(
    caching: S3KVFileSystem, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which there may be as many as files are written; those below what is written stay."""
    names = [f"{place}/{number}/new" for number in range(5)]
    caching.pipe(dict.fromkeys(names, b"1"))
    caching.pipe({f"{name}/below": b"1" for name in names})

    def list_all() -> None:
        for name in names:
            caching.ls(name.removesuffix("/new"))
            caching.ls(f"{name}/below")
            caching.dircache[f"{name}/below"] = []

    def refuse(self: DirCache) -> Iterator[str]:
        raise AssertionError("all listings are looked through")

    monkeypatch.setattr(DirCache, "__iter__", refuse)
    (tmp_path / "file").write_bytes(b"2")
    for change in (
        lambda: caching.pipe(dict.fromkeys(names, b"2")),
        lambda: caching.put([str(tmp_path / "file")] * 5, names),
        lambda: caching.copy(names, [f"{name}-2" for name in names]),
        lambda: caching.open(names[0], "wb").close(),
        lambda: caching.rm(names),
    ):
        list_all()
        change()
        folders = [name.removesuffix("/new") in caching.dircache for name in names]
        assert folders in ([False] * 5, [False, True, True, True, True])
        assert all(f"{name}/below" in caching.dircache for name in names)


@pytest.mark.parametrize(
    "change",
    [
        lambda fs, tree: fs.pipe_file(f"{tree}/d/e/new", b""),
        lambda fs, tree: fs.pipe({f"{tree}/d/e/new": b""}),
        lambda fs, tree: fs.touch(f"{tree}/d/e/new"),
        lambda fs, tree: fs.open(f"{tree}/d/e/new", "wb").close(),
        lambda fs, tree: fs.cp_file(f"{tree}/a", f"{tree}/d/e/new"),
        lambda fs, tree: fs.mv(f"{tree}/a", f"{tree}/d/e/new"),
        lambda fs, tree: fs.put_file(__file__, f"{tree}/d/e/new"),
        lambda fs, tree: fs.rm_file(f"{tree}/d/e/c"),
        lambda fs, tree: fs.rm(f"{tree}/d/e/c"),
        lambda fs, tree: fs.rm(f"{tree}/d", recursive=True),
        lambda fs, tree: fs.mv(f"{tree}/d/e/c", f"{tree}/z"),
    ],
    ids=[
        "pipe_file",
        "pipe",
        "touch",
        "open",
        "cp",
        "mv to",
        "put",
        "rm_file",
        "rm",
        "rm recursive",
        "mv from",
    ],
)
def test_every_write_drops_what_it_puts_out_of_date(
    caching: S3KVFileSystem, proxy: FaultProxy, tree: str, change: Any
) -> None:
    """The folder's listing, those around it and those below; no other."""
    for folder in ("", "/d", "/d/e", "/both"):
        caching.ls(tree + folder)
    change(caching, tree)
    assert set(caching.dircache) <= {f"{tree}/both"}
    before = len(asked(proxy))
    caching.ls(f"{tree}/both")
    assert len(asked(proxy)) == before


def test_a_listing_that_was_overtaken_by_a_write_is_not_kept(
    caching: S3KVFileSystem, tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may write while it is on its way."""
    listed = s3kv.Store.list_dir

    def list_dir(self: s3kv.Store, prefix: str = "") -> Any:
        found = listed(self, prefix)
        caching.pipe_file(f"{tree}/new", b"")
        return found

    monkeypatch.setattr(s3kv.Store, "list_dir", list_dir)
    caching.ls(tree)
    monkeypatch.undo()
    assert f"{tree}/new" in caching.ls(tree, detail=False)


@pytest.mark.parametrize("cached", [True, False])
def test_a_write_in_another_thread_drops_what_it_puts_out_of_date(
    options: dict[str, Any], place: str, cached: bool
) -> None:
    """fsspec makes another file system there, of the same options, whether it keeps listings or not."""

    def write() -> None:
        other = S3KVFileSystem(**options, use_listings_cache=cached)
        other.pipe_file(f"{place}/b", b"")
        other.rm_file(f"{place}/a")

    for kept in opened({**options, "use_listings_cache": True}):
        kept.pipe_file(f"{place}/a", b"")
        kept.ls(place)
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert kept.ls(place, detail=False) == [f"{place}/b"]
        S3KVFileSystem(**options, use_listings_cache=cached, skip_instance_cache=True).rm(
            place, recursive=True
        )
        assert not kept.exists(f"{place}/b")


@pytest.mark.parametrize(("seconds", "seen"), [(0, 2), (3600, 1)])
def test_a_cached_listing_may_expire(
    options: dict[str, Any], behind: s3kv.Store, place: str, seconds: int, seen: int
) -> None:
    """What others do is seen when it has."""
    for kept in opened({**options, "use_listings_cache": True, "listings_expiry_time": seconds}):
        behind["a"] = b""
        kept.ls(place)
        behind["b"] = b""
        assert len(kept.ls(place)) == seen
