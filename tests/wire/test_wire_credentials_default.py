"""The default chain: who comes first, when nobody has anything, and when somebody fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import s3kv
from tests.servers.metadata import (
    HANG,
    NOT_CREDENTIALS,
    FakeContainer,
    FakeImds,
    FakeS3,
    FakeSts,
    Given,
    Keys,
    keys,
    refused,
    silent,
)
from tests.wire.helpers import Stopwatch

DEFAULT = {"type": "default"}

# What finding out that there is no metadata service may cost, once.
NO_MACHINE_SECONDS = 3.0


class Scene(NamedTuple):
    """A place with somebody to ask for every kind of credentials, once the environment names them."""

    patch: pytest.MonkeyPatch
    folder: Path
    container: FakeContainer
    imds: FakeImds

    def environment(self, credentials: Keys) -> None:
        """Set the keys."""
        self.patch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
        self.patch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
        self.patch.setenv("AWS_SESSION_TOKEN", credentials.token)

    def profiles(self, **profiles: Keys) -> None:
        """Write the credentials file."""
        self.config(
            "".join(
                f"[{name}]\naws_access_key_id = {found.access_key}\n"
                f"aws_secret_access_key = {found.secret_key}\naws_session_token = {found.token}\n"
                for name, found in profiles.items()
            ),
            "AWS_SHARED_CREDENTIALS_FILE",
        )

    def config(self, text: str, variable: str = "AWS_CONFIG_FILE") -> None:
        """Write a file, and name it."""
        (self.folder / variable).write_text(text)
        self.patch.setenv(variable, str(self.folder / variable))

    def in_container(self, *answers: Given) -> None:
        """Name the container's endpoint."""
        self.container.script(*answers)
        self.patch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.container.uri)

    def on_machine(self, *answers: Given, url: str = "") -> None:
        """Name the metadata service."""
        self.imds.script(*answers or (keys(),))
        self.patch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url or self.imds.url)
        self.patch.setenv("AWS_EC2_METADATA_DISABLED", "false")


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    """Return a place where there are no credentials yet."""
    with FakeContainer() as container, FakeImds() as imds:
        yield Scene(monkeypatch, tmp_path, container, imds)


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


# ---------------------------------------------------------------------------------- order


@pytest.mark.parametrize("first", range(4), ids=["environment", "profile", "container", "machine"])
def test_the_first_of_the_chain_that_has_credentials_is_asked_alone(
    first: int, scene: Scene, s3: FakeS3
) -> None:
    """The environment, then the files, then the container, then the machine."""
    prepare: list[Callable[[Keys], None]] = [
        scene.environment,
        lambda found: scene.profiles(default=found),
        scene.in_container,
        scene.on_machine,
    ]
    for number in range(first, 4):
        prepare[number](keys(number))
    with s3.store(DEFAULT) as store:
        store.get("key")
        store.get("key")
    assert len(s3.requests) == 2
    s3.check(keys(first))
    assert len(scene.container.requests) == (1 if first == 2 else 0)
    assert scene.imds.fetches == (1 if first == 3 else 0)


def test_a_role_with_a_web_identity_in_the_environment_is_taken(
    scene: Scene, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes gives it to a service account; it comes before container and machine."""
    token = scene.folder / "web-identity"
    token.write_text("header.payload.signature")
    scene.in_container(keys(1))
    with FakeSts(keys(9)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/wire")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        with s3.store(DEFAULT) as store:
            store.get("key")
        assert sts.forms[0]["WebIdentityToken"] == "header.payload.signature"
    s3.check(keys(9))
    assert scene.container.requests == []


def test_the_environments_keys_come_before_the_profile_that_the_environment_names(
    scene: Scene, s3: FakeS3
) -> None:
    """As boto3 has it."""
    scene.environment(keys(1))
    scene.profiles(default=keys(2), other=keys(3))
    scene.patch.setenv("AWS_PROFILE", "other")
    with s3.store(DEFAULT) as store:
        store.get("key")
    s3.check(keys(1))


@pytest.mark.parametrize("another", [None, "other"])
@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_variable_that_names_no_profile_is_as_good_as_unset(
    variable: str, another: str | None, scene: Scene, s3: FakeS3
) -> None:
    """Scripts empty what they cannot unset; a profile that the other variable names counts."""
    scene.profiles(default=keys(2), other=keys(3))
    if another is not None:
        scene.patch.setenv("AWS_PROFILE", another)
        scene.patch.setenv("AWS_DEFAULT_PROFILE", another)
    scene.patch.setenv(variable, "")
    with s3.store(DEFAULT) as store:
        store.get("key")
    s3.check(keys(2) if another is None else keys(3))


@pytest.mark.parametrize("name", ["default", "other"])
def test_a_profile_that_the_spec_names_switches_the_environments_keys_off(
    name: str, scene: Scene, s3: FakeS3
) -> None:
    """Even the one called default, which is not the same as none."""
    scene.environment(keys(1))
    scene.profiles(default=keys(2), other=keys(3))
    with s3.store({**DEFAULT, "profile": name}) as store:
        store.get("key")
    s3.check(keys(2) if name == "default" else keys(3))


def test_a_store_that_says_nothing_of_credentials_has_the_default_ones(scene: Scene, s3: FakeS3) -> None:
    """In a context of its own they are found anew."""
    scene.environment(keys(1))
    with s3.store(context=s3kv.Context()) as store:
        store.get("key")
    s3.check(keys(1))


# -------------------------------------------------------------------------------- nothing


def test_where_nobody_has_anything_requests_are_not_signed(scene: Scene, s3: FakeS3) -> None:
    """That is remembered: keys that come later are for stores that are opened later."""
    with s3.store(DEFAULT) as store:
        assert store.get("key") == b"value"
        scene.environment(keys())
        store.get("key")
        with s3.store(DEFAULT) as later:
            later.get("key")
    assert s3.signers == [None, None, keys().signer]


def test_a_machine_without_a_role_is_asked_once(scene: Scene, s3: FakeS3) -> None:
    """Stores that share their context share what it said."""
    scene.on_machine()
    scene.imds.role = 404
    context = s3kv.Context({"aws_credentials": DEFAULT})
    with s3.store(context=context) as one, s3.store(context=context) as other:
        one.get("key")
        asked = len(scene.imds.requests)
        assert asked >= 1
        for store in (one, other):
            store.get("key")
    assert s3.signers == [None] * 3
    assert len(scene.imds.requests) == asked


@pytest.mark.parametrize("place", [refused, silent])
def test_a_machine_that_is_not_there_costs_little_and_once(place: Any, scene: Scene, s3: FakeS3) -> None:
    """A port that refuses connections, or takes them in silence; later requests do not ask again."""
    with place() as address:
        scene.on_machine(url=address)
        with s3.store(DEFAULT) as store:
            with Stopwatch() as first:
                store.get("key")
            with Stopwatch() as later:
                store.get("key")
    assert first.seconds < NO_MACHINE_SECONDS
    assert later.seconds < 0.5
    assert s3.signers == [None, None]


SHARED = """
import sys, time
import s3kv

def opened():
    return s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1")

with opened() as one, opened() as other:
    for store in (one, other, one):
        start = time.monotonic()
        assert store.get("key") == b"value"
        print(time.monotonic() - start)
"""


def test_the_default_context_asks_a_machine_once_for_all_stores_of_a_process(
    scene: Scene, s3: FakeS3
) -> None:
    """Even where nobody answers, which only the first request has to find out."""
    scene.on_machine()
    scene.imds.token = HANG
    command = [sys.executable, "-W", "error", "-c", SHARED, s3.url]
    done = subprocess.run(command, env=os.environ, check=True, timeout=12, capture_output=True, text=True)
    first, *later = map(float, done.stdout.split())
    # The first has to import botocore, too.
    assert first < NO_MACHINE_SECONDS + 1.5
    assert max(later) < 0.5
    assert s3.signers == [None] * 3
    asked = [request.method for request in scene.imds.requests]
    assert sorted(asked) == ["GET", "PUT"]


# -------------------------------------------------------------------------------- failing


def _half(there: str) -> Callable[[Scene], str]:
    def prepare(scene: Scene) -> str:
        scene.environment(keys())
        scene.patch.delenv("AWS_SECRET_ACCESS_KEY" if there == "id" else "AWS_ACCESS_KEY_ID")
        return "AWS_SECRET_ACCESS_KEY" if there == "id" else ""

    return prepare


def _config(text: str, word: str = "") -> Callable[[Scene], str]:
    def prepare(scene: Scene) -> str:
        scene.config(text)
        return word

    return prepare


def _profile(scene: Scene) -> str:
    scene.profiles(default=keys())
    scene.patch.setenv("AWS_PROFILE", "misspelt")
    return "misspelt"


def _container(given: Given, word: str) -> Callable[[Scene], str]:
    def prepare(scene: Scene) -> str:
        scene.in_container(given)
        return word

    return prepare


def _container_token(scene: Scene) -> str:
    scene.in_container(keys())
    scene.patch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(scene.folder / "missing"))
    return "missing"


def _machine(role: Given | None = None, given: Given | None = None) -> Callable[[Scene], str]:
    def prepare(scene: Scene) -> str:
        scene.on_machine(*([] if given is None else [given]))
        if role is not None:
            scene.imds.role = role
        return "metadata"

    return prepare


# What is wrong; each function returns a word that the error must have.
TROUBLES: dict[str, Callable[[Scene], str]] = {
    "half a pair in the environment": _half("id"),
    "half a pair in a file": _config("[default]\naws_access_key_id = AKID\n", "aws_secret_access_key"),
    "a file that cannot be read": _config("[default\n"),
    "a program that fails": _config(
        f"[default]\ncredential_process = {sys.executable} -c raise+SystemExit('away')\n", "away"
    ),
    "a program that is missing": _config("[default]\ncredential_process = no-such-program\n"),
    "a role without a source": _config(
        "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = nowhere\n", "nowhere"
    ),
    "a profile that does not exist": _profile,
    "a container that is broken": _container(500, "500"),
    "a container that refuses": _container(NOT_CREDENTIALS, ""),
    "a container's token that is missing": _container_token,
    "a machine that is throttled": _machine(role=429),
    "a machine that is broken": _machine(role=500),
    "a machine without what its role promises": _machine(given=500),
    "a machine that is not trusted": _machine(given=NOT_CREDENTIALS),
    "a machine that talks nonsense": _machine(given=b"<html>"),
}


@pytest.mark.parametrize("prepare", TROUBLES.values(), ids=TROUBLES)
def test_somebody_who_has_credentials_but_fails_is_an_error(
    prepare: Callable[[Scene], str], scene: Scene, s3: FakeS3
) -> None:
    """Requests are not sent unsigned; once the trouble is over, the next one works."""
    word = prepare(scene)
    with s3.store(DEFAULT) as store:
        with pytest.raises(s3kv.CredentialsError) as caught:
            store.get("key")
        assert word in str(caught.value)
        assert s3.requests == []
        scene.environment(keys(5))
        scene.patch.setenv("AWS_CONFIG_FILE", os.devnull)
        scene.patch.delenv("AWS_PROFILE", raising=False)
        assert store.get("key") == b"value"
        s3.check(keys(5))


def test_a_secret_without_an_access_key_does_not_stop_the_chain_in_silence(
    scene: Scene, s3: FakeS3
) -> None:
    """It is passed over where others have credentials, as boto3 does; nothing is signed with half of it."""
    _half("secret")(scene)
    scene.in_container(keys(2))
    with s3.store(DEFAULT) as store:
        store.get("key")
    s3.check(keys(2))


@pytest.mark.parametrize("keys_set", [False, True])
def test_a_profile_that_the_spec_names_must_exist(keys_set: bool, scene: Scene, s3: FakeS3) -> None:
    """Whatever else there is; nobody is asked for other credentials."""
    scene.profiles(default=keys(1))
    scene.in_container(keys(2))
    scene.on_machine(keys(3))
    if keys_set:
        scene.environment(keys(4))
    with s3.store({**DEFAULT, "profile": "misspelt"}) as store:
        with pytest.raises(s3kv.CredentialsError, match="misspelt"):
            store.get("key")
        assert s3.requests == scene.container.requests == scene.imds.requests == []
        scene.profiles(misspelt=keys(5))
        assert store.get("key") == b"value"
        s3.check(keys(5))
