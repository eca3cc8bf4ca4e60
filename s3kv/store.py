"""The store: a bucket, or a prefix of one, as a mapping from keys to bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .byterange import WHOLE, parse_slice
from .context import Context, default_context
from .core import Core
from .errors import DeadlineExceeded, InvalidKey, StoreClosed
from .keys import check_key, key_text
from .operations.delete import delete_object
from .operations.listing import PageRequest, entries_of, list_page, pages
from .operations.read import Found, get_object
from .operations.stat import Missing, head_object, stat_object
from .operations.write import object_headers, payload, put_object
from .spec.members import is_object
from .spec.members import path as check_path
from .spec.spec import Spec
from .values import ListEntry, ObjectInfo, TimestampedStorageGeneration
from .xml import Page

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

# Inside the class, ``list`` is the method.
_List = list

_RAISE: Any = object()

# Seconds, some 30 years: what every system can count.
_LONGEST_TIMEOUT = 1e9


class Store(MutableMapping[str, bytes]):
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

    __slots__ = ("__weakref__", "_closed", "_context", "_core", "_owner", "_path", "_timeout")

    # A mapping, but of objects, not of the members of a description.
    _is_store = True

    def __init__(
        self,
        spec: str | Mapping[str, Any] | Spec | None = None,
        /,
        *,
        context: Context | Mapping[str, Any] | None = None,
        session: requests.Session | None = None,
        timeout: float | None = None,
        **members: Any,
    ) -> None:
        parsed = Spec(spec, **members)
        self._timeout = _check_timeout(timeout)
        self._path = parsed.path
        self._context = _check_context(context)
        self._core = Core(parsed, _context_of(parsed, self._context), session=session)
        self._owner = True
        self._closed = False

    @classmethod
    def _over(cls, core: Core, context: Context | None, path: str, timeout: float | None) -> Store:
        """A store that shares an opened bucket."""
        store = cls.__new__(cls)
        store._core, store._context, store._path, store._timeout = core, context, path, timeout
        store._owner = store._closed = False
        return store

    def _sharing(self, path: str, timeout: float | None) -> Store:
        """A store that differs from this one only in path and timeout."""
        check_path("path", path)
        return Store._over(self._core, self._context, path, timeout)

    # ---------------------------------------------------------------- one key

    @overload
    def get(self, key: str | bytes, *, byte_range: slice | None = None) -> bytes: ...
    @overload
    def get(self, key: str | bytes, default: T, *, byte_range: slice | None = None) -> bytes | T: ...
    def get(self, key: str | bytes, default: Any = _RAISE, *, byte_range: slice | None = None) -> Any:
        """The bytes of an object.

        Unlike ``dict.get``, a missing key raises unless a default is given: a typo should not read as
        ``None``.

        Args:
            key: The key.
            default: What to return when no object has the key; by default ``KeyNotFound`` is raised.
            byte_range: A slice without a step: ``slice(0, 100)``, ``slice(100, None)``, or
                ``slice(-100, None)`` for the last 100 bytes. It must be wholly inside the object.

        Returns:
            The bytes asked for, all of them.

        Raises:
            KeyNotFound: no object has the key, and no default was given.
            ByteRangeError: the range is not wholly inside the object.
            BucketNotFound, PermissionDenied, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        name = key_text(key)
        full = check_key(self._path, name)
        wanted = WHOLE if byte_range is None else parse_slice(byte_range)
        found = self._run(get_object, name, full, wanted)
        if isinstance(found, Found):
            return found.value
        if default is _RAISE:
            raise found.error
        return default

    def put(
        self,
        key: str | bytes,
        value: Any,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> TimestampedStorageGeneration:
        """Write an object, whatever was there before.

        Args:
            key: The key.
            value: Any C-contiguous bytes-like object of up to 5 GiB; it is sent without a copy and
                must not change meanwhile.
            content_type: The media type to store; default: the store's own default.
            metadata: Names and values to store with the object: printable ASCII, names regardless of
                case, 2 KB in all.

        Returns:
            The new object's generation, and the time before the request was sent.

        Raises:
            TypeError: the value is not bytes-like.
            ValueError: a header cannot carry the content type or metadata as they are.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        name = key_text(key)
        full = check_key(self._path, name)
        body = payload(value)
        headers = object_headers(content_type, metadata)
        # Here, not on the executor, whose threads are for requests.
        started = self._core.clock.monotonic()
        try:
            digest = self._core.copies.sha256(body, self._timeout)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "the store's timeout passed while the put waited for its turn to be hashed",
                operation="PutObject",
                key=name,
                attempts=0,
                elapsed=self._core.clock.monotonic() - started,
            ) from error
        return self._run(put_object, name, full, body, digest, headers, since=started)

    def delete(self, key: str | bytes) -> TimestampedStorageGeneration:
        """Delete an object. A key that does not exist is no error.

        Returns:
            ``StorageGeneration.NO_VALUE`` and the time before the request was sent.

        Raises:
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        name = key_text(key)
        return self._run(delete_object, name, check_key(self._path, name))

    def stat(self, key: str | bytes) -> ObjectInfo:
        """What the store says of an object without its bytes.

        Raises:
            KeyNotFound: no object has the key.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.
        """
        name = key_text(key)
        info = self._run(stat_object, name, check_key(self._path, name))
        if isinstance(info, Missing):
            raise info.error
        return info

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
        start = "" if start_after is None else self._path + _check_text(start_after)
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

    def __bool__(self) -> bool:
        """True: a store is a place, whether it is empty or not. Sends no request."""
        return True

    def clear(self) -> None:
        """Delete every object of the store."""
        for key in self:
            self.delete(key)

    # ---------------------------------------------------------------- the store itself

    def __truediv__(self, name: str) -> Store:
        """A child store below a folder; exactly one ``/`` in between, none added at the end."""
        if not isinstance(name, str):
            return NotImplemented
        if not self._path:
            return self + name
        return self._sharing(
            f"{self._path.removesuffix('/')}/{_check_text(name).removeprefix('/')}",
            self._timeout,
        )

    def __add__(self, suffix: str) -> Store:
        """A child store whose path is this one's and ``suffix``, with nothing in between."""
        if not isinstance(suffix, str):
            return NotImplemented
        return self._sharing(self._path + _check_text(suffix), self._timeout)

    def with_timeout(self, seconds: float | None) -> Store:
        """The same store with another ``timeout``, sharing everything else."""
        return self._sharing(self._path, _check_timeout(seconds))

    @property
    def path(self) -> str:
        """What every key starts with."""
        return self._path

    @property
    def bucket(self) -> str:
        """The bucket's name; empty when the endpoint names it."""
        return self._core.spec.bucket

    @property
    def url(self) -> str:
        """The ``s3://`` URL of the store.

        Raises:
            SpecError: the store has an endpoint of its own, which no ``s3://`` URL can say.
        """
        return self._spec().url

    @property
    def context(self) -> Context:
        """Where the store's shared resources are (a :class:`Context`)."""
        return self._core.context

    def spec(self, *, include_defaults: bool = False, include_context: bool = True) -> dict[str, Any]:
        """The JSON spec that opens the same store: ``Store(store.spec()) == store``.

        Args:
            include_defaults: Also write members that have their default value; default False.
            include_context: Also write, as ``context``, the resources that the members refer to; default
                True. Without them, the spec needs the same context again.

        Raises:
            SpecError: the credentials were passed as a Python object, which has no JSON form.
        """
        result = self._spec().to_json(include_defaults=include_defaults, include_context=False)
        if include_context:
            found = self._core.referred(include_defaults=include_defaults)
            if found:
                result["context"] = found
        return result

    def _spec(self) -> Spec:
        return self._core.spec.at(self._path)

    def close(self) -> None:
        """Close the store for good. Closing again does nothing; any other use is ``StoreClosed``.

        Closing a store also closes its children (``store / "sub"``); closing a child closes no other.
        """
        self._closed = True
        if self._owner:
            self._core.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        """Whether the other store is described the same way; contents are not compared."""
        if not isinstance(other, Store):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        core = self._core
        return core.identity, self._path, self._timeout, id(core.session)

    def __copy__(self) -> Store:
        """Another handle on the same store, sharing everything; closing it closes nothing else."""
        return self._sharing(self._path, self._timeout)

    def __deepcopy__(self, memo: dict[int, Any]) -> Store:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._core.session is not None:
            raise TypeError("a store with session= cannot be pickled: a session may hold secrets")
        return _reopen, (self._spec(), self._context, self._timeout)

    def __repr__(self) -> str:
        spec = self._spec()
        parts = [repr(spec.url)] if spec.endpoint is None else []
        parts += spec.shown(leave_out=("bucket", "path") if parts else ())
        if self._timeout is not None:
            parts.append(f"timeout={self._timeout:g}")
        closed = " closed" if self._closed or self._core.closed else ""
        return f"<s3kv.Store({', '.join(parts)}){closed}>"

    # ---------------------------------------------------------------- helpers

    def _run(
        self,
        operation: Callable[..., Generator[Any, Any, T]],
        key: str | None,
        *arguments: Any,
        since: float | None = None,
    ) -> T:
        if self._closed:
            raise StoreClosed("the store is closed", key=key)
        return self._core.run(operation, key, self._timeout, *arguments, since=since)

    def _prefix(self, prefix: str) -> str:
        return self._path + _check_text(prefix)


def _check_text(text: object) -> str:
    """``text`` if it is a str that UTF-8 can hold."""
    if not isinstance(text, str):
        raise TypeError(f"a prefix is a str, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKey(f"{ascii(text)[:80]} cannot be written as UTF-8") from error
    return text


def _check_timeout(seconds: object) -> float | None:
    """A timeout as the store keeps it: seconds, or None for no limit."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"timeout is a number of seconds or None, not {type(seconds).__name__}")
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise ValueError(
            f"timeout is {seconds!r:.40}: allowed is a positive number of seconds, up to 1e9, or None"
        )
    return float(seconds)


def _entry_key(entry: ListEntry) -> str:
    return entry.key


def _check_context(context: object) -> Context | None:
    if context is None or isinstance(context, Context):
        return context
    if is_object(context):
        return Context(context)
    raise TypeError(f"a context is a Context, a mapping or None, not {type(context).__name__}")


def _context_of(spec: Spec, given: Context | None) -> Context:
    """Where a spec's references are looked up: in its own context first."""
    context = default_context() if given is None else given
    return Context._over(spec.context, context) if spec.context else context


def _reopen(spec: Spec, context: Context | None, timeout: float | None) -> Store:
    return Store(spec, context=context, timeout=timeout)
