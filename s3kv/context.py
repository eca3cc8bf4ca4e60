"""Contexts: the resources that stores share, found by name.

https://google.github.io/tensorstore/context.html describes the same idea.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from . import forksafe
from .clock import Clock
from .credentials.sources import make_source
from .errors import SpecError
from .limits.copying import CopyLimit
from .limits.rates import Rates
from .pipeline.shared import Concurrency
from .retry import RetryPolicy
from .spec.resources import (
    RESOURCES,
    ContextSpec,
    ResourceValue,
    Retries,
    dump_context,
    dump_resource,
    parse_context,
)
from .spec.spec import shown_resource


class Context:
    """Resources that several stores share: credentials, concurrency, retries, rate limits.

    Stores that refer to the same resource of the same context share it: one executor, one rate limiter,
    one fetch of credentials. A store without a context uses one process-wide default.

    Args:
        spec: A mapping from ``"resource"`` or ``"resource#name"`` to a description (an object), a
            reference to another resource of the same kind (a string), or None for a new resource with
            the defaults. Default: nothing.
        parent: Where to look for what this context does not have. Default None: nowhere; a resource
            without a name is then made with its defaults when it is needed.

    Raises:
        SpecError: an unknown resource, a wrong description, or a reference to a resource that is in
            neither this context nor its parents.

    Example:
        >>> context = s3kv.Context({
        ...     "s3_request_concurrency": {"limit": 64},
        ...     "aws_credentials#public": {"type": "anonymous"},
        ... })
        >>> store = s3kv.Store("s3://my-bucket/", context=context, aws_credentials="aws_credentials#public")
        >>> store.context is context
        True
    """

    __slots__ = ("__weakref__", "_lock", "_made", "_parent", "_spec")

    # Mutable state: ``_made``, the resources made so far by their keys, guarded by ``_lock``.

    def __init__(self, spec: Mapping[str, Any] | None = None, *, parent: Context | None = None) -> None:
        if parent is not None and not isinstance(parent, Context):
            raise TypeError(f"the parent of a Context is a Context or None, not {type(parent).__name__}")
        self._fill(() if spec is None else parse_context(spec, "context"), parent)

    def _fill(self, spec: ContextSpec, parent: Context | None) -> None:
        self._spec: dict[str, ResourceValue] = dict(spec)
        self._parent = parent
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}
        forksafe.register(self)
        for key in self._spec:
            self._resolve(key)

    @classmethod
    def _over(cls, spec: ContextSpec, parent: Context | None) -> Context:
        context = cls.__new__(cls)
        context._fill(spec, parent)
        return context

    @property
    def parent(self) -> Context | None:
        """Where resources are looked up that this context does not have (a Context, or None).

        Example:
            >>> parent = s3kv.Context({"s3_request_concurrency": {"limit": 8}})
            >>> s3kv.Context(parent=parent).parent is parent
            True
        """
        return self._parent

    def spec(self, *, include_defaults: bool = False) -> dict[str, Any]:
        """The JSON object of this context's own resources, without its parents'.

        Args:
            include_defaults: Also write members that have their default value; default False.

        Returns:
            A JSON-like object (dict).

        Raises:
            SpecError: credentials were passed as a Python object, which has no JSON form.

        Example:
            >>> s3kv.Context({"s3_request_concurrency": {"limit": 8}}).spec()
            {'s3_request_concurrency': {'limit': 8}}
        """
        return dump_context(self._items(), include_defaults)

    def _items(self) -> ContextSpec:
        return tuple(self._spec.items())

    def _resolve(self, key: str) -> tuple[Context, str, Any]:
        """The context that a reference leads to, the key there, and the description."""
        context, passed = self, []
        while True:
            owner: Context | None = context
            while owner is not None and key not in owner._spec:
                last, owner = owner, owner._parent
            if owner is None:
                kind = RESOURCES.get(key)
                if kind is not None:
                    # Not defined anywhere: the outermost context has it, with its defaults.
                    return last, key, kind.default
                raise SpecError(
                    f"context has no resource {key!r}: allowed is a name that the context, or one of its "
                    "parents, defines",
                    member=f"context.{key}",
                )
            value = owner._spec[key]
            if not isinstance(value, str):
                return owner, key, value
            if (owner, key) in passed:
                raise SpecError(
                    f"context.{key} is a reference that leads back to itself", member=f"context.{key}"
                )
            passed.append((owner, key))
            context, key = owner, value

    def _resource(self, reference: str) -> tuple[Any, Any]:
        """The description that a reference leads to, and the resource made of it, shared by all."""
        owner, key, spec = self._resolve(reference)
        with owner._lock:
            made = owner._made.get(key)
            if made is None:
                made = owner._made[key] = make_resource(key.partition("#")[0], spec)
        return spec, made

    def referred(self, references: Iterable[str], *, include_defaults: bool = False) -> dict[str, Any]:
        """The JSON object of the resources that references lead to, wherever they are defined.

        Args:
            references: For instance ``["aws_credentials", "s3_request_concurrency#mine"]``.
            include_defaults: Also write what has its default value; default False.

        Returns:
            A JSON-like object (dict).

        Raises:
            SpecError: a reference to nothing; credentials that were passed as a Python object.

        Example:
            >>> parent = s3kv.Context({"s3_request_concurrency#few": {"limit": 8}})
            >>> s3kv.Context(parent=parent).referred(["s3_request_concurrency#few", "aws_credentials"])
            {'s3_request_concurrency#few': {'limit': 8}}
        """
        result: dict[str, Any] = {}
        for reference in references:
            _, key, spec = self._resolve(reference)
            name = key.partition("#")[0]
            # A reference to a name of its own is nothing without the resource, be that the default.
            if "#" in reference or spec != RESOURCES[name].default or include_defaults:
                result[reference] = dump_resource(name, spec, include_defaults)
        return result

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()

    def __copy__(self) -> Context:
        # What it is for is to be shared.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Context:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # The default context of another process is that process's.
        if self is _default.context:
            return default_context, ()
        return Context._over, (self._items(), self._parent)

    def __repr__(self) -> str:
        shown = {key: shown_resource(key.partition("#")[0], value) for key, value in self._spec.items()}
        parent = "" if self._parent is None else f", parent={self._parent!r}"
        return f"Context({shown!r}{parent})"


_CLOCK = Clock()

_MAKERS: dict[str, Callable[[Any], Any]] = {
    "aws_credentials": lambda spec: make_source(spec, _CLOCK),
    "s3_request_concurrency": lambda spec: Concurrency(spec.limit),
    "s3_request_retries": lambda spec: retry_policy(spec),
    "experimental_s3_rate_limiter": lambda spec: Rates(spec, os.environ),
    "data_copy_concurrency": lambda spec: _shared_copies() if spec.limit is None else CopyLimit(spec.limit),
}


def make_resource(name: str, spec: Any) -> Any:
    """A new resource of the kind ``name``."""
    return _MAKERS[name](spec)


# Longer than anybody waits, and short enough for the system's timers.
_LONGEST = 10.0**9


def retry_policy(spec: Retries) -> RetryPolicy:
    """The policy that a spec describes."""
    return RetryPolicy(
        spec.max_retries,
        min(spec.initial_delay / 1e9, _LONGEST),
        min(spec.max_delay / 1e9, _LONGEST),
    )


class Resolved(NamedTuple):
    """The resources of one store; attributes named as in its spec.

    Attributes:
        specs: Their descriptions, in the order of the attributes below.
    """

    specs: tuple[Any, ...]
    aws_credentials: Any
    s3_request_concurrency: Concurrency
    s3_request_retries: RetryPolicy
    experimental_s3_rate_limiter: Rates
    data_copy_concurrency: CopyLimit


def resolve(values: Mapping[str, ResourceValue], context: Context) -> Resolved:
    """The resources that a store's members describe or refer to.

    Raises:
        SpecError: a reference to a resource that the context does not have.
    """
    specs, made = [], []
    for name in RESOURCES:
        value = values[name]
        if isinstance(value, str):
            spec, resource = context._resource(value)
        else:
            spec, resource = value, make_resource(name, value)
        specs.append(spec)
        made.append(resource)
    return Resolved(tuple(specs), *made)


class _Default:
    """Mutable state: ``context`` and ``copies``, each made once under ``lock``, when first needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.context: Context | None = None
        self.copies: CopyLimit | None = None
        forksafe.register(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_default = _Default()


def default_context() -> Context:
    """The context of every store that is given none."""
    with _default.lock:
        if _default.context is None:
            _default.context = Context()
        return _default.context


def _shared_copies() -> CopyLimit:
    with _default.lock:
        if _default.copies is None:
            _default.copies = CopyLimit()
        return _default.copies
