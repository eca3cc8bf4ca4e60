"""Errors: each has the class that code would catch, and the facts that a person would ask for."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import s3kv
from tests.contract.behind import Behind
from tests.servers import LocalProcessServer

# What each operation sends, by S3's name of the request.
OPERATIONS: dict[str, tuple[Any, str]] = {
    "get": (lambda store: store.get("key"), "GetObject"),
    "get with a default": (lambda store: store.get("key", None), "GetObject"),
    "get of a range": (lambda store: store.get("key", byte_range=slice(0, 1)), "GetObject"),
    "subscript": (lambda store: store["key"], "GetObject"),
    "put": (lambda store: store.put("key", b"value"), "PutObject"),
    "assignment": (lambda store: store.__setitem__("key", b"value"), "PutObject"),
    "delete": (lambda store: store.delete("key"), "DeleteObject"),
    "list": (lambda store: store.list(), "ListObjectsV2"),
    "scan": (lambda store: next(store.scan(), None), "ListObjectsV2"),
    "list_dir": (lambda store: store.list_dir(), "ListObjectsV2"),
    "len": (lambda store: len(store), "ListObjectsV2"),
    "iteration": (lambda store: list(store), "ListObjectsV2"),
}
# These ask with HEAD, whose errors have no body, and then ask again for the code.
HEAD_OPERATIONS: dict[str, Any] = {
    "stat": lambda store: store.stat("key"),
    "in": lambda store: "key" in store,
    "del": lambda store: store.__delitem__("key"),
    "get of no bytes": lambda store: store.get("key", byte_range=slice(3, 3)),
}
each_operation = pytest.mark.parametrize(
    ("operation", "name"), [pytest.param(*value, id=key) for key, value in OPERATIONS.items()]
)
each_head = pytest.mark.parametrize("operation", HEAD_OPERATIONS.values(), ids=HEAD_OPERATIONS)


def key_of(name: str) -> str | None:
    """Return the key that an error of a request names."""
    return None if name == "ListObjectsV2" else "key"


def check_told(error: s3kv.S3KVError) -> None:
    """Check that the message has the facts, and that the error survives pickle and copy."""
    text = str(error)
    for name in ("operation", "key", "status", "code", "request_id", "host_id", "attempts"):
        value = getattr(error, name)
        if value is not None:
            assert (repr(value) if name == "key" else str(value)) in text, name
    assert error.message in text
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == text
        assert twin.__dict__ == error.__dict__


# ------------------------------------------------------------------------------ missing keys


@pytest.mark.parametrize("byte_range", [None, slice(0, 3)], ids=["whole", "range"])
def test_reading_a_missing_key_is_key_not_found(store_by: s3kv.Store, byte_range: slice | None) -> None:
    """Which is a KeyError, and says what was asked and what was answered."""
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store_by.get("missing/key", byte_range=byte_range)
    error = caught.value
    assert isinstance(error, KeyError)
    assert (error.status, error.code, error.operation) == (404, "NoSuchKey", "GetObject")
    assert (error.key, error.attempts) == ("missing/key", 1)
    assert error.elapsed is not None
    assert 0 <= error.elapsed < 60
    assert error.request_id
    check_told(error)


def test_describing_a_missing_key_is_key_not_found(store_by: s3kv.Store) -> None:
    """Though the answer to HEAD has no body that could say so."""
    store_by.put("another", b"value")
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store_by.stat("missing/key")
    error = caught.value
    assert (error.status, error.code, error.operation) == (404, None, "HeadObject")
    assert (error.key, error.attempts) == ("missing/key", 1)
    check_told(error)


@pytest.mark.feature("request-id")
def test_describing_a_missing_key_tells_the_request_id(store: s3kv.Store) -> None:
    """From the headers, where else."""
    store.put("another", b"value")
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store.stat("missing/key")
    assert caught.value.request_id


def test_a_missing_key_is_told_from_a_missing_bucket_by_one_more_request(
    open_store: Any, session: Any, credentials: None
) -> None:
    """Once: after that the bucket is known."""
    store = open_store(session=session)
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store.stat("missing")
    assert caught.value.attempts == 2
    assert [sent.method for sent in session.sent] == ["HEAD", "GET"]
    assert "missing" not in store
    with pytest.raises(s3kv.KeyNotFound):
        store.stat("missing")
    assert [sent.method for sent in session.sent] == ["HEAD", "GET", "HEAD", "HEAD"]


def test_a_missing_key_is_not_in_the_store_and_has_a_default(store_by: s3kv.Store) -> None:
    """Also when that is the first thing asked of the bucket; any object is a default."""
    assert "missing" not in store_by
    assert store_by.get("missing", None) is None
    assert store_by.get("missing", b"") == b""
    default = object()
    assert store_by.get("missing", default) is default


def test_the_key_in_an_error_is_the_relative_one(store: s3kv.Store) -> None:
    """As the caller gave it, to a child store too."""
    with pytest.raises(s3kv.KeyNotFound) as caught:
        (store / "a/b").get("c d/é")
    assert caught.value.key == "c d/é"


# --------------------------------------------------------------------------- missing buckets


@each_operation
def test_a_missing_bucket_is_bucket_not_found_whatever_is_asked(
    open_store: Any, credentials: None, transport: Any, operation: Any, name: str
) -> None:
    """It is not mistaken for a missing key, nor for an empty store."""
    store = open_store(bucket="no-such-bucket", **transport)
    with pytest.raises(s3kv.BucketNotFound) as caught:
        operation(store)
    error = caught.value
    assert not isinstance(error, KeyError)
    assert (error.status, error.code, error.operation) == (404, "NoSuchBucket", name)
    assert (error.key, error.attempts) == (key_of(name), 1)
    assert error.request_id
    check_told(error)


@each_head
def test_a_missing_bucket_is_found_out_where_the_answer_has_no_body(
    open_store: Any, credentials: None, transport: Any, operation: Any
) -> None:
    """By one more request, every time."""
    store = open_store(bucket="no-such-bucket", **transport)
    for _ in range(2):
        with pytest.raises(s3kv.BucketNotFound) as caught:
            operation(store)
        error = caught.value
        assert (error.status, error.code) == (404, "NoSuchBucket")
        assert (error.key, error.attempts) == ("key", 2)
        check_told(error)


# ------------------------------------------------------------------------------ wrong secrets


@pytest.fixture
def impostor(open_store: Any, transport: Any, server: LocalProcessServer, monkeypatch: Any) -> s3kv.Store:
    """Return a store that signs with a secret key that is not the server's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.info.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not+the/secret+key")
    store: s3kv.Store = open_store(**transport)
    return store


@pytest.mark.feature("wrong-secret-refused")
@each_operation
def test_a_wrong_secret_is_permission_denied_whatever_is_asked(
    impostor: s3kv.Store, operation: Any, name: str
) -> None:
    """Which is a PermissionError, is not tried again, and shows neither secret nor signature."""
    with pytest.raises(s3kv.PermissionDenied) as caught:
        operation(impostor)
    error = caught.value
    assert isinstance(error, PermissionError)
    assert (error.status, error.code, error.operation) == (403, "SignatureDoesNotMatch", name)
    assert (error.key, error.attempts) == (key_of(name), 1)
    assert "not+the/secret+key" not in f"{error!s}{error!r}{error.__dict__}"
    check_told(error)


@pytest.mark.feature("wrong-secret-refused")
@each_head
def test_a_wrong_secret_is_named_where_the_answer_has_no_body(impostor: s3kv.Store, operation: Any) -> None:
    """By one more request, of one byte; it is never "missing"."""
    with pytest.raises(s3kv.PermissionDenied) as caught:
        operation(impostor)
    error = caught.value
    assert (error.status, error.code, error.operation) == (403, "SignatureDoesNotMatch", "HeadObject")
    assert (error.key, error.attempts) == ("key", 2)
    check_told(error)


@pytest.mark.feature("request-id-refused")
def test_a_refusal_tells_the_request_id(impostor: s3kv.Store) -> None:
    """For the person who looks into the server's log."""
    with pytest.raises(s3kv.PermissionDenied) as caught:
        impostor.get("key")
    assert caught.value.request_id


@pytest.mark.feature("wrong-secret-refused")
def test_a_wrong_access_key_is_permission_denied(
    open_store: Any, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the server has never heard of."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKNOBODY000000000000")
    with pytest.raises(s3kv.PermissionDenied) as caught:
        open_store().get("key")
    assert (caught.value.status, caught.value.code) == (403, "InvalidAccessKeyId")


@pytest.mark.feature("wrong-secret-refused")
def test_a_refused_request_does_nothing(impostor: s3kv.Store, behind: Behind) -> None:
    """What was there stays, what was not there is not."""
    behind.put(impostor, "key", b"value")
    operations: list[Any] = [lambda: impostor.put("key", b"other"), lambda: impostor.delete("key")]
    for operation in operations:
        with pytest.raises(s3kv.PermissionDenied):
            operation()
    assert behind.get(impostor, "key") == b"value"
    assert behind.keys(impostor) == ["key"]
