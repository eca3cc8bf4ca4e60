"""Credentials: where they are looked for, and what happens where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind
from tests.contract.direct import Direct
from tests.servers import LocalProcessServer, ServerInfo

WRONG = ServerInfo("nobody", "", "AKWRONG0000000000000", "wrongsecretkey")


@pytest.fixture
def info(server: LocalProcessServer) -> ServerInfo:
    """Return the keys that the server accepts."""
    return server.info


class Files:
    """Writes the files that ``aws configure`` writes, and points the environment at them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch

    def credentials(self, **profiles: ServerInfo) -> None:
        """Write the credentials file."""
        sections = [
            f"[{name}]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n"
            for name, keys in profiles.items()
        ]
        self._write("AWS_SHARED_CREDENTIALS_FILE", "\n".join(sections))

    def config(self, text: str) -> None:
        """Write the configuration file."""
        self._write("AWS_CONFIG_FILE", text)

    def _write(self, variable: str, text: str) -> None:
        file = self._folder / variable.lower()
        file.write_text(text)
        self._monkeypatch.setenv(variable, str(file))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return what writes the files of the AWS tools."""
    return Files(tmp_path, monkeypatch)


def set_keys(monkeypatch: pytest.MonkeyPatch, info: ServerInfo) -> None:
    """Put keys into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", info.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", info.secret_key)


def signers(session: Any) -> set[str | None]:
    """Return the access keys that the requests of a session were signed with; None for unsigned ones."""
    found: set[str | None] = set()
    for sent in session.sent:
        proof = sent.headers.get("Authorization")
        found.add(None if proof is None else proof.partition("Credential=")[2].partition("/")[0])
    return found


def kind(name: str) -> dict[str, Any]:
    """Return the member of a spec that asks for credentials of a kind."""
    return {"aws_credentials": {"type": name}}


# ---------------------------------------------------------------------------- environment


def test_environment_signs_with_the_keys_in_the_environment(
    open_store: Any, session: Any, info: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the files say."""
    set_keys(monkeypatch, info)
    store = open_store(session=session, **kind("environment"))
    store.put("key", b"value")
    assert store.get("key") == b"value"
    assert signers(session) == {info.access_key}


def test_environment_without_keys_is_a_credentials_error_before_anything_is_sent(
    open_store: Any, session: Any, files: Files, info: ServerInfo
) -> None:
    """It looks nowhere else, and it does not fall back to anonymous."""
    files.credentials(default=info)
    store = open_store(session=session, **kind("environment"))
    operations: list[Any] = [lambda: store.get("key"), lambda: store.put("key", b""), lambda: store.list()]
    for operation in operations:
        with pytest.raises(s3kv.CredentialsError, match="AWS_ACCESS_KEY_ID"):
            operation()
    assert session.sent == []


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("environment", "AWS_ACCESS_KEY_ID"),
        ("environment", "AWS_SECRET_ACCESS_KEY"),
        # A secret key alone is nothing to the default chain, which starts from the access key.
        ("default", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_half_a_pair_of_keys_is_a_credentials_error_before_anything_is_sent(
    open_store: Any,
    session: Any,
    info: ServerInfo,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    missing: str,
) -> None:
    """Somebody meant to sign; the error names what is missing and shows no key."""
    set_keys(monkeypatch, info)
    monkeypatch.delenv(missing)
    store = open_store(session=session, **kind(name))
    with pytest.raises(s3kv.CredentialsError, match=missing) as caught:
        store.get("key")
    assert info.secret_key not in str(caught.value)
    assert session.sent == []


def test_keys_that_come_later_are_found(
    open_store: Any, info: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That there were none is not remembered."""
    store = open_store(**kind("environment"))
    with pytest.raises(s3kv.CredentialsError):
        store.put("key", b"value")
    set_keys(monkeypatch, info)
    store.put("key", b"value")
    assert store.get("key") == b"value"


def test_opening_a_store_looks_for_no_credentials(open_store: Any, session: Any) -> None:
    """So that a store can be described where it cannot be used."""
    for name in ("environment", "default", "anonymous"):
        store = open_store(session=session, **kind(name))
        assert store.spec()["bucket"] == store.bucket
    assert session.sent == []


# -------------------------------------------------------------------------- default chain


def test_default_finds_the_keys_in_the_credentials_file(
    open_store: Any, session: Any, files: Files, info: ServerInfo
) -> None:
    """In its default profile."""
    files.credentials(default=info, other=WRONG)
    store = open_store(session=session, **kind("default"))
    store.put("key", b"value")
    assert store.get("key") == b"value"
    assert signers(session) == {info.access_key}


def test_default_finds_the_keys_in_the_configuration_file(
    open_store: Any, session: Any, files: Files, info: ServerInfo
) -> None:
    """Where older tools wrote them."""
    files.config(
        f"[default]\naws_access_key_id={info.access_key}\naws_secret_access_key={info.secret_key}\n"
    )
    store = open_store(session=session, **kind("default"))
    store.put("key", b"value")
    assert signers(session) == {info.access_key}


def test_default_prefers_the_environment_to_the_files(
    open_store: Any, session: Any, files: Files, info: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every AWS tool does."""
    files.credentials(default=WRONG)
    set_keys(monkeypatch, info)
    store = open_store(session=session, **kind("default"))
    store.put("key", b"value")
    assert signers(session) == {info.access_key}


def test_default_uses_the_profile_that_the_environment_names(
    open_store: Any, session: Any, files: Files, info: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the one that is called default."""
    files.credentials(default=WRONG, other=info)
    monkeypatch.setenv("AWS_PROFILE", "other")
    store = open_store(session=session, **kind("default"))
    store.put("key", b"value")
    assert signers(session) == {info.access_key}


def test_default_is_what_a_store_has_that_says_nothing(
    members: dict[str, Any], files: Files, info: ServerInfo
) -> None:
    """Credentials are found as boto3 would find them."""
    files.credentials(default=info)
    del members["aws_credentials"]
    with s3kv.Store(members) as store:
        store.put("key", b"value")
        assert store.get("key") == b"value"


def test_default_is_anonymous_where_there_is_nothing_at_all(open_store: Any, session: Any) -> None:
    """No file, no variable, no metadata service: the requests are not signed."""
    store = open_store(session=session, **kind("default"))
    with pytest.raises(s3kv.S3KVError):
        store.get("missing")
    assert signers(session) == {None}


def test_default_with_a_profile_that_does_not_exist_is_a_credentials_error(
    open_store: Any, session: Any, files: Files, info: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent: neither unsigned nor with the keys of another profile."""
    files.credentials(default=info)
    monkeypatch.setenv("AWS_PROFILE", "misspelt")
    store = open_store(session=session, **kind("default"))
    with pytest.raises(s3kv.CredentialsError, match="misspelt"):
        store.get("key")
    assert session.sent == []


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("[default]\ncredential_process = no-such-program-anywhere\n", id="no such program"),
        pytest.param("[default]\ncredential_process = false\n", id="a program that fails"),
        pytest.param(
            "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = none\n", id="no source"
        ),
        pytest.param("[default\nnot an ini file", id="a file that cannot be read"),
    ],
)
def test_default_with_a_provider_that_fails_is_a_credentials_error(
    open_store: Any, session: Any, files: Files, config: str
) -> None:
    """It has something, so the store is not anonymous; nothing is sent."""
    files.config(config)
    store = open_store(session=session, **kind("default"))
    with pytest.raises(s3kv.CredentialsError):
        store.get("key")
    assert session.sent == []


# ------------------------------------------------------------------------------ anonymous


def test_anonymous_signs_nothing_whatever_keys_there_are(
    open_store: Any, session: Any, files: Files, info: ServerInfo, credentials: None
) -> None:
    """Nor does it tell the access key."""
    files.credentials(default=info)
    store = open_store(session=session, **kind("anonymous"))
    with pytest.raises(s3kv.S3KVError):
        store.get("missing")
    assert signers(session) == {None}
    for sent in session.sent:
        assert info.access_key not in f"{sent.url}{sent.headers}"


@pytest.mark.feature("anonymous-public-read")
def test_anonymous_reads_what_is_public(open_store: Any, transport: Any, behind: Behind) -> None:
    """By an ACL of the object: whole, in part, and its description."""
    store = open_store(**transport, **kind("anonymous"))
    behind.put(store, "key", b"0123456789", ACL="public-read")
    assert store.get("key") == b"0123456789"
    assert store.get("key", byte_range=slice(2, 5)) == b"234"
    assert store.stat("key").size == 10
    assert "key" in store


@pytest.mark.feature("anonymous-policy")
def test_anonymous_reads_and_lists_a_bucket_whose_policy_lets_everybody(
    open_store: Any, direct: Direct, behind: Behind, new_bucket: str
) -> None:
    """Where the owner said so, for objects and for the bucket."""
    direct.publish(new_bucket)
    store = open_store(bucket=new_bucket, path="", **kind("anonymous"))
    behind.put(store, "a/key", b"value")
    assert dict(store) == {"a/key": b"value"}
    assert "missing" not in store


@pytest.mark.feature("anonymous-read-refused")
def test_anonymous_is_denied_what_is_private(open_store: Any, transport: Any, behind: Behind) -> None:
    """Reading, describing and asking for it; "in" does not say that it is missing."""
    store = open_store(**transport, **kind("anonymous"))
    behind.put(store, "key", b"value")
    for operation in (
        lambda: store.get("key"),
        lambda: store.get("key", None),
        lambda: store.stat("key"),
        lambda: "key" in store,
    ):
        with pytest.raises(s3kv.PermissionDenied) as caught:
            operation()
        assert caught.value.status == 403


@pytest.mark.feature("anonymous-write-refused")
def test_anonymous_may_not_write(open_store: Any, transport: Any, behind: Behind) -> None:
    """Nothing is there afterwards."""
    store = open_store(**transport, **kind("anonymous"))
    with pytest.raises(s3kv.PermissionDenied) as caught:
        store.put("key", b"value")
    assert caught.value.status == 403
    assert behind.keys(store) == []
