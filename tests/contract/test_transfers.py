"""Files to real servers and back, and URLs with which others get at objects."""

from __future__ import annotations

import os
import random
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.contract.behind import Behind
from tests.servers import LocalProcessServer

feature = pytest.mark.feature
MIB = 1024**2


@cache
def noise(size: int) -> bytes:
    """Return bytes of which no two parts are the same, the same on every run."""
    return random.Random(size).randbytes(size)


# ------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 36 * MIB], ids=["empty", "a byte", "1 MB", "36 MiB"])
def test_a_file_comes_back_as_it_went(size: int, store: s3kv.Store, behind: Behind, tmp_path: Path) -> None:
    """Of any size; the generations are those of the object."""
    (tmp_path / "file.bin").write_bytes(noise(size))
    there = store.upload(tmp_path / "file.bin", "folder/key")
    assert behind.get(store, "folder/key") == noise(size)
    back = store.download("folder/key", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == noise(size)
    assert there.generation == back.generation == store.stat("folder/key").etag
    assert there.time <= back.time
    assert sorted(os.listdir(tmp_path)) == ["back.bin", "file.bin"]


def test_a_file_is_stored_with_its_type_and_metadata(
    store: s3kv.Store, behind: Behind, tmp_path: Path
) -> None:
    """The type is guessed by the name."""
    (tmp_path / "page.html").write_bytes(b"<p>")
    store.upload(str(tmp_path / "page.html"), "key", metadata={"colour": "red"})
    facts = behind.head(store, "key")
    assert facts["ContentType"] == "text/html"
    assert facts["Metadata"] == {"colour": "red"}
    store.upload(tmp_path / "page.html", "key", content_type="x/y")
    assert behind.head(store, "key")["ContentType"] == "x/y"


def test_the_type_of_a_compressed_file_is_not_that_of_what_is_in_it(
    store: s3kv.Store, behind: Behind, tmp_path: Path
) -> None:
    """It is stored as if there were no type to guess."""
    (tmp_path / "page.html.gz").write_bytes(b"gz")
    store.upload(tmp_path / "page.html.gz", "key")
    assert "html" not in behind.head(store, "key").get("ContentType", "")


def test_a_file_is_uploaded_where_nothing_is(store: s3kv.Store, behind: Behind, tmp_path: Path) -> None:
    """And not where something is; that stays."""
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    store.upload(tmp_path / "one", "key", if_absent=True)
    with pytest.raises(s3kv.ConditionFailed):
        store.upload(tmp_path / "two", "key", if_absent=True)
    assert behind.get(store, "key") == b"one"


def test_a_file_is_uploaded_in_place_of_a_generation(
    store: s3kv.Store, behind: Behind, tmp_path: Path
) -> None:
    """And not of another; NO_VALUE is where nothing is."""
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    first = store.upload(tmp_path / "one", "key", if_equal=StorageGeneration.NO_VALUE).generation
    store.upload(tmp_path / "two", "key", if_equal=first)
    assert behind.get(store, "key") == b"two"
    with pytest.raises(s3kv.ConditionFailed):
        store.upload(tmp_path / "one", "key", if_equal=first)
    assert behind.get(store, "key") == b"two"


def test_a_large_file_is_uploaded_where_nothing_is(
    store: s3kv.Store, behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 5 * MIB)
    for module in ("payload", "writing"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 6 * MIB)
    (tmp_path / "file").write_bytes(noise(7 * MIB))
    store.upload(tmp_path / "file", "key", if_absent=True)
    (tmp_path / "file").write_bytes(noise(8 * MIB))
    with pytest.raises(s3kv.ConditionFailed):
        store.upload(tmp_path / "file", "key", if_absent=True)
    assert behind.get(store, "key") == noise(7 * MIB)


# ------------------------------------------------------------------------------ what is at the path


def test_a_missing_key_leaves_no_file(store: s3kv.Store, tmp_path: Path) -> None:
    """And keeps the one that is there."""
    with pytest.raises(s3kv.KeyNotFound):
        store.download("missing", tmp_path / "file")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(s3kv.KeyNotFound):
        store.download("missing", tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_file_that_is_there_is_replaced(store: s3kv.Store, behind: Behind, tmp_path: Path) -> None:
    """Whoever has it open keeps what it was; a longer one leaves nothing behind."""
    behind.put(store, "key", b"new")
    (tmp_path / "file").write_bytes(b"what was there before")
    with open(tmp_path / "file", "rb") as opened:
        store.download("key", str(tmp_path / "file"))
        assert opened.read() == b"what was there before"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_at_the_path_is_refused(store: s3kv.Store, behind: Behind, tmp_path: Path) -> None:
    """And a folder that is missing is not made."""
    behind.put(store, "key", b"value")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder"):
        store.download("key", tmp_path / "folder")
    with pytest.raises(OSError):
        store.download("key", tmp_path / "missing" / "file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        store.download("key", tmp_path / "file" / "below")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []


@pytest.mark.parametrize("name", [" ", "a b%41?&#.txt", "é漢😀", "-rf", ".hidden", "a'b\"c", "n" * 255])
def test_a_file_may_have_any_name(name: str, store: s3kv.Store, tmp_path: Path) -> None:
    """Both ways."""
    (tmp_path / name).write_bytes(b"value")
    store.upload(tmp_path / name, "key")
    (tmp_path / name).unlink()
    store.download("key", tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"value"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_that_the_umask_leaves(
    umask: int, mode: int, store: s3kv.Store, behind: Behind, tmp_path: Path
) -> None:
    """As if it had been opened to be written."""
    behind.put(store, "key", b"value")
    before = os.umask(umask)
    try:
        store.download("key", tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights elsewhere")
def test_the_download_takes_the_place_of_a_link(store: s3kv.Store, behind: Behind, tmp_path: Path) -> None:
    """What it leads to stays as it is; an upload reads that."""
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "link").symlink_to("target")
    store.upload(tmp_path / "link", "key")
    assert behind.get(store, "key") == b"target"
    behind.put(store, "key", b"value")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("link", "dangling"):
        store.download("key", tmp_path / name)
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"value"
    assert (tmp_path / "target").read_bytes() == b"target"
    assert sorted(os.listdir(tmp_path)) == ["dangling", "link", "target"]


# ------------------------------------------------------------------------------ URLs


def use(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Send what somebody would who has nothing but a URL."""
    # A type would be sent otherwise; the proxies of the machine are none of the test's.
    request = urllib.request.Request(url, body, {"Content-Type": "x/y"} if body else {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("key", ["key", "a b/c+d%41&e=f?g#h", "é/漢字/😀", "q'()*!~$,;:@"])
def test_whoever_has_a_url_can_do_the_one_thing(key: str, store: s3kv.Store, behind: Behind) -> None:
    """Write, read, look, delete, without credentials."""
    assert use(store.presign(key, method="PUT"), "PUT", b"by url")[0] == 200
    assert behind.get(store, key) == b"by url"
    assert use(store.presign(key)) == (200, b"by url")
    assert use(store.presign(key, method="HEAD"), "HEAD") == (200, b"")
    assert use(store.presign(key, method="DELETE", expires=60), "DELETE")[0] in (200, 204)
    assert key not in behind.keys(store)
    assert use(store.presign(key))[0] == 404


@feature("wrong-secret-refused")
def test_a_url_is_good_for_nothing_else(
    store: s3kv.Store, behind: Behind, server: LocalProcessServer
) -> None:
    """Neither another key nor another method nor another time; the secret is not in it."""
    behind.put(store, "key", b"value")
    behind.put(store, "kez", b"other")
    url = store.presign("key", expires=60)
    assert use(url) == (200, b"value")
    assert server.info.secret_key not in url
    assert use(url.replace("/key?", "/kez?"))[0] == 403
    assert use(url, "DELETE")[0] == 403
    assert use(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))[0] == 403
    assert behind.get(store, "key") == b"value"
