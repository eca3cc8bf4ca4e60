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

    The interpreter's exit waits for those that have not ended, as long as there is progress: where a store
    has not moved for 10 s (2 s if all of them only read), they end with :class:`~s3kv.StoreClosed`, and a
    warning in the log says how many writes were given up.

    Example:
        >>> store.update(a=b"1", b=b"2")
        >>> pending = [store.futures.get(key) for key in ("a", "b")]
        >>> [future.result() for future in pending]
        [b'1', b'2']
    """

    __slots__ = ("_store",)

    def __init__(self, store: Any) -> None:
        self._store: _Store = store

    def get(
        self, key: str | bytes, default: Any = RAISE, *, byte_range: slice | None = None
    ) -> Future[Any]:
        """The bytes of an object; see :meth:`Store.get`.

        Example:
            >>> store.futures.get("missing", b"nothing").result()
            b'nothing'
        """
        return self._submit(self._store.get, key, default, byte_range=byte_range)

    def get_into(self, key: str | bytes, buffer: Any, *, byte_range: slice | None = None) -> Future[int]:
        """Read an object into memory that there is already; see :meth:`Store.get_into`.

        Example:
            >>> store["a.txt"], buffer = b"hello", bytearray(5)
            >>> store.futures.get_into("a.txt", buffer).result(), buffer
            (5, bytearray(b'hello'))
        """
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
        """Write an object; see :meth:`Store.put`. The value must not change before it is done.

        Example:
            >>> stamp = store.futures.put("a.txt", b"hello").result()
            >>> store["a.txt"]
            b'hello'
        """
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
        """Delete an object; see :meth:`Store.delete`.

        Example:
            >>> store["a.txt"] = b"hello"
            >>> store.futures.delete("a.txt").result().generation
            StorageGeneration.NO_VALUE
        """
        return self._submit(self._store.delete, key, if_equal=if_equal)

    def stat(self, key: str | bytes) -> Future[ObjectInfo]:
        """What the store says of an object without its bytes; see :meth:`Store.stat`.

        Example:
            >>> store["a.txt"] = b"hello"
            >>> store.futures.stat("a.txt").result().size
            5
        """
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
        """What is there under a key; see :meth:`Store.read`.

        Example:
            >>> store.futures.read("missing").result().state
            'missing'
        """
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
        """Write or delete an object; see :meth:`Store.write`.

        Example:
            >>> stamp = store.futures.write("a.txt", b"hello").result()
            >>> stamp.generation == store.stat("a.txt").etag
            True
        """
        return self._submit(self._store.write, key, value, if_equal=if_equal)

    def modify(
        self, key: str | bytes, fn: Callable[[bytes | None], Any]
    ) -> Future[TimestampedStorageGeneration]:
        """Replace an object by a function of what it was; see :meth:`Store.modify`.

        ``fn`` is called in another thread.

        Example:
            >>> stamp = store.futures.modify("log", lambda old: (old or b"") + b"line;").result()
            >>> store["log"]
            b'line;'
        """
        return self._submit(self._store.modify, key, fn)

    def get_ranges(self, key: str | bytes, ranges: Iterable[slice]) -> Future[list[bytes]]:
        """Several ranges of one object; see :meth:`Store.get_ranges`.

        Example:
            >>> store["data.bin"] = b"0123456789"
            >>> store.futures.get_ranges("data.bin", [slice(0, 2), slice(-1, None)]).result()
            [b'01', b'9']
        """
        return self._submit(self._store.get_ranges, key, ranges)

    def copy(
        self, src: str | bytes, dst: str | bytes, *, if_absent: bool = False
    ) -> Future[TimestampedStorageGeneration]:
        """Have the store copy an object; see :meth:`Store.copy`.

        Example:
            >>> store["a.txt"] = b"hello"
            >>> stamp = store.futures.copy("a.txt", "b.txt").result()
            >>> store["b.txt"]
            b'hello'
        """
        return self._submit(self._store.copy, src, dst, if_absent=if_absent)

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
    ) -> Future[TimestampedStorageGeneration]:
        """Write a file's bytes as an object; see :meth:`Store.upload`.

        Example:
            >>> from pathlib import Path
            >>> size = Path("results.csv").write_text("1,2,3")
            >>> stamp = store.futures.upload("results.csv", "results.csv").result()
            >>> store["results.csv"]
            b'1,2,3'
        """
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
        self, key: str | bytes, path: str | bytes | os.PathLike[str], *, progress: bool = False
    ) -> Future[TimestampedStorageGeneration]:
        """Write an object's bytes to a file; see :meth:`Store.download`.

        Example:
            >>> store["results.csv"] = b"1,2,3"
            >>> stamp = store.futures.download("results.csv", "copy.csv").result()
            >>> from pathlib import Path
            >>> Path("copy.csv").read_text()
            '1,2,3'
        """
        return self._submit(self._store.download, key, path, progress=progress)

    def presign(self, key: str | bytes, *, method: str = "GET", expires: int = 3600) -> Future[str]:
        """A URL for others, once region and credentials are known; see :meth:`Store.presign`.

        Example:
            >>> store.futures.presign("report.pdf", expires=600).result()
            'http...report.pdf...'
        """
        return self._submit(self._store.presign, key, method=method, expires=expires)

    def _submit(self, method: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        store = self._store
        store._check_open()
        return store._core.later(method, *arguments, **options)

    def __repr__(self) -> str:
        return f"<futures of {self._store!r}>"
