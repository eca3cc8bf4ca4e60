"""Credentials from the environment, and none at all; what errors about them tell and hide."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

import s3kv
from tests.servers.metadata import (
    REGION,
    FakeContainer,
    FakeImds,
    FakeS3,
    Keys,
    keys,
    shown,
)
from tests.wire import sigv4

ENVIRONMENT = {"type": "environment"}

# What no error may show.
SECRET = keys(7)


def set_keys(monkeypatch: pytest.MonkeyPatch, credentials: Keys, *names: str, token: bool = True) -> None:
    """Put credentials into the environment; only the variables named, if any are."""
    values = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
    }
    if token:
        values["AWS_SESSION_TOKEN"] = credentials.token
    for name in names or values:
        monkeypatch.setenv(name, values[name])


# ---------------------------------------------------------------------------- environment


def test_a_pair_of_keys_in_the_environment_signs_without_a_session_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Long-term keys have none."""
    mine = keys()
    set_keys(monkeypatch, mine, token=False)
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        assert store.get("key") == b"value"
        assert s3.signers == [(mine.access_key, "")]
        sigv4.check(s3.requests[0], mine.access_key, mine.secret_key, REGION)


def test_a_session_token_in_the_environment_is_sent_and_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every kind of request."""
    set_keys(monkeypatch, keys())
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        store.get("key")
        store.put("key", b"value")
        store.delete("key")
        assert len(s3.requests) == 3
        s3.check(keys())


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_half_a_pair_in_the_environment_is_an_error_that_names_the_other_half(
    there: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any request reaches the store."""
    set_keys(monkeypatch, keys(), there)
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        with pytest.raises(s3kv.CredentialsError, match=missing):
            store.get("key")
        assert s3.requests == []


@pytest.mark.parametrize("value", [None, ""])
def test_an_environment_without_keys_is_an_error(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable is an unset one; the error says what to set."""
    if value is not None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.setenv(name, value)
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        with pytest.raises(s3kv.CredentialsError, match="AWS_ACCESS_KEY_ID"):
            store.get("key")
        assert s3.requests == []


def test_the_environment_is_read_by_the_first_request_and_not_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither when the store is opened nor for each request."""
    set_keys(monkeypatch, keys(1))
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        set_keys(monkeypatch, keys(2))
        store.get("key")
        set_keys(monkeypatch, keys(3))
        store.get("key")
        assert s3.signers == [keys(2).signer] * 2


def test_keys_that_were_not_there_are_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed look-up is not remembered."""
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        for _ in range(2):
            with pytest.raises(s3kv.CredentialsError):
                store.get("key")
        set_keys(monkeypatch, keys())
        assert store.get("key") == b"value"
        assert s3.signers == [keys().signer]


def test_keys_whose_end_is_past_are_an_error_until_there_are_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS_CREDENTIAL_EXPIRATION says when they end; nothing is sent with them afterwards."""
    set_keys(monkeypatch, keys(1))
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", str(keys(1, expires=-60).expiration))
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        with pytest.raises(s3kv.CredentialsError):
            store.get("key")
        assert s3.requests == []
        set_keys(monkeypatch, keys(2))
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", str(keys(2).expiration))
        assert store.get("key") == b"value"
        assert s3.signers == [keys(2).signer]


@pytest.mark.parametrize("end", ["\n", "\r\nX-Smuggled: yes", "é", "Ж", "\udcff"], ids=ascii)
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_keys_that_no_header_can_carry_are_an_error_that_does_not_show_them(
    name: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent: what follows a line's end would be a header of its own."""
    set_keys(monkeypatch, SECRET)
    monkeypatch.setenv(name, os.environ[name] + end)
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        with pytest.raises(s3kv.CredentialsError) as caught:
            store.get("key")
        assert s3.requests == []
    _assert_hidden(shown(caught.value))


def test_a_profile_beside_the_keys_in_the_environment_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither one that does not exist nor a file that cannot be read."""
    broken = tmp_path / "config"
    broken.write_text("[default\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    set_keys(monkeypatch, keys())
    with FakeS3() as s3, s3.store(ENVIRONMENT) as store:
        assert store.get("key") == b"value"
        assert s3.signers == [keys().signer]


def test_an_environment_without_keys_asks_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No file, no container, no machine."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
    with FakeS3() as s3, FakeContainer() as container, FakeImds() as imds, s3.store(ENVIRONMENT) as store:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.uri)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        with pytest.raises(s3kv.CredentialsError):
            store.get("key")
        assert s3.requests == container.requests == imds.requests == []


# ------------------------------------------------------------------------------ anonymous

UNSIGNED = """
import sys
import s3kv

with s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_credentials={"type": "anonymous"}) as store:
    assert store.get("key") == b"value"
    store.put("key", b"value")
loaded = {"boto3", "botocore"} & set(sys.modules)
assert not loaded, loaded
"""


def test_an_anonymous_store_signs_nothing_and_loads_neither_boto3_nor_botocore(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever credentials there are."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    set_keys(monkeypatch, keys())
    with FakeS3() as s3:
        subprocess.run([sys.executable, "-W", "error", "-c", UNSIGNED, s3.url], check=True, timeout=12)
        assert s3.signers == [None, None]


# --------------------------------------------------------------------------------- errors


def _environment(patch: pytest.MonkeyPatch, folder: Path) -> Any:
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET.secret_key)
    patch.setenv("AWS_SESSION_TOKEN", SECRET.token)
    return ENVIRONMENT


def _file(text: str, *, config: bool = False) -> Callable[[pytest.MonkeyPatch, Path], Any]:
    def write(patch: pytest.MonkeyPatch, folder: Path) -> Any:
        path = folder / "file"
        path.write_text(text)
        return {"type": "profile", "config_file" if config else "credentials_file": str(path)}

    return write


def _process(code: str) -> Callable[[pytest.MonkeyPatch, Path], Any]:
    def write(patch: pytest.MonkeyPatch, folder: Path) -> Any:
        (folder / "process.py").write_text(f"import json, sys\nfound = {_process_document()!r}\n{code}\n")
        command = f"{sys.executable} {folder / 'process.py'}"
        return _file(f"[default]\ncredential_process = {command}\n", config=True)(patch, folder)

    return write


def _process_document() -> dict[str, Any]:
    return SECRET.document("SessionToken", Version=1)


# Ways to fail with secrets at hand: what is opened, and what the error must say.
FAILURES: dict[str, tuple[Callable[[pytest.MonkeyPatch, Path], Any], list[str]]] = {
    "environment": (_environment, ["environment", "AWS_ACCESS_KEY_ID"]),
    "half a pair in a file": (
        _file(f"[default]\naws_access_key_id = AKID\naws_session_token = {SECRET.token}\n"),
        ["profile", "aws_secret_access_key"],
    ),
    "a file without sections": (
        _file(f"aws_secret_access_key = {SECRET.secret_key}\naws_access_key_id = AKID\n"),
        ["profile"],
    ),
    "a line that cannot be read": (_file(f"[default]\n{SECRET.secret_key}\n"), ["profile"]),
    "a process that fails after its answer": (
        _process("print(json.dumps(found)); sys.exit('not signed in')"),
        ["profile", "not signed in"],
    ),
    "a process that fails and tells": (
        _process("sys.exit('not signed in ' + json.dumps(found))"),
        ["profile", "not signed in"],
    ),
    "a process that is cut short": (_process("print(json.dumps(found)[:-2])"), ["profile"]),
    "a process that forgets a key": (
        _process("del found['AccessKeyId']; print(json.dumps(found))"),
        ["profile", "AccessKeyId"],
    ),
    "a process of another version": (
        _process("found['Version'] = 2; print(json.dumps(found))"),
        ["profile", "version"],
    ),
}


@pytest.mark.parametrize(("failure", "words"), FAILURES.values(), ids=FAILURES)
def test_an_error_tells_who_was_asked_and_what_they_said_but_no_secret(
    failure: Callable[[pytest.MonkeyPatch, Path], Any],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In its text, in those of its causes, in the report of either, and pickled."""
    with FakeS3() as s3, s3.store(failure(monkeypatch, tmp_path)) as store:
        with pytest.raises(s3kv.CredentialsError) as caught:
            store.get("key")
        assert s3.requests == []
    for word in words:
        assert word.lower() in str(caught.value).lower()
    _assert_hidden(shown(caught.value))
    cause = caught.value.__cause__
    # Some pickle that as well, Dask for one.
    _assert_hidden(repr(None if cause is None else (cause.args, vars(cause))))


@pytest.mark.parametrize(
    "given",
    [
        SECRET.secret_key,
        {"type": SECRET.secret_key},
        {"type": "ecs", "endpoint": f"http://me:{SECRET.secret_key}@127.0.0.1.example/"},
        {"type": "ecs", "auth_token": SECRET.token},
        {"type": "environment", "secret_key": SECRET.secret_key},
        {"type": "profile", "profile": [SECRET.secret_key]},
        [SECRET.access_key, SECRET.secret_key],
    ],
    ids=["text", "type", "endpoint", "unknown member", "member of another type", "list", "pair"],
)
def test_a_wrong_description_of_credentials_is_not_repeated_by_its_error(given: Any) -> None:
    """Somebody may have put a secret where it does not belong."""
    with FakeS3() as s3, pytest.raises(s3kv.SpecError) as caught:
        s3.store(given)
    assert "aws_credentials" in str(caught.value)
    _assert_hidden(shown(caught.value))


@pytest.mark.parametrize(
    "given",
    [
        SECRET.object,
        partial(Credentials, SECRET.access_key, SECRET.secret_key, SECRET.token),
    ],
    ids=["object", "callable"],
)
def test_a_store_that_was_given_secrets_does_not_show_them(given: Any) -> None:
    """Neither before its first request nor afterwards."""
    with FakeS3() as s3, s3.store(given) as store:
        _assert_hidden(f"{store!r} {store}")
        store.get("key")
        s3.check(SECRET)
        _assert_hidden(f"{store!r} {store}")


def _assert_hidden(text: str) -> None:
    # Also not in part, as the excerpt of an answer might be.
    for secret in (SECRET.secret_key, SECRET.token):
        assert secret[:12] not in text
        assert secret[-12:] not in text
