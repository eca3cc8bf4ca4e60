"""Answers that are whole and well-formed HTTP, and not what S3 says: nothing is made up from them."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv.testing import Answer
from tests.wire.conftest import FAST, OpenStore
from tests.wire.jobs import JOBS, Bench, benching
from tests.wire.scripted import READ, Forever, Recorded, ScriptedServer, listing
from tests.wire.scripted import Answer as Told

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
LISTING = "<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>"
PAGES: dict[str, bytes] = {
    "nothing": b"",
    "a sign-in page": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><br></body></html>",
    "JSON": b'{"status": "ok"}',
    "a document type": f'{XML}<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">{LISTING % ""}'.encode(),
    "entities": (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>' + LISTING % "<Key>&b;</Key>"
    ).encode(),
    "an unknown entity": (XML + LISTING % "<Contents><Key>&nbsp;</Key><Size>1</Size></Contents>").encode(),
    "half of it": (XML + LISTING % "<Contents><Key>k</Key></Contents>").encode()[:-25],
    "gzip": gzip.compress((XML + LISTING % "").encode(), mtime=0),
    "another document": f"{XML}<ListAllMyBucketsResult></ListAllMyBucketsResult>".encode(),
    "NUL bytes": bytes(100),
}
each_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
# The operations whose answers are documents, and which requests those are.
READERS = {
    "list": "ListObjectsV2",
    "scan": "ListObjectsV2",
    "scan in parallel": "ListObjectsV2",
    "list_dir": "ListObjectsV2",
    "len": "ListObjectsV2",
    "delete_prefix": "ListObjectsV2",
    "items": "ListObjectsV2",
    "delete_many": "DeleteObjects",
    "put of a large value": "CreateMultipartUpload",
}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return what jobs are done on."""
    with benching(tmp_path, monkeypatch) as ready:
        yield ready


@each_page
def test_a_document_that_is_none_is_malformed(page: bytes, bench: Bench) -> None:
    """At once; no key is left out, none is made up, and nothing is deleted or written."""
    for name, operation in READERS.items():
        told = bench.proxy.inject(
            Answer(200, {"Content-Type": "application/xml"}, page), operation=operation
        )
        with pytest.raises(s3kv.S3KVError) as caught:
            bench.run(JOBS[name])
        error = caught.value
        errors = error.errors.values() if isinstance(error, s3kv.BatchError) else [error]
        assert {type(one) for one in errors} == {s3kv.MalformedResponse}, name
        assert told.hits == 1
        assert bench.bucket.values == JOBS[name].before, name
        assert (bench.bucket.applied, bench.bucket.uploads) == ([], {}), name


# What is answered to a copy, or the completion of an upload, may come after spaces that keep the
# connection open; then it is a result or an error.
LATE = {"copy": "CopyObject", "put of a large value": "CompleteMultipartUpload"}


@each_page
@pytest.mark.parametrize("name", LATE)
def test_a_success_that_says_nothing_is_no_success(name: str, page: bytes, bench: Bench) -> None:
    """Neither claimed, nor denied by another error than one that says what was wrong with the answer."""
    bench.proxy.inject(Answer(200, body=page, went_through=True), operation=LATE[name], times=None)
    with pytest.raises((s3kv.MalformedResponse, s3kv.OutcomeUnknown)):
        bench.run(JOBS[name])


def test_a_put_that_is_not_confirmed_by_an_etag_is_no_success(bench: Bench) -> None:
    """A page of somebody else's has none; the error has its status, and its id."""
    page = Answer(200, {"x-amz-request-id": "SOMEBODY"}, PAGES["a sign-in page"])
    for name in ("put", "put if_absent", "put_many", "write", "modify"):
        lasts = bench.proxy.inject(page, method="PUT", times=None)
        with pytest.raises(s3kv.S3KVError) as caught:
            bench.run(JOBS[name])
        lasts.remove()
        error = caught.value
        errors = error.errors.values() if isinstance(error, s3kv.BatchError) else [error]
        facts = {
            (type(one), getattr(one, "status", None), getattr(one, "request_id", None)) for one in errors
        }
        assert facts == {(s3kv.MalformedResponse, 200, "SOMEBODY")}, name


# --------------------------------------------------------------------------------- listings that do not end


def turns(loop: list[str]) -> Callable[[Recorded], bytes]:
    """Answer pages whose tokens lead from the first to the last, and from there to the one named twice."""
    following = dict(pairwise(["", *loop]))

    def page(request: Recorded) -> bytes:
        _, _, rest = request.query.partition("continuation-token=")
        token = rest.partition("&")[0]
        return listing(f"k{token or 0}", token=following[token])

    return page


LOOPS = {
    "itself": ["1", "1"],
    "the first": ["1", "2", "1"],
    "somewhere": ["1", "2", "3", "4", "5", "6", "7", "3"],
    "far away": [*map(str, range(1, 100)), "50"],
}
WAYS: dict[str, Callable[[s3kv.Store], Any]] = {
    "list": lambda store: store.list(),
    "len": len,
    "list_dir": lambda store: store.list_dir(),
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_tokens_that_go_round_in_circles_are_malformed(
    way: Callable[[s3kv.Store], Any], loop: list[str], open_store: OpenStore
) -> None:
    """After a number of requests in proportion."""
    with ScriptedServer(then=[Forever(READ, Told(turns(loop)))]) as server:
        with pytest.raises(s3kv.MalformedResponse, match=r"round in circles.*ListObjectsV2"):
            way(open_store(server, policy=FAST))
        assert len(server.requests) <= 4 * len(loop)


@pytest.mark.parametrize("seconds", [0, 0.02])
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_pages_that_come_again_with_other_tokens_are_malformed(
    way: Callable[[s3kv.Store], Any], length: int, seconds: float, open_store: OpenStore
) -> None:
    """As from a store that makes a token of the time, and pays no regard to those it gets."""
    numbers = count()

    def answer(_: Recorded) -> bytes:
        time.sleep(seconds)
        number = next(numbers)
        return listing(f"k{number % length}", f"k{number % length}-", token=f"t{number}")

    with ScriptedServer(then=[Forever(READ, Told(answer))]) as server:
        with pytest.raises(s3kv.MalformedResponse, match=r"(round in circles|in order).*ListObjectsV2"):
            way(open_store(server, policy=FAST))
        assert len(server.requests) <= 60


def test_a_listing_that_goes_on_without_a_token_is_malformed(open_store: OpenStore) -> None:
    """It is not taken for its end."""
    page = listing("a", "b").replace(b"<IsTruncated>false", b"<IsTruncated>true ")
    with ScriptedServer(then=[Forever(READ, Told(lambda _: page))]) as server:
        with pytest.raises(s3kv.MalformedResponse):
            open_store(server, policy=FAST).list()
        assert len(server.requests) == 1
