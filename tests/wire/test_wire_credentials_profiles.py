"""Credentials of a profile, from the files of the AWS tools and from whoever those send to."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import s3kv
from tests.servers.metadata import (
    FakeContainer,
    FakeImds,
    FakeS3,
    FakeSts,
    Keys,
    keys,
    shown,
)

PROFILE = {"type": "profile"}

ROLE = "arn:aws:iam::123456789012:role/wire"


def section(name: str, credentials: Keys | None = None, /, **settings: str) -> str:
    """A section of a file: keys of credentials, and further settings."""
    if credentials is not None:
        settings["aws_access_key_id"] = credentials.access_key
        settings["aws_secret_access_key"] = credentials.secret_key
        settings["aws_session_token"] = credentials.token
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()) + "\n"


class Files:
    """The two files of the AWS tools."""

    def __init__(self, folder: Path) -> None:
        self.credentials = folder / "credentials"
        self.config = folder / "config"

    def spec(self, **members: str) -> dict[str, Any]:
        """What opens a store on them, the environment being left alone."""
        found: dict[str, Any] = {**PROFILE, **members}
        if self.credentials.exists():
            found["credentials_file"] = str(self.credentials)
        if self.config.exists():
            found["config_file"] = str(self.config)
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return where the files of the AWS tools may be written."""
    return Files(tmp_path)


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    """Return the lender of roles that the environment names; its roles' keys have the number 9."""
    with FakeSts(keys(9)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


def fails(s3: FakeS3, spec: dict[str, Any], *words: str) -> str:
    """Assert that a store has no credentials, and sends nothing; what its error shows."""
    with s3.store(spec) as store, pytest.raises(s3kv.CredentialsError, match="profile") as caught:
        store.get("key")
    for word in words:
        assert word in str(caught.value)
    assert s3.requests == []
    return shown(caught.value)


# ---------------------------------------------------------------------------------- files


def test_a_profile_is_looked_up_in_the_files_that_the_spec_names(s3: FakeS3, files: Files) -> None:
    """Without a change to the environment, which other threads read."""
    files.credentials.write_text(section("default", keys(1)) + section("mine", keys(2)))
    files.config.write_text("[default]\nregion = eu-west-1\n")
    before = dict(os.environ)
    with s3.store(files.spec(profile="mine")) as store:
        assert dict(os.environ) == before
        assert store.get("key") == b"value"
        assert dict(os.environ) == before
    s3.check(keys(2))


def test_stores_of_several_profiles_do_not_disturb_each_other(s3: FakeS3, tmp_path: Path) -> None:
    """Each has files of its own."""
    stores = []
    for number in (1, 2, 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = Files(folder)
        files.credentials.write_text(section("default", keys(number)))
        stores.append(s3.store(files.spec()))
    for _ in range(2):
        for store in stores:
            store.get("key")
    for store in stores:
        store.close()
    assert s3.signers == [keys(number).signer for number in (1, 2, 3)] * 2


def test_a_profile_is_looked_up_in_the_files_that_the_environment_names(
    s3: FakeS3, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one called default, where no other is named."""
    files.credentials.write_text(section("default", keys(1)) + section("other", keys(2)))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files.credentials))
    with s3.store(PROFILE) as store:
        assert store.get("key") == b"value"
    s3.check(keys(1))


def test_keys_may_be_in_the_configuration_file(
    s3: FakeS3, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a heading that says that it is a profile."""
    files.config.write_text(section("default", keys(1)) + section("profile other", keys(2)))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(files.config))
    with s3.store({**PROFILE, "profile": "other"}) as store:
        assert store.get("key") == b"value"
    s3.check(keys(2))


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_the_environment_may_name_the_profile(
    variable: str, s3: FakeS3, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every AWS tool."""
    files.credentials.write_text(section("default", keys(1)) + section("other", keys(2)))
    monkeypatch.setenv(variable, "other")
    with s3.store(files.spec()) as store:
        assert store.get("key") == b"value"
    s3.check(keys(2))


def test_what_the_spec_names_comes_before_what_the_environment_names(
    s3: FakeS3, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile, and either file."""
    wrong = tmp_path / "wrong"
    wrong.write_text(section("mine", keys(3)) + section("other", keys(3)))
    files.credentials.write_text(section("mine", keys(1)) + section("other", keys(2)))
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(wrong))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(wrong))
    with s3.store(files.spec(profile="mine")) as store:
        assert store.get("key") == b"value"
    s3.check(keys(1))


def test_a_path_of_a_file_may_start_at_home(
    s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the variables that boto3 reads."""
    (tmp_path / "my-credentials").write_text(section("default", keys()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with s3.store({**PROFILE, "credentials_file": "~/my-credentials"}) as store:
        assert store.get("key") == b"value"
    s3.check(keys())


def test_keys_without_a_session_token_are_long_term_keys(s3: FakeS3, files: Files) -> None:
    """None is sent."""
    mine = keys()._replace(token="")
    text = section("default", mine).replace("aws_session_token = \n", "")
    files.credentials.write_text(text)
    with s3.store(files.spec()) as store:
        store.get("key")
    assert s3.signers == [(mine.access_key, "")]


def test_a_file_is_read_by_the_first_request_and_not_again(s3: FakeS3, files: Files) -> None:
    """Neither when the store is opened nor for each request."""
    files.credentials.write_text(section("default", keys(1)))
    with s3.store(files.spec()) as store:
        files.credentials.write_text(section("default", keys(2)))
        store.get("key")
        files.credentials.write_text(section("default", keys(3)))
        store.get("key")
    assert s3.signers == [keys(2).signer] * 2


@pytest.mark.parametrize(
    ("text", "profile", "word"),
    [
        (section("default", keys()), "misspelt", "misspelt"),
        (section("default", region="eu-west-1"), "default", "default"),
        ("", "default", "default"),
        (section("default", aws_access_key_id="AKID"), "default", "aws_secret_access_key"),
        (section("default", keys())[1:], "default", ""),
        ("[default]\nneither a key nor a value\n", "default", ""),
        ("\x00\xff", "default", ""),
    ],
    ids=["missing", "no keys", "empty file", "half a pair", "no heading", "no setting", "no text"],
)
@pytest.mark.parametrize("file", ["credentials", "config"])
def test_a_profile_without_usable_keys_is_an_error(
    text: str, profile: str, word: str, file: str, s3: FakeS3, files: Files
) -> None:
    """Before any request to the store; it names the profile, or what is missing."""
    getattr(files, file).write_text(text, encoding="latin-1")
    told = fails(s3, files.spec(profile=profile), word)
    assert keys().secret_key[:12] not in told


def test_half_a_pair_that_lacks_the_access_key_is_an_error(s3: FakeS3, files: Files) -> None:
    """A secret alone is no credentials."""
    files.credentials.write_text(section("default", aws_secret_access_key=keys().secret_key))
    assert keys().secret_key[:12] not in fails(s3, files.spec())


@pytest.mark.parametrize("member", ["credentials_file", "config_file"])
def test_a_file_that_does_not_exist_is_an_error(member: str, s3: FakeS3, tmp_path: Path) -> None:
    """It says where the profile was looked for."""
    missing = tmp_path / "missing"
    fails(s3, {**PROFILE, member: str(missing)}, str(missing))


def test_a_profile_that_is_written_later_is_found(s3: FakeS3, files: Files) -> None:
    """A failed look-up is not remembered."""
    spec = {**PROFILE, "credentials_file": str(files.credentials)}
    with s3.store(spec) as store:
        with pytest.raises(s3kv.CredentialsError):
            store.get("key")
        files.credentials.write_text(section("default", keys()))
        assert store.get("key") == b"value"
    s3.check(keys())


@pytest.mark.parametrize("text", ["", section("default", region="eu-west-1")], ids=["missing", "no keys"])
def test_a_profile_without_keys_sends_nobody_elsewhere(
    text: str, s3: FakeS3, files: Files, sts: FakeSts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to the environment's keys, nor to its role, a container or the machine."""
    (tmp_path / "web-identity").write_text("a.b.c")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys().access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys().secret_key)
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "web-identity"))
    files.config.write_text(text)
    with FakeContainer() as container, FakeImds() as imds:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.uri)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        fails(s3, files.spec())
        fails(s3, files.spec(profile="default"))
        assert container.requests == imds.requests == sts.requests == []


# --------------------------------------------------------------------- credential_process


class Process:
    """A program that a ``credential_process`` runs: prints what a file has, and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self._runs = folder / "runs"
        self._output = folder / "output"
        self._script = folder / "process.py"
        self._script.write_text(
            "import pathlib, sys\n"
            f"with open({str(self._runs)!r}, 'a') as runs:\n"
            "    runs.write('x')\n"
            f"print(pathlib.Path({str(self._output)!r}).read_text())\n"
        )

    @property
    def runs(self) -> int:
        """How often it ran."""
        return len(self._runs.read_text()) if self._runs.exists() else 0

    @property
    def section(self) -> str:
        """The configuration that names it."""
        return section("default", credential_process=f"{sys.executable} -S {self._script}")

    def print(self, credentials: Keys, **more: Any) -> None:
        """Have it print credentials from now on."""
        self._output.write_text(json.dumps(credentials.document("SessionToken", Version=1, **more)))


@pytest.mark.parametrize("expires", [None, 3600])
def test_a_profile_may_run_a_program_for_its_keys(
    expires: float | None, s3: FakeS3, files: Files, tmp_path: Path
) -> None:
    """Once for many requests, whether the keys come with an end or without."""
    process = Process(tmp_path)
    process.print(keys(expires=expires))
    files.config.write_text(process.section)
    with s3.store(files.spec()) as store:
        assert process.runs == 0
        for _ in range(5):
            assert store.get("key") == b"value"
    s3.check(keys())
    assert process.runs == 1


def test_a_program_that_fails_is_run_again_by_the_next_request(
    s3: FakeS3, files: Files, tmp_path: Path
) -> None:
    """Its failure is an error, which is not remembered."""
    process = Process(tmp_path)
    files.config.write_text(process.section)
    with s3.store(files.spec()) as store:
        with pytest.raises(s3kv.CredentialsError, match="profile"):
            store.get("key")
        assert s3.requests == []
        process.print(keys())
        assert store.get("key") == b"value"
    s3.check(keys())


def test_a_program_that_does_not_exist_is_an_error(s3: FakeS3, files: Files) -> None:
    """Before any request to the store."""
    files.config.write_text(section("default", credential_process="no-such-program-anywhere --please"))
    fails(s3, files.spec(), "no-such-program-anywhere")


# ---------------------------------------------------------------------------------- roles


def test_a_profile_may_be_a_role_that_another_profile_may_take(
    s3: FakeS3, files: Files, sts: FakeSts
) -> None:
    """It is borrowed once for many requests, by the keys of the source profile."""
    files.credentials.write_text(section("source", keys(1)))
    files.config.write_text(
        section("profile mine", role_arn=ROLE, source_profile="source") + section("profile source")
    )
    with s3.store(files.spec(profile="mine")) as store:
        for _ in range(3):
            assert store.get("key") == b"value"
    s3.check(keys(9))
    assert [form["Action"] for form in sts.forms] == ["AssumeRole"]
    assert sts.forms[0]["RoleArn"] == ROLE
    assert f"Credential={keys(1).access_key}/" in str(sts.requests[0].header("authorization"))


def test_a_role_may_be_taken_by_a_container(
    s3: FakeS3, files: Files, sts: FakeSts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the profile says so, the container's keys are looked for, only to take the role with."""
    files.config.write_text(section("default", role_arn=ROLE, credential_source="EcsContainer"))
    with FakeContainer(keys(1)) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.uri)
        with s3.store(files.spec()) as store:
            store.get("key")
        assert len(container.requests) == 1
    s3.check(keys(9))
    assert f"Credential={keys(1).access_key}/" in str(sts.requests[0].header("authorization"))


def test_a_role_may_be_taken_with_a_web_identity(
    s3: FakeS3, files: Files, sts: FakeSts, tmp_path: Path
) -> None:
    """Whose token is in a file; the request for the role is not signed."""
    token = tmp_path / "web-identity"
    token.write_text("header.payload.signature")
    files.config.write_text(
        section("default", role_arn=ROLE, web_identity_token_file=str(token), region="us-east-1")
    )
    with s3.store(files.spec()) as store:
        store.get("key")
    s3.check(keys(9))
    assert sts.forms[0]["Action"] == "AssumeRoleWithWebIdentity"
    assert sts.forms[0]["WebIdentityToken"] == "header.payload.signature"
    assert sts.requests[0].header("authorization") is None


def test_a_role_that_is_refused_is_an_error_that_tells_what_was_said(
    s3: FakeS3, files: Files, sts: FakeSts
) -> None:
    """The source's keys, which are good, are not used instead of the role's."""
    sts.script(403)
    files.config.write_text(
        section("default", keys(1), role_arn=ROLE, source_profile="default", region="us-east-1")
    )
    told = fails(s3, files.spec(), "Sorry, not yours")
    assert keys(1).secret_key[:12] not in told
    assert keys(1).token[:12] not in told
    assert urlencode({"t": keys(1).token})[2:] not in told


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"source_profile": "nowhere"}, "nowhere"),
        ({"credential_source": "Nowhere"}, "Nowhere"),
        ({"web_identity_token_file": "/no/such/file"}, "/no/such/file"),
        ({"source_profile": "mine"}, "mine"),
        ({}, ""),
    ],
    ids=["no such profile", "no such source", "no such token", "round and round", "nobody"],
)
def test_a_role_that_nobody_can_take_is_an_error(
    settings: dict[str, str], word: str, s3: FakeS3, files: Files, sts: FakeSts
) -> None:
    """Nobody is asked for it."""
    files.config.write_text(section("profile mine", role_arn=ROLE, region="us-east-1", **settings))
    fails(s3, files.spec(profile="mine"), word)
    assert sts.requests == []


@pytest.mark.parametrize("sessions", [False, True])
def test_a_profile_that_signs_in_elsewhere_needs_somebody_to_have_signed_in(
    sessions: bool, s3: FakeS3, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSO without a token that was kept is an error, in either way to write it down."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    # An address that nobody has signed in at, whatever this machine keeps.
    where = {
        "sso_start_url": f"https://{secrets.token_hex(8)}.example.com/start",
        "sso_region": "us-east-1",
    }
    account = {"sso_account_id": "123456789012", "sso_role_name": "reader"}
    if sessions:
        text = section("default", sso_session="mine", **account) + section("sso-session mine", **where)
    else:
        text = section("default", **where, **account)
    files.config.write_text(text)
    fails(s3, files.spec(), "SSO")
