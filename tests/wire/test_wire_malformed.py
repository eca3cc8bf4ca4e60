"""What breaks HTTP, or does not end, is MalformedResponse: soon, and without eating the memory.

A client that guesses where an answer ends can hand one object's bytes to the reader of another.
"""

from __future__ import annotations

import time
import tracemalloc

import pytest

import s3kv
from s3kv.messages import Settings
from tests.wire.conftest import FAST, OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    FIN,
    HOLD,
    READ,
    Flood,
    ScriptedServer,
    Send,
    Step,
    answer,
    exchanges,
    ok,
)

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"

HEADS = {
    "two lengths that differ": H + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths that agree": H + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "two lengths in one field": H + b"Content-Length: 2, 2\r\n\r\nab",
    "a length and chunks": H
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "chunks and a length": H
    + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "a signed length": H + b"Content-Length: +2\r\n\r\nab",
    "a negative length": H + b"Content-Length: -2\r\n\r\nab",
    "a hexadecimal length": H + b"Content-Length: 0x2\r\n\r\nab",
    "a fractional length": H + b"Content-Length: 2.0\r\n\r\nab",
    "a length with a space in it": H + b"Content-Length: 1 2\r\n\r\nabcdefghijkl",
    "a length with an underscore": H + b"Content-Length: 1_2\r\n\r\nabcdefghijkl",
    "a length in superscript": H + b"Content-Length: \xb2\r\n\r\nab",
    "an empty length": H + b"Content-Length:\r\n\r\n",
    "a length of thirty digits": H + b"Content-Length: 000000000000000000000000000002\r\n\r\nab",
    "an unknown coding": H + b"Transfer-Encoding: gzip\r\n\r\nab",
    "two codings": H + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "chunks twice": H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the coding identity": H + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "two ETags": H + b'ETag: "a"\r\nETag: "b"\r\nContent-Length: 2\r\n\r\nab',
    "two Content-Ranges": H + b"Content-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/3\r\n"
    b"Content-Length: 2\r\n\r\nab",
    "a folded header": H + b"X-A: one\r\n two\r\nContent-Length: 2\r\n\r\nab",
    "a header folded with a tab": H + b"X-A: one\r\n\ttwo\r\nContent-Length: 2\r\n\r\nab",
    "a folded length": H + b"Content-Length:\r\n 2\r\n\r\nab",
    "white space before the headers": b"HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nab",
    "a space before the colon": H + b"Content-Length : 2\r\n\r\nab",
    "a header without a colon": H + b"Content-Length 2\r\n\r\nab",
    "a header without a name": H + b": x\r\nContent-Length: 2\r\n\r\nab",
    "a name with a space": H + b"X A: y\r\nContent-Length: 2\r\n\r\nab",
    "a name beyond ASCII": H + b"X-\xe9: y\r\nContent-Length: 2\r\n\r\nab",
    "a NUL in a value": H + b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\nab",
    "an escape in a value": H + b"X-A: a\x1bb\r\nContent-Length: 2\r\n\r\nab",
    "a DEL in a value": H + b"X-A: a\x7fb\r\nContent-Length: 2\r\n\r\nab",
    "a lone CR in a value": H + b"X-A: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nab",
    "a lone LF in a value": H + b"X-A: a\nContent-Length: 9\r\nContent-Length: 2\r\n\r\nab",
    "a NUL in the status line": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nab",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nab",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nab",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nab",
    "a status above 599": b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nab",
    "a status in letters": b"HTTP/1.1 OK 200\r\nContent-Length: 2\r\n\r\nab",
    "no space before the reason": b"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nab",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "lower-case http": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "no head at all": b"\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a page without a head": b"<html>hello</html>\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "33 interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 33 + H + b"Content-Length: 2\r\n\r\nab",
    "an interim answer that breaks HTTP": b"HTTP/1.1 100 Continue\r\nX: \x00\r\n\r\n" + ok(b"ab"),
}

CHUNKS = {
    "no size": b"\r\nab\r\n0\r\n\r\n",
    "a size in no base": b"xyz\r\nab\r\n0\r\n\r\n",
    "a size with 0x": b"0x2\r\nab\r\n0\r\n\r\n",
    "a signed size": b"+2\r\nab\r\n0\r\n\r\n",
    "a negative size": b"-2\r\nab\r\n0\r\n\r\n",
    "a space before the size": b" 2\r\nab\r\n0\r\n\r\n",
    "an underscore in the size": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a size of twenty digits": b"00000000000000000002\r\nab\r\n0\r\n\r\n",
    "a size past 64 bits": b"fffffffffffffffff\r\nab\r\n0\r\n\r\n",
    "a size ended by LF alone": b"2\nab\r\n0\r\n\r\n",
    "a size ended by CR alone": b"2\rab\r\n0\r\n\r\n",
    "a chunk longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk ended by LF alone": b"2\r\nab\n0\r\n\r\n",
    "an extension with a NUL": b"2;a=\x00\r\nab\r\n0\r\n\r\n",
    "words after the size": b"2 bytes\r\nab\r\n0\r\n\r\n",
    "an extension of two kilobytes": b"2;" + b"x" * 2048 + b"\r\nab\r\n0\r\n\r\n",
    "a trailer without a colon": b"2\r\nab\r\n0\r\nnonsense\r\n\r\n",
    "a trailer with a NUL": b"2\r\nab\r\n0\r\nX: \x00\r\n\r\n",
    "a folded trailer": b"2\r\nab\r\n0\r\nX: a\r\n b\r\n\r\n",
    "a trailer ended by LF alone": b"2\r\nab\r\n0\r\nX: a\n\r\n",
}

# A new connection is waited for in a thread of its own; one that has been used is carried along with
# others. Both must hold the line.
both = pytest.mark.parametrize("used", [False, True], ids=["new connection", "used connection"])


@both
@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
def test_a_head_that_breaks_http_is_refused(data: bytes, used: bool, open_store: OpenStore) -> None:
    """At once, and the connection is closed.

    On a used connection it may have been left over from the answer before: it is asked for once more.
    """
    answers = [READ, Send(data)]
    script = [[READ, Send(ok()), *answers], answers] if used else [answers]
    _assert_refused(script, open_store, used=used)


@both
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_break_http_are_refused(chunks: bytes, used: bool, open_store: OpenStore) -> None:
    """A chunk is as long as it says, and its size is a plain hexadecimal number."""
    answers = [READ, Send(CHUNKED + chunks)]
    _assert_refused([[READ, Send(ok()), *answers] if used else answers], open_store, used=used)


@pytest.mark.parametrize("method", ["get", "put", "delete", "stat", "list"])
def test_every_operation_refuses_a_broken_head(method: str, open_store: OpenStore) -> None:
    """The error says which operation it was, which key, and after how many attempts."""
    with ScriptedServer([READ, Send(HEADS["two lengths that differ"])]) as server:
        store = open_store(server)
        with pytest.raises(s3kv.MalformedResponse, match="content-length") as caught:
            getattr(store, method)(*{"list": (), "put": ("key", b"v")}.get(method, ("key",)))
        error = caught.value
        assert error.operation is not None
        assert error.operation.lower().startswith({"stat": "head"}.get(method, method))
        assert error.key == (None if method == "list" else "key")
        assert error.attempts == 1
        assert error.elapsed is not None


def test_a_broken_head_on_a_used_connection_is_asked_for_once_more(open_store: OpenStore) -> None:
    """It may be what was left over from the answer before; on a fresh connection it is an error."""
    bad = b"left over\r\n\r\n"
    with ScriptedServer(exchanges(ok(b"one"), bad), exchanges(ok(b"two"), bad), exchanges(bad)) as server:
        store = open_store(server)
        assert store.get("key") == b"one"
        assert store.get("key") == b"two"
        with pytest.raises(s3kv.MalformedResponse) as caught:
            store.get("key")
        assert caught.value.attempts == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("body", [b"", b"some bytes"], ids=["empty", "some bytes"])
def test_object_bytes_without_a_length_are_refused(
    version: str, body: bytes, open_store: OpenStore
) -> None:
    """Nobody can say whether a connection that was closed had carried them all."""
    with ScriptedServer([READ, Send(f"HTTP/{version} 200 OK\r\n\r\n".encode() + body), FIN]) as server:
        store = open_store(server)
        with pytest.raises(s3kv.MalformedResponse, match="how long"):
            store.get("key")


def test_a_range_without_a_length_is_refused(open_store: OpenStore) -> None:
    """Not even when Content-Range tells how many bytes there should be."""
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/10\r\n\r\n"
    with ScriptedServer([READ, Send(head + b"abcd"), FIN]) as server:
        store = open_store(server)
        with pytest.raises(s3kv.MalformedResponse, match="how long"):
            store.get("key", byte_range=slice(0, 4))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    ],
    ids=["LF", "CR LF and LF", "no empty line"],
)
def test_a_head_that_does_not_end_with_two_crlf_gives_no_object(head: bytes, open_store: OpenStore) -> None:
    """When the server closes behind it, that is an answer cut short."""
    step = [READ, Send(head), CLOSE]
    with ScriptedServer(then=step) as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.S3KVError):
            store.get("key")


ENDLESS = {
    "a status line": b"HTTP/1.1 200 ",
    "one header": H + b"X-A: ",
    "many headers": H,
    "interim answers": b"",
    "nothing but text": b"",
}
REPEATED = {
    "a status line": b"x" * 65536,
    "one header": b"x" * 65536,
    "many headers": b"X-A: b\r\n" * 8192,
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
    "nothing but text": b"All work and no play. " * 3000,
}


@both
@pytest.mark.parametrize("name", ENDLESS)
def test_a_head_without_an_end_is_refused(name: str, used: bool, open_store: OpenStore) -> None:
    """After some kilobytes, not some megabytes."""
    steps: list[Step] = [READ, Send(ENDLESS[name]), Flood(REPEATED[name])]
    script = [[READ, Send(ok()), *steps], steps] if used else [steps]
    with ScriptedServer(*script) as server, Stopwatch() as watch:
        _assert_endless(open_store(server), server, s3kv.MalformedResponse, used=used)
    assert watch.seconds < 2


def test_a_megabyte_of_head_is_refused_even_when_it_ends(open_store: OpenStore) -> None:
    """The limit holds for a head that comes in one piece, too."""
    data = H + b"X-A: " + b"x" * 1_000_000 + b"\r\nContent-Length: 2\r\n\r\nab"
    with ScriptedServer([READ, Send(data)], lenient=True) as server, Stopwatch() as watch:
        store = open_store(server)
        with pytest.raises(s3kv.MalformedResponse, match="head is longer"):
            store.get("key")
    assert watch.seconds < 2


def test_a_head_of_reasonable_size_is_understood(open_store: OpenStore) -> None:
    """2 KB of metadata, long request ids and some dozen headers of proxies are no attack."""
    headers = [f"X-Header-{n}: {'v' * 200}" for n in range(100)]
    with ScriptedServer(exchanges(ok(b"x", *headers))) as server:
        assert open_store(server).get("key") == b"x"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(H + b"\r\n<ListBucketResult>", id="until the end"),
        pytest.param(CHUNKED, id="in chunks"),
    ],
)
def test_a_listing_without_an_end_is_refused(start: bytes, open_store: OpenStore) -> None:
    """After the 64 MB that no listing has."""
    piece = b"<a>" + b"x" * (1024 * 1024 - 3)
    if start == CHUNKED:
        piece = b"100000\r\n" + piece + b"\r\n"
    with ScriptedServer([READ, Send(start), Flood(piece)]) as server, Stopwatch() as watch:
        with pytest.raises(s3kv.MalformedResponse, match="document"):
            open_store(server).list()
        peer = server.connections[0]
        assert peer.gone.wait(2)
    assert watch.seconds < 5
    assert peer.sent < 80 * 1024 * 1024


def test_a_listing_that_announces_too_much_is_refused_unread(open_store: OpenStore) -> None:
    """Its length tells, before any of it is read."""
    steps: list[Step] = [READ, Send(answer(200, b"", length=100_000_000_000)), Flood(b"x" * 65536)]
    with ScriptedServer(steps) as server, Stopwatch() as watch:
        with pytest.raises(s3kv.MalformedResponse, match="document"):
            open_store(server).list()
        assert server.connections[0].gone.wait(2)
    assert watch.seconds < 1


@both
@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"HTTP/1.1 403 Forbidden\r\n\r\n", id="until the end"),
        pytest.param(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", id="in chunks"),
        pytest.param(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000000\r\n\r\n", id="with a length"),
    ],
)
def test_of_an_error_without_an_end_the_beginning_is_enough(
    start: bytes, used: bool, open_store: OpenStore
) -> None:
    """The status decides; the connection is closed on the rest."""
    piece = b"sorry " * 10_000
    if b"chunked" in start:
        piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    steps: list[Step] = [READ, Send(start), Flood(piece)]
    with ScriptedServer([READ, Send(ok()), *steps] if used else steps) as server, Stopwatch() as watch:
        _assert_endless(open_store(server), server, s3kv.PermissionDenied, used=used)
    assert watch.seconds < 2


def test_trailers_without_an_end_are_refused(open_store: OpenStore) -> None:
    """They are headers, and limited like them."""
    steps: list[Step] = [READ, Send(CHUNKED + b"2\r\nab\r\n0\r\n"), Flood(b"X-A: b\r\n" * 1000)]
    with ScriptedServer(steps) as server, Stopwatch() as watch:
        with pytest.raises(s3kv.MalformedResponse, match="trailer"):
            open_store(server).get("key")
        assert server.connections[0].gone.wait(2)
    assert watch.seconds < 2


def test_a_chunk_size_line_without_an_end_is_refused(open_store: OpenStore) -> None:
    """An extension is skipped, but not for ever."""
    steps: list[Step] = [READ, Send(CHUNKED + b"2;"), Flood(b"x" * 65536)]
    with ScriptedServer(steps) as server, Stopwatch() as watch:
        with pytest.raises(s3kv.MalformedResponse, match="too long"):
            open_store(server).get("key")
        assert server.connections[0].gone.wait(2)
    assert watch.seconds < 2


@both
@pytest.mark.parametrize(
    "length",
    [2**63 - 1, 2**63, 2**64 - 1, 9_999_999_999_999_999_999, 10**18, 10**15, 4 * 10**13],
    ids=["2^63-1", "2^63", "2^64-1", "19 nines", "10^18", "10^15", "40 terabytes"],
)
def test_an_object_that_announces_the_impossible_is_an_error_of_ours(
    length: int, used: bool, open_store: OpenStore
) -> None:
    """S3 objects end at some terabytes: no MemoryError, SystemError or OverflowError comes out."""
    steps: list[Step] = [READ, Send(answer(200, b"abc", length=length)), CLOSE]
    with ScriptedServer([READ, Send(ok()), *steps] if used else steps, then=steps) as server:
        store = open_store(server, policy=FAST._replace(max_retries=1))
        if used:
            store.put("key", b"")
        call = Background(lambda: store.get("key"))
        assert isinstance(call.error(), s3kv.S3KVError)


def test_an_object_cut_off_early_takes_no_memory_for_the_rest(open_store: OpenStore) -> None:
    """A length of a gigabyte is no reason to touch a gigabyte of memory."""
    with ScriptedServer([READ, Send(answer(200, b"abc", length=2**30)), CLOSE]) as server:
        store = open_store(server, policy=FAST._replace(max_retries=1))
        before = _resident()
        with pytest.raises(s3kv.RetriesExhausted):
            store.get("key")
        assert _resident() - before < 100 * 1024 * 1024


def test_an_object_in_tiny_chunks_takes_time_in_proportion(open_store: OpenStore) -> None:
    """In chunks of one byte: a megabyte of wire is not a minute of work."""
    value = bytes(range(256)) * 800
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in value)
    # Of this process's own time, so that a busy machine does not count.
    start = time.process_time()
    with ScriptedServer([READ, Send(CHUNKED + body + b"0\r\n\r\n")]) as server:
        assert open_store(server).get("key") == value
    assert time.process_time() - start < 3


def test_an_object_in_tiny_chunks_takes_memory_in_proportion(open_store: OpenStore) -> None:
    """A chunk of one byte does not cost a hundred."""
    value = b"x" * 100_000
    data = CHUNKED + b"1\r\nx\r\n" * len(value) + b"0\r\n\r\n"
    with ScriptedServer([READ, Send(data)]) as server:
        store = open_store(server)
        tracemalloc.start()
        try:
            assert store.get("key") == value
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 40 * len(value)


def test_a_head_that_comes_one_byte_at_a_time_is_still_bounded(open_store: OpenStore) -> None:
    """The read timeout bounds each silence; a head that dribbles on is bounded by its length."""
    settings = Settings(read_timeout=0.2)
    with ScriptedServer([READ, Send(H + b"X-A: "), HOLD], lenient=True) as server, Stopwatch() as watch:
        store = open_store(server, settings=settings, policy=FAST._replace(max_retries=1))
        with pytest.raises(s3kv.RetriesExhausted, match="silent"):
            store.get("key")
    assert watch.seconds < 1.5


def _assert_endless(
    store: s3kv.Store, server: ScriptedServer, kind: type[s3kv.S3KVError], *, used: bool
) -> None:
    if used:
        store.put("key", b"")
    with pytest.raises(kind):
        store.get("key")
    for peer in server.connections:
        assert peer.gone.wait(2)
        # What the sockets' buffers take is sent, but not read.
        assert peer.sent < 16 * 1024 * 1024


def _assert_refused(script: list[list[Step]], open_store: OpenStore, *, used: bool) -> None:
    with ScriptedServer(*script) as server:
        store = open_store(server)
        if used:
            store.put("key", b"")
        call = Background(lambda: store.get("key"))
        error = call.error()
        assert isinstance(error, s3kv.MalformedResponse), repr(error)
        assert error.attempts == 1
        assert error.key == "key"
        assert error.operation == "GetObject"
        for peer in server.connections:
            assert peer.gone.wait(2), "the connection was kept"
            assert peer.closed_by_client


def _resident() -> int:
    """Bytes of physical memory that this process has had at most; 0 where that is not known."""
    try:
        import resource
    except ImportError:
        return 0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
