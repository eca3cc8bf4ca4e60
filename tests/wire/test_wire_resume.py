"""A body that is cut off in the middle is read on from there: the rest of the same version, or all anew."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable

import pytest
import requests

import s3kv
from tests.wire.conftest import FAST, OpenStore
from tests.wire.scripted import (
    CLOSE,
    READ,
    RESET,
    Forever,
    ScriptedServer,
    Send,
    Step,
    answer,
    chunked,
    error,
)
from tests.wire.shelf import ONE, Shelf, Version, cut, refuse

SMALL = 300
LARGE = 64 * 1024
NOISE = random.Random(3).randbytes(LARGE)
OTHER = random.Random(4).randbytes(LARGE)
TWO = '"two"'

CUTS = pytest.mark.parametrize("at", [1, 150, 299])
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
Got = Callable[[s3kv.Store], bytes]


@pytest.fixture(autouse=True)
def _large_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bodies be received straight into their memory from 32 KiB on."""
    monkeypatch.setattr("s3kv.buffers.LARGE", LARGE // 2)
    monkeypatch.setattr("s3kv.buffers.FRESH", LARGE // 2)


def _get(store: s3kv.Store) -> bytes:
    return store.get("key")


def _get_into(store: s3kv.Store) -> bytes:
    buffer = bytearray(LARGE)
    return bytes(buffer[: store.get_into("key", buffer)])


def _get_many(store: s3kv.Store) -> bytes:
    return store.get_many(["key"])["key"]


def _read(store: s3kv.Store) -> bytes:
    return store.read("key").value


def _middle(store: s3kv.Store) -> bytes:
    return NOISE[:10] + store.get("key", byte_range=slice(10, None))


WAYS = pytest.mark.parametrize("way", [_get, _get_into, _get_many, _read])


@WAYS
@SIZES
@CUTS
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_only_what_is_missing_is_asked_for_again(
    at: int, size: int, way: Got, end: Step, open_store: OpenStore
) -> None:
    """Of the same version."""
    shelf = Shelf(NOISE[:size])
    shelf.faults = {0: [cut(at, end)]}
    with shelf.server() as server:
        assert way(open_store(server, policy=FAST)) == NOISE[:size]
    first, second = shelf.asked
    assert first.range is None
    # What a reset destroys on its way has to come once more.
    begin = int((second.range or "bytes=0-").removeprefix("bytes=").split("-")[0])
    assert begin == at if end is CLOSE else begin <= at
    if begin:
        assert second.range == f"bytes={begin}-{size - 1}"
        assert second.match == ONE


@SIZES
def test_a_range_goes_on_within_itself(size: int, open_store: OpenStore) -> None:
    """Up to its own end, not the object's."""
    shelf = Shelf(NOISE)
    shelf.faults = {7: [cut(100)]}
    end = size - 1
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        assert store.get("key", byte_range=slice(7, end)) == NOISE[7:end]
    assert [asked.range for asked in shelf.asked] == [f"bytes=7-{end - 1}", f"bytes=107-{end - 1}"]


def test_the_last_bytes_go_on_too(open_store: OpenStore) -> None:
    """Although it was not known beforehand where they begin."""
    shelf = Shelf(NOISE[:SMALL])
    shelf.faults = {200: [cut(30)]}
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        assert store.get("key", byte_range=slice(-100, None)) == NOISE[200:SMALL]
    assert [asked.range for asked in shelf.asked] == ["bytes=-100", "bytes=230-299"]


@WAYS
@SIZES
def test_it_may_be_cut_again_and_again(size: int, way: Got, open_store: OpenStore) -> None:
    """As often as it is tried: here with a refusal in between."""
    shelf = Shelf(NOISE[:size])
    shelf.faults = {0: [cut(10)], 10: [cut(0), *refuse(error(503, "SlowDown"))], 110: []}
    with shelf.server() as server:
        assert way(open_store(server, policy=FAST)) == NOISE[:size]
    assert [asked.range for asked in shelf.asked] == [None, *[f"bytes=10-{size - 1}"] * 3]


@SIZES
def test_each_attempt_brings_the_end_nearer(size: int, open_store: OpenStore) -> None:
    """What came in the second attempt is kept as well."""
    shelf = Shelf(NOISE[:size])
    shelf.faults = {0: [cut(10)], 10: [cut(100)], 110: [cut(50)]}
    with shelf.server() as server:
        assert _get(open_store(server, policy=FAST)) == NOISE[:size]
    assert [asked.range for asked in shelf.asked][1:] == [f"bytes={n}-{size - 1}" for n in (10, 110, 160)]


@SIZES
def test_attempts_are_counted_all_the_same(size: int, open_store: OpenStore) -> None:
    """A store that never gets to the end is given up."""
    shelf = Shelf(NOISE[:size])
    shelf.always = {0: cut(10), 10: cut(10), 20: cut(10), 30: cut(10)}
    with shelf.server() as server, pytest.raises(s3kv.RetriesExhausted, match="cut short") as caught:
        _get(open_store(server, policy=FAST))
    assert caught.value.attempts == len(shelf.asked) == FAST.max_retries
    assert caught.value.key == "key"


@WAYS
@SIZES
@pytest.mark.parametrize(
    "other", [OTHER[:SMALL], OTHER, NOISE[:40], b""], ids=["as long", "longer", "short", "empty"]
)
@pytest.mark.parametrize("conditions", [True, False], ids=["heeded", "ignored"])
def test_another_version_is_read_from_its_beginning(
    size: int, other: bytes, way: Got, conditions: bool, open_store: OpenStore
) -> None:
    """Never half of one and half of the other, even if the store does not heed the condition."""
    shelf = Shelf(NOISE[:size])
    shelf.conditions = conditions
    shelf.faults = {0: [cut(100)]}
    shelf.then = {1: Version(other, TWO)}
    with shelf.server() as server:
        assert way(open_store(server, policy=FAST)) == other
    assert [asked.range for asked in shelf.asked] == [None, f"bytes=100-{size - 1}", None]


@SIZES
def test_an_object_that_is_deleted_meanwhile_is_missing(size: int, open_store: OpenStore) -> None:
    """What came of it is of no use."""
    shelf = Shelf(NOISE[:size])
    shelf.faults = {0: [cut(100)]}
    shelf.then = {1: None}
    with shelf.server() as server, pytest.raises(s3kv.KeyNotFound):
        _get(open_store(server, policy=FAST))


@WAYS
@SIZES
def test_a_store_that_ignores_ranges_sends_all_of_it_again(
    size: int, way: Got, open_store: OpenStore
) -> None:
    """And that is what is taken."""
    shelf = Shelf(NOISE[:size])
    shelf.ranges = False
    shelf.faults = {0: [cut(100)]}
    with shelf.server() as server:
        assert way(open_store(server, policy=FAST)) == NOISE[:size]


@WAYS
@SIZES
@pytest.mark.parametrize("length", [10, SMALL, LARGE // 2, LARGE])
def test_all_of_another_version_is_as_good(length: int, size: int, way: Got, open_store: OpenStore) -> None:
    """Where ranges are ignored, and no condition was asked for: it need not be asked for again."""
    shelf = Shelf(NOISE[:size])
    shelf.ranges = shelf.conditions = False
    shelf.faults = {0: [cut(100)]}
    shelf.then = {1: Version(OTHER[:length], TWO)}
    with shelf.server() as server:
        assert way(open_store(server, policy=FAST)) == OTHER[:length]
    assert len(shelf.asked) == 2


def test_all_of_another_version_is_not_what_a_condition_wants(open_store: OpenStore) -> None:
    """It is asked for again with the condition itself."""
    shelf = Shelf(NOISE[:SMALL])
    shelf.ranges = shelf.conditions = False
    shelf.faults = {0: [cut(100)]}
    shelf.then = {1: Version(OTHER[:SMALL], TWO)}
    with shelf.server() as server:
        open_store(server, policy=FAST).read("key", if_equal=ONE)
    assert [asked.match for asked in shelf.asked] == [ONE, ONE, ONE]


@pytest.mark.parametrize("etag", ["", 'W/"weak"', "unquoted"])
@SIZES
def test_without_a_strong_etag_it_begins_anew(size: int, etag: str, open_store: OpenStore) -> None:
    """Nothing would tell two versions apart."""
    shelf = Shelf(NOISE[:size], etag)
    shelf.faults = {0: [cut(100)]}
    with shelf.server() as server:
        assert _get(open_store(server, policy=FAST)) == NOISE[:size]
    assert [asked.range for asked in shelf.asked] == [None, None]


@pytest.mark.parametrize(
    "wrong",
    [
        answer(206, NOISE[99:SMALL], f"ETag: {ONE}", "Content-Range: bytes 99-299/300"),
        answer(206, NOISE[100:299], f"ETag: {ONE}", "Content-Range: bytes 100-298/300"),
        answer(206, NOISE[100:SMALL], f"ETag: {ONE}", "Content-Range: bytes 100-299/301"),
        answer(206, NOISE[100:SMALL], f"ETag: {ONE}", "Content-Range: nonsense"),
        answer(206, NOISE[100:SMALL], f"ETag: {ONE}"),
        answer(206, NOISE[100:SMALL], "Content-Range: bytes 100-299/300"),
        answer(206, NOISE[100:SMALL], f"ETag: {TWO}", "Content-Range: bytes 100-299/300"),
        answer(204, b"", f"ETag: {ONE}"),
        error(412, "PreconditionFailed"),
        error(416, "InvalidRange"),
        error(400, "InvalidArgument"),
        error(501, "NotImplemented"),
    ],
)
def test_an_answer_that_is_not_the_rest_is_not_taken_for_it(wrong: bytes, open_store: OpenStore) -> None:
    """The object is asked for as a whole again, once."""
    shelf = Shelf(NOISE[:SMALL])
    shelf.faults = {0: [cut(100)], 100: refuse(wrong)}
    with shelf.server() as server:
        assert _get(open_store(server, policy=FAST)) == NOISE[:SMALL]
    assert [asked.range for asked in shelf.asked] == [None, "bytes=100-299", None]


def test_the_sum_of_the_parts_is_checked(open_store: OpenStore) -> None:
    """Against the checksum that the first answer announced."""
    crc = base64.b64encode(zlib.crc32(NOISE[:SMALL]).to_bytes(4, "big")).decode()
    shelf = Shelf(NOISE[:SMALL], ONE, f"x-amz-checksum-crc32: {crc}", "x-amz-checksum-type: FULL_OBJECT")
    good, bad = (
        answer(206, value[100:SMALL], f"ETag: {ONE}", "Content-Range: bytes 100-299/300")
        for value in (NOISE, OTHER)
    )
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        shelf.faults = {0: [cut(100)], 100: refuse(good)}
        assert _get(store) == NOISE[:SMALL]
        shelf.faults = {0: [cut(100)], 100: refuse(bad)}
        with pytest.raises(s3kv.DataLoss):
            _get(store)


@pytest.mark.parametrize("pieces", [[NOISE[:100]], [NOISE[:99], NOISE[99:100]]])
def test_a_chunked_body_goes_on_too(pieces: list[bytes], open_store: OpenStore) -> None:
    """To the end that the rest announces."""
    head = chunked(*pieces)[:-5].replace(b"\r\n\r\n", f"\r\nETag: {ONE}\r\n\r\n".encode(), 1)
    rest = answer(206, NOISE[100:SMALL], f"ETag: {ONE}", "Content-Range: bytes 100-299/300")
    with ScriptedServer([READ, Send(head), CLOSE], [READ, Send(rest)]) as server:
        assert _get(open_store(server, policy=FAST)) == NOISE[:SMALL]
        assert server.connections[1].requests[0].header("range") == "bytes=100-"


def test_an_error_that_is_cut_off_is_no_object(open_store: OpenStore) -> None:
    """Nor is a missing object's answer."""
    head = error(404, "NoSuchKey", f"ETag: {ONE}")
    with ScriptedServer(
        [READ, Send(head[:-10]), CLOSE], then=[Forever(READ, Send(ok_))], lenient=True
    ) as server:
        assert _get(open_store(server, policy=FAST)) == b"whole"
        assert [connection.requests[0].header("range") for connection in server.connections] == [None, None]


ok_ = answer(200, b"whole", f"ETag: {ONE}")


@CUTS
def test_a_session_goes_on_too(at: int, open_store: OpenStore) -> None:
    """With what it had read by then."""
    shelf = Shelf(NOISE[:SMALL])
    shelf.faults = {0: [cut(at)]}
    with requests.Session() as session, shelf.server() as server:
        assert _get(open_store(server, policy=FAST, session=session)) == NOISE[:SMALL]
    assert [asked.range for asked in shelf.asked] in ([None, f"bytes={at}-299"], [None, None])


def test_the_error_of_a_cut_keeps_no_bytes(open_store: OpenStore) -> None:
    """It may be kept for long."""
    shelf = Shelf(NOISE[:SMALL])
    shelf.always = {0: cut(100), 100: cut(0)}
    with shelf.server() as server, pytest.raises(s3kv.RetriesExhausted) as caught:
        _get(open_store(server, policy=FAST))
    cause = caught.value.__cause__
    assert isinstance(cause, s3kv.TransportError)
    assert cause.partial is None
