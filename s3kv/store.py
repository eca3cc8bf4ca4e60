"""The store: a bucket, or a prefix of one, as a mapping from keys to bytes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

from .keys import check_key, key_text
from .listings import Listings
from .operations.delete import delete_object
from .operations.stat import Missing, head_object
from .single import SingleKey

T = TypeVar("T")


class Store(SingleKey, Listings, MutableMapping[str, bytes]):
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
