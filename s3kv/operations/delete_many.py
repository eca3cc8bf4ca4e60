"""Deleting up to 1,000 objects in one request.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Generator, Sequence
from typing import Any

from ..call import Call
from ..delete_xml import delete_body, parse_deleted
from ..errors import DeadlineExceeded, MalformedResponse, RetriesExhausted, S3KVError
from ..messages import Pause, Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe_answer, given_up, service_error
from ..retry import Verdict, classify_answer
from .delete import delete_object

MAX_KEYS = 1000

# What XML 1.0 can carry, a carriage return as a reference.
# https://www.w3.org/TR/xml/#charsets
_XML = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*").fullmatch
# Answers of stores that have no such request.
_UNSUPPORTED = frozenset({405, 501})
_UNSUPPORTED_CODES = frozenset({"NotImplemented", "MethodNotAllowed"})


def delete_objects(
    resources: Resources, call: Call, keys: Sequence[str], path_length: int
) -> Generator[Effect, Any, dict[str, S3KVError]]:
    """Delete objects, and return what went wrong, by full key; whatever is missing there is deleted.

    Args:
        keys: Full keys, at most 1,000, each once.
        path_length: Characters of the store's path, which errors leave out.

    Raises:
        S3KVError: the request as a whole failed.
    """
    errors: dict[str, S3KVError] = {}
    together = [key for key in keys if _XML(key)]
    alone = [key for key in keys if not _XML(key)]
    if resources.memory.no_multi_delete:
        together, alone = [], list(keys)
    policy, clock = resources.policy, resources.clock
    before = call.attempts
    tries = 0
    while together:
        first = not tries
        try:
            failures = yield from _delete_together(resources, call, together, tries)
        except S3KVError as error:
            if first:
                raise
            # What the earlier answers said of the other keys stands.
            errors.update(dict.fromkeys(together, error))
            break
        if failures is None:
            alone = together + alone
            break
        together = [key for key, failure in failures.items() if _transient(failure)]
        errors.update((key, failures[key]) for key in failures.keys() - set(together))
        # Whether a request fails or a key in its answer: it is one more attempt.
        tries = call.attempts - before
        if together:
            delay = policy.delay(tries - 1, clock.draw())
            late = call.deadline is not None and clock.monotonic() + delay >= call.deadline
            if late or tries >= policy.max_retries:
                kind = DeadlineExceeded if late else RetriesExhausted
                errors.update((key, _end(kind, failures[key], tries)) for key in together)
                break
            yield Pause(delay)
    for key in alone:
        # Each has attempts of its own.
        call.attempts = 0
        try:
            yield from delete_object(resources, call, key)
        except S3KVError as error:
            errors[key] = error
    for key, failure in errors.items():
        if failure.key is None:
            failure.key = key[path_length:]
    return errors


def _delete_together(
    resources: Resources, call: Call, keys: Sequence[str], tries: int
) -> Generator[Effect, Any, dict[str, S3KVError] | None]:
    """The keys that one request did not delete, and why; None when the store has no such request."""
    request = _request(keys)
    response = yield from live(request, resources, call, tries)
    if response.status != 200:
        error = service_error(response, request, call, resources.clock.monotonic())
        if response.status not in _UNSUPPORTED and error.code not in _UNSUPPORTED_CODES:
            raise error
        resources.memory.no_multi_delete = True
        return None
    resources.memory.found = True
    failures = _sort_out(response, request, keys, resources, call)
    # To TensorStore, which has no such request, each is a write.
    resources.recorder.count("write", len(keys) - len(failures))
    return failures


def _request(keys: Sequence[str]) -> Request:
    body = delete_body(keys)
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    # Amazon wants a checksum of some kind; JuiceFS and others want this one.
    headers = (
        ("content-md5", base64.b64encode(digest).decode("ascii")),
        ("content-type", "application/xml"),
    )
    sha256 = hashlib.sha256(body).hexdigest()
    return Request("DeleteObjects", "POST", None, (("delete", ""),), headers, body, sha256)


def _transient(failure: S3KVError) -> bool:
    return classify_answer(400, failure.code or "") is Verdict.RETRY


def _end(kind: type[S3KVError], last: S3KVError, tries: int) -> S3KVError:
    error = given_up(kind, last, tries, last.elapsed)
    error.__cause__ = last
    return error


def _sort_out(
    response: Response, request: Request, keys: Sequence[str], resources: Resources, call: Call
) -> dict[str, S3KVError]:
    """The keys that were not deleted, and why.

    Raises:
        MalformedResponse: the answer is about keys that were not asked for, or leaves some out.
    """
    now = resources.clock.monotonic()
    # Some stores write a carriage return as it is, and XML makes a newline of that.
    asked = {_as_read(key): key for key in keys if "\r" in key}
    asked.update((key, key) for key in keys)
    try:
        told = parse_deleted(response.body)
        errors = {asked.get(key, ""): body for key, body in told.errors.items()}
        if told.deleted == [""] * (len(keys) - len(errors)):
            # JuiceFS names only those that it did not delete.
            told = told._replace(deleted=[key for key in keys if key not in errors])
        answered = {asked.get(key, "") for key in told.deleted} | errors.keys()
        if "" in answered:
            stranger = min({*told.deleted, *told.errors} - asked.keys())
            raise MalformedResponse(f"the store speaks of {stranger[:80]!r}, which nobody asked for")
        silent = set(keys) - answered
        if silent:
            raise MalformedResponse(f"the store does not say whether {min(silent)[:80]!r} was deleted")
    except MalformedResponse as error:
        raise describe_answer(error, response, call, now) from error.__cause__
    failures = {}
    for key, body in errors.items():
        if body.code == "NoSuchKey":
            # What is not there is deleted already.
            continue
        answer = Response(403 if body.code == "AccessDenied" else 400, response.headers, b"")
        answer.error = body
        failure = service_error(answer, request, call, now)
        failure.status = response.status
        failures[key] = failure
    return failures


def _as_read(key: str) -> str:
    """A key with line ends as an XML parser makes them. https://www.w3.org/TR/xml/#sec-line-ends"""
    return key.replace("\r\n", "\n").replace("\r", "\n")
