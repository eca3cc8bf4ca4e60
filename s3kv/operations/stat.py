"""What a store says of an object without its bytes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from ..call import Call
from ..errors import KeyNotFound, MalformedResponse, S3KVError
from ..etag import quoted
from ..messages import Request
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe, service_error
from ..timestamps import parse_http_date
from ..values import ObjectInfo

METADATA = "x-amz-meta-"
# How a write finds its own object again after a lost answer; not the user's metadata.
WRITE_ID = "s3kv-write-id"


class Missing(NamedTuple):
    """No object has the key.

    Attributes:
        error: What to raise where that is an error.
    """

    error: S3KVError


def head_object(
    resources: Resources, call: Call, key: str
) -> Generator[Effect, Any, dict[str, str] | Missing]:
    """The headers of an object.

    An error answer to HEAD has no body, so its code is asked for once more: a refusal by a GET of one
    byte, a missing key by a listing of one, which tells a missing key from a missing bucket.

    Raises:
        BucketNotFound: there is no such bucket.
        S3KVError: the store refused, or did not answer.
    """
    request = Request("HeadObject", "HEAD", key)
    response = yield from live(request, resources, call)
    if response.status in (400, 403):
        probe = Request("GetObject", "GET", key, headers=(("range", "bytes=0-0"),))
        told = yield from live(probe, resources, call)
        call.operation = request.operation
        if told.status < 400 or told.status == 416:
            # The probe's own retries have put right what was wrong: an expired token, a clock that is off.
            response = yield from live(request, resources, call)
        else:
            response = told
    if response.status == 200:
        resources.memory.found = True
        return response.headers
    if response.status == 404:
        yield from confirm_bucket(resources, call)
    error = service_error(response, request, call, resources.clock.monotonic())
    if response.status == 404 and isinstance(error, KeyNotFound):
        return Missing(error)
    raise error


def confirm_bucket(resources: Resources, call: Call) -> Generator[Effect, Any, None]:
    """Make sure, once, that a bucket that answered 404 exists.

    Raises:
        BucketNotFound: it does not.
        ServiceError: whoever answered is no S3 store.
    """
    if resources.memory.found:
        return
    operation = call.operation
    probe = Request("ListObjectsV2", "GET", None, query=(("list-type", "2"), ("max-keys", "1")))
    response = yield from live(probe, resources, call)
    call.operation = operation
    if response.code == "NoSuchBucket" or (response.status == 404 and not response.code and response.body):
        # It does not exist, or some gateway answers that knows of no buckets.
        raise service_error(response, probe, call, resources.clock.monotonic())
    # Whoever may not list cannot know more; the answer to the key's own request stands.
    resources.memory.found = True


def stat_object(resources: Resources, call: Call, key: str) -> Generator[Effect, Any, ObjectInfo | Missing]:
    """The facts in the headers of an object; see :func:`head_object`.

    Raises:
        MalformedResponse: the store tells no length.
    """
    headers = yield from head_object(resources, call, key)
    if isinstance(headers, Missing):
        return headers
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        error = MalformedResponse(f"the store tells no length of the object: {length[:40]!r}")
        raise describe(error, call, resources.clock.monotonic())
    metadata = {}
    for name, value in headers.items():
        if name.startswith(METADATA) and name != METADATA + WRITE_ID:
            metadata[name[len(METADATA) :]] = value
    return ObjectInfo(
        call.key or "",
        int(length),
        quoted(headers.get("etag", "")),
        parse_http_date(headers.get("last-modified")),
        headers.get("content-type"),
        metadata,
    )
