"""From a request to what goes on the wire: endpoint, headers, signature. No I/O."""

from __future__ import annotations

from ..credentials.value import Credentials
from ..endpoint import Endpoint
from ..keys import encode_path
from ..messages import Pairs, Request, WireRequest
from ..sigv4 import amz_date, authorization, canonical_query


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
    method = request.method
    key = request.key
    path = endpoint.bucket_target if key is None else endpoint.key_prefix + encode_path(key)
    query = canonical_query(request.query) if request.query else ""
    headers = [("Host", endpoint.host), *request.headers, *extra]
    if not credentials.anonymous:
        date = amz_date(now)
        headers.append(("x-amz-content-sha256", request.payload_hash))
        headers.append(("x-amz-date", date))
        if credentials.token is not None:
            headers.append(("x-amz-security-token", credentials.token))
        # Everything so far is signed; what follows may be changed by proxies without harm.
        signed = [("host", endpoint.host), *headers[1:]]
        proof = authorization(
            credentials.access_key,
            credentials.secret_key,
            endpoint.region,
            date,
            method,
            path,
            query,
            signed,
            request.payload_hash,
        )
        headers.append(("Authorization", proof))
    if request.body or method in ("PUT", "POST"):
        headers.append(("Content-Length", str(len(request.body))))
    headers.append(("Accept-Encoding", "identity"))
    headers.append(("User-Agent", user_agent))
    target = f"{path}?{query}" if query else path
    return WireRequest(endpoint.origin, method, target, headers, request.body, request.data, fresh)
