"""The two ways S3 writes a time: HTTP dates in headers, ISO 8601 in XML."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
# RFC 9110 section 5.6.7: IMF-fixdate, the only form that current servers send.
_HTTP_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
).fullmatch
_ISO_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z"
).fullmatch


# The length of an ISO date with milliseconds, which the standard library reads faster.
_USUAL = len("2026-01-31T23:59:59.000Z")


def parse_http_date(text: str | None) -> datetime | None:
    """The time of an HTTP date header, in UTC; None when absent or not in that form."""
    match = _HTTP_DATE(text) if text else None
    if match is None or match[2] not in _MONTHS:
        return None
    return _build(match[3], _MONTHS[match[2]], match[1], match[4], match[5], match[6], 0)


def parse_iso_date(text: str | None) -> datetime | None:
    """The time of an S3 XML element such as ``2026-01-31T23:59:59.000Z``, or None."""
    match = _ISO_DATE(text) if text else None
    if text is None or match is None:
        return None
    if len(text) == _USUAL:
        try:
            return datetime.fromisoformat(f"{text[:-1]}+00:00")
        except ValueError:
            return None
    micros = int((match[7] or "0").ljust(6, "0")[:6])
    return _build(match[1], match[2], match[3], match[4], match[5], match[6], micros)


def _build(
    year: str, month: str | int, day: str, hour: str, minute: str, second: str, micros: int
) -> datetime | None:
    try:
        return datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), micros, timezone.utc
        )
    except ValueError:
        return None
