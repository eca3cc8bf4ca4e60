"""Values sent in parts: what is sent, what is sent again, and that nothing is left of what failed."""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.wire.helpers import Background
from tests.wire.memory_s3 import (
    MemoryS3,
    Turn,
    etag_of,
    late,
    operation_of,
    operations,
    part_of,
    sent,
    upload_of,
)
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    RESET,
    Recorded,
    Step,
    Wait,
    answer,
    error,
)
from tests.wire.test_wire_interrupts import running

WRITE_ID = "x-amz-meta-s3kv-write-id"
OTHER = b"other"
KIB, MIB = 1024, 1024**2
# What the fixture ``small`` makes of 8 MiB and 32 MiB.
PART, LARGE = 8 * KIB, 32 * KIB

MODES = {"headers": True, "look and headers": None}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
LOST = {"closed": CLOSE, "reset": RESET}
each_loss = pytest.mark.parametrize("lost", LOST.values(), ids=LOST)

Open = Callable[..., s3kv.Store]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values count as large from 32 KiB on, and parts be 8 KiB, so that tests need not send MiB."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", PART)
    monkeypatch.setattr("s3kv.payload._MIB", KIB)
    for module in ("payload", "writing", "many"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", LARGE)


def noise(size: int) -> bytes:
    """Return bytes of which no two parts are the same, the same on every run."""
    return random.Random(size).randbytes(size)


VALUE = noise(100_000)
PARTS = 13


class Pipe:
    """A reader of which nothing is known but ``read``; each gives as much as it likes.

    Args:
        value: What there is to read.
        most: The most that one ``read`` gives.
        fails: Raised in place of what comes after so many bytes.
    """

    def __init__(self, value: bytes, most: int = 1 << 60, fails: tuple[int, BaseException] | None = None):
        self._value = value
        self._most = most
        self._fails = fails
        self.position = 0

    def read(self, size: int) -> bytes:
        assert size > 0, "whoever asks for everything gets everything into memory"
        if self._fails is not None:
            at, exception = self._fails
            if self.position >= at:
                raise exception
            size = min(size, at - self.position)
        piece = self._value[self.position : self.position + min(size, self._most)]
        self.position += len(piece)
        return piece


FORMS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "file": io.BytesIO,
    "pipe": Pipe,
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


# ------------------------------------------------------------------------------------- what is sent


@each_form
def test_a_large_value_is_begun_sent_in_parts_and_completed(
    form: Callable[[bytes], Any], small: None, transport: Any, open_: Open
) -> None:
    """What it is to be stored with goes with the first request, and nothing but the ETags with the last."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server, session=transport)
        stamp = store.put("key", form(VALUE), content_type="text/x", metadata={"Colour": "red"})
        assert bucket.applied == [("POST", "key", VALUE)]
        assert stamp.generation == bucket.objects["key"].etag
        assert str(stamp.generation).endswith(f'-{PARTS}"')
        asked = operations(server)
        # On a store that is not Amazon's, a look tells the ETag that the object has.
        assert asked == [
            "CreateMultipartUpload",
            *["UploadPart"] * PARTS,
            "CompleteMultipartUpload",
            "HeadObject",
        ]
        begin, *parts, complete, _ = server.requests
        assert begin.header("content-type") == "text/x"
        assert begin.header("x-amz-meta-colour") == "red"
        by_number = {part_of(request): request for request in parts}
        assert sorted(by_number) == list(range(1, PARTS + 1))
        for number, request in by_number.items():
            assert request.body == VALUE[(number - 1) * PART : number * PART]
            assert not {name for name in request.names if name.startswith(("x-amz-meta", "if-"))}
        assert not {name for name in complete.names if name.startswith(("x-amz-meta", "if-"))}
        assert len({upload_of(request) for request in (*parts, complete)}) == 1
        assert store.stat("key").metadata == {"colour": "red"}
        assert (bucket.uploads, bucket.aborted) == ({}, [])


def test_the_digest_of_each_part_is_its_own(
    small: None, keys: None, open_store: Callable[..., s3kv.Store]
) -> None:
    """As it is signed."""
    bucket = MemoryS3()
    with bucket.server() as server:
        open_store(server, credentials="environment").put("key", VALUE)
        for request in server.requests:
            digest = hashlib.sha256(request.body).hexdigest()
            assert request.header("x-amz-content-sha256") == digest


@pytest.mark.parametrize("form", [FORMS["bytes"], FORMS["file"]], ids=["bytes", "file"])
@pytest.mark.parametrize("size", [0, 1, PART, LARGE - 1, LARGE])
def test_up_to_32_mib_a_value_is_one_request(
    size: int, form: Callable[[bytes], Any], small: None, open_: Open
) -> None:
    """A file's, too, when it can tell its length."""
    bucket = MemoryS3()
    with bucket.server() as server:
        value = noise(size)
        assert open_(server).put("key", form(value)).generation == etag_of(value)
        assert operations(server) == ["PutObject"]
        assert bucket.objects["key"].value == value


@pytest.mark.parametrize(
    ("size", "parts"),
    [(0, 0), (1, 0), (PART - 1, 0), (PART, 1), (PART + 1, 2), (2 * PART, 2), (LARGE, 4), (LARGE + 1, 5)],
)
@pytest.mark.parametrize("most", [1 << 60, 1000, 1], ids=["all at once", "1,000 at a time", "1 at a time"])
def test_what_cannot_tell_its_length_is_in_parts_from_8_mib_on(
    size: int, parts: int, most: int, small: None, open_: Open
) -> None:
    """However little each read gives; no part but the last is short."""
    bucket = MemoryS3()
    with bucket.server() as server:
        value = noise(size)
        open_(server).put("key", Pipe(value, most))
        assert bucket.objects["key"].value == value
        asked = operations(server)
        assert asked.count("UploadPart") == parts
        assert (asked == ["PutObject"]) == (parts == 0)
        lengths = sorted((len(request.body) for request in sent(server, "UploadPart")), reverse=True)
        assert set(lengths[:-1]) <= {PART}
        assert bucket.uploads == {}


@pytest.mark.parametrize("size", [LARGE + 1, LARGE + PART, 10 * PART])
@each_form
def test_no_part_is_empty(size: int, form: Callable[[bytes], Any], small: None, open_: Open) -> None:
    """A store may refuse one, and none is needed."""
    bucket = MemoryS3()
    with bucket.server() as server:
        open_(server).put("key", form(noise(size)))
        assert bucket.objects["key"].value == noise(size)
        assert min(len(request.body) for request in sent(server, "UploadPart")) > 0
        assert len(sent(server, "UploadPart")) == -(-size // PART)


@pytest.mark.parametrize(
    ("size", "expected"), [(8 * MIB, 0), (32 * MIB, 0), (32 * MIB + 1, 5)], ids=["8", "32", "32+1"]
)
def test_the_sizes_are_8_and_32_mib(size: int, expected: int, open_: Open) -> None:
    """This once without a fixture that makes them small."""
    bucket = MemoryS3()
    value = bytes(size)
    with bucket.server() as server:
        open_(server).put("key", io.BytesIO(value))
        assert bucket.objects["key"].value == value
        assert len(sent(server, "UploadPart")) == expected
        assert {len(request.body) for request in sent(server, "UploadPart")} <= {8 * MIB, 1}


@pytest.mark.parametrize("size", [100, 100_000], ids=["small", "large"])
def test_a_file_is_read_from_where_it_stands(size: int, small: None, tmp_path: Path, open_: Open) -> None:
    """To its end, and stays open."""
    path = tmp_path / "file"
    path.write_bytes(b"before" + noise(size))
    bucket = MemoryS3()
    with bucket.server() as server, path.open("rb") as file:
        file.seek(6)
        open_(server).put("key", file)
        assert bucket.objects["key"].value == noise(size)
        assert not file.closed
        # Now it stands at its end, and behind that there is nothing more.
        for position in (6 + size, 10 + size):
            file.seek(position)
            open_(server).put("rest", file)
            assert bucket.objects["rest"].value == b""


@pytest.mark.parametrize("size", [100, 100_000], ids=["small", "large"])
def test_a_pipe_of_the_system_is_read_to_its_end(size: int, small: None, open_: Open) -> None:
    """Buffered and raw, whose reads are short."""
    for buffering in (-1, 0):
        receiver, sender = os.pipe()
        bucket = MemoryS3()
        with bucket.server() as server, open(receiver, "rb", buffering=buffering) as file:
            writing = Background(partial(_feed, sender, noise(size)))
            open_(server).put("key", file)
            writing.result()
            assert bucket.objects["key"].value == noise(size)


def _feed(descriptor: int, value: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(value)


def test_what_reads_bytearrays_or_views_is_a_binary_file_too(small: None, open_: Open) -> None:
    """A reader may give the same buffer again and again."""

    class Recycling(Pipe):
        buffer = bytearray(1000)

        def read(self, size: int) -> Any:
            piece = super().read(min(size, 1000))
            self.buffer[: len(piece)] = piece
            return memoryview(self.buffer)[: len(piece)]

    bucket = MemoryS3()
    with bucket.server() as server:
        open_(server).put("key", Recycling(VALUE))
        assert bucket.objects["key"].value == VALUE


def test_a_file_that_claims_to_seek_but_cannot_is_read_all_the_same(small: None, open_: Open) -> None:
    """Some files of the system's own are so: their length is not known before they are read."""

    class Unseekable(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            if whence:
                raise io.UnsupportedOperation("nobody knows where the end is")
            return super().seek(offset)

    bucket = MemoryS3()
    with bucket.server() as server:
        open_(server).put("key", Unseekable(VALUE))
        assert bucket.objects["key"].value == VALUE


def test_a_buffer_is_let_go_of_when_it_was_sent(small: None, open_: Open) -> None:
    """A bytearray of which somebody holds a view cannot grow."""
    bucket = MemoryS3()
    with bucket.server() as server:
        value = bytearray(VALUE)
        open_(server).put("key", value)
        value += b"more"
        assert bucket.objects["key"].value == VALUE


@pytest.mark.parametrize("form", [io.BytesIO, Pipe], ids=["file", "pipe"])
def test_a_file_is_read_no_further_ahead_than_its_parts_are_sent(
    form: Callable[[bytes], Any], small: None, open_: Open
) -> None:
    """Ten parts and a little more are in memory, however long the file is."""
    go = threading.Event()
    taken = 0

    class Counting(Pipe):
        def read(self, size: int) -> bytes:
            nonlocal taken
            piece = super().read(size)
            taken += len(piece)
            arrived = sum(len(request.body) for request in sent(server, "UploadPart"))
            ahead.append(taken - arrived)
            return piece

    ahead: list[int] = []
    bucket = MemoryS3()
    bucket.turns["UploadPart"] = [Turn(acts=False, told=Held(go))] * 10
    value = noise(100 * PART)
    with bucket.server() as server:
        putting = Background(lambda: open_(server, timeout=10).put("key", Counting(value)))
        while len(sent(server, "UploadPart")) < 10:
            assert not putting.done(0.005)
        assert not putting.done(0.05)
        assert taken <= 11 * PART
        go.set()
        putting.result(10)
        assert bucket.objects["key"].value == value
        assert max(ahead) <= 11 * PART


class Held(Wait):
    """Wait, then close without an answer: the attempt was lost."""


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "file",
    [io.StringIO("text"), io.StringIO("text" * 100_000)],
    ids=["small", "large"],
)
def test_a_text_file_is_a_type_error(file: io.StringIO, small: None, open_: Open) -> None:
    """Before anything is sent."""
    with MemoryS3().server() as server:
        with pytest.raises(TypeError, match="binary mode"):
            open_(server).put("key", file)
        assert server.requests == []


def test_a_file_opened_as_text_is_a_type_error(small: None, tmp_path: Path, open_: Open) -> None:
    """It has a buffer, which is not asked for."""
    (tmp_path / "file").write_text("é" * 50_000, encoding="utf-8")
    with MemoryS3().server() as server, (tmp_path / "file").open(encoding="utf-8") as file:
        with pytest.raises(TypeError, match="binary mode"):
            open_(server).put("key", file)
        assert server.requests == []


class Odd(Pipe):
    """A reader that gives something else than bytes, from some point on."""

    def __init__(self, answer: Any, after: int = 0) -> None:
        super().__init__(noise(10 * PART))
        self._answer = answer
        self._after = after

    def read(self, size: int) -> Any:
        if self.position >= self._after:
            return self._answer
        return super().read(min(size, self._after - self.position))


@pytest.mark.parametrize("after", [0, 100, 3 * PART], ids=["at once", "early", "midway"])
@pytest.mark.parametrize("given", [None, "text", 7, [1]], ids=["None", "str", "int", "list"])
def test_a_reader_that_gives_no_bytes_is_a_type_error(
    given: Any, after: int, small: None, open_: Open
) -> None:
    """None, too, which means that there are none at the moment; what was sent is forgotten."""
    bucket = MemoryS3()
    with bucket.server() as server:
        with pytest.raises(TypeError):
            open_(server).put("key", Odd(given, after))
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_a_reader_that_gives_more_than_it_was_asked_for_is_refused(small: None, open_: Open) -> None:
    """It would not be known what to do with the rest."""
    bucket = MemoryS3()
    with bucket.server() as server:
        with pytest.raises(ValueError, match="asked for"):
            open_(server).put("key", Odd(bytes(LARGE + 2)))
        assert server.requests == []


@pytest.mark.parametrize("at", [0, 100, PART, 5 * PART + 1, 20 * PART], ids=str)
@pytest.mark.parametrize("kind", [OSError, RuntimeError, s3kv.S3KVError, KeyboardInterrupt])
def test_what_read_raises_comes_through(
    kind: type[BaseException], at: int, small: None, open_: Open
) -> None:
    """The very exception; nothing becomes visible, and the upload is forgotten."""
    raised = kind("the disk is on fire")
    bucket = MemoryS3(key=OTHER)
    with bucket.server() as server:
        store = open_(server)
        with pytest.raises(kind) as caught:
            store.put("key", Pipe(noise(30 * PART), fails=(at, raised)))
        assert caught.value is raised
        assert bucket.objects["key"].value == OTHER
        assert forgotten(bucket)
        assert bucket.applied == []
        # And the store works on.
        assert store.get("key") == OTHER


def forgotten(bucket: MemoryS3, seconds: float = 2.0) -> bool:
    """Whether no upload is left within so many seconds."""
    end = time.monotonic() + seconds
    while bucket.uploads and time.monotonic() < end:
        time.sleep(0.005)
    return not bucket.uploads


def test_the_file_of_a_closed_store_is_not_sent(small: None, open_: Open) -> None:
    """Whatever its length."""
    with MemoryS3().server() as server:
        store = open_(server)
        child = store / "a/"
        # Closing a child closes no other.
        child.close()
        for closed in (child, store):
            closed.close()
            for value in (Pipe(VALUE), io.BytesIO(VALUE), VALUE):
                with pytest.raises(s3kv.S3KVError, match="closed"):
                    closed.put("key", value)
        assert server.requests == []


# ---------------------------------------------------------------------------------- many in a batch


def test_a_batch_may_have_large_values_between_small_ones(small: None, open_: Open) -> None:
    """In any form; each arrives whole."""
    items: list[tuple[str, Any]] = [
        ("a", b"1"),
        ("b", VALUE),
        ("c", io.BytesIO(b"22")),
        ("d", io.BytesIO(VALUE)),
        ("e", Pipe(VALUE, 5000)),
        ("f", Pipe(b"333")),
        ("g", b""),
    ]
    bucket = MemoryS3()
    with bucket.server() as server:
        stamps = open_(server).put_many(items)
        found = {key: stored.value for key, stored in bucket.objects.items()}
        assert found == {"a": b"1", "b": VALUE, "c": b"22", "d": VALUE, "e": VALUE, "f": b"333", "g": b""}
        assert {key: stamp.generation for key, stamp in stamps.items()} == {
            key: stored.etag for key, stored in bucket.objects.items()
        }
        assert bucket.uploads == {}


@pytest.mark.parametrize(
    "values",
    [
        (b"1", VALUE, b"3"),
        (VALUE, b"2"),
        (b"1", VALUE),
        (VALUE, VALUE[:50_000]),
        (b"1", VALUE, b"3", VALUE),
    ],
    ids=["small large small", "large small", "small large", "large large", "and again"],
)
def test_the_last_value_of_a_key_stays(values: tuple[bytes, ...], small: None, open_: Open) -> None:
    """Whichever of them are large."""
    bucket = MemoryS3()
    with bucket.server() as server:
        stamps = open_(server).put_many([("key", value) for value in values] + [("other", b"x")])
        assert bucket.objects["key"].value == values[-1]
        assert stamps["key"].generation == bucket.objects["key"].etag
        assert [value for _, key, value in bucket.applied if key == "key"][-1] == values[-1]


@pytest.mark.parametrize("at", [0, 5 * PART], ids=["small", "large"])
def test_a_file_of_a_batch_that_cannot_be_read_is_an_error_of_its_key(
    at: int, small: None, open_: Open
) -> None:
    """All others are put."""
    broken = OSError("the disk is on fire")
    items = [("a", b"1"), ("bad", Pipe(VALUE, fails=(at, broken))), ("c", b"3"), ("d", VALUE)]
    bucket = MemoryS3()
    with bucket.server() as server:
        with pytest.raises(s3kv.BatchError) as caught:
            open_(server).put_many(items)
        assert caught.value.errors == {"bad": broken}
        assert caught.value.results.keys() == {"a", "c", "d"}
        assert bucket.objects.keys() == {"a", "c", "d"}
        assert bucket.uploads == {}


def test_a_large_value_of_a_batch_that_the_store_refuses_is_an_error_of_its_key(
    small: None, open_: Open
) -> None:
    """All others are put."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 3"] = [Turn(acts=False, told=error(403, "AccessDenied"))]
    with bucket.server() as server:
        with pytest.raises(s3kv.BatchError) as caught:
            open_(server).put_many([("a", b"1"), ("bad", VALUE), ("c", VALUE)])
        assert isinstance(caught.value.errors["bad"], s3kv.PermissionDenied)
        assert caught.value.errors.keys() == {"bad"}
        assert bucket.objects.keys() == {"a", "c"}
        assert len(bucket.aborted) == 1


@pytest.mark.parametrize(
    "told",
    [error(412, "PreconditionFailed"), late("PreconditionFailed"), answer(304)],
    ids=["412", "late", "304"],
)
def test_a_refusal_of_what_had_no_condition_is_no_success(
    told: bytes, small: None, tmp_path: Path, open_: Open
) -> None:
    """Whoever asks for none does not expect that it does not hold: it is an error like any other."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(acts=False, told=told)] * 3
    (tmp_path / "file").write_bytes(VALUE)
    with bucket.server() as server:
        store = open_(server)
        with pytest.raises(s3kv.BatchError) as caught:
            store.put_many({"a": b"1", "bad": VALUE})
        assert isinstance(caught.value.errors["bad"], s3kv.S3KVError)
        assert caught.value.results.keys() == {"a"}
        for put in (store.put, store.write):
            with pytest.raises(s3kv.S3KVError) as single:
                put("key", VALUE)
            assert single.value.status in (304, 412)
            assert "generation" not in str(single.value)
        assert bucket.objects.keys() == {"a"}
        assert bucket.uploads == {}


# ------------------------------------------------------------------------------------- tried again

TRANSIENT: dict[str, bytes | Step] = {
    "503": error(503, "SlowDown"),
    "500": error(500, "InternalError"),
    "closed": CLOSE,
    "reset": RESET,
}


@each_form
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("told", TRANSIENT.values(), ids=TRANSIENT)
def test_a_part_that_failed_is_sent_again_alone(
    form: Callable[[bytes], Any], acts: bool, told: bytes | Step, small: None, open_: Open
) -> None:
    """The others are not, and what cannot be read again need not be."""
    bucket = MemoryS3()
    bucket.turns = {
        name: [Turn(acts=acts, told=told)] * 2
        for name in ("UploadPart 1", "UploadPart 7", f"UploadPart {PARTS}")
    }
    with bucket.server() as server:
        open_(server).put("key", form(VALUE))
        assert bucket.applied == [("POST", "key", VALUE)]
        numbers = sorted(part_of(request) for request in sent(server, "UploadPart"))
        assert numbers == sorted([*range(1, PARTS + 1), *[1, 7, PARTS] * 2])
        assert len(sent(server, "CreateMultipartUpload")) == 1


@pytest.mark.parametrize("told", TRANSIENT.values(), ids=TRANSIENT)
def test_a_beginning_that_failed_is_tried_again(told: bytes | Step, small: None, open_: Open) -> None:
    """Nothing has been sent yet."""
    bucket = MemoryS3()
    bucket.turns["CreateMultipartUpload"] = [Turn(acts=False, told=told)]
    with bucket.server() as server:
        open_(server).put("key", VALUE)
        assert bucket.applied == [("POST", "key", VALUE)]


FINAL = {"403": error(403, "AccessDenied"), "400": error(400, "InvalidDigest")}
STAGES = ("CreateMultipartUpload", "UploadPart 4", "CompleteMultipartUpload")


@each_form
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("told", FINAL.values(), ids=FINAL)
def test_an_upload_that_fails_for_good_is_forgotten(
    form: Callable[[bytes], Any], stage: str, told: bytes, small: None, open_: Open
) -> None:
    """At whatever point; the error is that of the request that failed."""
    bucket = MemoryS3(key=OTHER)
    bucket.turns[stage] = [Turn(acts=False, told=told)]
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            open_(server).put("key", form(VALUE))
        assert caught.value.operation == stage.split()[0]
        assert (caught.value.key, caught.value.attempts) == ("key", 1)
        assert bucket.objects["key"].value == OTHER
        assert bucket.uploads == {}
        assert len(bucket.aborted) == (stage != STAGES[0])
        assert len(sent(server, "CreateMultipartUpload")) == 1


def test_a_part_that_never_gets_through_is_given_up(small: None, open_: Open) -> None:
    """After as many attempts as any request, and the rest is not sent."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 2"] = [Turn(acts=False, told=error(503, "SlowDown"))] * 4
    with bucket.server() as server:
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            open_(server).put("key", noise(200 * PART))
        assert (caught.value.operation, caught.value.attempts) == ("UploadPart", 4)
        assert (bucket.applied, bucket.uploads) == ([], {})
        assert len(sent(server, "UploadPart")) < 100


@pytest.mark.parametrize(
    "turns",
    [
        [Turn(acts=False, told=error(503, "SlowDown"))] * 2,
        [Turn(told=CLOSE)],
        [Turn(told=error(500, "InternalError"))],
    ],
    ids=["503", "lost", "500"],
)
def test_forgetting_is_tried_again_too(turns: list[Turn], small: None, open_: Open) -> None:
    """An upload that is gone by then is forgotten."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 2"] = [Turn(acts=False, told=error(403, "AccessDenied"))]
    bucket.turns["AbortMultipartUpload"] = turns
    with bucket.server() as server:
        with pytest.raises(s3kv.PermissionDenied):
            open_(server).put("key", VALUE)
        assert bucket.uploads == {}
        assert len(bucket.aborted) == 1


def test_an_upload_that_cannot_be_forgotten_is_no_other_error(small: None, open_: Open) -> None:
    """What went wrong first is what the caller is to know."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 2"] = [Turn(acts=False, told=error(403, "AccessDenied", message="first"))]
    bucket.turns["AbortMultipartUpload"] = [Turn(acts=False, told=error(403, "AccessDenied"))] * 9
    with bucket.server() as server:
        with pytest.raises(s3kv.PermissionDenied, match="first"):
            open_(server).put("key", VALUE)
        assert len(sent(server, "AbortMultipartUpload")) == 1


@pytest.mark.parametrize(
    "told",
    [answer(200), answer(200, b"<html/>"), answer(200, b"<r><UploadId> </UploadId></r>")],
    ids=["empty", "HTML", "blank"],
)
def test_a_beginning_that_names_no_upload_is_malformed(told: bytes, small: None, open_: Open) -> None:
    """No part is sent to nowhere."""
    bucket = MemoryS3()
    bucket.turns["CreateMultipartUpload"] = [Turn(acts=False, told=told)]
    with bucket.server() as server:
        with pytest.raises(s3kv.MalformedResponse) as caught:
            open_(server).put("key", VALUE)
        assert (caught.value.operation, caught.value.status) == ("CreateMultipartUpload", 200)
        assert not sent(server, "UploadPart")
        assert len(sent(server, "CreateMultipartUpload")) == 1


def test_a_part_without_an_etag_is_malformed(small: None, open_: Open) -> None:
    """The upload could not be completed without it."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 2"] = [Turn(told=answer(200))]
    with bucket.server() as server:
        with pytest.raises(s3kv.MalformedResponse) as caught:
            open_(server).put("key", VALUE)
        assert caught.value.operation == "UploadPart"
        assert (bucket.applied, bucket.uploads) == ([], {})


# -------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "SomethingNew"])
def test_a_completion_that_fails_late_is_tried_again(code: str, small: None, open_: Open) -> None:
    """The store had begun to answer before it knew."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(acts=False, told=late(code))] * 2
    with bucket.server() as server:
        open_(server).put("key", VALUE)
        assert bucket.applied == [("POST", "key", VALUE)]
        assert len(sent(server, "CompleteMultipartUpload")) == 3
        assert len(sent(server, "UploadPart")) == PARTS


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidPart", "EntityTooSmall", "NoSuchUpload"])
def test_a_completion_that_fails_late_for_good_is_final(code: str, small: None, open_: Open) -> None:
    """It is not asked for again."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(acts=False, told=late(code))]
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            open_(server).put("key", VALUE)
        assert (caught.value.code, caught.value.operation) == (code, "CompleteMultipartUpload")
        assert len(sent(server, "CompleteMultipartUpload")) == 1
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_spaces_that_kept_the_connection_open_are_no_part_of_the_answer(small: None, open_: Open) -> None:
    """S3 sends them while it puts the parts together."""
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n      \n   \n<CompleteMultipartUploadResult>'
        b"<ETag>&quot;9b2cf535f27731c974343645a3985328-13&quot;</ETag></CompleteMultipartUploadResult>"
    )
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=answer(200, body))]
    with bucket.server() as server:
        bucket.looks = [Turn(acts=False, told=answer(404))] * 2
        stamp = open_(server).put("key", VALUE)
        assert stamp.generation == '"9b2cf535f27731c974343645a3985328-13"'


def test_an_empty_etag_in_the_answer_is_made_up_for(small: None, open_: Open) -> None:
    """RADOS Gateway leaves it out where an answer is asked for again; it is known what it must be."""
    body = b"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=answer(200, body))]
    with bucket.server() as server:
        store = open_(server)
        stamp = store.put("key", VALUE)
        assert stamp.generation == store.stat("key").etag


@pytest.mark.parametrize("again", [None, error(412, "PreconditionFailed"), late("PreconditionFailed")])
@each_mode
def test_the_refusal_that_follows_a_lost_answer_may_be_the_trace_of_success(
    again: bytes | None, mode: bool | None, small: None, open_: Open
) -> None:
    """Whatever the store says of an upload that it has completed already."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=CLOSE), Turn(told=again)]
    with bucket.server() as server:
        stamp = open_(server, mode).put("key", Pipe(VALUE), if_absent=True)
        assert stamp.generation == bucket.objects["key"].etag
        assert bucket.applied == [("POST", "key", VALUE)]


@pytest.mark.parametrize(
    "again", [error(409, "ConditionalRequestConflict"), late("ConditionalRequestConflict")]
)
@pytest.mark.parametrize("form", [bytes, Pipe], ids=["bytes", "pipe"])
@pytest.mark.parametrize("conditional", ["if_absent", "if_equal"])
def test_a_completion_that_met_its_own_first_attempt_succeeded(
    again: bytes, form: Callable[[bytes], Any], conditional: str, small: None, open_: Open
) -> None:
    """However the store says that another write is under way: nothing is uploaded again."""
    bucket = MemoryS3() if conditional == "if_absent" else MemoryS3(key=OTHER)
    condition: Any = {"if_absent": True} if conditional == "if_absent" else {"if_equal": etag_of(OTHER)}
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=CLOSE), Turn(acts=False, told=again)]
    with bucket.server() as server:
        stamp = open_(server).put("key", form(VALUE), **condition)
        assert stamp.generation == bucket.objects["key"].etag
        assert bucket.applied == [("POST", "key", VALUE)]
        assert len(sent(server, "CreateMultipartUpload")) == 1


def test_the_generation_is_the_one_that_the_object_has(small: None, open_: Open) -> None:
    """Some stores tell another when an upload is completed."""
    body = f"<CompleteMultipartUploadResult><ETag>{etag_of(b'told')}</ETag></CompleteMultipartUploadResult>"
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=answer(200, body.encode()))]
    with bucket.server() as server:
        store = open_(server)
        assert store.put("key", VALUE).generation == bucket.objects["key"].etag == store.stat("key").etag


@pytest.mark.parametrize(
    "look",
    [
        [Turn(acts=False, told=answer(403)), Turn(acts=False, told=error(403, "AccessDenied"))],
        [Turn(acts=False, told=answer(503))] * 4,
        [Turn(acts=False, told=answer(404))] * 2,
        [Turn(acts=False, told=answer(200, b"", f"ETag: {etag_of(OTHER)}", f"{WRITE_ID}: theirs"))],
    ],
    ids=["refused", "broken", "missing", "another's"],
)
def test_a_look_that_does_not_show_ours_leaves_what_was_told(
    look: list[Turn], small: None, open_: Open
) -> None:
    """The object was written, whatever has become of it since."""
    bucket = MemoryS3()
    bucket.looks = look
    with bucket.server() as server:
        stamp = open_(server).put("key", VALUE)
        assert stamp.generation == bucket.objects["key"].etag
        assert bucket.aborted == []


@each_form
@each_loss
@pytest.mark.parametrize("condition", ["none", "if_absent", "if_equal"])
def test_a_completion_that_was_carried_out_though_its_answer_was_lost_succeeded(
    form: Callable[[bytes], Any], lost: Step, condition: str, small: None, open_: Open
) -> None:
    """The next attempt finds no such upload, and a look finds ours by its id."""
    bucket = MemoryS3(**({"key": OTHER} if condition == "if_equal" else {}))
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=lost)]
    with bucket.server() as server:
        store = open_(server)
        if condition == "if_absent":
            stamp = store.put("key", form(VALUE), if_absent=True)
        elif condition == "if_equal":
            stamp = store.put("key", form(VALUE), if_equal=etag_of(OTHER))
        else:
            stamp = store.put("key", form(VALUE))
        assert stamp.generation == bucket.objects["key"].etag
        assert bucket.applied == [("POST", "key", VALUE)]
        assert len(sent(server, "CompleteMultipartUpload")) == 2
        assert bucket.aborted == []
        assert store.stat("key").metadata == {}


@each_loss
@pytest.mark.parametrize("acts", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("after", [OTHER, None], ids=["replaced", "deleted"])
@pytest.mark.parametrize("conditional", [True, False])
def test_a_completion_whose_trace_somebody_else_covered_is_never_called_a_success(
    lost: Step, acts: bool, after: bytes | None, conditional: bool, small: None, open_: Open
) -> None:
    """Unknown; under ``if_absent``, one who came first is a condition that failed."""
    bucket = MemoryS3()

    def cover() -> None:
        bucket.set("key", after)
        bucket.uploads.clear()

    bucket.turns["CompleteMultipartUpload"] = [Turn(acts=acts, told=lost, then=cover)]
    with bucket.server() as server:
        with pytest.raises((s3kv.OutcomeUnknown, s3kv.ConditionFailed)) as caught:
            open_(server).put("key", VALUE, if_absent=conditional)
        if not (conditional and after):
            assert isinstance(caught.value, s3kv.OutcomeUnknown)
        assert (caught.value.operation, caught.value.key) == ("CompleteMultipartUpload", "key")


def test_a_completion_is_unknown_when_nobody_can_look(small: None, open_: Open) -> None:
    """The error has why as its cause."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=CLOSE)]
    bucket.looks = [Turn(acts=False, told=answer(403)), Turn(acts=False, told=error(403, "AccessDenied"))]
    with bucket.server() as server:
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            open_(server).put("key", VALUE)
        assert isinstance(caught.value.__cause__, s3kv.PermissionDenied)


# ------------------------------------------------------------------------------------- conditions


def conditions(request: Recorded) -> tuple[str | None, str | None]:
    """Return what a request says under which conditions it is to be done."""
    return request.header("if-match"), request.header("if-none-match")


def test_a_condition_goes_with_the_completion_alone(small: None, open_: Open) -> None:
    """On a store that decides by itself nobody looks before."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        stamp = store.put("key", VALUE, if_absent=True)
        store.put("key", VALUE[::-1], if_equal=stamp.generation)
        asked = operations(server)
        assert asked.index("HeadObject") > asked.index("CompleteMultipartUpload")
        assert asked.count("HeadObject") == 2
        told = [conditions(request) for request in sent(server, "CompleteMultipartUpload")]
        assert told == [(None, "*"), (stamp.generation, None)]
        others = [r for r in server.requests if operation_of(r) != "CompleteMultipartUpload"]
        assert {conditions(request) for request in others} == {(None, None)}
        ids = [request.header(WRITE_ID) for request in sent(server, "CreateMultipartUpload")]
        assert len(set(ids)) == 2
        assert None not in ids


@each_form
@pytest.mark.parametrize("conditional", ["if_absent", "if_equal"])
@pytest.mark.parametrize("mode", [True, None, False], ids=["headers", "look and headers", "look"])
def test_a_condition_that_does_not_hold_leaves_everything_as_it_was(
    form: Callable[[bytes], Any], conditional: str, mode: bool | None, small: None, open_: Open
) -> None:
    """And the upload is forgotten."""
    bucket = MemoryS3(key=OTHER)
    options: dict[str, Any] = {"if_absent": True}
    if conditional == "if_equal":
        options = {"if_equal": etag_of(b"another")}
    with bucket.server() as server:
        with pytest.raises(s3kv.ConditionFailed) as caught:
            open_(server, mode).put("key", form(VALUE), **options)
        assert caught.value.key == "key"
        assert bucket.objects["key"].value == OTHER
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_a_condition_on_an_object_that_is_gone_does_not_hold(small: None, open_: Open) -> None:
    """The store finds nothing to compare with, and says 404."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        with pytest.raises(s3kv.ConditionFailed):
            store.put("key", VALUE, if_equal=etag_of(OTHER))
        assert store.write("key", VALUE, if_equal=etag_of(OTHER)).generation == StorageGeneration.UNKNOWN
        assert (bucket.applied, bucket.uploads) == ([], {})
        assert len(bucket.aborted) == 2


@pytest.mark.parametrize(
    "told", [error(409, "ConditionalRequestConflict"), late("ConditionalRequestConflict")]
)
@pytest.mark.parametrize("form", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_a_completion_that_met_another_write_is_the_whole_upload_again(
    told: bytes, form: Callable[[bytes], Any], small: None, open_: Open
) -> None:
    """With another id, after the first was forgotten."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [Turn(acts=False, told=told)] * 2
    with bucket.server() as server:
        open_(server).put("key", form(VALUE), if_absent=True)
        assert bucket.applied == [("POST", "key", VALUE)]
        uploads = [upload_of(request) for request in sent(server, "CompleteMultipartUpload")]
        assert len(set(uploads)) == 3
        assert bucket.aborted == uploads[:2]
        assert len(sent(server, "UploadPart")) == 3 * PARTS
        ids = {request.header(WRITE_ID) for request in sent(server, "CreateMultipartUpload")}
        assert len(ids) == 3


def test_a_file_is_read_again_from_where_it_stood(small: None, open_: Open) -> None:
    """Not from its start."""
    bucket = MemoryS3()
    bucket.turns["CompleteMultipartUpload"] = [
        Turn(acts=False, told=error(409, "ConditionalRequestConflict"))
    ]
    with bucket.server() as server:
        file = io.BytesIO(b"before" + VALUE)
        file.seek(6)
        open_(server).put("key", file, if_absent=True)
        assert bucket.applied == [("POST", "key", VALUE)]


def test_uploads_that_meet_other_writes_for_ever_are_given_up(small: None, open_: Open) -> None:
    """After as many as any request is tried; none is left."""
    bucket = MemoryS3()
    conflict = Turn(acts=False, told=error(409, "ConditionalRequestConflict"))
    bucket.turns["CompleteMultipartUpload"] = [conflict] * 50
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            open_(server).put("key", VALUE, if_absent=True)
        assert caught.value.code == "ConditionalRequestConflict"
        assert len(sent(server, "CompleteMultipartUpload")) == 4
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_what_cannot_be_read_again_is_not_sent_again(small: None, open_: Open) -> None:
    """A conflict is an error then; half a stream is no value."""
    bucket = MemoryS3()
    conflict = Turn(acts=False, told=error(409, "ConditionalRequestConflict"))
    bucket.turns["CompleteMultipartUpload"] = [conflict]
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            open_(server).put("key", Pipe(VALUE), if_absent=True)
        assert caught.value.code == "ConditionalRequestConflict"
        assert (bucket.applied, bucket.uploads) == ([], {})
        assert len(sent(server, "CreateMultipartUpload")) == 1


def test_a_gateway_gets_the_condition_as_it_understands_it(small: None, open_: Open) -> None:
    """RADOS Gateway compares ETags without their quotes."""
    bucket = MemoryS3(key=OTHER)
    bucket.unquoted = True
    bucket.extra = ("x-amz-request-id: tx00000a-0063-1037-default",)
    with bucket.server() as server:
        open_(server).put("key", VALUE, if_equal=etag_of(OTHER))
        assert bucket.applied == [("POST", "key", VALUE)]
        told = [conditions(request)[0] for request in sent(server, "CompleteMultipartUpload")]
        assert told == [etag_of(OTHER), etag_of(OTHER).strip('"')]
        assert bucket.aborted == []


def test_modify_may_make_a_large_value(small: None, open_: Open) -> None:
    """Nobody's update is lost over it."""
    bucket = MemoryS3(key=b"1")
    bucket.turns["CompleteMultipartUpload"] = [
        Turn(acts=False, told=error(412, "PreconditionFailed"), then=partial(bucket.set, "key", b"2"))
    ]
    with bucket.server() as server:
        open_(server).modify("key", lambda old: (old or b"") + VALUE)
        assert bucket.applied == [("POST", "key", b"2" + VALUE)]
        assert bucket.uploads == {}


# ---------------------------------------------------------------------------------- cut short


STALLS = ("CreateMultipartUpload", "UploadPart 5", "CompleteMultipartUpload")


@pytest.mark.parametrize("stage", STALLS)
@each_form
def test_an_upload_ends_with_the_timeout(
    stage: str, form: Callable[[bytes], Any], small: None, open_: Open
) -> None:
    """Within half a second of it; the upload is forgotten."""
    bucket = MemoryS3()
    bucket.turns[stage] = [Turn(acts=False, told=HOLD)]
    with bucket.server() as server:
        call = Background(lambda: open_(server, timeout=0.3).put("key", form(VALUE)))
        assert isinstance(call.error(), s3kv.DeadlineExceeded)
        assert 0.2 < call.seconds < 0.8
        assert bucket.applied == []
        assert forgotten(bucket)


@pytest.mark.parametrize(
    "told",
    [error(403, "AccessDenied"), error(503, "SlowDown", "Retry-After: 30"), HOLD],
    ids=["refused", "busy", "silent"],
)
def test_a_store_that_does_not_forget_keeps_nobody_past_the_timeout(
    told: bytes | Step, small: None, open_: Open
) -> None:
    """Whether the upload failed before it, or because of it."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 5"] = [Turn(acts=False, told=told)]
    bucket.turns["AbortMultipartUpload"] = [Turn(acts=False, told=HOLD)] * 9
    patient = {"max_retries": 4, "initial_delay": "1ms", "max_delay": "32s"}
    with bucket.server() as server:
        store = open_(server, timeout=0.5, s3_request_retries=patient)
        call = Background(lambda: store.put("key", VALUE))
        assert isinstance(call.error(12), (s3kv.DeadlineExceeded, s3kv.PermissionDenied))
        assert call.seconds < 1.0
        assert bucket.applied == []
        store.close()


@pytest.mark.parametrize("form", [FORMS["bytes"], FORMS["pipe"]], ids=["bytes", "pipe"])
@pytest.mark.parametrize("stage", STALLS[1:])
def test_an_upload_ends_when_the_store_is_closed(
    form: Callable[[bytes], Any], stage: str, small: None, open_: Open
) -> None:
    """At once, by whatever thread; the upload is forgotten all the same."""
    bucket = MemoryS3()
    bucket.turns[stage] = [Turn(acts=False, told=HOLD)]
    waiting = stage.split()[0]
    with bucket.server() as server:
        store = open_(server)
        call = Background(lambda: store.put("key", form(VALUE)))
        while not (sent(server, waiting) and (waiting != "UploadPart" or bucket.turns[stage] == [])):
            assert not call.done(0.005)
        assert not call.done(0.05)
        closed = time.monotonic()
        store.close()
        assert "closed" in str(call.error(1))
        assert time.monotonic() - closed < 0.5
        assert bucket.applied == []
        assert forgotten(bucket)


PROGRAM = """
import s3kv.many, s3kv.payload, s3kv.writing
s3kv.payload.PART_BYTES, s3kv.payload._MIB = 8192, 1024
s3kv.payload.LARGE_VALUE = s3kv.writing.LARGE_VALUE = 32768
"""

# How the prompt comes back, and what happens then.
ENDINGS = {
    "goes on": """
try:
    store.put("key", bytes(100_000))
except KeyboardInterrupt:
    say("prompt")
assert store.get("other") == b"other"
say("works")
sys.stdin.readline()
""",
    "ends": """
try:
    store.put("key", bytes(100_000))
except KeyboardInterrupt:
    say("prompt")
""",
    "closes": """
try:
    with opened() as store:
        store.put("key", bytes(100_000))
except KeyboardInterrupt:
    say("prompt")
time.sleep(0.5)
""",
    "closes and ends": """
try:
    with opened() as store:
        store.put("key", bytes(100_000))
except KeyboardInterrupt:
    say("prompt")
""",
}


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("stage", STALLS[1:])
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_ctrl_c_gives_the_prompt_back_and_has_the_upload_forgotten(ending: str, stage: str) -> None:
    """The prompt within half a second, the rest behind it within two, whatever the program does next."""
    bucket = MemoryS3(other=OTHER)
    bucket.turns[stage] = [Turn(acts=False, told=HOLD)] * 99
    waiting = stage.split()[0]
    with bucket.server() as server, running(PROGRAM + ending, server.url) as program:
        deadline = time.monotonic() + 10
        while not sent(server, waiting) or (waiting == "UploadPart" and len(bucket.turns[stage]) == 99):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        pressed = program.interrupt()
        assert program.line() == ["prompt"]
        assert time.monotonic() - pressed < 0.5
        if "works" in ending:
            assert program.line() == ["works"]
        assert forgotten(bucket, pressed + 2.0 - time.monotonic())
        assert bucket.applied == []
        if "stdin" in ending:
            program.process.kill()
        else:
            output, errors = program.end(4)
            assert (output, errors, program.process.returncode) == ("", "", 0)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_an_upload_that_is_not_forgotten_does_not_keep_the_interpreter() -> None:
    """Two seconds are given to a store that says nothing any more."""
    bucket = MemoryS3()
    bucket.turns["UploadPart 5"] = [Turn(acts=False, told=HOLD)] * 99
    bucket.turns["AbortMultipartUpload"] = [Turn(acts=False, told=HOLD)] * 99
    with bucket.server() as server, running(PROGRAM + ENDINGS["ends"], server.url) as program:
        deadline = time.monotonic() + 10
        while len(bucket.turns["UploadPart 5"]) == 99:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        pressed = program.interrupt()
        assert program.line() == ["prompt"]
        program.end(4)
        assert time.monotonic() - pressed < 3.0
