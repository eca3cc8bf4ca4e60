"""The JSON spec of a store, as a frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import SpecError
from .bucket import check_bucket
from .endpoint_url import split_endpoint
from .url import format_url, parse_url

CREDENTIAL_TYPES = ("anonymous", "environment", "default")


class Spec(NamedTuple):
    """What a store is: bucket, path and where to find it.

    Attributes:
        bucket: The bucket's name; empty only when ``endpoint`` already names it.
        path: What every key starts with, no separator implied; default empty.
        endpoint: The URL of an S3-compatible store; None for Amazon's.
        aws_region: The region to sign for; None to find it out.
        aws_credentials: The kind of credentials, ``{"type": …}`` in JSON: ``"default"`` (boto3's
            whole chain), ``"environment"`` or ``"anonymous"``.
    """

    bucket: str = ""
    path: str = ""
    endpoint: str | None = None
    aws_region: str | None = None
    aws_credentials: str = "default"

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Spec:
        """The spec that a JSON object describes.

        Example:
            >>> Spec.from_json({"driver": "s3", "bucket": "my-bucket", "path": "a/"}).url
            's3://my-bucket/a/'

        Raises:
            SpecError: an unknown member, a wrong type or a value that is not allowed.
        """
        values = {}
        for name, value in members.items():
            check = _MEMBERS.get(name)
            if check is None:
                raise _unknown(name)
            checked = check(name, value)
            if name != "driver":
                values[name] = checked
        spec = cls(**values)
        if spec.bucket:
            check_bucket(spec.bucket)
        elif spec.endpoint is None:
            raise SpecError(
                "bucket is missing: it may be left out only with an endpoint whose URL already names it",
                member="bucket",
            )
        return spec

    @classmethod
    def parse(cls, spec: str | Mapping[str, Any] | Spec | None, members: Mapping[str, Any]) -> Spec:
        """The spec that a URL, a mapping or a spec describes, with ``members`` overriding it.

        Raises:
            SpecError: see :meth:`from_json`.
            TypeError: ``spec`` is none of these.
        """
        if spec is None:
            merged: dict[str, Any] = {}
        elif isinstance(spec, Spec):
            merged = spec.to_json()
        elif isinstance(spec, str):
            bucket, path = parse_url(spec)
            merged = {"bucket": bucket, "path": path}
        elif isinstance(spec, Mapping):
            merged = dict(spec)
        else:
            raise TypeError(
                f"a store is described by an s3:// URL, a mapping or a Spec, not {type(spec).__name__}"
            )
        merged.update(members)
        return cls.from_json(merged)

    def to_json(self, *, include_defaults: bool = False) -> dict[str, Any]:
        """The JSON object that describes the same store.

        Args:
            include_defaults: Also write members that have their default value.
        """
        result: dict[str, Any] = {"driver": "s3", "bucket": self.bucket}
        if self.path or include_defaults:
            result["path"] = self.path
        if self.endpoint is not None:
            result["endpoint"] = self.endpoint
        if self.aws_region is not None:
            result["aws_region"] = self.aws_region
        if self.aws_credentials != "default" or include_defaults:
            result["aws_credentials"] = {"type": self.aws_credentials}
        return result

    @property
    def url(self) -> str:
        """The ``s3://`` URL.

        Raises:
            SpecError: the store has an endpoint of its own, which no ``s3://`` URL can say.
        """
        if self.endpoint is not None:
            raise SpecError(
                f"a store with an endpoint of its own ({self.endpoint}) has no s3:// URL; use its spec",
                member="endpoint",
            )
        return format_url(self.bucket, self.path)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{name} is {_kind(value)}: allowed is a string", member=name)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SpecError(f"{name} is {ascii(value)[:80]}: allowed is text in UTF-8", member=name) from error
    return value


def _driver(name: str, value: Any) -> str:
    if value != "s3":
        raise SpecError(f"driver is {value!r}: allowed is 's3'", member=name)
    return "s3"


def _path(name: str, value: Any) -> str:
    path = _text(name, value)
    if len(path.encode("utf-8")) > 1024:
        raise SpecError("path is longer than the 1,024 bytes that a key may have", member=name)
    return path


def _endpoint(name: str, value: Any) -> str | None:
    if value is None:
        return None
    split_endpoint(_text(name, value), member=name)
    return str(value)


def _region(name: str, value: Any) -> str | None:
    if value is None:
        return None
    region = _text(name, value)
    if not region or not region.isascii() or not region.replace("-", "").isalnum():
        raise SpecError(
            f"aws_region is {region[:80]!r}: allowed are names such as 'us-east-1'", member=name
        )
    return region


def _credentials(name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        raise SpecError(f"{name} is {_kind(value)}: allowed is an object with a type", member=name)
    unknown = [key for key in value if key != "type"]
    if unknown:
        raise SpecError(f"{name} has the unknown member {unknown[0]!r}: allowed is 'type'", member=name)
    kind = value.get("type")
    if kind not in CREDENTIAL_TYPES:
        # Nothing longer than a misspelt kind is shown: it could be a key.
        shown = repr(kind) if isinstance(kind, str) and len(kind) <= 20 else _kind(kind)
        raise SpecError(
            f"{name}.type is {shown}: allowed are {', '.join(map(repr, CREDENTIAL_TYPES))}",
            member=name,
        )
    return str(kind)


_MEMBERS: dict[str, Callable[[str, Any], Any]] = {
    "driver": _driver,
    "bucket": _text,
    "path": _path,
    "endpoint": _endpoint,
    "aws_region": _region,
    "aws_credentials": _credentials,
}


def _unknown(name: object) -> SpecError:
    import difflib

    near = difflib.get_close_matches(str(name), _MEMBERS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f": allowed are {', '.join(_MEMBERS)}"
    return SpecError(f"a store has no member {str(name)[:80]!r}{hint}", member=str(name))


def _kind(value: Any) -> str:
    """A value as an error may show it: its type, for it could hold a secret."""
    return "null" if value is None else f"of type {type(value).__name__}"
