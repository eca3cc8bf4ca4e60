"""Having the store copy an object.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

from __future__ import annotations

from collections.abc import Mapping

from ..call import Call
from ..endpoint import bucket_of
from ..keys import encode_path
from ..messages import Pairs, Request
from ..multipart_xml import parse_etag
from ..pipeline.life import Resources
from ..values import StorageGeneration
from .conditional_write import Outcome, Write, write_if
from .conditions import WRITE_ID_HEADER, new_write_id
from .stat import METADATA

# The largest object that one request copies.
MAX_COPY_BYTES = 5 * 1024**3

# What an object is stored with besides its metadata.
_KEPT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)


def copy_object(
    resources: Resources,
    call: Call,
    key: str,
    bucket: str,
    source: str,
    headers: Mapping[str, str],
    etag: str,
    condition: StorageGeneration | None,
) -> Outcome:
    """Copy an object of up to 5 GiB, its metadata included.

    Args:
        key: The full key of the copy.
        bucket: The bucket's name; empty where the endpoint says it.
        source: The full key of what to copy.
        headers: The source's.
        etag: The source's, quoted.
        condition: What there must be under ``key``; None for anything.

    Returns:
        The copy's generation, or Refused when the condition does not hold or, under a condition, the source
        is another version by now.

    Raises:
        ConditionFailed: without a condition, the source is another version by now.
        OutcomeUnknown: an answer was lost, and whether the copy was made cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    write_id = new_write_id()
    said = source_headers(resources, bucket, source)
    if condition is not None or WRITE_ID_HEADER in headers:
        # The copy is another write, with an id of its own or none. Its metadata is that of the version
        # that was looked at, so its bytes have to be, too.
        said += (("x-amz-copy-source-if-match", etag), ("x-amz-metadata-directive", "REPLACE"))
        said += stored_with(headers)
        if condition is not None:
            said += ((WRITE_ID_HEADER, write_id),)
    write = Write(
        "CopyObject",
        lambda told: Request("CopyObject", "PUT", key, (), said + told),
        lambda response: parse_etag(response.body),
        refusals=frozenset(),
        alike=etag,
    )
    return (yield from write_if(resources, call, key, write, condition, write_id))


def source_headers(resources: Resources, bucket: str, source: str) -> Pairs:
    """The header that says what to copy.

    Raises:
        SpecError: the bucket's name cannot be told.
    """
    endpoint = resources.endpoint
    if not bucket and endpoint is not None:
        bucket = bucket_of(endpoint)
    return (("x-amz-copy-source", f"/{encode_path(bucket)}/{encode_path(source)}"),)


def part_headers(resources: Resources, bucket: str, source: str, etag: str, first: int, end: int) -> Pairs:
    """The headers that say which bytes, of which version of an object, to copy."""
    return (
        *source_headers(resources, bucket, source),
        ("x-amz-copy-source-if-match", etag),
        ("x-amz-copy-source-range", f"bytes={first}-{end - 1}"),
    )


def stored_with(headers: Mapping[str, str]) -> Pairs:
    """The headers to store a copy with, from those of the original."""
    return tuple(
        (name, value)
        for name, value in headers.items()
        if name in _KEPT or (name.startswith(METADATA) and name != WRITE_ID_HEADER)
    )
