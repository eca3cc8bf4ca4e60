"""Copies: what is asked of the store, and that no loss, refusal or change is taken for another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

import pytest

import s3kv
from s3kv.copies import _cut
from tests.wire.helpers import Background
from tests.wire.memory_s3 import (
    MemoryS3,
    Stored,
    Turn,
    etag_of,
    late,
    operations,
    part_of,
    sent,
)
from tests.wire.scripted import CLOSE, HOLD, RESET, ScriptedServer, Step, Wait, answer, error, exchanges, ok

WRITE_ID = "x-amz-meta-s3kv-write-id"
SOURCE, IF_MATCH, RANGE = (
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-range",
)
OLD, NEW, OTHER = b"old", b"new", b"other"
GIB = 1024**3

MODES = {"headers": True, "look and headers": None}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
LOST = {"closed": CLOSE, "reset": RESET}
each_loss = pytest.mark.parametrize("lost", LOST.values(), ids=LOST)

Open = Callable[..., s3kv.Store]


# ---------------------------------------------------------------------------------------- one request


def test_a_plain_copy_leaves_everything_to_the_store(open_: Open) -> None:
    """A look at the source, a request that names it, and nothing that could differ from it."""
    bucket = MemoryS3()
    bucket.objects["src"] = Stored(
        OLD, ("content-type: text/x", "x-amz-meta-a: b", "cache-control: no-store")
    )
    with bucket.server() as server:
        stamp = open_(server).copy("src", "dst")
        assert stamp.generation == etag_of(OLD)
        assert operations(server) == ["HeadObject", "CopyObject"]
        (request,) = sent(server, "CopyObject")
        assert (request.method, request.target, request.body) == ("PUT", "/bucket/dst", b"")
        assert request.header(SOURCE) == "/bucket/src"
        assert not {name for name in request.names if name.startswith(("x-amz-meta", "if-"))}
        assert not {"x-amz-metadata-directive", IF_MATCH, "content-type"} & request.names
        assert bucket.objects["dst"].headers == bucket.objects["src"].headers


KEPT = (
    "cache-control: max-age=60",
    "content-disposition: attachment",
    "content-encoding: identity",
    "content-language: de",
    "content-type: text/plain; charset=utf-8",
    "expires: Thu, 01 Dec 2033 16:00:00 GMT",
    "x-amz-meta-colour: Deep Blue",
)


@each_mode
@pytest.mark.parametrize("if_absent", [False, True])
def test_the_id_of_the_write_that_made_the_source_stays_there(
    mode: bool | None, if_absent: bool, open_: Open
) -> None:
    """Everything else is kept; a copy under a condition has an id of its own."""
    bucket = MemoryS3()
    bucket.objects["src"] = Stored(OLD, (*KEPT, f"{WRITE_ID}: of-the-source"))
    with bucket.server() as server:
        open_(server, mode).copy("src", "dst", if_absent=if_absent)
        (request,) = sent(server, "CopyObject")
        # The metadata is that of the version that was looked at, and so the bytes have to be.
        assert request.header(IF_MATCH) == etag_of(OLD)
        assert request.header("if-none-match") == ("*" if if_absent else None)
        kept = [line for line in bucket.objects["dst"].headers if not line.startswith(WRITE_ID)]
        assert sorted(kept) == sorted(KEPT)
        ids = request.all(WRITE_ID)
        assert len(ids) == if_absent
        assert "of-the-source" not in ids


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "100%41", "a?b&c=d#e", "é漢😀", "a//b", "/lead", "../x", "tab\there", "x/"],
)
def test_a_source_of_any_name_is_named_as_it_is(key: str, open_: Open) -> None:
    """Encoded once, with the store's path before it, as the copy's own name is."""
    bucket = MemoryS3(**{f"a path+/{key}": OLD})
    with bucket.server() as server:
        store = open_(server, path="a path+/")
        store.copy(key, f"{key}.copy")
        (request,) = sent(server, "CopyObject")
        named = request.header(SOURCE) or ""
        assert named.isascii()
        assert not set(" +?#\t") & set(named)
        assert unquote(named) == f"/bucket/a path+/{key}"
        assert unquote(request.path) == f"/bucket/a path+/{key}.copy"
        assert store.get(f"{key}.copy") == OLD


def test_keys_may_be_bytes(open_: Open) -> None:
    """As everywhere."""
    bucket = MemoryS3(src=OLD)
    with bucket.server() as server:
        open_(server).copy(b"src", "dst-é".encode())
        assert bucket.objects["dst-é"].value == OLD


def test_an_endpoint_that_names_the_bucket_says_where_the_source_is(open_: Open) -> None:
    """The header needs the bucket's name, whoever knows it."""
    bucket = MemoryS3(src=OLD)
    with bucket.server() as server:
        store = open_(server, endpoint=f"{server.url}/bucket", bucket="")
        store.copy("src", "dst")
        assert sent(server, "CopyObject")[0].header(SOURCE) == "/bucket/src"
        assert bucket.objects["dst"].value == OLD


@pytest.mark.parametrize("if_absent", [False, True])
@pytest.mark.parametrize("dst", ["dst", "src"])
def test_a_missing_source_is_a_missing_key_of_that_name(if_absent: bool, dst: str, open_: Open) -> None:
    """Nothing is asked of the destination."""
    with MemoryS3(dst=OLD).server() as server:
        with pytest.raises(s3kv.KeyNotFound) as caught:
            open_(server).copy("src", dst, if_absent=if_absent)
        assert caught.value.key == "src"
        assert operations(server) == ["HeadObject"]


def test_a_source_deleted_since_it_was_looked_at_is_a_missing_key_of_that_name(open_: Open) -> None:
    """It is not the destination that is missing."""
    for told in (None, late("NoSuchKey")):
        bucket = MemoryS3(src=OLD)
        bucket.looks = [Turn(then=partial(bucket.set, "src", None))]
        bucket.writes = [Turn(acts=told is None, told=told)]
        with bucket.server() as server:
            with pytest.raises(s3kv.KeyNotFound) as caught:
                open_(server).copy("src", "dst")
            assert caught.value.key == "src"
            assert bucket.applied == []


def test_a_missing_bucket_is_said_to_be_missing(open_: Open) -> None:
    """Not the key."""
    absent = error(404, "NoSuchBucket")
    bucket = MemoryS3(src=OLD)
    bucket.looks = [Turn(acts=False, told=answer(404)), Turn(acts=False, told=absent)]
    with bucket.server() as server, pytest.raises(s3kv.BucketNotFound):
        open_(server).copy("src", "dst")


def test_a_copy_onto_itself_changes_nothing(open_: Open) -> None:
    """S3 would refuse it; the object is there already, with all that it is stored with."""
    bucket = MemoryS3(src=OLD)
    with bucket.server() as server:
        store = open_(server)
        assert store.copy("src", b"src").generation == etag_of(OLD)
        with pytest.raises(s3kv.ConditionFailed) as caught:
            store.copy("src", "src", if_absent=True)
        assert (caught.value.operation, caught.value.key) == ("CopyObject", "src")
        assert set(operations(server)) == {"HeadObject"}


@each_mode
def test_a_copy_replaces_what_is_there_only_if_it_may(mode: bool | None, open_: Open) -> None:
    """With ``if_absent``, the condition that failed is about the destination, and is told of it."""
    bucket = MemoryS3(src=NEW, dst=OLD)
    with bucket.server() as server:
        store = open_(server, mode)
        with pytest.raises(s3kv.ConditionFailed) as caught:
            store.copy("src", "dst", if_absent=True)
        assert (caught.value.operation, caught.value.key) == ("CopyObject", "dst")
        assert "exists already" in str(caught.value)
        assert bucket.applied == []
        assert store.copy("src", "dst").generation == etag_of(NEW)
        assert bucket.applied == [("COPY", "dst", NEW)]


def test_a_copy_that_a_look_alone_decides_sends_no_condition(open_: Open) -> None:
    """``use_conditional_write=False`` is for stores that choke on the header."""
    bucket = MemoryS3(src=NEW)
    with bucket.server() as server:
        store = open_(server, False)
        store.copy("src", "dst", if_absent=True)
        with pytest.raises(s3kv.ConditionFailed):
            store.copy("src", "dst", if_absent=True)
        assert [request.header("if-none-match") for request in sent(server, "CopyObject")] == [None]


@each_mode
@pytest.mark.parametrize("if_absent", [False, True])
def test_a_source_replaced_after_the_look_is_looked_at_again(
    mode: bool | None, if_absent: bool, open_: Open
) -> None:
    """Where its metadata go with the request, they must not meet the bytes of another version."""
    bucket = MemoryS3()
    bucket.objects["src"] = Stored(OLD, ("x-amz-meta-version: 1", f"{WRITE_ID}: one"))

    def replace() -> None:
        bucket.objects["src"] = Stored(NEW, ("x-amz-meta-version: 2", f"{WRITE_ID}: two"))

    bucket.looks = [Turn(then=replace)]
    with bucket.server() as server:
        stamp = open_(server, mode).copy("src", "dst", if_absent=if_absent)
        assert stamp.generation == etag_of(NEW)
        assert bucket.applied == [("COPY", "dst", NEW)]
        assert "x-amz-meta-version: 2" in bucket.objects["dst"].headers


def test_a_source_that_never_stands_still_is_given_up(open_: Open) -> None:
    """After a bounded number of tries, with an error of its own; nothing was copied."""
    bucket = MemoryS3()
    count = 0

    def replace() -> None:
        nonlocal count
        count += 1
        bucket.objects["src"] = Stored(b"%d" % count, (f"{WRITE_ID}: {count}",))

    replace()
    bucket.looks = [Turn(then=replace)] * 50
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError) as caught:
            open_(server).copy("src", "dst")
        assert type(caught.value).__name__ == "Changed"
        assert caught.value.key == "src"
        assert bucket.applied == []
        assert len(server.requests) < 40


# --------------------------------------------------------------------------- answers that fail late


def test_an_answer_that_begins_with_white_space_is_understood(open_: Open) -> None:
    """The store has sent some so that the connection does not time out: an error as well as a success."""
    spaces = b"   \n  "
    failed = error(200, "InternalError").partition(b"\r\n\r\n")[2]
    copied = b'<?xml version="1.0"?><CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>'
    answers = exchanges(ok(), answer(200, spaces + failed), answer(200, spaces + copied))
    with ScriptedServer(answers) as server:
        assert open_(server).copy("src", "dst").generation == '"e"'


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable", "SomethingNew"])
def test_an_error_in_the_body_of_a_success_is_tried_again(code: str, open_: Open) -> None:
    """The store had begun to answer before it knew."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(acts=False, told=late(code))] * 2
    with bucket.server() as server:
        assert open_(server).copy("src", "dst").generation == etag_of(OLD)
        assert operations(server) == ["HeadObject"] + ["CopyObject"] * 3
        bucket.writes = [Turn(acts=False, told=late(code))] * 4
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            open_(server).copy("src", "other")
        assert caught.value.code == code


LATE = {
    "AccessDenied": s3kv.PermissionDenied,
    "NoSuchKey": s3kv.KeyNotFound,
    "NoSuchBucket": s3kv.BucketNotFound,
    "InvalidRequest": s3kv.S3KVError,
}


@pytest.mark.parametrize(("code", "kind"), LATE.items(), ids=LATE)
def test_an_error_in_the_body_that_is_for_good_is_final(
    code: str, kind: type[s3kv.S3KVError], open_: Open
) -> None:
    """It is what it would have been with its own status, and is not asked for again."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(acts=False, told=late(code))]
    with bucket.server() as server:
        with pytest.raises(kind) as caught:
            open_(server).copy("src", "dst")
        assert caught.value.code == code
        assert len(sent(server, "CopyObject")) == 1
        assert bucket.applied == []


def test_a_refusal_in_the_body_is_a_refusal(open_: Open) -> None:
    """The condition did not hold when the copy was ready."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(acts=False, told=late("PreconditionFailed"))]
    with bucket.server() as server:
        with pytest.raises(s3kv.ConditionFailed) as caught:
            open_(server).copy("src", "dst", if_absent=True)
        assert caught.value.status == 412
        assert len(sent(server, "CopyObject")) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"<CopyObjectResult></CopyObjectResult>"], ids=["empty", "no XML", "no ETag"]
)
def test_a_success_that_tells_nothing_is_malformed(body: bytes, open_: Open) -> None:
    """No generation is made up."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(told=answer(200, body))]
    with bucket.server() as server:
        with pytest.raises(s3kv.MalformedResponse) as caught:
            open_(server).copy("src", "dst")
        assert (caught.value.operation, caught.value.key, caught.value.status) == ("CopyObject", "dst", 200)


# ------------------------------------------------------------------------------------- lost answers


@each_mode
@each_loss
def test_a_copy_that_was_made_though_its_answer_was_lost_succeeded(
    mode: bool | None, lost: Step, open_: Open
) -> None:
    """The next attempt is refused, and its id tells whose copy is there."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(told=lost)]
    with bucket.server() as server:
        assert open_(server, mode).copy("src", "dst", if_absent=True).generation == etag_of(OLD)
        assert bucket.applied == [("COPY", "dst", OLD)]
        ids = {request.header(WRITE_ID) for request in sent(server, "CopyObject")}
        assert len(ids) == 1
        assert operations(server)[-3:] == ["CopyObject", "CopyObject", "HeadObject"]


@each_mode
def test_a_copy_that_broke_down_late_but_was_made_succeeded(mode: bool | None, open_: Open) -> None:
    """An error in the body says nothing about what was done before."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(told=late("InternalError"))]
    with bucket.server() as server:
        assert open_(server, mode).copy("src", "dst", if_absent=True).generation == etag_of(OLD)
        assert bucket.applied == [("COPY", "dst", OLD)]


@each_mode
@each_loss
@pytest.mark.parametrize("same", [True, False], ids=["the same bytes", "other bytes"])
def test_anothers_object_is_no_copy_of_ours(mode: bool | None, lost: Step, same: bool, open_: Open) -> None:
    """Be it of the same bytes: it was there first, and ours was never made."""
    bucket = MemoryS3(src=OLD)
    theirs = Stored(OLD if same else OTHER, (f"{WRITE_ID}: theirs",))
    bucket.writes = [Turn(acts=False, told=lost, then=lambda: bucket.objects.update(dst=theirs))]
    with bucket.server() as server:
        with pytest.raises((s3kv.ConditionFailed, s3kv.OutcomeUnknown)) as caught:
            open_(server, mode).copy("src", "dst", if_absent=True)
        assert caught.value.key == "dst"
        assert bucket.applied == []
        assert bucket.objects["dst"] == theirs


@each_mode
@each_loss
def test_a_copy_that_looks_like_ours_but_has_no_id_is_unknown(
    mode: bool | None, lost: Step, open_: Open
) -> None:
    """A store that copies the metadata as it is does not tell whose copy is there."""
    bucket = MemoryS3(src=OLD)
    bare = Stored(OLD, ())
    bucket.writes = [Turn(told=lost, then=lambda: bucket.objects.update(dst=bare))]
    with bucket.server() as server, pytest.raises(s3kv.OutcomeUnknown):
        open_(server, mode).copy("src", "dst", if_absent=True)


@each_mode
def test_a_copy_is_unknown_when_nobody_can_look(mode: bool | None, open_: Open) -> None:
    """It was made, but who is to say so?"""
    bucket = MemoryS3(src=OLD)
    blind = [Turn(acts=False, told=answer(403)), Turn(acts=False, told=error(403, "AccessDenied"))]
    bucket.writes = [Turn(told=CLOSE, then=lambda: bucket.looks.extend(blind))]
    with bucket.server() as server:
        with pytest.raises(s3kv.OutcomeUnknown) as caught:
            open_(server, mode).copy("src", "dst", if_absent=True)
        assert isinstance(caught.value.__cause__, s3kv.PermissionDenied)
        assert bucket.applied == [("COPY", "dst", OLD)]


@each_mode
def test_a_source_replaced_after_a_lost_answer_is_no_condition_that_failed(
    mode: bool | None, open_: Open
) -> None:
    """The refusal of the next attempt is about the source, and the destination is still to be made."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(acts=False, told=CLOSE, then=partial(bucket.set, "src", NEW))]
    with bucket.server() as server:
        assert open_(server, mode).copy("src", "dst", if_absent=True).generation == etag_of(NEW)
        assert bucket.applied == [("COPY", "dst", NEW)]


@each_loss
def test_an_unconditional_copy_is_simply_made_again(lost: Step, open_: Open) -> None:
    """It carries no id, and nobody looks afterwards."""
    bucket = MemoryS3(src=OLD)
    bucket.writes = [Turn(told=lost)]
    with bucket.server() as server:
        assert open_(server).copy("src", "dst").generation == etag_of(OLD)
        assert bucket.applied == [("COPY", "dst", OLD)] * 2
        assert operations(server) == ["HeadObject", "CopyObject", "CopyObject"]


# ------------------------------------------------------------------------------------------ in parts


def ranges(server: ScriptedServer) -> list[tuple[int, int]]:
    """Return the first and last byte that each part asked for, by number."""
    found = {}
    for request in sent(server, "UploadPartCopy"):
        first, _, last = (request.header(RANGE) or "").removeprefix("bytes=").partition("-")
        found[part_of(request)] = (int(first), int(last))
    return [found[number] for number in sorted(found)]


def check_cover(parts: list[tuple[int, int]], size: int) -> None:
    """The parts have each byte once, and each is one that S3 takes."""
    position = 0
    for first, last in parts:
        assert first == position
        assert last - first + 1 <= 5 * GIB
        position = last + 1
    assert position == size
    assert all(last - first + 1 >= 5 * 1024**2 for first, last in parts[:-1])


@pytest.mark.parametrize("size", [5 * GIB + 1, 6 * GIB, 6 * GIB + 12_345])
def test_a_large_object_is_copied_in_parts_that_cover_it(size: int, open_: Open) -> None:
    """Each of the same version, and with what the object was stored with."""
    bucket = MemoryS3()
    bucket.objects["src"] = Stored(b"", (*KEPT, f"{WRITE_ID}: of-the-source"), claims=size)
    with bucket.server() as server:
        stamp = open_(server).copy("src", "dst")
        check_cover(ranges(server), size)
        for request in sent(server, "UploadPartCopy"):
            assert request.header(IF_MATCH) == etag_of(b"")
            assert request.header(SOURCE) == "/bucket/src"
            assert request.body == b""
        assert sent(server, "CopyObject") == []
        assert stamp.generation == bucket.objects["dst"].etag
        assert bucket.applied == [("POST", "dst", b"")]
        kept = [line for line in bucket.objects["dst"].headers if not line.startswith(WRITE_ID)]
        assert sorted(kept) == sorted(KEPT)
        assert f"{WRITE_ID}: of-the-source" not in bucket.objects["dst"].headers
        assert bucket.uploads == {}


@pytest.mark.parametrize("size", [5 * GIB - 1, 5 * GIB])
def test_an_object_that_one_request_can_copy_is_copied_by_one(size: int, open_: Open) -> None:
    """The bound is S3's, to the byte."""
    bucket = MemoryS3()
    bucket.objects["src"] = Stored(b"", claims=size)
    with bucket.server() as server:
        open_(server).copy("src", "dst")
        assert operations(server) == ["HeadObject", "CopyObject"]


def test_the_largest_object_is_copied_in_no_more_parts_than_there_may_be() -> None:
    """10,000 parts of 5 GiB are all that S3 takes; no request is needed to see how it would be cut."""
    size = 10_000 * 5 * GIB
    parts = [(first, end - 1) for first, end in _cut(size)]
    assert len(parts) == 10_000
    check_cover(parts, size)


def large(bucket: MemoryS3, key: str = "src", mark: bytes = b"") -> None:
    """Have the bucket claim to have 6 GiB under a key."""
    bucket.objects[key] = Stored(mark, (f"x-amz-meta-mark: {mark.decode()}",), claims=6 * GIB)


def test_ten_parts_at_most_are_copied_at_once(open_: Open) -> None:
    """And more than one: that is what parts are for."""
    bucket = MemoryS3()
    large(bucket)
    go = threading.Event()
    bucket.turns["UploadPartCopy"] = [Turn(told=Held(go))] * 12
    with bucket.server() as server:
        copying = Background(lambda: open_(server).copy("src", "dst"))
        while len(sent(server, "UploadPartCopy")) < 10:
            assert not copying.done(0.005)
        assert not copying.done(0.1)
        assert len(sent(server, "UploadPartCopy")) == 10
        go.set()
        copying.result()
        check_cover(ranges(server), 6 * GIB)


class Held(Wait):
    """Wait, then close without an answer: the attempt was lost."""


@pytest.mark.parametrize(
    "told",
    [error(503, "SlowDown"), late("InternalError"), CLOSE, RESET],
    ids=["503", "late", "closed", "reset"],
)
def test_a_part_that_failed_is_copied_again_alone(told: bytes | Step, open_: Open) -> None:
    """The others are not."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["UploadPartCopy 3"] = [Turn(acts=False, told=told)]
    with bucket.server() as server:
        open_(server).copy("src", "dst")
        numbers = sorted(part_of(request) for request in sent(server, "UploadPartCopy"))
        assert numbers == sorted([*range(1, 13), 3])
        assert bucket.applied == [("POST", "dst", b"")]


def test_a_large_source_replaced_meanwhile_is_copied_again_from_its_start(open_: Open) -> None:
    """No copy has parts of two versions; the first upload is forgotten."""
    bucket = MemoryS3()
    large(bucket, mark=b"1")
    bucket.turns["UploadPartCopy 5"] = [Turn(then=lambda: large(bucket, mark=b"2"))]
    with bucket.server() as server:
        open_(server).copy("src", "dst")
        assert len(bucket.aborted) == 1
        assert bucket.uploads == {}
        assert "x-amz-meta-mark: 2" in bucket.objects["dst"].headers
        completed = sent(server, "CompleteMultipartUpload")[-1].query
        for request in sent(server, "UploadPartCopy"):
            if completed in request.query:
                assert request.header(IF_MATCH) == etag_of(b"2")
        assert len(bucket.applied) == 1


@pytest.mark.parametrize("after", ["UploadPartCopy 5", "UploadPartCopy 12"])
def test_parts_of_two_versions_never_become_one_object(after: str, open_: Open) -> None:
    """Though the store copies parts of whatever version there is."""
    bucket = MemoryS3()
    bucket.ignores = True
    large(bucket, mark=b"1")
    bucket.turns[after] = [Turn(then=lambda: large(bucket, mark=b"2"))]
    with bucket.server() as server:
        open_(server, None).copy("src", "dst")
        assert (len(bucket.aborted), bucket.uploads) == (1, {})
        assert "x-amz-meta-mark: 2" in bucket.objects["dst"].headers
        assert len(sent(server, "CompleteMultipartUpload")) == len(bucket.applied) == 1


def test_a_large_source_deleted_meanwhile_is_a_missing_key_of_that_name(open_: Open) -> None:
    """And nothing of the copy is left."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["UploadPartCopy 5"] = [Turn(then=partial(bucket.set, "src", None))]
    # Only so many are under way when it goes; one after it finds nothing.
    with bucket.server() as server:
        with pytest.raises(s3kv.KeyNotFound) as caught:
            open_(server).copy("src", "dst")
        assert caught.value.key == "src"
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_a_large_source_that_cannot_be_looked_at_again_is_named(open_: Open) -> None:
    """Not the copy, all parts of which have been made."""
    bucket = MemoryS3()
    large(bucket)
    refusal = [Turn(told=error(403, "AccessDenied"))] * 2
    bucket.turns["UploadPartCopy 12"] = [Turn(then=lambda: bucket.looks.extend(refusal))]
    with bucket.server() as server:
        with pytest.raises(s3kv.PermissionDenied) as caught:
            open_(server).copy("src", "dst")
        assert caught.value.key == "src"
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_parts_that_are_refused_though_nothing_changed_are_an_error(open_: Open) -> None:
    """Not tried for ever; what was begun is forgotten."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["UploadPartCopy 2"] = [Turn(acts=False, told=error(412, "PreconditionFailed"))] * 50
    with bucket.server() as server:
        with pytest.raises(s3kv.S3KVError):
            open_(server).copy("src", "dst")
        assert (bucket.applied, bucket.uploads) == ([], {})
        assert len(sent(server, "CreateMultipartUpload")) == 1


@each_mode
def test_a_large_copy_replaces_nothing_that_must_not_be_there(mode: bool | None, open_: Open) -> None:
    """The condition goes with the completion; the upload is forgotten when it does not hold."""
    bucket = MemoryS3(dst=OLD)
    large(bucket)
    with bucket.server() as server:
        with pytest.raises(s3kv.ConditionFailed) as caught:
            open_(server, mode).copy("src", "dst", if_absent=True)
        assert caught.value.key == "dst"
        assert bucket.objects["dst"].value == OLD
        assert bucket.uploads == {}
        completions = [
            request.header("if-none-match") for request in sent(server, "CompleteMultipartUpload")
        ]
        assert completions == (["*"] if mode else [])


@each_mode
@each_loss
def test_a_large_copy_that_was_completed_though_its_answer_was_lost_succeeded(
    mode: bool | None, lost: Step, open_: Open
) -> None:
    """The upload is gone, and the object is ours."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["CompleteMultipartUpload"] = [Turn(told=lost)]
    with bucket.server() as server:
        stamp = open_(server, mode).copy("src", "dst", if_absent=True)
        assert stamp.generation == bucket.objects["dst"].etag
        assert len(bucket.applied) == 1
        assert bucket.aborted == []


def test_a_large_copy_that_is_not_answered_ends_with_the_timeout(open_: Open) -> None:
    """And its upload is forgotten."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["UploadPartCopy 7"] = [Turn(told=HOLD)]
    with bucket.server() as server:
        call = Background(lambda: open_(server, timeout=0.4).copy("src", "dst"))
        assert isinstance(call.error(), s3kv.DeadlineExceeded)
        assert 0.3 < call.seconds < 0.9
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_a_copy_stops_when_the_store_is_closed(open_: Open) -> None:
    """At once, and nothing is left of it."""
    bucket = MemoryS3()
    large(bucket)
    bucket.turns["UploadPartCopy 7"] = [Turn(told=HOLD)]
    with bucket.server() as server:
        store = open_(server)
        call = Background(lambda: store.copy("src", "dst"))
        while len(sent(server, "UploadPartCopy")) < 12:
            assert not call.done(0.005)
        store.close()
        assert "closed" in str(call.error(1))
        assert (bucket.applied, bucket.uploads) == ([], {})


def test_a_large_source_without_an_etag_is_not_copied_in_parts(open_store: Open) -> None:
    """They could be of two versions, and nobody would know."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {6 * 1024**3}\r\n\r\n".encode()
    with ScriptedServer(exchanges(head)) as server:
        with pytest.raises(s3kv.MalformedResponse, match="ETag") as caught:
            open_store(server).copy("from", "to")
        assert (caught.value.operation, caught.value.key) == ("HeadObject", "from")
        assert [request.method for request in server.requests] == ["HEAD"]
