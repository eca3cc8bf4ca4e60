"""The context resources of a spec, as frozen values: credentials, limits, retries.

A resource is described by an object, or referred to by its name, ``"aws_credentials"`` or
``"aws_credentials#id"``, which is then looked up in the store's context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import SpecError
from .aws_credentials import AwsCredentials, Given, dump_credentials, parse_credentials
from .durations import format_duration, parse_duration
from .members import is_object, kind_of, positive_int, positive_number, unknown_member

SECOND = 10**9


class Concurrency(NamedTuple):
    """A limit on how much goes on at once.

    Attributes:
        limit: How many at once; None for ``"shared"``: the process-wide limit.
    """

    limit: int | None = None


class Retries(NamedTuple):
    """How often and how patiently a request is tried.

    Attributes:
        max_retries: Attempts in all.
        initial_delay: Nanoseconds.
        max_delay: Nanoseconds.
    """

    max_retries: int = 32
    initial_delay: int = SECOND
    max_delay: int = 32 * SECOND


class RateLimiter(NamedTuple):
    """How many requests a second are sent.

    Attributes:
        read_rate: Reads, stats and listings a second; None for no limit.
        write_rate: Writes and deletions a second; None for no limit.
        doubling_time: Nanoseconds in which the rates double, 0 for constant rates; None for what the
            environment says.
    """

    read_rate: float | None = None
    write_rate: float | None = None
    doubling_time: int | None = None


ResourceSpec = AwsCredentials | Given | Concurrency | Retries | RateLimiter
# A reference is a plain str.
ResourceValue = ResourceSpec | str


class ResourceType(NamedTuple):
    """A kind of resource.

    Attributes:
        name: Its name in specs and contexts.
        default: What it is where nothing is said.
        parse: From a JSON value and what an error is to call it.
        dump: To a JSON object; the second argument is whether to include defaults.
    """

    name: str
    default: Any
    parse: Callable[[Any, str], Any]
    dump: Callable[[Any, bool], dict[str, Any]]

    def value(self, given: Any, member: str) -> ResourceValue:
        """A description or a reference.

        Raises:
            SpecError: it is neither.
        """
        if isinstance(given, str):
            if given != self.name and not given.startswith(f"{self.name}#"):
                # Not shown: where a name belongs, somebody may have put a key.
                raise SpecError(
                    f"{member} is a string that is no reference: allowed are an object, {self.name!r} and "
                    f"'{self.name}#' with a name of your own",
                    member=member,
                )
            return given
        return self.parse(given, member)  # type: ignore[no-any-return]


def _object(given: Any, member: str, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not is_object(given):
        raise SpecError(f"{member} is {kind_of(given)}: allowed is an object or a reference", member=member)
    for name in given:
        if name not in allowed:
            raise unknown_member(name, allowed, member)
    return given


def _parse_concurrency(given: Any, member: str) -> Concurrency:
    limit = _object(given, member, ("limit",)).get("limit", "shared")
    if limit == "shared":
        return Concurrency()
    return Concurrency(positive_int(f"{member}.limit", limit, otherwise=" or 'shared'"))


def _dump_concurrency(spec: Concurrency, include_defaults: bool) -> dict[str, Any]:
    if spec.limit is not None:
        return {"limit": spec.limit}
    return {"limit": "shared"} if include_defaults else {}


def _parse_retries(given: Any, member: str) -> Retries:
    members = _object(given, member, Retries._fields)
    values: dict[str, int] = {}
    if "max_retries" in members:
        values["max_retries"] = positive_int(f"{member}.max_retries", members["max_retries"])
    for name in ("initial_delay", "max_delay"):
        if name in members:
            values[name] = parse_duration(members[name], f"{member}.{name}")
    return Retries(**values)


def _dump_retries(spec: Retries, include_defaults: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value, default in zip(Retries._fields, spec, Retries(), strict=True):
        if include_defaults or value != default:
            result[name] = value if name == "max_retries" else format_duration(value)
    return result


def _parse_limiter(given: Any, member: str) -> RateLimiter:
    members = _object(given, member, RateLimiter._fields)
    values: dict[str, Any] = {}
    for name in ("read_rate", "write_rate"):
        if name in members:
            values[name] = positive_number(f"{member}.{name}", members[name])
    if "doubling_time" in members:
        values["doubling_time"] = parse_duration(members["doubling_time"], f"{member}.doubling_time")
    return RateLimiter(**values)


def _dump_limiter(spec: RateLimiter, include_defaults: bool) -> dict[str, Any]:
    # None of the three has a default that could be written: no rate is no limit, and the doubling time
    # comes from the environment.
    result: dict[str, Any] = {}
    if spec.read_rate is not None:
        result["read_rate"] = spec.read_rate
    if spec.write_rate is not None:
        result["write_rate"] = spec.write_rate
    if spec.doubling_time is not None:
        result["doubling_time"] = format_duration(spec.doubling_time)
    return result


RESOURCES: dict[str, ResourceType] = {
    kind.name: kind
    for kind in (
        ResourceType("aws_credentials", AwsCredentials(), parse_credentials, dump_credentials),
        ResourceType("s3_request_concurrency", Concurrency(), _parse_concurrency, _dump_concurrency),
        ResourceType("s3_request_retries", Retries(), _parse_retries, _dump_retries),
        ResourceType("experimental_s3_rate_limiter", RateLimiter(), _parse_limiter, _dump_limiter),
        ResourceType("data_copy_concurrency", Concurrency(), _parse_concurrency, _dump_concurrency),
    )
}
"""Every kind of resource, by name."""


ContextSpec = tuple[tuple[str, ResourceValue], ...]


def parse_context(given: Any, member: str = "context") -> ContextSpec:
    """The resources of a context, by key, in the order of their keys.

    Raises:
        SpecError: no mapping, an unknown resource, or one that is described wrongly.
    """
    if not is_object(given):
        raise SpecError(f"{member} is {kind_of(given)}: allowed is an object of resources", member=member)
    values: list[tuple[str, ResourceValue]] = []
    for key, value in given.items():
        kind = RESOURCES.get(key.partition("#")[0]) if isinstance(key, str) else None
        if kind is None:
            raise unknown_member(key, RESOURCES, member)
        values.append((key, kind.default if value is None else kind.value(value, f"{member}.{key}")))
    return tuple(sorted(values, key=lambda item: item[0]))


def dump_resource(name: str, value: ResourceValue, include_defaults: bool) -> Any:
    """The JSON value of a description or reference of the kind ``name``."""
    return value if isinstance(value, str) else RESOURCES[name].dump(value, include_defaults)


def dump_context(spec: ContextSpec, include_defaults: bool = False) -> dict[str, Any]:
    """The JSON object of a context's resources."""
    return {key: dump_resource(key.partition("#")[0], value, include_defaults) for key, value in spec}
