"""What a store of zarr's reads: values, ranges of them, and what there is of one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from ..byterange import ByteRange
from ..errors import ByteRangeError, KeyNotFound
from ..operations.read import Found, get_object
from ..operations.stat import Missing, head_object, stat_object
from ..reading import PART_BYTES
from ..sigv4 import EMPTY_SHA256
from .awaiting import all_of
from .byte_requests import attempts
from .handle import Handle


class Reading(Handle):
    """The methods that read."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a key.

        Args:
            key: The key.
            prototype: What makes the buffer; default: zarr's default.
            byte_range: Which bytes; default: all. Beyond the end of the value there are none.

        Returns:
            None only where the store says that no object has the key.

        Raises:
            TypeError, ByteRangeError: ``byte_range`` is no request of zarr's, or one that cannot be.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        for wanted, cut in attempts(byte_range):
            try:
                value = await self._read(key, wanted)
            except ByteRangeError:
                continue
            return None if value is None else _buffer(value[cut], prototype)
        return _buffer(b"", prototype)

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """As :meth:`get`, by a call that blocks."""
        for wanted, cut in attempts(byte_range):
            try:
                value = self._store.get(key, None, byte_range=slice(*wanted))
            except ByteRangeError:
                continue
            return None if value is None else _buffer(value[cut], prototype)
        return _buffer(b"", prototype)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """The bytes of many requests, all at once; those close together in one object are one GET.

        Args:
            prototype: As for :meth:`get`.
            key_ranges: Keys and what to read of each, in any order.

        Returns:
            What :meth:`get` returns for each, in their order.

        Raises:
            Changed: an object was replaced while several ranges of it were read.
            TypeError, ByteRangeError, PermissionDenied, …: as for :meth:`get`.
        """
        asked = list(key_ranges)
        places: dict[str, list[int]] = {}
        for place, (key, _) in enumerate(asked):
            places.setdefault(key, []).append(place)
        results: list[Buffer | None] = [None] * len(asked)

        async def fetch(key: str, members: list[int]) -> None:
            requests = [asked[place][1] for place in members]
            found = await self._get_some(key, prototype, requests)
            for place, value in zip(members, found, strict=True):
                results[place] = value

        await all_of(fetch(key, members) for key, members in places.items())
        return results

    async def _get_some(
        self, key: str, prototype: BufferPrototype, requests: list[ByteRequest | None]
    ) -> list[Buffer | None]:
        """The bytes of several requests for one key."""
        if len(requests) > 1:
            ranges = [slice(*attempts(request)[0].byte_range) for request in requests]
            try:
                values = await self._awaiting.later(self._store.get_ranges, key, ranges)
            except KeyNotFound:
                return [None] * len(requests)
            except ByteRangeError:
                # Each by itself, as much of it as there is.
                pass
            else:
                return [_buffer(value, prototype) for value in values]
        return await all_of(self.get(key, prototype, request) for request in requests)

    async def exists(self, key: str) -> bool:
        """Whether an object has the key."""
        found = await self._awaiting.run(head_object, key, self._full(key))
        return not isinstance(found, Missing)

    async def getsize(self, key: str) -> int:
        """How many bytes a key has.

        Raises:
            FileNotFoundError: no object has the key.
        """
        found = await self._awaiting.run(stat_object, key, self._full(key))
        if isinstance(found, Missing):
            raise FileNotFoundError(key) from found.error
        return found.size

    async def _read(self, key: str, byte_range: ByteRange) -> bytes | None:
        """The bytes of a range that is wholly inside the object; None for no object."""
        awaiting, full = self._awaiting, self._full(key)
        if (byte_range.length or 0) >= 2 * PART_BYTES:
            return await awaiting.later(partial(self._store.get, key, None, byte_range=slice(*byte_range)))
        if byte_range.whole:
            found = await awaiting.run(
                get_object,
                key,
                full,
                byte_range,
                (),
                None,
                PART_BYTES,
                express=self._store._core.gets,
                asked=(full, b"", EMPTY_SHA256, PART_BYTES),
            )
        else:
            found = await awaiting.run(get_object, key, full, byte_range)
        if isinstance(found, Missing):
            return None
        assert isinstance(found, Found)
        return found.value if not found.rest else await awaiting.later(self._read_rest, key, full, found)

    def _read_rest(self, key: str, full: str, found: Found) -> bytes | None:
        """A large object, of which there is the beginning, read to its end in parts; None for no object."""
        errors: dict[str, Exception] = {}
        whole = self._store._read_rest(key, full, found, errors, "skip")
        for error in errors.values():
            raise error
        return None if whole is None else whole.value


def _buffer(value: bytes, prototype: BufferPrototype | None) -> Buffer:
    return (prototype or default_buffer_prototype()).buffer.from_bytes(value)
