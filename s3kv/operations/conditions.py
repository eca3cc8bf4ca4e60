"""Conditions on an object's generation, and what is known of an object when one is looked at.

Conditional requests of S3:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import Any, NamedTuple

from ..call import Call
from ..errors import OutcomeUnknown, S3KVError
from ..etag import required
from ..keys import plain
from ..messages import Pairs, Response
from ..pipeline.life import Effect, Resources
from ..pipeline.outcome import describe
from ..values import StorageGeneration
from .stat import METADATA, WRITE_ID, Missing, head_object

NO_VALUE = StorageGeneration.NO_VALUE
UNKNOWN = StorageGeneration.UNKNOWN
WRITE_ID_HEADER = METADATA + WRITE_ID

# The request ids of Ceph's RADOS Gateway.
_RGW_REQUEST = re.compile(r"tx[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-.+").fullmatch
_ETAG = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"').fullmatch


def check_condition(name: str, value: object) -> StorageGeneration | None:
    """A condition as operations take it: a generation, or None for none.

    Raises:
        TypeError: not text.
        ValueError: text that is neither a quoted ETag nor ``StorageGeneration.NO_VALUE``.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} is a StorageGeneration or a quoted ETag, not {type(value).__name__}")
    if value == NO_VALUE or _ETAG(value):
        return StorageGeneration(plain(value))
    what = "StorageGeneration.UNKNOWN" if value == UNKNOWN else f"{value!r:.80}"
    raise ValueError(f"{name} is {what}: allowed are a quoted ETag and StorageGeneration.NO_VALUE")


def condition_headers(condition: StorageGeneration, *, rgw: bool = False) -> Pairs:
    """The header that says when a write may be done.

    Args:
        rgw: The store is a RADOS Gateway, which compares the ETags of writes without their quotes.
    """
    if condition == NO_VALUE:
        return (("if-none-match", "*"),)
    return (("if-match", condition.strip('"') if rgw else condition),)


def is_rgw(response: Response) -> bool:
    """Whether the answer is a RADOS Gateway's."""
    return _RGW_REQUEST(response.headers.get("x-amz-request-id", "")) is not None


def new_write_id() -> str:
    """An id that no other write has."""
    return os.urandom(16).hex()


class Seen(NamedTuple):
    """An object, as it was when it was looked at.

    Attributes:
        generation: Its ETag; NO_VALUE when there is none with this key.
        write_id: The id of the conditional write that made it; empty for none.
    """

    generation: StorageGeneration
    write_id: str


def look(resources: Resources, call: Call, key: str) -> Generator[Effect, Any, Seen]:
    """What is there at the moment.

    Raises:
        S3KVError: the store does not tell.
    """
    operation = call.operation
    headers = yield from head_object(resources, call, key)
    call.operation = operation
    if isinstance(headers, Missing):
        return Seen(NO_VALUE, "")
    if _RGW_REQUEST(headers.get("x-amz-request-id", "")):
        resources.memory.rgw = True
    try:
        return Seen(StorageGeneration(required(headers)), headers.get(WRITE_ID_HEADER, ""))
    except S3KVError as error:
        raise describe(error, call, resources.clock.monotonic()) from None


def settle(resources: Resources, call: Call, key: str) -> Generator[Effect, Any, Seen]:
    """Look at an object because the answer to a write was lost.

    Raises:
        OutcomeUnknown: there is no way to know.
    """
    operation = call.operation
    try:
        return (yield from look(resources, call, key))
    except S3KVError as error:
        call.operation = operation
        raise outcome_unknown(
            resources, call, f"nor can the object be looked at: {error.message}"
        ) from error


def outcome_unknown(resources: Resources, call: Call, why: str) -> OutcomeUnknown:
    """The error for a write that was done or not."""
    error = OutcomeUnknown(
        f"an answer was lost, and whether the request was carried out is not known: {why}"
    )
    describe(error, call, resources.clock.monotonic())
    return error
