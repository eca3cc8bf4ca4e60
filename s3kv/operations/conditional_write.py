"""Writing and deleting an object only if it is in a given state.

A lost answer leaves open whether a write was done, and the next attempt's "the condition does not hold"
may be the trace of the first one's success. So a conditional write carries an id of its own, by which it
is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from ..call import Call
from ..errors import ConditionFailed, RetriesExhausted, S3KVError
from ..etag import required
from ..messages import Body, Pairs, Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe, describe_answer, retold, service_error
from ..spec.deciding import Deciding
from ..values import StorageGeneration, TimestampedStorageGeneration
from .conditions import (
    NO_VALUE,
    WRITE_ID_HEADER,
    condition_headers,
    is_rgw,
    look,
    new_write_id,
    outcome_unknown,
    settle,
)
from .stat import confirm_bucket


class Refused(NamedTuple):
    """The condition does not hold, and nothing was changed.

    Attributes:
        error: What to raise where that is an error.
        time: As in a stamp.
    """

    error: ConditionFailed
    time: float


Outcome = Generator[Effect, Any, TimestampedStorageGeneration | Refused]


class Write(NamedTuple):
    """A request that makes an object under a condition.

    Attributes:
        operation: S3's name of the request.
        make: The request, given the headers that say the condition.
        etag: The new object's ETag, from the answer.
        refusals: Codes of 404 answers that mean that the condition does not hold.
        traces: Codes that, after a lost answer, may be traces of its success.
        alike: An ETag that the new object may have on a store that does not give it the id; empty for none.
    """

    operation: str
    make: Callable[[Pairs], Request]
    etag: Callable[[Response], str]
    refusals: frozenset[str] = frozenset({"NoSuchKey"})
    traces: frozenset[str] = frozenset()
    alike: str = ""


def put_if(
    resources: Resources,
    call: Call,
    key: str,
    value: Body,
    digest: str,
    headers: Pairs,
    condition: StorageGeneration,
    certain: bool = False,
) -> Outcome:
    """Write an object in one request if its generation is ``condition``; see :func:`write_if`.

    Args:
        key: The full key.
        value: The bytes.
        digest: Their SHA-256 in hexadecimal.
        headers: What the object is stored with.
        condition: An ETag, or NO_VALUE for "it does not exist".
        certain: See :func:`write_if`.
    """
    write_id = new_write_id()
    headers = (*headers, (WRITE_ID_HEADER, write_id))
    write = Write(
        "PutObject",
        lambda told: Request("PutObject", "PUT", key, (), headers + told, value, digest),
        lambda response: required(response.headers),
    )
    return (yield from write_if(resources, call, key, write, condition, write_id, certain))


def write_if(
    resources: Resources,
    call: Call,
    key: str,
    write: Write,
    condition: StorageGeneration | None,
    write_id: str,
    certain: bool = False,
) -> Outcome:
    """Write an object if its generation is ``condition``, whatever becomes of single answers.

    Args:
        key: The full key.
        write: How.
        condition: An ETag, or NO_VALUE for "it does not exist"; None for no condition.
        write_id: What the object carries, by which it is found again.
        certain: Where another writer's object is found after a lost answer, do not take it that nobody has
            replaced ours meanwhile.

    Returns:
        The new generation, or Refused when the condition does not hold and nothing was written.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was written cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    time = resources.clock.time()
    deciding = Deciding.HEADERS if condition is None else resources.deciding
    looked = deciding is Deciding.HEADERS
    call.uncertain = 0
    for _ in range(max(2, resources.policy.max_retries)):
        if not looked:
            call.operation = write.operation
            seen = yield from look(resources, call, key)
            if seen.generation != condition:
                return Refused(_refusal(resources, call, write.operation, condition), time)
            looked = True
            # Whatever became of the look, nothing has been written.
            call.uncertain = 0
        rgw = resources.memory.rgw
        silent = condition is None or deciding is Deciding.LOOK
        told = () if silent or condition is None else condition_headers(condition, rgw=rgw)
        request = write.make(told)
        response = yield from _answered(request, resources, call)
        if isinstance(response, Response):
            if response.status in (200, 201, 204):
                return TimestampedStorageGeneration(_written(write, response, resources, call), time)
            failure = service_error(response, request, call, resources.clock.monotonic())
            traced = call.uncertain and response.code in write.traces
            missing = frozenset[str]() if condition is None else write.refusals
            refused = traced or _refused(response, missing, condition)
            if not rgw and condition != NO_VALUE and refused and is_rgw(response) and not traced:
                # It compared the quotes too, and has written nothing: ask again the way it understands.
                resources.memory.rgw = True
                continue
        else:
            failure, traced, refused = response, False, False
        if not traced and (condition is None or not (refused or _met_itself(failure, call))):
            # Without a condition there is none that does not hold, whatever the store says.
            raise failure
        if not call.uncertain:
            return Refused(_refusal(resources, call, write.operation, condition, failure), time)
        seen = yield from settle(resources, call, key)
        if seen.write_id == write_id:
            return TimestampedStorageGeneration(seen.generation, time)
        if seen.generation != condition or traced:
            alike = seen.generation == write.alike and not seen.write_id
            if condition == NO_VALUE and not certain and not alike and seen.generation != NO_VALUE:
                return Refused(_refusal(resources, call, write.operation, condition, failure), time)
            raise outcome_unknown(resources, call, "another version of the object is there by now")
        if not refused:
            raise failure
        # As if nothing had been sent yet.
        call.uncertain = 0
    raise outcome_unknown(resources, call, "the store contradicts itself")


def delete_if(resources: Resources, call: Call, key: str, condition: StorageGeneration) -> Outcome:
    """Delete an object if its generation is ``condition``.

    Args:
        key: The full key.
        condition: An ETag; or NO_VALUE, with which nothing is ever deleted.

    Returns:
        NO_VALUE, or Refused when the condition does not hold and nothing was deleted.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was deleted cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    time = resources.clock.time()
    deciding = Deciding.LOOK if condition == NO_VALUE else resources.deciding
    looked = deciding is Deciding.HEADERS
    call.uncertain = 0
    for _ in range(max(2, resources.policy.max_retries)):
        if not looked:
            call.operation = "DeleteObject"
            seen = yield from look(resources, call, key)
            if seen.generation != condition:
                return Refused(_refusal(resources, call, "DeleteObject", condition), time)
            if condition == NO_VALUE:
                return TimestampedStorageGeneration(NO_VALUE, time)
            looked = True
            call.uncertain = 0
        told = () if deciding is Deciding.LOOK else condition_headers(condition)
        request = Request("DeleteObject", "DELETE", key, headers=told)
        response = yield from _answered(request, resources, call)
        if isinstance(response, Response):
            if response.status in (200, 202, 204):
                resources.memory.found = True
                return TimestampedStorageGeneration(NO_VALUE, time)
            failure = service_error(response, request, call, resources.clock.monotonic())
            refused = _refused(response)
        else:
            failure, refused = response, False
        if not refused and not _met_itself(failure, call):
            raise failure
        if not call.uncertain:
            return Refused(_refusal(resources, call, "DeleteObject", condition, failure), time)
        seen = yield from settle(resources, call, key)
        if seen.generation == NO_VALUE:
            return TimestampedStorageGeneration(NO_VALUE, time)
        if seen.generation != condition:
            raise outcome_unknown(resources, call, "another version of the object is there by now")
        if not refused:
            raise failure
        call.uncertain = 0
    raise outcome_unknown(resources, call, "the store contradicts itself")


def _answered(
    request: Request, resources: Resources, call: Call
) -> Generator[Effect, Any, Response | RetriesExhausted]:
    """The answer to a write; the error where the store has never said but that it meets another write."""
    try:
        response = yield from live(request, resources, call)
    except RetriesExhausted as error:
        if _met_itself(error, call):
            return error
        raise
    if response.status == 404 and not response.body:
        # It may be the bucket that is not there.
        uncertain = call.uncertain
        yield from confirm_bucket(resources, call)
        call.uncertain = uncertain
    return response


def _met_itself(failure: S3KVError, call: Call) -> bool:
    """Whether the other write that one met may be its own earlier attempt."""
    return failure.status == 409 and call.uncertain > 0


def _refused(
    response: Response,
    codes: frozenset[str] = frozenset({"NoSuchKey"}),
    condition: StorageGeneration | None = None,
) -> bool:
    """Whether the condition does not hold; a store may find nothing to compare it with."""
    if response.status == 404:
        # Without a word, it is hardly to say that there is an object already.
        wordless = not response.body and condition != NO_VALUE
        return response.code in codes or (wordless and "NoSuchKey" in codes)
    return response.status in (304, 412)


def _refusal(
    resources: Resources,
    call: Call,
    operation: str,
    condition: StorageGeneration | None,
    failure: S3KVError | None = None,
) -> ConditionFailed:
    """The error for a condition that does not hold, with what the store said, if it was asked."""
    if condition == NO_VALUE:
        why = "an object with this key exists already"
    else:
        why = f"the object's generation is not {condition!s}"
    if failure is None:
        call.operation = operation
        error = ConditionFailed(why)
        describe(error, call, resources.clock.monotonic())
        return error
    return retold(ConditionFailed, why, failure)


def _written(write: Write, response: Response, resources: Resources, call: Call) -> StorageGeneration:
    """The generation of the object just written."""
    try:
        etag = write.etag(response)
    except S3KVError as error:
        raise describe_answer(error, response, call, resources.clock.monotonic()) from error.__cause__
    resources.memory.found = True
    return StorageGeneration(etag)
