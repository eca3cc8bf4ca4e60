"""Credentials that the store refuses are dropped, fetched anew once, and not sent again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import s3kv
from tests.servers.metadata import NOT_CREDENTIALS, FakeContainer, FakeS3, Reply, keys
from tests.wire.helpers import Background
from tests.wire.scripted import Recorded, error

# A pause before the request that follows a refused one is of no interest here.
FAST = {"initial_delay": "1ms", "max_delay": "2ms", "max_retries": 8}


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
def test_a_token_that_the_store_refuses_is_replaced_once_for_everybody(code: str, s3: FakeS3) -> None:
    """Two hundred callers find out at once; one fetch is made, and every request succeeds."""
    with FakeContainer(keys(1), keys(2)) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            store.get("key")
            s3.expire(keys(1), code=code)
            with ThreadPoolExecutor(200) as pool:
                results = list(pool.map(lambda number: store.get(str(number)), range(200), timeout=10))
        assert results == [b"value"] * 200
        assert len(container.requests) == 2
    assert s3.signers.count(keys(2).signer) == 200
    # One to a worker, and not one to a caller: whoever comes later has the new ones.
    assert s3.signers.count(keys(1).signer) <= 1 + 64


def test_reads_go_on_while_a_refused_token_is_being_replaced(s3: FakeS3) -> None:
    """They wait for the new one; none fails, and none is sent with the refused one again."""
    with FakeContainer(keys(1), Reply(body=keys(2), seconds=0.3)) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            store.get("key")
            s3.expire(keys(1))
            first = Background(lambda: store.get("key"))
            container.until(2)
            sent = len(s3.requests)
            calls = [Background(lambda: store.get("key")) for _ in range(20)]
            assert [call.result() for call in (first, *calls)] == [b"value"] * 21
        assert len(container.requests) == 2
    assert s3.signers[sent:] == [keys(2).signer] * 21


def test_a_token_that_is_refused_as_soon_as_it_was_fetched_is_the_error(s3: FakeS3) -> None:
    """The provider is not asked round and round."""
    s3.expire(*map(keys, range(1, 10)))
    with FakeContainer(*map(keys, range(1, 10))) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            with pytest.raises(s3kv.S3KVError) as caught:
                store.get("key")
            assert caught.value.code == "ExpiredToken"
            assert not isinstance(caught.value, s3kv.RetriesExhausted)
        assert len(container.requests) == 2
    assert s3.signers == [keys(1).signer, keys(2).signer]


def test_a_refused_token_that_the_provider_hands_out_again_is_not_sent_again(s3: FakeS3) -> None:
    """The store has said what it thinks of it."""
    s3.expire(keys())
    with FakeContainer(keys()) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            with pytest.raises(s3kv.S3KVError) as caught:
                store.get("key")
            assert "ExpiredToken" in str(caught.value)
        assert len(container.requests) == 2
    assert s3.signers == [keys().signer]


def test_a_store_recovers_from_refused_tokens_when_the_provider_does(s3: FakeS3) -> None:
    """Nothing of the failure is remembered."""
    s3.expire(keys(1))
    with FakeContainer(keys(1)) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            with pytest.raises(s3kv.S3KVError):
                store.get("key")
            container.script(keys(2))
            assert store.get("key") == b"value"
        assert len(container.requests) <= 4
    assert s3.signers[-1] == keys(2).signer


def test_a_provider_that_fails_after_a_refused_token_is_the_error(s3: FakeS3) -> None:
    """It says what the provider said; the next request asks it again."""
    with FakeContainer(keys(1)) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            store.get("key")
            s3.expire(keys(1))
            container.script(NOT_CREDENTIALS)
            for _ in range(2):
                with pytest.raises(s3kv.CredentialsError):
                    store.get("key")
            assert s3.signers == [keys(1).signer] * 2
            container.script(keys(2))
            assert store.get("key") == b"value"
        assert len(container.requests) == 4
    assert s3.signers[2:] == [keys(2).signer]


def test_a_token_may_expire_many_times_in_the_life_of_a_store(s3: FakeS3) -> None:
    """Every time it is replaced once."""
    with FakeContainer(*map(keys, range(1, 6))) as container:
        with s3.store(container.spec, s3_request_retries=FAST) as store:
            for number in range(1, 5):
                store.get("key")
                s3.expire(keys(number))
            assert store.get("key") == b"value"
        assert len(container.requests) == 5
    assert s3.signers[-1] == keys(5).signer


@pytest.mark.parametrize("kind", ["environment", "profile", "default"])
def test_keys_of_the_environment_and_of_files_are_read_anew_when_the_store_refuses_them(
    kind: str, s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps them may have replaced them."""

    def write(number: int) -> None:
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        if kind == "profile":
            lines = [f"{name} = {value}" for name, value in zip(names, keys(number), strict=False)]
            (tmp_path / "credentials").write_text("\n".join(["[default]", *lines, ""]))
        else:
            for name, value in zip(names, keys(number), strict=False):
                monkeypatch.setenv(name.upper(), str(value))

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write(1)
    with s3.store({"type": kind}, s3_request_retries=FAST) as store:
        store.get("key")
        write(2)
        s3.expire(keys(1))
        assert store.get("key") == b"value"
    assert s3.signers == [keys(1).signer] * 2 + [keys(2).signer]


class Busy(FakeS3):
    """Asks whoever reads ``"later"`` for the first time to come back in a second."""

    told = False

    def respond(self, request: Recorded) -> bytes:
        if request.path.endswith("/later") and not self.told:
            self.told = True
            return error(503, "SlowDown", "Retry-After: 1")
        return super().respond(request)


def test_every_attempt_is_signed_with_the_credentials_of_the_moment() -> None:
    """Not with those of the attempt before, which have been replaced meanwhile."""
    with Busy() as s3, FakeContainer(keys(1), keys(2)) as container, s3.store(container.spec) as store:
        later = Background(lambda: store.get("later"))
        s3.until(1)
        s3.expire(keys(1))
        other = Background(lambda: store.get("key"))
        assert later.result() == b"value"
        assert other.result() == b"value"
        assert len(container.requests) == 2
    attempts = [
        signer
        for request, signer in zip(s3.requests, s3.signers, strict=True)
        if request.path.endswith("/later")
    ]
    assert attempts == [keys(1).signer, keys(2).signer]
