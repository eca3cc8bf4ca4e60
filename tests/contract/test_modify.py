"""Read, change, write back: ``modify`` on real servers."""

from __future__ import annotations

import time
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.contract.behind import Behind
from tests.contract.conftest import OpenStore, RecordingSession
from tests.contract.racing import READS


def writes(session: RecordingSession) -> list[str]:
    """Return the methods of the writes that went through a session."""
    return [sent.method for sent in session.sent if sent.method not in READS]


@pytest.fixture
def watched(open_store: OpenStore, credentials: None, session: RecordingSession) -> s3kv.Store:
    """Return a store whose requests ``session`` remembers."""
    return open_store(session=session)


def test_an_object_is_replaced_by_what_the_function_makes_of_it(
    store_by: s3kv.Store, behind: Behind
) -> None:
    """It is given the bytes, None where there are none, and is called once when nobody interferes."""
    given: list[Any] = []

    def count(old: bytes | None) -> bytes:
        given.append(old)
        return b"%d" % (int(old or b"0") + 1)

    before = time.time()
    for number in (1, 2, 3):
        stamp = store_by.modify("counter", count)
        assert stamp.generation == behind.head(store_by, "counter")["ETag"]
        assert before <= stamp.time <= time.time()
        assert behind.get(store_by, "counter") == b"%d" % number
    assert given == [None, b"1", b"2"]
    assert store_by.stat("counter").metadata == {}


def test_an_empty_object_is_not_a_missing_one(store: s3kv.Store) -> None:
    """Nor is an empty result a deletion."""
    store.put("key", b"")
    given: list[Any] = []
    store.modify("key", lambda old: given.append(old) or b"")  # type: ignore[func-returns-value]
    assert given == [b""]
    assert store.get("key") == b""


def test_none_deletes_the_object(store_by: s3kv.Store, behind: Behind) -> None:
    """And the generation is that of nothing."""
    store_by.put("key", b"value")
    assert store_by.modify("key", lambda old: None).generation == StorageGeneration.NO_VALUE
    assert behind.keys(store_by) == []


def test_none_for_a_missing_object_does_nothing(watched: s3kv.Store, session: RecordingSession) -> None:
    """No write is sent."""
    stamp = watched.modify("key", lambda old: None)
    assert stamp.generation == StorageGeneration.NO_VALUE
    assert writes(session) == []


class Unwilling(Exception):
    """What a function may raise."""


@pytest.mark.parametrize("there", [None, b"value"], ids=["missing", "there"])
def test_what_the_function_raises_comes_through_and_leaves_the_object_alone(
    watched: s3kv.Store, session: RecordingSession, behind: Behind, there: bytes | None
) -> None:
    """The very exception, after one call; no write is sent."""
    if there is not None:
        behind.put(watched, "key", there)
    raised = Unwilling("not today")
    calls: list[Any] = []

    def refuse(old: bytes | None) -> bytes:
        calls.append(old)
        raise raised

    with pytest.raises(Unwilling) as caught:
        watched.modify("key", refuse)
    assert caught.value is raised
    assert calls == [there]
    assert writes(session) == []
    assert behind.keys(watched) == ([] if there is None else ["key"])


@pytest.mark.parametrize(
    "result", ["text", 7, True, ["a"], object()], ids=lambda value: type(value).__name__
)
def test_a_result_that_is_not_bytes_is_a_type_error(
    watched: s3kv.Store, session: RecordingSession, behind: Behind, result: Any
) -> None:
    """False does not delete, and text is not encoded; no write is sent."""
    behind.put(watched, "key", b"value")
    with pytest.raises(TypeError, match=type(result).__name__):
        watched.modify("key", lambda old: result)
    assert writes(session) == []
    assert behind.get(watched, "key") == b"value"


def test_any_bytes_like_result_is_a_value(store: s3kv.Store) -> None:
    """As for put."""
    store.put("key", b"abc")
    store.modify("key", lambda old: bytearray((old or b"") + b"d"))
    store.modify("key", lambda old: memoryview((old or b"") + b"e"))
    assert store.get("key") == b"abcde"


@pytest.mark.parametrize(
    ("there", "deletes"),
    [(None, False), (b"first", False), (b"first", True)],
    ids=["create", "replace", "delete"],
)
def test_the_function_is_called_again_with_what_somebody_wrote_meanwhile(
    store: s3kv.Store, behind: Behind, there: bytes | None, deletes: bool
) -> None:
    """Nobody's write is undone unseen; the look before the write notices it on every server."""
    if there is not None:
        behind.put(store, "key", there)
    given: list[Any] = []

    def change(old: bytes | None) -> bytes | None:
        given.append(old)
        if len(given) < 3:
            behind.put(store, "key", b"of another %d" % len(given))
        return None if deletes else (old or b"") + b", mine"

    store.modify("key", change)
    assert given == [there, b"of another 1", b"of another 2"]
    assert store.get("key", None) == (None if deletes else b"of another 2, mine")


def test_an_object_that_somebody_deleted_meanwhile_is_missing_the_next_time(
    store: s3kv.Store, raw: Any
) -> None:
    """And is made anew."""
    store.put("key", b"first")
    given: list[Any] = []

    def change(old: bytes | None) -> bytes:
        given.append(old)
        if len(given) == 1:
            raw.delete_object(Bucket=store.bucket, Key=store.path + "key")
        return (old or b"") + b"mine"

    store.modify("key", change)
    assert given == [b"first", None]
    assert store.get("key") == b"mine"


def test_the_timeout_bounds_all_the_tries_together(open_store: OpenStore, credentials: None) -> None:
    """A function that always comes too late does not go on for ever."""
    store = open_store(timeout=0.5)
    writer = open_store()
    tries: list[Any] = []

    def too_late(old: bytes | None) -> bytes:
        tries.append(old)
        writer.put("key", b"%d" % len(tries))
        return b"mine"

    started = time.monotonic()
    with pytest.raises(s3kv.DeadlineExceeded) as caught:
        store.modify("key", too_late)
    assert 0.3 < time.monotonic() - started < 5
    assert len(tries) > 1
    assert caught.value.key == "key"
    assert writer.get("key") == b"%d" % len(tries)
