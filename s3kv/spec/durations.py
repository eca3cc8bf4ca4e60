"""Durations as text, the way TensorStore writes them: ``"100ms"``, ``"1m30s"``, ``"0"``."""

from __future__ import annotations

import re

from ..errors import SpecError

_UNITS = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_PART = r"(?:[0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|ms|s|m|h)"
_PARTS = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|ms|s|m|h)").findall
_DURATION = re.compile(rf"\+?(?:0|(?:{_PART})+)").fullmatch

# What TensorStore can hold.
_LONGEST = 2_562_047_788_015_215 * _UNITS["h"]

ALLOWED = "a duration such as '100ms', '1m30s' or '0' (units h, m, s, ms, us, ns)"


def parse_duration(text: object, member: str) -> int:
    """Nanoseconds of a duration; anything finer is cut off.

    Args:
        text: What was given.
        member: What an error is to call it.

    Raises:
        SpecError: not a duration, a negative one, ``"inf"``, or one that is too long.
    """
    if not isinstance(text, str):
        kind = "null" if text is None else f"of type {type(text).__name__}"
        raise SpecError(f"{member} is {kind}: allowed is {ALLOWED}", member=member)
    if not _DURATION(text):
        raise SpecError(f"{member} is {text[:40]!r}: allowed is {ALLOWED}", member=member)
    total = 0
    for whole, fraction, unit in _PARTS(text):
        size = _UNITS[unit]
        total += int(whole or "0") * size
        digits = fraction[:18]
        if digits:
            total += int(digits) * size // 10 ** len(digits)
    if total > _LONGEST:
        raise SpecError(
            f"{member} is {text[:40]!r}: allowed is at most {format_duration(_LONGEST)}", member=member
        )
    return total


def format_duration(nanoseconds: int) -> str:
    """The shortest text for a duration, as :func:`parse_duration` reads it."""
    if nanoseconds == 0:
        return "0"
    if nanoseconds < 10**9:
        for unit in ("ms", "us", "ns"):
            if nanoseconds >= _UNITS[unit]:
                return _decimal(nanoseconds, _UNITS[unit]) + unit
    text = ""
    for unit in ("h", "m"):
        count, nanoseconds = divmod(nanoseconds, _UNITS[unit])
        if count:
            text += f"{count}{unit}"
    return text + (f"{_decimal(nanoseconds, 10**9)}s" if nanoseconds else "")


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = str(unit + rest)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
