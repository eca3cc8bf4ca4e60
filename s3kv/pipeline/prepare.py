"""From a request to what goes on the wire: endpoint, headers, signature. No I/O.

Most requests of a second differ in their paths only, so all that they have in common is worked out once:
what comes before and after the payload's hash and the signature, in what is signed and in what is sent.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from ..credentials.value import Credentials
from ..endpoint import Endpoint
from ..keys import encode_path
from ..messages import Pairs, Request, WireRequest, header_lines
from ..sigv4 import (
    ALGORITHM,
    PrefixedKey,
    amz_date,
    canonical_headers,
    canonical_query,
    credential_scope,
    signing_key,
)

# Stands for the payload's hash; nothing that is sent can have it.
_HOLE = "\0"


class _Mould(NamedTuple):
    """What requests with the same headers have in common within a second.

    Attributes:
        signed: What is signed after the query, cut at the payload's hash, which comes twice.
        key: What signs it.
        sent: The header lines, cut at the payload's hash and at the signature.
    """

    signed: tuple[str, str]
    key: PrefixedKey
    sent: tuple[str, str, str]

    def __repr__(self) -> str:
        # It may hold a session token.
        return "_Mould(…)"


def prepare(
    request: Request,
    endpoint: Endpoint,
    credentials: Credentials,
    now: float,
    user_agent: str,
    *,
    extra: Pairs = (),
    fresh: bool = False,
) -> WireRequest:
    """A request ready to send, signed unless the credentials are anonymous.

    Args:
        now: Seconds since the epoch, as the store counts them.
        extra: Headers of every request of the store, to send and sign.
        fresh: Do not send it on a connection that has carried a request before.
    """
    origin, bucket_target, key_prefix, host, region, _ = endpoint
    _, method, key, pairs, headers, body, digest, data, into, cut = request
    path = bucket_target if key is None else key_prefix + encode_path(key)
    query = canonical_query(pairs) if pairs else ""
    if credentials.access_key:
        mould = _mould(headers, extra, host, region, credentials, int(now), user_agent)
        before, between = mould.signed
        canonical = f"{method}\n{path}\n{query}\n{before}{digest}{between}{digest}"
        # As the bytes will be on the wire.
        signature = mould.key.sign(sha256(canonical.encode("latin-1")).hexdigest())
        first, second, last = mould.sent
        lines = f"{first}{digest}{second}{signature}{last}"
    else:
        lines = _unsigned(headers, extra, host, user_agent)
    if body or method == "PUT" or method == "POST":
        lines = f"{lines}Content-Length: {len(body)}\r\n"
    target = f"{path}?{query}" if query else path
    return WireRequest(origin, method, target, lines, body, data, fresh, into, cut)


def mould_of(
    headers: Pairs, extra: Pairs, endpoint: Endpoint, credentials: Credentials, second: int, user_agent: str
) -> tuple[tuple[str, str], PrefixedKey | None, tuple[str, str, str]]:
    """What :func:`prepare` makes of all requests with these headers in a second.

    Args:
        second: Seconds since the epoch, as the store counts them.

    Returns:
        What is signed after the query, cut at the payload's hash, which comes twice; what signs it, None if
        the credentials are anonymous; the header lines, cut at the payload's hash and at the signature.
    """
    if not credentials.access_key:
        return ("", ""), None, (_unsigned(headers, extra, endpoint.host, user_agent), "", "")
    mould = _mould(headers, extra, endpoint.host, endpoint.region, credentials, second, user_agent)
    return mould.signed, mould.key, mould.sent


@lru_cache(maxsize=256)
def _mould(
    headers: Pairs,
    extra: Pairs,
    host: str,
    region: str,
    credentials: Credentials,
    second: int,
    user_agent: str,
) -> _Mould:
    date = amz_date(second)
    said = [("Host", host), *headers, *extra, ("x-amz-content-sha256", _HOLE), ("x-amz-date", date)]
    if credentials.token is not None:
        said.append(("x-amz-security-token", credentials.token))
    # Everything so far is signed; what follows may be changed by proxies without harm.
    lines, names = canonical_headers([("host", host), *said[1:]])
    before, between = f"{lines}\n{names}\n".split(_HOLE)
    scope = credential_scope(date, region)
    key = signing_key(credentials.secret_key, date[:8], region)
    first, second_part = header_lines(said).split(_HOLE)
    return _Mould(
        (before, between),
        PrefixedKey(key, f"{ALGORITHM}\n{date}\n{scope}\n"),
        (
            first,
            f"{second_part}Authorization: {ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature=",
            f"\r\nAccept-Encoding: identity\r\nUser-Agent: {user_agent}\r\n",
        ),
    )


@lru_cache(maxsize=64)
def _unsigned(headers: Pairs, extra: Pairs, host: str, user_agent: str) -> str:
    return header_lines(
        [
            ("Host", host),
            *headers,
            *extra,
            ("Accept-Encoding", "identity"),
            ("User-Agent", user_agent),
        ]
    )
