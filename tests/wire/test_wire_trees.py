"""Whole folders: what is the same is left alone, nothing leads out of the folder, each key fails alone."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

import s3kv
from s3kv.errors import StoreClosed
from s3kv.local_files import check_name
from s3kv.progress import Progress
from s3kv.scope import Crew
from tests.wire.conftest import OpenStore
from tests.wire.helpers import Background
from tests.wire.memory_s3 import MemoryS3, Stored, Turn, operation_of, sent
from tests.wire.scripted import HOLD, Recorded, ScriptedServer, answer, error
from tests.wire.test_wire_interrupts import running

KIB = 1024


class Bucket(MemoryS3):
    """A bucket in memory that lists, a few keys a page, and deletes many.

    Attributes:
        page: Keys a page.
        tags: What a listing says is the ETag of a key, if that is not the truth.
    """

    page = 3

    def __init__(self, **objects: bytes) -> None:
        super().__init__(**objects)
        self.tags: dict[str, str] = {}

    def __setitem__(self, key: str, value: bytes) -> None:
        self.objects[key] = Stored(value)

    def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return sorted(self.objects)

    def _answer(self, request: Recorded) -> bytes:
        if operation_of(request) == "ListObjectsV2":
            return self._listing(parse_qs(request.query))
        if request.query == "delete=":
            names = [
                node.text or ""
                for node in ElementTree.fromstring(request.body).iterfind("{*}Object/{*}Key")
            ]
            for name in names:
                self.objects.pop(name, None)
            body = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
            return answer(200, f"<DeleteResult>{body}</DeleteResult>".encode())
        return super()._answer(request)

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        wanted = [key for key in self.keys() if key.startswith(prefix) and key > after]
        contents = ""
        for key in wanted[: self.page]:
            found = self.objects[key]
            tag = self.tags.get(key, found.etag).replace('"', "&quot;")
            contents += (
                f"<Contents><Key>{quote(key, safe='')}</Key><Size>{found.size}</Size>"
                f"<LastModified>2026-01-31T23:59:59.000Z</LastModified><ETag>{tag}</ETag></Contents>"
            )
        more = len(wanted) > self.page
        token = f"<NextContinuationToken>{wanted[self.page - 1]}</NextContinuationToken>" if more else ""
        body = (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}"
            f"</IsTruncated>{token}{contents}</ListBucketResult>"
        )
        return answer(200, body.encode())


@pytest.fixture
def bucket() -> Bucket:
    """Return an empty bucket."""
    return Bucket()


@pytest.fixture
def server(bucket: Bucket) -> Iterator[ScriptedServer]:
    """Serve the bucket."""
    with bucket.server() as running:
        yield running


@pytest.fixture
def store(server: ScriptedServer, open_store: OpenStore) -> s3kv.Store:
    """Return a store of the bucket."""
    return open_store(server)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values be large from 32 KiB on, and their parts be 8 KiB."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 8 * KIB)
    monkeypatch.setattr("s3kv.payload._MIB", KIB)
    for module in ("payload", "writing"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 32 * KIB)


def write(folder: Path, **files: bytes | str) -> Path:
    """Write files into a folder; ``__`` stands for a slash."""
    for name, value in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else value.encode())
    return folder


def inside(folder: Path) -> dict[str, bytes | None]:
    """Return the files of a folder by their paths, and its sub-folders with None."""
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        found[path.relative_to(folder).as_posix()] = path.read_bytes() if path.is_file() else None
    return found


def failures(call: Callable[[], object]) -> s3kv.BatchError:
    """Return the BatchError of a call."""
    with pytest.raises(s3kv.BatchError) as raised:
        call()
    return raised.value


# ---------------------------------------------------------------------------------------------- uploads


def test_every_file_of_a_folder_is_uploaded(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """Under the prefix and its path, with the type of its name, be it empty or a link."""
    write(tmp_path, **{"a.json": "{}", "sub__deep__b.txt": "b", "empty": ""})
    (tmp_path / "nothing").mkdir()
    (tmp_path / "link.txt").symlink_to("sub/deep/b.txt")
    report = store.upload_prefix(tmp_path, "to/")
    assert {key: stored.value for key, stored in bucket.objects.items()} == {
        "to/a.json": b"{}",
        "to/empty": b"",
        "to/link.txt": b"b",
        "to/sub/deep/b.txt": b"b",
    }
    types = {key: line for key in bucket.objects for line in bucket.objects[key].headers if "type" in line}
    assert types["to/a.json"] == "content-type: application/json"
    assert types["to/link.txt"] == "content-type: text/plain"
    assert report == (tuple(bucket.keys()), (), (), 4, False)


@pytest.mark.parametrize(
    ("path", "prefix", "key"),
    [
        ("", "", "file"),
        ("", "a", "a/file"),
        ("", "a/", "a/file"),
        ("b/", "", "b/file"),
        ("b", "", "b/file"),
        ("b", "a", "ba/file"),
        ("b/", "a/", "b/a/file"),
    ],
)
def test_a_prefix_is_a_folder(
    bucket: Bucket,
    server: ScriptedServer,
    open_store: OpenStore,
    path: str,
    prefix: str,
    key: str,
    tmp_path: Path,
) -> None:
    """So a slash is added where there is none, to the store's path too; both ways."""
    store = open_store(server, path=path)
    report = store.upload_prefix(write(tmp_path / "from", file="1"), prefix)
    assert bucket.keys() == [key]
    assert [path + name for name in report.transferred] == [key]
    # What begins the same way is not in the folder.
    if path or prefix:
        bucket[f"{(path + prefix).removesuffix('/')}x"] = b"2"
    assert store.download_prefix(prefix, tmp_path / "to").transferred == report.transferred
    assert inside(tmp_path / "to") == {"file": b"1"}


def test_what_is_there_already_is_left_alone(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """Of the others, those of the same size are told apart by their bytes."""
    write(tmp_path, same="same", changed="1234", longer="12345", new="new", empty="")
    bucket.set("p/same", b"same")
    bucket.set("p/changed", b"4321")
    bucket.set("p/longer", b"1234")
    bucket.set("p/empty", b"")
    report = store.upload_prefix(tmp_path, "p")
    assert report == (("p/changed", "p/longer", "p/new"), ("p/empty", "p/same"), (), 12, False)
    assert sorted(key for _, key, _ in bucket.applied) == ["p/changed", "p/longer", "p/new"]
    again = store.upload_prefix(tmp_path, "p")
    assert again.transferred == ()
    assert len(again.skipped) == 5
    assert len(bucket.applied) == 3


def test_an_upload_in_parts_is_recognised(
    bucket: Bucket, store: s3kv.Store, small_parts: None, tmp_path: Path
) -> None:
    """By the ETag that follows from the MD5 of each part; both ways."""
    value = bytes(range(256)) * 300
    write(tmp_path / "from", large=value, odd=value[:-7])
    assert len(store.upload_prefix(tmp_path / "from").transferred) == 2
    assert bucket.objects["large"].etag.endswith('-10"')
    assert store.upload_prefix(tmp_path / "from").transferred == ()
    assert store.download_prefix("", tmp_path / "from").transferred == ()
    (tmp_path / "from" / "large").write_bytes(value[::-1])
    assert store.upload_prefix(tmp_path / "from").transferred == ("large",)
    assert bucket.objects["large"].value == value[::-1]


@pytest.mark.parametrize(
    "tag",
    [
        "",
        '"9e107d9d372bb6826bd81d3542a419d6"',
        '"9e107d9d372bb6826bd81d3542a419d6-1"',
        '"9e107d9d372bb6826bd81d3542a419d6-2"',
        '"9e107d9d372bb6826bd81d3542a419d6-"',
        '"MD5"',
        '"W/MD5"',
        'W/"MD5"',
        '"MD5-1"',
        '"PARTS-2"',
        '"PARTS-"',
        '"{MD5}"',
        '"quite something else"',
    ],
)
def test_where_the_etag_does_not_tell_a_file_is_transferred(
    bucket: Bucket, store: s3kv.Store, tag: str, tmp_path: Path
) -> None:
    """Rather once too often than not at all; both ways."""
    write(tmp_path, key="value")
    bucket.set("key", b"value")
    right = hashlib.md5(b"value")
    bucket.tags["key"] = tag.replace(
        "MD5", right.hexdigest().upper() if tag == '"MD5"' else right.hexdigest()
    ).replace("PARTS", hashlib.md5(right.digest()).hexdigest())
    assert store.upload_prefix(tmp_path).transferred == ("key",)
    assert store.download_prefix("", tmp_path).transferred == ("key",)


def test_everything_is_uploaded_without_a_look_if_that_is_wanted(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """By who may write and not list, for instance."""
    write(tmp_path, key="value")
    bucket.set("key", b"value")
    assert store.upload_prefix(tmp_path, changed_only=False).transferred == ("key",)
    assert [operation_of(request) for request in server.requests] == ["PutObject"]
    bucket.set("old", b"")
    report = store.upload_prefix(tmp_path, changed_only=False, delete=True)
    assert (report.transferred, report.deleted) == (("key",), ("old",))


def test_only_the_keys_from_the_first_to_the_last_are_listed(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """Nothing is looked for where it cannot be."""
    for number in range(50):
        bucket.set(f"p/{number:02}", b"")
    write(tmp_path, **{"20": "", "22": ""})
    assert store.upload_prefix(tmp_path, "p").skipped == ("p/20", "p/22")
    assert len(server.requests) <= 2


def test_an_empty_folder_needs_no_request(
    store: s3kv.Store, server: ScriptedServer, tmp_path: Path
) -> None:
    """And is no error."""
    assert store.upload_prefix(tmp_path, "p") == ((), (), (), 0, False)
    assert server.requests == []


@pytest.mark.parametrize("what", ["missing", "file"])
def test_a_folder_that_is_none_is_an_error(
    store: s3kv.Store, server: ScriptedServer, what: str, tmp_path: Path
) -> None:
    """Before anything is sent."""
    write(tmp_path, file="")
    with pytest.raises(OSError, match=what):
        store.upload_prefix(tmp_path / what, delete=True)
    assert server.requests == []


def test_links_to_folders_are_followed_but_not_in_circles(
    bucket: Bucket, store: s3kv.Store, tmp_path: Path
) -> None:
    """A link back to where it comes from leads to nothing new."""
    write(tmp_path / "elsewhere", far="far", deep__x="x")
    folder = write(tmp_path / "folder", sub__near="near")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (folder / "sub" / "self").symlink_to(".")
    (folder / "sub" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    assert store.upload_prefix(folder).transferred == tuple(bucket.keys())
    assert bucket.keys() == ["again/x", "link/deep/x", "link/far", "sub/near"]


def test_what_cannot_be_read_fails_alone(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """A pipe, which is not waited for; a socket; a link to nowhere, or to itself; a name in no UTF-8."""
    write(tmp_path, good="good")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    bad = ["circle", "nowhere", "pipe", "socket"]
    if sys.platform == "linux":
        with open(os.fsencode(tmp_path) + b"/\xff", "wb"):
            bad.append("\\udcff")
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.getcwd()
        # The path of a socket must be short.
        os.chdir(tmp_path)
        unix.bind("socket")
        os.chdir(here)
        error = failures(lambda: store.upload_prefix(tmp_path, delete=True))
    assert error.errors.keys() == set(bad)
    assert isinstance(error.errors["nowhere"], FileNotFoundError)
    assert "no regular file" in str(error.errors["pipe"])
    assert error.results.keys() == {"good"}
    assert error.results["good"].generation == bucket.objects["good"].etag
    assert str(error).startswith(f"{len(bad)} keys failed to upload")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_fails_alone(store: s3kv.Store, tmp_path: Path) -> None:
    """Under its name, with a slash."""
    write(tmp_path, good="", closed__x="")
    (tmp_path / "closed").chmod(0)
    try:
        error = failures(lambda: store.upload_prefix(tmp_path, "p"))
    finally:
        (tmp_path / "closed").chmod(stat.S_IRWXU)
    assert error.errors.keys() == {"p/closed/"}
    assert error.results.keys() == {"p/good"}


def test_a_key_that_is_refused_fails_alone(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """With the store's own words; those that were uploaded have their generations."""
    write(tmp_path, a="", b="", c="")
    refusal = error(403, "AccessDenied")
    bucket.choose = lambda: Turn(acts=False, told=refusal) if len(bucket.applied) == 1 else Turn()
    denied = failures(lambda: store.upload_prefix(tmp_path))
    assert isinstance(next(iter(denied.errors.values())), s3kv.PermissionDenied)
    assert len(denied.results) + len(denied.errors) == 3
    assert denied.results.keys() == {key for _, key, _ in bucket.applied}
    assert pickle.loads(pickle.dumps(denied)).errors.keys() == denied.errors.keys()


def test_a_listing_that_is_refused_is_the_error(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """And nothing is transferred, either way."""
    write(tmp_path, a="")
    bucket.looks = [Turn(acts=False, told=error(403, "AccessDenied"))] * 2
    with pytest.raises(s3kv.PermissionDenied):
        store.upload_prefix(tmp_path)
    with pytest.raises(s3kv.PermissionDenied):
        store.download_prefix("", tmp_path / "new")
    assert len(server.requests) == 2


def test_a_listing_that_breaks_off_ends_the_download(
    bucket: Bucket, store: s3kv.Store, tmp_path: Path
) -> None:
    """With its error; what is there by then is whole."""
    for number in range(10):
        bucket.set(f"{number}", b"value")
    bucket.page = 5
    listings = iter([b"", error(403, "AccessDenied")])

    def told(query: dict[str, list[str]]) -> bytes:
        return next(listings) or Bucket._listing(bucket, query)

    bucket._listing = told  # type: ignore[method-assign]
    with pytest.raises(s3kv.PermissionDenied):
        store.download_prefix("", tmp_path)
    assert set(inside(tmp_path).values()) <= {b"value"}
    assert not [name for name in inside(tmp_path) if name.startswith(".")]


# ------------------------------------------------------------------------------------ deletions, dry runs


def test_what_the_folder_does_not_have_is_deleted_if_that_is_wanted(
    bucket: Bucket, store: s3kv.Store, tmp_path: Path
) -> None:
    """Under the prefix only; objects that stand for folders that there are stay."""
    for key in ("p/same", "p/gone", "p/sub/gone", "p/", "p/sub/", "p/lost/", "px", "o"):
        bucket.set(key, b"")
    write(tmp_path, same="", sub__new="")
    assert store.upload_prefix(tmp_path, "p").deleted == ()
    bucket.set("p/sub/new", None)
    would = store.upload_prefix(tmp_path, "p", delete=True, dry_run=True)
    assert would == (("p/sub/new",), ("p/same",), ("p/gone", "p/lost/", "p/sub/gone"), 0, True)
    assert "p/gone" in bucket.objects
    report = store.upload_prefix(tmp_path, "p", delete=True)
    assert report == would._replace(dry_run=False)
    assert bucket.keys() == ["o", "p/", "p/same", "p/sub/", "p/sub/new", "px"]


def test_nothing_is_deleted_when_a_file_failed(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """For the folder is not known then."""
    write(tmp_path, good="")
    (tmp_path / "broken").symlink_to("nothing")
    bucket.set("old", b"")
    failures(lambda: store.upload_prefix(tmp_path, delete=True))
    assert bucket.keys() == ["good", "old"]


def test_a_dry_run_changes_nothing(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """And tells what would be done; both ways."""
    write(tmp_path / "from", same="same", new="new")
    bucket.set("same", b"same")
    bucket.set("other", b"12345")
    bucket.set("sub/", b"")
    assert store.upload_prefix(tmp_path / "from", dry_run=True) == (("new",), ("same",), (), 3, True)
    would = store.download_prefix("", tmp_path / "from", dry_run=True)
    assert would == (("other", "sub/"), ("same",), (), 5, True)
    assert store.download_prefix("", tmp_path / "to", dry_run=True).transferred == ("other", "same", "sub/")
    assert {operation_of(request) for request in server.requests} == {"ListObjectsV2"}
    assert sorted(inside(tmp_path)) == ["from", "from/new", "from/same"]


def test_a_dry_run_tells_of_errors_too(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """With what would be done in the results."""
    bucket.set("good", b"")
    bucket.set("../bad", b"")
    error = failures(lambda: store.download_prefix("", tmp_path / "to", dry_run=True))
    assert (error.errors.keys(), error.results) == ({"../bad"}, {"good": None})


# -------------------------------------------------------------------------------------------- downloads


def test_everything_under_a_prefix_is_downloaded(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """Into a folder that is made; a key with a slash at its end makes a folder."""
    for key in ("p/a b", "p/é/ü", "p/sub/deep/x", "p/folder/", "p/", "p", "pq", "q"):
        bucket.set(key, key.encode() if not key.endswith("/") else b"")
    report = store.download_prefix("p/", tmp_path / "new" / "to")
    assert inside(tmp_path / "new" / "to") == {
        "a b": b"p/a b",
        "folder": None,
        "sub": None,
        "sub/deep": None,
        "sub/deep/x": b"p/sub/deep/x",
        "é": None,
        "é/ü": "p/é/ü".encode(),
    }
    assert report.transferred == ("p/a b", "p/folder/", "p/sub/deep/x", "p/é/ü")
    assert report.bytes == 5 + 12 + 7
    again = store.download_prefix("p/", tmp_path / "new" / "to")
    assert (again.transferred, again.skipped) == ((), report.transferred)


def test_files_that_are_the_same_are_not_fetched(
    bucket: Bucket, server: ScriptedServer, store: s3kv.Store, tmp_path: Path
) -> None:
    """Unless that is wanted."""
    write(tmp_path, same="same", changed="1234", longer="12345")
    bucket.set("same", b"same")
    bucket.set("changed", b"4321")
    bucket.set("longer", b"1234")
    inode = (tmp_path / "same").stat().st_ino
    assert store.download_prefix("", tmp_path).transferred == ("changed", "longer")
    fetched = {request.path for request in sent(server, "GetObject")}
    assert fetched == {"/bucket/changed", "/bucket/longer"}
    assert (tmp_path / "same").stat().st_ino == inode
    assert store.download_prefix("", tmp_path, changed_only=False).skipped == ()
    assert inside(tmp_path) == {"same": b"same", "changed": b"4321", "longer": b"1234"}


HOSTILE = [
    "..",
    "../evil",
    "../../evil",
    "a/../../evil",
    "a/..",
    "./a",
    "a/.",
    "/etc/evil",
    "//evil",
    "a//b",
    "..\\evil",
    "C:\\evil",
    "a\\b",
    "\\\\host\\share",
    "nul\0inside",
    "link/evil",
    "link/sub/evil",
    "sub/link/evil",
    "out",
    "dangling",
    "dangling/evil",
    "folder",
    "pipe",
    "file/below",
    "slash/",
]


def test_nothing_is_written_outside_the_folder(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """Whatever keys somebody made up, and whatever links there are; each is an error of its own."""
    folder = write(tmp_path / "here", file="file", sub__x="x")
    outside = write(tmp_path / "outside", target="safe")
    (folder / "link").symlink_to(outside)
    (folder / "sub" / "link").symlink_to("../../outside")
    (folder / "out").symlink_to(outside / "target")
    (folder / "dangling").symlink_to(outside / "new")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    before = {path: value for path, value in inside(tmp_path).items() if "pipe" not in path}
    for key in HOSTILE:
        bucket.set(f"p/{key}", b"evil")
    bucket.set("p/good", b"good")
    bucket.set("p/sub/good", b"good")
    bucket.page = 1000
    error = failures(lambda: store.download_prefix("p/", folder))
    assert sorted(error.errors) == sorted(f"p/{key}" for key in HOSTILE)
    assert all(isinstance(each, s3kv.S3KVError) for each in error.errors.values())
    assert error.results.keys() == {"p/good", "p/sub/good"}
    for key, each in error.errors.items():
        assert ascii(key)[1:-1] in str(each) or "here" in str(each), (key, str(each))
    os.unlink(folder / "pipe")
    assert inside(tmp_path) == {**before, "here/good": b"good", "here/sub/good": b"good"}


def test_a_pipe_in_the_way_is_not_waited_for(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """Though it looks as long as the object."""
    os.mkfifo(tmp_path / "pipe")
    bucket.set("pipe", b"")
    error = failures(lambda: store.download_prefix("", tmp_path))
    assert "no regular file" in str(error.errors["pipe"])


def test_a_link_to_a_file_that_is_the_same_is_left_alone(
    bucket: Bucket, store: s3kv.Store, tmp_path: Path
) -> None:
    """It is read, and not written to: a folder with links in it can be compared with its copy."""
    write(tmp_path, real="value")
    (tmp_path / "link").symlink_to("real")
    assert len(store.upload_prefix(tmp_path, "p").transferred) == 2
    assert store.download_prefix("p", tmp_path).transferred == ()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a:b", "Windows"),
        ("C:", "Windows"),
        ("sub/a?", "Windows"),
        ("a\nb", "Windows"),
        ("dot.", "Windows"),
        ("space ", "Windows"),
        ("CON", "Windows"),
        ("sub/nul.txt", "Windows"),
        ("Com1 .tar.gz", "Windows"),
        ("LPT²", "Windows"),
        ("a\\b", "backslash"),
        ("..", "no name"),
    ],
)
def test_names_that_mean_something_else_on_windows_are_refused_there(name: str, why: str) -> None:
    """Elsewhere, most are names like any other."""
    with pytest.raises(s3kv.S3KVError, match=why):
        check_name(name, windows=True)
    if why == "Windows":
        check_name(name, windows=False)


def test_plain_names_are_allowed_everywhere() -> None:
    """Dots and devices within a name mean nothing."""
    for name in ("a", "a b/c.d", "...a", ".hidden", "console", "a..b", "COM10", "é"):
        check_name(name, windows=True)
        check_name(name, windows=False)


@pytest.mark.parametrize("keys", [["a", "a/b", "a/c/d", "ab"], ["a", "a-b", "a/", "a/b"]])
def test_of_keys_that_cannot_both_be_files_the_first_is_one(
    bucket: Bucket, store: s3kv.Store, keys: list[str], tmp_path: Path
) -> None:
    """However they come in time."""
    for key in keys:
        bucket.set(key, b"" if key.endswith("/") else key.encode())
    error = failures(lambda: store.download_prefix("", tmp_path))
    good = {key for key in keys if not key.startswith("a/")}
    assert error.errors.keys() == set(keys) - good
    assert "cannot be a file and a folder" in str(next(iter(error.errors.values())))
    assert inside(tmp_path) == {key: key.encode() for key in good}


def test_keys_that_come_in_no_order_cannot_be_files_and_folders_either(
    bucket: Bucket, store: s3kv.Store, tmp_path: Path
) -> None:
    """Some stores list the folder first; then that is what it is."""
    bucket.set("a/b", b"")
    bucket.set("a", b"")
    bucket.page = 1000
    bucket.keys = lambda: ["a/b", "a"]  # type: ignore[method-assign]
    bucket.extra = ("Server: SeaweedFS",)
    error = failures(lambda: store.download_prefix("", tmp_path))
    assert error.errors.keys() == {"a"}
    assert "other keys go on" in str(error.errors["a"])
    assert inside(tmp_path) == {"a": None, "a/b": b""}


def test_an_object_that_is_gone_fails_alone(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """It was listed, so to say nothing would be to hide something."""
    for key in ("a", "b", "c"):
        bucket.set(key, b"value")
    bucket.looks = [Turn(then=lambda: bucket.set("b", None))]
    error = failures(lambda: store.download_prefix("", tmp_path))
    assert isinstance(error.errors["b"], s3kv.KeyNotFound)
    assert inside(tmp_path) == {"a": b"value", "c": b"value"}


# --------------------------------------------------------------------------------- threads and memory


def test_one_request_at_a_time_is_enough(bucket: Bucket, server: ScriptedServer, tmp_path: Path) -> None:
    """Also when the call comes from one of the store's own threads."""
    spec = {
        "bucket": "bucket",
        "endpoint": server.url,
        "aws_credentials": {"type": "anonymous"},
        "s3_request_concurrency": {"limit": 1},
    }
    write(tmp_path / "from", a="1", b="2", c="3")
    with s3kv.Store(spec) as store:
        done: list[Any] = []
        over = threading.Event()

        def then(_: object) -> None:
            done.append(store.upload_prefix(tmp_path / "from", "p"))
            done.append(store.download_prefix("p", tmp_path / "to"))
            over.set()

        store.futures.get("x", None).add_done_callback(then)
        assert over.wait(10)
    assert len(bucket.objects) == 3
    assert inside(tmp_path / "to") == {"a": b"1", "b": b"2", "c": b"3"}
    assert len(server.connections) == 1


def test_what_is_in_memory_is_bounded(server: ScriptedServer, open_store: OpenStore) -> None:
    """By the sizes, as many at once as there is room for; one that is larger than the bound goes alone."""
    mib = 1024**2
    now: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    five = threading.Barrier(5)

    def work(size: int) -> int:
        with lock:
            now.append(size)
            most.append(sum(now))
        if size == 100 * mib:
            # Only if five are under way at once do they go on.
            five.wait(10)
        with lock:
            now.remove(size)
        return size

    crew = Crew(open_store(server))
    sizes = [100 * mib] * 10 + [600 * mib] + [200 * mib, 1] * 5
    ended = [item for item, future in crew.each(sizes, work, lambda size: size) if future.result() == item]
    assert sorted(ended) == sorted(sizes)
    assert max(size for size in most if size < 600 * mib) <= 512 * mib
    assert 600 * mib in most
    assert max(most) == 600 * mib


def test_items_are_taken_as_there_is_room(server: ScriptedServer, open_store: OpenStore) -> None:
    """Not all at once, so that a listing of any length can be worked off."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    crew = Crew(open_store(server))
    ended = crew.each(items(), lambda number: number, lambda number: 0)
    for _ in range(10):
        next(ended)
    ended.close()
    assert len(taken) < 100


def test_closing_the_store_ends_a_transfer(tmp_path: Path, open_store: OpenStore, bucket: Bucket) -> None:
    """With StoreClosed, not with an error of each key."""
    for number in range(5):
        bucket.set(f"{number}", b"value")
    bucket.page = 1000
    bucket.looks = [Turn(), *[Turn(told=HOLD)] * 5]
    with bucket.server() as server:
        store = open_store(server)
        call = Background(lambda: store.download_prefix("", tmp_path))
        end = time.monotonic() + 5
        while len(sent(server, "GetObject")) < 2:
            assert time.monotonic() < end
            time.sleep(0.002)
        store.close()
        assert isinstance(call.error(), StoreClosed)
    assert inside(tmp_path) == {}
    with pytest.raises(StoreClosed):
        store.upload_prefix(tmp_path)


def test_a_transfer_leaves_its_store_as_it_was(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """Many may be under way at once, and each ends alone."""
    write(tmp_path / "from", **{f"f{number}": "x" for number in range(20)})
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda n: store.upload_prefix(tmp_path / "from", f"p{n}"), range(4)))
    assert [len(report.transferred) for report in reports] == [20] * 4
    assert store.get("p3/f19") == b"x"
    assert store._core._batches == set()


class Bar(Progress):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.size = self.count = 0

    def step(self, size: int, count: int = 1) -> None:
        self.size += size
        self.count += count


def test_progress_is_told_of_every_file_and_byte(
    bucket: Bucket, store: s3kv.Store, small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that are left alone, no byte."""
    bar = Bar()
    asked: list[Any] = []

    def show(wanted: bool, what: str, items: Any) -> Progress:
        asked.append((wanted, what, None if items is None else len(items)))
        return bar

    monkeypatch.setattr("s3kv.trees.show_progress", show)
    write(tmp_path, small="123", large=bytes(50 * KIB), same="same")
    bucket.set("same", b"same")
    store.upload_prefix(tmp_path, progress=True)
    assert (bar.count, bar.size) == (3, 3 + 50 * KIB)
    store.download_prefix("", tmp_path / "to")
    assert asked == [(True, "upload", 3), (False, "download", None)]
    assert (bar.count, bar.size) == (6, 2 * (3 + 50 * KIB) + 4)


def test_a_report_says_how_many(bucket: Bucket, store: s3kv.Store, tmp_path: Path) -> None:
    """As text and as HTML; it pickles."""
    write(tmp_path, a="12", b="3")
    bucket.set("b", b"3")
    bucket.set("old", b"")
    report = store.upload_prefix(tmp_path, delete=True, dry_run=True)
    assert repr(report) == "<1 would be transferred, 2 bytes, 1 unchanged, 1 would be deleted>"
    assert repr(store.upload_prefix(tmp_path)) == "<1 transferred, 2 bytes, 1 unchanged>"
    assert "<td" in report._repr_html_()
    assert pickle.loads(pickle.dumps(report)) == report


# ------------------------------------------------------------------------------------------- interrupts

INTERRUPTED = """
import os
from pathlib import Path
folder = Path(sys.argv[2])
say("ready")
try:
    store.{call}
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(store.get("fast").decode())
say(*sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))
say("ending", time.monotonic())
"""


class Slow(Bucket):
    """Sends half of every object but one, and takes no part of an upload."""

    def run(self, peer: Any) -> None:
        request = peer.requests[-1]
        operation = operation_of(request)
        if operation == "UploadPart" or (operation == "PutObject" and b"slow" in request.head):
            HOLD.run(peer)
        if operation == "GetObject" and "slow" in request.path:
            peer.send(answer(200, b"half", 'ETag: "e"', length=8))
            HOLD.run(peer)
        super().run(peer)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("way", ["upload", "download"])
def test_ctrl_c_stops_a_transfer(way: str, tmp_path: Path) -> None:
    """Within half a second; no file is left that is not whole, and the program can end at once."""
    bucket = Slow(fast=b"fine")
    for number in range(40):
        bucket.set(f"p/slow{number}", b"12345678")
        write(tmp_path / "from", **{f"slow{number}": "12345678"})
    large = bytes(33 * 1024**2)
    call = "download_prefix('p', folder / 'to')"
    if way == "upload":
        write(tmp_path / "from", large=large)
        call = "upload_prefix(folder / 'from', 'q')"
    with bucket.server() as server:
        server._lenient = True
        with running(INTERRUPTED.format(call=call), server.url, str(tmp_path)) as program:
            assert program.line() == ["ready"]
            wanted = "GetObject" if way == "download" else "PutObject"
            end = time.monotonic() + 10
            while len(sent(server, wanted)) < 20 or (way == "upload" and not bucket.uploads):
                assert time.monotonic() < end
                time.sleep(0.002)
            time.sleep(0.05)
            sent_at = program.interrupt()
            words = program.line()
            assert words[:1] == ["interrupted"], program.end()
            assert float(words[1]) - sent_at < 0.5
            assert program.line() == ["fine"]
            files = program.line()
            words = program.line()
            assert words[:1] == ["ending"], program.end()
            said = float(words[1])
            out, errors = program.end()
            assert (out, errors) == ("", "")
            assert time.monotonic() - said < 1.0
    assert [name for name in files if name.startswith("to/")] == []
    assert not [name for name in inside(tmp_path) if ".part" in name]
    assert bucket.uploads == {}
    assert not [key for _, key, _ in bucket.applied if key.startswith("q/")]
