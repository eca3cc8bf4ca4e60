"""What a store does with whole folders: uploads one, or downloads what there is under a prefix."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Any, NamedTuple

from .errors import InvalidKey, S3KVError
from .files import Files, guess_type
from .handle import check_text
from .keyrange import KeyRange
from .keys import check_key
from .local_files import PIECE, LocalFile, check_free, check_name, is_same, make_folders, walk
from .many import Batches, failed
from .operations.listing import entries_of
from .operations.multipart import MAX_PARTS
from .operations.write import object_headers
from .parts import IN_FLIGHT
from .payload import LARGE_VALUE
from .payload import PART_BYTES as UPLOADED_AT_ONCE
from .progress import Progress, show_progress
from .reading import PART_BYTES as DOWNLOADED_AT_ONCE
from .scope import Crew
from .values import ListEntry, TimestampedStorageGeneration

# Of a large file, ten parts are in flight and one more is made ready.
_PARTS_UPLOADED = IN_FLIGHT + 1

# Gives the turn to hash a piece of a file.
_Turn = Callable[[], AbstractContextManager[None]]
# What came of one key: its generation, if it is another by now; whether it was left alone.
_Outcome = tuple[TimestampedStorageGeneration | None, bool]


class TransferReport(NamedTuple):
    """What became of a folder or a prefix that was transferred.

    Attributes:
        transferred: The keys that were transferred; in a dry run, that would be (tuple of str, sorted).
        skipped: Those of which both sides have the same bytes already (tuple of str, sorted).
        deleted: Those that were deleted, or would be (tuple of str, sorted).
        bytes: The sizes of those transferred (int).
        dry_run: Nothing was changed (bool).

    Example:
        >>> store.update({"2026/a": b"1", "2026/b": b"2"})
        >>> report = store.download_prefix("2026/", "results", dry_run=True)
        >>> report.transferred, report.bytes, report.dry_run
        (('2026/a', '2026/b'), 2, True)
    """

    transferred: tuple[str, ...]
    skipped: tuple[str, ...]
    deleted: tuple[str, ...]
    bytes: int
    dry_run: bool

    def _counts(self) -> list[tuple[str, str]]:
        would = "would be " if self.dry_run else ""
        rows = [
            (f"{would}transferred", f"{len(self.transferred):,}"),
            ("bytes", f"{self.bytes:,}"),
            ("unchanged", f"{len(self.skipped):,}"),
        ]
        return rows + ([(f"{would}deleted", f"{len(self.deleted):,}")] if self.deleted else [])

    def __repr__(self) -> str:
        return f"<{', '.join(f'{count} {what}' for what, count in self._counts())}>"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .tables import table

        return table(("", "count"), self._counts())


class _Upload(NamedTuple):
    """A file that may have to be uploaded."""

    key: str
    size: int
    path: str
    there: ListEntry | None


class _Download(NamedTuple):
    """An object that may have to be downloaded.

    Attributes:
        name: Where in the folder.
    """

    key: str
    size: int
    etag: str
    name: str


class Trees(Files, Batches):
    """The methods of a store that transfer whole folders."""

    __slots__ = ()

    def upload_prefix(
        self,
        folder: str | os.PathLike[str],
        prefix: str = "",
        *,
        changed_only: bool = True,
        delete: bool = False,
        dry_run: bool = False,
        progress: bool = False,
    ) -> TransferReport:
        """Upload every file in a folder and its sub-folders, many at once; large ones in parts.

        A file's key is the prefix and its path in the folder, with ``/`` between folders on every system.
        Its content type is guessed from its name. Symbolic links are followed, except back to a folder that
        they are in. Empty folders are left out, for a store has no folders.

        Args:
            folder: The folder.
            prefix: What all keys begin with: a folder, so that a ``/`` is added where there is none at its
                end. Default: the store's path.
            changed_only: Leave alone what the store has already: an object of the same key and size whose
                ETag is the MD5 of the file, or, if it was uploaded in parts, what follows from their MD5s.
                Where the ETag does not tell, the file is uploaded. Default True; with False nothing is
                listed for that.
            delete: When all files have been uploaded without an error, delete the objects under the prefix
                that are no files of the folder. Default False.
            dry_run: Change nothing, only find out what would be done. Default False.
            progress: As for :meth:`upload`.

        Returns:
            A :class:`~s3kv.trees.TransferReport`.

        Raises:
            BatchError: some files failed; the others were uploaded, and nothing was deleted. ``errors`` has
                why, by key; ``results`` the generations of what was uploaded (None in a dry run). Or, after
                all uploads, some deletions failed: ``errors`` has why.
            OSError: the folder cannot be read.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: the listing failed; see
                :mod:`s3kv.errors`.

        Example:
            >>> from pathlib import Path
            >>> Path("results").mkdir()
            >>> size = Path("results/a.csv").write_text("1,2,3")
            >>> store.upload_prefix("results", "2026/")
            <1 transferred, 5 bytes, 0 unchanged>
            >>> store.list()
            ['2026/a.csv']
        """
        prefix = self._folder(prefix)
        self._check_open()
        errors: dict[str, Exception] = {}
        files: dict[str, LocalFile] = {}
        where = os.fsdecode(folder)
        for file in walk(where):
            try:
                if file.error is not None:
                    raise file.error
                check_key(self._path, prefix + file.name)
            except (InvalidKey, OSError, S3KVError) as error:
                errors[_shown(prefix + file.name)] = error
                continue
            files[prefix + file.name] = file
        there: dict[str, ListEntry] = {}
        superfluous: list[str] = []
        if (changed_only and files) or delete:
            within = None if delete else KeyRange(min(files), f"{max(files)}\0")
            self._core.recorder.count("list")
            for page in self._pages_fast(self._wanted(prefix, within)):
                for entry in entries_of(page):
                    if entry.key in files:
                        there[entry.key] = entry
                    elif delete and not _is_folder_of(where, entry.key[len(prefix) :]):
                        superfluous.append(entry.key)
        jobs = [
            _Upload(key, file.size, file.path, there.get(key) if changed_only else None)
            for key, file in files.items()
        ]
        with show_progress(progress, "upload", jobs) as bar:
            report = self._transfer("upload", jobs, _send, _upload_weight, errors, dry_run, bar)
        # A folder that lacks some of its files lacks the keys that these would have kept.
        if superfluous and not dry_run:
            self.delete_many(superfluous)
        return report._replace(deleted=tuple(sorted(superfluous)))

    def download_prefix(
        self,
        prefix: str,
        folder: str | os.PathLike[str],
        *,
        changed_only: bool = True,
        dry_run: bool = False,
        progress: bool = False,
    ) -> TransferReport:
        """Download every object under a prefix into a folder, many at once; large ones in parts.

        What follows the prefix in a key is the file's path in the folder, whose sub-folders are made; a key
        that ends with ``/`` is a folder. Each file appears whole or not at all. Nothing is written outside
        the folder: a key with ``..``, an empty name or a backslash in it is an error of that key, and so is
        one that leads through a symbolic link. Of two keys that cannot both be files, such as ``a`` and
        ``a/b``, the first in order is one.

        Args:
            prefix: A folder, so that a ``/`` is added where there is none at its end; ``""`` for all.
            folder: Where to; it is made where there is none.
            changed_only: Leave alone the files that are the same already; see :meth:`upload_prefix`.
                Default True.
            dry_run: Change nothing, only find out what would be done. Default False.
            progress: As for :meth:`upload`.

        Returns:
            A :class:`~s3kv.trees.TransferReport`.

        Raises:
            BatchError: some keys failed; the others were downloaded. ``errors`` has why, by key;
                ``results`` the generations of what was downloaded (None in a dry run).
            OSError: the folder cannot be made.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: the listing failed; see
                :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("2026/a.csv", b"1,2,3")
            >>> store.download_prefix("2026/", "results")
            <1 transferred, 5 bytes, 0 unchanged>
            >>> store.download_prefix("2026/", "results")
            <0 transferred, 0 bytes, 1 unchanged>
        """
        prefix = self._folder(prefix)
        self._check_open()
        errors: dict[str, Exception] = {}
        where = os.fsdecode(folder)
        if not dry_run:
            os.makedirs(where, exist_ok=True)
        jobs = _downloads(self.scan(prefix), prefix, errors)
        receive = partial(_receive, where, changed_only)
        with show_progress(progress, "download", None) as bar:
            return self._transfer("download", jobs, receive, _download_weight, errors, dry_run, bar)

    def _folder(self, prefix: str) -> str:
        """A prefix as a folder, be it the store's path itself."""
        prefix = check_text(prefix)
        full = self._path + prefix
        return f"{prefix}/" if full and not full.endswith("/") else prefix

    def _transfer(
        self,
        what: str,
        jobs: Iterable[Any],
        move: Callable[[Files, Any, bool, Progress, _Turn], _Outcome],
        weigh: Callable[[Any], int],
        errors: dict[str, Exception],
        dry_run: bool,
        bar: Progress,
    ) -> TransferReport:
        """Transfer everything that has to be; what fails is added to ``errors``."""
        crew = Crew(self)
        shared = _Shared(bar, crew.check)
        copies = self._core.copies

        def turn() -> AbstractContextManager[None]:
            crew.check()
            return copies.slot(PIECE)

        def work(job: Any) -> _Outcome:
            return move(crew.store, job, dry_run, shared, turn)

        results: dict[str, TimestampedStorageGeneration | None] = {}
        skipped: list[str] = []
        size = 0
        with closing(crew.each(jobs, work, weigh)) as ended:
            for job, future in ended:
                error = future.exception()
                if error is None:
                    stamp, same = future.result()
                    if same:
                        skipped.append(job.key)
                    else:
                        results[job.key] = stamp
                        size += job.size
                elif isinstance(error, Exception):
                    errors[job.key] = error
                else:
                    raise error
                shared.ended()
        if errors:
            raise failed(what, errors, results)
        return TransferReport(tuple(sorted(results)), tuple(sorted(skipped)), (), size, dry_run)


class _Shared(Progress):
    """A bar that many threads tell of bytes, and one of files. The lock guards the bar."""

    def __init__(self, bar: Progress, check: Callable[[], None]) -> None:
        self._bar = bar
        self._check = check
        self._lock = threading.Lock()

    def step(self, size: int, count: int = 1) -> None:
        self._check()
        with self._lock:
            self._bar.step(size, 0)

    def ended(self) -> None:
        """Say that one file is done, be it by leaving it alone."""
        with self._lock:
            self._bar.step(0)


def _send(store: Files, job: _Upload, dry_run: bool, bar: Progress, turn: _Turn) -> _Outcome:
    there = job.there
    if there is not None and there.size == job.size and is_same(job.path, job.size, there.etag, turn):
        return None, True
    if dry_run:
        return None, False
    headers = object_headers(guess_type(job.path), None)
    return store._upload_file(job.path, job.key, None, headers, bar), False


def _receive(
    folder: str, changed_only: bool, store: Files, job: _Download, dry_run: bool, bar: Progress, turn: _Turn
) -> _Outcome:
    bare = job.name.removesuffix("/")
    if bare != job.name:
        return None, not make_folders(folder, bare.split("/"), create=not dry_run)
    *above, last = bare.split("/")
    make_folders(folder, above, create=not dry_run)
    path = os.path.join(folder, *above, last)
    if changed_only and is_same(path, job.size, job.etag, turn):
        return None, True
    check_free(path)
    if dry_run:
        return None, False
    return store._download_file(job.key, path, bar), False


def _downloads(
    entries: Iterable[ListEntry], prefix: str, errors: dict[str, Exception]
) -> Iterator[_Download]:
    """What is to be downloaded; keys that cannot be files go into ``errors``."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = entry.key[len(prefix) :]
        bare = name.removesuffix("/")
        is_folder = not name or bare != name
        if not name and not entry.size:
            # The folder itself.
            continue
        try:
            if is_folder and entry.size:
                raise S3KVError("the key ends with '/' as a folder does, and the object is not empty")
            check_name(bare)
            above = ["/".join(bare.split("/")[:count]) for count in range(1, bare.count("/") + 1)]
            if is_folder:
                above.append(bare)
            for folder in above:
                if folder in files:
                    raise S3KVError(f"{prefix + folder!r} is a key too: it cannot be a file and a folder")
            if not is_folder and bare in folders:
                raise S3KVError(
                    "other keys go on with '/' after this one: it cannot be a file and a folder"
                )
        except S3KVError as error:
            error.key = entry.key
            errors[entry.key] = error
            continue
        folders.update(above)
        if not is_folder:
            files.add(bare)
        yield _Download(entry.key, entry.size, entry.etag, name)


def _upload_weight(job: _Upload) -> int:
    """Bytes in memory."""
    if job.size <= LARGE_VALUE:
        return job.size
    return _PARTS_UPLOADED * max(UPLOADED_AT_ONCE, job.size // MAX_PARTS)


def _download_weight(job: _Download) -> int:
    """Bytes in memory."""
    return job.size if job.size <= 2 * DOWNLOADED_AT_ONCE else IN_FLIGHT * DOWNLOADED_AT_ONCE


def _is_folder_of(folder: str, name: str) -> bool:
    """Whether a key stands for a folder that there is in this one."""
    return (not name or name.endswith("/")) and os.path.isdir(os.path.join(folder, *name.split("/")))


def _shown(name: str) -> str:
    """A file's name as errors are filed under it, be it no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
