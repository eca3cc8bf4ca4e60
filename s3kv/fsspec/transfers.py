"""Files that go from here to there: to and from this machine, and between paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, Literal

from fsspec.callbacks import DEFAULT_CALLBACK  # type: ignore[import-untyped]
from fsspec.utils import isfilelike  # type: ignore[import-untyped]

from ..errors import BucketNotFound, ConditionFailed, KeyNotFound
from ..files import guess_type
from ..operations.conditions import NO_VALUE
from ..operations.write import object_headers
from ..progress import Progress
from .contents import check_mode
from .os_errors import exists_already, is_folder, not_found, os_errors
from .parallel import run_all
from .paths import place_of
from .plan import Plan, check_targets, in_turn
from .removing import Removing

Mode = Literal["overwrite", "create"]

# So much of a file is read at once.
_PIECE = 1024**2


class Transfers(Removing):
    """The methods that move whole files, many at a time."""

    # ---------------------------------------------------------------- to this machine

    def get_file(
        self, rpath: Any, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None
    ) -> None:
        """Copy an object to a file, which appears whole or not at all; of a folder, make one.

        Args:
            rpath: The object.
            lpath: The file; or one that is open, to be written to.
            callback: An ``fsspec.callbacks.Callback``, told of the bytes.
            outfile: A file that is open, to be written to in place of ``lpath``. Default None: none.

        Raises:
            FileNotFoundError: there is neither an object nor a folder.
            IsADirectoryError: there is a folder where the file is to be.
        """
        if outfile is not None or isfilelike(lpath) or _is_special(lpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile)
            return
        self._download(rpath, os.fspath(lpath), callback)

    def _download(self, rpath: Any, lpath: str, callback: Any) -> None:
        store, place, path = self._find_object(rpath)
        parent = os.path.dirname(lpath)
        if parent:
            os.makedirs(parent, exist_ok=True)
        with os_errors(path):
            try:
                if callback is not DEFAULT_CALLBACK or os.path.isdir(lpath):
                    # Before anybody objects to a folder: it may be one that is to be copied.
                    callback.set_size(store.stat(place.key).size)
                if os.path.isdir(lpath):
                    raise is_folder(lpath)
                store._download_file(place.key, lpath, _Told(callback))
            except KeyNotFound:
                if not self.isdir(path):
                    raise
                os.makedirs(lpath, exist_ok=True)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
    ) -> None:
        """Copy objects to files, many at a time; see ``AbstractFileSystem.get`` for what goes where.

        Args:
            rpath: A path, a pattern, or a list of these.
            lpath: A file, a folder, or a list of files.
            recursive: Copy folders with all that is in them. Default False.
            callback: An ``fsspec.callbacks.Callback``, told of the files.
            maxdepth: With ``recursive``, how many levels, at least 1. Default None: all.

        Raises:
            FileNotFoundError: there is nothing to copy.
        """
        plan = Plan(self)
        plan.get(rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        for source, target in plan.pairs:
            if plan.is_known_folder(source):
                os.makedirs(target, exist_ok=True)

        def begin(source: Any, target: Any, child: Any) -> Future[Any]:
            store, _, _ = self._find_object(source)
            return store._core.later(self.get_file, source, target, callback=child)

        _move(plan.files(), begin, callback)

    # ---------------------------------------------------------------- from this machine

    def put_file(
        self,
        lpath: Any,
        rpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        mode: Mode = "overwrite",
        *,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Write a file's bytes as an object; of a folder, do nothing.

        Args:
            lpath: The file.
            rpath: The object.
            callback: An ``fsspec.callbacks.Callback``, told of the bytes.
            mode: As for :meth:`pipe_file`.
            content_type: As for ``Store.upload``.
            metadata: As for ``Store.upload``.

        Raises:
            FileExistsError: there is an object, and ``mode`` is ``"create"``.
        """
        check_mode(mode)
        if os.path.isdir(lpath):
            return
        content_type = content_type or guess_type(lpath)
        callback.set_size(os.path.getsize(lpath))
        if self._intrans:
            with (
                open(lpath, "rb") as source,
                self._deferred(rpath, mode, content_type, metadata) as file,
            ):
                while piece := source.read(_PIECE):
                    callback.relative_update(file.write(piece))
            return
        store, place, path = self._find_object(rpath)
        condition = NO_VALUE if mode == "create" else None
        headers = object_headers(content_type, metadata)
        with os_errors(path):
            try:
                store._upload_file(lpath, place.key, condition, headers, _Told(callback))
            except ConditionFailed as error:
                raise exists_already(path) from error
        self._drop_around(path)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Write files as objects, many at a time; see ``AbstractFileSystem.put`` for what goes where.

        Args:
            lpath: A path on this machine, a pattern, or a list of these.
            rpath: An object, a folder, or a list of objects.
            recursive: Write folders with all that is in them. Default False.
            callback: An ``fsspec.callbacks.Callback``, told of the files.
            maxdepth: With ``recursive``, how many levels, at least 1. Default None: all.
            **options: As for :meth:`put_file`.
        """
        plan = Plan(self)
        plan.put(lpath, rpath, recursive=recursive, maxdepth=maxdepth)
        files = [(source, target) for source, target in plan.pairs if not os.path.isdir(source)]

        def begin(source: Any, target: Any, child: Any) -> Future[Any]:
            store, _, _ = self._find_object(target)
            return store._core.later(self.put_file, source, target, callback=child, **options)

        if self._intrans:
            for source, target in files:
                self.put_file(source, target, **options)
            return
        _move(files, begin, callback)

    # ---------------------------------------------------------------- between paths

    def cp_file(self, path1: Any, path2: Any) -> None:
        """Have the store copy an object, with its content type and metadata, within a bucket or to another.

        Raises:
            FileNotFoundError: there is no object ``path1``.
        """
        origin, source, path1 = self._find_object(path1)
        store, target, path2 = self._find_object(path2)
        with os_errors(path1):
            try:
                store._copy_from(origin, source.key, target.key)
            except BucketNotFound as error:
                looked = error.operation in ("HeadObject", "ListObjectsV2")
                raise not_found(path1 if looked else path2) from error
        self._drop_around(path2)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: Literal["raise", "ignore"] | None = None,
    ) -> None:
        """Copy objects, many at a time; see ``AbstractFileSystem.copy`` for what goes where.

        Args:
            path1: A path, a pattern, or a list of these.
            path2: An object, a folder, or a list of objects.
            recursive: Copy folders with all that is in them. Default False.
            maxdepth: With ``recursive``, how many levels, at least 1. Default None: all.
            on_error: ``"raise"`` where an object is missing, or ``"ignore"`` it. Default: ignore it if
                ``recursive``.

        Raises:
            FileNotFoundError: there is nothing to copy.
            ValueError: objects are to take each other's places, in a circle; nothing was copied.
        """
        plan = Plan(self)
        plan.copy(path1, path2, recursive=recursive, maxdepth=maxdepth)
        self._copy(plan.files(), ignore=on_error == "ignore" or (on_error is None and recursive))

    def _copy(self, files: Sequence[tuple[str, str]], *, ignore: bool) -> None:
        """Copy objects, given as (from, to)."""

        def begin(pair: tuple[str, str]) -> Future[None]:
            store, _, _ = self._find_object(pair[1])
            return store._core.later(self.cp_file, *pair)

        def ended(pair: tuple[str, str], future: Future[None]) -> None:
            try:
                future.result()
            except FileNotFoundError:
                if not ignore:
                    raise

        for group in in_turn(files, self._strip):
            run_all(group, begin, ended)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Copy objects, as :meth:`copy` does, and delete those that were copied, when all have been.

        With ``recursive``, the objects that mark folders are moved, too.

        Raises:
            FileNotFoundError: there is nothing to move; nothing was deleted.
            ValueError: objects are to take each other's places, in a circle, or two the same place; nothing
                was moved.
        """
        plan = Plan(self)
        plan.copy(path1, path2, recursive=recursive, maxdepth=maxdepth)
        check_targets(plan.files(), self._strip)
        plan.pairs = [pair for pair in plan.pairs if self._strip(pair[0]) != self._strip(pair[1])]
        files = plan.files()
        if recursive:
            # A bucket has no object that marks it.
            files += [pair for pair in plan.markers() if place_of(self._strip(pair[1])).key]
        self._copy(files, ignore=False)
        keys: dict[str, list[str]] = {}
        # What came from elsewhere stays, in the place of what was moved away.
        new = {self._find_object(target)[2] for _, target in files}
        for source, _ in files:
            _, place, path = self._find_object(source)
            if path not in new:
                keys.setdefault(place.bucket, []).append(place.key)
        for bucket, names in keys.items():
            with os_errors(bucket):
                self._stores[bucket].delete_many(names)
        for source, _ in files:
            self._drop_around(source)

    def sign(self, path: Any, expiration: int = 100, method: str = "GET") -> str:
        """A URL with which anybody may do one thing with one object, for a time.

        Args:
            path: The object; it need not exist.
            expiration: Seconds that it is good for, 1 to 604,800. Default 100.
            method: ``"GET"`` (default), ``"HEAD"``, ``"PUT"`` or ``"DELETE"``.
        """
        store, place, path = self._find_object(path)
        with os_errors(path):
            return store.presign(place.key, method=method, expires=expiration)


def _move(
    files: Sequence[tuple[Any, Any]], begin: Callable[[Any, Any, Any], Future[Any]], callback: Any
) -> None:
    """Transfer files, and tell a callback of each, and its child of the file's bytes."""
    callback.set_size(len(files))
    with ExitStack() as children:

        def begin_one(pair: tuple[Any, Any]) -> Future[Any]:
            child = children.enter_context(callback.branched(*pair))
            return begin(*pair, child)

        def ended(pair: tuple[Any, Any], future: Future[Any]) -> None:
            future.result()
            callback.relative_update(1)

        run_all(files, begin_one, ended)


class _Told(Progress):
    """Tells a callback of the bytes of a transfer."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def step(self, size: int, count: int = 1) -> None:
        self._callback.relative_update(size)


def _is_special(path: Any) -> bool:
    """Whether a path is that of something that is there and is neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
