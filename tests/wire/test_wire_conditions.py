"""Conditions on the wire: which requests are sent, with which headers, and what their answers mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.wire.memory_s3 import MemoryS3, Stored, Turn, etag_of
from tests.wire.scripted import (
    CLOSE,
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    answer,
    error,
    exchanges,
    listing,
)

NO_VALUE, UNKNOWN = StorageGeneration.NO_VALUE, StorageGeneration.UNKNOWN
WRITE_ID = "x-amz-meta-s3kv-write-id"
OLD, NEW, OTHER = b"old", b"new", b"other"
G, STALE = etag_of(OLD), etag_of(b"stale")
RGW = ("x-amz-request-id: tx00000000000000000002a-0063d2b5a1-1134-default",)

HEADERS, BOTH, LOOK = True, None, False
MODES = {"headers": HEADERS, "look and headers": BOTH, "look": LOOK}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)

Open = Callable[..., s3kv.Store]


def told(request: Recorded) -> str:
    """Return a request in short: its method and what conditions and range it carries."""
    if request.query:
        return f"{request.method} ?{request.query}"
    parts = [request.method]
    for name in ("if-match", "if-none-match", "range"):
        value = request.header(name)
        if value is not None:
            parts.append(f"{name}: {value}")
    return " ".join(parts)


def sent(server: ScriptedServer) -> list[str]:
    """Return all requests on keys so far in short."""
    return [told(request) for request in server.requests if not request.query]


# ----------------------------------------------------------------------------------------------- read

IF_MATCH, IF_NONE_MATCH = f"GET if-match: {G}", f"GET if-none-match: {G}"

MISSING, UNWANTED = ("missing", b"", NO_VALUE), ("unspecified", b"", UNKNOWN)
OLD_THERE, NEW_THERE = ("value", OLD, G), ("value", NEW, etag_of(NEW))

# What is there, the conditions, what is sent, and the state, value and generation that come of it.
READS: dict[str, tuple[dict[str, bytes], dict[str, Any], str, tuple[str, bytes, str]]] = {
    "missing": ({}, {}, "GET", MISSING),
    "there": ({"key": OLD}, {}, "GET", OLD_THERE),
    "equal, and it is": ({"key": OLD}, {"if_equal": G}, IF_MATCH, OLD_THERE),
    "equal, and it is not": ({"key": NEW}, {"if_equal": G}, IF_MATCH, UNWANTED),
    "equal, and missing": ({}, {"if_equal": G}, IF_MATCH, MISSING),
    "not equal, but it is": ({"key": OLD}, {"if_not_equal": G}, IF_NONE_MATCH, ("unspecified", b"", G)),
    "not equal, and it is not": ({"key": NEW}, {"if_not_equal": G}, IF_NONE_MATCH, NEW_THERE),
    "not equal, and missing": ({}, {"if_not_equal": G}, IF_NONE_MATCH, MISSING),
    "equal to nothing, but there": ({"key": OLD}, {"if_equal": NO_VALUE}, "HEAD", UNWANTED),
    "equal to nothing, and missing": ({}, {"if_equal": NO_VALUE}, "HEAD", MISSING),
    "not equal to nothing, and there": ({"key": OLD}, {"if_not_equal": NO_VALUE}, "GET", OLD_THERE),
    "not equal to nothing, but missing": ({}, {"if_not_equal": NO_VALUE}, "GET", MISSING),
    "equal and not equal to another": (
        {"key": OLD},
        {"if_equal": G, "if_not_equal": STALE},
        f"GET if-match: {G} if-none-match: {STALE}",
        OLD_THERE,
    ),
}
each_read = pytest.mark.parametrize(("there", "conditions", "line", "outcome"), READS.values(), ids=READS)


@each_read
@each_mode
def test_a_read_tells_what_is_there_and_whether_it_was_wanted(
    there: dict[str, bytes],
    conditions: dict[str, Any],
    line: str,
    outcome: tuple[str, bytes, str],
    mode: bool | None,
    transport: Any,
    open_: Open,
) -> None:
    """One request, whoever decides about writes; its conditions are always quoted."""
    bucket = MemoryS3(**there)
    with bucket.server() as server:
        before = time.time()
        found = open_(server, mode, session=transport).read("key", **conditions)
        assert (found.state, found.value, found.stamp.generation) == outcome
        assert type(found.stamp.generation) is StorageGeneration
        assert before <= found.stamp.time <= time.time()
        assert sent(server) == [line]


@each_read
def test_a_read_does_not_depend_on_a_store_that_knows_conditions(
    there: dict[str, bytes],
    conditions: dict[str, Any],
    line: str,
    outcome: tuple[str, bytes, str],
    open_: Open,
) -> None:
    """A store that sends the bytes all the same gives the same result."""
    bucket = MemoryS3(**there)
    bucket.ignores = True
    with bucket.server() as server:
        found = open_(server).read("key", **conditions)
        assert (found.state, found.value, found.stamp.generation) == outcome
        assert sent(server) == [line]


def _part(request: Recorded) -> bytes:
    """Two bytes of the old value, whatever was asked."""
    return answer(206, OLD[1:], f"ETag: {G}", "Content-Range: bytes 1-2/3")


@pytest.mark.parametrize("part", [slice(1, 3), slice(1, None), slice(-2, None)], ids=str)
def test_a_range_and_conditions_go_together(part: slice, open_: Open) -> None:
    """In one request; the outcome is the whole object's, the bytes are the range's."""
    refusals = (error(412, "PreconditionFailed"), answer(304), error(404, "NoSuchKey"))
    steps = [*[READ, Answer(_part)] * 3, *exchanges(*refusals)]
    with ScriptedServer(steps) as server:
        store = open_(server)
        found = store.read("key", byte_range=part, if_equal=G)
        assert (found.state, found.value, found.stamp.generation) == ("value", b"ld", G)
        found = store.read("key", byte_range=part, if_not_equal=G)
        assert (found.state, found.value, found.stamp.generation) == ("unspecified", b"", G)
        found = store.read("key", byte_range=part, if_equal=STALE)
        assert (found.state, found.value, found.stamp.generation) == ("unspecified", b"", UNKNOWN)
        assert store.read("key", byte_range=part, if_equal=G).state == "unspecified"
        assert store.read("key", byte_range=part, if_not_equal=STALE).stamp.generation == STALE
        assert store.read("key", byte_range=part, if_equal=G).state == "missing"
        wanted = server.requests[0].header("range")
        assert wanted is not None
        assert all(request.header("range") == wanted for request in server.requests)
        assert server.requests[0].header("if-match") == G
        assert server.requests[1].header("if-none-match") == G


def test_a_range_of_no_bytes_is_still_read_on_conditions(open_: Open) -> None:
    """No header asks for no bytes: the object is looked at, and the conditions are compared here."""
    with MemoryS3(key=OLD).server() as server:
        store = open_(server)
        table: list[tuple[dict[str, Any], str, str]] = [
            ({}, "value", G),
            ({"if_equal": G}, "value", G),
            ({"if_equal": STALE}, "unspecified", UNKNOWN),
            ({"if_not_equal": G}, "unspecified", G),
            ({"if_not_equal": STALE}, "value", G),
            ({"if_equal": NO_VALUE}, "unspecified", UNKNOWN),
        ]
        for conditions, state, generation in table:
            found = store.read("key", byte_range=slice(1, 1), **conditions)
            assert (found.state, found.value, found.stamp.generation) == (state, b"", generation)
        assert store.read("missing", byte_range=slice(1, 1), if_equal=G).state == "missing"
        assert {request.method for request in server.requests if not request.query} == {"HEAD"}


def test_a_range_outside_the_object_is_an_error_whatever_the_condition(open_: Open) -> None:
    """As long as it holds."""
    with (
        ScriptedServer(exchanges(error(416, "InvalidRange"))) as server,
        pytest.raises(s3kv.ByteRangeError),
    ):
        open_(server).read("key", byte_range=slice(7, None), if_equal=G)


@pytest.mark.parametrize("conditions", [{}, {"if_equal": G}, {"if_not_equal": G}], ids=str)
def test_a_missing_bucket_is_no_missing_object(conditions: dict[str, Any], open_: Open) -> None:
    """Neither to a read nor to a write, whatever the condition."""
    script = exchanges(error(404, "NoSuchBucket"))
    with ScriptedServer(script) as server, pytest.raises(s3kv.BucketNotFound):
        open_(server).read("key", **conditions)


# ---------------------------------------------------------------------------------------------- write

Act = Callable[[s3kv.Store, str], s3kv.TimestampedStorageGeneration]

# The method of the request, what it does with TensorStore's semantics, and with exceptions.
ACTS: dict[str, tuple[str, Act, Act]] = {
    "put": (
        "PUT",
        lambda store, generation: store.write("key", NEW, if_equal=generation),
        lambda store, generation: store.put("key", NEW, if_equal=generation),
    ),
    "delete": (
        "DELETE",
        lambda store, generation: store.write("key", None, if_equal=generation),
        lambda store, generation: store.delete("key", if_equal=generation),
    ),
}
each_act = pytest.mark.parametrize(("method", "write", "strict"), ACTS.values(), ids=ACTS)

CASES = {
    "equal, and it is": ({"key": OLD}, G, True),
    "equal, and it is not": ({"key": OTHER}, G, False),
    "equal, and missing": ({}, G, False),
    "equal to nothing, and missing": ({}, NO_VALUE, True),
    "equal to nothing, but there": ({"key": OLD}, NO_VALUE, False),
}
each_case = pytest.mark.parametrize(("there", "generation", "holds"), CASES.values(), ids=CASES)


def expected(method: str, generation: str, holds: bool, mode: bool | None) -> list[str]:
    """Return the requests that a conditional write consists of."""
    header = "if-none-match: *" if generation == NO_VALUE else f"if-match: {generation}"
    if method == "DELETE" and generation == NO_VALUE:
        return ["HEAD"]
    if mode is HEADERS:
        return [f"{method} {header}"]
    if not holds:
        return ["HEAD"]
    return ["HEAD", f"{method} {header}" if mode is BOTH else method]


@each_act
@each_case
@each_mode
@pytest.mark.parametrize("strictly", [False, True], ids=["write", "put or delete"])
def test_a_write_is_done_if_its_condition_holds_and_only_then(
    method: str,
    write: Act,
    strict: Act,
    there: dict[str, bytes],
    generation: str,
    holds: bool,
    mode: bool | None,
    strictly: bool,
    transport: Any,
    open_: Open,
) -> None:
    """By just the requests that the mode calls for; what does not hold is UNKNOWN, or an exception."""
    bucket = MemoryS3(**there)
    with bucket.server() as server:
        store = open_(server, mode, session=transport)
        before = time.time()
        if strictly and not holds:
            with pytest.raises(s3kv.ConditionFailed) as caught:
                strict(store, generation)
            assert caught.value.key == "key"
            assert caught.value.operation == ("PutObject" if method == "PUT" else "DeleteObject")
        else:
            stamp = (strict if strictly else write)(store, generation)
            done = etag_of(NEW) if method == "PUT" else NO_VALUE
            assert stamp.generation == (done if holds else UNKNOWN)
            assert type(stamp.generation) is StorageGeneration
            assert before <= stamp.time <= time.time()
        assert sent(server) == expected(method, generation, holds, mode)
        if not holds:
            assert bucket.applied == []
            assert bucket.objects == {key: Stored(value) for key, value in there.items()}
        elif method == "PUT":
            assert bucket.applied == [("PUT", "key", NEW)]
        else:
            assert bucket.objects == {}


@each_mode
def test_creating_is_a_write_on_the_condition_that_nothing_is_there(mode: bool | None, open_: Open) -> None:
    """``if_absent`` and ``NO_VALUE`` send the same."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server, mode)
        assert store.put("key", NEW, if_absent=True).generation == etag_of(NEW)
        with pytest.raises(s3kv.ConditionFailed, match="exists already"):
            store.put("key", OTHER, if_absent=True)
        assert bucket.objects["key"].value == NEW
        created = expected("PUT", NO_VALUE, True, mode)
        assert sent(server) == created + expected("PUT", NO_VALUE, False, mode)


@each_act
@pytest.mark.parametrize(
    "refusal",
    [error(412, "PreconditionFailed"), answer(412), answer(304), error(404, "NoSuchKey")],
    ids=["412", "412 without a body", "304", "404 NoSuchKey"],
)
def test_every_way_of_saying_no_is_the_same_outcome(
    method: str, write: Act, strict: Act, refusal: bytes, open_: Open
) -> None:
    """Stores differ in it; one request, no second try."""
    with ScriptedServer(exchanges(refusal, refusal)) as server:
        store = open_(server)
        assert write(store, G).generation == UNKNOWN
        with pytest.raises(s3kv.ConditionFailed):
            strict(store, G)
        assert [request.method for request in server.requests] == [method] * 2


@each_act
def test_other_refusals_are_errors(method: str, write: Act, strict: Act, open_: Open) -> None:
    """A missing bucket above all, which is a 404 too; and none of them is a condition that failed."""
    refusals = {
        error(404, "NoSuchBucket"): s3kv.BucketNotFound,
        error(403, "AccessDenied"): s3kv.PermissionDenied,
        error(409, "OperationAborted"): s3kv.S3KVError,
        error(400, "InvalidRequest"): s3kv.S3KVError,
        error(501, "NotImplemented"): s3kv.S3KVError,
    }
    with ScriptedServer(exchanges(*refusals)) as server:
        store = open_(server)
        for kind in refusals.values():
            with pytest.raises(kind) as caught:
                write(store, G)
            assert not isinstance(caught.value, s3kv.ConditionFailed)


def test_a_missing_bucket_is_told_by_the_look_before_a_write(open_: Open) -> None:
    """Which asks for more where a HEAD is answered with 404: no write goes where no bucket is."""
    with ScriptedServer(exchanges(answer(404), error(404, "NoSuchBucket"))) as server:
        with pytest.raises(s3kv.BucketNotFound):
            open_(server, BOTH).put("key", NEW, if_absent=True)
        assert [request.method for request in server.requests] == ["HEAD", "GET"]


@each_act
def test_two_writes_that_met_are_tried_again(method: str, write: Act, strict: Act, open_: Open) -> None:
    """The store wants one of them to come again, and it may then succeed."""
    bucket = MemoryS3(key=OLD)
    bucket.writes = [Turn(acts=False, told=error(409, "ConditionalRequestConflict"))] * 2
    with bucket.server() as server:
        assert write(open_(server), G).generation != UNKNOWN
        assert sent(server) == [f"{method} if-match: {G}"] * 3


def test_a_store_that_honours_no_condition_is_looked_at_first(open_: Open) -> None:
    """Unless the spec says that its headers can be relied on."""
    bucket = MemoryS3(key=OLD)
    bucket.ignores = True
    with bucket.server() as server:
        store = open_(server, BOTH)
        assert store.write("key", NEW, if_equal=STALE).generation == UNKNOWN
        assert store.write("key", None, if_equal=STALE).generation == UNKNOWN
        assert store.write("key", NEW, if_equal=NO_VALUE).generation == UNKNOWN
        assert bucket.applied == []


def test_a_write_by_the_look_alone_overwrites_who_comes_in_between(open_: Open) -> None:
    """It is not atomic, as documented; with the headers as well it is."""
    for mode, value in ((LOOK, NEW), (BOTH, OTHER)):
        bucket = MemoryS3(key=OLD)
        bucket.looks = [Turn(then=partial(bucket.set, "key", OTHER))]
        with bucket.server() as server:
            stamp = open_(server, mode).write("key", NEW, if_equal=G)
            assert bucket.objects["key"].value == value
            assert (stamp.generation == UNKNOWN) == (mode is BOTH)


# --------------------------------------------------------------------------------------- the write's id


@each_mode
def test_conditional_puts_and_only_they_carry_an_id_of_their_own(mode: bool | None, open_: Open) -> None:
    """A new one for each call, one for all attempts of a call; it is nobody's metadata."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server, mode)
        store.put("key", OLD)
        store.write("key", OLD)
        bucket.writes = [Turn(acts=False, told=error(503, "SlowDown"))]
        store.put("key", NEW, if_equal=G, metadata={"colour": "red"})
        assert store.stat("key").metadata == {"colour": "red"}
        store.write("key", OLD, if_equal=etag_of(NEW))
        assert store.stat("key").metadata == {}
        store.put("key", NEW, if_equal=G)
        store.delete("key", if_equal=etag_of(NEW))
        store.put("key", NEW, if_absent=True)
        store.modify("key", lambda old: OTHER)
        ids = [request.header(WRITE_ID) for request in server.requests if request.method == "PUT"]
        assert ids[:2] == [None, None]
        assert ids[2] == ids[3] is not None
        assert len({*ids[3:]}) == len(ids[3:]) == 5
        assert None not in ids[3:]
        others = [request for request in server.requests if request.method != "PUT"]
        assert all(request.header(WRITE_ID) is None for request in others)


# --------------------------------------------------------------------------------------- RADOS Gateway


def gateway(**objects: bytes) -> MemoryS3:
    """Return a bucket that compares the ETags of writes without quotes, as a RADOS Gateway does."""
    bucket = MemoryS3(**objects)
    bucket.unquoted = True
    bucket.extra = RGW
    return bucket


def test_a_gateway_is_known_by_the_look_and_asked_unquoted(open_: Open) -> None:
    """Deletes and reads keep the quotes, which it ignores and understands."""
    bucket = gateway(key=OLD)
    with bucket.server() as server:
        store = open_(server, BOTH)
        assert store.write("key", NEW, if_equal=G).generation == etag_of(NEW)
        assert store.read("key", if_equal=etag_of(NEW)).state == "value"
        assert store.read("key", if_not_equal=etag_of(NEW)).state == "unspecified"
        store.delete("key", if_equal=etag_of(NEW))
        assert sent(server) == [
            "HEAD",
            f"PUT if-match: {G[1:-1]}",
            f"GET if-match: {etag_of(NEW)}",
            f"GET if-none-match: {etag_of(NEW)}",
            *("HEAD", f"DELETE if-match: {etag_of(NEW)}"),
        ]


def test_a_gateway_is_known_by_its_refusal_and_asked_again_unquoted(open_: Open) -> None:
    """Once: from then on it is known, to the store's children too."""
    bucket = gateway(key=OLD)
    with bucket.server() as server:
        store = open_(server, HEADERS)
        assert store.put("key", NEW, if_equal=G).generation == etag_of(NEW)
        assert (store + "k").put("ey", OTHER, if_equal=etag_of(NEW)).generation == etag_of(OTHER)
        assert store.write("key", OLD, if_equal=STALE).generation == UNKNOWN
        quoted, bare, second, stale = sent(server)
        assert quoted == f"PUT if-match: {G}"
        assert bare == f"PUT if-match: {G[1:-1]}"
        assert second == f"PUT if-match: {etag_of(NEW)[1:-1]}"
        assert stale == f"PUT if-match: {STALE[1:-1]}"
        assert len(bucket.applied) == 2


def test_a_gateway_that_refuses_both_ways_means_it(open_: Open) -> None:
    """One attempt each way, even where one attempt is all there may be; nothing is written."""
    bucket = gateway(key=OTHER)
    with bucket.server() as server:
        store = open_(server, HEADERS, s3_request_retries={"max_retries": 1})
        with pytest.raises(s3kv.ConditionFailed):
            store.put("key", NEW, if_equal=G)
        with pytest.raises(s3kv.ConditionFailed):
            store.put("key", NEW, if_absent=True)
        assert sent(server) == [f"PUT if-match: {G}", f"PUT if-match: {G[1:-1]}", "PUT if-none-match: *"]
        assert bucket.applied == []


def test_a_gateway_that_lost_a_race_within_itself_is_tried_again(open_: Open) -> None:
    """500 UnknownError is its word for two conditional writes that met."""
    bucket = gateway(key=OLD)
    bucket.writes = [Turn(acts=False, told=error(500, "UnknownError", *RGW))] * 3
    with bucket.server() as server:
        assert open_(server, BOTH).put("key", NEW, if_equal=G).generation == etag_of(NEW)
        assert sent(server) == ["HEAD", *[f"PUT if-match: {G[1:-1]}"] * 4]


def test_other_stores_are_never_asked_unquoted(open_: Open) -> None:
    """Their refusal stands."""
    bucket = MemoryS3(key=OTHER)
    bucket.extra = ("x-amz-request-id: 0A49CE4060975EAC",)
    with bucket.server() as server:
        assert open_(server, HEADERS).write("key", NEW, if_equal=G).generation == UNKNOWN
        assert sent(server) == [f"PUT if-match: {G}"]


# ------------------------------------------------------------------------------- 404 without a word

BARE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def test_a_key_that_a_store_does_not_find_without_a_word_is_deleted_already(open_: Open) -> None:
    """Deleting a missing key is no error, and that the bucket is there is asked once."""
    with ScriptedServer(exchanges(BARE, listing(), BARE)) as server:
        store = open_(server)
        for _ in range(2):
            assert store.delete("key").generation == NO_VALUE


def test_a_bucket_that_is_not_there_has_deleted_nothing(open_: Open) -> None:
    """It answers 404 to everything."""
    script = exchanges(BARE, error(404, "NoSuchBucket"))
    with ScriptedServer(script) as server, pytest.raises(s3kv.BucketNotFound):
        open_(server).delete("key")


@pytest.mark.parametrize("value", [NEW, None], ids=["write", "delete"])
def test_a_condition_on_what_a_store_does_not_find_without_a_word_does_not_hold(
    value: bytes | None, open_: Open
) -> None:
    """There is nothing that could have the generation."""
    with ScriptedServer(exchanges(BARE, listing())) as server:
        assert open_(server).write("key", value, if_equal=G).generation == UNKNOWN
    # What became of the question about the bucket says nothing about the write.
    with ScriptedServer([*exchanges(BARE), READ, CLOSE], exchanges(listing())) as server:
        assert open_(server).write("key", value, if_equal=G).generation == UNKNOWN


def test_what_a_store_does_not_find_without_a_word_does_not_exist_already(open_: Open) -> None:
    """Whatever a 404 says of a new object, it is not that there is one."""
    with ScriptedServer(exchanges(BARE, listing(), BARE)) as server:
        store = open_(server)
        with pytest.raises(s3kv.ServiceError) as caught:
            store.put("key", NEW, if_absent=True)
        assert (caught.value.status, caught.value.operation) == (404, "PutObject")
        with pytest.raises(s3kv.ServiceError):
            store.write("key", NEW, if_equal=NO_VALUE)


@pytest.mark.parametrize("value", [NEW, None], ids=["write", "delete"])
def test_a_look_that_tells_no_etag_is_no_condition_that_failed(value: bytes | None, open_: Open) -> None:
    """Which version is there is not known, so neither is whether it is the one that is wanted."""
    with ScriptedServer(exchanges(answer(200))) as server:
        with pytest.raises(s3kv.MalformedResponse, match="no ETag") as caught:
            open_(server, BOTH).write("key", value, if_equal=G)
        assert caught.value.key == "key"


def test_a_lost_answer_is_not_settled_by_a_look_that_tells_no_etag(open_: Open) -> None:
    """Nobody knows what is there."""
    looks = exchanges(answer(412), answer(200))
    with ScriptedServer([READ, CLOSE], looks) as server, pytest.raises(s3kv.OutcomeUnknown):
        open_(server, HEADERS).put("key", NEW, if_absent=True)


def test_a_look_that_is_refused_says_nothing_of_the_condition(open_store: Open) -> None:
    """A HEAD never has one, so whatever answers 412 to it means something else."""
    refusal = b"HTTP/1.1 412 Precondition Failed\r\n\r\n"
    with ScriptedServer(then=[Forever(READ, Send(refusal))]) as server:
        store = open_store(server)
        calls: list[Callable[[], object]] = [
            lambda: store.stat("key"),
            lambda: store.put("key", b"", if_absent=True),
            lambda: store.write("key", b"", if_equal='"e"'),
            lambda: store.delete("key", if_equal='"e"'),
        ]
        for call in calls:
            with pytest.raises(s3kv.ServiceError) as caught:
                call()
            assert caught.value.status == 412
        assert {request.method for request in server.requests} == {"HEAD"}
