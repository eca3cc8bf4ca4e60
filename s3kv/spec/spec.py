"""The JSON spec of a store, as a frozen value."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, NoReturn

from ..errors import SpecError
from . import members as check
from .bucket import check_bucket
from .endpoint_url import masked_url
from .resources import RESOURCES, ContextSpec, ResourceValue, dump_context, dump_resource, parse_context
from .url import format_url, parse_url

_PLAIN: dict[str, Callable[[str, Any], Any]] = {
    "driver": check.driver,
    "bucket": check.bucket,
    "path": check.path,
    "requester_pays": check.boolean,
    "aws_region": check.region,
    "endpoint": check.endpoint,
    "host_header": check.host_header,
    "use_conditional_write": check.boolean,
}
MEMBERS = (*_PLAIN, *RESOURCES, "context")
_FIELDS = MEMBERS[1:]
_DEFAULTS: dict[str, Any] = {
    "bucket": "",
    "path": "",
    "requester_pays": False,
    "aws_region": None,
    "endpoint": None,
    "host_header": None,
    "use_conditional_write": None,
    **{name: name for name in RESOURCES},
    "context": (),
}


class Spec:
    """What a store is: bucket, path and where to find it. Immutable; equal specs are equal and hash alike.

    Args:
        spec: An ``s3://bucket/path`` URL, a mapping (TensorStore's JSON spec of the ``s3`` driver), or
            another spec. Default None: what the members say.
        **members: Members of the spec, overriding ``spec``; see the attributes. None leaves a member as
            ``spec`` has it.

    Attributes:
        bucket: The bucket's name (str); empty only when ``endpoint`` already names it.
        path: What every key starts with, no separator implied (str, default empty).
        requester_pays: Whether requests say that the requester pays for them (bool, default False).
        aws_region: The region to sign for (str); None to find it out.
        endpoint: The URL of an S3-compatible store (str); None for Amazon's.
        host_header: The Host header to send (str), only with ``endpoint``; None for the endpoint's own.
        use_conditional_write: Whether the store honours the headers of conditional writes (bool); None
            to go by the endpoint.
        aws_credentials: Where credentials come from; this and the following four are context resources,
            each a frozen description or a reference such as ``"aws_credentials#mine"``.
        s3_request_concurrency: How many requests at once.
        s3_request_retries: How often and how patiently a request is tried.
        experimental_s3_rate_limiter: How many requests a second.
        data_copy_concurrency: How many threads hash or copy large bodies at once.
        context: Resources that references are looked up among first, as (key, description) pairs.

    Raises:
        SpecError: an unknown member, a wrong type, or a value that is not allowed.
        TypeError: ``spec`` is none of these.

    Example:
        >>> spec = s3kv.Spec("s3://my-bucket/a/", requester_pays=True)
        >>> spec.to_json()
        {'driver': 's3', 'bucket': 'my-bucket', 'path': 'a/', 'requester_pays': True}
        >>> s3kv.Spec(spec.to_json()) == spec
        True
    """

    __slots__ = _FIELDS

    bucket: str
    path: str
    requester_pays: bool
    aws_region: str | None
    endpoint: str | None
    host_header: str | None
    use_conditional_write: bool | None
    aws_credentials: ResourceValue
    s3_request_concurrency: ResourceValue
    s3_request_retries: ResourceValue
    experimental_s3_rate_limiter: ResourceValue
    data_copy_concurrency: ResourceValue
    context: ContextSpec

    def __init__(self, spec: str | Mapping[str, Any] | Spec | None = None, /, **members: Any) -> None:
        if isinstance(spec, Spec):
            values = spec._values()
        elif isinstance(spec, str):
            bucket, path = parse_url(spec)
            values = {**_DEFAULTS, "bucket": bucket, "path": check.path("path", path)}
        elif spec is None or check.is_object(spec):
            values = {**_DEFAULTS, **_parse(spec or {})}
        else:
            raise TypeError(
                f"a store is described by an s3:// URL, a mapping or a Spec, not {type(spec).__name__}"
            )
        # None leaves out a member, but there must be such a one.
        given = {name: value for name, value in members.items() if value is not None or name not in MEMBERS}
        values.update(_parse(given))
        self._fill(values)
        if self.bucket:
            check_bucket(self.bucket)
        elif self.endpoint is None:
            raise SpecError(
                "bucket is missing: it may be left out only with an endpoint whose URL already names it",
                member="bucket",
            )
        if self.host_header is not None and self.endpoint is None:
            raise SpecError(
                f"host_header is {self.host_header!r}: allowed only together with an endpoint",
                member="host_header",
            )

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Spec:
        """The spec that a JSON object describes.

        Args:
            members: The object (a mapping), for instance out of ``json.load``.

        Returns:
            The spec.

        Raises:
            SpecError: an unknown member, a wrong type or a value that is not allowed.

        Example:
            >>> s3kv.Spec.from_json({"driver": "s3", "bucket": "my-bucket", "path": "a/"}).url
            's3://my-bucket/a/'
        """
        if not check.is_object(members):
            raise SpecError(f"a spec is {check.kind_of(members)}: allowed is an object", member=None)
        return cls(members)

    def to_json(self, *, include_defaults: bool = False, include_context: bool = True) -> dict[str, Any]:
        """The JSON object that describes the same store.

        Args:
            include_defaults: Also write members that have their default value; default False. Members
                whose default is found out later (region, endpoint, …) are never written for that.
            include_context: Also write the ``context`` member; default True.

        Returns:
            A JSON-like object (dict).

        Raises:
            SpecError: the credentials were passed as a Python object.

        Example:
            >>> s3kv.Spec(bucket="my-bucket", endpoint="http://127.0.0.1:9000").to_json()
            {'driver': 's3', 'bucket': 'my-bucket', 'endpoint': 'http://127.0.0.1:9000'}
        """
        result: dict[str, Any] = {"driver": "s3"}
        if self.bucket or include_defaults:
            result["bucket"] = self.bucket
        if self.path or include_defaults:
            result["path"] = self.path
        if self.requester_pays or include_defaults:
            result["requester_pays"] = self.requester_pays
        for name in ("aws_region", "endpoint", "host_header", "use_conditional_write"):
            value = getattr(self, name)
            if value is not None:
                result[name] = value
        for name in RESOURCES:
            value = getattr(self, name)
            if value != name or include_defaults:
                result[name] = dump_resource(name, value, include_defaults)
        if self.context and include_context:
            result["context"] = dump_context(self.context, include_defaults)
        return result

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """The JSON Schema of specs (draft 2020-12).

        Returns:
            A JSON-like object, a new dict at each call.

        Example:
            >>> s3kv.Spec.json_schema()["$schema"]
            'https://json-schema.org/draft/2020-12/schema'
        """
        import json
        from importlib.resources import files

        text = files(__package__.partition(".")[0]).joinpath("schema.json").read_text(encoding="utf-8")
        return json.loads(text)  # type: ignore[no-any-return]

    @property
    def url(self) -> str:
        """The ``s3://`` URL (str).

        Raises:
            SpecError: the store has an endpoint of its own, which no ``s3://`` URL can say.

        Example:
            >>> s3kv.Spec(bucket="my-bucket", path="a b/").url
            's3://my-bucket/a%20b/'
        """
        if self.endpoint is not None:
            raise SpecError(
                f"a store with an endpoint of its own ({self.endpoint}) has no s3:// URL; use its spec",
                member="endpoint",
            )
        return format_url(self.bucket, self.path)

    def at(self, path: str) -> Spec:
        """The same store at another path.

        Args:
            path: What every key starts with; it is not checked.

        Returns:
            The other spec.

        Example:
            >>> s3kv.Spec("s3://my-bucket/a/").at("b/").url
            's3://my-bucket/b/'
        """
        return Spec._over({**self._values(), "path": path})

    # ---------------------------------------------------------------- a frozen value

    @classmethod
    def _over(cls, values: dict[str, Any]) -> Spec:
        spec = cls.__new__(cls)
        spec._fill(values)
        return spec

    def _fill(self, values: dict[str, Any]) -> None:
        for name in _FIELDS:
            object.__setattr__(self, name, values[name])

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Spec cannot be changed: make another, Spec(spec, {name}=…)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Spec cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spec):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __copy__(self) -> Spec:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Spec:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Spec._over, (self._values(),)

    def __repr__(self) -> str:
        return f"Spec({', '.join(self.shown())})"

    def shown(self, *, leave_out: Container[str] = ()) -> Iterator[str]:
        """The members that are not their defaults, as an expression would give them, no secrets.

        Args:
            leave_out: Names of members; default: none.

        Returns:
            An iterator of str.

        Example:
            >>> list(s3kv.Spec("s3://my-bucket/a/").shown(leave_out=["bucket"]))
            ["path='a/'"]
        """
        for name in _FIELDS:
            value = getattr(self, name)
            if value == _DEFAULTS[name] or name in leave_out:
                continue
            if name in RESOURCES and not isinstance(value, str):
                value = shown_resource(name, value)
            elif name == "context":
                value = {key: shown_resource(key.partition("#")[0], item) for key, item in value}
            yield f"{name}={value!r}"


def shown_resource(name: str, value: ResourceValue) -> Any:
    """A resource as a repr may show it: no secret, not even one in a URL."""
    if isinstance(value, str):
        return value
    try:
        shown = RESOURCES[name].dump(value, False)
    except SpecError:
        return value
    if "endpoint" in shown:
        shown["endpoint"] = masked_url(shown["endpoint"])
    return shown


def _parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a mapping as a spec keeps them; those that are not given are left out."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _PLAIN:
            checked = _PLAIN[name](name, value)
            if name != "driver":
                values[name] = checked
        elif name in RESOURCES:
            values[name] = RESOURCES[name].value(value, name)
        elif name == "context":
            values[name] = parse_context(value)
        else:
            raise check.unknown_member(name, MEMBERS, "")
    return values
