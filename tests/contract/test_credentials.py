"""Credentials: where they are looked for, and what happens where there are none."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import botocore.credentials
import pytest

import s3kv
from tests.contract.behind import Behind
from tests.contract.direct import Direct
from tests.servers import LocalProcessServer, ServerInfo
from tests.servers.metadata import FakeContainer, FakeImds, Keys

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
    # The context of the process may have found other keys, for another server.
    with s3kv.Store(members, context=s3kv.Context()) as store:
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


# -------------------------------------------------------------------------- every kind there is


class Kinds:
    """Sets up each kind of credentials with a server's keys, and returns what a spec says of it."""

    def __init__(
        self, info: ServerInfo, files: Files, folder: Path, patch: pytest.MonkeyPatch, services: ExitStack
    ) -> None:
        self._info = info
        self._files = files
        self._folder = folder
        self._patch = patch
        self._services = services
        # Without a session token, which the servers would not know.
        self._keys = Keys(info.access_key, info.secret_key, "")

    def environment(self) -> Any:
        """The variables."""
        set_keys(self._patch, self._info)
        return {"type": "environment"}

    def profile(self) -> Any:
        """One of several, that the spec names."""
        self._files.credentials(default=WRONG, mine=self._info)
        return {"type": "profile", "profile": "mine"}

    def profile_of_the_environment(self) -> Any:
        """One of several, that the environment names."""
        self._patch.setenv("AWS_PROFILE", "mine")
        self._files.credentials(default=WRONG, mine=self._info)
        return {"type": "profile"}

    def profile_in_files_of_the_spec(self) -> Any:
        """Files that only the spec names."""
        self._files.credentials(default=WRONG)
        file = self._folder / "my credentials"
        file.write_text(
            f"[mine]\naws_access_key_id={self._info.access_key}\n"
            f"aws_secret_access_key={self._info.secret_key}\n"
        )
        return {"type": "profile", "profile": "mine", "credentials_file": str(file)}

    def profile_with_a_process(self) -> Any:
        """A program that prints them."""
        (self._folder / "keys.json").write_text(json.dumps(self._keys.document("SessionToken", Version=1)))
        code = "import sys; print(open(sys.argv[1]).read())"
        command = shlex.join([sys.executable, "-c", code, str(self._folder / "keys.json")])
        self._files.config(f"[profile mine]\ncredential_process = {command}\n")
        return {"type": "profile", "profile": "mine"}

    def default(self) -> Any:
        """The whole chain, with something in the files."""
        self._files.credentials(default=self._info, other=WRONG)
        return {"type": "default"}

    def default_with_a_profile(self) -> Any:
        """Which switches the environment off."""
        set_keys(self._patch, WRONG)
        self._files.credentials(default=WRONG, mine=self._info)
        return {"type": "default", "profile": "mine"}

    def default_in_a_container(self) -> Any:
        """The whole chain, with nothing but a container's service."""
        self.ecs()
        return {"type": "default"}

    def default_on_a_machine(self) -> Any:
        """The whole chain, with nothing but the metadata service."""
        self.imds()
        return {"type": "default"}

    def ecs(self) -> Any:
        """The container's service that the environment names."""
        service = self._services.enter_context(FakeContainer(self._keys))
        self._patch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.uri)
        return {"type": "ecs"}

    def ecs_with_an_endpoint(self) -> Any:
        """The one that the spec names, with a token from a file."""
        service = self._services.enter_context(FakeContainer(self._keys))
        file = self._folder / "token"
        file.write_text("Bearer token")
        return {"type": "ecs", "endpoint": service.uri, "auth_token_file": str(file)}

    def imds(self) -> Any:
        """The metadata service."""
        service = self._services.enter_context(FakeImds(self._keys))
        self._patch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        self._patch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
        return {"type": "imds"}

    def object(self) -> Any:
        """What botocore hands out."""
        return botocore.credentials.Credentials(self._info.access_key, self._info.secret_key)

    def callable(self) -> Any:
        """Whatever the user's own code does."""
        return self.object


@pytest.fixture(params=[name for name in vars(Kinds) if not name.startswith("_")])
def of_a_kind(
    request: pytest.FixtureRequest,
    info: ServerInfo,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """Return what a spec has as ``aws_credentials``, for each kind; it leads to the server's keys."""
    with ExitStack() as services:
        kinds = Kinds(info, files, tmp_path, monkeypatch, services)
        make: Callable[[], Any] = getattr(kinds, request.param)
        yield make()


def test_a_store_works_with_credentials_of_every_kind(members: dict[str, Any], of_a_kind: Any) -> None:
    """It writes, reads, describes, lists and deletes."""
    with s3kv.Store(members, aws_credentials=of_a_kind) as store:
        store.put("a/key", b"0123456789")
        assert store.get("a/key") == b"0123456789"
        assert store.get("a/key", byte_range=slice(2, 5)) == b"234"
        assert store.stat("a/key").size == 10
        assert store.list() == ["a/key"]
        assert store.list_dir() == (["a/"], [])
        store.delete("a/key")
        assert "a/key" not in store
        assert dict(store) == {}


def test_credentials_of_every_kind_sign_every_request(
    members: dict[str, Any], session: Any, of_a_kind: Any, info: ServerInfo
) -> None:
    """With the keys that the kind leads to, and no others; children of the store as well."""
    with s3kv.Store(members, session=session, aws_credentials=of_a_kind) as store:
        (store / "a/").put("key", b"value")
        assert store.list() == ["a/key"]
        assert dict(store) == {"a/key": b"value"}
        store.delete("a/key")
    assert len(session.sent) > 4
    assert signers(session) == {info.access_key}
    assert not any("x-amz-security-token" in map(str.lower, sent.headers) for sent in session.sent)
