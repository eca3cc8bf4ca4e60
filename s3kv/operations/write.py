"""Writing an object in one request.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any

from ..call import Call
from ..errors import S3KVError
from ..etag import quoted, required
from ..keys import plain
from ..messages import Body, Pairs, Request, Response
from ..pipeline.express import Kind
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe_answer, service_error
from ..values import StorageGeneration, TimestampedStorageGeneration
from .stat import METADATA, WRITE_ID

# The largest object that one PUT may create.
MAX_PUT_BYTES = 5 * 1024**3

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\x20-\x7e]*").fullmatch


def put_object(
    resources: Resources, call: Call, key: str, value: Body, digest: str, headers: Pairs
) -> Generator[Effect, Any, TimestampedStorageGeneration]:
    """Write an object, whatever was there before.

    Args:
        key: The full key.
        value: The bytes.
        digest: Their SHA-256 in hexadecimal.
        headers: What :func:`object_headers` made.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    request = Request("PutObject", "PUT", key, (), headers, value, digest)
    time = resources.clock.time()
    response = yield from live(request, resources, call)
    if response.status in (200, 201, 204):
        try:
            etag = required(response.headers)
        except S3KVError as error:
            raise describe_answer(error, response, call, resources.clock.monotonic()) from None
        resources.memory.found = True
        return TimestampedStorageGeneration(StorageGeneration(etag), time)
    raise service_error(response, request, call, resources.clock.monotonic())


def _accept(response: Response, time: float) -> TimestampedStorageGeneration | None:
    etag = quoted(response.etag) if response.status == 200 else ""
    return TimestampedStorageGeneration(StorageGeneration(etag), time) if etag else None


#: Writes without conditions and headers of their own, as a kind of plain request.
PLAIN_PUT = Kind("PutObject", "PUT", (), False, _accept)


def object_headers(content_type: str | None, metadata: Mapping[str, str] | None) -> Pairs:
    """The headers that an object is stored with.

    Raises:
        TypeError: not text.
        ValueError: something that HTTP headers cannot carry as it is.
    """
    headers = []
    if content_type is not None:
        headers.append(("content-type", check_header("content_type", content_type)))
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping, not {type(metadata).__name__}")
    for name, value in (metadata or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"a metadata name is a str, not {type(name).__name__}")
        lower = plain(name).lower()
        if not _TOKEN(name):
            raise ValueError(
                f"the metadata name {name!r} is not allowed: letters, digits and !#$%&'*+-.^_`|~ are"
            )
        if lower == WRITE_ID:
            raise ValueError(f"the metadata name {name!r} is reserved")
        headers.append((METADATA + lower, check_header(f"metadata {name!r}", value)))
    names = [name for name, _ in headers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"the metadata name {name.removeprefix(METADATA)!r} is given twice: S3 ignores their case"
            )
    return tuple(headers)


def check_header(what: str, value: str) -> str:
    """``value`` if an HTTP header can carry it unchanged.

    Raises:
        TypeError: not a str.
        ValueError: control characters, non-ASCII characters, or spaces at an end.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} is a str, not {type(value).__name__}")
    if not _VALUE(value):
        raise ValueError(
            f"{what} is {value!r}: allowed are the printable characters of ASCII (encode others, for "
            "instance by percent-encoding)"
        )
    if value != value.strip(" "):
        raise ValueError(f"{what} is {value!r}: HTTP drops spaces at the ends of a header")
    return plain(value)
