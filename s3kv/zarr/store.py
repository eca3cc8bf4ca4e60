"""The store that zarr reads and writes arrays through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Literal

from zarr.core.buffer import Buffer

from ..errors import ConditionFailed
from ..messages import Body
from ..operations.delete import delete_object
from ..operations.write import put_object
from ..payload import LARGE_VALUE, Source, open_value
from .handle import folder
from .listing import Listing
from .reading import Reading

# Bytes that the event loop's thread hashes itself: it takes less time than to have another do it.
_SMALL = 256 * 1024


class ZarrStore(Reading, Listing):
    """A store of zarr's whose keys are objects below the path of an :class:`s3kv.Store`.

    For zarr-python 3 and both formats of zarr; the ``zarr`` extra. It may be used from any thread, by
    zarr's blocking functions and in any number of event loops, none of which it blocks. It pickles where
    the :class:`s3kv.Store` does; equal stores that arrive in pickles share their connections, which those
    of the last eight keep open.

    A chunk has the fill value only if S3 says that no object has its key. Whatever else goes wrong (no
    permission, no such bucket, a server that fails) is an error.

    Warning:
        zarr writes a chunk that is nothing but fill value by deleting its object, unless
        ``write_empty_chunks`` is set. On Amazon S3, a DELETE is not atomic with respect to a condition: it
        may remove what another client has written since the condition was looked at. Other stores may not
        even replace an object atomically. So where two clients write to the same chunk (or shard) at the
        same time, either may win, an update may be lost, and nobody is told. Give each writer chunks of its
        own.

    Args:
        store: Where the keys are. Its path is a folder: a ``/`` is added where it does not end with one, as
            in ``s3://bucket/a.zarr``. The store stays the caller's: :meth:`close` does not close it, and
            once the caller has closed it, this one is of no use any more.
        read_only: Refuse to write and to delete. Default False.

    Raises:
        TypeError: ``store`` is no :class:`s3kv.Store`.

    Example:
        >>> import zarr
        >>> from s3kv.zarr import ZarrStore
        >>> array = zarr.create_array(ZarrStore(store), shape=(100, 100), chunks=(10, 10), dtype="f4")
        >>> array[:10] = 1
        >>> float(zarr.open_array(ZarrStore(store), mode="r")[9, 0])
        1.0
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True
    # Asked for by zarr 3.0.
    supports_partial_writes: Literal[False] = False

    async def set(self, key: str, value: Buffer) -> None:
        """Write the bytes of a key, whatever was there; they must not change before it is done.

        Raises:
            ValueError: the store is read-only.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        self._check_writable()
        body = _body(value)
        full = self._full(key)
        if len(body) > LARGE_VALUE:
            await self._awaiting.later(self._store.put, key, body)
            return
        sha256 = self._store._core.copies.sha256
        digest = sha256(body) if len(body) <= _SMALL else await asyncio.to_thread(sha256, body)
        await self._awaiting.run(
            put_object,
            key,
            full,
            body,
            digest,
            (),
            express=self._store._core.puts,
            asked=(full, body, digest, 0),
        )

    def set_sync(self, key: str, value: Buffer) -> None:
        """As :meth:`set`, by a call that blocks."""
        self._check_writable()
        self._store.put(key, _body(value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write the bytes of a key unless it has some; the store decides, atomically where it can.

        Raises:
            OutcomeUnknown: an answer was lost, and whether the value was written cannot be known.
        """
        self._check_writable()
        await self._awaiting.later(self._put_new, key, _body(value))

    async def delete(self, key: str) -> None:
        """Delete a key; one that does not exist is no error."""
        self._check_writable()
        await self._awaiting.run(delete_object, key, self._full(key))

    def delete_sync(self, key: str) -> None:
        """As :meth:`delete`, by a call that blocks."""
        self._check_writable()
        self._store.delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete every key below a folder, up to 1,000 in one request.

        Raises:
            BatchError: some keys failed; ``errors`` has why.
        """
        self._check_writable()
        await self._awaiting.later(self._store.delete_prefix, folder(prefix))

    async def set_partial_values(self, key_start_values: Iterable[tuple[str, int, Any]]) -> None:
        """Not supported: S3 replaces whole objects. zarr 3.0 asks for the method and does not call it."""
        raise NotImplementedError("S3 replaces whole objects, and no parts of one")

    def _put_new(self, key: str, body: Body) -> None:
        with contextlib.suppress(ConditionFailed):
            self._store.put(key, body, if_absent=True)


def _body(value: Buffer) -> Body:
    """A value's bytes, where they lie in memory."""
    if not isinstance(value, Buffer):
        raise TypeError(f"a value is a Buffer of zarr's, not {type(value).__name__}")
    body = open_value(value.as_numpy_array())
    assert not isinstance(body, Source)
    return body
