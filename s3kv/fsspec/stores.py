"""The stores behind a file system: one for each bucket, all sharing their resources."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import Any

from .. import forksafe
from ..context import Context, default_context
from ..errors import SpecError
from ..handle import check_session, check_timeout
from ..spec.resources import RESOURCES
from ..spec.spec import Spec
from ..store import Store

# Stands for the bucket while the other members are checked.
_SOME_BUCKET = "bucket"


class Stores:
    """One store for each bucket, opened when it is first needed.

    Mutable state: ``_opened``, the stores by their buckets, guarded by ``_lock``; ``caching``, changed by
    single steps of the interpreter.

    Attributes:
        caching: The file systems with these stores that keep listings, by their ids.
    """

    def __init__(
        self, members: Mapping[str, Any], context: Context | None, session: Any, timeout: float | None
    ) -> None:
        # A resource described in place would be one for each bucket; in a context, all share it.
        shared = {name: value for name, value in members.items() if _describes(name, value)}
        self._members = {name: value for name, value in members.items() if name not in shared}
        context = context or default_context()
        for described in (self._members.pop("context", None), shared):
            if described:
                context = Context(described, parent=context)
        self._context = context
        self._session = session
        self._timeout = timeout
        self._lock = threading.Lock()
        self._opened: dict[str, Store] = {}
        self.caching: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        forksafe.register(self)

    def all_caching(self) -> list[Any]:
        """The file systems with these stores that keep listings."""
        # The references are a list of their own: another thread may add one meanwhile.
        return [each for reference in self.caching.valuerefs() if (each := reference()) is not None]

    def __getitem__(self, bucket: str) -> Store:
        with self._lock:
            store = self._opened.get(bucket)
            if store is None:
                store = self._opened[bucket] = Store(
                    self._members,
                    bucket=bucket,
                    context=self._context,
                    session=self._session,
                    timeout=self._timeout,
                )
            return store

    def close(self) -> None:
        """Close every store; the next use of a bucket opens a new one."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for store in opened.values():
            store.close()

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()


class _Shared:
    """Mutable state: ``known``, the stores that there are by what they were opened with, under ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: weakref.WeakValueDictionary[Any, Stores] = weakref.WeakValueDictionary()
        forksafe.register(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_shared = _Shared()


def stores_for(
    members: Mapping[str, Any], context: Context | None, session: Any, timeout: float | None
) -> Stores:
    """The stores of these members; the same ones as long as somebody has them.

    fsspec makes a file system for every thread, which would otherwise have connections of its own.

    Args:
        members: Members of the spec but ``bucket`` and ``path``.

    Raises:
        SpecError: a wrong member.
        TypeError, ValueError: a wrong session or timeout, as of a store.
    """
    # Stores are opened later, in the middle of something else.
    check_session(session)
    check_timeout(timeout)
    for name in ("bucket", "path"):
        if name in members:
            raise SpecError(
                f"{name} is not a storage option: it is part of each path, s3kv://bucket/key", member=name
            )
    spec = Spec(bucket=_SOME_BUCKET, **members)
    key = (spec, context, session, timeout)
    with _shared.lock:
        stores = _shared.known.get(key)
        if stores is None:
            stores = _shared.known[key] = Stores(members, context, session, timeout)
        return stores


def _describes(name: str, value: Any) -> bool:
    """Whether a member describes a resource, rather than referring to one."""
    return name in RESOURCES and value is not None and not isinstance(value, str)
