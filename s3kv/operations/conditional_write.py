"""Writing and deleting an object only if it is in a given state.

A lost answer leaves open whether a write was done, and the next attempt's "the condition does not hold"
may be the trace of the first one's success. So a conditional write carries an id of its own, by which it
is found again.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..call import Call
from ..errors import S3KVError
from ..etag import required
from ..messages import Body, Pairs, Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe, service_error
from ..spec.deciding import Deciding
from ..values import StorageGeneration, TimestampedStorageGeneration
from .conditions import (
    NO_VALUE,
    UNKNOWN,
    WRITE_ID_HEADER,
    condition_headers,
    is_rgw,
    look,
    new_write_id,
    outcome_unknown,
    settle,
)

Stamps = Generator[Effect, Any, TimestampedStorageGeneration]


def put_if(
    resources: Resources,
    call: Call,
    key: str,
    value: Body,
    digest: str,
    headers: Pairs,
    condition: StorageGeneration,
    certain: bool = False,
) -> Stamps:
    """Write an object if its generation is ``condition``.

    Args:
        key: The full key.
        value: The bytes.
        digest: Their SHA-256 in hexadecimal.
        headers: What the object is stored with.
        condition: An ETag, or NO_VALUE for "it does not exist".
        certain: Where another writer's object is found after a lost answer, do not take it that nobody has
            replaced ours meanwhile.

    Returns:
        The new generation, or UNKNOWN when the condition does not hold and nothing was written.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was written cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    time = resources.clock.time()
    write_id = new_write_id()
    headers = (*headers, (WRITE_ID_HEADER, write_id))
    deciding = resources.deciding
    looked = deciding is Deciding.HEADERS
    call.uncertain = False
    for _ in range(max(2, resources.policy.max_retries)):
        if not looked:
            call.operation = "PutObject"
            seen = yield from look(resources, call, key)
            if seen.generation != condition:
                return TimestampedStorageGeneration(UNKNOWN, time)
            looked = True
            # Whatever became of the look, nothing has been written.
            call.uncertain = False
        rgw = resources.memory.rgw
        told = () if deciding is Deciding.LOOK else condition_headers(condition, rgw=rgw)
        request = Request("PutObject", "PUT", key, (), headers + told, value, digest)
        response = yield from live(request, resources, call)
        if response.status in (200, 201, 204):
            return TimestampedStorageGeneration(_written(response, resources, call), time)
        if not _refused(response):
            raise service_error(response, request, call, resources.clock.monotonic())
        if not rgw and condition != NO_VALUE and is_rgw(response):
            # It compared the quotes too, and has written nothing: ask again the way it understands.
            resources.memory.rgw = True
            continue
        if not call.uncertain:
            return TimestampedStorageGeneration(UNKNOWN, time)
        seen = yield from settle(resources, call, key)
        if seen.write_id == write_id:
            return TimestampedStorageGeneration(seen.generation, time)
        if seen.generation != condition:
            if condition == NO_VALUE and not certain:
                return TimestampedStorageGeneration(UNKNOWN, time)
            raise outcome_unknown(resources, call, "another version of the object is there by now")
        # As if nothing had been sent yet.
        call.uncertain = False
    raise outcome_unknown(resources, call, "the store contradicts itself")


def delete_if(resources: Resources, call: Call, key: str, condition: StorageGeneration) -> Stamps:
    """Delete an object if its generation is ``condition``.

    Args:
        key: The full key.
        condition: An ETag; or NO_VALUE, with which nothing is ever deleted.

    Returns:
        NO_VALUE, or UNKNOWN when the condition does not hold and nothing was deleted.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was deleted cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    time = resources.clock.time()
    deciding = Deciding.LOOK if condition == NO_VALUE else resources.deciding
    looked = deciding is Deciding.HEADERS
    call.uncertain = False
    for _ in range(max(2, resources.policy.max_retries)):
        if not looked:
            call.operation = "DeleteObject"
            seen = yield from look(resources, call, key)
            if seen.generation != condition:
                return TimestampedStorageGeneration(UNKNOWN, time)
            if condition == NO_VALUE:
                return TimestampedStorageGeneration(NO_VALUE, time)
            looked = True
            call.uncertain = False
        told = () if deciding is Deciding.LOOK else condition_headers(condition)
        request = Request("DeleteObject", "DELETE", key, headers=told)
        response = yield from live(request, resources, call)
        if response.status in (200, 202, 204):
            resources.memory.found = True
            return TimestampedStorageGeneration(NO_VALUE, time)
        if not _refused(response):
            raise service_error(response, request, call, resources.clock.monotonic())
        if not call.uncertain:
            return TimestampedStorageGeneration(UNKNOWN, time)
        seen = yield from settle(resources, call, key)
        if seen.generation == NO_VALUE:
            return TimestampedStorageGeneration(NO_VALUE, time)
        if seen.generation != condition:
            raise outcome_unknown(resources, call, "another version of the object is there by now")
        call.uncertain = False
    raise outcome_unknown(resources, call, "the store contradicts itself")


def _refused(response: Response) -> bool:
    """Whether the condition does not hold; a store may find nothing to compare it with."""
    return response.status in (304, 412) or (response.status == 404 and response.code == "NoSuchKey")


def _written(response: Response, resources: Resources, call: Call) -> StorageGeneration:
    """The generation of the object just written."""
    try:
        etag = required(response.headers)
    except S3KVError as error:
        raise describe(error, call, resources.clock.monotonic()) from None
    resources.memory.found = True
    return StorageGeneration(etag)
