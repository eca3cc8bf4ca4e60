"""Deleting, copying and moving, to and from this machine and between paths; what a callback is told."""

from __future__ import annotations

import io
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from fsspec.callbacks import Callback

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import Answer, FaultProxy, LocalServer, Stall
from tests.adapters.fsspec_fixtures import asked, behind, fs, options, place, proxied, proxy

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]

TREE = {"a": b"1", "ab": b"2", "d/a": b"3", "d/e/b": b"4", "d-not": b"5", "both": b"6", "both/in": b"7"}


@pytest.fixture
def tree(behind: s3kv.Store, place: str) -> str:
    """Return a folder with the objects of ``TREE``."""
    behind.put_many(TREE)
    return place


@pytest.fixture
def other_bucket(fs: S3KVFileSystem, local_server: LocalServer) -> Iterator[str]:
    """Return the name of another bucket of the same server."""
    with LocalServer() as other:
        yield other.bucket


# ---------------------------------------------------------------- deleting


@pytest.mark.parametrize(
    ("names", "options_", "gone"),
    [
        ("a", {}, {"a"}),
        (["a", "d/e/b"], {}, {"a", "d/e/b"}),
        ("a*", {}, {"a", "ab"}),
        ("d*", {}, {"d-not"}),
        ("d*", {"recursive": True}, {"d-not", "d/a", "d/e/b"}),
        ("d*", {"recursive": True, "maxdepth": 1}, {"d-not"}),
        ("d*", {"recursive": True, "maxdepth": 2}, {"d-not", "d/a"}),
        ("d", {"recursive": True}, {"d/a", "d/e/b"}),
        ("d/", {"recursive": True}, {"d/a", "d/e/b"}),
        ("d", {"recursive": True, "maxdepth": 1}, {"d/a"}),
        ("both", {}, {"both"}),
        ("both", {"recursive": True}, {"both", "both/in"}),
        ("both", {"recursive": True, "maxdepth": 1}, {"both", "both/in"}),
        ("bo*", {}, {"both"}),
        ("bo*", {"recursive": True}, {"both", "both/in"}),
        ("bo*", {"recursive": True, "maxdepth": 1}, {"both"}),
        ("bo*", {"recursive": True, "maxdepth": 2}, {"both", "both/in"}),
        ("a", {"recursive": True}, {"a"}),
        ("", {"recursive": True}, set(TREE)),
        (["a", "d"], {"recursive": True}, {"a", "d/a", "d/e/b"}),
    ],
)
def test_rm_deletes_what_it_is_asked_to_and_nothing_else(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str, names: Any, options_: dict[str, Any], gone: set[str]
) -> None:
    """What begins with the same letters stays."""
    fs.rm(f"{tree}/{names}" if isinstance(names, str) else [f"{tree}/{name}" for name in names], **options_)
    assert set(TREE) - set(behind) == gone


@pytest.mark.parametrize(
    ("names", "options_", "error"),
    [
        ("none", {}, FileNotFoundError),
        ("none", {"recursive": True}, FileNotFoundError),
        ("none", {"recursive": True, "maxdepth": 1}, FileNotFoundError),
        ("none*", {}, FileNotFoundError),
        (["a", "none"], {}, FileNotFoundError),
        (["a", "none"], {"recursive": True}, FileNotFoundError),
        ("d", {}, IsADirectoryError),
        (["a", "d"], {}, IsADirectoryError),
        ("a", {"recursive": True, "maxdepth": 0}, ValueError),
    ],
)
def test_rm_deletes_nothing_if_anything_is_missing(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str, names: Any, options_: dict[str, Any], error: Any
) -> None:
    """It looks before it deletes."""
    paths = [f"{tree}/{name}" for name in ([names] if isinstance(names, str) else names)]
    with pytest.raises(error) as caught:
        fs.rm(paths, **options_)
    assert getattr(caught.value, "filename", paths[-1]) == paths[-1]
    assert set(behind) == set(TREE)


def test_rm_never_deletes_a_bucket(fs: S3KVFileSystem, other_bucket: str) -> None:
    """Its objects, if that is what is asked for."""
    fs.pipe({f"{other_bucket}/a": b"", f"{other_bucket}/b/c": b""})
    with pytest.raises(IsADirectoryError):
        fs.rm(other_bucket)
    fs.rm(other_bucket, recursive=True)
    assert fs.ls(other_bucket) == []
    assert fs.isdir(other_bucket)
    fs.rm(other_bucket, recursive=True)
    with pytest.raises(io.UnsupportedOperation):
        fs.rmdir(other_bucket)
    with pytest.raises(FileNotFoundError):
        fs.rm("no-such-bucket", recursive=True)
    with pytest.raises(io.UnsupportedOperation):
        fs.rm("", recursive=True)


def test_what_exists_as_it_is_written_is_no_pattern(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, tmp_path: Path
) -> None:
    """A key with a star in it does not stand for others, and goes where any other key would."""
    behind.put_many({"m*k": b"1", "m-k": b"2", "[ab]/x": b"3", "a/x": b"4", "d/y": b"5"})
    assert fs.cat(f"{place}/m*k") == b"1"
    fs.get(f"{place}/m*k", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == b"1"
    fs.cp(f"{place}/m*k", f"{place}/copy")
    fs.cp(f"{place}/m*k", f"{place}/d")
    fs.mv(f"{place}/m*k", f"{place}/moved?", recursive=True)
    fs.rm(f"{place}/moved?")
    fs.rm(f"{place}/[ab]", recursive=True)
    assert behind.list() == ["a/x", "copy", "d/m*k", "d/y", "m-k"]


def test_a_folder_that_exists_as_it_is_written_is_no_pattern(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, tmp_path: Path
) -> None:
    """A folder with brackets in its name is read, copied and moved as any other."""
    behind.put_many({"[ab]/x": b"1", "[ab]/c?/y": b"2", "a/x": b"3", "z": b"4"})
    folder, plain = f"{place}/[ab]", f"{place}/z"
    assert fs.cat(folder, recursive=True) == {f"{folder}/x": b"1", f"{folder}/c?/y": b"2"}
    assert fs.cat([folder, f"{place}/none*"], recursive=True).keys() == {f"{folder}/x", f"{folder}/c?/y"}
    fs.get(folder, str(tmp_path / "new"), recursive=True)
    fs.get(folder, str(tmp_path), recursive=True)
    fs.get(f"{folder}/", str(tmp_path / "slash"), recursive=True)
    fs.get([folder, plain], str(tmp_path / "list"), recursive=True)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {
        *("new/x", "new/c?/y", "[ab]/x", "[ab]/c?/y", "slash/x", "slash/c?/y"),
        *("list/x", "list/y", "list/z"),
    }
    fs.cp(folder, f"{place}/once", recursive=True, maxdepth=2)
    fs.mv(f"s3kv://{folder}/", f"{place}/moved", recursive=True)
    assert behind.list() == ["a/x", "moved/c?/y", "moved/x", "once/c?/y", "once/x", "z"]


def test_many_objects_are_deleted_in_one_request(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str
) -> None:
    """A folder is listed once."""
    behind.put_many({f"d/{number}": b"" for number in range(30)})
    proxied.rm(f"{place}/d", recursive=True)
    assert asked(proxy).count("DeleteObjects") == 1
    assert asked(proxy).count("ListObjectsV2") <= 2
    assert behind.list() == []


def test_a_pattern_costs_no_request_for_each_object(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str
) -> None:
    """Nor with ``recursive``, where there might be a folder beside each."""
    behind.put_many({f"d/{number}": b"" for number in range(30)} | {"d/7/in": b"", "d/7/on/in": b""})
    proxied.rm(f"{place}/d/*", recursive=True)
    assert len(asked(proxy)) < 10
    assert behind.list() == []


def test_many_folders_are_deleted_in_one_request(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str
) -> None:
    """A table has a folder for each value of the column that it is divided by."""
    behind.put_many({f"table/day={day}/part-0": b"" for day in range(9)} | {"table/_metadata": b""})
    proxied.rm(f"{place}/table/*", recursive=True)
    assert asked(proxy).count("DeleteObjects") == 1
    assert behind.list() == []


def test_what_the_store_does_not_delete_is_an_error(
    proxied: S3KVFileSystem, proxy: FaultProxy, tree: str
) -> None:
    """As for one object, so for many."""
    proxy.inject(Answer.error(403, "AccessDenied"), operation="DeleteObjects", times=None)
    for paths in ([f"{tree}/a", f"{tree}/ab"], f"{tree}/d"):
        with pytest.raises(PermissionError):
            proxied.rm(paths, recursive=True)


def test_rm_file_deletes_one_object(fs: S3KVFileSystem, behind: s3kv.Store, tree: str) -> None:
    """A missing one is an error."""
    fs.rm_file(f"{tree}/a")
    for name in ("a", "d", "none"):
        with pytest.raises(FileNotFoundError):
            fs.rm_file(f"{tree}/{name}")
    assert set(TREE) - set(behind) == {"a"}


# ---------------------------------------------------------------- folders


def test_folders_are_neither_made_nor_needed(
    proxied: S3KVFileSystem, proxy: FaultProxy, place: str, other_bucket: str
) -> None:
    """mkdir asks for nothing, but for whether a bucket exists."""
    proxied.mkdir(f"{place}/d")
    proxied.makedirs(f"{place}/d/e")
    assert asked(proxy) == []
    assert not proxied.exists(f"{place}/d")
    proxied.pipe_file(f"{place}/d/e/f", b"")
    with pytest.raises(FileExistsError):
        proxied.mkdir(other_bucket)
    with pytest.raises(FileExistsError):
        proxied.makedirs(other_bucket)
    proxied.makedirs(other_bucket, exist_ok=True)
    with pytest.raises(io.UnsupportedOperation, match="creates none"):
        proxied.makedirs("no-such-bucket", exist_ok=True)


def test_rmdir_deletes_what_marks_an_empty_folder(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str
) -> None:
    """And nothing else."""
    behind.put_many({"empty/": b"", "d/": b""})
    fs.rmdir(f"{tree}/empty")
    assert set(behind) == {*TREE, "d/"}
    for name, error in (("d", OSError), ("a", NotADirectoryError), ("none", FileNotFoundError)):
        with pytest.raises(error):
            fs.rmdir(f"{tree}/{name}")
    assert set(behind) == {*TREE, "d/"}


# ---------------------------------------------------------------- between paths


def test_a_copy_is_made_by_the_store(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str, other_bucket: str
) -> None:
    """Between buckets, too; with type and metadata."""
    behind.put("a", b"1", content_type="text/x", metadata={"colour": "red"})
    for target in (f"{place}/b", f"{other_bucket}/b"):
        proxied.cp_file(f"{place}/a", target)
        info = proxied.info(target)
        assert (info["size"], info["ContentType"], info["metadata"]) == (1, "text/x", {"colour": "red"})
    assert asked(proxy).count("CopyObject") == 2
    assert "GetObject" not in asked(proxy)
    assert "PutObject" not in asked(proxy)


def test_a_folder_is_copied_to_another_bucket_many_at_a_time(
    fs: S3KVFileSystem, tree: str, other_bucket: str
) -> None:
    """With all that is in it, and without the folders themselves."""
    fs.cp(tree, f"{other_bucket}/copy", recursive=True)
    found = fs.cat(f"{other_bucket}/copy", recursive=True)
    assert {path.removeprefix(f"{other_bucket}/copy/"): value for path, value in found.items()} == TREE


def test_a_copy_of_or_to_nothing_says_which(fs: S3KVFileSystem, tree: str) -> None:
    """The path that does not exist."""
    for source, target, missing in [
        (f"{tree}/none", f"{tree}/x", f"{tree}/none"),
        (f"{tree}/d", f"{tree}/x", f"{tree}/d"),
        ("no-such-bucket/k", f"{tree}/x", "no-such-bucket/k"),
        (f"{tree}/a", "no-such-bucket/k", "no-such-bucket/k"),
    ]:
        with pytest.raises(FileNotFoundError) as caught:
            fs.cp_file(source, target)
        assert caught.value.filename == missing
    paths = [f"{tree}/a", f"{tree}/none"], [f"{tree}/x", f"{tree}/y"]
    with pytest.raises(FileNotFoundError):
        fs.copy(*paths)
    fs.copy(*paths, on_error="ignore")
    assert fs.cat_file(f"{tree}/x") == b"1"


def test_mv_deletes_what_was_copied_and_nothing_else(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What appears in the folder meanwhile stays, and so does everything if a copy fails."""
    behind["d/e/"] = b""
    copy = S3KVFileSystem.cp_file

    def cp_file(self: Any, path1: Any, path2: Any) -> None:
        behind["d/late"] = b"8"
        copy(self, path1, path2)

    monkeypatch.setattr(S3KVFileSystem, "cp_file", cp_file)
    fs.mv(f"{tree}/d", f"{tree}/moved", recursive=True)
    assert set(behind) == set(TREE) - {"d/a", "d/e/b"} | {"d/late", "moved/a", "moved/e/", "moved/e/b"}
    fs.mv(f"{tree}/a", f"{tree}/a")
    with pytest.raises(FileNotFoundError):
        fs.mv([f"{tree}/ab", f"{tree}/none"], [f"{tree}/x", f"{tree}/y"])
    assert {"a", "ab"} <= set(behind)
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{tree}/none", f"{tree}/x")


def test_mv_takes_along_what_marks_folders(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, other_bucket: str
) -> None:
    """Empty folders, and the bytes that such an object may have; a bucket has none."""
    behind.put_many({"d/": b"1", "d/e/": b"2", "d/e/a": b"3", "d/empty/": b"", "d//": b"4", "d/n//": b"5"})
    fs.mv(f"{place}/d", f"{place}/new", recursive=True)
    assert dict(behind.items()) == {
        "new/": b"1",
        "new/e/": b"2",
        "new/e/a": b"3",
        "new/empty/": b"",
        "d//": b"4",
        "d/n//": b"5",
    }
    fs.mv(f"{place}/new/e*", f"{place}/glob", recursive=True)
    assert behind.list("glob/") == ["glob/e/", "glob/e/a", "glob/empty/"]
    assert behind.list("new/") == ["new/"]
    fs.mv(f"s3kv://{place}/glob/", f"s3kv://{other_bucket}/", recursive=True)
    assert behind.list("glob/") == []
    assert fs.find(other_bucket, withdirs=True) == [
        other_bucket,
        *(f"{other_bucket}/{name}" for name in ("e", "e/a", "empty")),
    ]
    fs.mv(f"s3kv://{place}/new/", f"s3kv://{other_bucket}", recursive=True)
    assert behind["new/"] == b"1"


@pytest.mark.parametrize(
    ("sources", "targets"),
    [(["a", "d/a"], "{}/new/"), (["d", "f"], "{}/new"), (["a", "ab"], ["{}/new", "s3kv://{}/new"])],
)
def test_mv_of_two_objects_to_one_path_moves_nothing(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str, sources: list[str], targets: Any
) -> None:
    """One of them would be lost."""
    behind["f/e/b"] = b"8"
    before = dict(behind.items())
    paths = [f"{tree}/{name}" for name in sources]
    given = [each.format(tree) for each in targets] if isinstance(targets, list) else targets.format(tree)
    with pytest.raises(ValueError, match="would both be moved to"):
        fs.mv(paths, given, recursive=True)
    assert dict(behind.items()) == before


# ---------------------------------------------------------------- to and from this machine


def test_files_go_to_the_store_and_back(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, tmp_path: Path
) -> None:
    """With the type that their names tell, or another."""
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "page.html").write_bytes(b"<p>")
    (tmp_path / "d" / "e" / "f").write_bytes(b"2")
    fs.put(str(tmp_path / "d"), f"{place}/d", recursive=True)
    assert dict(behind.items()) == {"d/page.html": b"<p>", "d/e/f": b"2"}
    assert behind.stat("d/page.html").content_type == "text/html"
    fs.put_file(tmp_path / "d" / "page.html", f"{place}/x", content_type="text/x", metadata={"a": "b"})
    assert behind.stat("x")[4:] == ("text/x", {"a": "b"})
    fs.get(f"{place}/d", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back" / "page.html").read_bytes() == b"<p>"
    assert (tmp_path / "back" / "e" / "f").read_bytes() == b"2"
    fs.get_file(f"{place}/d", str(tmp_path / "made"))
    assert (tmp_path / "made").is_dir()
    fs.put_file(tmp_path / "d", f"{place}/y")
    assert not fs.exists(f"{place}/y")


def test_a_file_that_cannot_be_had_or_sent_says_so(
    fs: S3KVFileSystem, behind: s3kv.Store, tree: str, tmp_path: Path
) -> None:
    """And leaves nothing behind."""
    with pytest.raises(FileNotFoundError):
        fs.get_file(f"{tree}/none", str(tmp_path / "none"))
    with pytest.raises(IsADirectoryError):
        fs.get_file(f"{tree}/a", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        fs.put_file(str(tmp_path / "none"), f"{tree}/x")
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(FileExistsError):
        fs.put_file(str(tmp_path / "file"), f"{tree}/a", mode="create")
    with pytest.raises(ValueError, match="allowed are"):
        fs.put_file(str(tmp_path / "file"), f"{tree}/a", mode="append")
    assert os.listdir(tmp_path) == ["file"]
    assert dict(behind.items()) == TREE


def test_objects_are_copied_into_files_that_are_open(fs: S3KVFileSystem, tree: str, tmp_path: Path) -> None:
    """And into what is no plain file."""
    for outfile in ({"lpath": io.BytesIO()}, {"lpath": None, "outfile": io.BytesIO()}):
        fs.get_file(f"{tree}/a", **outfile)
        assert (outfile.get("outfile") or outfile["lpath"]).getvalue() == b"1"
    if hasattr(os, "mkfifo"):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        thread.start()
        fs.get_file(f"{tree}/a", str(pipe))
        thread.join()
        assert read == [b"1"]


def test_a_path_object_is_as_good_as_its_text(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, tmp_path: Path
) -> None:
    """fsspec alone takes it for a list, and the target for a folder."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(b"1")
    fs.put(tmp_path / "d" / "file", f"{place}/a")
    fs.put(tmp_path / "d", f"{place}/b", recursive=True)
    fs.put([tmp_path / "d" / "file"], [f"{place}/c"])
    fs.cp(PurePosixPath(f"{place}/a"), f"{place}/d")
    fs.mv(PurePosixPath(f"{place}/d"), PurePosixPath(f"{place}/e"))
    assert behind.list() == ["a", "b/file", "c", "e"]
    fs.get(f"{place}/a", tmp_path / "got")
    fs.get(PurePosixPath(f"{place}/b"), tmp_path / "back", recursive=True)
    assert (tmp_path / "got").read_bytes() == (tmp_path / "back" / "file").read_bytes() == b"1"


def test_nothing_is_written_over_before_it_is_copied(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """Where targets are sources, too: nothing is lost, and what came to stay is not deleted."""
    before = {"1": b"1", "2": b"2", "3": b"3", "d/a": b"a", "d/b": b"b", "d/in/a": b"c"}
    behind.put_many(before)
    fs.cp([f"{place}/1", f"{place}/2"], [f"{place}/2", f"{place}/3"])
    assert [behind[key] for key in "123"] == [b"1", b"1", b"2"]
    behind.put_many(before)
    fs.mv([f"{place}/1", f"{place}/2", f"{place}/3"], [f"{place}/2", f"{place}/3", f"{place}/4"])
    assert dict(behind.items()) == {
        "2": b"1",
        "3": b"2",
        "4": b"3",
        "d/a": b"a",
        "d/b": b"b",
        "d/in/a": b"c",
    }
    fs.mv(f"{place}/d/", f"{place}/d/in/", recursive=True)
    assert dict((behind / "d/").items()) == {"in/a": b"a", "in/b": b"b", "in/in/a": b"c"}
    for move in (fs.cp, fs.mv):
        with pytest.raises(ValueError, match="aside"):
            move([f"{place}/2", f"{place}/3"], [f"{place}/3", f"{place}/2"])
    assert (behind["2"], behind["3"]) == (b"1", b"2")


class Told(Callback):
    """Keeps what it and its children are told."""

    def __init__(self) -> None:
        super().__init__()
        self.children: dict[str, Callback] = {}

    def branched(self, path_1: Any, path_2: Any, **_: Any) -> Callback:
        return self.children.setdefault(os.path.basename(path_1), Callback())


def test_a_callback_is_told_of_files_and_each_child_of_bytes(
    fs: S3KVFileSystem, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they come, in both directions."""
    sizes = {"small": 10, "empty": 0, "large": 9 * 1024**2}
    (tmp_path / "d").mkdir()
    for name, size in sizes.items():
        (tmp_path / "d" / name).write_bytes(bytes(size))
    monkeypatch.setattr("s3kv.payload.LARGE_VALUE", 1024**2)
    monkeypatch.setattr("s3kv.writing.LARGE_VALUE", 1024**2)
    steps: list[int] = []

    class Large(Callback):
        def relative_update(self, inc: int = 1) -> None:
            steps.append(inc)
            super().relative_update(inc)

    for move in (
        lambda told: fs.put(str(tmp_path / "d") + "/", f"{place}/d", recursive=True, callback=told),
        lambda told: fs.get(f"{place}/d/", str(tmp_path / "back"), recursive=True, callback=told),
    ):
        told = Told()
        told.children["large"] = Large()
        move(told)
        assert (told.size, told.value) == (3, 3)
        found = {name: (child.size, child.value) for name, child in told.children.items()}
        assert found == {name: (size, size) for name, size in sizes.items()}
    # Sent in two parts; fetched in one.
    assert len([step for step in steps if step]) == 3


def test_one_file_that_fails_ends_a_transfer_when_those_under_way_are_done(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str, tmp_path: Path
) -> None:
    """Nobody writes into the folder after the error has come."""
    behind.put_many({f"{number}": b"1" for number in range(5)})
    proxy.inject(Answer.error(403, "AccessDenied"), method="GET", key="*/2", times=None)
    stall = proxy.inject(Stall(0.2), method="GET", key="*/3")
    with pytest.raises(PermissionError):
        proxied.get(f"{place}/", str(tmp_path), recursive=True)
    found = set(os.listdir(tmp_path))
    assert "2" not in found
    assert not [name for name in found if name.endswith(".part")]
    if stall.hits:
        assert "3" in found


# ---------------------------------------------------------------- for others


def test_a_signed_url_is_good_for_what_it_was_signed_for(fs: S3KVFileSystem, tree: str) -> None:
    """Without a file system."""
    with urllib.request.urlopen(fs.sign(f"{tree}/a", expiration=60)) as answer:
        assert answer.read() == b"1"
    with urllib.request.urlopen(
        urllib.request.Request(fs.sign(f"{tree}/a", method="DELETE"), method="DELETE")
    ):
        assert not fs.exists(f"{tree}/a")
    with pytest.raises(ValueError, match="expires"):
        fs.sign(f"{tree}/a", expiration=0)
