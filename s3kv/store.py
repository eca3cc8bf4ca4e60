"""The store: a bucket, or a prefix of one, as a mapping from keys to bytes."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .copies import Copies
from .errors import ConditionFailed, KeyNotFound
from .futures import Futures
from .keyrange import KeyRange
from .keys import check_key, key_text
from .listing_xml import Columns
from .many import failed
from .messages import Body
from .metrics import Metrics
from .operations.delete import delete_object
from .operations.listing import PageRequest
from .operations.stat import Missing, head_object
from .payload import Source, open_value
from .progress import Progress
from .ranges import Ranges
from .single import RAISE, SingleKey
from .trees import Trees

if TYPE_CHECKING:
    from .doctor import Report

T = TypeVar("T")

# Seconds: a timeout that has passed.
_NONE_LEFT = 1e-9
# So often may a store say that there is something, and nothing to get: SeaweedFS says so of folders.
_MOST_CONTRADICTIONS = 4
# Of so many keys that were just listed, others who take them away most likely leave one.
_FEW = 16


class Store(SingleKey, Ranges, Copies, Trees, MutableMapping[str, bytes]):
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
        timeout: Seconds that one operation on one key, alone or in a batch, or one page of a listing, may
            take in all, retries included. Default None: no limit.
        **members: Members of the spec, overriding ``spec``; see :class:`Spec`. As ``aws_credentials``
            a botocore ``Credentials`` object, or a callable that returns one, is allowed too.

    Raises:
        SpecError: the description is wrong; names the member and what is allowed.

    Example:
        ``s3kv.Store("s3://my-bucket/experiments/")`` opens a store; any store is a mapping:

        >>> store["a.txt"] = b"hello"
        >>> store["a.txt"], len(store), list(store), "b.txt" in store
        (b'hello', 1, ['a.txt'], False)
        >>> del store["a.txt"]
        >>> store.get("a.txt", None) is None
        True
    """

    __slots__ = ()

    @property
    def futures(self) -> Futures:
        """The same one-key methods, each of which returns a ``concurrent.futures.Future`` at once.

        Example:
            >>> stamp = store.put("a.txt", b"hello")
            >>> pending = store.futures.get("a.txt")
            >>> pending.result()
            b'hello'
        """
        return Futures(self)

    def doctor(self, *, write: bool = False) -> Report:
        """What was resolved and why, what works, and what to do about what does not.

        Credentials, endpoint, region, proxy, certificates, clock, latency, permissions. It takes a few
        seconds where the store answers, and some 15 where it does not.

        Args:
            write: Also write, under a key of its own that begins with ``.s3kv-doctor-`` and is removed
                again: that is how a store which ignores conditions is found out. Default False: nothing is
                written.

        Returns:
            A tuple of checks, each with ``name``, ``outcome`` (``"ok"``, ``"warning"`` or ``"failure"``),
            ``detail`` and ``advice``; printed, it is a table. What fails is in there, not raised.

        Example:
            >>> report = store.doctor(write=True)
            >>> report.ok
            True
            >>> print(report)
            ok ...
            ok       credentials ...anonymous...
            ok ...
        """
        from .doctor import examine

        self._check_open()
        return examine(self, write=write)

    @property
    def metrics(self) -> Metrics:
        """What was done so far through the store and those that share its connections: counters, latencies.

        A :class:`~s3kv.metrics.Metrics`: a mapping from TensorStore's names for them to their values at
        this moment. ``s3kv.metrics.process_metrics()`` has those of all stores.

        Example:
            >>> stamp = store.put("a.txt", b"hello")
            >>> store.metrics["bytes_written"]
            5
        """
        return self._core.recorder.metrics()

    # ---------------------------------------------------------------- mapping

    def __getitem__(self, key: str | bytes) -> bytes:
        return self.get(key)

    def __setitem__(self, key: str | bytes, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: str | bytes) -> None:
        name = key_text(key)
        full = check_key(self._path, name)
        started = self._core.clock.monotonic()
        found = self._run(head_object, name, full, since=started)
        if isinstance(found, Missing):
            raise found.error
        self._run(delete_object, name, full, since=started)

    def __contains__(self, key: object) -> bool:
        name = key_text(key)  # type: ignore[arg-type]
        found = self._run(head_object, name, check_key(self._path, name))
        return not isinstance(found, Missing)

    def __iter__(self) -> Iterator[str]:
        self._core.recorder.count("list")
        return (key for page in self._pages(KeyRange(), None) for key in page.keys)

    def __len__(self) -> int:
        """How many objects there are, by listing all of them.

        ``list(store)`` asks for this first and so lists twice; :meth:`list` lists once.
        """
        self._core.recorder.count("list")
        return sum(len(page.keys) for page in self._pages_fast(KeyRange(), keys_only=True))

    def clear(self) -> None:
        """Delete every object of the store, listed and deleted at the same time.

        Raises:
            BatchError: some keys failed; ``errors`` has why.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> store["a.txt"] = b"hello"
            >>> store.clear()
            >>> len(store)
            0
        """
        self.delete_range(KeyRange())

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Write many objects in parallel; see :meth:`put_many`.

        Args:
            other: A mapping, or an iterable of (key, value) pairs. Default: none.
            **more: More of them.

        Raises:
            BatchError: some keys failed; ``errors`` has why.

        Example:
            >>> store.update({"a": b"1"}, b=b"2")
            >>> store.list()
            ['a', 'b']
        """
        if isinstance(other, Mapping):
            pairs: Iterable[Any] = other.items()
        elif hasattr(other, "keys"):
            pairs = ((key, other[key]) for key in other.keys())  # noqa: SIM118
        else:
            pairs = other
        self.put_many(chain(pairs, more.items()))

    def values(self) -> ValuesView[bytes]:
        """The objects, in key order, fetched in parallel as the view is iterated.

        Returns:
            A view as that of a ``dict``.

        Raises:
            BatchError: while it is iterated, after all that succeeded: some keys failed.

        Example:
            >>> store.update(a=b"1", b=b"2")
            >>> list(store.values())
            [b'1', b'2']
        """
        return _Values(self)

    def items(self) -> ItemsView[str, bytes]:
        """(key, object) pairs, in key order, fetched in parallel as the view is iterated.

        Returns:
            A view as that of a ``dict``.

        Raises:
            BatchError: while it is iterated, after all that succeeded: some keys failed.

        Example:
            >>> store.update(a=b"1", b=b"2")
            >>> dict(store.items())
            {'a': b'1', 'b': b'2'}
        """
        return _Items(self)

    @overload
    def pop(self, key: str | bytes) -> bytes: ...
    @overload
    def pop(self, key: str | bytes, default: T) -> bytes | T: ...
    def pop(self, key: str | bytes, default: Any = RAISE) -> Any:
        """The bytes of an object, which is deleted; nobody else gets these bytes by ``pop``.

        Args:
            key: The key.
            default: What to return when no object has the key; by default ``KeyNotFound`` is raised.

        Returns:
            The bytes.

        Raises:
            KeyNotFound: no object has the key, and no default was given.
            OutcomeUnknown, PermissionDenied, …: as for :meth:`modify`, by which it is done.

        Example:
            >>> store["job"] = b"work"
            >>> store.pop("job"), store.pop("job", None)
            (b'work', None)
        """
        taken: list[bytes | None] = []

        def take(old: bytes | None) -> None:
            taken[:] = [old]

        self.modify(key, take)
        if taken[0] is not None:
            return taken[0]
        if default is RAISE:
            # Not asked again: what may have come meanwhile would be returned and stay.
            name = key_text(key)
            raise KeyNotFound("no object has this key", operation="GetObject", key=name, status=404)
        return default

    def popitem(self) -> tuple[str, bytes]:
        """Some key and its object, which is deleted, and which nobody else gets.

        Returns:
            The key, and the bytes.

        Raises:
            KeyError: there is none.
            OutcomeUnknown, PermissionDenied, …: as for :meth:`pop`.

        Example:
            >>> store["job"] = b"work"
            >>> store.popitem()
            ('job', b'work')
        """
        self._core.recorder.count("list")
        for page in self._pages(KeyRange(), None, self._few_first):
            for key in page.keys:
                value = self.pop(key, None)
                if value is not None:
                    return key, value
        raise KeyError("the store is empty")

    def _few_first(self, request: PageRequest) -> Columns:
        """A page of a listing of which most likely the first few keys are enough."""
        return self._page(request if request.token else request._replace(most=_FEW))

    def setdefault(self, key: str | bytes, default: Any = None) -> bytes:
        """The bytes of an object; if there is none, ``default`` is written, unless somebody else does.

        Args:
            key: The key.
            default: A value as for :meth:`put`, needed where there is no object.

        Returns:
            The bytes that are there now.

        Raises:
            TypeError, OutcomeUnknown, PermissionDenied, …: as for :meth:`put`.

        Example:
            >>> store.setdefault("owner", b"me"), store.setdefault("owner", b"you")
            (b'me', b'me')
        """
        started = self._core.clock.monotonic()
        value: Body | None = None
        for tries in count(1):
            found = self._with_what_is_left(started).get(key, None)
            if found is not None:
                return found
            if value is None:
                # A file can be read once only, and all of it is to be returned anyway.
                opened = open_value(default)
                value = b"".join(opened.parts()) if isinstance(opened, Source) else opened
            try:
                self._with_what_is_left(started).put(key, value, if_absent=True)
            except ConditionFailed:
                # Somebody else was faster; but not so often, unless the store contradicts itself.
                if tries < _MOST_CONTRADICTIONS:
                    continue
                self._with_what_is_left(started).put(key, value)
            break
        assert value is not None
        return bytes(value)

    def _with_what_is_left(self, started: float) -> Store:
        """This store, with as much of its timeout as an operation still has that began then."""
        self._check_open()
        if self._timeout is None:
            return self
        return self.with_timeout(max(started + self._timeout - self._core.clock.monotonic(), _NONE_LEFT))

    def _pairs(self) -> Iterator[tuple[str, bytes]]:
        """Every (key, object), in the order of the listing; what is deleted meanwhile is left out."""
        errors: dict[str, Exception] = {}
        keys = iter(self)
        yield from self._fetch(keys, "skip", errors, Progress(), in_order=True)
        if errors:
            raise failed("get", errors, {})


class _Values(ValuesView[bytes]):
    _mapping: Store

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in self._mapping._pairs())

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)


class _Items(ItemsView[str, bytes]):
    _mapping: Store

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self._mapping._pairs()
