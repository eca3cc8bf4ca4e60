"""What the plain members of a spec may be: each check returns the value as the spec keeps it."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from ..errors import SpecError
from ..keys import MAX_KEY_BYTES, plain
from .bucket import check_bucket
from .endpoint_url import split_endpoint

# RFC 9110, section 7.2: a host as URIs have it, with a port perhaps.
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]+").fullmatch
_REGION = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*").fullmatch
MAX_INT = 2**63 - 1


def is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a JSON object; a store, whose items are in a bucket, is none."""
    return isinstance(value, Mapping) and not hasattr(type(value), "_is_store")


def kind_of(value: Any) -> str:
    """A value as an error may show it: its type, for it could hold a secret."""
    return "null" if value is None else f"of type {type(value).__name__}"


def unknown_member(name: object, allowed: Iterable[str], where: str) -> SpecError:
    """The error for a member that there is not, with the nearest one that there is.

    Args:
        name: What was given.
        allowed: The members that there are.
        where: What lacks it, for instance ``"aws_credentials"``; empty for the store itself.
    """
    import difflib

    names = list(allowed)
    near = difflib.get_close_matches(str(name), names, n=1)
    listed = ", ".join(names) or "none"
    hint = f"did you mean {near[0]!r}? allowed are {listed}" if near else f"allowed are {listed}"
    shown = str(name) if len(str(name)) <= 80 else f"{str(name)[:80]}…"
    member = f"{where}.{shown}" if where else shown
    return SpecError(f"{where or 'a store'} has no member {shown!r}; {hint}", member=member)


def text(member: str, value: Any) -> str:
    """A str that UTF-8 can hold."""
    if not isinstance(value, str):
        raise SpecError(f"{member} is {kind_of(value)}: allowed is a string", member=member)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SpecError(
            f"{member} is {ascii(value)[:80]}: allowed is text in UTF-8", member=member
        ) from error
    return plain(value)


def boolean(member: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise SpecError(f"{member} is {kind_of(value)}: allowed are true and false", member=member)
    return value


def positive_int(member: str, value: Any, *, otherwise: str = "") -> int:
    """A whole number of at least 1; JSON knows no difference between 3 and 3.0.

    Args:
        otherwise: What else is allowed, for the error.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, bool) and isinstance(value, numbers.Integral) and 1 <= int(value) <= MAX_INT:
        return int(value)
    raise SpecError(
        f"{member} is {_shown(value)}: allowed is a whole number of at least 1, in 64 bits{otherwise}",
        member=member,
    )


def positive_number(member: str, value: Any) -> float:
    """A finite number above 0."""
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if 0 < number < math.inf:
            return number
    raise SpecError(f"{member} is {_shown(value)}: allowed is a finite number above 0", member=member)


def _shown(value: Any) -> str:
    if isinstance(value, (float, str)) or (isinstance(value, int) and abs(value) <= MAX_INT):
        return f"{value!r:.40}"
    return f"a number of {value.bit_length()} bits" if isinstance(value, int) else kind_of(value)


def driver(member: str, value: Any) -> str:
    """The name of TensorStore's driver for S3."""
    if value != "s3":
        shown = f"{value!r:.40}" if isinstance(value, str) else kind_of(value)
        raise SpecError(f"{member} is {shown}: allowed is 's3'", member=member)
    return "s3"


def bucket(member: str, value: Any) -> str:
    """A bucket's name, or the empty string."""
    name = text(member, value)
    if name:
        check_bucket(name, member=member)
    return name


def path(member: str, value: Any) -> str:
    """What every key starts with."""
    given = text(member, value)
    if len(given.encode("utf-8")) > MAX_KEY_BYTES:
        raise SpecError(f"{member} is longer than the 1,024 bytes that a key may have", member=member)
    return given


def endpoint(member: str, value: Any) -> str:
    """The URL of a compatible store."""
    given = text(member, value)
    split_endpoint(given, member=member)
    return given


def region(member: str, value: Any) -> str | None:
    """A region's name; empty, as TensorStore writes it, is none."""
    given = text(member, value)
    if not given:
        return None
    if not _REGION(given):
        raise SpecError(f"{member} is {given[:80]!r}: allowed are names such as 'us-east-1'", member=member)
    return given


def host_header(member: str, value: Any) -> str:
    """The value of a Host header."""
    given = text(member, value)
    if not _HOST(given):
        raise SpecError(
            f"{member} is {given[:80]!r}: allowed is a host name, with a port if need be", member=member
        )
    return given
