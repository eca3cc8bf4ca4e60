"""Stores: children, descriptions, pickling, closing, and many threads at once."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import s3kv
from tests.servers import LocalProcessServer

THREADS = 32


# ------------------------------------------------------------------------------- children


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("", "a", "a"),
        ("", "a/", "a/"),
        ("a", "b", "a/b"),
        ("a/", "b", "a/b"),
        ("a", "/b", "a/b"),
        ("a/", "/b", "a/b"),
        ("a/", "b/", "a/b/"),
        ("a/", "b/c", "a/b/c"),
        ("a", "", "a/"),
        ("a/", "", "a/"),
        ("a b", "é%+", "a b/é%+"),
    ],
)
def test_a_slash_makes_a_child_with_exactly_one_slash_between(
    open_store: Any, path: str, name: str, expected: str
) -> None:
    """And none at the end but the one that was asked for."""
    parent = open_store(path=path)
    child = parent / name
    assert child.path == expected
    assert child.bucket == parent.bucket
    assert parent.path == path


@pytest.mark.parametrize(
    ("path", "suffix", "expected"),
    [("", "a", "a"), ("a", "b", "ab"), ("a", "/b", "a/b"), ("a/", "/b", "a//b"), ("a", "", "a")],
)
def test_a_plus_makes_a_child_with_nothing_between(
    open_store: Any, path: str, suffix: str, expected: str
) -> None:
    """The path and the suffix, as they are."""
    assert (open_store(path=path) + suffix).path == expected


def test_a_child_and_its_parent_see_the_same_objects(store_by: s3kv.Store) -> None:
    """Under keys that are relative to each."""
    folder = store_by / "runs" / "2026/"
    folder["a"] = b"1"
    assert store_by["runs/2026/a"] == b"1"
    store_by["runs/2026/b"] = b"2"
    assert dict(folder) == {"a": b"1", "b": b"2"}
    start = store_by / "runs" + "/20"
    assert start.list() == ["26/a", "26/b"]
    del folder["a"]
    assert store_by.list() == ["runs/2026/b"]
    assert (store_by / "runs/2026/b").get("") == b"2"


@pytest.mark.parametrize("other", [None, 7, b"bytes", ("a",)], ids=lambda value: type(value).__name__)
def test_a_child_of_anything_but_text_is_a_type_error(open_store: Any, other: Any) -> None:
    """As for any operator."""
    store = open_store()
    with pytest.raises(TypeError):
        store / other
    with pytest.raises(TypeError):
        store + other


# --------------------------------------------------------------------------- descriptions


def test_a_store_opened_from_the_spec_of_another_is_the_same(store: s3kv.Store) -> None:
    """Equal, and with the same objects; children too."""
    store.put("a/key", b"value")
    child = store / "a/"
    for original, key in ((store, "a/key"), (child, "key")):
        for spec in (original.spec(), original.spec(include_defaults=True)):
            with s3kv.Store(spec) as twin:
                assert twin == original
                assert twin.spec() == original.spec()
                assert twin.get(key) == b"value"


def test_a_spec_says_what_was_given(store: s3kv.Store, members: dict[str, Any]) -> None:
    """In the words of TensorStore, without a secret."""
    assert store.spec() == {"driver": "s3", **members}
    assert (store.bucket, store.path) == (members["bucket"], members["path"])


def test_members_override_the_spec(store: s3kv.Store, members: dict[str, Any]) -> None:
    """A URL, a mapping or a Spec."""
    store.put("a/key", b"value")
    path = f"{store.path}a/"
    rest = {name: value for name, value in members.items() if name not in ("bucket", "path")}
    with s3kv.Store(members, path=path) as one, s3kv.Store("s3://other/x", **members) as two:
        assert dict(one) == {"key": b"value"}
        assert two == store
    with s3kv.Store(s3kv.Spec.from_json(members), path=path) as three:
        assert three.get("key") == b"value"
    with s3kv.Store(f"s3://{members['bucket']}", **rest, path=path) as four:
        assert four.get("key") == b"value"


def test_a_url_opens_the_path_that_it_says(store: s3kv.Store, members: dict[str, Any]) -> None:
    """Percent-decoded once; a store with an endpoint of its own has no URL to give back."""
    store.put("key", b"value")
    rest = {name: value for name, value in members.items() if name not in ("bucket", "path")}
    path = store.path.replace("%", "%25").replace(" ", "%20")
    with s3kv.Store(f"s3://{store.bucket}/{path}", **rest) as twin:
        assert twin == store
        assert twin.get("key") == b"value"
        with pytest.raises(s3kv.SpecError, match="endpoint"):
            twin.url  # noqa: B018 (a property that raises)
    with s3kv.Store(bucket=store.bucket, path=store.path) as one, s3kv.Store(one.url) as other:
        assert other == one


def test_an_endpoint_may_name_the_bucket_itself(
    open_store: Any, transport: Any, store: s3kv.Store, members: dict[str, Any]
) -> None:
    """The bucket is then left empty; keys and listings are the same."""
    store.put("a b/c+d", b"value")
    endpoint = f"{members['endpoint']}/{members['bucket']}"
    for url in (endpoint, endpoint + "/"):
        twin = open_store(bucket="", endpoint=url, **transport)
        assert twin.get("a b/c+d") == b"value"
        assert twin.list() == ["a b/c+d"]
        assert "missing" not in twin


def test_opening_and_describing_a_store_sends_nothing(open_store: Any, session: Any) -> None:
    """Neither do children, comparison, repr and close."""
    store = open_store(session=session)
    child = (store / "a").with_timeout(3)
    assert repr(store) != repr(child)
    assert (store.spec(), store.bucket, hash(store)) != (child.spec(), child.bucket, hash(child))
    child.close()
    store.close()
    assert session.sent == []


def test_neither_repr_nor_spec_nor_pickle_has_a_secret(
    store: s3kv.Store, server: LocalProcessServer
) -> None:
    """Even after the store has used it."""
    store.put("key", b"value")
    shown = f"{store!r} {store!s} {store.spec(include_defaults=True)} {pickle.dumps(store)!r}"
    assert server.info.secret_key not in shown
    assert server.info.access_key not in shown


# ------------------------------------------------------------------------------- pickling


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_store_opens_again_and_works(store: s3kv.Store, protocol: int) -> None:
    """With its path and timeout; children too."""
    store.put("a/key", b"value")
    for original, key in ((store, "a/key"), (store.with_timeout(30), "a/key"), (store / "a/", "key")):
        with pickle.loads(pickle.dumps(original, protocol)) as twin:
            assert twin is not original
            assert twin == original
            assert twin.get(key) == b"value"
            twin.put("b", b"from the twin")
        assert original.get("b") == b"from the twin"


def test_a_store_with_a_session_cannot_be_pickled(open_store: Any, session: Any) -> None:
    """The error says why: the session may hold secrets."""
    with pytest.raises(TypeError, match="session"):
        pickle.dumps(open_store(session=session))


def test_a_copied_store_works(store: s3kv.Store) -> None:
    """Shallow or deep, it is equal to the original."""
    store.put("key", b"value")
    for twin in (copy.copy(store), copy.deepcopy(store)):
        with twin:
            assert twin == store
            assert twin.get("key") == b"value"
    assert store.get("key") == b"value"


# -------------------------------------------------------------------- closing and timeouts


def test_a_closed_store_refuses_everything_and_sends_nothing(
    open_store: Any, session: Any, credentials: None
) -> None:
    """With StoreClosed, which is a ValueError as for files; closing again is no error."""
    store = open_store(session=session)
    child = store / "child"
    store.put("key", b"value")
    sent = len(session.sent)
    store.close()
    store.close()
    with pytest.raises(s3kv.StoreClosed), store:
        pass
    for closed in (store, child):
        for operation in (
            lambda closed=closed: closed.get("key"),
            lambda closed=closed: closed.put("key", b""),
            lambda closed=closed: closed.delete("key"),
            lambda closed=closed: closed.stat("key"),
            lambda closed=closed: closed.list(),
            lambda closed=closed: next(closed.scan(), None),
            lambda closed=closed: next(closed.scan(range=s3kv.KeyRange("b", "a")), None),
            lambda closed=closed: next(closed.scan("a", start_after="b", parallel=True), None),
            lambda closed=closed: "key" in closed,
            lambda closed=closed: len(closed),
        ):
            with pytest.raises(s3kv.StoreClosed) as caught:
                operation()
            assert isinstance(caught.value, ValueError)
    assert len(session.sent) == sent


def test_closing_a_child_closes_no_other(store: s3kv.Store) -> None:
    """Parent and siblings go on."""
    store["a"] = b"1"
    one, two = store / "one", store / "two"
    one.close()
    with pytest.raises(s3kv.StoreClosed):
        one.list()
    assert two.list() == []
    assert store["a"] == b"1"


def test_a_store_is_closed_at_the_end_of_a_with_block(members: dict[str, Any], credentials: None) -> None:
    """Also when an exception ends it."""
    with s3kv.Store(members) as store:
        store["a"] = b"1"
    with pytest.raises(s3kv.StoreClosed):
        store["a"]
    with pytest.raises(ZeroDivisionError), s3kv.Store(members) as store:
        1 / (len(store) - 1)
    with pytest.raises(s3kv.StoreClosed):
        store["a"]


def test_a_forgotten_store_leaves_no_connection(members: dict[str, Any], credentials: None) -> None:
    """The check after every test would find it."""
    store = s3kv.Store(members)
    store["a"] = b"1"
    assert store["a"] == b"1"


def test_a_store_with_a_timeout_does_the_same_in_time(store: s3kv.Store) -> None:
    """The original is as it was."""
    hurried = store.with_timeout(30)
    hurried.put("key", b"value")
    assert (hurried.get("key"), hurried.list(), store.get("key")) == (b"value", ["key"], b"value")
    assert hurried != store
    assert hurried.with_timeout(None) == store
    assert (hurried / "a").with_timeout(None) == store / "a"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_timeout_that_is_no_time_is_a_value_error(open_store: Any, seconds: float) -> None:
    """When opening, and later."""
    with pytest.raises(ValueError, match="timeout"):
        open_store(timeout=seconds)
    with pytest.raises(ValueError, match="timeout"):
        open_store().with_timeout(seconds)


def test_a_deadline_too_short_for_anything_is_deadline_exceeded(store: s3kv.Store) -> None:
    """Which is a TimeoutError; the store works after it."""
    with pytest.raises(s3kv.DeadlineExceeded) as caught:
        store.with_timeout(1e-6).get("key")
    assert isinstance(caught.value, TimeoutError)
    store["key"] = b"value"
    assert store["key"] == b"value"


# -------------------------------------------------------------------------------- threads


def test_many_threads_at_once_each_see_their_own_objects(store_by: s3kv.Store) -> None:
    """Thirty-two of them, starting together, with values of several sizes."""
    start = threading.Barrier(THREADS)

    def work(number: int) -> None:
        noise = random.Random(number)
        folder = store_by / f"thread-{number}/"
        start.wait()
        for round_number in range(4):
            key = f"key-{round_number}"
            value = noise.randbytes(noise.choice((0, 100, 10_000, 200_000)))
            stamp = folder.put(key, value)
            assert folder.get(key) == value
            assert folder.stat(key).etag == stamp.generation
            if value:
                assert folder.get(key, byte_range=slice(-1, None)) == value[-1:]
            assert folder.get("missing", None) is None
            if round_number % 2:
                folder.delete(key)
                assert key not in folder
        assert folder.list() == ["key-0", "key-2"]

    with ThreadPoolExecutor(THREADS) as threads:
        for future in [threads.submit(work, number) for number in range(THREADS)]:
            future.result()
    assert len(store_by) == THREADS * 2


def test_many_threads_read_one_object(store_by: s3kv.Store) -> None:
    """Each gets all of it."""
    value = random.Random(1).randbytes(300_000)
    store_by["key"] = value

    def read(number: int) -> bool:
        first = number * 1000
        return (
            store_by.get("key") == value
            and store_by.get("key", byte_range=slice(first, first + 1000)) == value[first : first + 1000]
        )

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(read, range(100)))
