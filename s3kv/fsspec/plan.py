"""Which files go where in a bulk operation: fsspec's own rules, followed without moving any file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from glob import has_magic
from typing import Any

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.utils import stringify_path  # type: ignore[import-untyped]

from .base import Info

# (from, to).
Pair = tuple[Any, Any]


class Plan:
    """Stands in for a file system while fsspec works out what a bulk operation is about.

    The rules for globs, folders and trailing slashes are fsspec's; here its methods only get to write down
    the pairs of paths, so that the files can then be moved many at a time. What a listing says is kept, and
    not asked for again for each path.

    Attributes:
        pairs: (from, to), as they were to be moved.
    """

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self._seen: dict[str, Info] = {}
        # Paths with special characters: themselves if they exist as they are written, otherwise None.
        self._written: dict[str, str | None] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def get(self, source: Any, target: Any, **options: Any) -> None:
        """Write down what ``get`` would fetch."""
        AbstractFileSystem.get(self, self._source(source, **options), _as_text(target), **options)

    def put(self, source: Any, target: Any, **options: Any) -> None:
        """Write down what ``put`` would send."""
        AbstractFileSystem.put(self, _as_text(source), _as_text(target), **options)

    def copy(self, source: Any, target: Any, **options: Any) -> None:
        """Write down what ``copy`` would copy."""
        AbstractFileSystem.copy(self, self._source(source, **options), _as_text(target), **options)

    def _write_down(self, source: Any, target: Any, **_: Any) -> None:
        self.pairs.append((source, target))

    get_file = put_file = cp_file = _write_down

    # ---------------------------------------------------------------- what fsspec asks on the way

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any
    ) -> list[str]:
        """Every path that one path, or each of several, stands for."""
        given = [path] if isinstance(path, (str, os.PathLike)) else path
        found: set[str] = set()
        others = []
        for each in map(self._fs._strip, given):
            written = self._as_written(each, recursive)
            if written is None:
                others.append(each)
                continue
            found.add(written)
            if recursive:
                found.update(self.find(written, maxdepth=maxdepth, withdirs=True))
        if others or not found:
            # Of several paths, some may stand for nothing.
            with contextlib.suppress(*((FileNotFoundError,) if found else ())):
                found.update(AbstractFileSystem.expand_path(self, others, recursive, maxdepth, **options))
        return sorted(found)

    def _as_written(self, path: str, recursive: bool) -> str | None:
        """A path that could be a pattern, and is that of an object, or of a folder that is wanted."""
        if path not in self._written and has_magic(path):
            there = path in self._seen or self._fs.isfile(path) or (recursive and self._fs.isdir(path))
            self._written[path] = path if there else None
        return self._written.get(path)

    def _source(self, source: Any, recursive: bool = False, **_: Any) -> Any:
        """What to tell fsspec, which takes what has special characters in it for a pattern."""
        path = _as_text(source)
        written = self._as_written(self._fs._strip(path), recursive) if isinstance(path, str) else None
        if written is None:
            return path
        stand_in = re.sub(r"[*?[]", "_", path)
        self._written[self._fs._strip(stand_in)] = written
        return stand_in

    def glob(self, path: str, **options: Any) -> list[str]:
        """The matches of a pattern."""
        return self._keep(self._fs.glob(path, **{**options, "detail": True}))

    def find(self, path: str, **options: Any) -> list[str]:
        """What there is in a folder; an object that has been listed needs no look."""
        if path in self._seen and not self.is_known_folder(path):
            return [path]
        return self._keep(self._fs.find(path, **{**options, "detail": True}))

    def _keep(self, found: dict[str, Info]) -> list[str]:
        self._seen.update(found)
        return list(found)

    def exists(self, path: str) -> bool:
        """Whether there is anything with this path."""
        return path in self._seen or bool(self._fs.exists(path))

    def isdir(self, path: str) -> bool:
        """Whether a path is a folder's, and no object's."""
        info = self._seen.get(path)
        if info is None:
            return bool(self._fs.isdir(path) and not self._fs.isfile(path))
        return bool(info["type"] == "directory")

    def is_known_folder(self, path: str) -> bool:
        """Whether a listing on the way has shown that this is a folder."""
        return path in self._seen and bool(self._seen[path]["type"] == "directory")

    def files(self) -> list[Pair]:
        """The pairs of paths without those of folders."""
        return [pair for pair in self.pairs if not self.is_known_folder(pair[0])]

    def markers(self) -> list[Pair]:
        """The pairs of folders which objects mark, as the keys, with their buckets, of these."""
        return [
            (f"{source}/", f"{target}/")
            for source, target in self.pairs
            if self.is_known_folder(source) and "ETag" in self._seen[source]
        ]


def in_turn(pairs: Sequence[Pair], strip: Callable[[Any], str]) -> list[list[Pair]]:
    """Groups of copies, to be made one after the other: nothing is written over before it is copied.

    Args:
        pairs: (from, to).
        strip: Makes paths comparable.

    Raises:
        ValueError: they go in a circle, as when two objects are to change places.
    """
    left = [(pair, strip(pair[0]), strip(pair[1])) for pair in pairs]
    groups = []
    while left:
        # An object may be copied to itself.
        needed = {source for _, source, target in left if source != target}
        group = [pair for pair, source, target in left if source == target or target not in needed]
        if not group:
            raise ValueError(
                f"{left[0][1]!r} would be replaced by what it is to replace: copy it aside first"
            )
        groups.append(group)
        left = [each for each in left if each[1] != each[2] and each[2] in needed]
    return groups


def check_targets(pairs: Sequence[Pair], strip: Callable[[Any], str]) -> None:
    """Make sure that no two objects are to be moved to the same path.

    Args:
        pairs: (from, to).
        strip: Makes paths comparable.

    Raises:
        ValueError: two are, so that one would be lost.
    """
    sources: dict[str, str] = {}
    for source, target in pairs:
        first = sources.setdefault(strip(target), strip(source))
        if first != strip(source):
            raise ValueError(f"{first!r} and {strip(source)!r} would both be moved to {strip(target)!r}")


def _as_text(path: Any) -> Any:
    """A path, or a list of paths, as text: fsspec's rules take a single ``Path`` for a list of one."""
    if isinstance(path, (list, tuple, set)):
        return [stringify_path(each) for each in path]
    return stringify_path(path)
