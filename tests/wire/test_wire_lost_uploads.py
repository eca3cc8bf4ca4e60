"""Uploads whose ids were lost with an answer: forgotten by the store; those of others are left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.operations.begin_upload import Beginning, begin_upload
from s3kv.operations.known_uploads import KNOWN
from s3kv.parts import Target
from tests.wire.memory_s3 import MemoryS3, Turn, Upload, operation_of, operations
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    RESET,
    Forever,
    Peer,
    ScriptedServer,
    Step,
    answer,
    error,
)
from tests.wire.test_wire_interrupts import running
from tests.wire.test_wire_multipart import VALUE, Open, forgotten, small

__all__ = ["small"]

CREATE = "CreateMultipartUpload"
LOST: dict[str, bytes | Step] = {
    "closed": CLOSE,
    "reset": RESET,
    "an error that may have acted": error(500, "InternalError"),
}


@pytest.fixture(autouse=True)
def _nothing_is_known_for_ever() -> Iterator[None]:
    yield
    assert not KNOWN._asking
    assert not KNOWN._uploads


def foreign(**differs: Any) -> Upload:
    """Return an upload that could be ours, but for what is said."""
    return Upload(**{"key": "key", "headers": (), "parts": {}, **differs})


def put(bucket: MemoryS3, open_: Open, **options: Any) -> None:
    """Write a large value."""
    with bucket.server() as server:
        stamp = open_(server, **options).put("key", VALUE)
        assert stamp.generation == bucket.objects["key"].etag
        assert bucket.objects["key"].value == VALUE


@pytest.mark.parametrize("told", LOST.values(), ids=LOST)
@pytest.mark.parametrize("count", [1, 3])
def test_what_lost_answers_began_is_forgotten(
    told: bytes | Step, count: int, small: None, open_: Open
) -> None:
    """However many there were."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=told)] * count
    put(bucket, open_)
    assert bucket.uploads == {}
    assert len(bucket.aborted) == count


def test_nothing_is_asked_where_no_answer_was_lost(small: None, open_: Open) -> None:
    """A refusal that is certain is none."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(False, error(503, "SlowDown"))]
    with bucket.server() as server:
        open_(server).put("key", VALUE)
        assert "ListMultipartUploads" not in operations(server)


def test_a_key_is_taken_for_no_other(small: None, open_: Open) -> None:
    """Whatever is in it: the store lists all that begin with it."""
    key = "a b+c%2F&<é>/\u20ac"
    longer = foreign(key=f"{key}x")
    bucket = MemoryS3()
    bucket.uploads["longer"] = longer
    bucket.turns[CREATE] = [Turn(told=CLOSE, then=lambda: setattr(longer, "initiated", time.time()))]
    with bucket.server() as server:
        open_(server).put(key, VALUE)
    assert list(bucket.uploads) == ["longer"]
    assert len(bucket.aborted) == 1


# What keeps an upload from being taken for ours.
OTHERS: dict[str, Callable[[], Upload]] = {
    "begun before": lambda: foreign(initiated=time.time() - 5),
    "begun later": lambda: foreign(initiated=time.time() + 5),
    "by somebody else": lambda: foreign(initiator="they"),
    "with a part": lambda: foreign(parts={1: (b"1", '"1"')}),
}


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_somebody_elses_stays(
    other: Callable[[], Upload], acts: bool, small: None, open_: Open
) -> None:
    """Also where nothing of ours is left."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(acts, CLOSE, then=lambda: bucket.uploads.update(theirs=other()))]
    put(bucket, open_)
    assert "theirs" in bucket.uploads
    assert "theirs" not in bucket.aborted


def test_where_one_may_be_somebody_elses_all_stay(small: None, open_: Open) -> None:
    """Of two that look alike, and one lost answer, nobody can tell which is ours."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=CLOSE, then=lambda: bucket.uploads.update(theirs=foreign()))]
    put(bucket, open_)
    assert len(bucket.uploads) == 2
    assert bucket.aborted == []


def test_what_another_thread_is_writing_stays(small: None, open_: Open) -> None:
    """As far as this process knows."""
    bucket = MemoryS3()
    KNOWN.add("theirs")
    try:
        bucket.turns[CREATE] = [Turn(False, CLOSE, then=lambda: bucket.uploads.update(theirs=foreign()))]
        put(bucket, open_)
    finally:
        KNOWN.discard("theirs")
    assert list(bucket.uploads) == ["theirs"]


def test_what_another_thread_is_about_to_begin_stays(small: None, open_: Open) -> None:
    """Nobody knows its id yet."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(False, CLOSE, then=lambda: bucket.uploads.update(theirs=foreign()))]
    with KNOWN.asking("key", Beginning(0)):
        put(bucket, open_)
    assert list(bucket.uploads) == ["theirs"]


def test_what_nobody_waits_for_any_more_is_no_reason_to_leave_others(small: None, open_: Open) -> None:
    """After Ctrl-C, its thread may take a moment to see that it is not wanted."""
    bucket = MemoryS3()
    given_up = Beginning(0)
    given_up.give_up()
    bucket.turns[CREATE] = [Turn(told=CLOSE)]
    with KNOWN.asking("key", given_up):
        put(bucket, open_)
    assert bucket.uploads == {}


REFUSALS: dict[str, bytes | Step] = {
    "not allowed": error(403, "AccessDenied"),
    "not there": error(501, "NotImplemented"),
    "no list of uploads": answer(200, b"<ListBucketResult/>"),
    "no XML": answer(200, b"<html>"),
    "closed": CLOSE,
}


@pytest.mark.parametrize("told", REFUSALS.values(), ids=REFUSALS)
def test_a_store_that_does_not_list_uploads_stores_the_object(
    told: bytes | Step, small: None, open_: Open
) -> None:
    """What is left behind is no reason to fail."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=CLOSE)]
    bucket.looks = [Turn(False, told)] * 8
    put(bucket, open_)
    assert bucket.aborted == []


def test_a_list_that_never_comes_is_not_waited_for(
    small: None, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for longer than it is worth."""
    monkeypatch.setattr("s3kv.parts._ABORT_SOON", 0.2)
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=CLOSE)]
    bucket.looks = [Turn(False, HOLD)]
    start = time.monotonic()
    put(bucket, open_)
    assert time.monotonic() - start < 2


def test_an_upload_that_fails_leaves_nothing_either(small: None, open_: Open) -> None:
    """Neither what was begun first, nor what the parts were sent to."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=CLOSE)]
    bucket.turns["UploadPart 2"] = [Turn(False, error(403, "AccessDenied"))]
    with bucket.server() as server:
        with pytest.raises(s3kv.PermissionDenied):
            open_(server).put("key", VALUE)
        assert forgotten(bucket)


@pytest.mark.parametrize("told", [CLOSE, HOLD], ids=["no answer ever", "a silent store"])
def test_what_is_given_up_while_it_begins_is_forgotten(told: Step, small: None, open_: Open) -> None:
    """Because there were too many attempts, or because the timeout passed."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=told)] * 4
    with bucket.server() as server:
        with pytest.raises((s3kv.RetriesExhausted, s3kv.DeadlineExceeded)):
            open_(server, timeout=0.3 if told is HOLD else None).put("key", VALUE)
        assert forgotten(bucket)


@pytest.mark.parametrize(
    "told",
    [answer(200), answer(200, b"<html/>"), b"garbage\r\n\r\n"],
    ids=["nothing", "HTML", "no HTTP"],
)
def test_what_an_answer_began_that_says_nothing_is_forgotten(told: bytes, small: None, open_: Open) -> None:
    """Nobody is told which upload it is, but it is there."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=told)]
    with bucket.server() as server:
        with pytest.raises(s3kv.MalformedResponse):
            open_(server).put("key", VALUE)
        assert forgotten(bucket)
        assert len(bucket.aborted) == 1


def test_close_forgets_what_is_being_begun(small: None, open_: Open) -> None:
    """Without waiting for it."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        bucket.turns[CREATE] = [Turn(told=HOLD, then=store.close)]
        with pytest.raises(s3kv.StoreClosed):
            store.put("key", VALUE)
        assert forgotten(bucket)


def test_ctrl_c_forgets_what_is_being_begun() -> None:
    """And the prompt is back at once."""
    code = "try:\n    store.put('slow', b'x' * 40_000_000)\nexcept KeyboardInterrupt:\n"
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=HOLD)]
    with bucket.server() as server:
        with running(code + "    print('interrupted', flush=True)\n", server.url) as program:
            while not bucket.uploads:
                time.sleep(0.01)
            time.sleep(0.1)
            program.interrupt()
            assert program.line() == ["interrupted"]
            assert program.end() == ("", "")
        assert forgotten(bucket)


def test_ctrl_c_forgets_what_has_just_begun(
    small: None, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has come, and whoever waits for it is interrupted before they take it."""
    bucket = MemoryS3()
    run = Target.run

    def interrupted(target: Target, operation: Callable[..., Any], *arguments: Any) -> Any:
        result = run(target, operation, *arguments)
        if operation is begin_upload:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Target, "run", interrupted)
    with bucket.server() as server:
        with pytest.raises(KeyboardInterrupt):
            open_(server).put("key", VALUE)
        assert forgotten(bucket)
        assert "ListMultipartUploads" not in operations(server)


def test_ctrl_c_forgets_what_begins_a_moment_later() -> None:
    """The store is slow, and takes no notice of that the client has hung up."""
    code = """
try:
    store.put('slow', b'x' * 40_000_000)
except KeyboardInterrupt:
    say("interrupted")
    time.sleep(5)
"""
    bucket = MemoryS3()
    asked = threading.Event()

    class Slow(Step):
        """Carries a request out when it is not waited for any more."""

        def run(self, peer: Peer) -> None:
            if operation_of(peer.requests[-1]) == CREATE:
                asked.set()
                time.sleep(0.3)
            bucket.run(peer)

    with ScriptedServer(then=[Forever(READ, Slow())]) as server, running(code, server.url) as program:
        assert asked.wait(10)
        time.sleep(0.1)
        program.interrupt()
        assert program.line() == ["interrupted"]
        time.sleep(0.3)
        assert forgotten(bucket)
        assert len(bucket.aborted) == 1


@pytest.mark.parametrize("end", ["completed", "discarded", "never begun"])
def test_a_file_that_is_written_leaves_nothing(end: str) -> None:
    """Through fsspec, too, as far as anybody knows."""
    bucket = MemoryS3()
    bucket.turns[CREATE] = [Turn(told=CLOSE)] * (4 if end == "never begun" else 1)
    with bucket.server() as server:
        system = S3KVFileSystem(
            endpoint=server.url,
            aws_region="us-east-1",
            aws_credentials={"type": "anonymous"},
            s3_request_retries={"max_retries": 4, "initial_delay": "1ms", "max_delay": "2ms"},
            skip_instance_cache=True,
        )
        with pytest.raises(OSError) if end == "never begun" else nullcontext():
            file = system.open("bucket/key", "wb", block_size=8 << 20)
            file.write(b"x" * (20 << 20))
            file.close() if end == "completed" else file.discard()
        assert forgotten(bucket)
        assert len(bucket.aborted) == {"completed": 1, "discarded": 2, "never begun": 4}[end]
        assert bool(bucket.applied) is (end == "completed")
