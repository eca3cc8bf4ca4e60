"""Deleting objects, and what there is of folders in S3."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from glob import has_magic
from itertools import chain
from typing import Any

from ..values import ListEntry, ObjectInfo
from .opening import Opening
from .os_errors import exists_already, is_folder, not_found, os_errors
from .parallel import run_all


class _Doomed:
    """What is to be deleted.

    Attributes:
        objects: Paths that must be objects.
        found: Paths that a listing has shown to be objects.
        folders: Paths of folders, and the objects in each, of which the first page has been listed.
    """

    def __init__(self) -> None:
        self.objects: dict[str, None] = {}
        self.found: dict[str, None] = {}
        self.folders: dict[str, Iterator[ListEntry]] = {}


class Removing(Opening):
    """The methods that delete, and those about folders."""

    def rm_file(self, path: Any) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: there is none.
        """
        store, place, path = self._find_object(path)
        try:
            with os_errors(path):
                del store[place.key]
        finally:
            self._drop_around(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, up to a thousand in one request.

        All that is to be deleted is looked for before the first of it is.

        Args:
            path: A path, a pattern, or a list of these. What exists as it is written is no pattern.
            recursive: Delete folders with all that is in them, or all objects of a bucket, not the bucket.
                Default False: of what a pattern matches, folders stay.
            maxdepth: With ``recursive``, how many levels, at least 1. Default None: all.

        Raises:
            FileNotFoundError: one of the paths does not exist, or a pattern matches nothing; nothing was
                deleted.
            IsADirectoryError: one is a folder or a bucket, and ``recursive`` is false; nothing was deleted.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        doomed = _Doomed()
        given = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        for each in given:
            self._look_for(self._strip(each), recursive, maxdepth, doomed)
        self._check_objects(doomed.objects)
        try:
            keys: dict[str, list[Iterable[str]]] = {}
            for each in {**doomed.objects, **doomed.found}:
                _, place = self._find_store(each)
                keys.setdefault(place.bucket, []).append((place.key,))
            for folder, entries in doomed.folders.items():
                _, place = self._find_store(folder)
                keys.setdefault(place.bucket, []).append(_keys(folder, entries))
            # All of them in one go: many folders with little in each share their requests.
            for bucket, names in keys.items():
                with os_errors(bucket):
                    self._stores[bucket].delete_many(chain.from_iterable(names))
        finally:
            for each in (*doomed.objects, *doomed.found):
                self._drop_around(each)
            for each in doomed.folders:
                self.invalidate_cache(each)

    def _look_for(self, path: str, recursive: bool, maxdepth: int | None, doomed: _Doomed) -> None:
        """File what a path stands for."""
        if has_magic(path) and not self.exists(path):
            matches: dict[str, dict[str, Any]] = self.glob(path, detail=True)
            if not matches:
                raise not_found(path)
            objects = [name for name, info in matches.items() if info["type"] == "file"]
            doomed.found |= dict.fromkeys(objects)
            if recursive and maxdepth != 1:
                folders = matches.keys() - set(objects) | self._folders_beside(objects)
                self._look_into_all(folders, maxdepth, doomed)
        elif not recursive:
            doomed.objects[path] = None
        elif maxdepth is not None:
            found = self.find(path, maxdepth=maxdepth)
            if found != [path] and self.isfile(path):
                found.append(path)
            if not found and not self.isdir(path):
                raise not_found(path)
            doomed.found |= dict.fromkeys(found)
        else:
            # Both an object and a folder may have this path.
            is_object = self.isfile(path)
            if is_object:
                doomed.found[path] = None
            if not self._look_into(path, doomed) and not is_object and "/" in path:
                raise not_found(path)

    def _folders_beside(self, objects: Iterable[str]) -> set[str]:
        """The paths among those of objects that are folders', too: a pattern finds the objects only."""
        folders: set[str] = set()

        def begin(parent: str) -> Future[list[dict[str, Any]]]:
            store, _ = self._find_store(parent)
            return store._core.later(self.ls, parent)

        def ended(_: str, future: Future[list[dict[str, Any]]]) -> None:
            folders.update(info["name"] for info in future.result() if info["type"] == "directory")

        run_all({self._parent(path) for path in objects}, begin, ended)
        return folders.intersection(objects)

    def _look_into_all(self, paths: Iterable[str], maxdepth: int | None, doomed: _Doomed) -> None:
        """File what is in many folders, as deep as is wanted from the level that the paths are on."""

        def look(path: str) -> None:
            if maxdepth is None:
                self._look_into(path, doomed)
            else:
                doomed.found.update(dict.fromkeys(self.find(path, maxdepth=maxdepth - 1)))

        def begin(path: str) -> Future[None]:
            store, _ = self._find_store(path)
            return store._core.later(look, path)

        run_all(paths, begin, lambda _, future: future.result())

    def _look_into(self, folder: str, doomed: _Doomed) -> bool:
        """File what is in a folder; False if there is nothing."""
        store, place = self._find_store(folder)
        with os_errors(folder):
            entries = store.scan(place.below)
            first = next(entries, None)
        if first is None:
            return False
        doomed.folders[folder] = chain((first,), entries)
        return True

    def _check_objects(self, paths: Iterable[str]) -> None:
        """Make sure that every path is an object's."""

        def begin(path: str) -> Future[ObjectInfo]:
            store, place, _ = self._find_object(path)
            return store.futures.stat(place.key)

        def ended(path: str, future: Future[ObjectInfo]) -> None:
            try:
                with os_errors(path):
                    future.result()
            except FileNotFoundError as error:
                if self.isdir(path):
                    raise is_folder(path) from error
                raise

        run_all(paths, begin, ended)

    # ---------------------------------------------------------------- folders

    def mkdir(self, path: Any, create_parents: bool = True, **_: Any) -> None:
        """Nothing: in S3, folders come and go with the objects in them.

        Raises:
            FileExistsError: the path is that of a bucket.
            io.UnsupportedOperation: it is that of a bucket that does not exist: s3kv creates none.
        """
        path = self._strip(path)
        if self._find_store(path)[1].key:
            return
        if self.exists(path):
            raise exists_already(path)
        raise io.UnsupportedOperation(f"there is no bucket {path!r}, and s3kv creates none")

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        """Nothing, as :meth:`mkdir`; with ``exist_ok``, a bucket may exist."""
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok:
                raise

    def rmdir(self, path: Any) -> None:
        """Delete the object that marks an empty folder, whose key is the folder's with a ``/``.

        Raises:
            FileNotFoundError: there is no such folder.
            NotADirectoryError: it is an object.
            OSError: there is something in the folder.
            io.UnsupportedOperation: the path is that of a bucket: s3kv deletes none.
        """
        path = self._strip(path)
        store, place = self._find_store(path)
        if not place.key:
            raise io.UnsupportedOperation(f"{path!r} is a bucket: s3kv deletes objects only")
        with os_errors(path):
            below = store.scan(place.below)
            first = next(below, None)
            if first is None:
                if self.isfile(path):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
                raise not_found(path)
            if first.key != place.below or next(below, None) is not None:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
            store.delete(place.below)
        self.invalidate_cache(path)


def _keys(folder: str, entries: Iterable[ListEntry]) -> Iterator[str]:
    """The keys of a folder's objects; where they cannot be listed, the error is about this folder."""
    with os_errors(folder):
        for entry in entries:
            yield entry.key
