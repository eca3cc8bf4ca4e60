"""An opened bucket, or a prefix of one: what it is, its children, how it is closed, compared and kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .context import Context, default_context
from .core import Core
from .errors import InvalidKey, StoreClosed
from .keys import plain
from .pipeline.express import Asked, Express
from .spec.members import is_object
from .spec.members import path as check_path
from .spec.spec import Spec

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
H = TypeVar("H", bound="Handle")

# What is used of a session: one that records, or retries, need not be a subclass.
_SESSION = ("headers", "merge_environment_settings", "send")
# Seconds, some 30 years: what every system can count.
_LONGEST_TIMEOUT = 1e9


class Handle:
    """What a store is, apart from what can be done with its keys; see :class:`s3kv.Store`.

    Mutable state: ``_closed``. Everything else that changes belongs to the core, which children share.
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
        self._timeout = check_timeout(timeout)
        self._path = parsed.path
        self._context = _check_context(context)
        check_session(session)
        self._core = Core(parsed, _context_of(parsed, self._context), session=session)
        self._owner = True
        self._closed = False

    @classmethod
    def _over(cls: type[H], core: Core, context: Context | None, path: str, timeout: float | None) -> H:
        """A store that shares an opened bucket."""
        store = cls.__new__(cls)
        store._core, store._context, store._path, store._timeout = core, context, path, timeout
        store._owner = store._closed = False
        return store

    def _sharing(self: H, path: str, timeout: float | None) -> H:
        """A store that differs from this one only in path and timeout."""
        check_path("path", path)
        return type(self)._over(self._core, self._context, path, timeout)

    # ---------------------------------------------------------------- children

    def __truediv__(self: H, name: str) -> H:
        """A child store below a folder; exactly one ``/`` in between, none added at the end.

        Example:
            >>> (s3kv.Store("s3://my-bucket/a") / "b/").url
            's3://my-bucket/a/b/'
        """
        if not isinstance(name, str):
            return NotImplemented
        if not self._path:
            return self + name
        return self._sharing(
            f"{self._path.removesuffix('/')}/{check_text(name).removeprefix('/')}",
            self._timeout,
        )

    def __add__(self: H, suffix: str) -> H:
        """A child store whose path is this one's and ``suffix``, with nothing in between.

        Example:
            >>> (s3kv.Store("s3://my-bucket/run-") + "1/").url
            's3://my-bucket/run-1/'
        """
        if not isinstance(suffix, str):
            return NotImplemented
        return self._sharing(self._path + check_text(suffix), self._timeout)

    def with_timeout(self: H, seconds: float | None) -> H:
        """The same store with another ``timeout``, sharing everything else.

        Args:
            seconds: That one operation on one key, alone or in a batch, or one page of a listing, may take
                in all; None for no limit.

        Returns:
            The store; closing it does not close this one.

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: it is not positive, or more than 1e9.

        Example:
            >>> s3kv.Store("s3://my-bucket/").with_timeout(30)
            <s3kv.Store('s3://my-bucket/', timeout=30)>
        """
        return self._sharing(self._path, check_timeout(seconds))

    @property
    def path(self) -> str:
        """What every key starts with (str).

        Example:
            >>> s3kv.Store("s3://my-bucket/runs/").path
            'runs/'
        """
        return self._path

    @property
    def bucket(self) -> str:
        """The bucket's name (str); empty when the endpoint names it.

        Example:
            >>> s3kv.Store("s3://my-bucket/runs/").bucket
            'my-bucket'
        """
        return self._core.spec.bucket

    @property
    def url(self) -> str:
        """The ``s3://`` URL of the store (str).

        Raises:
            SpecError: the store has an endpoint of its own, which no ``s3://`` URL can say.

        Example:
            >>> s3kv.Store(bucket="my-bucket", path="a b/").url
            's3://my-bucket/a%20b/'
        """
        return self._spec().url

    @property
    def context(self) -> Context:
        """Where the store's shared resources are (a :class:`Context`).

        Example:
            >>> raw = s3kv.Store("s3://my-bucket/raw/", context={"s3_request_concurrency": {"limit": 8}})
            >>> s3kv.Store("s3://my-bucket/results/", context=raw.context).context is raw.context
            True
        """
        return self._core.context

    def spec(self, *, include_defaults: bool = False, include_context: bool = True) -> dict[str, Any]:
        """The JSON spec that opens the same store: ``Store(store.spec()) == store``.

        Args:
            include_defaults: Also write members that have their default value; default False.
            include_context: Also write, as ``context``, the resources that the members refer to; default
                True. Without them, the spec needs the same context again.

        Returns:
            A JSON-like object (dict).

        Raises:
            SpecError: the credentials were passed as a Python object, which has no JSON form.

        Example:
            >>> s3kv.Store("s3://my-bucket/runs/", requester_pays=True).spec()
            {'driver': 's3', 'bucket': 'my-bucket', 'path': 'runs/', 'requester_pays': True}
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
        """Close the store for good. Closing again does nothing; any other call is ``StoreClosed``.

        What sends no request still tells what it did: ``spec``, ``path``, ``metrics`` and the like.

        Closing a store also closes its children (``store / "sub"``); closing a child closes no other.

        Example:
            >>> with s3kv.Store(store.spec()) as other:  # closes it at the end of the block
            ...     stamp = other.put("a.txt", b"hello")
            >>> other["a.txt"]
            Traceback (most recent call last):
                ...
            s3kv.errors.StoreClosed: the store is closed (key='a.txt')
        """
        self._closed = True
        if self._owner:
            self._core.close()

    def __enter__(self: H) -> H:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        """Whether the other store is described the same way; contents are not compared."""
        if not isinstance(other, Handle):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        core = self._core
        return core.identity, self._path, self._timeout, id(core.session)

    def __copy__(self: H) -> H:
        """Another handle on the same store, sharing everything; closing it closes nothing else."""
        return self._sharing(self._path, self._timeout)

    def __deepcopy__(self: H, memo: dict[int, Any]) -> H:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._core.session is not None:
            raise TypeError("a store with session= cannot be pickled: a session may hold secrets")
        return _reopen, (type(self), self._spec(), self._context, self._timeout)

    def __repr__(self) -> str:
        spec = self._spec()
        parts = [repr(spec.url)] if spec.endpoint is None else []
        parts += spec.shown(leave_out=("bucket", "path") if parts else ())
        if self._timeout is not None:
            parts.append(f"timeout={self._timeout:g}")
        closed = " closed" if self._closed or self._core.closed else ""
        return f"<s3kv.Store({', '.join(parts)}){closed}>"

    def _repr_html_(self) -> str:
        """A table, for notebooks: what the store is. Sends no request, and shows no secret."""
        from .tables import facts

        core, spec = self._core, self._spec()
        place, given = core.endpoint, core.resolved.specs[0]
        kind = getattr(given, "type", None)
        profile = getattr(given, "profile", None)
        closed = " (closed)" if self._closed or core.closed else ""
        rows: list[tuple[str, object]] = [
            ("URL", spec.url if spec.endpoint is None else None),
            ("endpoint", core._place.url),
            ("bucket", spec.bucket or "named by the endpoint"),
            ("path", self._path or None),
            ("region", place.region if place is not None else "to be asked of the bucket"),
            ("credentials", repr(given) if kind is None else f"{kind}: {profile}" if profile else kind),
            ("timeout", None if self._timeout is None else f"{self._timeout:g} s"),
        ]
        return facts(f"s3kv.Store{closed}", rows)

    def __bool__(self) -> bool:
        """True: a store is a place, whether it is empty or not. Sends no request."""
        return True

    def _check_open(self, key: str | None = None) -> None:
        if self._closed or self._core.closed:
            raise StoreClosed("the store is closed", key=key)

    def _run(
        self,
        operation: Callable[..., Generator[Any, Any, T]],
        key: str | None,
        *arguments: Any,
        since: float | None = None,
        express: Express | None = None,
        asked: Asked | None = None,
    ) -> T:
        self._check_open(key)
        return self._core.run(
            operation, key, self._timeout, *arguments, since=since, express=express, asked=asked
        )


def check_text(text: object) -> str:
    """``text`` if it is a str that UTF-8 can hold."""
    if not isinstance(text, str):
        raise TypeError(f"a prefix is a str, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKey(f"{ascii(text)[:80]} cannot be written as UTF-8") from error
    return plain(text)


def check_timeout(seconds: object) -> float | None:
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


def check_session(session: object) -> None:
    """Raise a TypeError for what is neither a session nor None."""
    if session is not None and not all(hasattr(session, name) for name in _SESSION):
        raise TypeError(f"session is a requests.Session or None, not {type(session).__name__}")


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


def _reopen(cls: type[H], spec: Spec, context: Context | None, timeout: float | None) -> H:
    return cls(spec, context=context, timeout=timeout)
