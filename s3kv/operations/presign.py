"""A URL that does one thing with one object, for whoever has it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from ..call import Call
from ..errors import S3KVError
from ..keys import encode_path
from ..messages import Await
from ..pipeline.life import Effect, Obtain, Resources
from ..pipeline.outcome import describe
from ..sigv4 import amz_date, canonical_query, presigned_query


def presign_url(
    resources: Resources, call: Call, key: str, method: str, expires: int
) -> Generator[Effect, Any, str]:
    """A presigned URL; a plain one where requests are not signed.

    Args:
        key: The full key.
        method: The HTTP method that it is good for.
        expires: Seconds that it is good for.

    Raises:
        CredentialsError: there are no credentials.
        S3KVError: the bucket's region cannot be found out.
    """
    endpoint = resources.endpoint
    if endpoint is None:
        try:
            endpoint = yield Obtain(partial(resources.locate, call))
        except S3KVError as error:
            raise describe(error, call, resources.clock.monotonic()) from error.__cause__
    credentials = resources.credentials.peek()
    if credentials is None:
        fetch = resources.credentials.fetch()
        yield Await(fetch)
        try:
            credentials = fetch.result()
        except S3KVError as error:
            raise describe(error, call, resources.clock.monotonic()) from error.__cause__
    path = endpoint.key_prefix + encode_path(key)
    url = f"{endpoint.origin.scheme}://{endpoint.host}{path}"
    # What would be a header of the store's own requests.
    extra = tuple(resources.extra_headers)
    if credentials.anonymous:
        return f"{url}?{canonical_query(extra)}" if extra else url
    query = presigned_query(
        credentials.access_key,
        credentials.secret_key,
        credentials.token,
        endpoint.region,
        amz_date(resources.clock.time() + resources.memory.clock_offset),
        expires,
        method,
        path,
        extra,
        [("host", endpoint.host)],
    )
    return f"{url}?{query}"
