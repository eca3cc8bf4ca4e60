"""Writes whose answers are lost: no success is claimed that was none, and no failure either.

Every test counts what the store has really carried out.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.wire.memory_s3 import MemoryS3, Turn, etag_of
from tests.wire.scripted import CLOSE, RESET, ScriptedServer, Send, Step, answer, error

WRITE_ID = "x-amz-meta-s3kv-write-id"
OLD, NEW, OTHER = b"old", b"new", b"other"
G = etag_of(OLD)


class Cut(Step):
    """Send the beginning of an answer, and no more of it."""

    def run(self, peer: Any) -> None:
        Send(b"HTTP/1.1 2").run(peer)


LOST = {"closed": CLOSE, "reset": RESET, "cut": Cut()}
each_loss = pytest.mark.parametrize("lost", LOST.values(), ids=LOST)

# The store decides alone; a look at the object comes first.
MODES = {"headers": True, "look and headers": None}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)

Open = Callable[..., s3kv.Store]


def methods(server: ScriptedServer) -> list[str]:
    """Return the methods of the requests on keys so far: what the bucket itself is asked aside."""
    return [request.method for request in server.requests if not request.query]


def put_equal(store: s3kv.Store) -> s3kv.TimestampedStorageGeneration:
    """Replace the old value."""
    return store.put("key", NEW, if_equal=G)


def put_absent(store: s3kv.Store) -> s3kv.TimestampedStorageGeneration:
    """Create the object."""
    return store.put("key", NEW, if_absent=True)


# Each conditional put, and what must be there for its condition to hold.
PUTS = {"if_equal": (put_equal, {"key": OLD}), "if_absent": (put_absent, {})}
each_put = pytest.mark.parametrize(("put", "before"), PUTS.values(), ids=PUTS)

Put = Callable[[s3kv.Store], s3kv.TimestampedStorageGeneration]


# ------------------------------------------------------------------------------------ conditional put


@each_put
@each_mode
@each_loss
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_put_that_was_carried_out_though_its_answer_was_lost_succeeded(
    put: Put,
    before: dict[str, bytes],
    mode: bool | None,
    lost: Step,
    kept: bool,
    transport: Any,
    open_: Open,
) -> None:
    """The second attempt is refused, a look finds the first one's trace: carried out once, and told so."""
    bucket = MemoryS3(**before)
    bucket.writes = [Turn(told=lost)]
    with bucket.server() as server:
        store = open_(server, mode, session=transport)
        if kept:
            store.get("key", None)
        asked = len(server.requests)
        stamp = put(store)
        assert stamp.generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)]
        sent = [request for request in server.requests[asked:] if not request.query]
        looked = ["HEAD"] if mode is None else []
        assert [request.method for request in sent] == [*looked, "PUT", "PUT", "HEAD"]
        first, second = (request for request in sent if request.method == "PUT")
        assert first.header(WRITE_ID) == second.header(WRITE_ID) is not None
        assert store.stat("key").metadata == {}


# What a store says to whoever meets a write that is under way, be it his own.
MEETINGS = ("ConditionalRequestConflict", "OperationAborted")


@each_put
@pytest.mark.parametrize("code", MEETINGS)
def test_a_put_that_met_its_own_first_attempt_to_the_end_succeeded(
    code: str, put: Put, before: dict[str, bytes], open_: Open
) -> None:
    """No more attempts are left, but a look tells whose object is there."""
    bucket = MemoryS3(**before)
    bucket.writes = [Turn(told=CLOSE), *[Turn(acts=False, told=error(409, code))] * 3]
    with bucket.server() as server:
        assert put(open_(server)).generation == etag_of(NEW)
        assert len(bucket.applied) == 1
        assert methods(server)[-1] == "HEAD"


@pytest.mark.parametrize("code", MEETINGS)
def test_a_put_that_met_another_write_to_the_end_is_given_up(code: str, open_: Open) -> None:
    """What was there before is there still: nothing was written."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=False, told=CLOSE), *[Turn(acts=False, told=error(409, code))] * 3]
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            put_equal(open_(server))
        assert caught.value.code == code
        assert bucket.applied == []


@pytest.mark.parametrize("code", MEETINGS)
def test_a_delete_that_met_its_own_first_attempt_to_the_end_succeeded(code: str, open_: Open) -> None:
    """What it was to delete is gone."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=CLOSE), *[Turn(acts=False, told=error(409, code))] * 3]
    with bucket.server() as server:
        assert open_(server).delete("key", if_equal=G).generation == StorageGeneration.NO_VALUE
        assert bucket.applied == [("DELETE", "key", b"")]


@each_put
@each_mode
@each_loss
def test_a_put_that_was_lost_with_its_answer_is_done_by_the_next_attempt(
    put: Put, before: dict[str, bytes], mode: bool | None, lost: Step, transport: Any, open_: Open
) -> None:
    """Nothing was there to be settled, so nothing more is asked."""
    bucket = MemoryS3(**before)
    bucket.writes = [Turn(acts=False, told=lost)]
    with bucket.server() as server:
        assert put(open_(server, mode, session=transport)).generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)]
        assert methods(server)[-2:] == ["PUT", "PUT"]


@each_put
@each_mode
def test_a_refusal_of_what_the_store_shows_unchanged_is_tried_again(
    put: Put, before: dict[str, bytes], mode: bool | None, open_: Open
) -> None:
    """After a lost answer the look is believed: the condition holds still, so the write is to be done."""
    bucket = MemoryS3(**before)
    bucket.writes = [
        Turn(acts=False, told=CLOSE),
        Turn(acts=False, told=error(412, "PreconditionFailed")),
    ]
    with bucket.server() as server:
        assert put(open_(server, mode)).generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)]
        assert methods(server)[-4:] == ["PUT", "PUT", "HEAD", "PUT"]
        ids = {request.header(WRITE_ID) for request in server.requests if request.method == "PUT"}
        assert len(ids) == 1


@each_mode
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("after", [OTHER, None], ids=["replaced", "deleted"])
@pytest.mark.parametrize("method", ["put", "write"])
def test_a_put_whose_trace_somebody_else_covered_is_unknown(
    mode: bool | None, acts: bool, after: bytes | None, method: str, open_: Open
) -> None:
    """It was done before the other's write, or not at all: the two look alike."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=acts, told=CLOSE, then=lambda: bucket.set("key", after))]
    with bucket.server() as server:
        store = open_(server, mode)
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            getattr(store, method)("key", NEW, if_equal=G)
        assert bucket.applied == [("PUT", "key", NEW)] * acts
        assert bucket.objects.keys() == ({"key"} if after else set())
        assert methods(server)[-3:] == ["PUT", "PUT", "HEAD"]
        assert (caught.value.operation, caught.value.key) == ("PutObject", "key")
        assert "another version" in str(caught.value)


@each_mode
def test_a_key_that_somebody_else_created_meanwhile_is_a_condition_that_failed(
    mode: bool | None, open_: Open
) -> None:
    """One writer wins; that ours was replaced by somebody who did not look first is not assumed."""
    for method in ("put", "write"):
        bucket = MemoryS3()
        bucket.writes = [Turn(acts=False, told=CLOSE, then=partial(bucket.set, "key", OTHER))]
        with bucket.server() as server:
            store = open_(server, mode)
            if method == "put":
                with pytest.raises(s3kv.ConditionFailed) as caught:
                    put_absent(store)
                assert (caught.value.operation, caught.value.key) == ("PutObject", "key")
            else:
                stamp = store.write("key", NEW, if_equal=StorageGeneration.NO_VALUE)
                assert stamp.generation == StorageGeneration.UNKNOWN
            assert bucket.applied == []
            assert methods(server)[-3:] == ["PUT", "PUT", "HEAD"]


BLIND = {
    "refused": [Turn(acts=False, told=answer(403)), Turn(acts=False, told=error(403, "AccessDenied"))],
    "broken": [Turn(acts=False, told=answer(500))] * 4,
    # The connection was kept from the write: the first time costs no attempt.
    "silent": [Turn(acts=False, told=CLOSE)] * 5,
}


@each_put
@pytest.mark.parametrize("looks", BLIND.values(), ids=BLIND)
def test_a_put_is_unknown_when_nobody_can_look(
    put: Put, before: dict[str, bytes], looks: list[Turn], open_: Open
) -> None:
    """The error has why as its cause."""
    bucket = MemoryS3(**before)
    bucket.writes = [Turn(told=CLOSE)]
    bucket.looks = list(looks)
    with bucket.server() as server:
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            put(open_(server))
        assert bucket.looks == []
        assert bucket.applied == [("PUT", "key", NEW)]
        assert isinstance(caught.value.__cause__, s3kv.S3KVError)
        assert caught.value.key == "key"
        assert caught.value.operation == "PutObject"


DOUBTFUL = {
    "500 InternalError": error(500, "InternalError"),
    "500": answer(500),
    "502": answer(502, b"<html>Bad Gateway</html>", "Content-Type: text/html"),
    "504": answer(504),
    "500 closed": error(500, "InternalError", "Connection: close"),
}


@each_put
@pytest.mark.parametrize("told", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_put_that_a_store_carried_out_before_it_broke_down_succeeded(
    put: Put, before: dict[str, bytes], told: bytes, open_: Open
) -> None:
    """An error of the store's own says nothing about what it did before."""
    bucket = MemoryS3(**before)
    bucket.writes = [Turn(told=told)]
    with bucket.server() as server:
        assert put(open_(server)).generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)]
        assert methods(server) == ["PUT", "PUT", "HEAD"]


CERTAIN = {
    "503 SlowDown": error(503, "SlowDown"),
    "503": answer(503),
    "409": error(409, "ConditionalRequestConflict"),
    "429": error(429, "TooManyRequests"),
    "500 UnknownError": error(500, "UnknownError"),
}


@each_mode
@pytest.mark.parametrize("told", CERTAIN.values(), ids=CERTAIN)
def test_a_put_that_a_store_did_not_take_on_leaves_no_doubt(
    mode: bool | None, told: bytes, open_: Open
) -> None:
    """The next attempt is refused because of somebody else, and that is the answer: nobody looks."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=False, told=told, then=lambda: bucket.set("key", OTHER))]
    with bucket.server() as server:
        with pytest.raises(s3kv.ConditionFailed):
            put_equal(open_(server, mode))
        assert bucket.applied == []
        assert methods(server)[-2:] == ["PUT", "PUT"]


@pytest.mark.parametrize("told", [CLOSE, answer(500)], ids=["lost", "500"])
def test_a_lost_answer_to_the_look_before_is_no_doubt_about_the_write(
    told: bytes | Step, open_: Open
) -> None:
    """Reading changes nothing: the write was answered, and the answer was no."""
    for act, operation in ((put_equal, "PUT"), (delete_equal, "DELETE")):
        bucket = MemoryS3(key=OLD)
        bucket.looks = [
            Turn(acts=False, told=told),
            Turn(then=partial(bucket.set, "key", OTHER)),
        ]
        with bucket.server() as server:
            with pytest.raises(s3kv.ConditionFailed):
                act(open_(server, None))
            assert methods(server) == ["HEAD", "HEAD", operation]
            assert bucket.applied == []


def test_a_store_that_contradicts_itself_for_ever_is_given_up(open_: Open) -> None:
    """Lost, refused, unchanged, over and over: an error after a bounded number of requests."""
    bucket = MemoryS3(key=OLD)
    refused = Turn(acts=False, told=error(412, "PreconditionFailed"))
    bucket.writes = [Turn(acts=False, told=CLOSE), refused] * 40
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            put_equal(open_(server))
        assert not isinstance(caught.value, s3kv.ConditionFailed)
        assert len(server.requests) < 40
        assert bucket.applied == []


def test_attempts_that_are_all_lost_end_as_any_others_do(open_: Open) -> None:
    """Nothing is claimed about the write."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=CLOSE)] * 4
    with bucket.server() as server:
        with pytest.raises((s3kv.RetriesExhausted, s3kv.OutcomeUnknown)):
            put_equal(open_(server))
        assert bucket.applied == [("PUT", "key", NEW)]


# --------------------------------------------------------------------------------- conditional delete


def delete_equal(store: s3kv.Store) -> s3kv.TimestampedStorageGeneration:
    """Delete the old value."""
    return store.delete("key", if_equal=G)


REFUSALS = {"404": None, "412": error(412, "PreconditionFailed")}


@each_mode
@each_loss
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_delete_that_was_carried_out_though_its_answer_was_lost_succeeded(
    mode: bool | None, lost: Step, refusal: bytes | None, kept: bool, transport: Any, open_: Open
) -> None:
    """Whichever way the store then says that there is nothing to compare with; a look finds nothing."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=lost), Turn(told=refusal)]
    with bucket.server() as server:
        store = open_(server, mode, session=transport)
        if kept:
            assert store.get("key") == OLD
        assert delete_equal(store).generation == StorageGeneration.NO_VALUE
        assert bucket.applied == [("DELETE", "key", b"")]
        assert methods(server)[-3:] == ["DELETE", "DELETE", "HEAD"]


@each_mode
def test_a_delete_of_what_the_store_shows_unchanged_is_tried_again(mode: bool | None, open_: Open) -> None:
    """The object is to go, and it goes once."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [
        Turn(acts=False, told=CLOSE),
        Turn(acts=False, told=error(412, "PreconditionFailed")),
    ]
    with bucket.server() as server:
        assert delete_equal(open_(server, mode)).generation == StorageGeneration.NO_VALUE
        assert bucket.applied == [("DELETE", "key", b"")]
        assert methods(server)[-4:] == ["DELETE", "DELETE", "HEAD", "DELETE"]


@each_mode
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
def test_a_delete_is_unknown_when_another_version_is_there(
    mode: bool | None, acts: bool, open_: Open
) -> None:
    """It replaced the old one, or came after that was deleted."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=acts, told=CLOSE, then=lambda: bucket.set("key", OTHER))]
    with bucket.server() as server:
        store = open_(server, mode)
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            store.write("key", None, if_equal=G)
        assert (caught.value.operation, caught.value.key) == ("DeleteObject", "key")
        assert bucket.objects["key"].value == OTHER


@pytest.mark.parametrize("looks", BLIND.values(), ids=BLIND)
def test_a_delete_is_unknown_when_nobody_can_look(looks: list[Turn], open_: Open) -> None:
    """The object is gone, but who is to say so?"""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=CLOSE)]
    bucket.looks = list(looks)
    with bucket.server() as server:
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            delete_equal(open_(server))
        assert isinstance(caught.value.__cause__, s3kv.S3KVError)
        assert bucket.looks == []


# -------------------------------------------------------------------------------- without a condition


@each_loss
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("mode", [True, None, False], ids=["headers", "look and headers", "look"])
def test_an_unconditional_write_is_simply_done_again(
    lost: Step, acts: bool, mode: bool | None, transport: Any, open_: Open
) -> None:
    """It carries no id and no condition, and nobody looks."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=acts, told=lost)]
    with bucket.server() as server:
        store = open_(server, mode, session=transport)
        assert store.put("key", NEW).generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)] * (1 + acts)
        assert methods(server) == ["PUT", "PUT"]
        names = {name for request in server.requests for name in request.names}
        assert not names & {WRITE_ID, "if-match", "if-none-match"}


@each_loss
@pytest.mark.parametrize("retold", [None, error(404, "NoSuchKey")], ids=["204", "404"])
def test_an_unconditional_delete_is_simply_done_again(
    lost: Step, retold: bytes | None, transport: Any, open_: Open
) -> None:
    """A key that is then missing was deleted, by this call or another."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=lost), Turn(told=retold)]
    with bucket.server() as server:
        store = open_(server, session=transport)
        assert store.delete("key").generation == StorageGeneration.NO_VALUE
        assert bucket.applied == [("DELETE", "key", b"")]
        assert methods(server) == ["DELETE", "DELETE"]


def test_a_write_that_a_look_alone_decides_is_simply_done_again(open_: Open) -> None:
    """The look came first; the write itself has no condition that its own trace could break."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(told=CLOSE)]
    with bucket.server() as server:
        assert put_equal(open_(server, False)).generation == etag_of(NEW)
        assert bucket.applied == [("PUT", "key", NEW)] * 2
        assert methods(server) == ["HEAD", "PUT", "PUT"]
        bucket.writes = [Turn(told=CLOSE), Turn(told=error(404, "NoSuchKey"))]
        deleted = open_(server, False).delete("key", if_equal=etag_of(NEW))
        assert deleted.generation == StorageGeneration.NO_VALUE


# --------------------------------------------------------------------------------------------- races


def faulty(seed: int) -> Callable[[], Turn]:
    """Return what chooses turns of which a good part are lost, before the act or after it."""
    chance = random.Random(seed)
    turns = [Turn(), Turn(), Turn(told=CLOSE), Turn(told=RESET), Turn(acts=False, told=CLOSE)]
    turns += [Turn(told=answer(500)), Turn(acts=False, told=error(503, "SlowDown"))]
    return lambda: chance.choice(turns)


@each_mode
@pytest.mark.parametrize("seed", range(4))
def test_one_of_many_creators_wins_though_answers_are_lost(
    seed: int, mode: bool | None, open_: Open
) -> None:
    """Exactly one is told so, its bytes are there, and all others are told that they came too late."""
    bucket = MemoryS3()
    bucket.choose = faulty(seed)
    values = [b"value of %d" % number for number in range(8)]
    start = threading.Barrier(len(values))
    with bucket.server() as server, ThreadPoolExecutor(len(values)) as threads:
        store = open_(server, mode, timeout=10, s3_request_retries=PATIENT)

        def create(value: bytes) -> bool:
            start.wait(5)
            try:
                stamp = store.put("key", value, if_absent=True)
            except s3kv.ConditionFailed:
                return False
            assert stamp.generation == etag_of(value)
            return True

        won = list(threads.map(create, values))
        assert won.count(True) == 1
        assert bucket.objects["key"].value == values[won.index(True)]
        assert bucket.applied == [("PUT", "key", values[won.index(True)])]


PATIENT = {"max_retries": 50, "initial_delay": "1ms", "max_delay": "2ms"}
