"""Reading an object with TensorStore's semantics: conditions, and states instead of exceptions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..byterange import ByteRange
from ..call import Call
from ..errors import S3KVError
from ..etag import required
from ..messages import Pairs
from ..pipeline.life import Effect, Resources
from ..pipeline.outcome import describe_answer
from ..values import ReadResult, StorageGeneration, TimestampedStorageGeneration
from .conditions import NO_VALUE, UNKNOWN
from .read import Found, Unmet, get_object
from .stat import Missing, head_object


def read_if(
    resources: Resources,
    call: Call,
    key: str,
    byte_range: ByteRange,
    if_equal: StorageGeneration | None,
    if_not_equal: StorageGeneration | None,
) -> Generator[Effect, Any, ReadResult]:
    """An object's bytes, if its generation is what is asked for.

    Args:
        key: The full key.
        byte_range: Which bytes.
        if_equal: The only generation that is wanted; None for any.
        if_not_equal: The generation that is not wanted; None for none.

    Raises:
        ByteRangeError: the range is not wholly inside the object.
        S3KVError: the store refused, or did not answer.
    """
    time = resources.clock.time()
    found: Found | Missing | Unmet
    if if_equal == NO_VALUE:
        # Nothing to be read either way; whether the object exists is all there is to know.
        headers = yield from head_object(resources, call, key)
        found = headers if isinstance(headers, Missing) else Unmet(412)
    else:
        found = yield from get_object(resources, call, key, byte_range, _headers(if_equal, if_not_equal))
    if isinstance(found, Missing):
        return ReadResult("missing", b"", TimestampedStorageGeneration(NO_VALUE, time))
    if isinstance(found, Unmet):
        seen = if_not_equal if found.status == 304 and if_not_equal is not None else UNKNOWN
        return ReadResult("unspecified", b"", TimestampedStorageGeneration(seen, time))
    try:
        generation = StorageGeneration(required(found.headers))
    except S3KVError as error:
        raise describe_answer(error, found.answer, call, resources.clock.monotonic()) from None
    # Not every store honours these headers.
    if if_equal is not None and generation != if_equal:
        return ReadResult("unspecified", b"", TimestampedStorageGeneration(UNKNOWN, time))
    stamp = TimestampedStorageGeneration(generation, time)
    if generation == if_not_equal:
        return ReadResult("unspecified", b"", stamp)
    return ReadResult("value", found.value, stamp)


def _headers(if_equal: StorageGeneration | None, if_not_equal: StorageGeneration | None) -> Pairs:
    headers: Pairs = ()
    if if_equal is not None:
        headers += (("if-match", if_equal),)
    # Every object that exists is different from none.
    if if_not_equal is not None and if_not_equal != NO_VALUE:
        headers += (("if-none-match", if_not_equal),)
    return headers
