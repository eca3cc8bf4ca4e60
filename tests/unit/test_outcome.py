"""Error answers as exceptions: which class, which words, which facts."""

from __future__ import annotations

import pytest

from s3kv.call import Call
from s3kv.errors import (
    BucketNotFound,
    ConditionFailed,
    DataLoss,
    DeadlineExceeded,
    KeyNotFound,
    PermissionDenied,
    RetriesExhausted,
    S3KVError,
    ServiceError,
)
from s3kv.messages import Request, Response
from s3kv.pipeline.outcome import describe, given_up, retold, service_error

GET = Request("GetObject", "GET", "path/key")
PUT = Request("PutObject", "PUT", "path/key")
LIST = Request("ListObjectsV2", "GET", None)


def _error(status: int, code: str = "", request: Request = GET, message: str = "Told.") -> S3KVError:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    return _from(Response(status, {}, body.encode()), request)


def _from(response: Response, request: Request = GET) -> S3KVError:
    call = Call("key", 100.0)
    call.attempts = 3
    return service_error(response, request, call, 102.5)


@pytest.mark.parametrize(
    ("status", "code", "request_", "kind"),
    [
        (404, "NoSuchKey", GET, KeyNotFound),
        (404, "", GET, KeyNotFound),
        (404, "NoSuchBucket", GET, BucketNotFound),
        (404, "NoSuchBucket", LIST, BucketNotFound),
        (404, "", LIST, ServiceError),
        (404, "", PUT, ServiceError),
        (404, "NoSuchKey", PUT, KeyNotFound),
        (404, "NoSuchUpload", GET, ServiceError),
        (412, "PreconditionFailed", PUT, ConditionFailed),
        (412, "", PUT, ConditionFailed),
        (401, "Unauthorized", GET, PermissionDenied),
        (403, "AccessDenied", GET, PermissionDenied),
        (403, "SignatureDoesNotMatch", PUT, PermissionDenied),
        (403, "", GET, PermissionDenied),
        (400, "InvalidArgument", GET, ServiceError),
        (409, "BucketNotEmpty", PUT, ServiceError),
        (301, "PermanentRedirect", GET, ServiceError),
        (500, "InternalError", GET, ServiceError),
    ],
)
def test_an_error_answer_has_its_class(
    status: int, code: str, request_: Request, kind: type[S3KVError]
) -> None:
    """By code where it says more than the status; 403 never means missing."""
    assert type(_error(status, code, request_)) is kind


def test_a_missing_key_is_said_to_be_missing_where_the_store_says_nothing() -> None:
    """A HEAD's answer has no body."""
    assert _error(404).message == "no object has this key"
    assert _error(404, "NoSuchKey", message="").message == "no object has this key"
    assert _error(404, "NoSuchKey").message == "Told."


def test_the_facts_of_answer_and_call_are_in_the_error() -> None:
    """Ids from the headers, or from the body where a proxy dropped them."""
    body = (
        b"<Error><Code>InvalidArgument</Code><Message>No.</Message><RequestId>RB</RequestId>"
        b"<HostId>HB</HostId></Error>"
    )
    error = _from(Response(400, {"x-amz-request-id": "RH", "x-amz-id-2": "HH"}, body))
    assert (error.status, error.code, error.message) == (400, "InvalidArgument", "No.")
    assert (error.request_id, error.host_id) == ("RH", "HH")
    assert (error.operation, error.key, error.attempts, error.elapsed) == ("GetObject", "key", 3, 2.5)
    error = _from(Response(400, {}, body))
    assert (error.request_id, error.host_id) == ("RB", "HB")
    error = _from(Response(400, {}, b""))
    assert (error.code, error.request_id, error.host_id) == (None, None, None)


@pytest.mark.parametrize(
    ("code", "request_", "explained"),
    [
        ("AccessDenied", GET, True),
        ("", GET, True),
        ("SignatureDoesNotMatch", GET, False),
        ("AccessDenied", PUT, False),
        # It asks for no key.
        ("AccessDenied", LIST, False),
        ("", LIST, False),
    ],
)
def test_a_refused_read_says_that_the_key_may_not_exist(
    code: str, request_: Request, explained: bool
) -> None:
    """S3 answers 403 for missing keys to those who may not list; a bad signature is another matter."""
    assert ("does not exist" in str(_error(403, code, request_))) is explained


def test_a_redirect_that_is_not_followed_is_named() -> None:
    """Where to, and the region if the store says it."""
    body = (
        b"<Error><Code>PermanentRedirect</Code><Message>m</Message>"
        b"<Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint><Region>eu-west-1</Region></Error>"
    )
    words = str(_from(Response(301, {}, body)))
    assert "b.s3.eu-west-1.amazonaws.com" in words
    assert "region eu-west-1" in words
    assert "http://elsewhere/" in str(_from(Response(307, {"location": "http://elsewhere/"}, b"")))
    bare = str(_from(Response(302, {}, b"")))
    assert "nowhere" in bare
    assert "region" not in bare


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("text/plain", b"upstream is\r\ndown", "the store answered 400: upstream is down"),
        ("text/plain; charset=x", b"a\x1b[31mb\x00c", "the store answered 400: a [31mb c"),
        (
            "text/html",
            b"<html><head><style>p {}</style><script>x()</script></head><body><p>No <b>way</b>",
            "the store answered 400: No way",
        ),
        ("text/plain", b"x" * 10_000, "the store answered 400: " + "x" * 200),
        ("text/plain", b"a <b> c", "the store answered 400: a <b> c"),
        ("text/plain", b"", "the store answered 400"),
        ("text/plain", b" \r\n", "the store answered 400"),
        ("application/octet-stream", b"secret bytes", "the store answered 400"),
        ("", b"secret bytes", "the store answered 400"),
    ],
)
def test_a_proxys_words_are_not_lost(kind: str, body: bytes, words: str) -> None:
    """The start of a text, without tags and control characters; other bodies are not shown."""
    assert _from(Response(400, {"content-type": kind}, body)).message == words


def test_what_the_call_knows_is_added_to_any_error() -> None:
    """To the same object, which keeps what it had."""
    call = Call("key", 100.0)
    call.operation, call.attempts = "GetObject", 2
    error = DataLoss("cut", status=200)
    assert describe(error, call, 101.0) is error
    assert (error.operation, error.key, error.attempts, error.elapsed) == ("GetObject", "key", 2, 1.0)
    assert (error.status, error.message) == (200, "cut")
    assert describe(DataLoss("cut"), Call(None, 0.0), 0.0).operation is None


def test_an_error_that_is_retold_keeps_its_facts() -> None:
    """Of another class, in other words; what is to be said differently is."""
    body = b"<Error><Code>PreconditionFailed</Code><Message>m</Message><RequestId>R</RequestId></Error>"
    last = _from(Response(412, {"x-amz-id-2": "H"}, body), PUT)
    error = retold(ConditionFailed, "an object with this key exists already", last)
    assert type(error) is ConditionFailed
    assert error.message == "an object with this key exists already"
    assert (error.operation, error.key, error.attempts, error.elapsed) == ("PutObject", "key", 3, 2.5)
    assert (error.status, error.code) == (412, "PreconditionFailed")
    assert (error.request_id, error.host_id) == ("R", "H")
    other = retold(DataLoss, "x", last, key="other", elapsed=None)
    assert (other.key, other.elapsed, other.status) == ("other", None, 412)


@pytest.mark.parametrize(("tries", "times"), [(0, "once"), (1, "once"), (2, "2 times"), (32, "32 times")])
def test_an_error_that_ends_the_tries_says_how_many_there_were(tries: int, times: str) -> None:
    """And what the last one was."""
    last = _error(503, "SlowDown")
    error = given_up(RetriesExhausted, last, tries, 7.0)
    assert error.message == f"given up after trying {times}: Told."
    assert (error.code, error.elapsed) == ("SlowDown", 7.0)
    late = given_up(DeadlineExceeded, last, tries, 7.0)
    assert late.message == f"the store's timeout passed after trying {times}: Told."
