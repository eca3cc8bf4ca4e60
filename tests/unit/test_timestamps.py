"""Times in headers and in XML, against email.utils and datetime."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.timestamps import parse_http_date, parse_iso_date

UTC = timezone.utc
_seconds = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
_micros = st.datetimes(timezones=st.just(UTC))


@given(_seconds)
def test_an_http_date_is_what_email_utils_wrote(moment: datetime) -> None:
    """Any second from year 1 to 9999, aware and in UTC."""
    text = format_datetime(moment, usegmt=True)
    parsed = parse_http_date(text)
    assert parsed == moment
    assert parsed is not None
    assert parsed.utcoffset() is not None
    if moment.year >= 1000:
        # The oracle takes shorter years for years of this century.
        assert parsed == parsedate_to_datetime(text)


@given(_micros)
def test_an_iso_date_is_what_datetime_wrote(moment: datetime) -> None:
    """With microseconds, with milliseconds, with seconds, with more digits than datetime has."""
    base = moment.strftime("%Y").rjust(4, "0") + moment.strftime("-%m-%dT%H:%M:%S")
    fraction = f"{moment.microsecond:06d}"
    assert parse_iso_date(f"{base}.{fraction}Z") == moment
    assert parse_iso_date(f"{base}.{fraction}999Z") == moment
    assert parse_iso_date(f"{base}Z") == moment.replace(microsecond=0)
    millis = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_iso_date(f"{base}.{fraction[:3]}Z") == millis
    assert parse_iso_date(f"{base}.{fraction}Z") == datetime.fromisoformat(f"{base}.{fraction}+00:00")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "now",
        "0",
        "1369353600",
        "Fri, 24 May 2013 00:00:00",
        "Fri, 24 May 2013 00:00:00 UTC",
        "Fri, 24 May 2013 00:00:00 +0000",
        "Fri, 24 may 2013 00:00:00 GMT",
        "Fri, 24 Abc 2013 00:00:00 GMT",
        "Fri, 4 May 2013 00:00:00 GMT",
        "Fri, 32 May 2013 00:00:00 GMT",
        "Fri, 00 May 2013 00:00:00 GMT",
        "Fri, 30 Feb 2013 00:00:00 GMT",
        "Fri, 24 May 2013 24:00:00 GMT",
        "Fri, 24 May 2013 00:60:00 GMT",
        "Fri, 24 May 2013 00:00:61 GMT",
        "Fri, 24 May 0000 00:00:00 GMT",
        "Fry, 24 May 2013 00:00:00 GMT",
        "Fri, 24 May ٢٠١٣ 00:00:00 GMT",
        "Friday, 24-May-13 00:00:00 GMT",
        "Fri May 24 00:00:00 2013",
        "Fri, 24 May 2013 00:00:00 GMT\n",
        " Fri, 24 May 2013 00:00:00 GMT",
    ],
)
def test_what_is_no_http_date_is_none(text: str | None) -> None:
    """Absent, another form, or no day of any calendar: never an exception."""
    assert parse_http_date(text) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2026-01-31",
        "2026-01-31T23:59:59",
        "2026-01-31 23:59:59Z",
        "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59.0000000000Z",
        "2026-01-31T23:59:59+01:00",
        "2026-02-30T23:59:59Z",
        "2026-13-01T23:59:59Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:59:60Z",
        "0000-01-31T23:59:59Z",
        "20260131T235959Z",
        "2026-01-31T23:59:59Z\n",
        "٢٠٢٦-01-31T23:59:59Z",
    ],
)
def test_what_is_no_iso_date_is_none(text: str | None) -> None:
    """A zone other than UTC is not taken for UTC; never an exception."""
    assert parse_iso_date(text) is None


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """Never an exception."""
    assert parse_http_date(text) is None
    assert parse_iso_date(text) is None
