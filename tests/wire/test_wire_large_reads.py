"""Large objects, read in parts side by side, and reads into memory that there is already.

But for a few tests, parts are 64 KiB here: where they begin and end is decided by the same code.
"""

from __future__ import annotations

import array
import base64
import contextlib
import gc
import hashlib
import mmap
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

import s3kv
from s3kv import http1_reader, reading
from s3kv.errors import StoreClosed
from s3kv.pipeline.shared import new_executor
from tests.wire.conftest import FAST, OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    HOLD,
    READ,
    RESET,
    Forever,
    Peer,
    ScriptedServer,
    Step,
    answer,
    chunked,
    error,
)
from tests.wire.shelf import ONE, Fault, Shelf, Version, cut, refuse, silence
from tests.wire.test_wire_interrupts import running

PART = 64 * 1024
TWO = '"two"'
SIZES = [
    0,
    1,
    PART,
    2 * PART - 1,
    2 * PART,
    2 * PART + 1,
    3 * PART - 1,
    3 * PART,
    3 * PART + 1,
    13 * PART + 7,
]
NOISE = random.Random(1).randbytes(20 * PART)
OTHER = random.Random(2).randbytes(20 * PART)


@pytest.fixture(autouse=True)
def _small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have objects be large from 128 KiB on, unless a test wants them as they are."""
    if "real_parts" not in request.fixturenames:
        monkeypatch.setattr("s3kv.reading.PART_BYTES", PART)
        monkeypatch.setattr("s3kv.many.PART_BYTES", PART)
        monkeypatch.setattr("s3kv.buffers.LARGE", PART)
        monkeypatch.setattr("s3kv.buffers.FRESH", PART)


@pytest.fixture
def real_parts() -> None:
    """Leave the lengths as they are for users."""


def got(store: s3kv.Store, way: str, size: int, byte_range: slice | None = None) -> bytes:
    """Read an object with get or get_into."""
    if way == "get":
        value = store.get("key", byte_range=byte_range)
        assert type(value) is bytes
        return value
    buffer = bytearray(b"." * (size + 3))
    count = store.get_into("key", buffer, byte_range=byte_range)
    # Of a version that was longer, and is not there any more, something may be left behind the bytes.
    assert buffer[size:] == b"..."
    return bytes(buffer[:count])


WAYS = pytest.mark.parametrize("way", ["get", "get_into"])


# ------------------------------------------------------------------ which parts


@WAYS
@pytest.mark.parametrize("size", SIZES)
def test_an_object_is_read_in_parts_that_cover_it_once(size: int, way: str, open_store: OpenStore) -> None:
    """From two parts on; every part on condition that it is of the version that was begun."""
    shelf = Shelf(NOISE[:size])
    with shelf.server() as server:
        assert got(open_store(server), way, size) == NOISE[:size]
    first, rest = shelf.asked[0], shelf.asked[1:]
    assert (first.range, first.match) == (None, None)
    expected = [(at, min(at + PART, size)) for at in range(PART, size, PART)] if size >= 2 * PART else []
    assert shelf.parts == expected
    assert {asked.match for asked in rest} <= {ONE}


@WAYS
@pytest.mark.parametrize(
    "wanted",
    [
        slice(5, 2 * PART + 4),
        slice(5, 2 * PART + 5),
        slice(5, 2 * PART + 6),
        slice(0, 5 * PART),
        slice(PART + 1, None),
        slice(-2 * PART + 1, None),
        slice(-2 * PART, None),
        slice(-3 * PART - 1, None),
        slice(-7 * PART - 3, None),
        slice(0, None),
    ],
    ids=str,
)
def test_a_large_range_is_read_in_parts_that_cover_it_once(
    wanted: slice, way: str, open_store: OpenStore
) -> None:
    """Wherever in the object it is; nothing outside of it is asked for."""
    size = 7 * PART + 3
    shelf = Shelf(NOISE[:size])
    begin, end, _ = wanted.indices(size)
    with shelf.server() as server:
        assert got(open_store(server), way, size, wanted) == NOISE[begin:end]
    places = range(begin + PART, end, PART) if end - begin >= 2 * PART else range(0)
    asked = [asked.range for asked in shelf.asked[1:]]
    assert sorted(asked, key=str) == sorted(
        (f"bytes={at}-{min(at + PART, end) - 1}" for at in places), key=str
    )
    assert {asked.match for asked in shelf.asked[1:]} <= {ONE}


@WAYS
def test_a_store_that_answers_ranges_with_200_is_read_in_parts(way: str, open_store: OpenStore) -> None:
    """As rclone does: what it sent is in Content-Range. Nothing is asked for twice."""
    shelf = Shelf(NOISE)
    shelf.status = 200
    with shelf.server() as server:
        store = open_store(server)
        assert got(store, way, len(NOISE)) == NOISE
        assert shelf.parts == [(at, at + PART) for at in range(PART, len(NOISE), PART)]
        assert len(shelf.asked) == 20
        assert got(store, way, 10, slice(5, 15)) == NOISE[5:15]
        assert got(store, way, len(NOISE), slice(-7, None)) == NOISE[-7:]
        assert len(shelf.asked) == 22


@WAYS
def test_parts_are_16_mib_for_users(way: str, real_parts: None, open_store: OpenStore) -> None:
    """From 32 MiB on, and not one request more below."""
    size = 32 * 1024**2
    value = NOISE * (size // len(NOISE) + 1)
    with Shelf(value[: size - 1]).server() as server:
        assert got(open_store(server), way, size) == value[: size - 1]
        assert len(server.requests) == 1
    shelf = Shelf(value[:size])
    with shelf.server() as server:
        assert got(open_store(server), way, size) == value[:size]
        assert shelf.parts == [(size // 2, size)]


def test_ten_parts_are_under_way_at_once_at_most(open_store: OpenStore) -> None:
    """One object does not take all the connections that there may be."""
    gate = threading.Event()
    shelf = Shelf(NOISE)

    def wait(peer: Peer, truth: bytes) -> None:
        peer.wait(gate)
        peer.send(truth)

    shelf.faults = {at: [wait] for at in range(PART, len(NOISE), PART)}
    with shelf.server() as server:
        reading_it = Background(lambda: open_store(server).get("key"))
        until(lambda: len(shelf.asked) == 11)
        time.sleep(0.05)
        assert len(shelf.asked) == 11
        gate.set()
        assert reading_it.result() == NOISE


@pytest.mark.parametrize("etag", ["", 'W/"one"'], ids=["none", "weak"])
@pytest.mark.parametrize("conditions", [True, False])
@WAYS
def test_without_an_etag_that_tells_versions_apart_there_are_no_parts(
    etag: str, conditions: bool, way: str, open_store: OpenStore
) -> None:
    """The one answer is read to its end, whatever the object becomes meanwhile."""
    shelf = Shelf(NOISE, etag)
    shelf.conditions = conditions
    shelf.then = {1: Version(OTHER, etag)}
    with shelf.server() as server:
        store = open_store(server)
        assert got(store, way, len(NOISE)) == NOISE
        assert len(shelf.asked) == 1
        assert got(store, way, len(NOISE), slice(3, 9 * PART)) == OTHER[3 : 9 * PART]
        assert len(shelf.asked) == 2


@WAYS
def test_a_store_that_ignores_ranges_is_read_in_one_piece(way: str, open_store: OpenStore) -> None:
    """The parts are given up, and not read whole each."""
    shelf = Shelf(NOISE)
    shelf.ranges = False
    with shelf.server() as server:
        store = open_store(server)
        assert got(store, way, len(NOISE)) == NOISE
        assert len([asked for asked in shelf.asked if asked.range is None]) <= 2
        assert len(shelf.asked) <= 12
        before = len(shelf.asked)
        # Here the first request has a range, too.
        assert got(store, way, len(NOISE), slice(1, -0 or 9 * PART)) == NOISE[1 : 9 * PART]
        assert len(shelf.asked) <= before + 3


@WAYS
def test_an_object_in_chunks_is_read_in_one_piece(way: str, open_store: OpenStore) -> None:
    """Its length is known at its end only."""
    shelf = Shelf(NOISE)
    shelf.whole = lambda value, *lines: chunked(value[:100], value[100:])
    with shelf.server() as server:
        store = open_store(server)
        assert got(store, way, len(NOISE)) == NOISE
        assert len(shelf.asked) == 1
        if way == "get_into":
            with pytest.raises(ValueError, match="too small"):
                store.get_into("key", bytearray(len(NOISE) - 1))


# ------------------------------------------------------------------ one version


@WAYS
@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Match", "ignores If-Match"])
@pytest.mark.parametrize("size", [0, 7, PART + 1, 5 * PART, 6 * PART + 5, 9 * PART])
def test_an_object_that_is_replaced_meanwhile_is_never_mixed(
    size: int, conditions: bool, way: str, open_store: OpenStore
) -> None:
    """Wherever the change comes, by something shorter, longer or as long: all of one version."""
    old, new = NOISE[: 6 * PART + 5], OTHER[:size]
    for after in range(8):
        shelf = Shelf(old)
        shelf.conditions = conditions
        shelf.then = {after: Version(new, TWO)}
        with shelf.server() as server:
            value = got(open_store(server), way, len(NOISE))
        assert value == (old if after >= 7 else new)


@WAYS
@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Match", "ignores If-Match"])
def test_an_object_that_is_deleted_meanwhile_is_missing(
    conditions: bool, way: str, open_store: OpenStore
) -> None:
    """Not a part of what it was."""
    for after in range(6):
        shelf = Shelf(NOISE[: 6 * PART])
        shelf.conditions = conditions
        shelf.then = {after: None}
        with shelf.server() as server:
            store = open_store(server)
            with pytest.raises(s3kv.KeyNotFound) as caught:
                got(store, way, len(NOISE))
            assert caught.value.key == "key"
            if way == "get":
                shelf.asked.clear()
                assert store.get("key", None) is None


@WAYS
@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Match", "ignores If-Match"])
@pytest.mark.parametrize("sizes", [(6, 6), (9, 6), (6, 9)])
def test_an_object_that_is_replaced_again_and_again_has_changed(
    sizes: tuple[int, int], conditions: bool, way: str, open_store: OpenStore
) -> None:
    """After a few tries, with an error that says so."""
    shelf = Shelf(NOISE[: 6 * PART])
    shelf.conditions = conditions
    shelf.then = {
        number: Version(NOISE[: sizes[number % 2] * PART], f'"{number}"') for number in range(1, 500)
    }
    with shelf.server() as server, pytest.raises(s3kv.Changed, match="replaced") as caught:
        got(open_store(server), way, len(NOISE))
    assert caught.value.key == "key"
    assert len([asked for asked in shelf.asked if asked.range is None]) == reading.MOST_CHANGES


@WAYS
def test_a_range_of_an_object_that_is_replaced_is_of_one_version(way: str, open_store: OpenStore) -> None:
    """Or outside of what there is now, which is then the error."""
    for after in range(1, 6):
        shelf = Shelf(NOISE[: 6 * PART])
        shelf.then = {after: Version(OTHER[: 7 * PART], TWO)}
        with shelf.server() as server:
            value = got(open_store(server), way, len(NOISE), slice(3, 5 * PART))
            assert value in (NOISE[3 : 5 * PART], OTHER[3 : 5 * PART])
        shelf = Shelf(NOISE[: 6 * PART])
        shelf.then = {1: Version(OTHER[: 4 * PART], TWO)}
        with shelf.server() as server, pytest.raises(s3kv.ByteRangeError):
            got(open_store(server), way, len(NOISE), slice(3, 5 * PART))


# ------------------------------------------------------------------ parts that fail

PASSING: dict[str, list[Fault]] = {
    "refused once": refuse(error(503, "SlowDown")),
    "refused three times": refuse(*[error(500, "InternalError")] * 3),
    "no answer": [lambda peer, truth: peer.reset() or peer.receive()],
    "cut at its beginning": [cut(0)],
    "cut in the middle": [cut(PART // 2)],
    "cut before its last byte": [cut(PART - 1)],
    "reset in the middle": [cut(PART // 2, RESET)],
    "refused, then cut": [*refuse(error(503, "SlowDown")), cut(10)],
}


@WAYS
@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("place", [0, 1, 4], ids=["the first part", "the second part", "the last part"])
def test_a_part_that_fails_is_read_again(name: str, place: int, way: str, open_store: OpenStore) -> None:
    """It alone, and its bytes are right."""
    size = 5 * PART
    shelf = Shelf(NOISE[:size])
    faults = list(PASSING[name])
    shelf.faults = {place * PART: faults}
    count = len(faults)
    with shelf.server() as server:
        assert got(open_store(server, policy=FAST), way, size) == NOISE[:size]
    assert faults == []
    assert len(shelf.asked) == 5 + count


@WAYS
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (error(403, "AccessDenied"), s3kv.PermissionDenied),
        (error(503, "SlowDown"), s3kv.RetriesExhausted),
        (error(400, "InvalidRequest"), s3kv.S3KVError),
    ],
    ids=["denied", "busy", "invalid"],
)
def test_a_part_that_fails_for_good_is_the_error(
    data: bytes, kind: type[Exception], way: str, open_store: OpenStore
) -> None:
    """With the key; the store works on."""
    shelf = Shelf(NOISE)
    shelf.always = {5 * PART: refuse(data)[0]}
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(kind) as caught:
            got(store, way, len(NOISE))
        assert (caught.value.key, caught.value.operation) == ("key", "GetObject")  # type: ignore[attr-defined]
        shelf.always = {}
        assert got(store, way, len(NOISE)) == NOISE


@pytest.mark.parametrize(
    "wrong",
    [
        answer(
            206, NOISE[: PART - 1], f"ETag: {ONE}", f"Content-Range: bytes {PART}-{2 * PART - 1}/{5 * PART}"
        ),
        answer(
            206, NOISE[: PART + 1], f"ETag: {ONE}", f"Content-Range: bytes {PART}-{2 * PART - 1}/{5 * PART}"
        ),
        answer(206, NOISE[:PART], f"ETag: {ONE}", f"Content-Range: bytes 0-{PART - 1}/{5 * PART}"),
        answer(206, NOISE[:PART], f"ETag: {ONE}"),
        answer(206, NOISE[:PART], f"ETag: {ONE}", "Content-Range: nonsense"),
        answer(206, NOISE[:PART], f"ETag: {ONE}", f"Content-Range: bytes {PART}-{2 * PART - 1}/{9 * PART}"),
        answer(206, NOISE[:PART], f"Content-Range: bytes {PART}-{2 * PART - 1}/{5 * PART}"),
        answer(200, NOISE[:PART], f"ETag: {ONE}"),
        answer(204, b"", f"ETag: {ONE}"),
    ],
    ids=["short", "long", "another", "of nowhere", "nonsense", "another size", "no ETag", "whole", "empty"],
)
@WAYS
def test_a_part_that_is_not_what_was_asked_for_is_not_taken(
    wrong: bytes, way: str, open_store: OpenStore
) -> None:
    """However often it comes: an error, or the bytes in another way, never other bytes."""
    shelf = Shelf(NOISE[: 5 * PART])
    shelf.always = {PART: refuse(wrong)[0]}
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        with contextlib.suppress(s3kv.Changed, s3kv.MalformedResponse, s3kv.RetriesExhausted):
            assert got(store, way, len(NOISE)) == NOISE[: 5 * PART]
    assert len(shelf.asked) < 60


# ------------------------------------------------------------------ checksums


def _sum(name: str, value: bytes) -> str:
    digests = {
        "crc32": lambda: zlib.crc32(value).to_bytes(4, "big"),
        "sha1": lambda: hashlib.sha1(value).digest(),
        "sha256": lambda: hashlib.sha256(value).digest(),
    }
    return base64.b64encode(digests[name]()).decode()


@WAYS
@pytest.mark.parametrize("name", ["crc32", "sha1", "sha256"])
def test_the_checksum_of_the_whole_is_that_of_all_parts(name: str, way: str, open_store: OpenStore) -> None:
    """A wrong one is a loss of data; one of a range is none of the range's bytes."""
    size = 5 * PART
    line = f"x-amz-checksum-{name}: {_sum(name, NOISE[:size])}"
    kind = "x-amz-checksum-type: FULL_OBJECT"
    with Shelf(NOISE[:size], ONE, line, kind).server() as server:
        store = open_store(server)
        assert got(store, way, size) == NOISE[:size]
        assert got(store, way, size, slice(1, 4 * PART)) == NOISE[1 : 4 * PART]
    spoilt = NOISE[: 3 * PART] + b"\0" + NOISE[3 * PART + 1 : size]
    with Shelf(spoilt, ONE, line, kind).server() as server:
        store = open_store(server)
        with pytest.raises(s3kv.DataLoss, match=name.upper()) as caught:
            got(store, way, size)
        assert caught.value.key == "key"


@WAYS
@pytest.mark.parametrize(
    "lines",
    [
        (f"x-amz-checksum-sha256: {_sum('sha256', b'parts')}", "x-amz-checksum-type: COMPOSITE"),
        (f"x-amz-checksum-sha256: {_sum('sha256', b'parts')}-5",),
        (f"x-amz-checksum-newest: {_sum('crc32', b'x')}",),
    ],
    ids=["COMPOSITE", "of five", "unknown"],
)
def test_a_checksum_of_checksums_says_nothing_of_the_whole(
    lines: tuple[str, ...], way: str, open_store: OpenStore
) -> None:
    """Nor one that cannot be computed."""
    with Shelf(NOISE[: 5 * PART], ONE, *lines).server() as server:
        assert got(open_store(server), way, 5 * PART) == NOISE[: 5 * PART]


# ------------------------------------------------------------------ time, and ends


@WAYS
@pytest.mark.parametrize("place", [0, 3], ids=["the first", "another"])
def test_the_timeout_is_for_all_parts(place: int, way: str, open_store: OpenStore) -> None:
    """When one falls silent, the read is over then; the store works on."""
    shelf = Shelf(NOISE[: 5 * PART])
    shelf.always = {place * PART: silence(1000)}
    with shelf.server() as server:
        store = open_store(server, timeout=0.3)
        with Stopwatch() as watch, pytest.raises(s3kv.DeadlineExceeded) as caught:
            got(store, way, len(NOISE))
        assert 0.25 < watch.seconds < 1.2
        assert caught.value.key == "key"
        shelf.always = {}
        assert got(store, way, len(NOISE)) == NOISE[: 5 * PART]


@WAYS
def test_the_timeout_is_counted_from_the_first_request(way: str, open_store: OpenStore) -> None:
    """Not anew for each part."""
    shelf = Shelf(NOISE[: 5 * PART])

    def late(peer: Peer, truth: bytes) -> None:
        time.sleep(0.4)
        peer.send(truth)

    shelf.always = {0: late, 3 * PART: silence(10)}
    with shelf.server() as server:
        store = open_store(server, timeout=0.6)
        with Stopwatch() as watch, pytest.raises(s3kv.DeadlineExceeded):
            got(store, way, len(NOISE))
    assert 0.55 < watch.seconds < 0.95


@WAYS
def test_closing_a_store_ends_a_read_in_parts(way: str, open_store: OpenStore) -> None:
    """At once."""
    shelf = Shelf(NOISE)
    shelf.always = {at: silence(10) for at in range(PART, len(NOISE), PART)}
    with shelf.server() as server:
        store = open_store(server)
        reading_it = Background(lambda: got(store, way, len(NOISE)))
        until(lambda: len(shelf.asked) > 5)
        store.close()
        assert isinstance(reading_it.error(1), StoreClosed)
        with pytest.raises(StoreClosed):
            got(store, way, len(NOISE))


SMALL_PARTS = """
import s3kv.reading, s3kv.many, s3kv.buffers
s3kv.reading.PART_BYTES = s3kv.many.PART_BYTES = s3kv.buffers.LARGE = 65536
"""
CALLS = {
    "get": "store.get('slow')",
    "get_into": "store.get_into('slow', bytearray(2_000_000))",
    "get_many": "store.get_many(['slow', 'slower'])",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("first", [True, False], ids=["the first part", "all others"])
def test_ctrl_c_ends_a_read_in_parts(call: str, first: bool) -> None:
    """Within half a second; the next call works, and the program ends by itself."""
    shelf, fine = Shelf(NOISE), Shelf(b"fine")
    shelf.always = {0: silence(10)} if first else {at: silence(10) for at in range(PART, len(NOISE), PART)}

    class Both(Step):
        def run(self, peer: Peer) -> None:
            (shelf if "slow" in peer.requests[-1].path else fine).run(peer)

    code = f"""{SMALL_PARTS}
say("ready")
try:
    {call}
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(store.get("fast").decode())
"""
    server = ScriptedServer(then=[Forever(READ, Both())], lenient=True)
    with server, running(code, server.url) as program:
        assert program.line() == ["ready"]
        until(lambda: len(shelf.asked) >= (1 if first else 10))
        time.sleep(0.05)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end() == ("fine\n", "")
        assert program.process.returncode == 0


# ------------------------------------------------------------------ whose memory


@pytest.mark.parametrize("end", ["error", "timeout", "close"])
def test_nobody_writes_to_a_buffer_that_was_given_back(
    end: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that the system did not let run for a moment must not write what came late."""
    shelf = Shelf(NOISE[: 5 * PART])
    late, ready = threading.Event(), threading.Event()
    look = http1_reader.ResponseReader.room

    def slow(self: http1_reader.ResponseReader) -> memoryview | None:
        place = look(self)
        if place is not None and len(place) == PART - 100:
            ready.set()
            late.wait(0.15)
        return place

    def halves(peer: Peer, truth: bytes) -> None:
        peer.send(truth[: truth.index(b"\r\n\r\n") + 4 + 100])
        ready.wait(2)
        peer.send(truth[truth.index(b"\r\n\r\n") + 4 + 100 :])

    def refusal(peer: Peer, truth: bytes) -> None:
        ready.wait(2)
        if end == "error":
            peer.send(error(403, "AccessDenied"))
        else:
            HOLD.run(peer)

    shelf.always = {PART: halves, 2 * PART: refusal}
    monkeypatch.setattr(http1_reader.ResponseReader, "room", slow)
    with shelf.server() as server:
        store = open_store(server, timeout=0.3 if end == "timeout" else None)
        buffer = bytearray(5 * PART)
        reading_it = Background(lambda: store.get_into("key", buffer))
        if end == "close":
            assert ready.wait(2)
            store.close()
        assert isinstance(reading_it.error(2), s3kv.S3KVError)
        buffer[:] = bytes(5 * PART)
        late.set()
        time.sleep(0.2)
        assert buffer.count(0) == 5 * PART


def test_nobody_writes_to_a_buffer_after_the_timeout_of_one_request(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no parts: the caller waits a little for a thread that is late."""
    shelf = Shelf(NOISE[: PART + 500])
    look = http1_reader.ResponseReader.room

    def slow(self: http1_reader.ResponseReader) -> memoryview | None:
        place = look(self)
        if place is not None and len(place) == PART + 400:
            time.sleep(0.35)
        return place

    monkeypatch.setattr(http1_reader.ResponseReader, "room", slow)
    with shelf.server() as server:
        store = open_store(server, timeout=0.1)
        sent = threading.Event()
        shelf.always = {0: lambda peer, truth: _in_halves(peer, truth, sent)}
        buffer = bytearray(PART + 500)
        with pytest.raises(s3kv.DeadlineExceeded):
            store.get_into("key", buffer)
        buffer[:] = bytes(PART + 500)
        assert sent.wait(1)
        time.sleep(0.3)
        assert buffer.count(0) == PART + 500


def _in_halves(peer: Peer, truth: bytes, sent: threading.Event) -> None:
    begin = truth.index(b"\r\n\r\n") + 4 + 100
    peer.send(truth[:begin])
    time.sleep(0.02)
    peer.send(truth[begin:])
    sent.set()


@pytest.mark.parametrize("size", [10, PART, 5 * PART, 20 * PART])
def test_a_buffer_is_its_owners_again_when_it_was_read_into(size: int, open_store: OpenStore) -> None:
    """It may be made longer, or closed: nobody holds a view of it any more."""
    with Shelf(NOISE[:size]).server() as server:
        store = open_store(server)
        for _ in range(3):
            buffer = bytearray(size)
            assert store.get_into("key", buffer) == size
            gc.collect()
            buffer.extend(b"more")
            assert buffer == NOISE[:size] + b"more"
        with mmap.mmap(-1, max(size, 1)) as mapped:
            store.get_into("key", mapped)


def _measured(call: str, size: int) -> str:
    return f"""
import os

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

store.get("small")
buffer = bytearray({size if "buffer" in call else 0})
for page in range(0, len(buffer), 4096):
    buffer[page] = 1
before = kilobytes("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
value = {call}
say(kilobytes("VmHWM") - before)
"""


@pytest.mark.parametrize(
    ("call", "own"),
    [
        ("store.get('large')", 1),
        ("store.get_into('large', buffer)", 0),
        ("store.get_many(['large'])", 1),
        ("[len(value) for _, value in store.iter_many(['large'])]", 1),
    ],
    ids=["get", "get_into", "get_many", "iter_many"],
)
def test_a_large_object_is_in_memory_once(call: str, own: int, real_parts: None) -> None:
    """As it is with other clients at best: what a read takes besides is 64 MB at most."""
    size = 100 * 1024**2
    shelf, small = Shelf(bytes(size)), Shelf(b"small")

    class Both(Step):
        def run(self, peer: Peer) -> None:
            (shelf if "large" in peer.requests[-1].path else small).run(peer)

    server = ScriptedServer(then=[Forever(READ, Both())], lenient=True)
    with server, running(_measured(call, size), server.url) as program:
        words = program.line()
        assert words, program.end()
        assert program.end(5)[1] == ""
    assert int(words[0]) * 1024 <= own * size + 64_000_000
    assert int(words[0]) * 1024 >= own * size * 0.9
    assert len(shelf.parts) == 6


# ------------------------------------------------------------------ many at once


class Shelves(Step):
    """Objects by key, and the listing of them."""

    def __init__(self, **sizes: int) -> None:
        self.shelves = {key: Shelf(NOISE[:size]) for key, size in sizes.items()}

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        request = peer.requests[-1]
        if "list-type" in request.query:
            entries = "".join(
                f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in sorted(self.shelves)
            )
            body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
            peer.send(answer(200, body.encode()))
            return
        self.shelves[request.path.rpartition("/")[2]].run(peer)

    def server(self) -> ScriptedServer:
        """Return a server of them."""
        return ScriptedServer(then=[Forever(READ, self)], lenient=True)


MIXED = {f"k{number:02}": (17 * PART // 2 if number % 5 == 0 else 100 + number) for number in range(40)}


@pytest.mark.parametrize("limit", [1, 3, 32])
def test_large_objects_may_be_among_small_ones(limit: int, open_store: OpenStore) -> None:
    """Each key has its own bytes, in whatever way they are asked for; also one request at a time."""
    expected = {key: NOISE[:size] for key, size in MIXED.items()}
    with Shelves(**MIXED).server() as server:
        store = open_store(server, executor=new_executor(limit))
        assert store.get_many(MIXED) == expected
        assert dict(store.iter_many(MIXED)) == expected
        assert list(store.items()) == sorted(expected.items())
        assert list(store.values()) == [expected[key] for key in sorted(expected)]
        assert store.read("k00").value == expected["k00"]
        assert store["k05"] == expected["k05"]


def test_large_objects_of_a_batch_fail_one_by_one(open_store: OpenStore) -> None:
    """What becomes of one is nothing to the others, and it has its own error."""
    shelves = Shelves(**MIXED)
    shelves.shelves["k00"].always = {3 * PART: refuse(error(403, "AccessDenied"))[0]}
    shelves.shelves["k05"].then = {2: None}
    shelves.shelves["k10"].then = {3: Version(OTHER[: 4 * PART], TWO)}
    with shelves.server() as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.BatchError) as caught:
            store.get_many(MIXED)
        errors = caught.value.errors
        assert {key: type(error) for key, error in errors.items()} == {
            "k00": s3kv.PermissionDenied,
            "k05": s3kv.KeyNotFound,
        }
        assert {error.key for error in errors.values()} == {"k00", "k05"}  # type: ignore[attr-defined]
        assert caught.value.results["k10"] == OTHER[: 4 * PART]
        good = {key for key in MIXED if key not in ("k00", "k05", "k10")}
        assert {key: caught.value.results[key] for key in good} == {
            key: NOISE[: MIXED[key]] for key in good
        }


def test_a_batch_of_large_objects_is_read_in_one_piece_each_where_ranges_are_ignored(
    open_store: OpenStore,
) -> None:
    """As single ones are."""
    shelves = Shelves(**MIXED)
    for shelf in shelves.shelves.values():
        shelf.ranges = False
    with shelves.server() as server:
        assert open_store(server).get_many(MIXED) == {key: NOISE[:size] for key, size in MIXED.items()}


def test_a_missing_large_object_may_be_skipped(open_store: OpenStore) -> None:
    """Also where it goes missing in the middle."""
    shelves = Shelves(**MIXED)
    shelves.shelves["k05"].then = {2: None}
    with shelves.server() as server:
        found = open_store(server).get_many(MIXED, on_missing="skip")
        assert found.keys() == MIXED.keys() - {"k05"}


def test_a_batch_of_large_objects_may_be_given_up(open_store: OpenStore) -> None:
    """In the middle; nothing of it goes on, and the store works."""
    sizes = {f"k{number}": 9 * PART for number in range(20)}
    with Shelves(**sizes).server() as server:
        store = open_store(server, executor=new_executor(4))
        objects = store.iter_many(sizes)
        assert next(objects)[1] == NOISE[: 9 * PART]
        objects.close()  # type: ignore[attr-defined]
        time.sleep(0.05)
        count = len(server.requests)
        assert count < 9 * 20
        time.sleep(0.05)
        assert len(server.requests) == count
        assert store.get("k3") == NOISE[: 9 * PART]


def test_many_threads_read_large_objects(open_store: OpenStore) -> None:
    """At the same time, and each gets its own."""
    sizes = {f"k{number}": (number + 2) * PART + number for number in range(8)}
    with Shelves(**sizes).server() as server:
        store = open_store(server, executor=new_executor(5))
        calls = [Background(lambda key=key: store.get(key)) for key in [*sizes, *sizes]]
        for key, call in zip([*sizes, *sizes], calls, strict=True):
            assert call.result(10) == NOISE[: sizes[key]]


# ------------------------------------------------------------------ into memory


def _buffers(size: int) -> Iterator[tuple[Any, memoryview]]:
    """Memory of all kinds for so many bytes, a multiple of eight, and the bytes of it."""
    for thing in (
        bytearray(size),
        array.array("d", bytes(size)),
        memoryview(bytearray(size + 9))[5 : 5 + size],
        memoryview(bytearray(size)).cast("B").cast("I", (size // 8, 2)),
        memoryview(bytearray(size + 80)).cast("B").cast("B", (size // 8 + 10, 8))[3 : 3 + size // 8],
    ):
        yield thing, memoryview(thing).cast("B")


@pytest.mark.parametrize("size", [8, 1000, 3 * PART])
def test_any_writable_memory_is_read_into(size: int, open_store: OpenStore) -> None:
    """Of whatever type; exactly as long, or longer."""
    with Shelf(NOISE[:size]).server() as server:
        store = open_store(server)
        for thing, view in _buffers(size):
            assert store.get_into("key", thing) == size
            assert view == NOISE[:size]
        for thing, view in _buffers(2 * size):
            assert store.get_into("key", thing) == size
            assert view[:size] == NOISE[:size]
            assert not any(view[size:])
        with mmap.mmap(-1, size) as mapped:
            assert store.get_into("key", mapped) == size
            assert mapped[:] == NOISE[:size]


@pytest.mark.parametrize(
    "buffer",
    [b"1234", memoryview(b"1234"), memoryview(bytearray(8))[::2], "1234", None, 4, [0]],
    ids=["bytes", "read-only", "with gaps", "text", "None", "a number", "a list"],
)
def test_what_is_no_writable_memory_is_a_type_error(buffer: Any, open_store: OpenStore) -> None:
    """Before anything is sent."""
    with Shelf(b"1234").server() as server:
        with pytest.raises(TypeError):
            open_store(server).get_into("key", buffer)
        assert server.requests == []


@pytest.mark.parametrize("size", [1, 100, PART, 2 * PART, 9 * PART])
@pytest.mark.parametrize("ranges", [True, False], ids=["heeds ranges", "ignores ranges"])
def test_a_buffer_that_is_too_small_is_a_value_error(
    size: int, ranges: bool, open_store: OpenStore
) -> None:
    """Whatever is missing; nothing is written to it, and the next read is of its own bytes."""
    shelf = Shelf(NOISE[:size])
    shelf.ranges = ranges
    with shelf.server() as server:
        store = open_store(server)
        for room in {0, size // 2, size - 1}:
            buffer = bytearray(room)
            for wanted in (None, slice(0, size), slice(-size, None)):
                with pytest.raises(ValueError, match="small") as caught:
                    store.get_into("key", buffer, byte_range=wanted)
                assert type(caught.value) is ValueError
                assert not any(buffer)
        assert store.get("key") == NOISE[:size]
        buffer = bytearray(size)
        assert store.get_into("key", buffer) == size
        assert buffer == NOISE[:size]
        assert store.get_into("key", buffer, byte_range=slice(0, 1)) == 1


@pytest.mark.parametrize("ranges", [True, False], ids=["heeds ranges", "ignores ranges"])
@pytest.mark.parametrize("size", [100, 3 * PART])
def test_a_range_is_read_into_memory(size: int, ranges: bool, open_store: OpenStore) -> None:
    """From its beginning on; also where the store sends more than was asked for."""
    shelf = Shelf(NOISE[:size])
    shelf.ranges = ranges
    with shelf.server() as server:
        store = open_store(server)
        for wanted in (
            slice(0, 10),
            slice(5, 20),
            slice(50, None),
            slice(-7, None),
            slice(99, 100),
            slice(3, 3),
            slice(None),
        ):
            expected = NOISE[:size][wanted]
            for extra in (0, 5, size):
                buffer = bytearray(b"." * (len(expected) + extra))
                assert store.get_into("key", buffer, byte_range=wanted) == len(expected)
                assert buffer == expected + b"." * extra
        for outside in (slice(0, size + 1), slice(size, None), slice(-size - 1, None)):
            with pytest.raises(s3kv.ByteRangeError):
                store.get_into("key", bytearray(2 * size), byte_range=outside)


def resize(buffer: bytearray) -> None:
    """Do so, which nobody can while somebody else has a view of it; threads may just be letting go."""
    end = time.monotonic() + 2
    while True:
        try:
            return buffer.append(1)
        except BufferError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)


@pytest.mark.parametrize("size", [0, 100, 5 * PART])
def test_memory_is_let_go_of_when_a_read_fails(size: int, transport: Any, open_store: OpenStore) -> None:
    """It can be closed where the exception is handled, and not only when the collector has been there."""
    shelf = Shelf(NOISE[:size])
    gc.disable()
    try:
        with shelf.server() as server:
            store = open_store(server, session=transport)
            for key, room, wanted, expected in (
                ("key", 2 * size + 9, None, None),
                ("key", 2 * size + 9, slice(size, size + 5), s3kv.ByteRangeError),
                ("key", max(0, size - 1), None, ValueError if size else None),
                ("key", 1, slice(0, 5), ValueError),
                ("missing", 9, None, s3kv.KeyNotFound),
                ("missing", 9, slice(0, 5), s3kv.KeyNotFound),
            ):
                if key == "missing":
                    shelf.then = {len(shelf.asked): None}
                buffer, raised = bytearray(room), []
                try:
                    store.get_into(key, buffer, byte_range=wanted)
                except (ValueError, KeyError) as error:
                    raised = [kind for kind in type(error).__mro__ if kind is expected]
                    resize(buffer)
                resize(buffer)
                assert raised == ([] if expected is None else [expected])
    finally:
        gc.enable()


def test_an_exception_of_the_callers_is_left_alone_when_a_read_fails(open_store: OpenStore) -> None:
    """Who reads into memory while he handles one still has all that its traceback holds."""

    def fail() -> None:
        kept = "a local"
        raise ZeroDivisionError(kept)

    def handle(store: s3kv.Store) -> None:
        try:
            fail()
        except ZeroDivisionError:
            with pytest.raises(ValueError, match="small"):
                store.get_into("key", bytearray(1))
            raise

    with Shelf(b"value").server() as server:
        store = open_store(server)
        with pytest.raises(ZeroDivisionError) as caught:
            handle(store)
    assert caught.traceback[-1].frame.f_locals == {"kept": "a local"}


def test_an_empty_object_is_read_into_anything(open_store: OpenStore) -> None:
    """Also into memory of no bytes."""
    with Shelf(b"").server() as server:
        store = open_store(server)
        for buffer in (bytearray(), bytearray(3), array.array("d"), memoryview(bytearray(2))[1:1]):
            assert store.get_into("key", buffer) == 0
        assert store.get_into("key", bytearray(), byte_range=slice(5, 5)) == 0


def test_a_missing_object_is_not_found_into_memory(open_store: OpenStore) -> None:
    """Whole or in part; the buffer stays what it was."""
    shelf = Shelf()
    shelf.then = {0: None}
    buffer = bytearray(b"as it was" * 100)
    with shelf.server() as server:
        store = open_store(server)
        for wanted in (None, slice(0, 5), slice(-5, None)):
            with pytest.raises(s3kv.KeyNotFound):
                store.get_into("key", buffer, byte_range=wanted)
    assert buffer == b"as it was" * 100


@pytest.mark.parametrize("place", [0, 1, 50, 99])
def test_a_body_that_is_cut_is_read_into_memory_again(place: int, open_store: OpenStore) -> None:
    """From its beginning where it cannot be read on: nothing of the first try is left."""
    shelf = Shelf(NOISE[:100])
    shelf.ranges = False
    shelf.faults = {0: [lambda peer, truth: cut(place)(peer, truth.replace(NOISE[:100], OTHER[:100]))]}
    with shelf.server() as server:
        buffer = bytearray(110)
        assert open_store(server, policy=FAST).get_into("key", buffer) == 100
        assert buffer == NOISE[:100] + bytes(10)


@pytest.mark.parametrize(
    "wrong",
    [
        answer(206, NOISE[:9], f"ETag: {ONE}", "Content-Range: bytes 0-9/100"),
        answer(206, NOISE[:11], f"ETag: {ONE}", "Content-Range: bytes 0-9/100"),
        answer(206, NOISE[:10], f"ETag: {ONE}", "Content-Range: bytes 1-10/100"),
        answer(206, NOISE[:10], f"ETag: {ONE}"),
    ],
    ids=["short", "long", "another", "of nowhere"],
)
def test_a_range_that_is_not_what_was_asked_for_is_refused(wrong: bytes, open_store: OpenStore) -> None:
    """As a plain read refuses it."""
    with ScriptedServer(then=[Forever(READ, _Always(wrong))], lenient=True) as server:
        store = open_store(server)
        with pytest.raises(s3kv.MalformedResponse):
            store.get_into("key", bytearray(20), byte_range=slice(0, 10))
        with pytest.raises(s3kv.MalformedResponse):
            store.get("key", byte_range=slice(0, 10))


class _Always(Step):
    """Answers every request with the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def run(self, peer: Peer) -> None:
        """Send them."""
        peer.send(self.data)


@pytest.mark.parametrize("size", [0, 100, PART, 5 * PART])
def test_a_session_reads_into_memory_too(size: int, open_store: OpenStore) -> None:
    """With the same bytes, and the same errors."""
    with requests.Session() as session, Shelf(NOISE[:size]).server() as server:
        store = open_store(server, session=session)
        buffer = bytearray(size + 1)
        assert store.get_into("key", buffer) == size
        assert buffer == NOISE[:size] + b"\0"
        assert store.get("key") == NOISE[:size]
        if size:
            with pytest.raises(ValueError, match="small"):
                store.get_into("key", bytearray(size - 1))
            assert store.get_into("key", buffer, byte_range=slice(-5, None)) == 5
            assert buffer[:5] == NOISE[size - 5 : size]


def test_a_read_into_memory_keeps_its_timeout(open_store: OpenStore) -> None:
    """The memory is the caller's again then."""
    shelf = Shelf(NOISE[:1000])
    shelf.always = {0: silence(500)}
    with shelf.server() as server:
        store = open_store(server, timeout=0.2)
        buffer = bytearray(1000)
        started = time.monotonic()
        # pytest.raises would keep the exception, and that what its frames hold.
        with contextlib.suppress(s3kv.DeadlineExceeded):
            raise AssertionError(store.get_into("key", buffer))
        assert 0.15 < time.monotonic() - started < 1
        buffer.extend(b"more")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)
