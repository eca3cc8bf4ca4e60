"""AWS Signature Version 4 as S3 wants it, as pure functions of values.

The three stages of the specification are three functions, so that each can be checked against
published vectors: :func:`canonical_request`, :func:`string_to_sign`, :func:`signature`.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from .keys import encode_query

Headers = Sequence[tuple[str, str]]

EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
ALGORITHM = "AWS4-HMAC-SHA256"

_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class SigningKey:
    """The key derived for one day, region and service, ready to sign.

    An HMAC is two SHA-256 passes whose first blocks depend on the key alone. Both are computed once
    and copied for each signature: that is less work than ``hmac.digest``, and, unlike it, never
    gives up the interpreter lock in the middle of a request.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = sha256(block.translate(_INNER_PAD))
        self._outer = sha256(block.translate(_OUTER_PAD))

    def sign(self, message: bytes) -> str:
        """The HMAC-SHA-256 of ``message``, in hexadecimal."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return "SigningKey(…)"


class PrefixedKey:
    """A signing key for messages that all begin with the same words."""

    __slots__ = ("_begun", "_outer")

    def __init__(self, key: SigningKey, prefix: str) -> None:
        self._begun = key._inner.copy()
        self._begun.update(prefix.encode("utf-8"))
        self._outer = key._outer

    def sign(self, rest: str) -> str:
        """The HMAC-SHA-256, in hexadecimal, of the message that goes on with ``rest``."""
        inner = self._begun.copy()
        inner.update(rest.encode("ascii"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return "PrefixedKey(…)"


@lru_cache(maxsize=64)
def signing_key(secret: str, date: str, region: str, service: str = "s3") -> SigningKey:
    """The signing key of a secret for one date (``YYYYMMDD``) and region; cached."""
    key = ("AWS4" + secret).encode("utf-8")
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8"), "sha256")
    return SigningKey(key)


@lru_cache(maxsize=16)
def _format_second(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def amz_date(timestamp: float) -> str:
    """``x-amz-date`` of a time in seconds since the epoch: ``20260131T235959Z``."""
    return _format_second(int(timestamp))


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query string, percent-encoded and in the order of the encoded names and values.

    The same text goes on the wire, so what is signed is what is sent.
    """
    encoded = sorted((encode_query(name), encode_query(value)) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded])


def canonical_headers(headers: Headers) -> tuple[str, str]:
    """(the canonical header lines, the list of signed names) of ``headers``.

    Args:
        headers: Names in lower case, in any order; no name twice.
    """
    lines = []
    names = []
    for name, value in sorted(headers):
        if "  " in value or value[:1] == " " or value[-1:] == " " or "\t" in value:
            value = " ".join(value.split())
        lines.append(f"{name}:{value}\n")
        names.append(name)
    return "".join(lines), ";".join(names)


def canonical_request(
    method: str, path: str, query: str, headers: Headers, payload_hash: str
) -> tuple[str, str]:
    """(the canonical request, the list of signed names).

    Args:
        path: The path exactly as it goes on the wire: S3 encodes once and never normalises.
        query: What :func:`canonical_query` gave.
        headers: The headers to sign, names in lower case.
        payload_hash: SHA-256 of the body in hexadecimal, or ``UNSIGNED-PAYLOAD``.
    """
    lines, names = canonical_headers(headers)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}", names


def credential_scope(date: str, region: str) -> str:
    """The scope of a signature: date, region and service."""
    return f"{date[:8]}/{region}/s3/aws4_request"


def string_to_sign(date: str, scope: str, request: str) -> str:
    """The string to sign for a canonical request at an ``x-amz-date``."""
    return f"{ALGORITHM}\n{date}\n{scope}\n{sha256(request.encode('utf-8')).hexdigest()}"


def signature(secret: str, date: str, region: str, text: str) -> str:
    """The signature, in hexadecimal, of a string to sign."""
    return signing_key(secret, date[:8], region).sign(text.encode("utf-8"))


def authorization(
    access_key: str,
    secret: str,
    region: str,
    date: str,
    method: str,
    path: str,
    query: str,
    headers: Headers,
    payload_hash: str,
) -> str:
    """The ``Authorization`` header of a request whose signed headers are ``headers``."""
    request, names = canonical_request(method, path, query, headers, payload_hash)
    scope = credential_scope(date, region)
    text = string_to_sign(date, scope, request)
    return (
        f"{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature(secret, date, region, text)}"
    )


def presigned_query(
    access_key: str,
    secret: str,
    token: str | None,
    region: str,
    date: str,
    expires: int,
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Headers,
) -> str:
    """The whole query string of a presigned URL, signature included.

    Args:
        token: The session token, or None.
        expires: Seconds that the URL is good for, 1 to 604,800.
        query: The request's own query parameters.
        headers: The headers that the caller of the URL must send; at least ``host``.
    """
    scope = credential_scope(date, region)
    pairs = [
        *query,
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{access_key}/{scope}"),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", canonical_headers(headers)[1]),
    ]
    if token is not None:
        pairs.append(("X-Amz-Security-Token", token))
    encoded = canonical_query(pairs)
    request, _ = canonical_request(method, path, encoded, headers, UNSIGNED_PAYLOAD)
    text = string_to_sign(date, scope, request)
    return f"{encoded}&X-Amz-Signature={signature(secret, date, region, text)}"
