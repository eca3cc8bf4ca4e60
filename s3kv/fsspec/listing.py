"""What there is: listings, and the facts about one path."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime
from glob import has_magic
from operator import itemgetter
from typing import Any, cast

from ..errors import KeyNotFound
from ..operations.listing import entries_of
from ..store import Store
from ..values import ListEntry, ObjectInfo
from .base import Base, Info
from .os_errors import is_folder, not_found, os_errors
from .parallel import run_all
from .paths import Place, nameless, path_of


class Level:
    """One level of a listing: the objects and folders directly in a folder.

    Attributes:
        entries: The objects; among them may be those that mark folders, whose keys end with ``/``.
        folders: The folders, each with its ``/``.
    """

    def __init__(self) -> None:
        self.entries: list[ListEntry] = []
        self.folders: list[str] = []

    def add(self, other: Level) -> None:
        """Add what is in another one."""
        self.entries += other.entries
        self.folders += other.folders


class Listing(Base):
    """The methods that look, and change nothing."""

    # ---------------------------------------------------------------- one path

    def info(self, path: Any, refresh: bool = False, **_: Any) -> Info:
        """The facts about an object, a folder or a bucket; where both are, about the object.

        Args:
            path: The path.
            refresh: Ask the store even if a listing is cached. Default False.

        Returns:
            ``name``, ``size`` (bytes) and ``type`` (``"file"`` or ``"directory"``); of objects also
            ``ETag``, ``LastModified`` and ``mtime`` (both a datetime), and, unless it comes from a
            listing, ``ContentType`` and ``metadata``.

        Raises:
            FileNotFoundError: there is nothing with this path.
        """
        path = self._strip(path)
        if not path:
            return _folder("")
        store, place = self._find_store(path)
        if not refresh:
            cached = self._from_cache(path)
            if cached is not None:
                return cached
        with os_errors(path):
            if place.key:
                with contextlib.suppress(KeyNotFound):
                    return _file_of(place.bucket, store.stat(place.key))
                if (refresh or path not in self.dircache) and not store._any(place.below):
                    raise not_found(path)
            else:
                store._any("")
        return _folder(path)

    def _from_cache(self, path: str) -> Info | None:
        """What a cached listing says of a path; None where there is none, or it does not tell.

        Raises:
            FileNotFoundError: the listing of its folder does not have it.
        """
        is_listed = path in self.dircache
        if "/" not in path:
            return _folder(path) if is_listed else None
        found = self._listed(path)
        if found is None:
            # Whether there is an object, too, where there is a folder, only the listing of both tells.
            return None
        if found:
            return dict(found[0])
        if is_listed:
            return _folder(path)
        raise not_found(path)

    def _listed(self, path: str) -> list[Info] | None:
        """The object and the folder of a path, in this order, as far as a cached listing has them.

        None if the listing around the path is not cached.
        """
        above = self.dircache.get(self._parent(path)) if "/" in path else None
        if above is None:
            return None
        # It is sorted, and may be of very many files each of which is asked for.
        place = bisect_left(above, path, key=_name)
        return [info for info in above[place : place + 2] if info["name"] == path]

    def exists(self, path: Any, **options: Any) -> bool:
        """Whether there is an object, a folder or a bucket. Anything but "no" and "yes" is an error."""
        try:
            self.info(path, **options)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: Any) -> bool:
        """Whether there is an object."""
        path = self._strip(path)
        if "/" not in path:
            return False
        store, place = self._find_store(path)
        try:
            cached = self._from_cache(path)
            if cached is not None:
                return bool(cached["type"] == "file")
            with os_errors(path):
                return place.key in store
        except FileNotFoundError:
            return False

    def isdir(self, path: Any) -> bool:
        """Whether there is a bucket, or a folder: any key below the path, be there an object or not."""
        path = self._strip(path)
        if not path:
            return True
        store, place = self._find_store(path)
        if path in self.dircache:
            return True
        listed = self._listed(path)
        if listed is not None:
            return any(info["type"] == "directory" for info in listed)
        try:
            with os_errors(path):
                return store._any(place.below) or not place.key
        except FileNotFoundError:
            return False

    def modified(self, path: Any) -> datetime:
        """When an object was written last (UTC)."""
        return cast(datetime, self._fact(path, "LastModified"))

    def created(self, path: Any) -> datetime:
        """When an object was written last (UTC): S3 replaces objects, and keeps no other time."""
        return self.modified(path)

    def ukey(self, path: Any) -> str:
        """The ETag of an object: another one when its contents are others."""
        return str(self._fact(path, "ETag"))

    def checksum(self, path: Any) -> int:
        """The ETag of an object as a number."""
        return int.from_bytes(self.ukey(path).encode(), "big")

    def _fact(self, path: Any, name: str) -> Any:
        info = self.info(path, refresh=True)
        if info["type"] != "file":
            raise is_folder(info["name"])
        return info[name]

    # ---------------------------------------------------------------- one level

    def ls(self, path: Any, detail: bool = True, refresh: bool = False, **_: Any) -> list[Any]:
        """The objects and folders directly in a folder, sorted.

        Args:
            path: A folder, or an object, which is then listed alone.
            detail: Return what :meth:`info` does, without content type and metadata; else, the paths.
                Default True.
            refresh: Ask the store even if the listing is cached. Default False.

        Raises:
            FileNotFoundError: there is nothing with this path.
        """
        path = self._strip(path)
        store, place = self._find_store(path)
        found: list[Info] | None = None
        if not refresh:
            with contextlib.suppress(KeyError):
                found = self.dircache[path]
        if found is None:
            changes = self._changes
            with os_errors(path):
                found = self._list(store, place)
            # Not an object by itself, and not what may be out of date already.
            if changes == self._changes and not (len(found) == 1 and found[0]["name"] == path):
                self.dircache[path] = found
        return [dict(info) for info in found] if detail else [info["name"] for info in found]

    def _list(self, store: Store, place: Place) -> list[Info]:
        level = _level(store, place.below)
        if place.key and not level.entries and not level.folders:
            return [_file_of(place.bucket, store.stat(place.key))]
        found = [_file(place.bucket, entry) for entry in level.entries if not entry.key.endswith("/")]
        found += [_folder(path_of(place.bucket, folder)) for folder in level.folders]
        # Of an object and a folder with the same name, the object comes first.
        return sorted(found, key=lambda info: (info["name"], info["type"] != "file"))

    # ---------------------------------------------------------------- all levels

    def find(
        self,
        path: Any,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> Any:
        """Every object in a folder and all folders in it, sorted.

        Without ``maxdepth`` the keys are listed as they come, a thousand in one request; with it, one level
        after the other, many folders at once.

        Args:
            path: A folder; or an object, which is then all there is.
            maxdepth: How many levels, at least 1. Default None: all.
            withdirs: Return folders, too, ``path`` among them. Default False.
            detail: Return a dict from path to what :meth:`ls` tells; else, a list of paths. Default False.
            prefix: Only what has this directly after the folder's ``/``. Default: all.

        Raises:
            FileNotFoundError: there is no such bucket. A folder that does not exist is just empty.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip(path)
        store, place = self._find_store(path)
        found: dict[str, Info] = {}
        with os_errors(path):
            start = place.below + prefix
            level = Level() if maxdepth is None else _levels(store, start, maxdepth)
            for entry in _scan(store, start) if maxdepth is None else level.entries:
                if withdirs:
                    _add_folders(found, place, entry.key)
                if not entry.key.endswith("/"):
                    found[path_of(place.bucket, entry.key)] = _file(place.bucket, entry)
                elif withdirs and not _is_file(found, name := path_of(place.bucket, entry.key)):
                    if nameless(entry.key):
                        found.setdefault(name, _folder(name))
                    else:
                        # Its ETag tells that an object marks it.
                        found[name] = {**_file(place.bucket, entry), **_folder(name)}
            if withdirs:
                for folder in level.folders:
                    found.setdefault(path_of(place.bucket, folder), _folder(path_of(place.bucket, folder)))
                if found:
                    found.setdefault(path, _folder(path))
            if not found and place.key and not prefix:
                with contextlib.suppress(KeyNotFound):
                    found[path] = _file_of(place.bucket, store.stat(place.key))
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def glob(self, path: Any, maxdepth: int | None = None, **options: Any) -> Any:
        """The objects and folders whose paths match a pattern; see ``AbstractFileSystem.glob``.

        Only what begins as the pattern does, up to its first special character, is listed. What does not
        exist, be it a bucket, matches nothing.
        """
        stripped = self._strip(path)
        if not has_magic(stripped):
            return super().glob(path, maxdepth=maxdepth, **options)
        plain = stripped[: min(place for mark in "*?[" if (place := stripped.find(mark)) >= 0)]
        try:
            return super().glob(path, maxdepth=maxdepth, prefix=plain.rpartition("/")[2], **options)
        except FileNotFoundError:
            return {} if options.get("detail") else []

    def du(
        self, path: Any, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **_: Any
    ) -> Any:
        """The bytes of the objects in a folder and all folders in it.

        Args:
            path: A folder or an object.
            total: Return their sum; else, a dict from path to size. Default True.
            maxdepth: As for :meth:`find`.
            withdirs: Return folders, too, of size 0. Default False.
        """
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes


def _file(bucket: str, entry: ListEntry | ObjectInfo) -> Info:
    return {
        "name": f"{bucket}/{entry.key}",
        "size": entry.size,
        "type": "file",
        "ETag": entry.etag,
        "LastModified": entry.last_modified,
        "mtime": entry.last_modified,
    }


def _file_of(bucket: str, info: ObjectInfo) -> Info:
    return {**_file(bucket, info), "ContentType": info.content_type, "metadata": info.metadata}


_name = itemgetter("name")


def _folder(path: str) -> Info:
    return {"name": path, "size": 0, "type": "directory"}


def _is_file(found: dict[str, Info], name: str) -> bool:
    return name in found and found[name]["type"] == "file"


def _add_folders(found: dict[str, Info], place: Place, key: str) -> None:
    """Add the folders between the one that is listed and a key."""
    end = key.rfind("/", 0, -1)
    while end >= len(place.below):
        name = path_of(place.bucket, key[: end + 1])
        if name in found:
            # And so are those that it is in.
            return
        found[name] = _folder(name)
        end = key.rfind("/", 0, end)


def _scan(store: Store, prefix: str) -> Iterator[ListEntry]:
    """The objects with a prefix, their pages fetched side by side where that pays."""
    return (entry for page in store._pages_fast(store._wanted(prefix, None)) for entry in entries_of(page))


def _level(store: Store, prefix: str) -> Level:
    """What is directly in a folder; what is in nameless folders in it is part of it."""
    level = Level()
    pending = [prefix]
    while pending:
        folders, entries = store.list_dir(pending.pop())
        level.entries += entries
        for folder in folders:
            (pending if nameless(folder) else level.folders).append(folder)
    return level


def _levels(store: Store, prefix: str, depth: int) -> Level:
    """The objects of so many levels, and all the folders in them."""
    whole = _level(store, prefix)
    folders = whole.folders
    for _ in range(depth - 1):
        below = Level()

        def begin(folder: str) -> Future[Level]:
            return store._core.later(_level, store, folder)

        def ended(_: str, future: Future[Level], below: Level = below) -> None:
            below.add(future.result())

        run_all(folders, begin, ended)
        whole.add(below)
        folders = below.folders
    return whole
