"""The store: a bucket, or a prefix of one, as a mapping from keys to bytes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

from .handle import check_text
from .keys import check_key, key_text
from .operations.delete import delete_object
from .operations.listing import PageRequest, entries_of, list_page, pages
from .operations.stat import Missing, head_object
from .single import SingleKey
from .values import ListEntry
from .xml import Page

T = TypeVar("T")

# Inside the class, ``list`` is the method.
_List = list


class Store(SingleKey, MutableMapping[str, bytes]):
    """A bucket on Amazon S3 or a compatible store, or a prefix of one, as a key-value store.

    Every method blocks until it is done, and may be called from any thread. Opening a store sends no
    request. Keys are ``str`` (or UTF-8 ``bytes``), joined to the store's path without a separator.

    Args:
        spec: An ``s3://bucket/path`` URL, a mapping (TensorStore's JSON spec of the ``s3`` driver), or
            a :class:`Spec`.
        context: A :class:`Context`, or a mapping that describes one, whose resources the store shares
            with other stores. Default None: the process-wide default.
        session: A ``requests.Session`` to send through instead of the built-in transport, for
            adapters, proxies, or mocking with ``responses``. Default None.
        timeout: Seconds that one operation on one key, or one page of a listing, may take in all,
            retries included. Default None: no limit.
        **members: Members of the spec, overriding ``spec``; see :class:`Spec`. As ``aws_credentials``
            a botocore ``Credentials`` object, or a callable that returns one, is allowed too.

    Raises:
        SpecError: the description is wrong; names the member and what is allowed.

    Example:
        >>> import s3kv
        >>> store = s3kv.Store("s3://my-bucket/experiments/")       # doctest: +SKIP
        >>> store.put("a.txt", b"hello")                            # doctest: +SKIP
        >>> store.get("a.txt")                                      # doctest: +SKIP
        b'hello'
    """

    __slots__ = ()

    # ---------------------------------------------------------------- listings

    def list(self, prefix: str = "") -> _List[str]:
        """All keys that start with ``prefix``, sorted.

        Args:
            prefix: Relative to the store's path; default: every key.

        Raises:
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        return sorted(entry.key for entry in self.scan(prefix))

    def scan(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ListEntry]:
        """The objects whose keys start with ``prefix``, in the store's order of keys.

        A page of up to 1,000 is fetched when the iterator gets to it; nothing before that.

        Args:
            prefix: Relative to the store's path; default: every key.
            start_after: Leave out keys up to and including this one.
        """
        full = self._prefix(prefix)
        start = "" if start_after is None else self._path + check_text(start_after)
        # Some stores refuse a start outside the prefix, and it is needless: before it, it leaves nothing
        # out, and behind it, everything.
        if not start.startswith(full):
            if start > full:
                return iter(())
            start = ""
        return self._entries(PageRequest(full, start_after=start))

    def _entries(self, first: PageRequest) -> Iterator[ListEntry]:
        skip = len(self._path)
        for page in pages(first, self._page):
            yield from entries_of(page, skip)

    def list_dir(self, prefix: str = "") -> tuple[_List[str], _List[ListEntry]]:
        """One level of keys, as if ``/`` separated folders.

        Args:
            prefix: A folder, with its ``/`` at the end; default: the top.

        Returns:
            The sub-folders, each with its ``/``, and the objects at this level; both sorted.
        """
        first = PageRequest(self._prefix(prefix), delimiter="/")
        skip = len(self._path)
        prefixes: set[str] = set()
        entries: _List[ListEntry] = []
        for page in pages(first, self._page):
            prefixes.update(name[skip:] for name in page.prefixes)
            entries.extend(entries_of(page, skip))
        return sorted(prefixes), sorted(entries, key=_entry_key)

    def _page(self, request: PageRequest) -> Page:
        return self._run(list_page, None, request)

    # ---------------------------------------------------------------- mapping

    def __getitem__(self, key: str | bytes) -> bytes:
        return self.get(key)

    def __setitem__(self, key: str | bytes, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: str | bytes) -> None:
        name = key_text(key)
        full = check_key(self._path, name)
        found = self._run(head_object, name, full)
        if isinstance(found, Missing):
            raise found.error
        self._run(delete_object, name, full)

    def __contains__(self, key: object) -> bool:
        name = key_text(key)  # type: ignore[arg-type]
        found = self._run(head_object, name, check_key(self._path, name))
        return not isinstance(found, Missing)

    def __iter__(self) -> Iterator[str]:
        return (entry.key for entry in self.scan())

    def __len__(self) -> int:
        return sum(1 for _ in self.scan())

    def clear(self) -> None:
        """Delete every object of the store."""
        for key in self:
            self.delete(key)

    # ---------------------------------------------------------------- helpers

    def _prefix(self, prefix: str) -> str:
        return self._path + check_text(prefix)


def _entry_key(entry: ListEntry) -> str:
    return entry.key
