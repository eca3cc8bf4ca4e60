"""Stores in pickles: what travels, what refuses to, and that no secret does. No request is sent."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

import s3kv
from s3kv.errors import SpecError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Held:
    """Credentials as botocore has them, secret included."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def get_frozen_credentials(self) -> None:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.secret == self.secret

    def __hash__(self) -> int:
        return hash(self.secret)

    def supply(self) -> Held:
        return self


class Callable:
    """Something that returns credentials, and holds them meanwhile."""

    def __init__(self, secret: str) -> None:
        self.held = Held(secret)

    def __call__(self) -> Held:
        return self.held


def supply() -> Held:
    """Return credentials; a callable that another process finds by its name."""
    return Held(SECRET)


def test_a_function_is_pickled_by_its_name() -> None:
    """And is the very same one afterwards, in whichever way the store knows it."""
    for store in (
        s3kv.Store("s3://bucket", aws_credentials=supply),
        s3kv.Store("s3://bucket", context={"aws_credentials": supply}),
        s3kv.Store({"bucket": "bucket", "context": {"aws_credentials": supply}}),
    ):
        pickled = pickle.dumps(store)
        assert b"supply" in pickled
        assert pickle.loads(pickled) == store
        assert store == s3kv.Store("s3://bucket", aws_credentials=supply)


_HELD = Held(SECRET)


@pytest.mark.parametrize(
    "source",
    [
        Held(SECRET),
        Callable(SECRET),
        _HELD.supply,
        lambda: _HELD,
        (lambda held: lambda: held)(Held(SECRET)),
        [Held(SECRET)].pop,
        {"secret": Held(SECRET)}.popitem,
        partial(Held, SECRET),
    ],
    ids=["object", "callable object", "method", "lambda", "closure", "list.pop", "dict.popitem", "partial"],
)
def test_what_may_hold_a_secret_is_not_pickled(source: Any) -> None:
    """The error says why; copies, which stay in the process, are no matter. Nor is it in a repr."""
    for store in (
        s3kv.Store("s3://bucket", aws_credentials=source),
        s3kv.Store("s3://bucket", context={"aws_credentials": source}),
        s3kv.Store({"bucket": "bucket", "context": {"aws_credentials": source}}),
    ):
        with pytest.raises(TypeError, match=r"cannot be pickled.*secrets"):
            pickle.dumps(store)
        assert copy.copy(store) == copy.deepcopy(store) == store
        for part in SECRET.split("/"):
            assert part not in f"{store!r} {store.context!r}"
    for value in (
        s3kv.Spec("s3://bucket", aws_credentials=source),
        s3kv.Context({"aws_credentials": source}),
    ):
        with pytest.raises(TypeError, match=r"cannot be pickled.*secrets"):
            pickle.dumps(value)
        for part in SECRET.split("/"):
            assert part not in repr(value)


def test_credentials_of_python_are_compared_by_identity() -> None:
    """Two that are alike may still be somebody else's."""
    one, other = Held(SECRET), Held(SECRET)
    assert one == other
    store = s3kv.Store("s3://bucket", aws_credentials=one)
    assert store == s3kv.Store("s3://bucket", aws_credentials=one)
    assert hash(store) == hash(s3kv.Store("s3://bucket", aws_credentials=one))
    assert store != s3kv.Store("s3://bucket", aws_credentials=other)
    assert repr(store) == "<s3kv.Store('s3://bucket/', aws_credentials=<botocore Held>)>"
    for include_defaults in (False, True):
        with pytest.raises(SpecError, match="passed as a Python object, which has no JSON form") as caught:
            store.spec(include_defaults=include_defaults)
        assert caught.value.member == "aws_credentials"


def test_a_store_with_a_session_is_copied_but_not_pickled() -> None:
    """A session may hold secrets; it is compared by identity."""
    session = requests.Session()
    store = s3kv.Store("s3://bucket", session=session)
    with pytest.raises(TypeError, match="session may hold secrets"):
        pickle.dumps(store)
    assert copy.copy(store) == copy.deepcopy(store) == store == s3kv.Store("s3://bucket", session=session)
    assert store.spec() == {"driver": "s3", "bucket": "bucket"}


def test_a_pickle_knows_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a store will find there, the other process finds in its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = s3kv.Store("s3://bucket", aws_credentials={"type": "environment"})
    shown = pickle.dumps(store) + f"{store!r} {store.spec(include_defaults=True)}".encode()
    assert SECRET.encode() not in shown
    assert b"AKIA" not in shown


def test_another_process_opens_what_was_pickled() -> None:
    """And writes the same spec."""
    spec = {
        "bucket": "bucket",
        "path": "é",
        "aws_credentials": "aws_credentials#x",
        "context": {"aws_credentials#x": {"type": "anonymous"}},
    }
    store = s3kv.Store(spec, timeout=5)
    code = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s.spec(), repr(s))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=pickle.dumps(store),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.decode("utf-8").strip() == f"{store.spec()} {store!r}"
