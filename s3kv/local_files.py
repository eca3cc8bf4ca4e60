"""Files on this machine as objects would be: their keys, their places, and whether they are the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from io import RawIOBase
from typing import NamedTuple

from .errors import S3KVError
from .payload import part_size

# So many bytes are read and hashed at once.
PIECE = 4 * 1024**2

_HEXADECIMAL = frozenset("0123456789abcdef")

# What Windows takes for something else than a name.
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_NO_NAME_IN_WINDOWS = frozenset('<>:"|?*') | {chr(code) for code in range(32)}
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{name}{digit}" for name in ("COM", "LPT") for digit in "0123456789¹²³"
}


class LocalFile(NamedTuple):
    """Something in a folder.

    Attributes:
        name: Where, relative to the folder, with ``/`` in between.
        path: Where.
        size: How many bytes it has.
        error: Why it cannot be read, or None.
    """

    name: str
    path: str
    size: int = 0
    error: Exception | None = None


def walk(folder: str) -> Iterator[LocalFile]:
    """Every file in a folder and its sub-folders, and every link that leads to one.

    Links to folders are followed, except back to where they come from. What is neither a file nor a folder,
    and what cannot be read, is there with an error.

    Raises:
        OSError: the folder itself cannot be read.
    """
    # (name, path, the folders that it is in).
    todo = [("", folder, frozenset[tuple[int, int]]())]
    while todo:
        prefix, where, above = todo.pop()
        try:
            found = os.stat(where)
            itself = (found.st_dev, found.st_ino)
            if itself in above:
                continue
            with os.scandir(where) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise
            yield LocalFile(prefix, where, error=error)
            continue
        folders = []
        for entry in inside:
            name = prefix + entry.name
            try:
                status = entry.stat()
            except OSError as error:
                yield LocalFile(name, entry.path, error=error)
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append((f"{name}/", entry.path, above | {itself}))
            elif stat.S_ISREG(status.st_mode):
                yield LocalFile(name, entry.path, status.st_size)
            else:
                yield LocalFile(name, entry.path, error=S3KVError(f"{entry.path!r} is no regular file"))
        todo += reversed(folders)


def check_name(name: str, *, windows: bool = os.name == "nt") -> None:
    """Make sure that a key, as a path, leads nowhere but to a file of its own inside of a folder.

    Args:
        name: The key, relative to the folder.
        windows: The file is to be on Windows.

    Raises:
        S3KVError: it may lead elsewhere, or to the same file as another key.
    """
    for part in name.split("/"):
        why = ""
        if part in ("", ".", ".."):
            why = f"{part!r} between slashes is no name of its own"
        elif "\\" in part:
            why = "a backslash stands between folders on some systems"
        elif "\0" in part:
            why = "it contains a NUL"
        elif windows and (_NO_NAME_IN_WINDOWS & set(part) or part[-1] in ". " or _is_device(part)):
            why = f"{part!r} is no name that Windows allows"
        if why:
            raise S3KVError(f"the key cannot be a file in the folder: {why}")


def _is_device(part: str) -> bool:
    return part.partition(".")[0].rstrip().upper() in _DEVICES


def make_folders(folder: str, names: Sequence[str], *, create: bool = True) -> bool:
    """Make folders in a folder, one in the other, where they are not there.

    Args:
        names: Theirs, checked by :func:`check_name`.
        create: Default True; False only looks for what is in their way.

    Returns:
        The last of them was not there.

    Raises:
        S3KVError: there is a symbolic link or a file in the way.
        OSError: one cannot be made.
    """
    missing = False
    for name in names:
        folder = os.path.join(folder, name)
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
                missing = True
                continue
        # Not followed: it could lead elsewhere.
        mode = _mode_of(folder)
        missing = mode is None
        if mode is not None and not stat.S_ISDIR(mode):
            raise S3KVError(f"{folder!r} is {_kind_of(mode)}, where the key needs a folder")
    return missing


def check_free(path: str) -> None:
    """Make sure that there is a file, or nothing.

    Raises:
        S3KVError: there is something else, which no file is to take the place of.
    """
    mode = _mode_of(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise S3KVError(f"{path!r} is {_kind_of(mode)}, where the key needs a file")


def _mode_of(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _kind_of(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "no regular file"


def is_same(path: str, size: int, etag: str, turn: Callable[[], AbstractContextManager[None]]) -> bool:
    """Whether a file has the bytes that an object's ETag tells of; False where that cannot be known.

    An ETag tells of them where it is their MD5, or, for an object that was written in parts, where these
    may be of the length that this library gives them, which is also the AWS CLI's.

    Args:
        path: The file.
        size: How many bytes the object has.
        etag: Its ETag, quoted.
        turn: Gives the turn to hash a piece; what it raises ends this.

    Raises:
        OSError: the file is there and cannot be read.
    """
    digest, dash, count = etag.strip('"').partition("-")
    if len(digest) != 32 or not set(digest) <= _HEXADECIMAL:
        return False
    part = part_size(size) if dash else max(1, size)
    if dash and count != str(-(-size // part)):
        return False
    try:
        status = os.stat(path)
        if status.st_size != size or not stat.S_ISREG(status.st_mode):
            return False
        with open(path, "rb", buffering=0) as file:
            parts = [_md5(file, min(part, size - start), turn) for start in range(0, size or 1, part)]
    except FileNotFoundError:
        return False
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False).digest() if dash else parts[0]
    return whole.hex() == digest


def _md5(file: RawIOBase, size: int, turn: Callable[[], AbstractContextManager[None]]) -> bytes:
    """The MD5 of the next so many bytes; of fewer, if the file ends before."""
    digest = hashlib.md5(usedforsecurity=False)
    while size and (piece := file.read(min(size, PIECE))):
        with turn():
            digest.update(piece)
        size -= len(piece)
    return digest.digest()
