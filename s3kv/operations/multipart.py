"""The requests of a multipart upload.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..call import Call
from ..errors import MalformedResponse, S3KVError
from ..etag import required
from ..messages import Body, Pairs, Request, Response
from ..multipart_xml import complete_body, parse_completed, parse_etag, parse_upload_id
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe_answer, service_error
from ..values import StorageGeneration
from .conditional_write import Outcome, Refused, Write, write_if
from .conditions import look
from .known_uploads import KNOWN

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * 1024**3

# Seconds that a look at an object may take that is written already.
_PATIENCE = 5.0


def create_upload(
    resources: Resources, call: Call, key: str, headers: Pairs
) -> Generator[Effect, Any, str]:
    """Begin an upload, and return its id.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html

    Args:
        key: The full key.
        headers: What the object is to be stored with.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    request = Request("CreateMultipartUpload", "POST", key, (("uploads", ""),), headers)
    response = yield from live(request, resources, call)
    if response.status != 200:
        raise service_error(response, request, call, resources.clock.monotonic())
    resources.memory.found = True
    return _understood(lambda answer: parse_upload_id(answer.body), response, resources, call)


def upload_part(
    resources: Resources, call: Call, key: str, upload: str, number: int, value: Body, digest: str
) -> Generator[Effect, Any, str]:
    """Send one part, and return its ETag.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html

    Args:
        key: The full key.
        upload: The upload's id.
        number: The part's number, from 1.
        value: The bytes.
        digest: Their SHA-256 in hexadecimal.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    query = (("partNumber", str(number)), ("uploadId", upload))
    request = Request("UploadPart", "PUT", key, query, (), value, digest)
    response = yield from live(request, resources, call)
    if response.status != 200:
        raise service_error(response, request, call, resources.clock.monotonic())
    return _understood(lambda answer: required(answer.headers), response, resources, call)


def copy_part(
    resources: Resources, call: Call, key: str, upload: str, number: int, headers: Pairs
) -> Generator[Effect, Any, str]:
    """Have the store copy one part from another object, and return its ETag.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html

    Args:
        key: The full key.
        upload: The upload's id.
        number: The part's number, from 1.
        headers: What to copy it from.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    query = (("partNumber", str(number)), ("uploadId", upload))
    request = Request("UploadPartCopy", "PUT", key, query, headers)
    response = yield from live(request, resources, call)
    if response.status != 200:
        raise service_error(response, request, call, resources.clock.monotonic())
    return _understood(lambda answer: parse_etag(answer.body), response, resources, call)


def complete_upload(
    resources: Resources,
    call: Call,
    key: str,
    upload: str,
    etags: Sequence[str],
    condition: StorageGeneration | None,
    write_id: str,
    certain: bool = False,
) -> Outcome:
    """Make the object of an upload's parts, if its generation is ``condition``.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html

    Args:
        key: The full key.
        upload: The upload's id.
        etags: Those of the parts, in order.
        condition: See :func:`write_if`.
        write_id: What the upload was begun with.
        certain: See :func:`write_if`.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was made cannot be known.
        ServiceError: with the code ``ConditionalRequestConflict``, the upload has to be done again.
        S3KVError: the store refused, or did not answer.
    """
    body = complete_body(etags)
    digest = hashlib.sha256(body).hexdigest()
    typed = (("content-type", "application/xml"),)
    write = Write(
        "CompleteMultipartUpload",
        lambda told: Request(
            "CompleteMultipartUpload", "POST", key, (("uploadId", upload),), typed + told, body, digest
        ),
        lambda response: parse_completed(response.body, etags),
        traces=frozenset({"NoSuchUpload"}),
    )
    outcome = yield from write_if(resources, call, key, write, condition, write_id, certain)
    KNOWN.discard(upload)
    place = resources.endpoint
    if isinstance(outcome, Refused) or (place is not None and place.aws):
        return outcome
    # Some stores answer with another ETag than the object then has. To know is not worth a long wait.
    until = call.deadline
    call.deadline = min(math.inf if until is None else until, resources.clock.monotonic() + _PATIENCE)
    try:
        seen = yield from look(resources, call, key)
    except S3KVError:
        return outcome
    finally:
        call.deadline = until
    return outcome._replace(generation=seen.generation) if seen.write_id == write_id else outcome


def abort_upload(resources: Resources, call: Call, key: str, upload: str) -> Generator[Effect, Any, None]:
    """Have the store forget an upload and its parts; one that is not there is forgotten already.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    KNOWN.discard(upload)
    request = Request("AbortMultipartUpload", "DELETE", key, (("uploadId", upload),))
    response = yield from live(request, resources, call)
    if response.status not in (200, 202, 204, 404):
        raise service_error(response, request, call, resources.clock.monotonic())


def _understood(
    read: Callable[[Response], str], response: Response, resources: Resources, call: Call
) -> str:
    """What ``read`` takes from an answer; what it raises says where it happened."""
    try:
        return read(response)
    except MalformedResponse as error:
        raise describe_answer(error, response, call, resources.clock.monotonic()) from error.__cause__
