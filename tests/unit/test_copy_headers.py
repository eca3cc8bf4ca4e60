"""The headers of copies: what is kept of the source, and how it is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.endpoint import aws_endpoint, custom_endpoint
from s3kv.errors import SpecError
from s3kv.operations.conditions import WRITE_ID_HEADER
from s3kv.operations.copy import part_headers, source_headers, stored_with

ETAG = '"9b2cf535f27731c974343645a3985328"'

KEPT = {
    "cache-control": "no-store",
    "content-disposition": "inline",
    "content-encoding": "gzip",
    "content-language": "de",
    "content-type": "text/plain",
    "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
    "x-amz-meta-a": "b",
    "x-amz-meta-s3kv-write-id-2": "another's",
}
# What an answer to HEAD has besides.
LEFT = {
    WRITE_ID_HEADER: "0123",
    "accept-ranges": "bytes",
    "connection": "keep-alive",
    "content-length": "5",
    "date": "Thu, 01 Dec 1994 16:00:00 GMT",
    "etag": ETAG,
    "last-modified": "Thu, 01 Dec 1994 16:00:00 GMT",
    "server": "AmazonS3",
    "transfer-encoding": "chunked",
    "x-amz-checksum-crc32": "AAAA",
    "x-amz-id-2": "id",
    "x-amz-mp-parts-count": "3",
    "x-amz-request-id": "id",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-version-id": "v",
}


def test_a_copy_is_stored_with_what_the_object_was_stored_with() -> None:
    """Nothing of what the answer alone has, and never with the id of another write."""
    assert dict(stored_with({**KEPT, **LEFT})) == KEPT
    assert stored_with(LEFT) == ()


def at(url: str, bucket: str = "") -> Any:
    """Return as much of a store as the headers are made of."""
    return SimpleNamespace(endpoint=custom_endpoint(url, bucket, "us-east-1"))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_a_source_is_encoded_once(key: str) -> None:
    """Plain ASCII, with slashes as they are; what was encoded is the key again."""
    ((name, value),) = source_headers(at("http://127.0.0.1:9000", "bucket"), "bucket", key)
    assert name == "x-amz-copy-source"
    assert value.isascii()
    assert value.isprintable()
    assert not set(value) & set(" +?#&\"'<>\\")
    assert unquote(value) == f"/bucket/{key}"
    assert value.count("/") == key.count("/") + 2


@pytest.mark.parametrize(
    ("endpoint", "bucket"),
    [
        (aws_endpoint("my-bucket", "eu-central-1"), "my-bucket"),
        (custom_endpoint("http://127.0.0.1:9000/my-bucket", "", "us-east-1"), ""),
        (custom_endpoint("http://127.0.0.1:9000/my-bucket/", "", "us-east-1"), ""),
        (custom_endpoint("http://127.0.0.1:9000/some/gateway", "my-bucket", "us-east-1"), "my-bucket"),
        (custom_endpoint("http://127.0.0.1:9000/some/gateway/my-bucket", "", "us-east-1"), ""),
        (custom_endpoint("https://my-bucket.s3.eu-central-1.amazonaws.com", "", "eu-central-1"), ""),
        (custom_endpoint("https://my-bucket.s3-accelerate.amazonaws.com", "", "us-east-1"), ""),
        (None, "my-bucket"),
    ],
    ids=[
        "AWS",
        "in the path",
        "with a slash",
        "a gateway",
        "behind a gateway",
        "in the host",
        "in the host of an accelerator",
        "not known yet",
    ],
)
def test_the_bucket_is_named_by_the_spec_or_else_by_the_endpoint(endpoint: Any, bucket: str) -> None:
    """The source is always named with its bucket."""
    headers = source_headers(SimpleNamespace(endpoint=endpoint), bucket, "key")  # type: ignore[arg-type]
    assert headers == (("x-amz-copy-source", "/my-bucket/key"),)


@pytest.mark.parametrize("bucket", ["a.s3.b", "logs.s3-old", "s3.b"])
def test_a_bucket_whose_name_looks_like_a_host_is_named_whole(bucket: str) -> None:
    """A copy from a bucket of half the name would be somebody else's object."""
    endpoint = custom_endpoint(f"https://{bucket}.s3.us-east-1.amazonaws.com", "", "us-east-1")
    headers = source_headers(SimpleNamespace(endpoint=endpoint), "", "key")  # type: ignore[arg-type]
    assert headers == (("x-amz-copy-source", f"/{bucket}/key"),)


def test_a_bucket_that_nobody_names_is_a_spec_error() -> None:
    """A source cannot be said then."""
    with pytest.raises(SpecError):
        source_headers(at("http://127.0.0.1:9000"), "", "key")


def test_a_part_is_so_many_bytes_of_one_version() -> None:
    """The range of HTTP includes its last byte."""
    headers = part_headers(at("http://127.0.0.1:9000", "bucket"), "bucket", "k", ETAG, 5, 10)
    assert dict(headers) == {
        "x-amz-copy-source": "/bucket/k",
        "x-amz-copy-source-if-match": ETAG,
        "x-amz-copy-source-range": "bytes=5-9",
    }
