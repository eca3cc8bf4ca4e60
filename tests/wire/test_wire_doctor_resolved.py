"""What the doctor says was resolved, and why: credentials, endpoint, region, the way there, the clock."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

import s3kv
from s3kv.doctor import Check, Report, probe, timing
from tests.servers.metadata import HANG, FakeContainer, FakeImds, FakeSts, keys, refused, silent
from tests.wire.authority import Authority
from tests.wire.conftest import ACCESS_KEY, OpenStore
from tests.wire.helpers import Background
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    Tunnel,
    answer,
    error,
    listing,
)

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/wire"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextmanager
def serving(respond: Callable[[Recorded], bytes] | None = None, **options: Any) -> Iterator[ScriptedServer]:
    """Run a server; by default every listing has the key "key", and every other answer is one byte."""

    def usual(request: Recorded) -> bytes:
        return listing("key") if "list-type" in request.query else answer(206, b"v", 'ETag: "e"')

    step = Forever(READ, Answer(respond or usual))
    with ScriptedServer(then=[step], lenient=True, **options) as server:
        yield server


def dated(seconds: float) -> Callable[[Recorded], bytes]:
    """Return what answers with a clock that is so many seconds off."""

    def respond(request: Recorded) -> bytes:
        told = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))
        return listing("key").replace(b"\r\n", f"\r\nDate: {told}\r\n".encode(), 1)

    return respond


def found(name: str, **options: Any) -> Check:
    """Return what the doctor says of one thing, at a server that is well."""
    with serving() as server, s3kv.Store(_members(server, **options)) as store:
        check: Check = store.doctor()[name]
        return check


def _members(server: ScriptedServer, **options: Any) -> dict[str, Any]:
    members = {
        "bucket": "bucket",
        "endpoint": server.url,
        "aws_region": "us-east-1",
        "aws_credentials": {"type": "anonymous"},
        "s3_request_retries": {"max_retries": 2, "initial_delay": "1ms", "max_delay": "2ms"},
        **options,
    }
    return {name: value for name, value in members.items() if value is not None}


# ----------------------------------------------------------------------------------- credentials


def test_keys_of_the_environment_are_recognised_by_their_ends(keys: None) -> None:
    """They are known to have no end; the middle of the access key id is left out."""
    check = found("credentials", aws_credentials={"type": "environment"})
    assert check.outcome == "ok"
    assert check.detail == (
        "environment: from AWS_ACCESS_KEY_ID in the environment, access key id AKID…ESTS, without an end"
    )
    assert ACCESS_KEY not in check.detail


def test_the_default_chain_says_where_it_found_them(session_keys: None) -> None:
    """A session token ends, and nobody says when."""
    check = found("credentials", aws_credentials={"type": "default"})
    assert check.outcome == "ok"
    assert check.detail.startswith("default: from AWS_ACCESS_KEY_ID in the environment")
    assert "temporary" in check.detail


def test_a_chain_that_finds_nothing_is_a_warning() -> None:
    """Requests are not signed, which is seldom meant."""
    check = found("credentials", aws_credentials={"type": "default"})
    assert check.outcome == "warning"
    assert "not signed" in check.detail
    assert "anonymous" in check.advice


@pytest.mark.parametrize(("access_key", "shown"), [("minio", "…"), ("minioadmin", "mi…in")])
def test_of_a_short_access_key_id_less_is_shown(
    access_key: str, shown: str, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never most of it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    check = found("credentials", aws_credentials={"type": "environment"})
    assert f"access key id {shown}," in check.detail


@pytest.mark.parametrize(
    ("spec", "variables", "shown"),
    [
        ({"type": "profile", "profile": "a"}, {}, "the profile 'a' of"),
        ({"type": "profile"}, {}, "the profile 'default' of"),
        ({"type": "profile"}, {"AWS_PROFILE": "a"}, "the profile 'a' (AWS_PROFILE) of"),
        (
            {"type": "profile"},
            {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"},
            "the profile 'a' (AWS_PROFILE) of",
        ),
        (
            {"type": "default"},
            {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"},
            "the profile 'b' (AWS_DEFAULT_PROFILE) of",
        ),
    ],
)
def test_a_profile_is_named_with_its_file_and_who_chose_it(
    spec: dict[str, str],
    variables: dict[str, str],
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The keys shown are those of that profile."""
    ids = {"default": "AKIDdefault0001", "a": "AKIDofprofa0002", "b": "AKIDofprofb0003"}
    file = tmp_path / "credentials"
    file.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {keys_secret()}\n"
            for name, key in ids.items()
        )
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    check = found("credentials", aws_credentials=spec)
    assert f"{shown} {file} (AWS_SHARED_CREDENTIALS_FILE)" in check.detail
    chosen = shown.split("'")[1]
    assert f"access key id AKID…{ids[chosen][-4:]}" in check.detail
    assert keys_secret() not in str(check)


def keys_secret() -> str:
    """Return a secret access key."""
    return keys().secret_key


def test_a_role_taken_on_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is the profile that wants it, and the end of its keys."""
    config = tmp_path / "config"
    config.write_text(
        f"[default]\naws_access_key_id = AKIDdefault0001\naws_secret_access_key = {keys_secret()}\n"
        f"[profile lent]\nrole_arn = {ROLE}\nsource_profile = default\n"
    )
    spec = {"type": "profile", "profile": "lent", "config_file": str(config)}
    with FakeSts(keys(9)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        check = found("credentials", aws_credentials=spec)
    assert "a role taken on, the profile 'lent'" in check.detail
    assert ROLE in check.detail
    assert "expire in 60 minutes" in check.detail


def test_a_machines_role_is_named_and_the_end_of_its_keys_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the metadata service tells them."""
    with FakeImds(keys(1, expires=3600)) as imds:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        check = found("credentials", aws_credentials={"type": "imds"})
    assert check.outcome == "ok"
    assert check.detail.startswith("imds: from the EC2 metadata service, role wire-role, access key id")
    assert "expire in 60 minutes" in check.detail


def test_keys_that_should_have_been_renewed_are_a_warning() -> None:
    """Whoever renews them gives none that last longer."""
    with FakeContainer(keys(1, expires=400)) as container:
        check = found("credentials", aws_credentials=container.spec)
    assert check.outcome == "warning"
    assert check.detail.startswith("ecs: from the container's endpoint that the store names, access key id")
    assert "expire in 7 minutes" in check.detail
    assert check.advice


def test_a_container_that_is_silent_does_not_keep_the_doctor(keys: None) -> None:
    """Then there are no credentials, and nothing is signed."""
    with FakeContainer(HANG) as container, serving() as server:
        members = _members(server, aws_credentials=container.spec)
        with s3kv.Store(members, timeout=0.3) as store:
            call = Background(store.doctor)
            report = call.result(10)
        assert call.seconds < 5
        assert report["credentials"].outcome == "failure"
        assert report["list"].detail == "not tried: there are no credentials to sign with"
        assert server.requests == []


def test_a_program_passes_an_object_or_a_callable() -> None:
    """It is named, and none of its parts is shown."""
    check = found("credentials", aws_credentials=keys().object)
    assert check.detail.startswith("passed by the program: from botocore Credentials, access key id AKID…")

    def lend() -> Any:
        return keys().object

    check = found("credentials", aws_credentials=lend)
    assert "callable" in check.detail
    assert "lend" in check.detail
    check = found("credentials", aws_credentials=lambda: keys().object)
    assert "<lambda>, access key id" in check.detail


# ------------------------------------------------------------------------------- endpoint, region


def test_an_endpoint_is_told_with_who_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store, or a variable."""
    assert "given as endpoint" in found("endpoint").detail
    with serving() as server:
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(variable, server.url)
            with s3kv.Store(_members(server, endpoint=None)) as store:
                report = store.doctor()
                assert report["endpoint"].detail == f"{server.url}/bucket, from {variable}"
                assert report["addressing"].detail.startswith("path style (/bucket/key)")
                assert report.ok


def test_plain_http_to_another_machine_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the way can read along."""
    with serving() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        with s3kv.Store(_members(server, endpoint="http://s3.invalid")) as store:
            report = store.doctor()
    assert report["endpoint"].outcome == "warning"
    assert report["endpoint"].advice
    assert report["list"].outcome == "ok"


@pytest.mark.parametrize(
    ("bucket", "shown"),
    [
        ("bucket", "virtual-host style (bucket.s3.eu-west-1.amazonaws.com)"),
        ("with.dots", "path style (/with.dots/key), because"),
    ],
)
@responses.activate
def test_amazons_endpoint_is_found_by_the_bucket(bucket: str, shown: str) -> None:
    """Its region is asked for, and told; the host is of that region."""
    told = {"x-amz-bucket-region": "eu-west-1"}
    responses.head(
        f"https://{'bucket.' if bucket == 'bucket' else ''}s3.us-east-1.amazonaws.com"
        f"/{'' if bucket == 'bucket' else bucket}",
        headers=told,
        status=403,
    )
    responses.get(
        f"https://{'bucket.' if bucket == 'bucket' else ''}s3.eu-west-1.amazonaws.com"
        f"/{'' if bucket == 'bucket' else bucket}",
        body=listing().partition(b"\r\n\r\n")[2],
        headers=told,
    )
    responses.add_passthru("http://127.0.0.1")
    with (
        requests.Session() as session,
        s3kv.Store(
            bucket=bucket, aws_credentials={"type": "anonymous"}, session=session, timeout=5
        ) as store,
    ):
        report = store.doctor()
    assert report["region"] == Check("region", "ok", "eu-west-1, told by the bucket")
    assert "s3.eu-west-1.amazonaws.com" in report["endpoint"].detail
    assert "Amazon's" in report["endpoint"].detail
    assert report["addressing"].detail.startswith(shown)
    assert report["list"].outcome == "ok"
    assert report["conditional writes"].outcome == "ok"


def _region(respond: Callable[[Recorded], bytes], **options: Any) -> Check:
    with serving(respond) as server, s3kv.Store(_members(server, **options)) as store:
        check: Check = store.doctor()["region"]
        return check


def test_a_region_is_told_with_who_said_so(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's spec, the bucket, a variable, nobody."""
    signed = {"aws_credentials": {"type": "environment"}}
    telling = "x-amz-bucket-region: eu-west-1"

    def tells(request: Recorded) -> bytes:
        return listing().replace(b"\r\n", f"\r\n{telling}\r\n".encode(), 1)

    def tells_when_asked(request: Recorded) -> bytes:
        return answer(200, b"", telling) if request.method == "HEAD" else listing()

    assert found("region", **signed).detail == "us-east-1, given as aws_region"
    assert "the bucket says so too" in _region(tells, aws_region="eu-west-1", **signed).detail
    assert _region(tells, aws_region=None, **signed).detail == "eu-west-1, told by the bucket"
    assert _region(tells_when_asked, aws_region=None, **signed).detail == "eu-west-1, told by the bucket"
    assert found("region", aws_region=None, **signed).detail.startswith("us-east-1, by default; the store")
    for variable in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(variable, f"{variable.lower().replace('_', '-')}")
        check = found("region", aws_region=None, **signed)
        assert check.detail.startswith(f"{variable.lower().replace('_', '-')}, from {variable};")
        check = found("region", aws_region=None)
        assert f"from {variable}" in check.detail
        assert "nothing is signed" in check.detail


def test_a_region_that_the_store_corrects_is_a_warning(keys: None) -> None:
    """It works, but every new store goes astray first."""

    def respond(request: Recorded) -> bytes:
        if "/eu-west-1/" in (request.header("authorization") or ""):
            return listing()
        return error(400, "AuthorizationHeaderMalformed", "x-amz-bucket-region: eu-west-1")

    check = _region(respond, aws_credentials={"type": "environment"})
    assert check.outcome == "warning"
    assert "eu-west-1, which the store's answer corrected from aws_region, us-east-1" in check.detail
    assert check.advice.startswith("say aws_region='eu-west-1'")


# --------------------------------------------------------------------------------- the way there


def test_a_connection_is_timed_in_its_parts(trusted: Authority) -> None:
    """TCP and TLS; whose certificates are trusted is told, too."""
    with serving(tls=trusted.server_context("127.0.0.1")) as server, s3kv.Store(_members(server)) as store:
        report = store.doctor()
    assert report["TLS"] == Check(
        "TLS", "ok", f"certificates are verified, by those in {trusted.bundle} (AWS_CA_BUNDLE)"
    )
    words = report["connection"].detail.split()
    assert words[:2] == ["opened", "in"]
    assert report["connection"].outcome == "ok"
    total, tcp, tls = (float(words[index]) for index in (2, words.index("TCP") + 1, words.index("TLS") + 1))
    assert total == pytest.approx(tcp + tls, abs=0.2)
    assert 0 < tcp < total
    assert report["list"].outcome == "ok"


def test_a_certificate_that_is_not_trusted_ends_the_examination(authority: Authority) -> None:
    """Nothing is sent; what to do names the variable."""
    with (
        serving(tls=authority.server_context("127.0.0.1")) as server,
        s3kv.Store(_members(server)) as store,
    ):
        report = store.doctor(write=True)
        assert server.requests == []
    assert report["connection"].outcome == "failure"
    assert "not trusted" in report["connection"].detail
    assert "AWS_CA_BUNDLE" in report["connection"].advice
    for name in ("list", "write", "read"):
        assert report[name].detail == "not tried: no connection can be opened"
    assert report["TLS"].outcome == "ok"


def test_a_bundle_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the variable that names it."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing"))
    with s3kv.Store("s3://bucket/", aws_region="us-east-1", aws_credentials={"type": "anonymous"}) as store:
        report = store.doctor()
    assert report["TLS"].outcome == "failure"
    assert report["TLS"].advice == "correct AWS_CA_BUNDLE"
    assert report["connection"].detail == "not tried: no connection can be opened (see TLS)"


@pytest.mark.parametrize(("verify", "outcome"), [(True, "ok"), (False, "warning")])
def test_a_session_that_does_not_verify_is_a_warning(verify: bool, outcome: str) -> None:
    """Whatever its endpoint."""
    with refused() as url, requests.Session() as session:
        session.verify = verify
        endpoint = url.replace("http:", "https:")
        with s3kv.Store(
            bucket="bucket",
            endpoint=endpoint,
            aws_credentials={"type": "anonymous"},
            session=session,
            timeout=2,
        ) as store:
            report = store.doctor()
    assert report["TLS"].outcome == outcome
    assert report["list"].outcome == "failure"
    assert report["connection"].detail == "not tried: the session= opens its own"


def test_a_proxy_is_told_with_the_variable_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is not shown; an exception is said to be one."""
    assert found("proxy").detail == "none"
    with serving() as server:
        proxy = server.url.replace("http://", "http://user:hidden-word@")
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with s3kv.Store(_members(server)) as store:
            report = store.doctor()
        assert report["proxy"].detail == f"127.0.0.1:{server.port} (HTTP_PROXY)"
        assert f"to the proxy 127.0.0.1:{server.port}" in report["connection"].detail
        assert report["list"].outcome == "ok"
        with requests.Session() as session, s3kv.Store(_members(server), session=session) as store:
            of_session = store.doctor()
        assert f"127.0.0.1:{server.port}" in of_session["proxy"].detail
        assert "hidden-word" not in f"{report}{of_session}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert found("proxy").detail == "none: NO_PROXY makes an exception from HTTP_PROXY"
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
        check = found("proxy")
        assert check.outcome == "failure"
        assert "socks5" in check.detail


def test_a_tunnel_is_timed_with_tls(trusted: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come after TCP."""
    with serving(tls=trusted.server_context("127.0.0.1")) as server:
        steps = [READ, Send(ESTABLISHED), Tunnel(server.address)]
        with ScriptedServer(then=steps, lenient=True) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with s3kv.Store(_members(server)) as store:
                report = store.doctor()
    assert report["list"].outcome == "ok"
    assert "its tunnel and TLS" in report["connection"].detail


# ------------------------------------------------------------------------------ clock, time, limits


@pytest.mark.parametrize(
    ("seconds", "outcome", "words"),
    [
        (0, "ok", "as the store's, to within [1-3] s"),
        (-30, "ok", "as the store's, to within (29|30|31) s"),
        (100, "warning", "(98|99|100|101) s behind the store's"),
        (-100, "warning", "(99|100|101|102) s ahead of the store's"),
        (1200, "warning", "20 minutes behind the store's, for which s3kv makes up.*"),
    ],
)
def test_clocks_are_compared(seconds: float, outcome: str, words: str, keys: None) -> None:
    """From a minute on the difference is a warning; the store works still, so it is no failure."""
    signed = {"aws_credentials": {"type": "environment"}}
    with serving(dated(seconds)) as server, s3kv.Store(_members(server, **signed)) as store:
        check = store.doctor()["clock"]
    assert check.outcome == outcome
    assert re.fullmatch(words, check.detail)
    assert bool(check.advice) == (outcome != "ok")


def test_a_clock_that_keeps_requests_from_being_accepted_is_a_failure(keys: None) -> None:
    """Though s3kv has tried to make up for it."""

    def respond(request: Recorded) -> bytes:
        return error(403, "RequestTimeTooSkewed", "Date: Thu, 01 Jan 2015 00:00:00 GMT")

    signed = {"aws_credentials": {"type": "environment"}}
    with serving(respond) as server, s3kv.Store(_members(server, **signed)) as store:
        report = store.doctor()
    assert report["clock"].outcome == report["list"].outcome == "failure"
    assert "clock" in report["list"].advice


def test_the_latency_is_that_of_listings_of_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of them; if that is long, it is a warning."""
    with serving() as server, s3kv.Store(_members(server, path="a b/")) as store:
        store.doctor()
        listings = [request for request in server.requests if "list-type" in request.query]
    assert len(listings) == 6
    for request in listings:
        assert "max-keys=1" in request.query
        assert "prefix=a%20b%2F" in request.query
    monkeypatch.setattr(timing, "_SLOW", 0.0)
    check = found("latency")
    assert check.outcome == "warning"
    assert "median of 1" in check.detail
    assert check.advice


def test_algorithms_that_are_not_checked_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that they need."""
    monkeypatch.setattr("s3kv.checksums.missing", lambda: ["crc32c", "crc64nvme"])
    check = found("checksums")
    assert check.outcome == "warning"
    assert check.detail.startswith("CRC32C and CRC64NVME")
    assert "s3kv[checksums]" in check.advice


def test_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the store, and the process's."""
    assert found("limits").detail == (
        "32 requests at once (shared by all stores), up to 2 attempts, no timeout"
    )
    check = found(
        "limits",
        s3_request_concurrency={"limit": 3},
        experimental_s3_rate_limiter={"read_rate": 50, "doubling_time": "0"},
    )
    assert check.detail.startswith(
        "3 requests at once (the store's own), up to 2 attempts, 50 reads a second"
    )
    monkeypatch.setattr("s3kv.pipeline.shared._shared", type(s3kv.Store("s3://b1b/")._core.resolved[2])())
    monkeypatch.setenv("TENSORSTORE_S3_REQUEST_CONCURRENCY", "many")
    with serving() as server, s3kv.Store(_members(server)) as store:
        report = store.doctor()
        assert server.requests == []
    assert report["limits"].outcome == "failure"
    assert report["limits"].advice == "correct TENSORSTORE_S3_REQUEST_CONCURRENCY"
    assert not report.ok


# ------------------------------------------------------------------------------------ permissions


@pytest.mark.parametrize(
    ("told", "outcome", "words"),
    [
        (answer(206, b"v"), "ok", "works"),
        (error(416, "InvalidRange"), "ok", "works"),
        (error(403, "InvalidObjectState"), "ok", "archived"),
        (error(403, "AccessDenied"), "failure", "AccessDenied"),
        (error(404, "NoSuchKey"), "failure", "NoSuchKey"),
    ],
)
def test_one_byte_is_read_of_an_object_that_there_is(
    told: bytes, outcome: str, words: str, keys: None
) -> None:
    """An empty one has none, and an archived one does not come at once."""

    def respond(request: Recorded) -> bytes:
        return listing("key") if "list-type" in request.query else told

    with serving(respond) as server:
        with s3kv.Store(_members(server, aws_credentials={"type": "environment"})) as store:
            check = store.doctor()["read"]
        (read,) = [request for request in server.requests if "list-type" not in request.query]
    assert (read.path, read.header("range")) == ("/bucket/key", "bytes=0-0")
    assert check.outcome == outcome
    assert words in check.detail
    if outcome == "failure" and "Denied" in words:
        assert "s3:GetObject" in check.advice


def test_who_may_not_list_cannot_know_whether_they_may_read() -> None:
    """A key that is not there is refused them, too."""
    refuse = error(403, "AccessDenied")
    with serving(lambda request: refuse) as server, s3kv.Store(_members(server)) as store:
        report = store.doctor()
    assert report["list"].outcome == "failure"
    assert "not signed" in report["list"].advice
    assert report["read"].outcome == "warning"
    assert report["latency"].outcome == "ok"


# ------------------------------------------------------------------------------------ bounded time


def test_a_store_that_is_silent_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timeout of its own too: what comes after is not tried."""
    monkeypatch.setattr(probe, "SECONDS", 0.3)
    with silent() as url:
        store = s3kv.Store(bucket="bucket", endpoint=url, aws_credentials={"type": "anonymous"})
        call: Background[Report] = Background(lambda: store.doctor(write=True))
        report = call.result(10)
        store.close()
    assert call.seconds < 3
    assert report["connection"].outcome == "ok"
    assert report["list"].outcome == "failure"
    assert report["list"].detail.startswith("0.3 s passed")
    for name in ("write", "read"):
        assert report[name].detail == "not tried: the store does not answer"
    assert "delete" not in [check.name for check in report]


def test_what_fails_is_not_tried_as_often_as_usual() -> None:
    """A store that has 32 attempts for a request has three here."""
    busy = error(503, "SlowDown")
    with serving(lambda request: busy) as server:
        with s3kv.Store(_members(server, s3_request_retries=None)) as store:
            report = store.doctor()
        listings = [request for request in server.requests if "list-type" in request.query]
    assert len(listings) == 3
    assert report["list"].outcome == "failure"
    assert "busy" in report["list"].advice


def test_an_examination_takes_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is no time for is not tried; the doctor's own key is removed all the same."""
    monkeypatch.setattr(probe, "_IN_ALL", 0.5)
    kept: set[str] = set()

    def respond(request: Recorded) -> bytes:
        time.sleep(0.2)
        if request.method == "PUT":
            kept.add(request.path)
        if request.method == "DELETE":
            kept.discard(request.path)
        return listing("key") if "list-type" in request.query else answer(200, b"s3kv", 'ETag: "e"')

    with serving(respond) as server, s3kv.Store(_members(server)) as store:
        report = store.doctor(write=True)
    late = [check.name for check in report if "the examination has taken" in check.detail]
    assert late
    assert "median of 5" not in report["latency"].detail
    assert report["delete"].outcome == "ok"
    assert kept == set()


def test_nothing_of_boto3_is_loaded_for_an_anonymous_store() -> None:
    """Not even to say its version."""
    code = """
import sys, socket, threading, s3kv
server = socket.create_server(("127.0.0.1", 0))
def serve():
    for _ in range(2):
        connection, _ = server.accept()
        while (data := connection.recv(65536)):
            connection.sendall(b"HTTP/1.1 403 Forbidden\\r\\nContent-Length: 0\\r\\n\\r\\n")
        connection.close()
thread = threading.Thread(target=serve)
thread.start()
store = s3kv.Store(bucket="bucket", endpoint=f"http://127.0.0.1:{server.getsockname()[1]}",
                   aws_credentials={"type": "anonymous"})
report = store.doctor()
assert report["list"].outcome == "failure", report
assert "boto" not in report["versions"].detail, report
assert not {"boto3", "botocore", "requests"} & set(sys.modules)
store.close()
thread.join()
server.close()
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr


def test_a_store_that_is_closed_meanwhile_says_so(open_store: OpenStore) -> None:
    """As any other call does."""
    stores: list[s3kv.Store] = []

    def respond(request: Recorded) -> bytes:
        stores[0].close()
        return listing()

    with serving(respond) as server:
        stores.append(open_store(server))
        with pytest.raises(s3kv.StoreClosed):
            stores[0].doctor(write=True)
