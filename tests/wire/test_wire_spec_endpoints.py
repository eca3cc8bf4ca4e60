"""Where requests go: below the endpoint of the spec or of the environment, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import s3kv
from s3kv.context import default_context
from s3kv.core import Core
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY, opening
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    answer,
    exchanges,
    listing,
    ok,
)
from tests.wire.test_wire_unreachable import POLICY, refusing

OpenStore = Callable[..., s3kv.Store]

TELLS = "x-amz-bucket-region: eu-west-3"
QUICK = {"max_retries": 1}


@pytest.fixture
def opened() -> Iterator[OpenStore]:
    """Return a function that opens a store as users do, signed by the environment; all are closed."""
    with opening(aws_credentials={"type": "environment"}) as open_:
        yield open_


def _serve(request: Recorded) -> bytes:
    """Answer as a store whose bucket is in eu-west-3."""
    if request.header("authorization") is None:
        return answer(200, b"", TELLS)
    if request.query:
        return listing()
    return ok(b"" if request.method in ("HEAD", "DELETE") else b"value")


ANY: list[Step] = [Forever(READ, Answer(_serve))]


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
            target or "/",
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


@pytest.mark.parametrize("first", [S3, ALL])
def test_an_endpoint_is_known_to_have_answered_by_its_url(
    first: str, keys: None, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its bucket: where nobody has ever answered, the patience is short, whatever did elsewhere."""
    with ScriptedServer(exchanges(ok(b"v"))) as server:
        monkeypatch.setenv(first, server.url)
        assert opened(aws_region="us-east-1").get("key") == b"v"
    with refusing() as url:
        # The port may have been another test's server's, which answered this process.
        monkeypatch.setenv(S3, f"{url}/nobody")
        spec = s3kv.Spec(bucket="bucket", aws_region="us-east-1")
        core = Core(spec, default_context(), policy=POLICY)
        try:
            with pytest.raises(s3kv.EndpointUnreachable):
                s3kv.Store._over(core, None, "", 1.0).get("key")
        finally:
            core.close()


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


def test_a_redirect_to_a_presigned_url_is_an_error_without_its_signature(opened: OpenStore) -> None:
    """Whoever reads a log could use it for as long as it is good; where it leads to is said."""
    query = "X-Amz-Credential=AK&X-Amz-Signature=0123456789abcdef"
    redirect = answer(307, b"", f"Location: HTTP://user:word@h.invalid/bucket/a@b?{query}")
    with ScriptedServer(exchanges(redirect)) as server:
        store = opened(server, aws_region="us-east-1", aws_credentials={"type": "anonymous"})
        with pytest.raises(s3kv.ServiceError, match=r"h\.invalid/bucket/a@b") as caught:
            store.get("key")
    for secret in ("0123456789abcdef", "Amz", "word"):
        assert secret not in str(caught.value)


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
