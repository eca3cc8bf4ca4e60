"""A file that is read: one version of an object, with one of fsspec's caches in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]

from ..byterange import ByteRange
from ..etag import quoted
from ..keys import check_key
from ..operations.stat import Missing
from ..reading import PART_BYTES
from ..store import Store
from .os_errors import not_found, os_errors, stale

# Bytes that are looked through for the end of a line, to begin with.
_PIECE = 64 * 1024


class ReadFile(AbstractBufferedFile):  # type: ignore[misc]
    """A binary file of the bytes of an object, all of the version that there was when it was opened.

    Belongs to one thread.

    Mutable state, besides fsspec's: ``_piece``, the bytes that were last looked through for the end of a
    line, and ``_piece_start``, where in the file they begin.

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

    loc: int

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
        self._piece = b""
        self._piece_start = 0
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

    def readuntil(self, char: bytes = b"\n", blocks: int | None = None) -> bytes:
        """The bytes up to and including the next occurrence of some; where there is none, to the end.

        fsspec's own copies a block of some MiB for every line, and fetches most of them twice.

        Args:
            char: What to look for. Default: the end of a line.
            blocks: How many bytes to look through at once. Default None: 64 KiB, and more each time.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        piece, place = self._piece, self.loc - self._piece_start
        if not 0 <= place < len(piece):
            piece, place = b"", 0
        found = piece.find(char, place)
        if found >= 0:
            end = found + len(char)
            self.loc += end - place
            return piece[place:end]
        start, size = self.loc, blocks or _PIECE
        self.loc += len(piece) - place
        line = bytearray(memoryview(piece)[place:])
        while piece := self.read(size):
            self._piece, self._piece_start = piece, self.loc - len(piece)
            # What is looked for may begin in the piece before.
            looked_through = max(0, len(line) - len(char) + 1)
            line += piece
            found = line.find(char, looked_through)
            if found >= 0:
                del line[found + len(char) :]
                break
            size = blocks or min(2 * size, max(size, self.blocksize))
        self.loc = start + len(line)
        return bytes(line)

    def _fetch_range(self, start: int, end: int) -> bytes:
        """The bytes that the cache wants; many of them in parts, side by side.

        Raises:
            OSError: the object was replaced since the file was opened.
        """
        end = min(end, self.size)
        if start >= end:
            return b""
        with os_errors(self.path):
            if end - start < 2 * PART_BYTES:
                return self._read(start, end)
            return self._read_side_by_side(start, end)

    def _read(self, start: int, end: int) -> bytes:
        found = self._store.read(self._key, byte_range=slice(start, end), if_equal=self._etag)
        if found.state == "missing":
            raise not_found(self.path)
        if found.state != "value":
            raise stale(self.path)
        self._etag = self._etag or found.stamp.generation
        return found.value

    def _read_side_by_side(self, start: int, end: int) -> bytes:
        full = check_key(self._store.path, self._key)
        found = self._store._read_object(self._key, full, ByteRange(start, end))
        if isinstance(found, Missing):
            raise found.error
        etag = quoted(found.headers.get("etag", ""))
        if self._etag is not None and etag != self._etag:
            raise stale(self.path)
        self._etag = etag or None
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
