"""Deleting one object.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..call import Call
from ..messages import Request
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import service_error
from ..values import StorageGeneration, TimestampedStorageGeneration
from .stat import confirm_bucket


def delete_object(
    resources: Resources, call: Call, key: str
) -> Generator[Effect, Any, TimestampedStorageGeneration]:
    """Delete an object; one that does not exist is deleted already.

    Args:
        key: The full key.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    request = Request("DeleteObject", "DELETE", key)
    time = resources.clock.time()
    response = yield from live(request, resources, call)
    if response.status == 404 and not response.body:
        # It may be the bucket that is not there.
        yield from confirm_bucket(resources, call)
        return TimestampedStorageGeneration(StorageGeneration.NO_VALUE, time)
    # S3 answers 204 either way; some stores say 404 for a key that is not there.
    if response.status in (200, 202, 204) or (response.status == 404 and response.code == "NoSuchKey"):
        resources.memory.found = True
        return TimestampedStorageGeneration(StorageGeneration.NO_VALUE, time)
    raise service_error(response, request, call, resources.clock.monotonic())
