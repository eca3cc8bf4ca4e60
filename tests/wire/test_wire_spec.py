"""What a spec says, as it shows on the wire: who pays, and which host is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

import s3kv
from tests.wire import sigv4
from tests.wire.authority import Authority
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY, opening
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    error,
    exchanges,
    listing,
    ok,
)

OpenStore = Callable[..., s3kv.Store]

TELLS = "x-amz-bucket-region: eu-west-3"
NAMED = "s3.example.com:8000"
QUICK = {"max_retries": 1}


@pytest.fixture
def opened() -> Iterator[OpenStore]:
    """Return a function that opens a store as users do, signed by the environment; all are closed."""
    with opening(aws_credentials={"type": "environment"}) as open_:
        yield open_


def _serve(request: Recorded) -> bytes:
    """Answer as a store whose bucket is in eu-west-3, with one object that is forbidden and one missing."""
    if request.path.endswith("forbidden"):
        return error(403, "AccessDenied") if request.method == "GET" else answer(403)
    if request.path.endswith("missing"):
        return error(404, "NoSuchKey") if request.method == "GET" else answer(404)
    if request.header("authorization") is None and request.method == "HEAD":
        return answer(200, b"", TELLS)
    if request.query:
        asked = dict(parse_qsl(request.query))
        key = quote(asked.get("prefix", "") + "a")
        return listing(key, token=None if "continuation-token" in asked else "more")
    return ok(b"" if request.method in ("HEAD", "DELETE") else b"value")


ANY: list[Step] = [Forever(READ, Answer(_serve))]

# Operations, and the requests that each needs on a bucket whose region is known.
OPERATIONS: dict[str, tuple[Callable[[s3kv.Store], object], list[str]]] = {
    "get": (lambda store: store.get("key"), ["GET"]),
    "get a range": (lambda store: store.get("key", byte_range=slice(1, 3)), ["GET"]),
    "get nothing": (lambda store: store.get("key", byte_range=slice(0, 0)), ["HEAD"]),
    "get a missing key": (lambda store: store.get("missing", None), ["GET"]),
    "stat": (lambda store: store.stat("key"), ["HEAD"]),
    "in, missing": (lambda store: "missing" in store, ["HEAD", "GET"]),
    "in, forbidden": (lambda store: _refused(lambda: "forbidden" in store), ["HEAD", "GET"]),
    "put": (lambda store: store.put("key", b"value", metadata={"a": "b"}), ["PUT"]),
    "delete": (lambda store: store.delete("key"), ["DELETE"]),
    "del": (lambda store: store.__delitem__("key"), ["HEAD", "DELETE"]),
    "list": (lambda store: store.list(), ["GET", "GET"]),
    "list_dir": (lambda store: store.list_dir("a/"), ["GET", "GET"]),
}


def _refused(call: Callable[[], object]) -> None:
    with pytest.raises(s3kv.PermissionDenied):
        call()


each_operation = pytest.mark.parametrize("name", OPERATIONS)


def _requests(name: str, server: ScriptedServer, store: s3kv.Store, region: str) -> list[Recorded]:
    """Do an operation; the question for the region, and the requests that the operation needs."""
    operation, methods = OPERATIONS[name]
    operation(store)
    assert [request.method for request in server.requests] == ["HEAD", *methods]
    assert server.requests[0].header("authorization") is None
    for request in server.requests[1:]:
        sigv4.check(request, ACCESS_KEY, SECRET_KEY, region)
    return server.requests


# -------------------------------------------------------------------------------- who pays


@each_operation
def test_whoever_asks_pays_for_every_request(
    name: str, keys: None, transport: Any, opened: OpenStore
) -> None:
    """Listings and the question for the region too; the header is signed wherever anything is."""
    with ScriptedServer(then=ANY) as server:
        store = opened(server, session=transport, requester_pays=True)
        for request in _requests(name, server, store, "eu-west-3"):
            assert request.header("x-amz-request-payer") == "requester"
            assert sum("request" in header for header in request.names) == 1
            proof = request.header("authorization")
            assert proof is None or "x-amz-request-payer" in proof


@pytest.mark.parametrize("members", [{}, {"requester_pays": False}], ids=["unsaid", "false"])
@each_operation
def test_nobody_offers_to_pay_who_was_not_asked_to(
    name: str, members: dict[str, Any], keys: None, transport: Any, opened: OpenStore
) -> None:
    """No such header, in any spelling."""
    with ScriptedServer(then=ANY) as server:
        store = opened(server, session=transport, **members)
        for request in _requests(name, server, store, "eu-west-3"):
            assert not any("request" in header or "pay" in header for header in request.names)


def test_an_attempt_that_is_repeated_offers_to_pay_again(
    keys: None, transport: Any, opened: OpenStore
) -> None:
    """After a failure, and after a correction of the region; and so do children."""
    answers = error(503, "SlowDown"), answer(400, b"", TELLS), ok(b"1"), ok(b"2")
    with ScriptedServer(exchanges(*answers)) as server:
        store = opened(
            server,
            session=transport,
            aws_region="us-east-1",
            requester_pays=True,
            s3_request_retries={"initial_delay": "1ms", "max_delay": "1ms"},
        )
        assert store.get("key") == b"1"
        assert (store / "child").with_timeout(5).get("key") == b"2"
        regions = ["us-east-1", "us-east-1", "eu-west-3", "eu-west-3"]
        for request, region in zip(server.requests, regions, strict=True):
            assert request.header("x-amz-request-payer") == "requester"
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, region)


def test_an_unsigned_request_offers_to_pay_too(transport: Any, opened: OpenStore) -> None:
    """The store refuses that in its own words."""
    with ScriptedServer(exchanges(ok(b"value"))) as server:
        unsigned = {"type": "anonymous"}
        store = opened(server, session=transport, aws_credentials=unsigned, requester_pays=True)
        assert store.get("key") == b"value"
        assert server.requests[0].header("x-amz-request-payer") == "requester"
        assert server.requests[0].header("authorization") is None


# ------------------------------------------------------------------------------ which host is named


@each_operation
def test_a_host_header_is_sent_and_signed_with_every_request(
    name: str, keys: None, transport: Any, opened: OpenStore
) -> None:
    """With the question for the region too; the connection goes where the endpoint says."""
    with ScriptedServer(then=ANY) as server:
        store = opened(server, session=transport, host_header=NAMED)
        for request in _requests(name, server, store, "eu-west-3"):
            assert request.all("host") == [NAMED]
            assert request.path.startswith("/bucket")


@pytest.mark.parametrize("name", ["bucket.s3.eu-west-3.amazonaws.com", "S3.Example.COM", "[::1]:9000"])
def test_a_host_header_is_sent_as_it_is(name: str, keys: None, transport: Any, opened: OpenStore) -> None:
    """Whatever it names; the same bytes are signed."""
    with ScriptedServer(exchanges(ok(b"1"), ok())) as server:
        store = opened(server, session=transport, host_header=name, aws_region="eu-west-3")
        assert store.get("key") == b"1"
        store.put("key", b"v")
        for request in server.requests:
            assert request.all("host") == [name]
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "eu-west-3")


def test_a_named_host_stays_named_when_the_region_is_corrected(
    keys: None, transport: Any, opened: OpenStore
) -> None:
    """And the endpoint stays where it is, though the name is one of Amazon's."""
    name = "s3.us-east-1.amazonaws.com"
    with ScriptedServer(exchanges(answer(400, b"", TELLS), ok(b"1"))) as server:
        store = opened(server, session=transport, host_header=name, aws_region="us-east-1")
        assert store.get("key") == b"1"
        assert [request.all("host") for request in server.requests] == [[name]] * 2
        sigv4.check(server.requests[1], ACCESS_KEY, SECRET_KEY, "eu-west-3")


def test_a_named_host_keeps_an_endpoint_of_amazons_where_it_is(
    keys: None, transport: Any, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names a host has reasons to go there and nowhere else, whatever region is the right one."""
    endpoint = "http://s3.us-east-1.amazonaws.com"
    with ScriptedServer(exchanges(answer(400, b"", TELLS), ok(b"1"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        store = opened(session=transport, endpoint=endpoint, host_header=NAMED, aws_region="us-east-1")
        assert store.get("key") == b"1"
        assert [request.target for request in proxy.requests] == [f"{endpoint}/bucket/key"] * 2
        assert [request.all("host") for request in proxy.requests] == [[NAMED]] * 2
        assert "/eu-west-3/" in (proxy.requests[1].header("authorization") or "")


def test_a_proxy_is_told_the_endpoint_and_passes_the_named_host_on(
    keys: None, transport: Any, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL in the request line is the endpoint's; the Host header is what was asked for, and signed."""
    with ScriptedServer(exchanges(answer(200, b"", TELLS), ok(b"v"), ok())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        store = opened(session=transport, endpoint="http://s3.invalid:9000/base", host_header=NAMED)
        assert store.get("key") == b"v"
        store.put("key", b"v")
        assert [request.line for request in proxy.requests] == [
            "HEAD http://s3.invalid:9000/base/bucket HTTP/1.1",
            "GET http://s3.invalid:9000/base/bucket/key HTTP/1.1",
            "PUT http://s3.invalid:9000/base/bucket/key HTTP/1.1",
        ]
        for request in proxy.requests:
            assert request.all("host") == [NAMED]
        for request in proxy.requests[1:]:
            head = request.head.replace(b" http://s3.invalid:9000/", b" /", 1)
            sigv4.check(replace(request, head=head), ACCESS_KEY, SECRET_KEY, "eu-west-3")


def test_the_certificate_is_the_endpoints_and_not_the_named_hosts(
    keys: None, transport: Any, trusted: Authority, opened: OpenStore
) -> None:
    """TLS is spoken with whom the connection goes to."""
    if transport is not None:
        transport.verify = str(trusted.bundle)
    options = {"session": transport, "host_header": "s3.example.com", "aws_region": "us-east-1"}
    with ScriptedServer(exchanges(ok(b"v")), tls=trusted.server_context("127.0.0.1")) as server:
        assert opened(server, **options).get("key") == b"v"
        assert server.requests[0].all("host") == ["s3.example.com"]
        sigv4.check(server.requests[0], ACCESS_KEY, SECRET_KEY, "us-east-1")
    with ScriptedServer([], tls=trusted.server_context("s3.example.com"), lenient=True) as other:
        with pytest.raises(s3kv.TransportError, match="certificate"):
            opened(other, **options).get("key")
        assert other.requests == []
