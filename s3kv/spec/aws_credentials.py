"""The ``aws_credentials`` resource: which kind of credentials, and what that kind needs to know."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

from ..errors import SpecError
from .endpoint_url import masked_url
from .members import is_object, kind_of, text, unknown_member

# The members that each type has, all optional.
TYPES: dict[str, tuple[str, ...]] = {
    "anonymous": (),
    "environment": (),
    "profile": ("profile", "config_file", "credentials_file"),
    "ecs": ("endpoint", "auth_token_file"),
    "imds": (),
    "default": ("profile",),
}

_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?(?:[/?][!-~]*)?", re.IGNORECASE
)
# Where botocore sends a container's token over plain http, beside loopback addresses.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
_CONTAINER_HOSTS = frozenset({"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})


class AwsCredentials(NamedTuple):
    """Where credentials come from.

    Attributes:
        type: ``"default"``, ``"anonymous"``, ``"environment"``, ``"profile"``, ``"ecs"`` or ``"imds"``.
        profile: The profile's name (``profile`` and ``default``); None for what the environment says.
        config_file: The path of the config file (``profile``); None for the usual one.
        credentials_file: The path of the credentials file (``profile``); None for the usual one.
        endpoint: The URL of the container's endpoint (``ecs``); None for what the environment says.
        auth_token_file: The path of the file with its token (``ecs``, with ``endpoint``).
    """

    type: str = "default"
    profile: str | None = None
    config_file: str | None = None
    credentials_file: str | None = None
    endpoint: str | None = None
    auth_token_file: str | None = None


class Given:
    """Credentials that a Python caller passed: botocore's object, or a callable that returns one.

    Equal to another only when both hold the very same object.
    """

    __slots__ = ("source",)

    def __init__(self, source: Any) -> None:
        self.source = source

    @property
    def is_callable(self) -> bool:
        """The source is to be called for credentials."""
        return not hasattr(self.source, "get_frozen_credentials")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and other.source is self.source

    def __hash__(self) -> int:
        return hash((Given, id(self.source)))

    def __repr__(self) -> str:
        if self.is_callable:
            return f"<callable {getattr(self.source, '__qualname__', type(self.source).__name__)}>"
        return f"<botocore {type(self.source).__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_callable:
            raise TypeError(
                "a store with a Credentials object cannot be pickled: it holds secrets; pass a module's "
                "function that returns one, or a type of aws_credentials"
            )
        # Anything that does not travel by its name carries its state along, and a secret may be part of it.
        if not _has_a_name(self.source):
            raise TypeError(
                f"a store whose aws_credentials is a {type(self.source).__name__} cannot be pickled: it "
                "may hold secrets; a module's function can, by its name"
            )
        return Given, (self.source,)


def _has_a_name(source: Any) -> bool:
    """Whether pickle finds an object again by its module and name, and so stores nothing else of it."""
    found: Any = sys.modules.get(getattr(source, "__module__", None) or "")
    for part in str(getattr(source, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return found is not None and found is source


def parse_credentials(given: Any, member: str) -> AwsCredentials | Given:
    """The credentials that a JSON object describes, or that Python code passed.

    Raises:
        SpecError: no type, an unknown one, a member that it does not have, or a wrong value.
    """
    if isinstance(given, (AwsCredentials, Given)):
        return given
    if not is_object(given):
        if hasattr(given, "get_frozen_credentials") or callable(given):
            return Given(given)
        raise SpecError(
            f"{member} is {kind_of(given)}: allowed are an object with a type, a reference, a botocore "
            "Credentials object, or a callable that returns one",
            member=member,
        )
    listed = ", ".join(map(repr, TYPES))
    if "type" not in given:
        raise SpecError(f"{member} has no type: allowed are {listed}", member=f"{member}.type")
    kind = given["type"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise SpecError(f"{member}.type is {_shown(kind)}: allowed are {listed}", member=f"{member}.type")
    allowed = TYPES[kind]
    for name in given:
        if name != "type" and name not in allowed:
            raise unknown_member(name, ("type", *allowed), member)
    values: dict[str, str] = {}
    for name in allowed:
        if name in given:
            value = text(f"{member}.{name}", given[name])
            if not value:
                raise SpecError(
                    f"{member}.{name} is empty: leave it out for the usual one", member=f"{member}.{name}"
                )
            values[name] = value
    if "endpoint" in values:
        _check_container(values["endpoint"], f"{member}.endpoint")
    elif "auth_token_file" in values:
        raise SpecError(
            f"{member}.auth_token_file is allowed only with an endpoint: the environment's endpoint comes "
            "with the environment's token (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)",
            member=f"{member}.auth_token_file",
        )
    return AwsCredentials(kind, **values)


def dump_credentials(spec: AwsCredentials | Given, include_defaults: bool) -> dict[str, Any]:
    """The JSON object of credentials.

    Raises:
        SpecError: they were passed as a Python object.
    """
    if isinstance(spec, Given):
        raise SpecError(
            "aws_credentials was passed as a Python object, which has no JSON form; describe it by a type "
            "to get a spec",
            member="aws_credentials",
        )
    return {name: value for name, value in spec._asdict().items() if value is not None}


def _shown(kind: Any) -> str:
    # Nothing longer than a misspelt type is shown: it could be a key.
    return repr(kind) if isinstance(kind, str) and len(kind) <= 20 else kind_of(kind)


def _check_container(url: str, member: str) -> None:
    """Refuse an endpoint that the token and the credentials must not travel to and from."""
    match = _URL.fullmatch(url)
    if match is None or (match[3] and not 0 < int(match[3]) < 65536):
        raise SpecError(
            f"{member} is {masked_url(url)!r}: allowed is an http:// or https:// URL", member=member
        )
    host = match[2].lower().strip("[]")
    if match[1].lower() == "http" and host not in _CONTAINER_HOSTS and not _is_loopback(host):
        raise SpecError(
            f"{member} is {masked_url(url)!r}: plain http is allowed only to this machine and to the "
            "addresses of container services (169.254.170.2, 169.254.170.23, [fd00:ec2::23]); use https",
            member=member,
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
