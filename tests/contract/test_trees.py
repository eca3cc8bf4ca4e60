"""Whole folders on real servers: they arrive as they are, and what is the same is left alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import s3kv
from tests.contract.behind import Behind

MIB = 1024**2

# Names that have to be encoded somewhere on the way.
FILES = {
    "plain": b"plain",
    "with space/é+%.txt": b"text",
    "deep/er/and/deeper": b"",
    "deep/er.json": b"{}",
    "~tilde/(1) & 'x' = #?.bin": bytes(range(256)),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values be large from 6 MiB on, and their parts be 5 MiB, the least that servers take."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 5 * MIB)
    for module in ("payload", "writing"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 6 * MIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files of all kinds of names."""
    for name, value in FILES.items():
        path = tmp_path / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    return tmp_path / "from"


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tells(store: s3kv.Store, behind: Behind, key: str) -> bool:
    """Return whether the server's ETag of an object is the MD5 of its bytes."""
    return bool(store.stat(key).etag == f'"{hashlib.md5(behind.get(store, key)).hexdigest()}"')


def test_a_folder_arrives_and_comes_back(
    store: s3kv.Store, behind: Behind, folder: Path, tmp_path: Path
) -> None:
    """With every name as it was."""
    report = store.upload_prefix(folder, "a/")
    assert report.transferred == tuple(sorted(f"a/{name}" for name in FILES))
    assert {key: behind.get(store, key) for key in report.transferred} == {
        f"a/{name}": value for name, value in FILES.items()
    }
    assert store.download_prefix("a/", tmp_path / "to").transferred == report.transferred
    assert files(tmp_path / "to") == FILES


def test_what_is_the_same_is_left_alone(store: s3kv.Store, behind: Behind, folder: Path) -> None:
    """Both ways, where the server's ETags tell; where they do not, it is transferred once more."""
    store.upload_prefix(folder)
    tell = {key for key in FILES if tells(store, behind, key)}
    assert set(store.upload_prefix(folder).skipped) == tell
    assert set(store.download_prefix("", folder).skipped) == tell
    (folder / "plain").write_bytes(b"alter")
    assert "plain" in store.upload_prefix(folder).transferred
    assert behind.get(store, "plain") == b"alter"
    assert files(folder) == {**FILES, "plain": b"alter"}


def test_a_copy_loses_what_the_folder_lost(store: s3kv.Store, behind: Behind, folder: Path) -> None:
    """If that is wanted."""
    store.upload_prefix(folder, "a")
    (folder / "plain").unlink()
    assert store.upload_prefix(folder, "a", delete=True).deleted == ("a/plain",)
    assert sorted(behind.keys(store)) == sorted(f"a/{name}" for name in FILES if name != "plain")


def test_large_files_go_in_parts(store: s3kv.Store, tmp_path: Path, small: None) -> None:
    """Both ways; they are recognised where the ETag is made of those of the parts, or of the whole."""
    value = bytes(range(251)) * 50_000
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "large").write_bytes(value)
    (tmp_path / "from" / "small").write_bytes(b"small")
    store.upload_prefix(tmp_path / "from")
    size = 5 * MIB
    parts = [hashlib.md5(value[at : at + size]).digest() for at in range(0, len(value), size)]
    telling = {
        f'"{hashlib.md5(b"".join(parts)).hexdigest()}-{len(parts)}"',
        f'"{hashlib.md5(value).hexdigest()}"',
    }
    again = store.upload_prefix(tmp_path / "from")
    assert ("large" in again.skipped) is (store.stat("large").etag in telling)
    store.download_prefix("", tmp_path / "to")
    assert files(tmp_path / "to") == {"large": value, "small": b"small"}
