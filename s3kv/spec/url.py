"""``s3://bucket/path`` URLs: percent-decoding and encoding, exactly inverse."""

from __future__ import annotations

import re

from ..errors import SpecError
from ..keys import encode_path
from .bucket import check_bucket
from .endpoint_url import masked_url

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_SHAPE = "s3://bucket/path, the path percent-encoded"


def parse_url(url: str) -> tuple[str, str]:
    """(bucket, path) of an ``s3://`` URL.

    Raises:
        SpecError: another scheme, no bucket, a bad bucket name, a query, a fragment, or a path whose
            percent-encoding is not UTF-8.
    """

    def refuse(why: str) -> SpecError:
        return SpecError(f"the URL {masked_url(url)!r}: {why}; allowed is {_SHAPE}", member="url")

    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "s3":
        raise refuse(f"the scheme is {scheme[:20]!r}" if separator else "it has no scheme")
    if "?" in rest:
        raise refuse("it has a query (a question mark in a path is %3F)")
    if "#" in rest:
        raise refuse("it has a fragment (a number sign in a path is %23)")
    if "|" in rest:
        raise refuse("it has a |, which TensorStore takes for a chain of drivers (a literal one is %7C)")
    bucket, _, path = rest.partition("/")
    if not bucket:
        raise refuse("it names no bucket")
    if "@" in bucket or ":" in bucket:
        raise refuse("it has user information or a port")
    check_bucket(bucket)
    if _BAD_PERCENT(path):
        raise refuse("a percent sign stands without two hexadecimal digits (a literal one is %25)")
    if "%" not in path:
        return bucket, path
    from urllib.parse import unquote_to_bytes

    try:
        return bucket, unquote_to_bytes(path).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise refuse("its path is not percent-encoded UTF-8") from error


def format_url(bucket: str, path: str) -> str:
    """The URL of a path in a bucket."""
    return f"s3://{bucket}/{encode_path(path)}"
