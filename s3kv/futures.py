"""A store whose one-key methods return at once, with a future."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .copies import Copies
from .files import Files
from .ranges import Ranges
from .single import RAISE, SingleKey
from .values import ObjectInfo, ReadResult, TimestampedStorageGeneration

if TYPE_CHECKING:
    from concurrent.futures import Future


class _Store(SingleKey, Ranges, Copies, Files):
    """The methods that there are futures of."""

    __slots__ = ()


class Futures:
    """The one-key methods of a store, each of which returns a ``concurrent.futures.Future`` at once.

    Arguments, results and exceptions are those of the store's methods; wrong arguments, too, are
    exceptions of the future. As many of them as the limit of requests allows are carried out at once, by
    threads that the store starts for it; the others wait in a queue, where ``cancel()`` reaches them.
    Callbacks may use the store, but must not wait for other futures. For many keys, batches such as
    :meth:`Store.get_many` are faster.

    Example:
        >>> pending = [store.futures.get(key) for key in ("a", "b")]       # doctest: +SKIP
        >>> [future.result() for future in pending]                        # doctest: +SKIP
    """

    __slots__ = ("_store",)

    def __init__(self, store: Any) -> None:
        self._store: _Store = store

    def get(
        self, key: str | bytes, default: Any = RAISE, *, byte_range: slice | None = None
    ) -> Future[Any]:
        """The bytes of an object; see :meth:`Store.get`."""
        return self._submit(self._store.get, key, default, byte_range=byte_range)

    def get_into(self, key: str | bytes, buffer: Any, *, byte_range: slice | None = None) -> Future[int]:
        """Read an object into memory that there is already; see :meth:`Store.get_into`."""
        return self._submit(self._store.get_into, key, buffer, byte_range=byte_range)

    def put(
        self,
        key: str | bytes,
        value: Any,
        *,
        if_equal: str | None = None,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Future[TimestampedStorageGeneration]:
        """Write an object; see :meth:`Store.put`. The value must not change before it is done."""
        return self._submit(
            self._store.put,
            key,
            value,
            if_equal=if_equal,
            if_absent=if_absent,
            content_type=content_type,
            metadata=metadata,
        )

    def delete(
        self, key: str | bytes, *, if_equal: str | None = None
    ) -> Future[TimestampedStorageGeneration]:
        """Delete an object; see :meth:`Store.delete`."""
        return self._submit(self._store.delete, key, if_equal=if_equal)

    def stat(self, key: str | bytes) -> Future[ObjectInfo]:
        """What the store says of an object without its bytes; see :meth:`Store.stat`."""
        return self._submit(self._store.stat, key)

    def read(
        self,
        key: str | bytes,
        *,
        byte_range: slice | None = None,
        if_equal: str | None = None,
        if_not_equal: str | None = None,
        staleness_bound: float | None = None,
    ) -> Future[ReadResult]:
        """What is there under a key; see :meth:`Store.read`."""
        return self._submit(
            self._store.read,
            key,
            byte_range=byte_range,
            if_equal=if_equal,
            if_not_equal=if_not_equal,
            staleness_bound=staleness_bound,
        )

    def write(
        self, key: str | bytes, value: Any, *, if_equal: str | None = None
    ) -> Future[TimestampedStorageGeneration]:
        """Write or delete an object; see :meth:`Store.write`."""
        return self._submit(self._store.write, key, value, if_equal=if_equal)

    def modify(
        self, key: str | bytes, fn: Callable[[bytes | None], Any]
    ) -> Future[TimestampedStorageGeneration]:
        """Replace an object by a function of what it was; see :meth:`Store.modify`.

        ``fn`` is called in another thread.
        """
        return self._submit(self._store.modify, key, fn)

    def get_ranges(self, key: str | bytes, ranges: Iterable[slice]) -> Future[list[bytes]]:
        """Several ranges of one object; see :meth:`Store.get_ranges`."""
        return self._submit(self._store.get_ranges, key, ranges)

    def copy(
        self, src: str | bytes, dst: str | bytes, *, if_absent: bool = False
    ) -> Future[TimestampedStorageGeneration]:
        """Have the store copy an object; see :meth:`Store.copy`."""
        return self._submit(self._store.copy, src, dst, if_absent=if_absent)

    def upload(
        self,
        path: str | os.PathLike[str],
        key: str | bytes,
        *,
        if_equal: str | None = None,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> Future[TimestampedStorageGeneration]:
        """Write a file's bytes as an object; see :meth:`Store.upload`."""
        return self._submit(
            self._store.upload,
            path,
            key,
            if_equal=if_equal,
            if_absent=if_absent,
            content_type=content_type,
            metadata=metadata,
            progress=progress,
        )

    def download(
        self, key: str | bytes, path: str | os.PathLike[str], *, progress: bool = False
    ) -> Future[TimestampedStorageGeneration]:
        """Write an object's bytes to a file; see :meth:`Store.download`."""
        return self._submit(self._store.download, key, path, progress=progress)

    def _submit(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        store = self._store
        store._check_open()
        return store._core.later(method, *arguments, **options)

    def __repr__(self) -> str:
        return f"<futures of {self._store!r}>"
