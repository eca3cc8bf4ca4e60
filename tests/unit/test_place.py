"""Where a bucket is: asked for once, corrected by the store's own answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import s3kv
from s3kv.call import Call
from s3kv.endpoint import Endpoint, aws_endpoint, custom_endpoint
from s3kv.errors import TransportError
from s3kv.messages import Response, WireRequest
from s3kv.pipeline.place import Place, told_region
from s3kv.transport.protocol import Exchange
from s3kv.xml import parse_error


class FakeTransport:
    """Answers with what it was given, in order, and keeps what it was asked."""

    def __init__(self, *answers: Response | TransportError) -> None:
        self.answers = list(answers)
        self.asked: list[WireRequest] = []

    def exchange(self, request: WireRequest, call: Call) -> Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, TransportError):
            raise answer
        return answer

    def begin(self, request: WireRequest, call: Call) -> Exchange:
        raise NotImplementedError

    def launch(self, *arguments: object) -> Exchange:
        raise NotImplementedError

    def close(self) -> None:
        pass


def _amazons(bucket: str = "bucket") -> Callable[[str], Endpoint]:
    return lambda region: aws_endpoint(bucket, region)


def _custom(region: str) -> Endpoint:
    return custom_endpoint("http://localhost:9000", "bucket", region)


def _place(
    build: Callable[[str], Endpoint], region: str | None = None, fallback: str = "us-east-1"
) -> Place:
    return Place(build, build, region, fallback, "agent/1")


def _head(status: int, region: str | None = None) -> Response:
    return Response(status, {} if region is None else {"x-amz-bucket-region": region}, b"")


def _locate(place: Place, transport: FakeTransport) -> Endpoint:
    return place.locate(transport, Call("key", 0.0))


def test_a_region_that_is_given_is_not_asked_for() -> None:
    """Opening and the first request go straight to it."""
    place = _place(_amazons(), "eu-west-1")
    assert place.peek() == aws_endpoint("bucket", "eu-west-1")
    transport = FakeTransport()
    assert _locate(place, transport) == aws_endpoint("bucket", "eu-west-1")
    assert transport.asked == []


@pytest.mark.parametrize("status", [200, 301, 400, 403, 404])
def test_a_region_is_asked_for_once_by_an_unsigned_head(status: int) -> None:
    """S3 tells it whatever its status."""
    place = _place(_amazons())
    assert place.peek() is None
    transport = FakeTransport(_head(status, "eu-west-1"))
    for _ in range(2):
        assert _locate(place, transport) == aws_endpoint("bucket", "eu-west-1")
    assert place.peek() == aws_endpoint("bucket", "eu-west-1")
    (request,) = transport.asked
    assert (request.method, request.target, request.body) == ("HEAD", "/", b"")
    assert request.origin == aws_endpoint("bucket", "us-east-1").origin
    names = {name.lower() for name, _ in request.headers}
    assert "host" in names
    assert not names & {"authorization", "x-amz-date", "x-amz-security-token"}


def test_a_store_that_does_not_say_is_where_the_environment_says() -> None:
    """Compatible stores seldom tell; nonsense is not taken for a region."""
    for told in (None, "", "not a region", "../x"):
        place = _place(_custom, fallback="eu-north-1")
        assert _locate(place, FakeTransport(_head(403, told))) == _custom("eu-north-1")


def test_a_failure_is_not_remembered() -> None:
    """Neither one of the connection nor an answer that another attempt may change."""
    place = _place(_amazons())
    lost = TransportError("lost", reason="timeout")
    with pytest.raises(TransportError) as caught:
        _locate(place, FakeTransport(lost))
    assert caught.value is lost
    with pytest.raises(TransportError):
        _locate(place, FakeTransport(_head(503)))
    assert place.peek() is None
    assert _locate(place, FakeTransport(_head(200, "eu-west-1"))).region == "eu-west-1"


def test_a_dead_connection_is_replaced() -> None:
    """At once, by one that has carried no request."""
    transport = FakeTransport(TransportError("dead", reason="stale"), _head(200, "eu-west-1"))
    assert _locate(_place(_amazons()), transport).region == "eu-west-1"
    assert [request.fresh for request in transport.asked] == [False, True]


def test_an_old_name_is_found_whatever_region_the_environment_names() -> None:
    """Only us-east-1 has such names: the environment's region is not to be held against them."""
    place = _place(_amazons("My_Bucket"), fallback="eu-west-1")
    endpoint = _locate(place, FakeTransport(_head(200, "us-east-1")))
    assert endpoint == aws_endpoint("My_Bucket", "us-east-1")


def _refusal(status: int, code: str = "", region: str = "", header: str | None = None) -> Response:
    body = f"<Error><Code>{code}</Code><Region>{region}</Region></Error>".encode() if code else b""
    response = Response(status, {} if header is None else {"x-amz-bucket-region": header}, body)
    response.error = parse_error(body)
    return response


@pytest.mark.parametrize(
    ("response", "region"),
    [
        (_refusal(301, "PermanentRedirect", "eu-west-1"), "eu-west-1"),
        (_refusal(301, "PermanentRedirect", header="eu-west-1"), "eu-west-1"),
        (_refusal(301, header="eu-west-1"), "eu-west-1"),
        (_refusal(307, "TemporaryRedirect", "eu-west-1"), "eu-west-1"),
        (_refusal(400, "AuthorizationHeaderMalformed", "eu-west-1"), "eu-west-1"),
        (_refusal(400, "IllegalLocationConstraintException", header="eu-west-1"), "eu-west-1"),
        (_refusal(400, header="eu-west-1"), "eu-west-1"),
        (_refusal(400, "InvalidArgument", "eu-west-1"), None),
        (_refusal(400), None),
        (_refusal(301), None),
        (_refusal(301, "PermanentRedirect", "evil.example.com/"), None),
        (_refusal(403, "AccessDenied", header="eu-west-1"), None),
        (_refusal(404, "NoSuchBucket", "eu-west-1"), None),
        (_refusal(200, header="eu-west-1"), None),
    ],
)
def test_an_answer_that_is_about_the_region_names_it(response: Response, region: str | None) -> None:
    """Header before body; only where the answer is a redirect or a complaint about the region."""
    assert told_region(response) == region


def test_an_answer_whose_body_nobody_has_read_yet_is_read() -> None:
    """The look-up is the same."""
    response = _refusal(301, "PermanentRedirect", "eu-west-1")
    response.error = None
    assert told_region(response) == "eu-west-1"


def test_a_refusal_corrects_the_place_for_later_requests() -> None:
    """Only one that names another region than the one asked."""
    place = _place(_amazons(), "us-east-1")
    asked = aws_endpoint("bucket", "us-east-1")
    assert not place.correct(_refusal(301, header="us-east-1"), asked)
    assert not place.correct(_refusal(403, "AccessDenied"), asked)
    assert place.peek() == asked
    assert place.correct(_refusal(301, header="eu-west-1"), asked)
    assert place.peek() == aws_endpoint("bucket", "eu-west-1")
    # A request that was sent before the correction is to be repeated as well.
    assert place.correct(_refusal(301, header="eu-west-1"), asked)
    assert place.peek() == aws_endpoint("bucket", "eu-west-1")


# ------------------------------------------------------------------------------- Host headers


def _named(region: str) -> Endpoint:
    return custom_endpoint("http://localhost:9000", "bucket", region, host_header="h:80")


def test_a_region_is_asked_for_with_the_host_header_of_the_spec() -> None:
    """Where that is the only way to be understood, it is so from the first request on."""
    place = _place(_named)
    transport = FakeTransport(_head(200, "eu-west-1"))
    assert _locate(place, transport) == _named("eu-west-1")
    (request,) = transport.asked
    assert dict(request.headers)["Host"] == "h:80"
    assert request.origin == _custom("us-east-1").origin
    plain = FakeTransport(_head(200, "eu-west-1"))
    _locate(_place(_custom), plain)
    assert dict(plain.asked[0].headers)["Host"] == "localhost:9000"


def test_a_region_is_asked_for_with_the_headers_that_every_request_has() -> None:
    """A bucket may tell nothing to those who do not say that they pay."""
    extra = (("x-amz-request-payer", "requester"),)
    place = Place(_amazons(), _amazons(), None, "us-east-1", "agent/1", extra)
    transport = FakeTransport(_head(200, "eu-west-1"))
    _locate(place, transport)
    assert dict(transport.asked[0].headers) == {
        "Host": "bucket.s3.us-east-1.amazonaws.com",
        "x-amz-request-payer": "requester",
        "User-Agent": "agent/1",
    }


AMAZONS = "https://s3.eu-west-1.amazonaws.com"
LOCAL = "http://localhost:9000"


@pytest.mark.parametrize(
    ("members", "corrected"),
    [
        ({}, "https://bucket.s3.eu-north-1.amazonaws.com/"),
        ({"endpoint": AMAZONS}, "https://bucket.s3.eu-north-1.amazonaws.com/"),
        ({"endpoint": AMAZONS, "host_header": "h"}, f"{AMAZONS}/bucket"),
        ({"endpoint": LOCAL}, f"{LOCAL}/bucket"),
        ({"endpoint": LOCAL, "host_header": "h"}, f"{LOCAL}/bucket"),
    ],
    ids=str,
)
def test_a_correction_leaves_a_place_that_only_the_spec_knows(
    members: dict[str, str], corrected: str
) -> None:
    """Amazon's regions have endpoints that are known; a Host header says that this one is special."""
    with s3kv.Store({"bucket": "bucket", "aws_region": "eu-west-1", **members}) as store:
        before = store._core.endpoint
        assert before is not None
        assert store._core.relocate(_refusal(301, "PermanentRedirect", "eu-north-1"), before)
        after = store._core.endpoint
    assert after is not None
    assert (after.url, after.region) == (corrected, "eu-north-1")
    if "host_header" in members:
        assert (before.host, after.host) == ("h", "h")
