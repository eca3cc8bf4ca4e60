"""Which answers and failures are tried again, and after how long."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import TransportError
from s3kv.retry import (
    ANSWERED_EARLY,
    Decision,
    End,
    RetryPolicy,
    Verdict,
    classify_answer,
    classify_failure,
    decide,
    late_status,
    may_have_acted,
    retry_after,
)

RETRIED_STATUSES = [408, 429, 500, 502, 503, 504, 509]
RETRIED_CODES = [
    "InternalError",
    "SlowDown",
    "ServiceUnavailable",
    "RequestTimeout",
    "Throttling",
    "ThrottlingException",
    "ThrottlingSomethingNew",
]
# Statuses at which the code alone must decide.
OTHER_STATUSES = [400, 401, 403, 404, 405, 409, 411, 412, 413, 416, 417, 422, 451, 501, 505, 507]


@pytest.mark.parametrize("status", RETRIED_STATUSES)
@pytest.mark.parametrize("code", ["", "AccessDenied", "NoSuchKey", "SomethingNew", *RETRIED_CODES])
def test_a_transient_status_is_tried_again_whatever_its_code(status: int, code: str) -> None:
    """A proxy's 503 has no code, and a store's may have one that is new."""
    assert classify_answer(status, code) is Verdict.RETRY


@pytest.mark.parametrize("code", RETRIED_CODES)
@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_a_transient_code_is_tried_again_whatever_its_status(status: int, code: str) -> None:
    """S3 sends RequestTimeout with 400, and compatible stores SlowDown with others."""
    assert classify_answer(status, code) is Verdict.RETRY


@pytest.mark.parametrize(
    "code",
    [
        "",
        "AccessDenied",
        "NoSuchKey",
        "NoSuchBucket",
        "PreconditionFailed",
        "InvalidRange",
        "MethodNotAllowed",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "NotImplemented",
        "slowdown",
        "MySlowDown",
        "Throttle",
        "NotThrottling",
        "RequestTimeoutX",
    ],
)
@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_any_other_error_is_an_answer(status: int, code: str) -> None:
    """Trying again would not change it; codes are compared whole and with their case."""
    assert classify_answer(status, code) is Verdict.ANSWER


@pytest.mark.parametrize("status", [200, 204, 206, 301, 304, 307, 399])
@pytest.mark.parametrize("code", ["", "SlowDown", "ExpiredToken", "RequestTimeTooSkewed"])
def test_what_is_no_error_is_an_answer(status: int, code: str) -> None:
    """Success, redirects and 304 are for the operation to read."""
    assert classify_answer(status, code) is Verdict.ANSWER


@pytest.mark.parametrize("status", [400, 401, 403, 503])
def test_a_clock_that_is_off_and_credentials_that_expired_have_their_own_verdicts(status: int) -> None:
    """Something must be mended before they are tried again, whatever the status."""
    assert classify_answer(status, "RequestTimeTooSkewed") is Verdict.SKEW
    assert classify_answer(status, "ExpiredToken") is Verdict.EXPIRED
    assert classify_answer(status, "InvalidToken") is Verdict.EXPIRED


@pytest.mark.parametrize("status", [409, 412, 500])
def test_a_write_that_met_another_comes_again_but_not_the_end_of_an_upload(status: int) -> None:
    """There, the whole upload has to."""
    for operation in ("", "PutObject", "CopyObject", "UploadPart", "CreateMultipartUpload", "DeleteObject"):
        assert classify_answer(status, "ConditionalRequestConflict", operation) is Verdict.RETRY
    told = classify_answer(status, "ConditionalRequestConflict", "CompleteMultipartUpload")
    assert told is Verdict.ANSWER
    # Any other transient error at that point is as anywhere.
    assert classify_answer(503, "SlowDown", "CompleteMultipartUpload") is Verdict.RETRY


def test_an_error_in_the_body_of_a_success_has_the_status_that_it_deserves() -> None:
    """Then it is what it would have been: for good, a refusal, or to be tried again."""
    early = {"CompleteMultipartUpload", "CopyObject", "DeleteObjects", "UploadPartCopy"}
    assert early == ANSWERED_EARLY
    for operation in ANSWERED_EARLY:
        for code in ("InternalError", "SlowDown", "ServiceUnavailable", "SomethingNew", ""):
            assert classify_answer(late_status(code), code, operation) is Verdict.RETRY
        for code, status in {
            "AccessDenied": 403,
            "NoSuchKey": 404,
            "NoSuchUpload": 404,
            "NoSuchBucket": 404,
            "InvalidPart": 400,
            "EntityTooSmall": 400,
            "PreconditionFailed": 412,
        }.items():
            assert late_status(code) == status
            assert classify_answer(status, code, operation) is Verdict.ANSWER


def test_an_error_in_the_body_of_a_success_leaves_open_what_was_done() -> None:
    """But for what a store says that did not begin."""
    assert may_have_acted(late_status("InternalError"), "InternalError")
    assert may_have_acted(late_status("SomethingNew"), "SomethingNew")
    assert not may_have_acted(late_status("SlowDown"), "SlowDown")
    assert not may_have_acted(late_status("PreconditionFailed"), "PreconditionFailed")


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("tls", Verdict.FAIL),
        ("proxy", Verdict.FAIL),
        ("connect", Verdict.UNREACHABLE),
        ("stale", Verdict.STALE),
        ("timeout", Verdict.RETRY),
        ("closed", Verdict.RETRY),
        ("short", Verdict.RETRY),
    ],
)
@pytest.mark.parametrize("sent", [True, False])
def test_a_failure_to_get_an_answer_is_judged_by_its_reason(
    reason: str, verdict: Verdict, sent: bool
) -> None:
    """Certificates do not mend themselves; connections do."""
    assert classify_failure(TransportError("x", reason=reason, sent=sent)) is verdict


def test_the_defaults_are_the_documented_ones() -> None:
    """32 attempts, from 1 to 32 seconds, 10 seconds for an endpoint that nobody ever reached."""
    assert RetryPolicy() == RetryPolicy(32, 1.0, 32.0, 10.0)


_SECONDS = st.floats(0, 1e6)


@given(st.one_of(st.just(0.0), st.floats(1e-3, 1e6)), _SECONDS, st.integers(0, 10**6), st.floats(0, 1))
def test_a_delay_is_drawn_from_zero_to_the_bound(
    initial: float, most: float, attempt: int, draw: float
) -> None:
    """uniform(0, min(max_delay, initial_delay · 2^n)), however large n is."""
    policy = RetryPolicy(initial_delay=initial, max_delay=most)
    # Past the hundredth doubling the bound is max_delay, and the power would overflow a float.
    bound = min(most, initial * 2 ** min(attempt, 100))
    assert policy.delay(attempt, 1.0) == bound
    assert policy.delay(attempt, draw) == pytest.approx(draw * bound)
    assert policy.delay(attempt, 0.0) == 0


def test_the_bound_doubles_from_one_attempt_to_the_next_up_to_the_most() -> None:
    """The default policy with the longest draw, from the first failed attempt on."""
    policy = RetryPolicy()
    assert [policy.delay(n, 1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 32, 32]
    assert [policy.delay(n, 0.5) for n in range(3)] == [0.5, 1, 2]


@given(_SECONDS, st.integers(0, 100), st.floats(0, 1), st.floats(0, 1e9))
def test_what_the_store_asks_for_is_waited_but_never_more_than_the_most(
    most: float, attempt: int, draw: float, asked: float
) -> None:
    """At least what it asks, at most max_delay, and never less than the draw."""
    policy = RetryPolicy(max_delay=most)
    delay = policy.delay(attempt, draw, asked)
    assert min(asked, most) <= delay <= most
    assert delay == max(policy.delay(attempt, draw), min(asked, most))


NOW = 1_769_900_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"x-amz-retry-after": "1500"}, 1.5),
        ({"x-amz-retry-after": "1500", "retry-after": "7"}, 1.5),
        ({"x-amz-retry-after": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "+5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "5, 6"}, None),
        ({"retry-after": "99999999999"}, 99999999999.0),
        ({"Retry-After": "5"}, None),
    ],
)
def test_what_the_store_asks_for_is_read_in_every_form(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, an HTTP date, Amazon's milliseconds; nonsense asks for nothing."""
    assert retry_after(headers, NOW) == seconds


# ------------------------------------------------------------------ the whole of the rules

POLICY = RetryPolicy(max_retries=4, initial_delay=1.0, max_delay=8.0, unreachable_for=10.0)
RESET = TransportError("reset", reason="closed", sent=True)
REFUSED = TransportError("refused", reason="connect")

# What happened, and what is to be done. 0.5 is drawn, and two attempts were made unless said otherwise.
RULES: dict[str, tuple[dict[str, Any], Decision]] = {
    "a success": ({"status": 200}, Decision(Verdict.ANSWER)),
    "a missing key": ({"status": 404, "code": "NoSuchKey"}, Decision(Verdict.ANSWER)),
    "a failed condition, at the last attempt": ({"status": 412, "attempt": 4}, Decision(Verdict.ANSWER)),
    "a busy store": ({"status": 503, "code": "SlowDown"}, Decision(Verdict.RETRY, 1.0)),
    "a busy store, at first": ({"status": 503, "attempt": 1}, Decision(Verdict.RETRY, 0.5)),
    "a busy store, for long": ({"status": 503, "attempt": 3}, Decision(Verdict.RETRY, 2.0)),
    "a busy store, for too long": (
        {"status": 503, "attempt": 4},
        Decision(Verdict.RETRY, 0.0, End.EXHAUSTED),
    ),
    "a busy store that says when": (
        {"status": 503, "headers": {"retry-after": "3"}},
        Decision(Verdict.RETRY, 3.0),
    ),
    "a busy store that says it in milliseconds": (
        {"status": 503, "headers": {"x-amz-retry-after": "2500"}},
        Decision(Verdict.RETRY, 2.5),
    ),
    "a busy store that says when by its clock": (
        {"status": 429, "headers": {"retry-after": formatdate(NOW + 5, usegmt=True)}},
        Decision(Verdict.RETRY, 5.0),
    ),
    "a busy store that asks for too much": (
        {"status": 503, "headers": {"retry-after": "3600"}},
        Decision(Verdict.RETRY, 8.0),
    ),
    "a busy store, with little time left": (
        {"status": 503, "left": 0.9},
        Decision(Verdict.RETRY, 1.0, End.DEADLINE),
    ),
    "a busy store, with just enough time": ({"status": 503, "left": 1.1}, Decision(Verdict.RETRY, 1.0)),
    "a code that says busy with another status": (
        {"status": 400, "code": "Throttling"},
        Decision(Verdict.RETRY, 1.0),
    ),
    "a conflict of two writes": (
        {"status": 409, "code": "ConditionalRequestConflict"},
        Decision(Verdict.RETRY, 1.0),
    ),
    "the same at the end of an upload, which has to be done again": (
        {"status": 409, "code": "ConditionalRequestConflict", "operation": "CompleteMultipartUpload"},
        Decision(Verdict.ANSWER),
    ),
    "a clock that is off": ({"status": 403, "code": "RequestTimeTooSkewed"}, Decision(Verdict.SKEW, 1.0)),
    "a token that has expired": ({"status": 400, "code": "ExpiredToken"}, Decision(Verdict.EXPIRED, 1.0)),
    "a connection that breaks": ({"failure": RESET}, Decision(Verdict.RETRY, 1.0)),
    "a connection that always breaks": (
        {"failure": RESET, "attempt": 4},
        Decision(Verdict.RETRY, 0.0, End.EXHAUSTED),
    ),
    "a certificate that nobody trusts": (
        {"failure": TransportError("bad", reason="tls")},
        Decision(Verdict.FAIL),
    ),
    "an endpoint that refuses": (
        {"failure": REFUSED, "unreachable": 0.0},
        Decision(Verdict.UNREACHABLE, 1.0),
    ),
    "one that has refused for long": (
        {"failure": REFUSED, "unreachable": 9.75},
        Decision(Verdict.UNREACHABLE, 0.25),
    ),
    "one that has refused for too long": (
        {"failure": REFUSED, "unreachable": 10.0},
        Decision(Verdict.UNREACHABLE, 0.0, End.UNREACHABLE),
    ),
    "one that has refused often enough": (
        {"failure": REFUSED, "unreachable": 1.0, "attempt": 4},
        Decision(Verdict.UNREACHABLE, 0.0, End.UNREACHABLE),
    ),
    "one that has answered before": ({"failure": REFUSED}, Decision(Verdict.UNREACHABLE, 1.0)),
    "one that has answered before, often enough": (
        {"failure": REFUSED, "attempt": 4},
        Decision(Verdict.UNREACHABLE, 0.0, End.EXHAUSTED),
    ),
}


@pytest.mark.parametrize(("happened", "expected"), RULES.values(), ids=RULES)
def test_what_comes_next_is_decided_by_what_happened(happened: dict[str, Any], expected: Decision) -> None:
    """By that alone: it is a function of values."""
    operation = happened.get("operation", "PutObject")
    given = {"attempt": 2, "draw": 0.5, "now": NOW, **happened}
    given.pop("operation", None)
    assert decide(POLICY, operation, **given) == expected


@given(
    st.integers(100, 599),
    st.sampled_from(["", "SlowDown", "NoSuchKey", "ExpiredToken", "RequestTimeTooSkewed"]),
    st.integers(1, 10),
    st.floats(0, 1),
    st.one_of(st.just(float("inf")), st.floats(0, 100)),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_nobody_waits_too_long_or_too_often(
    status: int, code: str, attempt: int, draw: float, left: float, after: int | None
) -> None:
    """Whatever comes, and whatever the store asks for."""
    headers = {} if after is None else {"retry-after": str(after)}
    decision = decide(
        POLICY,
        "GetObject",
        status=status,
        code=code,
        headers=headers,
        attempt=attempt,
        draw=draw,
        left=left,
    )
    assert 0 <= decision.delay <= POLICY.max_delay
    if decision.verdict is Verdict.ANSWER:
        assert decision == Decision(Verdict.ANSWER)
    elif decision.end is None:
        assert attempt < POLICY.max_retries
        assert decision.delay < left
