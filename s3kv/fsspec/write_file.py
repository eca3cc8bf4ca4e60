"""A file that is written: an object that appears when it is closed, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConditionFailed
from ..keys import check_key
from ..operations.conditions import NO_VALUE
from ..operations.write import object_headers
from ..payload import PART_BYTES, growing_size
from ..signals import start
from ..store import Store
from ..values import ObjectInfo, StorageGeneration
from .os_errors import exists_already, os_errors, stale
from .upload import Upload

MODES = ("wb", "xb", "ab")


class WriteFile(io.BufferedIOBase):
    """A binary file whose bytes become an object when it is closed.

    Less than 8 MiB are kept until then; more is sent in parts as it is written, ten at a time. These and
    the one that is being filled are in memory. Nothing becomes visible, and the store forgets the parts,
    when a ``with`` block ends with an exception, when a part cannot be sent, or when the file is forgotten
    without being closed. Belongs to one thread.

    Mutable state: ``_buffer``, the bytes of the part that is being filled, and ``_full``, how many it has;
    ``_upload``, the parts before it, None as long as there are none; ``_settled``, whether the object was
    written or given up; ``_layer``, tells what lies over it, None if nothing does or nobody has it any
    more.

    Args:
        fs: The file system, told when the object has been written.
        path: The path.
        store: The store of its bucket.
        key: The key in it.
        mode: ``"wb"``, ``"xb"`` (only if there is no object) or ``"ab"`` (what is written comes after what
            there is, unless somebody else changes that meanwhile).
        block_size: Parts are this long, in bytes, and never shorter than 8 MiB. Default None: 8 MiB.
        autocommit: Write the object when the file is closed. Default True; else, when ``commit`` is called.
        content_type: As for ``Store.put``.
        metadata: As for ``Store.put``.

    Raises:
        FileExistsError: the mode is ``"xb"``, and there is an object.
    """

    def __init__(
        self,
        fs: Any,
        path: str,
        store: Store,
        key: str,
        mode: str,
        *,
        block_size: int | None = None,
        autocommit: bool = True,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        # What is given up before it is complete has nothing to settle.
        self._settled = True
        super().__init__()
        self.fs = fs
        self.path = path
        self.mode = mode
        self.blocksize = max(PART_BYTES, block_size or 0)
        self.autocommit = autocommit
        self._store = store
        self._key = key
        self._owner = os.getpid()
        self._buffer = bytearray()
        self._upload: Upload | None = None
        self._size = 0
        self._condition: StorageGeneration | None = None
        self._layer: Callable[[], Any] = _nothing
        with os_errors(path):
            check_key(store.path, key)
            found = None if mode == "wb" else _look(store, key)
            if mode == "xb" and found is not None:
                raise exists_already(path)
            if mode != "wb":
                self._condition = NO_VALUE if found is None else StorageGeneration(found.etag)
            if found is not None:
                content_type = content_type or found.content_type
                metadata = found.metadata if metadata is None else metadata
            self._stored_with: dict[str, Any] = {"content_type": content_type, "metadata": metadata}
            self._headers = object_headers(content_type, metadata)
            if found is not None:
                self._begin_with(found)
        self._full = self._part_size()
        self._settled = False

    def _begin_with(self, found: ObjectInfo) -> None:
        """Take over what there is."""
        self._size = found.size
        if found.size < PART_BYTES:
            read = self._store.read(self._key, if_equal=found.etag)
            if read.state != "value":
                raise stale(self.path)
            self._buffer += read.value
            return
        upload = Upload(self._store, self._key, self._headers)
        try:
            upload.copy(check_key(self._store.path, self._key), found.etag, found.size)
        except BaseException as error:
            upload.abort(wait=isinstance(error, Exception))
            raise
        self._upload = upload

    # ---------------------------------------------------------------- file

    def writable(self) -> bool:
        """Whether the file is open."""
        return not self.closed

    def tell(self) -> int:
        """How many bytes there are so far."""
        self._check_open()
        return self._size

    @property
    def loc(self) -> int:
        """How many bytes there are so far; fsspec's name for it."""
        return self._size

    def write(self, data: Any) -> int:
        """Write bytes, and wait if more than ten parts would be under way.

        Raises:
            OSError: a part could not be sent; the file is given up and closed.
        """
        self._check_open()
        buffer = self._buffer
        if type(data) is bytes and len(buffer) + len(data) < self._full:
            # Nearly all of them, where a file is written in little pieces.
            buffer += data
            self._size += len(data)
            return len(data)
        with memoryview(data) as given, given.cast("B") if given.nbytes else memoryview(b"") as view:
            size = len(view)
            place = 0
            while place < size:
                room = self._full - len(self._buffer)
                self._buffer += view[place : place + room]
                place += room
                if len(self._buffer) == self._full:
                    self._guarded(self._send)
            self._size += size
        return size

    def flush(self, force: bool = False) -> None:
        """Nothing, ``force`` or not: an object has no part of its bytes before it has all of them."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def close(self) -> None:
        """Write the object, unless that is left to ``commit``. Closing again does nothing.

        Raises:
            FileExistsError: the mode is ``"xb"``, and somebody else has written an object meanwhile.
            OSError: the object could not be written; nothing of it is there.
        """
        if self.closed:
            return
        try:
            if not self._settled and self.autocommit:
                self._check_owner()
                self._guarded(self._publish)
        finally:
            super().close()

    def lie_under(self, layer: Any) -> None:
        """Have something that writes to this file closed, or discarded, with it by a transaction."""
        # Not held, so that it is noticed at once when nobody has it any more.
        self._layer = weakref.ref(layer)

    def commit(self) -> None:
        """Write the object of a file that was opened with ``autocommit=False``; closes the file."""
        layer = self._layer()
        if layer is not None:
            layer.close()
        self.close()
        if not self._settled:
            self._check_owner()
            self._guarded(self._publish)

    def discard(self) -> None:
        """Forget all that was written, and close the file; after the object was written, do nothing."""
        # It discards this file in turn.
        layer, self._layer = self._layer(), _nothing
        if layer is not None:
            layer.discard()
        self._give_up(wait=True)
        super().close()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
            return
        self._give_up(wait=issubclass(kind, Exception))
        super().close()

    def forget(self) -> None:
        """Give up, as when nobody has the file any more: without waiting, and with a warning."""
        if self._settled:
            return
        self._settled = True
        shown = repr(self)
        super().close()
        if self._owner != os.getpid():
            # The other process may still write to it.
            return
        if self._upload is not None and not self._upload.over:
            # The collector may have come while a lock is held that this needs, so another thread does it.
            with contextlib.suppress(RuntimeError):
                start(threading.Thread(target=self._upload.abort, name="s3kv-forget"))
        warnings.warn(f"{shown} was never closed: nothing was written", ResourceWarning, stacklevel=2)

    def __del__(self) -> None:
        self.forget()

    def __reduce__(self) -> Any:
        raise TypeError("a file that is being written cannot be pickled")

    def __repr__(self) -> str:
        return f"<s3kv.fsspec file {self.path!r}, mode {self.mode!r}{', closed' if self.closed else ''}>"

    # ---------------------------------------------------------------- object

    def _part_size(self) -> int:
        number = 1 if self._upload is None else self._upload.next_number
        return max(self.blocksize, growing_size(number))

    def _send(self) -> None:
        if self._upload is None:
            self._upload = Upload(self._store, self._key, self._headers)
        part, self._buffer = self._buffer, bytearray()
        self._upload.send(memoryview(part))
        self._full = self._part_size()

    def _publish(self) -> None:
        try:
            if self._upload is None:
                self._store.put(self._key, self._buffer, if_equal=self._condition, **self._stored_with)
            else:
                if self._buffer:
                    self._send()
                self._upload.complete(self._condition)
        except ConditionFailed as error:
            raise (exists_already if self.mode == "xb" else stale)(self.path) from error
        self._settled = True
        self._buffer = bytearray()
        self.fs._drop_around(self.path)

    def _guarded(self, step: Any) -> None:
        """Carry out a step; if it fails, the file is given up."""
        try:
            with os_errors(self.path):
                step()
        except BaseException as error:
            self._give_up(wait=isinstance(error, Exception))
            super().close()
            raise

    def _give_up(self, *, wait: bool) -> None:
        if self._settled:
            return
        self._settled = True
        self._buffer = bytearray()
        if self._upload is not None:
            self._upload.abort(wait=wait)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        self._check_owner()

    def _check_owner(self) -> None:
        if self._owner != os.getpid():
            raise ValueError("the file was opened by another process, and only that can write to it")


def _nothing() -> None:
    """There is no layer."""


def _look(store: Store, key: str) -> ObjectInfo | None:
    """The facts about an object, None if there is none."""
    try:
        return store.stat(key)
    except KeyError:
        return None
