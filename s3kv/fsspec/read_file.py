"""A file that is read: one version of an object, with one of fsspec's caches in between."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]

from ..reading import PART_BYTES
from ..store import Store
from ..values import ReadResult
from .os_errors import not_found, os_errors, stale
from .parallel import run_all


class ReadFile(AbstractBufferedFile):  # type: ignore[misc]
    """A binary file of the bytes of an object, all of the version that there was when it was opened.

    Belongs to one thread.

    Args:
        fs: The file system.
        path: The path.
        store: The store of its bucket.
        key: The key in it.
        info: What is known of the object, as from ``S3KVFileSystem.info``.
        block_size: What the cache reads ahead, or the length of its blocks, in bytes. Default None: 5 MiB.
        cache_type: A name of one of fsspec's caches.
        cache_options: Options of that cache.
    """

    def __init__(
        self,
        fs: Any,
        path: str,
        store: Store,
        key: str,
        info: Mapping[str, Any],
        *,
        block_size: int | None,
        cache_type: str,
        cache_options: Mapping[str, Any] | None,
    ) -> None:
        self._store = store
        self._key = key
        # Without a look at the object, the first bytes read tell the version.
        self._etag: str | None = info.get("ETag") or None
        self._cache_type = cache_type
        self._cache_options = dict(cache_options or {})
        if "LastModified" in info:
            self._details = dict(info)
        super().__init__(
            fs,
            path,
            "rb",
            block_size=block_size,
            cache_type=cache_type,
            cache_options=dict(self._cache_options),
            size=info["size"],
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        """The bytes that the cache wants; many of them in parts, side by side.

        Raises:
            OSError: the object was replaced since the file was opened.
        """
        end = min(end, self.size)
        if start >= end:
            return b""
        with os_errors(self.path):
            if self._etag is None or end - start < 2 * PART_BYTES:
                return self._checked(self._read(start, end))
            parts: dict[int, bytes] = {}

            def begin(first: int) -> Future[ReadResult]:
                wanted = slice(first, min(first + PART_BYTES, end))
                return self._store.futures.read(self._key, byte_range=wanted, if_equal=self._etag)

            def ended(first: int, future: Future[ReadResult]) -> None:
                parts[first] = self._checked(future.result())

            run_all(range(start, end, PART_BYTES), begin, ended)
            return b"".join(parts[first] for first in sorted(parts))

    def _read(self, start: int, end: int) -> ReadResult:
        return self._store.read(self._key, byte_range=slice(start, end), if_equal=self._etag)

    def _checked(self, found: ReadResult) -> bytes:
        """The bytes of an answer about the right version."""
        if found.state == "missing":
            raise not_found(self.path)
        if found.state != "value":
            raise stale(self.path)
        self._etag = self._etag or found.stamp.generation
        return found.value

    def __reduce__(self) -> Any:
        return _reopen, (
            self.fs,
            self.path,
            self.blocksize,
            self._cache_type,
            self._cache_options,
            self.size,
            self._etag,
            self.loc,
        )


def _reopen(
    fs: Any,
    path: str,
    block_size: int,
    cache_type: str,
    cache_options: dict[str, Any],
    size: int,
    etag: str | None,
    place: int,
) -> Any:
    file = fs.open(
        path,
        block_size=block_size,
        cache_type=cache_type,
        cache_options=cache_options,
        size=size,
        etag=etag,
    )
    file.seek(place)
    return file
