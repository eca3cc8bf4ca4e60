"""Credentials that a Python caller passes: an object of botocore's, or a callable that returns one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials, RefreshableCredentials

import s3kv
from tests.servers.metadata import FakeS3, Keys, keys, lender, shown

ROOT = Path(__file__).resolve().parents[2]

FAST = {"initial_delay": "1ms", "max_delay": "2ms", "max_retries": 8}


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


class Finder:
    """A callable that returns one thing after the other, the last one again and again; counts calls."""

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, BaseException):
            raise result
        return result.object if isinstance(result, Keys) else result


def refreshable(first: Keys, *later: Keys) -> tuple[RefreshableCredentials, Finder]:
    """An object that refreshes itself, and what it does so with."""
    finder = Finder(*({**_metadata(found)} for found in later))
    return RefreshableCredentials.create_from_metadata(_metadata(first), finder, "test"), finder


def _metadata(found: Keys) -> dict[str, Any]:
    return {
        "access_key": found.access_key,
        "secret_key": found.secret_key,
        "token": found.token,
        "expiry_time": (datetime.now(timezone.utc) + timedelta(seconds=found.expires or 0)).isoformat(),
    }


# -------------------------------------------------------------------------------- objects


def test_an_object_of_botocores_signs_requests(s3: FakeS3) -> None:
    """With its session token."""
    with s3.store(keys().object) as store:
        assert store.get("key") == b"value"
        store.put("key", b"value")
    assert len(s3.requests) == 2
    s3.check(keys())


def test_an_object_without_a_session_token_signs_requests(s3: FakeS3) -> None:
    """Long-term keys have none."""
    with s3.store(Credentials(keys().access_key, keys().secret_key)) as store:
        store.get("key")
    assert s3.signers == [(keys().access_key, "")]


def test_the_credentials_of_a_boto3_session_sign_requests(s3: FakeS3) -> None:
    """Both what it found and how it finds them."""
    session = boto3.Session(
        aws_access_key_id=keys().access_key,
        aws_secret_access_key=keys().secret_key,
        aws_session_token=keys().token,
    )
    for given in (session.get_credentials(), session.get_credentials):
        with s3.store(given) as store:
            store.get("key")
    assert len(s3.requests) == 2
    s3.check(keys())


def test_an_object_that_refreshes_itself_does_so_when_its_time_comes(s3: FakeS3) -> None:
    """And not before; a store in which its time has come never sends what is about to end."""
    lasting, finder = refreshable(keys(1), keys(2))
    with s3.store(lasting) as store:
        store.get("key")
        store.get("key")
    assert finder.calls == 0
    ending, finder = refreshable(keys(1, expires=60), keys(2))
    with s3.store(ending) as store:
        store.get("key")
        store.get("key")
    assert finder.calls == 1
    assert s3.signers == [keys(1).signer] * 2 + [keys(2).signer] * 2


def test_an_object_that_cannot_refresh_itself_in_time_is_an_error(s3: FakeS3) -> None:
    """Which names the reason's kind; the object is asked again by the next request."""
    finder = Finder(RuntimeError("no network"), _metadata(keys(2)))
    ending = RefreshableCredentials.create_from_metadata(_metadata(keys(1, expires=5)), finder, "test")
    with s3.store(ending) as store:
        with pytest.raises(s3kv.CredentialsError, match="RuntimeError"):
            store.get("key")
        assert s3.requests == []
        assert store.get("key") == b"value"
    s3.check(keys(2))


def test_an_object_whose_token_has_expired_is_not_tried_twice(s3: FakeS3) -> None:
    """It has no others to give."""
    s3.expire(keys())
    with s3.store(keys().object, s3_request_retries=FAST) as store:
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert "ExpiredToken" in str(caught.value)
    assert len(s3.requests) == 1


@pytest.mark.parametrize(
    "empty",
    [Credentials("", ""), Credentials("AKID", ""), Credentials("", "secret")],
    ids=["both", "secret", "access key"],
)
def test_an_object_without_keys_is_an_error(empty: Credentials, s3: FakeS3) -> None:
    """Before any request: it is not taken for anonymous."""
    with s3.store(empty) as store, pytest.raises(s3kv.CredentialsError):
        store.get("key")
    assert s3.requests == []


# ------------------------------------------------------------------------------ callables


def test_a_callable_is_called_once_for_many_requests(s3: FakeS3) -> None:
    """And not when the store is opened, or described."""
    finder = Finder(keys(1), keys(2))
    with s3.store(finder) as store:
        repr(store)
        child = store / "child"
        assert finder.calls == 0
        for _ in range(5):
            assert store.get("key") == b"value"
        child.get("key")
        assert finder.calls == 1
    assert len(s3.requests) == 6
    s3.check(keys(1))


def test_a_callable_is_called_again_for_a_token_that_has_expired(s3: FakeS3) -> None:
    """Which is how a long program goes on."""
    finder = Finder(keys(1), keys(2))
    with s3.store(finder, s3_request_retries=FAST) as store:
        store.get("key")
        s3.expire(keys(1))
        assert store.get("key") == b"value"
        assert store.get("key") == b"value"
    assert finder.calls == 2
    assert s3.signers == [keys(1).signer] * 2 + [keys(2).signer] * 2


def test_a_callable_may_return_an_object_that_refreshes_itself(s3: FakeS3) -> None:
    """It is called once, and the object goes on alone."""
    ending, refresher = refreshable(keys(1, expires=60), keys(2))
    finder = Finder(ending)
    with s3.store(finder) as store:
        store.get("key")
        store.get("key")
    assert finder.calls == refresher.calls == 1
    s3.check(keys(2))


class VaultSealed(Exception):
    """What a user's own callable raises."""


def test_a_callable_that_raises_is_an_error_that_names_the_kind(s3: FakeS3) -> None:
    """The exception is the cause; that it failed is not remembered."""
    finder = Finder(VaultSealed("come back later"), keys())
    with s3.store(finder) as store:
        with pytest.raises(s3kv.CredentialsError, match="VaultSealed") as caught:
            store.get("key")
        assert isinstance(caught.value.__cause__, VaultSealed)
        assert s3.requests == []
        assert store.get("key") == b"value"
    assert finder.calls == 2
    s3.check(keys())


EXITING = """
import sys
import s3kv
from tests.servers.metadata import keys

asked = []

def find():
    asked.append(None)
    if len(asked) == 1:
        sys.exit("goodbye")
    return keys().object

with s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1", aws_credentials=find,
                timeout=3) as store:
    try:
        store.get("key")
    except s3kv.CredentialsError as error:
        print(error)
    assert store.get("key") == b"value"
"""


def test_a_callable_that_wants_to_exit_is_an_error_like_any_other(s3: FakeS3) -> None:
    """The program goes on, with nothing on its standard error; the next request calls it again."""
    command = [sys.executable, "-W", "error", "-c", EXITING, s3.url]
    done = subprocess.run(command, check=True, timeout=12, capture_output=True, text=True, cwd=ROOT)
    assert "SystemExit" in done.stdout
    assert done.stderr == ""
    s3.check(keys())


def test_a_callable_that_raises_a_credentials_error_has_its_words_kept(s3: FakeS3) -> None:
    """It says best what is wrong."""
    finder = Finder(s3kv.CredentialsError("sign in at the front desk"))
    words = "sign in at the front desk"
    with s3.store(finder) as store, pytest.raises(s3kv.CredentialsError, match=words):
        store.get("key")
    assert s3.requests == []


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        "",
        keys().secret_key,
        (keys().access_key, keys().secret_key),
        keys().document(),
        42,
        object(),
        Credentials("AKID", ""),
        Finder(keys()),
    ],
    ids=["None", "empty", "text", "pair", "mapping", "number", "object", "half", "callable"],
)
def test_a_callable_that_returns_no_credentials_is_an_error(rubbish: Any, s3: FakeS3) -> None:
    """It names what was returned by its type only, since that may hold a secret."""
    finder = Finder(rubbish)
    with s3.store(finder) as store:
        with pytest.raises(s3kv.CredentialsError) as caught:
            store.get("key")
        assert finder.calls == 1
        if not isinstance(rubbish, Credentials):
            assert type(rubbish).__name__ in str(caught.value)
    assert keys().secret_key[:12] not in shown(caught.value)
    assert s3.requests == []


def test_what_is_neither_an_object_nor_a_callable_is_a_spec_error(s3: FakeS3) -> None:
    """At once."""
    for wrong in (5, 1.5, True, [keys().object], (), b"environment", object()):
        with pytest.raises(s3kv.SpecError, match="aws_credentials"):
            s3.store(wrong)


# ---------------------------------------------------------------- describing and carrying


def test_a_store_with_given_credentials_has_no_spec_and_says_so(s3: FakeS3) -> None:
    """No JSON could say it."""
    for given in (keys().object, Finder(keys()), lender):
        with s3.store(given) as store, pytest.raises(s3kv.SpecError, match="aws_credentials"):
            store.spec()


@pytest.mark.parametrize("given", [keys().object, refreshable(keys(1), keys(2))[0]])
def test_a_store_with_an_object_cannot_be_pickled_and_says_why(given: Any, s3: FakeS3) -> None:
    """The secret would travel along."""
    with s3.store(given) as store, pytest.raises(TypeError, match=r"(?i)credentials") as caught:
        pickle.dumps(store)
    assert keys().secret_key[:12] not in shown(caught.value)


def test_a_store_with_a_modules_function_is_pickled_by_its_name(s3: FakeS3) -> None:
    """The copy calls it for itself, and no secret is in between."""
    with s3.store(lender) as store:
        store.get("key")
        data = pickle.dumps(store)
        assert b"lender" in data
        for secret in (keys().access_key, keys().secret_key, keys().token):
            assert secret.encode() not in data
        with pickle.loads(data) as copy:
            assert copy == store
            assert copy.get("key") == b"value"
    s3.check(keys())


class Lookalike(Finder):
    """A callable that calls itself equal to all of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lookalike)

    def __hash__(self) -> int:
        return 1


def test_stores_are_equal_when_they_were_given_the_very_same_thing(s3: FakeS3) -> None:
    """Not when the things are equal, or behave the same."""
    one, other = Finder(keys()), Finder(keys())
    first, second = keys().object, keys().object
    alike, too = Lookalike(keys()), Lookalike(keys())
    assert alike == too
    for same, different in ((one, other), (first, second), (alike, too), (lender, os.getcwd)):
        with s3.store(same) as a, s3.store(same) as b, s3.store(different) as c:
            assert a == b
            assert hash(a) == hash(b)
            assert a != c


def test_given_credentials_may_be_a_contexts(s3: FakeS3) -> None:
    """Whose stores then share one call."""
    finder = Finder(keys())
    context = s3kv.Context({"aws_credentials": finder})
    with s3.store(context=context) as one, s3.store(context=context) as other:
        one.get("key")
        other.get("key")
    assert finder.calls == 1
    assert len(s3.requests) == 2
    s3.check(keys())
