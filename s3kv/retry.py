"""What to do with an answer or a failure: pure decisions, no clock, no I/O.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html lists the error codes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from .errors import TransportError
from .timestamps import parse_http_date

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 509})
RETRIED_CODES = frozenset(
    {
        "InternalError",
        "SlowDown",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        # Two conditional writes met; the store wants one of them to come again.
        "ConditionalRequestConflict",
    }
)
# Operations that S3 may begin to answer with 200 long before it knows how they end; and one whose answer is
# a 200 that has errors in it, so that some stores send the error of the whole so, too.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
ANSWERED_EARLY = frozenset({"CompleteMultipartUpload", "CopyObject", "DeleteObjects", "UploadPartCopy"})
# The statuses that errors in such an answer would have had; of any other, trying again may help.
_LATE_STATUSES = {
    "AccessDenied": 403,
    "ConditionalRequestConflict": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "InvalidArgument": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRequest": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "PreconditionFailed": 412,
}
_CONFLICT = "ConditionalRequestConflict"
_LESS_CODES = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
    }
)
_SKEW_CODE = "RequestTimeTooSkewed"
_EXPIRED_CODES = frozenset({"ExpiredToken", "InvalidToken", "ExpiredTokenException"})
# Longer than anybody waits, however many digits it has.
_SECONDS = re.compile(r"[0-9]{1,300}(?:\.[0-9]{1,9})?").fullmatch


class Verdict(Enum):
    """What an answer or a failure means for the request."""

    ANSWER = "answer"
    """The answer stands: hand it to the operation."""
    RETRY = "retry"
    """Transient: back off and send again."""
    SKEW = "skew"
    """The local clock is off: correct it by the Date header, then send again."""
    EXPIRED = "expired"
    """The credentials were refused as expired: fetch new ones once, then send again."""
    STALE = "stale"
    """A kept-alive connection was dead: send again on a fresh one, at once and for free."""
    UNREACHABLE = "unreachable"
    """No connection could be opened: try again, but not for long."""
    FAIL = "fail"
    """Trying again would not help."""


class RetryPolicy(NamedTuple):
    """How often and how patiently a request is tried.

    Attributes:
        max_retries: Attempts in all, at least 1; default 32.
        initial_delay: Seconds; the first delay is drawn from 0 to this; default 1.
        max_delay: Seconds; no delay is longer than this; default 32.
        unreachable_for: Seconds for which an endpoint that never answered is tried; default 10.
    """

    max_retries: int = 32
    initial_delay: float = 1.0
    max_delay: float = 32.0
    unreachable_for: float = 10.0

    def delay(self, attempt: int, draw: float, retry_after: float | None = None) -> float:
        """Seconds to wait after a failed attempt.

        Args:
            attempt: How many attempts went before the one that failed; 0 for the first.
            draw: A random number from 0 to 1: full jitter, so that many clients spread out.
            retry_after: What the store asked for, in seconds; honoured up to ``max_delay``.
        """
        # The exponent is bounded only to keep the float finite; max_delay has won long before.
        ceiling = min(self.max_delay, self.initial_delay * 2.0 ** min(attempt, 64))
        delay = draw * ceiling
        if retry_after is not None:
            delay = max(delay, min(retry_after, self.max_delay))
        return delay


class End(Enum):
    """Why there is no other attempt, although another might succeed."""

    EXHAUSTED = "exhausted"
    """There were as many as the policy allows."""
    UNREACHABLE = "unreachable"
    """The endpoint never answered, and was tried for long enough."""
    DEADLINE = "deadline"
    """The next one would begin after the deadline."""


class Decision(NamedTuple):
    """What comes after an answer or a failure.

    Attributes:
        verdict: What it means.
        delay: Seconds until the next attempt, where the verdict calls for one that is not free.
        end: Why there is none all the same; None where there is.
    """

    verdict: Verdict
    delay: float = 0.0
    end: End | None = None


def decide(
    policy: RetryPolicy,
    operation: str,
    *,
    status: int = 0,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    failure: TransportError | None = None,
    attempt: int,
    draw: float,
    now: float = 0.0,
    left: float = math.inf,
    unreachable: float | None = None,
) -> Decision:
    """What to do after an attempt: the whole of the rules, as a function of values.

    Args:
        operation: S3's name of the request.
        status: The answer's status.
        code: S3's error code in it, or an empty string.
        headers: The answer's headers, names in lower case.
        failure: Why there is no answer; None where there is one.
        attempt: How many attempts there were, this one included.
        draw: A random number from 0 to 1.
        now: The store's time, in seconds since the epoch.
        left: Seconds until the deadline.
        unreachable: Seconds since an endpoint that never answered could first not be reached; None where it
            has answered, or could be reached.
    """
    if failure is None:
        verdict = classify_answer(status, code, operation)
        if verdict is Verdict.ANSWER:
            return Decision(verdict)
        hint = retry_after(headers or {}, now)
    else:
        verdict = classify_failure(failure)
        if verdict is Verdict.FAIL:
            return Decision(verdict)
        hint = None
    patience = math.inf
    if verdict is Verdict.UNREACHABLE and unreachable is not None:
        patience = policy.unreachable_for - unreachable
    if patience <= 0:
        return Decision(verdict, end=End.UNREACHABLE)
    if attempt >= policy.max_retries:
        return Decision(verdict, end=End.EXHAUSTED if patience == math.inf else End.UNREACHABLE)
    delay = min(policy.delay(attempt - 1, draw, hint), patience)
    return Decision(verdict, delay, End.DEADLINE if delay >= left else None)


def late_status(code: str) -> int:
    """The status that an error deserves which came in the body of a 200 answer."""
    return _LATE_STATUSES.get(code, 500)


def classify_answer(status: int, code: str, operation: str = "") -> Verdict:
    """What an answer means, by its status and S3's error code: either alone can make it transient.

    Args:
        operation: S3's name of what was asked for. An upload whose completion met another write has to
            be done again as a whole.
    """
    if status < 400:
        return Verdict.ANSWER
    if code:
        if code == _CONFLICT and operation == "CompleteMultipartUpload":
            return Verdict.ANSWER
        if code == _SKEW_CODE:
            return Verdict.SKEW
        if code in _EXPIRED_CODES:
            return Verdict.EXPIRED
        if code in RETRIED_CODES or code.startswith("Throttling"):
            return Verdict.RETRY
    return Verdict.RETRY if status in RETRIED_STATUSES else Verdict.ANSWER


def may_have_acted(status: int, code: str) -> bool:
    """Whether a store that gave a transient error may have done what it was asked for all the same.

    Refusals to take on work at all (503, throttling, conflicts) are certain, and so is RADOS Gateway's
    word for a lost race of conditional writes. A store that says that it broke down may have done anything.
    """
    if code == "InternalError":
        return True
    return status >= 500 and status not in (503, 509) and code not in ("SlowDown", "UnknownError")


def wants_less(status: int, code: str) -> bool:
    """Whether a store asks for fewer requests at a time."""
    return status in (429, 503) or code in _LESS_CODES or code.startswith("Throttling")


def classify_failure(error: TransportError) -> Verdict:
    """What a failure to get an answer means."""
    return _FAILURES[error.reason]


_FAILURES = {
    "tls": Verdict.FAIL,
    "proxy": Verdict.FAIL,
    "connect": Verdict.UNREACHABLE,
    "stale": Verdict.STALE,
    "timeout": Verdict.RETRY,
    "closed": Verdict.RETRY,
    "short": Verdict.RETRY,
}


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the store asks to wait, or None.

    Args:
        headers: The answer's, names in lower case: ``x-amz-retry-after`` (milliseconds), then
            ``retry-after`` (seconds or an HTTP date).
        now: Seconds since the epoch.
    """
    text = headers.get("x-amz-retry-after")
    if text is not None and _SECONDS(text):
        return float(text) / 1000.0
    text = headers.get("retry-after")
    if text is None:
        return None
    if _SECONDS(text):
        return float(text)
    date = parse_http_date(text)
    return None if date is None else max(0.0, date.timestamp() - now)
