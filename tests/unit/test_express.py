"""What is sent ahead of a request's life is, to the byte, what the life would have sent."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from s3kv.credentials.value import ANONYMOUS, Credentials
from s3kv.endpoint import aws_endpoint, custom_endpoint
from s3kv.errors import MalformedResponse
from s3kv.http1 import MAX_HEAD_BYTES, Fields, parse_head, request_head, split_plain
from s3kv.messages import Request
from s3kv.pipeline.express import _Form, _head
from s3kv.pipeline.prepare import mould_of, prepare

KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZX/+=")
ENDPOINTS = [
    aws_endpoint("bucket", "eu-west-1"),
    aws_endpoint("bucket.with.dots", "eu-west-1"),
    custom_endpoint("http://localhost:9000/base/", "bucket", "us-east-1"),
    custom_endpoint("http://localhost:9000", "", "us-east-1", host_header="s3.example.com"),
]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from([("GET", (("x-amz-checksum-mode", "ENABLED"),)), ("PUT", ())]),
    st.binary(max_size=40),
    st.sampled_from([ANONYMOUS, KEYS, TEMPORARY]),
    st.sampled_from(ENDPOINTS),
    st.sampled_from([(), (("x-amz-request-payer", "requester"),)]),
    st.floats(1e9, 2e9),
)
def test_a_request_sent_ahead_is_the_request(key, kind, body, credentials, endpoint, extra, now) -> None:  # type: ignore[no-untyped-def]
    """Whatever the key, the payload, the credentials and the endpoint."""
    method, headers = kind
    body = body if method == "PUT" else b""
    digest = sha256(body).hexdigest()
    wire = prepare(
        Request("Any", method, key, (), headers, body, digest),
        endpoint,
        credentials,
        now,
        "agent/1",
        extra=extra,
    )
    signed, signing, sent = mould_of(headers, extra, endpoint, credentials, int(now), "agent/1")
    form = _Form(int(now), credentials, endpoint, signing, signed, sent)
    assert _head(form, method, (key, body, digest, 0)) == request_head(wire.method, wire.target, wire.lines)


_FIELDS = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 4",
            b"content-length:4",
            b"Content-Length: 4 ",
            b"Content-Length: 5",
            b"Content-Length: x",
            b"Content-Length: 4, 4",
            b"Content-Type: text/plain",
            b"Content-Type:\xe9\t",
            b"Content-Range: bytes 0-3/9",
            b"Content-Encoding: gzip",
            b"Connection: keep-alive",
            b"Connection: keep-alive, x",
            b"Connection: close",
            b"Transfer-Encoding: chunked",
            b"TE: chunked",
            b'ETag: "a"',
            b'etag: W/"b" ',
            b"x-amz-checksum-crc32: AAAA",
            b"x-amz-request-id: 1",
            b"X-Empty:",
            b"Bad Name: 1",
            b": none",
            b"no colon",
            b"X-Bell: \x07",
            b" folded",
            b"X: a\rb",
            b"X: a\nb",
        ]
    ),
    max_size=6,
)


@given(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 206 Partial",
            b"http/1.1 200 OK",
            b"HTTP/1.1 2000",
        ]
    ),
    _FIELDS,
    st.sampled_from([b"fine", b"fin", b"fine!", b""]),
)
def test_what_is_taken_for_plain_is_so_by_the_strict_rules(
    start: bytes, fields: list[bytes], body: bytes
) -> None:
    """The quick look takes nothing that the parser refuses, or understands otherwise."""
    head = b"\r\n".join([start, *fields])
    plain = split(head + b"\r\n\r\n" + body)
    try:
        parsed = parse_head(head)
    except MalformedResponse:
        assert plain is None
        return
    if plain is not None:
        assert (parsed.status, parsed.length, parsed.chunked) == (200, len(body), False)
        assert parsed.keep_alive
        assert parsed.plain
        assert plain[1] == body
        assert plain[0].headers == parsed.headers
        assert plain[0].etag == parsed.headers.get("etag", "")


def split(data: bytes) -> tuple[Fields, bytes] | None:
    """Look at an answer that lies at the beginning of other bytes."""
    scratch = bytearray(data + b"\r\n\r\nleft over")
    return split_plain(scratch, memoryview(scratch), len(data))


def test_a_usual_answer_is_plain() -> None:
    """Amazon's and others'; one that is longer than a head may be is not."""
    usual = (
        b"HTTP/1.1 200 OK\r\nx-amz-id-2: a=\r\nx-amz-request-id: 3\r\nDate: Wed, 28 Oct 2026\r\n"
        b'ETag: "fba9"\r\nAccept-Ranges: bytes\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b"Content-Length: 4\r\nServer: AmazonS3\r\nConnection: keep-alive\r\n\r\nfine"
    )
    plain = split(usual)
    assert plain is not None
    assert isinstance(plain[0], Fields)
    assert (plain[0].etag, plain[0].headers["server"], plain[1]) == ('"fba9"', "AmazonS3", b"fine")
    assert split(usual[:-1]) is None
    assert split(usual + b"x") is None
    assert split(usual.replace(b"a=", b"a" * MAX_HEAD_BYTES)) is None
