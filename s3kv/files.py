"""What a store does with files: upload, download, and URLs that others may use."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat as stat_module
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from .buffers import Room
from .byterange import WHOLE
from .checksums import Running
from .errors import Changed, DataLoss
from .etag import quoted
from .keys import check_key, key_text, plain
from .messages import Pairs
from .operations.conditions import NO_VALUE, check_condition
from .operations.presign import presign_url
from .operations.read import Found, get_object
from .operations.stat import Missing
from .operations.write import object_headers
from .payload import Source
from .progress import Progress, show_progress
from .reading import MOST_CHANGES, PART_BYTES, Reading, Replaced, Unsplittable
from .single import demanded
from .values import StorageGeneration, TimestampedStorageGeneration
from .writing import Writing

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
_LONGEST_EXPIRY = 7 * 24 * 3600
_METHODS = ("GET", "HEAD", "PUT", "DELETE")
# What a path may end with that is only ever a folder's.
_NO_FILES = ("", os.curdir, os.pardir)


class Sink(Protocol):
    """Where an object's bytes go."""

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Take the bytes from an offset on; those before it have come already."""

    def empty(self) -> None:
        """Begin anew: it is another version by now."""


class Files(Writing, Reading):
    """The methods of a store that are about files and URLs."""

    __slots__ = ()

    def upload(
        self,
        path: str | bytes | os.PathLike[str],
        key: str | bytes,
        *,
        if_equal: str | None = None,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> TimestampedStorageGeneration:
        """Write a file's bytes as an object; a large file in parts, ten at a time.

        Args:
            path: The file; it must not change meanwhile.
            key: The key.
            if_equal: As for :meth:`Store.put`.
            if_absent: As for :meth:`Store.put`.
            content_type: The media type to store; default: guessed by the file's name.
            metadata: As for :meth:`Store.put`.
            progress: Show a progress bar (the ``progress`` extra), on a terminal or in a notebook. Default
                False.

        Returns:
            The new object's generation, and the time before the request was sent.

        Raises:
            OSError: the file cannot be read.
            Changed: the file changed while it was read; nothing was written.
            ConditionFailed, OutcomeUnknown, ValueError, …: as for :meth:`Store.put`.

        Example:
            >>> from pathlib import Path
            >>> size = Path("results.csv").write_text("1,2,3")
            >>> stamp = store.upload("results.csv", "2026/results.csv")
            >>> store.stat("2026/results.csv").content_type
            'text/csv'
        """
        condition = check_condition("if_equal", if_equal)
        if if_absent:
            if condition is not None:
                raise ValueError("upload takes if_equal or if_absent, not both")
            condition = NO_VALUE
        headers = object_headers(content_type or guess_type(path), metadata)
        with show_progress(progress, "upload", None) as bar:
            return self._upload_file(path, key, condition, headers, bar)

    def _upload_file(
        self,
        path: str | bytes | os.PathLike[str],
        key: str | bytes,
        condition: StorageGeneration | None,
        headers: Pairs,
        bar: Progress,
    ) -> TimestampedStorageGeneration:
        """As :meth:`upload`; ``bar`` is told of each part."""
        name = key_text(key)
        check_key(self._path, name)
        with open(path, "rb") as file:
            before = _identity(file.fileno())
            bar.expect(before[0])

            def check() -> None:
                if _identity(file.fileno()) != before:
                    raise Changed(
                        f"the file {os.fspath(path)!r} changed while it was read",
                        operation="PutObject",
                        key=name,
                    )

            source = Source(file, partial(bar.step, count=0), check)
            stamp = demanded(self._put_opened(name, source, condition, headers))
            bar.step(0)
            return stamp

    def download(
        self, key: str | bytes, path: str | bytes | os.PathLike[str], *, progress: bool = False
    ) -> TimestampedStorageGeneration:
        """Write an object's bytes to a file, which appears whole or not at all.

        The bytes are written under another name in the same folder, a large object in parts, ten at a time;
        that file then takes the place of what may be at ``path``. Its length and, where the store tells
        one of the whole object, its checksum are verified before.

        Args:
            key: The key.
            path: The file; its folder must exist.
            progress: As for :meth:`upload`.

        Returns:
            The object's generation, and the time before the request was sent.

        Raises:
            KeyNotFound: no object has the key.
            OSError: the file cannot be written.
            ValueError: there is something at ``path`` that is no file.
            DataLoss: the checksum does not match.
            Changed: the object was replaced again and again while it was read.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("2026/results.csv", b"1,2,3")
            >>> stamp = store.download("2026/results.csv", "copy.csv")
            >>> from pathlib import Path
            >>> Path("copy.csv").read_text()
            '1,2,3'
        """
        with show_progress(progress, "download", None) as bar:
            return self._download_file(key, path, bar)

    def _download_file(
        self, key: str | bytes, path: str | bytes | os.PathLike[str], bar: Progress
    ) -> TimestampedStorageGeneration:
        """As :meth:`download`; ``bar`` is told of each part."""
        name = key_text(key)
        full = check_key(self._path, name)
        final = os.fsdecode(path)
        try:
            # As it was given: a Path would forget a slash at its end.
            if not stat_module.S_ISREG(os.stat(final).st_mode):
                raise ValueError(f"{os.fspath(path)!r} is there and no file: allowed is a file, or nothing")
        except FileNotFoundError:
            if os.path.basename(final) in _NO_FILES:
                raise
        self._check_open(name)
        with _Arriving(Path(final)) as arriving:
            generation, time = self._download(name, full, arriving, bar)
            arriving.keep()
        return TimestampedStorageGeneration(StorageGeneration(generation), time)

    def _download(self, name: str, full: str, arriving: Sink, bar: Progress) -> tuple[str, float]:
        core = self._core
        started = core.clock.monotonic()
        # Not a bytearray, all of which would be touched: most files are small.
        room = Room(memoryview(mmap.mmap(-1, 2 * PART_BYTES)))
        cause: BaseException | None = None
        for _ in range(MOST_CHANGES):
            time = core.clock.time()
            found: Any = self._run(get_object, name, full, WHOLE, (), room, 0, True, since=started)
            if isinstance(found, Missing):
                raise found.error
            if found.rest:
                try:
                    self._download_parts(name, full, found, arriving, started, bar)
                except Replaced as replaced:
                    cause = replaced.__cause__
                    arriving.empty()
                    continue
                except Unsplittable:
                    arriving.empty()
                    found = self._run(get_object, name, full, WHOLE, since=started)
            if isinstance(found, Missing):
                raise found.error
            if not found.rest:
                arriving.write(found.value, 0)
                bar.expect(len(found.value))
                bar.step(len(found.value))
            return quoted(found.headers.get("etag", "")), time
        raise self._changed(name, started) from cause

    def _download_parts(
        self, name: str, full: str, found: Found, arriving: Sink, started: float, bar: Progress
    ) -> None:
        """Write every part of an object to a file.

        Raises:
            Replaced: it is another version by now.
            Unsplittable: the store does not send parts of it.
            DataLoss: the whole does not match its checksum.
        """
        bar.expect(found.rest)
        running = Running(found.headers)
        parts = self._parts(
            name,
            full,
            found.headers,
            0,
            found.rest,
            lambda first, end: Room(memoryview(bytearray(end - first)), ranged=True),
            started,
            [],
            in_order=True,
        )
        with contextlib.closing(parts):
            for place, part in parts:
                running.update(part)
                arriving.write(part, place)
                bar.step(len(part), 0)
                # Not to be held while the next is begun.
                del part
        try:
            running.check()
        except DataLoss as error:
            error.operation, error.key = "GetObject", name
            raise

    def presign(self, key: str | bytes, *, method: str = "GET", expires: int = 3600) -> str:
        """A URL with which anybody may do one thing with one object, for a time.

        It is good for as long as the credentials are that it was signed with, at most. Where requests are
        not signed, it is the object's plain URL.

        Args:
            key: The key.
            method: ``"GET"`` (default), ``"HEAD"``, ``"PUT"`` or ``"DELETE"``.
            expires: Seconds that it is good for, 1 to 604,800; default 3,600.

        Returns:
            The URL (str).

        Raises:
            TypeError: ``expires`` is no whole number.
            ValueError: another method, or another number of seconds.
            CredentialsError: there are no credentials.

        Example:
            >>> store.presign("report.pdf", expires=600)
            'http...report.pdf...'
        """
        if method not in _METHODS:
            raise ValueError(f"method is {method!r}: allowed are {', '.join(_METHODS)}")
        if isinstance(expires, bool) or not isinstance(expires, int):
            raise TypeError(f"expires is a number of seconds, not {type(expires).__name__}")
        if not 0 < expires <= _LONGEST_EXPIRY:
            raise ValueError(f"expires is {expires}: allowed are 1 to {_LONGEST_EXPIRY:,} seconds")
        name = key_text(key)
        url: str = self._run(presign_url, name, check_key(self._path, name), plain(method), expires)
        return url


class _Arriving:
    """A file that is not there yet: under another name until it is whole."""

    def __init__(self, path: Path) -> None:
        self._final = path
        self._path = path.with_name(f".s3kv-{os.urandom(8).hex()}.part")
        self._kept = False

    def __enter__(self) -> _Arriving:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._file = os.open(self._path, flags, 0o666)
        except OSError as error:
            # The name that it has meanwhile says nothing to anybody.
            error.filename = str(self._final)
            raise
        return self

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write bytes where they belong."""
        view = memoryview(data)
        while view:
            if hasattr(os, "pwrite"):
                count = os.pwrite(self._file, view, offset)
            else:
                os.lseek(self._file, offset, os.SEEK_SET)
                count = os.write(self._file, view)
            view, offset = view[count:], offset + count

    def empty(self) -> None:
        """Begin anew."""
        os.ftruncate(self._file, 0)

    def keep(self) -> None:
        """It is whole: let it appear."""
        self._kept = True

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        os.close(self._file)
        try:
            if self._kept and error is None:
                os.replace(self._path, self._final)
                return
        except BaseException:
            self._remove()
            raise
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def _identity(descriptor: int) -> tuple[int, int]:
    """What changes when a file is written to."""
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns


def guess_type(path: str | bytes | os.PathLike[str]) -> str | None:
    """The content type that a file's name tells, or None."""
    import mimetypes

    guessed, encoding = mimetypes.guess_type(os.fsdecode(path))
    # Of a compressed file, the type is that of what is in it.
    return guessed if encoding is None else None
