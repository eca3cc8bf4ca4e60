"""Error answers and failures as exceptions: the one place where that translation is made."""

from __future__ import annotations

from typing import Any, TypeVar

from ..call import Call
from ..errors import (
    FIELDS,
    BucketNotFound,
    ConditionFailed,
    DeadlineExceeded,
    KeyNotFound,
    PermissionDenied,
    S3KVError,
    ServiceError,
)
from ..messages import Request, Response
from ..xml import parse_error

E = TypeVar("E", bound=S3KVError)

# Requests that find no object if there is none; a write finds no bucket, or no upload.
_KNOWING = frozenset({"GET", "HEAD", "DELETE"})
_MASKED_404 = "; S3 answers 403 also for a key that does not exist when the caller may not list the bucket"


def service_error(response: Response, request: Request, call: Call, now: float) -> S3KVError:
    """The exception for an answer that is an error of the store.

    Args:
        now: Monotonic time, for the seconds elapsed.
    """
    told = response.error
    if told is None:
        told = response.error = parse_error(response.body)
    status = response.status
    message = told.message or _plain_words(response) or f"the store answered {status}"
    kind: type[S3KVError] = ServiceError
    if told.code == "NoSuchBucket":
        kind = BucketNotFound
    elif told.code == "NoSuchKey" or (
        status == 404 and request.key is not None and request.method in _KNOWING and not response.body
    ):
        # A page in HTML is some gateway's, which knows of no keys.
        kind = KeyNotFound
        message = told.message or "no object has this key"
    elif status == 412 and request.method != "HEAD":
        # A HEAD never has a condition: to a look before a write, this says nothing of the write's.
        kind = ConditionFailed
    elif status in (401, 403):
        kind = PermissionDenied
        reads = request.key is not None and request.method in ("GET", "HEAD")
        if reads and told.code in ("", "AccessDenied"):
            message += _MASKED_404
    elif 300 <= status < 400:
        where = response.headers.get("location") or told.endpoint or "nowhere"
        message = f"the store redirects to {_destination(where)[:200]}, which is not followed"
        if told.region:
            message += f"; the bucket is in the region {told.region}"
    headers = response.headers
    return kind(
        message,
        operation=request.operation,
        key=call.key,
        status=status,
        code=told.code or None,
        request_id=headers.get("x-amz-request-id") or told.request_id or None,
        host_id=headers.get("x-amz-id-2") or told.host_id or None,
        attempts=call.attempts,
        elapsed=now - call.started,
    )


def retold(kind: type[E], message: str, last: S3KVError, **facts: Any) -> E:
    """An error of another kind about the same failure.

    Args:
        **facts: What is to be said differently, as the exception's own keywords.
    """
    known = {name: getattr(last, name) for name in FIELDS}
    return kind(message, **{**known, **facts})


def given_up(kind: type[S3KVError], last: S3KVError, tries: int, elapsed: float | None) -> S3KVError:
    """The error that ends the tries, with the facts of the last failure.

    Args:
        tries: How many there were.
        elapsed: Seconds since the operation began.
    """
    times = "once" if tries <= 1 else f"{tries} times"
    reason = "the store's timeout passed" if kind is DeadlineExceeded else "given up"
    return retold(kind, f"{reason} after trying {times}: {last.message}", last, elapsed=elapsed)


def describe(error: S3KVError, call: Call, now: float) -> S3KVError:
    """``error`` with what the call knows: operation, key, attempts, seconds elapsed."""
    error.operation = call.operation or None
    error.key = call.key
    error.attempts = call.attempts
    error.elapsed = now - call.started
    return error


def describe_answer(error: S3KVError, response: Response, call: Call, now: float) -> S3KVError:
    """As :func:`describe`, of an answer that makes no sense: also its status and request id."""
    error.status = response.status
    error.request_id = response.headers.get("x-amz-request-id")
    return describe(error, call, now)


def _destination(url: str) -> str:
    """Where a redirect leads to, without what could be a password or, in a presigned URL, a signature."""
    import re

    text = re.sub(r"(?s)([?#]).*", r"\1…", url)
    return re.sub(r"(?i)^((?:[a-z][a-z0-9+.-]*:)?//)[^/]*@", r"\1…@", text)


def _plain_words(response: Response) -> str:
    """The start of a body that is no S3 error, so that a proxy's words are not lost."""
    kind = response.headers.get("content-type", "")
    if not response.body or ("text/plain" not in kind and "html" not in kind):
        return ""
    text = response.body[:2000].decode("utf-8", "replace")
    if "html" in kind:
        import re

        text = re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"the store answered {response.status}: {text[:200]}" if text else ""
