"""The answers that HTTP/1.1 allows are understood, however the network cuts them up."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import pytest

import s3kv
from tests.wire.conftest import FAST, OpenStore
from tests.wire.scripted import (
    CLOSE,
    FIN,
    READ,
    ScriptedServer,
    Send,
    Step,
    Trickle,
    answer,
    chunked,
    error,
    every_byte,
    exchanges,
    listing,
    ok,
)

# What the same 12 bytes look like in every way an answer may say how long it is.
BODY = b"twelve bytes"
FORMS = {
    "with a Content-Length": ok(BODY),
    "in chunks": chunked(b"twelve", b" ", b"bytes"),
    "in chunks with extensions": chunked(b"twelve ", b"bytes", extension=';name="value"; other'),
    "in chunks with trailers": chunked(BODY, trailers="x-amz-checksum-crc32: AAAAAA==\r\nX-Other: 1\r\n"),
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY),
    "after two interim answers": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 100 \r\n\r\n" + ok(BODY)
    ),
}

form = pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)


@form
def test_an_answer_may_come_in_two_pieces_cut_anywhere(data: bytes, open_store: OpenStore) -> None:
    """Wherever the answer is cut, the object's bytes are whole, and the connection lives on."""
    steps: list[Step] = []
    for cut in range(1, len(data)):
        steps += [READ, Trickle([data[:cut], data[cut:]])]
    with ScriptedServer(steps) as server:
        store = open_store(server)
        for cut in range(1, len(data)):
            assert store.get("key") == BODY, f"cut after {cut} bytes: {data[:cut]!r}"


@form
def test_an_answer_may_come_byte_by_byte(data: bytes, open_store: OpenStore) -> None:
    """Each byte in a packet of its own, twice on one connection."""
    steps = [READ, Trickle(every_byte(data)), READ, Trickle(every_byte(data))]
    with ScriptedServer(steps) as server:
        store = open_store(server)
        assert store.get("key") == BODY
        assert store.get("key") == BODY


@form
def test_an_answer_may_come_whole(data: bytes, open_store: OpenStore) -> None:
    """All of it in one packet."""
    with ScriptedServer(exchanges(data, data)) as server:
        store = open_store(server)
        assert store.get("key") == BODY
        assert store.get("key") == BODY


@form
def test_an_answer_may_be_the_last_of_its_connection(data: bytes, open_store: OpenStore) -> None:
    """The server closes behind the last byte, and that takes nothing from the answer."""
    with ScriptedServer([READ, Send(data), CLOSE], [READ, Send(data), CLOSE]) as server:
        store = open_store(server)
        assert store.get("key") == BODY
        assert store.get("key") == BODY


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 1_048_575, 1_048_576, 1_048_577, 5_000_000])
@pytest.mark.parametrize("in_chunks", [False, True], ids=["with a length", "in chunks"])
def test_objects_of_every_size_come_back_to_the_byte(
    size: int, in_chunks: bool, open_store: OpenStore
) -> None:
    """Small and large, around the sizes where buffers change."""
    value = bytes(i * i % 251 for i in range(997)) * (size // 997 + 1)
    value = value[:size]
    pieces = [value[i : i + 70_000] for i in range(0, size, 70_000)]
    data = chunked(*pieces) if in_chunks else ok(value)
    with ScriptedServer(exchanges(data, data)) as server:
        store = open_store(server)
        assert store.get("key") == value
        assert store.get("key") == value


def test_a_large_object_may_come_in_odd_pieces(open_store: OpenStore) -> None:
    """Two megabytes in pieces of primes, the first of them together with the head."""
    value = bytes(range(256)) * 8192
    data = ok(value)
    cuts = [0, 7, 1000, 100_003, 1_000_003, 1_500_007, len(data) - 1, len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(cuts)]
    with ScriptedServer([READ, Trickle(pieces, gap=0.002)]) as server:
        assert open_store(server).get("key") == value


@pytest.mark.parametrize("number", [1, 5, 32])
def test_interim_answers_are_skipped(number: int, open_store: OpenStore) -> None:
    """A 100 or 103 is not the answer, whatever the request; headers of it do not get in."""
    interim = b'HTTP/1.1 100 Continue\r\nETag: "not-this"\r\n\r\n' * number
    with ScriptedServer(exchanges(interim + ok(), interim + ok())) as server:
        store = open_store(server)
        assert store.put("key", b"x").generation == '"9b2cf535f27731c974343645a3985328"'
        assert store.stat("key").size == 0


def test_an_answer_to_head_has_no_body_whatever_its_length(open_store: OpenStore) -> None:
    """Content-Length tells the object's size; the next answer starts right behind the head."""
    head = answer(200, b"", 'ETag: "e"', length=5_000_000_000)
    with ScriptedServer(exchanges(head, head, ok(b"next"))) as server:
        store = open_store(server)
        assert store.stat("key").size == 5_000_000_000
        assert "key" in store
        assert store.get("key") == b"next"


def test_an_answer_to_head_may_speak_of_chunks(open_store: OpenStore) -> None:
    """Transfer-Encoding in an answer to HEAD announces nothing that follows."""
    head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
    with ScriptedServer(exchanges(head, ok(b"next"))) as server:
        store = open_store(server)
        assert "key" in store
        assert store.get("key") == b"next"


@pytest.mark.parametrize("headers", [(), ("Content-Length: 0",), ("Content-Length: 10",)])
def test_a_204_has_no_body_whatever_its_length(headers: tuple[str, ...], open_store: OpenStore) -> None:
    """The answer to a DELETE ends with its head."""
    data = "\r\n".join(["HTTP/1.1 204 No Content", *headers, "", ""]).encode()
    with ScriptedServer(exchanges(data, data, ok(b"next"))) as server:
        store = open_store(server)
        store.delete("key")
        store.delete("key")
        assert store.get("key") == b"next"


def test_a_304_has_no_body_whatever_its_length(open_store: OpenStore) -> None:
    """Unasked for as it is, it is an error with its status, and the connection stays in step."""
    data = answer(304, b"", 'ETag: "e"', length=10)
    with ScriptedServer(exchanges(data, ok(b"next"))) as server:
        store = open_store(server)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert caught.value.status == 304
        assert store.get("key") == b"next"


def test_the_reason_phrase_may_be_missing_or_strange(open_store: OpenStore) -> None:
    """Only the status counts."""
    phrases = [b"", b" ", b" No reason: \xe9\t!"]
    answers = [b"HTTP/1.1 200" + phrase + b"\r\nContent-Length: 2\r\n\r\nhi" for phrase in phrases]
    with ScriptedServer(exchanges(*answers)) as server:
        store = open_store(server)
        for _ in answers:
            assert store.get("key") == b"hi"


def test_header_names_have_no_case_and_values_no_margins(transport: Any, open_store: OpenStore) -> None:
    """``cOnTeNt-LeNgTh:2`` is as good as any other way to write it."""
    answers = [
        b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: \t 2 \t \r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING:Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ]
    with ScriptedServer(exchanges(*answers)) as server:
        store = open_store(server, session=transport)
        for _ in answers:
            assert store.get("key") == b"hi"


def test_what_an_object_is_stored_with_has_no_margins(transport: Any, open_store: OpenStore) -> None:
    """Nor is an ETag with a blank behind it one that was cut short."""
    tag = 'ETag: \t "9b2cf535f27731c974343645a3985328" \t '
    put = answer(200, b"", tag)
    head = answer(200, b"", tag, "x-amz-meta-colour: \t red \t ", "Content-Type:text/x \t", length=3)
    with ScriptedServer(exchanges(put, head)) as server:
        store = open_store(server, session=transport)
        assert store.put("key", b"abc").generation == '"9b2cf535f27731c974343645a3985328"'
        info = store.stat("key")
        assert (info.etag, info.content_type) == ('"9b2cf535f27731c974343645a3985328"', "text/x")
        assert info.metadata == {"colour": "red"}


def test_chunk_sizes_may_be_written_in_any_hexadecimal(open_store: OpenStore) -> None:
    """Upper case, lower case, leading zeros, and white space before the line's end."""
    value = b"0123456789ab"
    sizes = [b"c", b"C", b"000c", b"c ", b"C\t;x=y"]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers = [head + size + b"\r\n" + value + b"\r\n0\r\n\r\n" for size in sizes]
    with ScriptedServer(exchanges(*answers)) as server:
        store = open_store(server)
        for size in sizes:
            assert store.get("key") == value, size


@pytest.mark.parametrize(
    ("first", "operation"),
    [
        (ok(b"x"), "get"),
        (chunked(b"x"), "get"),
        (error(404, "NoSuchKey"), "missing"),
        (error(403, "AccessDenied"), "refused"),
        (answer(200, b"", 'ETag: "e"', length=7), "stat"),
        (ok(), "put"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "delete"),
        (listing("a"), "list"),
        (answer(200, b"x", "Connection: keep-alive"), "get"),
        (answer(200, b"x", "Connection: Keep-Alive", "Keep-Alive: timeout=5", version="1.0"), "get"),
    ],
    ids=[
        "200 with a length",
        "200 in chunks",
        "404",
        "403",
        "HEAD",
        "PUT",
        "204",
        "a listing",
        "said to be kept alive",
        "HTTP/1.0 said to be kept alive",
    ],
)
def test_a_connection_is_used_again(first: bytes, operation: str, open_store: OpenStore) -> None:
    """After every answer whose end is sure, the next request goes over the same connection."""
    with ScriptedServer(exchanges(first, ok(b"next"))) as server:
        store = open_store(server)
        _perform(store, operation)
        assert store.get("key") == b"next"
        assert len(server.connections[0].requests) == 2


@pytest.mark.parametrize(
    "first",
    [
        answer(200, b"x", "Connection: close"),
        answer(200, b"x", "Connection: Keep-Alive, CLOSE"),
        answer(200, b"x", "connection:x-custom ,close"),
        answer(200, b"x", version="1.0"),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ok(b"x") + b"y",
        ok(b"x") + ok(b"y"),
        chunked(b"x") + b"y",
    ],
    ids=[
        "Connection: close",
        "close among others",
        "close in any case",
        "HTTP/1.0",
        "close with chunks",
        "a byte too many",
        "an answer too many",
        "a byte behind the last chunk",
    ],
)
def test_a_connection_is_not_used_again(first: bytes, open_store: OpenStore) -> None:
    """When the server says so, or sent more than its answer, the client closes the connection.

    The answer itself is good, and the bytes behind it reach nobody.
    """
    with ScriptedServer(exchanges(first), exchanges(ok(b"next"))) as server:
        store = open_store(server)
        assert store.get("key") == b"x"
        assert server.connections[0].gone.wait(2)
        assert store.get("key") == b"next"


def test_a_body_behind_an_answer_without_one_is_nobodys_answer(open_store: OpenStore) -> None:
    """Some servers send a body to HEAD, or with a 204: it must not be read as the next answer."""
    extra = [answer(200, b"hello", 'ETag: "e"'), answer(204, ok(b"smuggled"))]
    with ScriptedServer(exchanges(extra[0]), exchanges(extra[1]), exchanges(ok(b"next"))) as server:
        store = open_store(server)
        assert store.stat("key").size == 5
        store.delete("key")
        assert store.get("key") == b"next"


def test_an_answer_that_nobody_asked_for_is_nobodys_answer(open_store: OpenStore) -> None:
    """A second answer that arrives while the connection lies idle is not taken for the next one."""
    steps = [READ, Trickle([ok(b"one"), ok(b"smuggled")], gap=0.01)]
    with ScriptedServer(steps, exchanges(ok(b"two")), lenient=True) as server:
        store = open_store(server)
        assert store.get("first") == b"one"
        server.connections[0].wait_until_sent(len(ok(b"one") + ok(b"smuggled")))
        assert store.get("second") == b"two"


def test_an_error_body_may_end_with_the_connection(open_store: OpenStore) -> None:
    """HTTP/1.0 servers send errors without a length: what came is the body."""
    body = b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
    data = b"HTTP/1.0 403 Forbidden\r\n\r\n" + body
    with ScriptedServer([READ, Send(data), FIN]) as server:
        with pytest.raises(s3kv.PermissionDenied, match="No\\.") as caught:
            open_store(server).get("key")
        assert caught.value.code == "AccessDenied"


def test_a_listing_may_end_with_the_connection(open_store: OpenStore) -> None:
    """A document tells its own end, by its XML; an object does not."""
    document = listing("a", "b").partition(b"\r\n\r\n")[2]
    with ScriptedServer([READ, Send(b"HTTP/1.1 200 OK\r\n\r\n" + document), FIN]) as server:
        assert open_store(server).list() == ["a", "b"]


def test_a_short_body_is_asked_for_again_and_never_returned(open_store: OpenStore) -> None:
    """The answer that follows is whole, and that is what the caller gets."""
    short = ok(b"0123456789")[:-4]
    with ScriptedServer([READ, Send(short), CLOSE], exchanges(ok(b"0123456789"))) as server:
        assert open_store(server, policy=FAST).get("key") == b"0123456789"


@pytest.mark.parametrize(
    "data", [ok(BODY), chunked(BODY), ok(b"x" * 2_000_000)], ids=["length", "chunks", "large"]
)
def test_a_body_that_is_always_short_is_an_error(data: bytes, open_store: OpenStore) -> None:
    """However often it is tried, part of an object is never returned."""
    cut = [READ, Send(data[:-1]), CLOSE]
    with ScriptedServer(*[cut] * FAST.max_retries) as server:
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            open_store(server, policy=FAST).get("key")
        assert caught.value.attempts == FAST.max_retries


def test_a_body_in_content_encoding_is_not_decompressed(open_store: OpenStore) -> None:
    """What was stored compressed comes back compressed: the object's bytes are what is asked for."""
    packed = gzip.compress(b"some text" * 100)
    answers = [
        ok(packed, "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + f"{len(packed):x}\r\n".encode()
        + packed
        + b"\r\n0\r\n\r\n",
    ]
    with ScriptedServer(exchanges(*answers)) as server:
        store = open_store(server)
        assert store.get("key") == packed
        assert store.get("key") == packed


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (
            answer(404, b"<html><title>404</title><body>Not <b>here</b></body>", "Content-Type: text/html"),
            s3kv.ServiceError,
            "404 Not here",
        ),
        (answer(404), s3kv.KeyNotFound, "key"),
        (answer(403), s3kv.PermissionDenied, "403"),
        (
            answer(403, b"<html><script>x()</script><h1>Blocked by proxy</h1>", "Content-Type: text/html"),
            s3kv.PermissionDenied,
            "Blocked by proxy",
        ),
        (answer(400, b"go away", "Content-Type: text/plain"), s3kv.ServiceError, "go away"),
        (answer(400, b"\xff\xfe\x00binary"), s3kv.ServiceError, "400"),
        (answer(400, b"<Error><Code>Unclosed"), s3kv.ServiceError, "400"),
        (answer(405), s3kv.ServiceError, "405"),
    ],
    ids=[
        "404 html",
        "404 empty",
        "403 empty",
        "403 html",
        "400 text",
        "400 binary",
        "400 xml",
        "405 empty",
    ],
)
def test_an_error_body_need_not_be_xml(
    data: bytes, kind: type[s3kv.S3KVError], words: str, open_store: OpenStore
) -> None:
    """Proxies and servers answer with HTML, text or nothing; the status decides, the words are kept."""
    with ScriptedServer(exchanges(data, ok(b"next"))) as server:
        store = open_store(server)
        with pytest.raises(kind, match=words) as caught:
            store.get("key")
        assert caught.value.status == int(data[9:12])
        assert caught.value.attempts == 1
        assert "<" not in str(caught.value)
        assert store.get("key") == b"next"


def _perform(store: s3kv.Store, operation: str) -> None:
    if operation == "get":
        store.get("key")
    elif operation == "missing":
        with pytest.raises(s3kv.KeyNotFound):
            store.get("key")
    elif operation == "refused":
        with pytest.raises(s3kv.PermissionDenied):
            store.get("key")
    elif operation == "stat":
        store.stat("key")
    elif operation == "put":
        store.put("key", b"value")
    elif operation == "delete":
        store.delete("key")
    else:
        assert operation == "list"
        store.list()
