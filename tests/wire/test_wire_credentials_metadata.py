"""Credentials of a container (ECS, EKS) and of a machine (EC2), from services that may fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import s3kv
from tests.servers.metadata import (
    HANG,
    NOT_CREDENTIALS,
    FakeContainer,
    FakeImds,
    FakeS3,
    Given,
    Reply,
    keys,
    refused,
    shown,
    silent,
)
from tests.wire.helpers import Background, Stopwatch

ECS = {"type": "ecs"}
IMDS = {"type": "imds"}

AUTHORIZATION = "Bearer0123456789ContainerAuthorizationTOKEN"

# Asking a metadata service may take this long, whatever it does; a container's is asked again twice.
IMDS_SECONDS = 3.5
CONTAINER_SECONDS = 5.0


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeContainer]:
    """Return the credentials endpoint that the environment names."""
    with FakeContainer() as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.uri)
        yield server


@pytest.fixture
def imds(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeImds]:
    """Return the metadata service that the environment names."""
    with FakeImds() as server:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        yield server


# ------------------------------------------------------------------------------------ ecs


def test_a_container_asks_the_address_in_its_environment(s3: FakeS3, container: FakeContainer) -> None:
    """Once, without a proof of its own where it was given none."""
    with s3.store(ECS) as store:
        assert store.get("key") == b"value"
        assert store.get("key") == b"value"
    assert len(s3.requests) == 2
    s3.check(keys())
    assert [request.target for request in container.requests] == ["/v2/credentials?id=role"]
    assert container.authorizations == [None]


def test_the_authorization_token_in_the_environment_is_sent(
    s3: FakeS3, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the address in the environment, and never to the store."""
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION)
    with s3.store(ECS) as store:
        store.get("key")
    assert container.authorizations == [AUTHORIZATION]
    assert AUTHORIZATION.encode() not in s3.requests[0].head


def test_the_authorization_token_may_be_in_a_file_that_the_environment_names(
    s3: FakeS3, container: FakeContainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As EKS has it; the file is preferred to the token."""
    file = tmp_path / "token"
    file.write_text(AUTHORIZATION)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-old")
    with s3.store(ECS) as store:
        store.get("key")
    assert container.authorizations == [AUTHORIZATION]


def test_an_explicit_endpoint_is_asked_instead_of_the_environments(
    s3: FakeS3, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not get to see the token that was meant for the other."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION)
    with FakeContainer(keys(2)) as own:
        with s3.store({**ECS, "endpoint": f"{own.url}/my/role?a=b"}) as store:
            store.get("key")
        assert own.requests[0].target == "/my/role?a=b"
        assert own.authorizations == [None]
        assert AUTHORIZATION.encode() not in own.requests[0].head
    assert container.requests == []
    assert s3.signers == [keys(2).signer]


def test_the_token_file_of_the_environment_is_not_for_an_explicit_endpoint(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its token is another service's too."""
    file = tmp_path / "token"
    file.write_text(AUTHORIZATION)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    with FakeContainer() as own:
        with s3.store({**ECS, "endpoint": own.uri}) as store:
            store.get("key")
        assert own.authorizations == [None]


def test_the_token_file_is_read_anew_at_every_fetch(s3: FakeS3, tmp_path: Path) -> None:
    """Whoever keeps it replaces the token before its end."""
    file = tmp_path / "token"
    file.write_text("first")
    with FakeContainer(keys(1), keys(2)) as own:
        spec = {**ECS, "endpoint": own.uri, "auth_token_file": str(file)}
        with s3.store(spec, s3_request_retries={"initial_delay": "1ms"}) as store:
            store.get("key")
            file.write_text("second")
            store.get("key")
            assert own.authorizations == ["first"]
            s3.expire(keys(1))
            store.get("key")
        assert own.authorizations == ["first", "second"]
    assert s3.signers[-1] == keys(2).signer


def test_a_token_file_without_an_endpoint_is_a_spec_error(s3: FakeS3) -> None:
    """At once: it would be for nothing."""
    with pytest.raises(s3kv.SpecError, match="auth_token_file"):
        s3.store({**ECS, "auth_token_file": "/var/run/token"})


def test_a_missing_token_file_is_an_error_and_nobody_is_asked(s3: FakeS3, tmp_path: Path) -> None:
    """The error names it; once it is there, the next request works."""
    file = tmp_path / "token"
    with FakeContainer() as own:
        with s3.store({**ECS, "endpoint": own.uri, "auth_token_file": str(file)}) as store:
            with pytest.raises(s3kv.CredentialsError, match=r"ecs|container") as caught:
                store.get("key")
            assert str(file) in str(caught.value)
            assert own.requests == s3.requests == []
            file.write_text(AUTHORIZATION)
            assert store.get("key") == b"value"
        assert own.authorizations == [AUTHORIZATION]


def test_a_token_that_is_no_header_is_sent_to_nobody(s3: FakeS3, tmp_path: Path) -> None:
    """Nor is it shown."""
    file = tmp_path / "token"
    file.write_text(f"{AUTHORIZATION}\r\nX-Smuggled: yes")
    with FakeContainer() as own:
        spec = {**ECS, "endpoint": own.uri, "auth_token_file": str(file)}
        with s3.store(spec) as store, pytest.raises(s3kv.CredentialsError) as caught:
            store.get("key")
        assert own.requests == s3.requests == []
    assert AUTHORIZATION not in shown(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:1/role",
        "http://127.8.8.8/role",
        "http://localhost:1/role",
        "http://[::1]:1/role",
        "http://169.254.170.2/v2/credentials",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "https://credentials.example.com/role",
    ],
)
def test_an_endpoint_may_be_near_or_encrypted(endpoint: str, s3: FakeS3) -> None:
    """Loopback, the addresses of containers, or https; opening asks nobody."""
    with s3.store({**ECS, "endpoint": endpoint}) as store:
        assert store.spec()["aws_credentials"] == {**ECS, "endpoint": endpoint}


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://credentials.example.com/role",
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.170.3/v2/credentials",
        "http://10.0.0.1/role",
        "http://localhost.example.com/role",
        "http://127.0.0.1.example.com/role",
        "http://127.0.0.1@example.com/role",
        "ftp://127.0.0.1/role",
        "127.0.0.1:80/role",
        "http:///role",
        "",
        5,
    ],
)
def test_an_endpoint_to_which_anybody_listens_is_a_spec_error(endpoint: Any, s3: FakeS3) -> None:
    """Secrets would travel unencrypted; what is no URL is refused as well."""
    with pytest.raises(s3kv.SpecError, match="endpoint"):
        s3.store({**ECS, "endpoint": endpoint})


def test_an_address_in_the_environment_to_which_anybody_listens_is_an_error(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known to the first request; nothing is sent to it or to the store."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/role")
    with s3.store(ECS) as store, pytest.raises(s3kv.CredentialsError, match=r"10\.0\.0\.1"):
        store.get("key")
    assert s3.requests == []


def test_a_container_without_an_address_is_an_error(s3: FakeS3, imds: FakeImds) -> None:
    """It says which variable is missing, and asks nobody else."""
    needed = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    with s3.store(ECS) as store, pytest.raises(s3kv.CredentialsError, match=needed):
        store.get("key")
    assert s3.requests == imds.requests == []


def test_a_container_service_that_fails_is_an_error_that_tells_what_it_said(s3: FakeS3) -> None:
    """Nothing is sent to the store; once the service is well, the next request works."""
    # All at once, for each is asked three times, with a pause in between.
    troubles: list[tuple[Given, str]] = [
        (404, "404"),
        (429, "429"),
        (500, "500"),
        (b"not JSON", "JSON"),
        (b"", "JSON"),
    ]
    with ExitStack() as open_:
        calls = []
        for given, said in troubles:
            container = open_.enter_context(FakeContainer(given))
            store = open_.enter_context(s3.store({**ECS, "endpoint": container.uri}))
            calls.append((container, store, said, Background(lambda store=store: store.get("key"))))  # type: ignore[misc]
        for container, store, said, call in calls:
            failure = call.error(CONTAINER_SECONDS)
            assert isinstance(failure, s3kv.CredentialsError)
            assert said in str(failure)
            assert re.search("ecs|container", str(failure))
            container.script(keys())
            before = len(s3.requests)
            assert store.get("key") == b"value"
            assert len(s3.requests) == before + 1
    assert len(s3.requests) == len(troubles)


@pytest.mark.parametrize(
    "given",
    [
        NOT_CREDENTIALS,
        b"{}",
        b"[]",
        b'"text"',
        b'{"AccessKeyId": "AKID", "SecretAccessKey": null, "Token": "t", "Expiration": "never"}',
        b'{"AccessKeyId": 1, "SecretAccessKey": 2, "Token": 3, "Expiration": "2100-01-01T00:00:00Z"}',
        keys()._replace(access_key="AKID\r\nX-Smuggled: yes"),
        keys(expires=-60),
    ],
    ids=["failed", "empty", "list", "text", "null", "numbers", "no header", "expired"],
)
def test_an_answer_without_usable_credentials_is_an_error(
    given: Given, s3: FakeS3, container: FakeContainer
) -> None:
    """Nothing is signed with what it has; the failure is not remembered."""
    container.script(given)
    with s3.store(ECS) as store:
        with pytest.raises(s3kv.CredentialsError, match=r"ecs|container"):
            store.get("key")
        assert s3.requests == []
        container.script(keys())
        assert store.get("key") == b"value"


def test_a_container_service_that_is_not_there_is_an_error(s3: FakeS3) -> None:
    """Within seconds."""
    with refused() as address, s3.store({**ECS, "endpoint": f"{address}/role"}) as store:
        with Stopwatch() as watch, pytest.raises(s3kv.CredentialsError, match=r"ecs|container"):
            store.get("key")
        assert watch.seconds < CONTAINER_SECONDS
        assert s3.requests == []


def test_secrets_that_a_failing_container_service_repeats_are_not_shown(s3: FakeS3, tmp_path: Path) -> None:
    """The token that it was sent, and the credentials that it should not have answered with."""
    document = json.dumps(keys().document())
    tokens = [AUTHORIZATION, "Basic 0f8fad5b-d9cb-469f-a165", "eyJhbGci.eyJzdWIi.c2lnbmF0dXJl"]
    with ExitStack() as open_:
        calls = []
        for number, token in enumerate(tokens):
            file = tmp_path / str(number)
            file.write_text(token)
            echo = f"no entry for {token}: {document}".encode()
            container = open_.enter_context(FakeContainer(Reply(500, echo)))
            spec = {**ECS, "endpoint": container.uri, "auth_token_file": str(file)}
            store = open_.enter_context(s3.store(spec))
            calls.append((token, Background(lambda store=store: store.get("key"))))  # type: ignore[misc]
        told = [(token, call.error(CONTAINER_SECONDS)) for token, call in calls]
    for token, failure in told:
        assert "500" in str(failure)
        text = shown(failure)
        for secret in (keys().secret_key, keys().token):
            assert secret[:12] not in text
        assert token not in text, f"{token} is shown"


@pytest.mark.parametrize("left_out", ["AccessKeyId", "Token", "Expiration"])
def test_secrets_of_an_answer_that_lacks_something_are_not_shown(
    left_out: str, s3: FakeS3, container: FakeContainer
) -> None:
    """What it has of them stays hidden."""
    document = keys().document()
    del document[left_out]
    container.script(json.dumps(document).encode())
    with s3.store(ECS) as store, pytest.raises(s3kv.CredentialsError, match=left_out) as caught:
        store.get("key")
    text = shown(caught.value)
    assert keys().secret_key[:12] not in text
    assert keys().token[:12] not in text


# ----------------------------------------------------------------------------------- imds


def test_a_machine_proves_itself_to_its_metadata_service(s3: FakeS3, imds: FakeImds) -> None:
    """A session token is asked for first, and sent with every question; each is asked once."""
    with s3.store(IMDS) as store:
        assert store.get("key") == b"value"
        assert store.get("key") == b"value"
    assert len(s3.requests) == 2
    s3.check(keys())
    roles = FakeImds.ROLES
    assert [(request.method, request.path) for request in imds.requests] == [
        ("PUT", FakeImds.TOKENS),
        ("GET", roles),
        ("GET", f"{roles}wire-role"),
    ]
    proofs = [request.header("x-aws-ec2-metadata-token") for request in imds.requests]
    assert proofs == [None, FakeImds.TOKEN, FakeImds.TOKEN]


def test_a_metadata_service_of_the_first_version_is_asked_as_boto3_asks_it(
    s3: FakeS3, imds: FakeImds
) -> None:
    """It has no session tokens."""
    imds.version_1 = True
    with s3.store(IMDS) as store:
        assert store.get("key") == b"value"
    s3.check(keys())


def test_a_metadata_service_that_is_switched_off_is_an_error_at_once(
    s3: FakeS3, imds: FakeImds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked; the error says who switched it off."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with s3.store(IMDS) as store:
        with Stopwatch() as watch, pytest.raises(s3kv.CredentialsError, match="METADATA_DISABLED"):
            store.get("key")
        assert watch.seconds < 1
        assert s3.requests == imds.requests == []
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        assert store.get("key") == b"value"


def test_a_machine_looks_at_nothing_but_its_metadata_service(
    s3: FakeS3, imds: FakeImds, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at the keys in the environment nor at a container's service."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys(2).access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys(2).secret_key)
    with s3.store(IMDS) as store:
        store.get("key")
        imds.role = 404
    with s3.store(IMDS) as other, pytest.raises(s3kv.CredentialsError):
        other.get("key")
    assert s3.signers == [keys(1).signer]
    assert container.requests == []


def test_a_profile_in_the_environment_does_not_keep_a_machine_from_its_metadata_service(
    s3: FakeS3, imds: FakeImds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that was asked for by name is independent of the others."""
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    with s3.store(IMDS) as store:
        assert store.get("key") == b"value"
    s3.check(keys())


BROKEN: dict[str, dict[str, Any]] = {
    "no role": {"role": 404},
    "an empty list of roles": {"role": b""},
    "throttled": {"role": 429},
    "broken": {"role": 500},
    "no token and broken": {"token": 500, "role": 500},
    "token refused, version 1 off": {"token": 403},
    "token throttled, version 1 off": {"token": 429},
    "bad request": {"token": 400},
    "credentials throttled": {"given": 429},
    "credentials broken": {"given": 500},
    "credentials missing": {"given": 404},
    "not JSON": {"given": b"{"},
    "a list": {"given": b"[]"},
    "failed": {"given": NOT_CREDENTIALS},
    "hangs at the token": {"token": HANG},
    "hangs at the role": {"role": HANG},
    "hangs at the credentials": {"given": HANG},
}


@pytest.mark.parametrize("trouble", BROKEN.values(), ids=BROKEN)
def test_a_metadata_service_in_trouble_is_an_error_that_is_not_remembered(
    trouble: dict[str, Any], s3: FakeS3, imds: FakeImds
) -> None:
    """Within seconds; nothing is sent to the store, and the next request asks again."""
    for name, value in trouble.items():
        imds.script(value) if name == "given" else setattr(imds, name, value)
    with s3.store(IMDS) as store:
        with Stopwatch() as watch, pytest.raises(s3kv.CredentialsError, match=r"imds|metadata service"):
            store.get("key")
        assert watch.seconds < IMDS_SECONDS
        assert s3.requests == []
        assert imds.requests != []
        imds.token, imds.role = None, "wire-role"
        imds.script(keys())
        assert store.get("key") == b"value"
        s3.check(keys())


@pytest.mark.parametrize("place", [refused, silent])
def test_a_metadata_service_that_is_not_there_is_an_error(
    place: Any, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within seconds, whether its port refuses connections or takes them in silence."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with place() as address, s3.store(IMDS) as store:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
        with Stopwatch() as watch, pytest.raises(s3kv.CredentialsError, match=r"imds|metadata service"):
            store.get("key")
        assert watch.seconds < IMDS_SECONDS
        assert s3.requests == []


@pytest.mark.parametrize("body", ["cut short", "without an end"])
def test_secrets_of_a_metadata_service_that_answers_badly_are_not_shown(
    body: str, s3: FakeS3, imds: FakeImds
) -> None:
    """Neither its session token nor what it has of credentials."""
    text = json.dumps(keys(expires=None).document(Code="Success"))
    imds.script(text[:-2].encode() if body == "cut short" else text.encode())
    with s3.store(IMDS) as store, pytest.raises(s3kv.CredentialsError) as caught:
        store.get("key")
    told = shown(caught.value)
    for secret in (FakeImds.TOKEN, keys().secret_key, keys().token):
        assert secret[:12] not in told
