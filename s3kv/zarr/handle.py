"""What a store of zarr's is: the store below it, how it is opened, compared, shown and pickled."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from zarr.abc.store import Store as ZarrBase

from ..keys import check_key, key_text
from ..store import Store
from .awaiting import Awaiting

H = TypeVar("H", bound="Handle")


class Handle(ZarrBase):
    """What a store is, apart from what can be done with its keys; see :class:`ZarrStore`."""

    def __init__(self, store: Store, *, read_only: bool = False) -> None:
        if not isinstance(store, Store):
            raise TypeError(
                f"a ZarrStore is made of an s3kv.Store, not of {type(store).__name__}: "
                "ZarrStore(s3kv.Store('s3://bucket/a.zarr/'))"
            )
        super().__init__(read_only=read_only)
        self._store = store if store.path.endswith("/") or not store.path else store + "/"
        self._awaiting = Awaiting(self._store)

    @property
    def store(self) -> Store:
        """The :class:`s3kv.Store` below; its path is empty or ends with ``/``."""
        return self._store

    def with_read_only(self: H, read_only: bool = False) -> H:
        """The same store, read-only or not, sharing everything else."""
        return type(self)(self._store, read_only=read_only)

    def close(self) -> None:
        """Mark this store as closed, for zarr. The :class:`s3kv.Store` below stays open."""
        super().close()

    def __eq__(self, other: object) -> bool:
        """Whether the other is described the same way, and as writable; contents are not compared."""
        if not isinstance(other, Handle):
            return NotImplemented
        return self._store == other._store and self.read_only == other.read_only

    def __hash__(self) -> int:
        return hash((self._store, self.read_only))

    def __str__(self) -> str:
        spec = self._store._spec()
        if spec.endpoint is None:
            return spec.url
        return "/".join(part for part in (spec.endpoint.rstrip("/"), spec.bucket, spec.path) if part)

    def __repr__(self) -> str:
        return f"ZarrStore({self._store!r}{', read_only=True' if self.read_only else ''})"

    def __copy__(self: H) -> H:
        """Another store on the same place, sharing everything."""
        return self.with_read_only(self.read_only)

    def __deepcopy__(self: H, memo: dict[int, Any]) -> H:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._store, self.read_only)

    def _full(self, key: str) -> str:
        return check_key(self._store.path, key_text(key))


def _reopen(cls: type[H], store: Store, read_only: bool) -> H:
    """The store of a pickle, on the connections of an equal one that came before."""
    known = _arrived(store)
    if known._closed or known._core.closed:
        _arrived.cache_clear()
        known = _arrived(store)
    return cls(known, read_only=read_only)


@lru_cache(maxsize=8)
def _arrived(store: Store) -> Store:
    """The first of equal stores that came in pickles: each task of a cluster's brings one."""
    return store


def folder(prefix: str) -> str:
    """What the keys below a folder start with."""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"
