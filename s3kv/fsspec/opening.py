"""Opening files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from typing import Any

from .contents import Contents
from .layers import Compressed, Text
from .os_errors import is_folder
from .read_file import ReadFile
from .write_file import MODES, WriteFile

_TEXT = ("encoding", "errors", "newline")


class Opening(Contents):
    """The methods that open files."""

    def open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Mapping[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open an object as a file.

        A file that is read stays with the version that there was when it was opened; if the object is
        replaced, further reads raise an ``OSError``. A file that is written becomes an object when it is
        closed; see :class:`s3kv.fsspec.S3KVFileSystem`.

        Args:
            path: The object.
            mode: ``"r"``, ``"w"``, ``"x"`` (only if there is no object) or ``"a"``, with ``"b"`` for bytes
                or ``"t"``, or neither, for text. Default ``"rb"``.
            block_size: Bytes that the cache reads ahead, 5 MiB by default; or the length of parts written,
                at least, and by default, 8 MiB.
            cache_options: Options of the cache. Default None: none.
            compression: A name of one of fsspec's compressions, or ``"infer"`` to go by the path. Default
                None: none.
            **options: For text, ``encoding``, ``errors`` and ``newline``; to read, ``cache_type`` (a name
                of one of fsspec's caches), ``size`` and ``etag`` (if they are known, the store is not asked
                for them); to write, ``content_type`` and ``metadata``, as for ``Store.put``.

        Raises:
            FileNotFoundError: there is no such object.
            FileExistsError: there is one, and the mode is ``"x"``.
        """
        if "r" in mode or ("b" in mode and compression is None):
            return super().open(
                path,
                mode,
                block_size=block_size,
                cache_options=cache_options,
                compression=compression,
                **options,
            )
        text = {name: options.pop(name) for name in _TEXT if name in options} if "b" not in mode else None
        binary = mode.replace("t", "").replace("b", "") + "b"
        raw = super().open(path, binary, block_size=block_size, cache_options=cache_options, **options)
        file: Any = raw
        try:
            if compression is not None:
                from fsspec.compression import compr  # type: ignore[import-untyped]
                from fsspec.core import get_compression  # type: ignore[import-untyped]

                compression = get_compression(self._strip(path), compression)
                if compression is not None:
                    file = Compressed(file, partial(compr[compression], mode=binary[0]))
            if text is not None:
                file = Text(file, **text)
            if file is not raw:
                raw.lie_under(file)
            return file
        except BaseException:
            file.discard()
            raise

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        cache_type: str | None = None,
        default_cache: str | None = None,
        size: int | None = None,
        etag: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        store, place = self._find_store(path)
        if not place.key:
            raise is_folder(path)
        if block_size is None:
            block_size = self._block_size
        if mode in MODES:
            return WriteFile(
                self,
                path,
                store,
                place.key,
                mode,
                block_size=block_size,
                autocommit=autocommit,
                content_type=content_type,
                metadata=metadata,
            )
        if mode != "rb":
            raise io.UnsupportedOperation(
                f"mode is {mode!r}: allowed are 'r', 'w', 'x' and 'a', with 'b' or 't'; no object can be "
                "changed in place"
            )
        if size is None:
            info = self.info(path, refresh=True)
            if info["type"] != "file":
                raise is_folder(path)
        else:
            info = {"size": size, "ETag": etag}
        return ReadFile(
            self,
            path,
            store,
            place.key,
            info,
            block_size=block_size,
            # Dask calls it by the other name where it counts the rows of Parquet files.
            cache_type=cache_type or default_cache or self._cache_type,
            cache_options=cache_options,
        )
