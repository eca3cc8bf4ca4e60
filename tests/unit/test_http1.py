"""HTTP/1.1 heads and chunked bodies: what is accepted, what is refused, and http.client as the oracle."""

from __future__ import annotations

import http.client
import io
import random
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import MalformedResponse
from s3kv.http1 import (
    MAX_CHUNK_LINE,
    MAX_HEAD_BYTES,
    ChunkedDecoder,
    Head,
    has_body,
    parse_head,
    request_head,
)
from s3kv.messages import header_lines

# ------------------------------------------------------------------------------------ heads


class Told(NamedTuple):
    """What a head says."""

    status: int
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keep_alive: bool


def told(head: Head) -> Told:
    """Look at all of it."""
    return Told(head.status, head.headers, head.length, head.chunked, head.keep_alive)


ACCEPTED = {
    "a reason": (b"HTTP/1.1 200 OK", Told(200, {}, None, False, True)),
    "an empty reason": (b"HTTP/1.1 200 ", Told(200, {}, None, False, True)),
    "no reason and no space": (b"HTTP/1.1 200", Told(200, {}, None, False, True)),
    "a reason of several words": (b"HTTP/1.1 503 Slow \t Down", Told(503, {}, None, False, True)),
    "a reason in Latin-1": (b"HTTP/1.1 500 Erreur g\xe9n\xe9rale", Told(500, {}, None, False, True)),
    "the smallest status": (b"HTTP/1.1 100 Continue", Told(100, {}, None, False, True)),
    "the largest status": (b"HTTP/1.1 599 x", Told(599, {}, None, False, True)),
    "HTTP/1.0 closes": (b"HTTP/1.0 200 OK", Told(200, {}, None, False, False)),
    "HTTP/1.0 with another token": (
        b"HTTP/1.0 200 OK\r\nConnection: upgrade",
        Told(200, {"connection": "upgrade"}, None, False, False),
    ),
    "HTTP/1.0 that keeps alive": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive",
        Told(200, {"connection": "Keep-Alive"}, None, False, True),
    ),
    "close": (
        b"HTTP/1.1 200 OK\r\nConnection: close",
        Told(200, {"connection": "close"}, None, False, False),
    ),
    "close in any case": (
        b"HTTP/1.1 200 OK\r\nconnection: Close",
        Told(200, {"connection": "Close"}, None, False, False),
    ),
    "close among other tokens": (
        b"HTTP/1.1 200 OK\r\nConnection: upgrade ,\tclose , x",
        Told(200, {"connection": "upgrade ,\tclose , x"}, None, False, False),
    ),
    "close in a second field": (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close",
        Told(200, {"connection": "keep-alive, close"}, None, False, False),
    ),
    "close wins over keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close",
        Told(200, {"connection": "keep-alive, close"}, None, False, False),
    ),
    "a token that only contains close": (
        b"HTTP/1.1 200 OK\r\nConnection: not-close",
        Told(200, {"connection": "not-close"}, None, False, True),
    ),
    "a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 17",
        Told(200, {"content-length": "17"}, 17, False, True),
    ),
    "a length with white space around": (
        b"HTTP/1.1 200 OK\r\nContent-Length: \t 0017 \t",
        Told(200, {"content-length": "0017"}, 17, False, True),
    ),
    "a length without space before": (
        b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:0",
        Told(200, {"content-length": "0"}, 0, False, True),
    ),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
        Told(200, {"transfer-encoding": "chunked"}, None, True, True),
    ),
    "chunks in any case": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked ",
        Told(200, {"transfer-encoding": "Chunked"}, None, True, True),
    ),
    "an empty value": (b"HTTP/1.1 200 OK\r\nx-a:", Told(200, {"x-a": ""}, None, False, True)),
    "a value with colons": (
        b"HTTP/1.1 200 OK\r\nx-a: b: c:d",
        Told(200, {"x-a": "b: c:d"}, None, False, True),
    ),
    "a value with an inner tab": (
        b"HTTP/1.1 200 OK\r\nx-a: b\tc",
        Told(200, {"x-a": "b\tc"}, None, False, True),
    ),
    "a value in Latin-1": (
        b"HTTP/1.1 200 OK\r\nx-a: \xe9\x85\xff",
        Told(200, {"x-a": "é\x85ÿ"}, None, False, True),
    ),
    "every character of a token": (
        b"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09AZaz: x",
        Told(200, {"!#$%&'*+-.^_`|~09azaz": "x"}, None, False, True),
    ),
    "a field sent twice": (
        b"HTTP/1.1 200 OK\r\nVary: a\r\nX: y\r\nvary: b ",
        Told(200, {"vary": "a, b", "x": "y"}, None, False, True),
    ),
}

REFUSED = {
    "nothing": b"",
    "another protocol": b"ICY 200 OK",
    "lower-case protocol": b"http/1.1 200 OK",
    "HTTP/2.0": b"HTTP/2.0 200 OK",
    "HTTP/1.2": b"HTTP/1.2 200 OK",
    "HTTP/1.10": b"HTTP/1.10 200 OK",
    "HTTP/0.9": b"<html>hello</html>",
    "a request": b"GET / HTTP/1.1\r\nhost: x",
    "white space first": b" HTTP/1.1 200 OK",
    "an empty line first": b"\r\nHTTP/1.1 200 OK",
    "two spaces before the status": b"HTTP/1.1  200 OK",
    "a tab before the status": b"HTTP/1.1\t200 OK",
    "a status of two digits": b"HTTP/1.1 20 OK",
    "a status of four digits": b"HTTP/1.1 2000 OK",
    "a status below 100": b"HTTP/1.1 099 OK",
    "a status above 599": b"HTTP/1.1 600 OK",
    "a status that is no number": b"HTTP/1.1 2x0 OK",
    "a negative status": b"HTTP/1.1 -20 OK",
    "a reason that sticks to the status": b"HTTP/1.1 200OK",
    "a control character in the reason": b"HTTP/1.1 200 O\x00K",
    "CR in the reason": b"HTTP/1.1 200 O\rK",
    "bare LF after the status line": b"HTTP/1.1 200 OK\nx-a: b",
    "bare LF between fields": b"HTTP/1.1 200 OK\r\nx-a: b\nx-c: d",
    "bare CR between fields": b"HTTP/1.1 200 OK\r\nx-a: b\rx-c: d",
    "an end of line left over": b"HTTP/1.1 200 OK\r\nx-a: b\r\n",
    "an empty line in the middle": b"HTTP/1.1 200 OK\r\nx-a: b\r\n\r\nx-c: d",
    "a folded field": b"HTTP/1.1 200 OK\r\nx-a: b\r\n  c",
    "a field folded with a tab": b"HTTP/1.1 200 OK\r\nx-a: b\r\n\tc",
    "white space before the first field": b"HTTP/1.1 200 OK\r\n x-a: b",
    "white space before a colon": b"HTTP/1.1 200 OK\r\nx-a : b",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nx-a",
    "a field without a name": b"HTTP/1.1 200 OK\r\n: b",
    "a name that is no token": b"HTTP/1.1 200 OK\r\nx(a): b",
    "a name in Latin-1": b"HTTP/1.1 200 OK\r\n\xe9: b",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nx-a: b\x00c",
    "escape in a value": b"HTTP/1.1 200 OK\r\nx-a: \x1b[31m",
    "delete in a value": b"HTTP/1.1 200 OK\r\nx-a: \x7f",
    "two lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
    "two lengths that agree": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5",
    "a hexadecimal length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5",
    "a length with a fraction": b"HTTP/1.1 200 OK\r\nContent-Length: 5.0",
    "a length with an underscore": b"HTTP/1.1 200 OK\r\nContent-Length: 1_0",
    "a length of digits that are not ASCII": b"HTTP/1.1 200 OK\r\nContent-Length: \xb2",
    "a length of twenty digits": b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000000000000",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    "chunks and a length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "no coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
    "a coding in quotes": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: "chunked"',
    "chunks over HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
    "two ETags": b'HTTP/1.1 200 OK\r\nETag: "a"\r\nETag: "b"',
    "two Content-Ranges": b"HTTP/1.1 206 x\r\nContent-Range: bytes 0-1/9\r\nContent-Range: bytes 2-3/9",
}


@pytest.mark.parametrize(("data", "head"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_head_is_understood(data: bytes, head: Told) -> None:
    """Status, fields, framing and persistence of every form that HTTP allows."""
    assert told(parse_head(data)) == head


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_a_head_that_breaks_http_is_refused(data: bytes) -> None:
    """What leaves in doubt where an answer ends is an error, never a guess."""
    with pytest.raises(MalformedResponse):
        parse_head(data)


@pytest.mark.parametrize("control", [*range(9), *range(10, 32), 127])
def test_no_control_character_but_tab_is_taken_anywhere(control: int) -> None:
    """In the reason, in a name and in a value."""
    character = bytes([control])
    for data in (
        b"HTTP/1.1 200 a%cb" % control,
        b"HTTP/1.1 200 OK\r\nx%ca: b" % control,
        b"HTTP/1.1 200 OK\r\nx-a: b" + character + b"c",
        b"HTTP/1.1 200 OK\r\nx-a: b" + character,
    ):
        with pytest.raises(MalformedResponse):
            parse_head(data)


def test_a_refusal_shows_only_the_start_of_the_answer() -> None:
    """A megabyte of nonsense does not end up in a message, and its bytes are escaped."""
    with pytest.raises(MalformedResponse) as caught:
        parse_head(b"\x1b[31mnonsense" + b"x" * 1_000_000)
    assert "nonsense" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


class _FakeSocket:
    """What http.client wants of a socket, over bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self.file = _Unclosable(data)

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        return self.file


class _Unclosable(io.BytesIO):
    """Stays readable after http.client is done with it, so that what it left can be seen."""

    def close(self) -> None:
        pass


def _http_client(data: bytes, method: str = "GET") -> tuple[http.client.HTTPResponse, io.BytesIO]:
    sock = _FakeSocket(data)
    response = http.client.HTTPResponse(cast("http.client.socket.socket", sock), method=method)  # type: ignore[name-defined]
    response.begin()
    return response, sock.file


_TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCXYZ", min_size=1, max_size=12)
# No CR, LF or controls; nothing that begins or ends with white space, which is not part of a value.
_LATIN = [chr(c) for c in (*range(0x20, 0x7F), *range(0x80, 0x100), 9)]
_VALUE = st.text(st.sampled_from(_LATIN), max_size=30)
_RESERVED = {"content-length", "transfer-encoding", "connection", "content-range", "etag", "keep-alive"}
_RESERVED |= {"proxy-connection"}


@st.composite
def _heads(draw: st.DrawFn) -> bytes:
    version = draw(st.sampled_from(["1.0", "1.1"]))
    status = draw(st.integers(200, 599))
    reason = draw(st.sampled_from([b"", b" ", b" OK", b" Slow Down", b" \xe9"]))
    fields: list[tuple[str, str]] = draw(
        st.lists(st.tuples(_TOKEN.filter(lambda name: name.lower() not in _RESERVED), _VALUE), max_size=6)
    )
    if draw(st.booleans()) and fields:
        # A name that comes back in another case.
        fields.append((fields[0][0].swapcase(), draw(_VALUE)))
    framing = draw(st.sampled_from(["length", "chunked", "neither"]))
    if framing == "length":
        fields.append(("Content-Length", str(draw(st.integers(0, 10**15)))))
    elif framing == "chunked" and version == "1.1":
        fields.append(("Transfer-Encoding", draw(st.sampled_from(["chunked", "Chunked", "CHUNKED"]))))
    connection = draw(st.sampled_from(["", "close", "Close", "keep-alive", "Keep-Alive, x", "x, CLOSE"]))
    if connection:
        fields.append(("Connection", connection))
    shuffled = draw(st.permutations(fields))
    lines = [f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}" for name, value in shuffled]
    head = f"HTTP/{version} {status}".encode() + reason
    return b"\r\n".join([head, *(line.encode("latin-1") for line in lines)])


@given(_heads())
def test_a_valid_head_is_read_as_http_client_reads_it(data: bytes) -> None:
    """Generated heads: status, every field, framing and persistence."""
    oracle, _ = _http_client(data + b"\r\n\r\n")
    head = parse_head(data)
    assert head.status == oracle.status
    expected: dict[str, list[str]] = {}
    for name, value in oracle.getheaders():
        expected.setdefault(name.lower(), []).append(value.strip(" \t"))
    assert head.headers == {name: ", ".join(values) for name, values in expected.items()}
    assert head.chunked == bool(oracle.chunked)
    if oracle.status not in (204, 304):
        assert head.length == oracle.length
    if head.chunked or head.length is not None:
        # Without either the body ends with the connection, whatever the head says.
        assert head.keep_alive == (not oracle.will_close)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    """Nothing but MalformedResponse comes out of bytes that a hostile peer chose."""
    for candidate in (data, b"HTTP/1.1 200 OK\r\n" + data, b"HTTP/1.1 200 OK\r\nContent-Length:" + data):
        try:
            head = parse_head(candidate)
        except MalformedResponse:
            continue
        assert 100 <= head.status <= 599
        assert not (head.chunked and head.length is not None)


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("GET", 200, True),
        ("GET", 206, True),
        ("PUT", 200, True),
        ("DELETE", 404, True),
        ("GET", 199, False),
        ("GET", 100, False),
        ("GET", 204, False),
        ("DELETE", 204, False),
        ("GET", 304, False),
        ("GET", 305, True),
        ("CONNECT", 200, False),
        ("CONNECT", 299, False),
        ("CONNECT", 407, True),
        ("HEAD", 200, False),
        ("HEAD", 404, False),
    ],
)
def test_an_answer_has_a_body_unless_method_or_status_rules_it_out(
    method: str, status: int, expected: bool
) -> None:
    """RFC 9112 section 6.3, rules 1 and 2."""
    assert has_body(method, status) is expected


# ------------------------------------------------------------------------------------ requests


def test_a_request_head_is_its_line_its_fields_in_order_and_an_empty_line() -> None:
    """To the byte; the target goes out exactly as it is, dot segments and double slashes included."""
    headers = [("Host", "h:9000"), ("x-amz-date", "20260131T000000Z"), ("x-b", "")]
    assert request_head("PUT", "/b/a//../%20?x=1", header_lines(headers)) == (
        b"PUT /b/a//../%20?x=1 HTTP/1.1\r\nHost: h:9000\r\nx-amz-date: 20260131T000000Z\r\nx-b: \r\n\r\n"
    )


def test_a_request_head_without_fields_still_ends() -> None:
    """The empty line is there when nothing else is."""
    assert request_head("GET", "/", "") == b"GET / HTTP/1.1\r\n\r\n"


# ------------------------------------------------------------------------------------ chunks


def _decode(*feeds: bytes) -> tuple[bytes, ChunkedDecoder]:
    decoder = ChunkedDecoder()
    return b"".join([piece for data in feeds for piece in decoder.feed(data)]), decoder


BODY = b'5\r\nhello\r\n1;name=value\r\n \r\n06 ; q="x"\r\nwor\r\nl\r\n0\r\nx-trailer: a\r\nX-b:\r\n\r\n'
DATA = b"hello wor\r\nl"


def test_a_chunked_body_is_put_together() -> None:
    """Sizes, extensions and trailers are taken out; CR LF inside the data stays."""
    data, decoder = _decode(BODY)
    assert data == DATA
    assert decoder.done
    assert decoder.rest == b""


def test_a_chunked_body_may_be_cut_anywhere() -> None:
    """Every way to split the bytes in two, and byte by byte."""
    for cut in range(len(BODY) + 1):
        data, decoder = _decode(BODY[:cut], BODY[cut:])
        assert data == DATA, cut
        assert decoder.done
        assert decoder.rest == b""
    data, decoder = _decode(*[BODY[i : i + 1] for i in range(len(BODY))])
    assert data == DATA
    assert decoder.done


def test_a_chunked_body_is_not_done_before_its_last_byte() -> None:
    """No prefix of a body counts as the whole, and what it holds so far is a prefix of the data."""
    for cut in range(len(BODY)):
        data, decoder = _decode(BODY[:cut])
        assert not decoder.done, cut
        assert DATA.startswith(data)


def test_bytes_after_the_end_are_kept_as_they_are() -> None:
    """In the same feed, cut anywhere, and in later feeds; the next answer may start there."""
    following = b"HTTP/1.1 200 OK\r\n\r\n"
    whole = BODY + following
    for cut in range(len(whole) + 1):
        data, decoder = _decode(whole[:cut], whole[cut:])
        assert data == DATA
        assert decoder.done
        assert decoder.rest == following


def test_an_empty_body_is_one_line_and_an_empty_one() -> None:
    """The last chunk alone, with any number of zeros."""
    for body in (b"0\r\n\r\n", b"000\r\n\r\n", b"0;x\r\n\r\n"):
        data, decoder = _decode(body)
        assert data == b""
        assert decoder.done


BAD_CHUNKS = {
    "no size": b"\r\nhello",
    "a size that is no number": b"x\r\nhello",
    "a size with a prefix": b"0x5\r\nhello",
    "a signed size": b"+5\r\nhello",
    "a negative size": b"-5\r\nhello",
    "a size with an underscore": b"1_0\r\nhello",
    "a size after a space": b" 5\r\nhello",
    "a size of sixteen digits": b"0000000000000005\r\nhello",
    "digits that are not ASCII": b"\xb2\r\nhello",
    "words after the size": b"5 hello\r\nhello",
    "a control character in an extension": b"5;a\x00\r\nhello",
    "CR in an extension": b"5;a\rb\r\nhello",
    "a size line that ends in bare LF": b"5\nhello",
    "a chunk that is longer than it said": b"5\r\nhello!\r\n",
    "a chunk that ends in bare LF": b"5\r\nhello\n",
    "a chunk without its end": b"5\r\nhello0\r\n\r\n",
    "a last chunk that ends in bare LF": b"0\n\r\n",
    "a body that ends in bare LF": b"0\r\n\n",
    "a trailer without a colon": b"0\r\nnonsense\r\n\r\n",
    "a trailer without a name": b"0\r\n: x\r\n\r\n",
    "a folded trailer": b"0\r\nx: a\r\n b\r\n\r\n",
    "a control character in a trailer": b"0\r\nx: a\x00\r\n\r\n",
    "a trailer that ends in bare LF": b"0\r\nx: a\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_chunked_body_that_breaks_http_is_refused(body: bytes) -> None:
    """At once or byte by byte."""
    with pytest.raises(MalformedResponse):
        _decode(body)
    with pytest.raises(MalformedResponse):
        _decode(*[body[i : i + 1] for i in range(len(body))])


@pytest.mark.parametrize(
    "start", [b"5;", b"", b"0\r\nx: ", b"1\r\na"], ids=["size", "bare", "trailer", "end"]
)
def test_a_line_without_end_is_refused_while_it_is_still_short(start: bytes) -> None:
    """A peer that never ends a line cannot fill the memory, in one piece or in many."""
    with pytest.raises(MalformedResponse):
        _decode(start, *[b"0" * 100] * (MAX_CHUNK_LINE // 100 + 2))
    with pytest.raises(MalformedResponse):
        _decode(start + b"0" * (MAX_CHUNK_LINE + 1))
    with pytest.raises(MalformedResponse):
        _decode(start + b"0" * MAX_CHUNK_LINE + b"\r\n")


def test_trailers_are_bounded_as_a_whole() -> None:
    """Many short trailers are refused where one long one would be; a few pass."""
    line = b"x: " + b"a" * 400 + b"\r\n"
    assert _decode(b"0\r\n" + line * 10 + b"\r\n")[1].done
    with pytest.raises(MalformedResponse):
        _decode(b"0\r\n" + line * (MAX_HEAD_BYTES // 400 + 1))


def test_a_huge_chunk_is_passed_on_as_it_comes() -> None:
    """The size is a promise, not an allocation: 15 digits are fine, the data comes in pieces."""
    decoder = ChunkedDecoder()
    assert decoder.feed(b"FFFFFFFFFFFFFFF\r\n") == []
    assert decoder.feed(b"abc") == [b"abc"]
    assert decoder.feed(b"def") == [b"def"]
    assert not decoder.done


def _encode(rng: random.Random, data: bytes) -> bytes:
    """A chunked body of ``data``, with all that may come along."""
    out = []
    while data:
        size = min(len(data), rng.choice((1, 2, 15, 16, 300)))
        text = f"{size:x}" if rng.random() < 0.5 else f"{size:X}"
        text = rng.choice(("", "0", "000")) + text
        out.append(text.encode() + rng.choice((b"", b";", b";a=b", b' ; a="b c"', b"\t;\xe9")) + b"\r\n")
        out.append(data[:size] + b"\r\n")
        data = data[size:]
    out.append(rng.choice((b"0", b"00", b"0;last")) + b"\r\n")
    out.extend(rng.choices((b"x-a: b\r\n", b"x-amz-checksum-crc32:AAAAAA==\r\n"), k=rng.randint(0, 2)))
    out.append(b"\r\n")
    return b"".join(out)


@pytest.mark.parametrize("seed", range(4))
def test_a_chunked_body_is_read_as_http_client_reads_it(seed: int) -> None:
    """Generated bodies with extensions, trailers and a following answer, cut at random."""
    rng = random.Random(seed)
    for _ in range(250):
        payload = rng.randbytes(rng.choice((0, 1, 40, 700)))
        following = rng.choice((b"", b"HTTP/1.1 200 OK\r\n"))
        wire = _encode(rng, payload) + following
        oracle, file = _http_client(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
        assert oracle.read() == payload
        assert file.read() == following
        cuts = sorted(rng.randint(0, len(wire)) for _ in range(rng.randint(0, 5)))
        feeds = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        data, decoder = _decode(*feeds)
        assert data == payload
        assert decoder.done
        assert decoder.rest == following


@given(
    st.lists(
        st.sampled_from([b"0", b"1", b"a", b"\r\n", b"\n", b"\r", b";", b"x:", b" ", b"\xff"]), max_size=20
    )
)
def test_any_bytes_are_chunks_or_refused_however_they_are_cut(tokens: list[bytes]) -> None:
    """Nothing but MalformedResponse comes out, and one feed or many make no difference."""
    results: list[tuple[bytes, bool, bytes] | None] = []
    for feeds in ([b"".join(tokens)], tokens):
        try:
            data, decoder = _decode(*feeds)
        except MalformedResponse:
            results.append(None)
        else:
            results.append((data, decoder.done, decoder.rest))
    assert results[0] == results[1]
