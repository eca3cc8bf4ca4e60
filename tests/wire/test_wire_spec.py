"""What a spec says, as it shows on the wire: who pays, which host is named, where requests go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
import requests

import s3kv
from tests.wire import sigv4
from tests.wire.authority import Authority
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
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
    stores: list[s3kv.Store] = []

    def open_(
        where: ScriptedServer | None = None, *, session: Any = None, timeout: Any = None, **members: Any
    ) -> s3kv.Store:
        if where is not None:
            members = {"endpoint": where.url, **members}
        members = {"bucket": "bucket", "aws_credentials": {"type": "environment"}, **members}
        stores.append(s3kv.Store(members, session=session, timeout=timeout))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture(params=["built-in", "session"])
def transport(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what to give as ``session=``: None, or a session."""
    if request.param == "built-in":
        yield None
        return
    with requests.Session() as session:
        yield session


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
        with pytest.raises(s3kv.TransportError, match="TLS"):
            opened(other, **options).get("key")
        assert other.requests == []


# ----------------------------------------------------------------------------- where requests go


@pytest.mark.parametrize(
    ("base", "bucket", "target"),
    [
        ("", "bucket", "/bucket"),
        ("/", "bucket", "/bucket"),
        ("/base", "bucket", "/base/bucket"),
        ("/base/", "bucket", "/base/bucket"),
        ("/base//", "bucket", "/base/bucket"),
        ("/bucket", "", "/bucket"),
        ("/bucket/", "", "/bucket"),
        ("/base/bucket/", "", "/base/bucket"),
        ("/a%20b/", "bucket", "/a%20b/bucket"),
        ("", "", ""),
        ("/", "", ""),
    ],
)
def test_the_bucket_and_its_keys_are_below_the_endpoint(
    base: str, bucket: str, target: str, keys: None, transport: Any, opened: OpenStore
) -> None:
    """The question for the region, listings and objects agree on where, whatever the endpoint ends with."""
    with ScriptedServer(then=ANY) as server:
        store = opened(endpoint=server.url + base, bucket=bucket, path="p/", session=transport)
        store.get("key")
        store.put("key", b"v")
        store.stat("key")
        (store / "q").delete("key")
        store.list_dir()
        assert [request.path for request in server.requests] == [
            target or "/",
            *[f"{target}/p/key"] * 3,
            f"{target}/p/qkey",
            *[target or "/"] * 2,
        ]
        for request in server.requests[1:]:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "eu-west-3")


S3, ALL, IGNORE = "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
HERE, ELSEWHERE = "here", "elsewhere"


@pytest.mark.parametrize(
    ("variables", "member"),
    [
        ({S3: HERE}, None),
        ({ALL: HERE}, None),
        ({S3: HERE, ALL: ELSEWHERE}, None),
        ({S3: "", ALL: HERE}, None),
        ({S3: HERE, IGNORE: "false"}, None),
        ({S3: ELSEWHERE, ALL: ELSEWHERE}, HERE),
        ({S3: "of no use"}, HERE),
        ({S3: HERE, ALL: "of no use"}, None),
        ({S3: ELSEWHERE, IGNORE: "true"}, HERE),
    ],
)
def test_the_environment_stands_in_for_a_missing_endpoint(
    variables: dict[str, str],
    member: str | None,
    keys: None,
    transport: Any,
    opened: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its variable for S3 before the one for everything; the member of the spec before both."""
    with ScriptedServer() as elsewhere, ScriptedServer(exchanges(ok(b"v"))) as here:
        urls = {HERE: f"{here.url}/base", ELSEWHERE: elsewhere.url}
        for name, value in variables.items():
            monkeypatch.setenv(name, urls.get(value, value))
        endpoint = {} if member is None else {"endpoint": urls[member]}
        store = opened(session=transport, aws_region="eu-west-3", **endpoint)
        assert store.get("key") == b"v"
        assert here.requests[0].target == "/base/bucket/key"
        assert here.requests[0].header("host") == f"127.0.0.1:{here.port}"
        sigv4.check(here.requests[0], ACCESS_KEY, SECRET_KEY, "eu-west-3")


def test_the_environment_is_looked_at_when_a_store_is_opened(
    keys: None, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no part of the store's description, and what changes later is for the next store."""
    with ScriptedServer(exchanges(ok(b"1"), ok(b"2"))) as server:
        monkeypatch.setenv(S3, server.url)
        store = opened(aws_region="us-east-1")
        monkeypatch.setenv(S3, "http://s3.invalid")
        assert store.get("key") == b"1"
        assert (store / "child").get("key") == b"2"
        assert store.url == "s3://bucket/"
        assert "endpoint" not in store.spec(include_defaults=True)


@pytest.mark.parametrize("ignored", ["true", "TRUE", "True"])
def test_the_environments_endpoints_may_be_ignored(
    ignored: str, keys: None, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket is then Amazon's, even where they are of no use."""
    with ScriptedServer() as server:
        monkeypatch.setenv(IGNORE, ignored)
        monkeypatch.setenv(S3, "of no use")
        monkeypatch.setenv(ALL, server.url)
        store = opened(aws_region="eu-west-3", s3_request_retries=QUICK)
        with pytest.raises(s3kv.S3KVError, match=re.escape("bucket.s3.eu-west-3.amazonaws.com")):
            store.get("key")


@pytest.mark.parametrize("name", [S3, ALL])
@pytest.mark.parametrize(
    "value",
    [
        "of no use",
        "localhost:9000",
        "ftp://localhost",
        "http://",
        "http://localhost:99999",
        "http://localhost/?query",
        "http://localhost/#fragment",
        "http://AKIDUSER:pass/word@localhost",
        "http://localhost/a b",
        "http://localhost/\tb",
    ],
)
def test_a_bad_endpoint_in_the_environment_is_an_error_that_names_the_variable(
    name: str, value: str, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store is opened; a password that it may hold is not shown."""
    monkeypatch.setenv(name, value)
    with pytest.raises(s3kv.SpecError) as caught:
        opened()
    assert caught.value.member == name
    assert f"{name} is " in str(caught.value)
    assert "http://" in str(caught.value)
    assert "word" not in str(caught.value)
    # Whoever says where to go does not care.
    opened(endpoint="http://localhost:9000")


def test_an_endpoint_of_the_environment_is_asked_for_the_region(
    keys: None, transport: Any, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below its path, as any; and its answer counts, not the environment's region."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    with ScriptedServer(exchanges(answer(200, b"", TELLS), ok(b"v"))) as server:
        monkeypatch.setenv(ALL, f"{server.url}/base/")
        assert opened(session=transport).get("key") == b"v"
        assert [request.target for request in server.requests] == ["/base/bucket", "/base/bucket/key"]
        sigv4.check(server.requests[1], ACCESS_KEY, SECRET_KEY, "eu-west-3")


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "sa-east-1"}, "sa-east-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "us-east-1"),
    ],
)
def test_an_empty_region_in_the_environment_is_none(
    variables: dict[str, str],
    region: str,
    keys: None,
    opened: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the variable were not set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ScriptedServer(exchanges(answer(200), ok(b"v"))) as server:
        assert opened(server).get("key") == b"v"
        sigv4.check(server.requests[1], ACCESS_KEY, SECRET_KEY, region)


@pytest.mark.parametrize("region", ["us-east-1\r\nX-Evil: 1", "eu west", "a/b", "é", "a,b"])
def test_what_cannot_be_a_region_gets_into_no_request(
    region: str, keys: None, transport: Any, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as a header of its own nor as part of a signature; the error names the variable."""
    monkeypatch.setenv("AWS_REGION", region)
    with ScriptedServer(then=[Forever(READ, Send(ok(b"v")))]) as server:
        with pytest.raises(s3kv.S3KVError, match="AWS_REGION"):
            opened(server, session=transport, s3_request_retries=QUICK).get("key")
        for request in server.requests:
            assert request.header("authorization") is None
            assert "x-evil" not in request.names


def test_each_store_asks_for_its_region_once(keys: None, transport: Any, opened: OpenStore) -> None:
    """Its children and copies do not ask again; another store does; one that was told never asks."""
    with ScriptedServer(then=ANY) as server:
        store = opened(server, session=transport)
        for each in (store, store / "child", store + "x", store.with_timeout(5), store):
            each.get("key")
        assert [request.method for request in server.requests] == ["HEAD", *["GET"] * 5]
        opened(server, session=transport).get("key")
        assert [request.method for request in server.requests[6:]] == ["HEAD", "GET"]
        opened(server, session=transport, aws_region="eu-west-3").get("key")
        assert [request.method for request in server.requests[8:]] == ["GET"]


# --------------------------------------------------------------------------- and where they do not


REDIRECTED: dict[str, Callable[[s3kv.Store], object]] = {
    "get": lambda store: store.get("key"),
    "put": lambda store: store.put("key", b"v"),
    "delete": lambda store: store.delete("key"),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: store.list(),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", REDIRECTED)
def test_a_redirect_to_somebody_else_is_an_error_that_names_them(
    name: str, status: int, session_keys: None, transport: Any, opened: OpenStore
) -> None:
    """Nobody connects there, so nothing is told there: no key, no token, no signature, no bytes."""
    with ScriptedServer() as elsewhere:
        redirect = answer(status, b"", f"Location: {elsewhere.url}/bucket/key")
        with ScriptedServer(exchanges(redirect)) as server:
            store = opened(server, session=transport, aws_region="us-east-1")
            with pytest.raises(s3kv.S3KVError, match=re.escape(elsewhere.url)) as caught:
                REDIRECTED[name](store)
            assert caught.value.status == status


def test_a_body_that_names_somebody_else_is_an_error_that_names_them(
    keys: None, transport: Any, opened: OpenStore
) -> None:
    """Without a Location, as S3's own redirects are."""
    with ScriptedServer() as elsewhere:
        body = (
            "<Error><Code>TemporaryRedirect</Code><Message>Please re-send.</Message>"
            f"<Endpoint>127.0.0.1:{elsewhere.port}</Endpoint></Error>"
        )
        with ScriptedServer(exchanges(answer(307, body.encode()))) as server:
            store = opened(server, session=transport, aws_region="us-east-1")
            with pytest.raises(s3kv.S3KVError, match=f"127.0.0.1:{elsewhere.port}"):
                store.get("key")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_question_for_the_region_is_redirected_nowhere(
    status: int, keys: None, transport: Any, opened: OpenStore
) -> None:
    """An answer that does not say the region says nothing, wherever it points."""
    with ScriptedServer() as elsewhere:
        redirect = answer(status, b"", f"Location: {elsewhere.url}/bucket")
        with ScriptedServer(exchanges(redirect, ok(b"v"))) as server:
            assert opened(server, session=transport).get("key") == b"v"
            sigv4.check(server.requests[1], ACCESS_KEY, SECRET_KEY, "us-east-1")
