"""What a request looks like on the wire, byte for byte, over the built-in transport and a session."""

from __future__ import annotations

import array
import hashlib
import mmap
from typing import Any

import pytest

import s3kv
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY, TOKEN, OpenStore
from tests.wire.scripted import (
    READ,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    answer,
    exchanges,
    listing,
    ok,
)


def _fitting(request: Recorded) -> bytes:
    """An answer that fits the request's method."""
    if request.method == "HEAD":
        return answer(200, b"", 'ETag: "e"', length=1)
    if request.method == "DELETE":
        return b"HTTP/1.1 204 No Content\r\n\r\n"
    return ok(b"v" if request.method == "GET" else b"")


# A connection that answers any number of requests on keys.
ANY = [Forever(READ, Answer(_fitting))]

# Keys, and the paths that S3 wants for them: encoded once, never normalised.
PATHS = {
    "plain": "plain",
    "a/b": "a/b",
    "a//b": "a//b",
    "a///b//": "a///b//",
    "/lead": "/lead",
    "//lead": "//lead",
    "x/": "x/",
    "/": "/",
    "//": "//",
    ".": ".",
    "..": "..",
    "./x": "./x",
    "../x": "../x",
    "a/./b": "a/./b",
    "a/../b": "a/../b",
    "a/..": "a/..",
    "a/.": "a/.",
    "../../etc/passwd": "../../etc/passwd",
    "...": "...",
    "%2F": "%252F",
    "%2f": "%252f",
    "%": "%25",
    "100%": "100%25",
    "%zz": "%25zz",
    "a%2Fb/../c": "a%252Fb/../c",
    "a+b": "a%2Bb",
    "a b": "a%20b",
    " ": "%20",
    "a?b": "a%3Fb",
    "?": "%3F",
    "a?versionId=1&x": "a%3FversionId%3D1%26x",
    "a#b": "a%23b",
    "#": "%23",
    "a:b": "a%3Ab",
    "http://x/y": "http%3A//x/y",
    "a;b=c,d": "a%3Bb%3Dc%2Cd",
    "a@b": "a%40b",
    "$&'()*!": "%24%26%27%28%29%2A%21",
    "a\\b": "a%5Cb",
    '"<>[]^`{|}': "%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
    "-._~": "-._~",
    "\x00": "%00",
    "a\x01\x1f\x7f": "a%01%1F%7F",
    "a\r\nb": "a%0D%0Ab",
    "\t": "%09",
    "é": "%C3%A9",
    "e\u0301": "e%CC%81",
    "日本": "%E6%97%A5%E6%9C%AC",
    "😀": "%F0%9F%98%80",
    "\u202e\ufeff": "%E2%80%AE%EF%BB%BF",
    "\ufffe\uffff": "%EF%BF%BE%EF%BF%BF",
    "k" * 1024: "k" * 1024,
    "é" * 512: "%C3%A9" * 512,
}


@pytest.mark.parametrize("key", PATHS, ids=lambda key: ascii(key)[1:-1][:24])
def test_the_path_is_the_key_encoded_once(
    key: str, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """For every method, whatever the key looks like, and the signature is that of this very path."""
    with ScriptedServer(then=ANY) as server:
        store = open_store(server, credentials="environment", session=transport)
        assert store.get(key) == b"v"
        store.put(key, b"v")
        store.stat(key)
        store.delete(key)
        assert [request.method for request in server.requests] == ["GET", "PUT", "HEAD", "DELETE"]
        for request in server.requests:
            assert request.target == f"/bucket/{PATHS[key]}"
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


@pytest.mark.parametrize(
    ("endpoint", "bucket", "key", "target"),
    [
        ("", "bucket", "k", "/bucket/k"),
        ("/", "bucket", "k", "/bucket/k"),
        ("//", "bucket", "k", "/bucket/k"),
        ("/base", "bucket", "k", "/base/bucket/k"),
        ("/base/", "bucket", "/k", "/base/bucket//k"),
        ("", "", "k", "/k"),
        ("/", "", "k", "/k"),
        ("", "", "/lead", "//lead"),
        ("", "", "//lead", "///lead"),
        ("/", "", "./x", "/./x"),
        ("", "", "../x", "/../x"),
        ("/base", "", "k", "/base/k"),
        ("/base/", "", "/lead", "/base//lead"),
        ("/b%20c", "", "k", "/b%20c/k"),
    ],
)
def test_endpoint_bucket_and_key_are_joined_by_one_slash(
    endpoint: str, bucket: str, key: str, target: str, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """Whatever the endpoint ends with; an empty bucket leaves no trace, and the key keeps its slashes."""
    with ScriptedServer(exchanges(ok(b"v"))) as server:
        store = open_store(
            server.url + endpoint, bucket=bucket, credentials="environment", session=transport
        )
        assert store.get(key) == b"v"
        assert server.requests[0].target == target
        sigv4.check(server.requests[0], ACCESS_KEY, SECRET_KEY, "us-east-1")


def test_path_and_key_are_joined_by_nothing(transport: Any, open_store: OpenStore) -> None:
    """The store's path is a prefix, no folder."""
    with ScriptedServer(exchanges(ok(b"1"), ok(b"2"), ok(b"3"))) as server:
        store = open_store(server, path="a/b", session=transport)
        store.get("c")
        (store / "c").get("/d")
        (store + "").get("")
        targets = [request.target for request in server.requests]
        assert targets == ["/bucket/a/bc", "/bucket/a/b/c/d", "/bucket/a/b"]


@pytest.mark.parametrize(
    ("endpoint", "bucket", "target"),
    [
        ("", "bucket", "/bucket"),
        ("/base/", "bucket", "/base/bucket"),
        ("", "", "/"),
        ("/base", "", "/base"),
    ],
)
def test_the_query_of_a_listing_is_sorted_and_encoded(
    endpoint: str, bucket: str, target: str, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """Names in the order of their bytes, every reserved character encoded, a space as %20."""
    with ScriptedServer(exchanges(listing(token="t+/= 1"), listing())) as server:
        store = open_store(
            server.url + endpoint, bucket=bucket, path="p/é&=", credentials="environment", session=transport
        )
        assert list(store.scan("a b+/?", start_after="a b+/?~")) == []
        first, second = server.requests
        assert first.path == second.path == target
        prefix = "p%2F%C3%A9%26%3Da%20b%2B%2F%3F"
        assert first.query == (f"encoding-type=url&list-type=2&prefix={prefix}&start-after={prefix}~")
        assert second.query == (
            f"continuation-token=t%2B%2F%3D%201&encoding-type=url&list-type=2&prefix={prefix}"
        )
        for request in server.requests:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


def test_a_folder_is_listed_with_a_delimiter(keys: None, transport: Any, open_store: OpenStore) -> None:
    """One level, and the query is sorted just the same."""
    page = listing("a/x", extra="<CommonPrefixes><Prefix>a/b%2Bc/</Prefix></CommonPrefixes>")
    with ScriptedServer(exchanges(page)) as server:
        store = open_store(server, credentials="environment", session=transport)
        prefixes, entries = store.list_dir("a/")
        assert prefixes == ["a/b+c/"]
        assert [entry.key for entry in entries] == ["a/x"]
        request = server.requests[0]
        assert request.target == "/bucket?delimiter=%2F&encoding-type=url&list-type=2&prefix=a%2F"
        sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"\r\n\x00\xff" * 5,
        bytes(range(256)) * 64,
        b"16 KiB and one." * 1100,
        b"x" * 300_000,
        bytearray(b"bytearray"),
        memoryview(b"a view")[2:],
        memoryview(b"x" * 40_000)[10:],
        array.array("I", [1, 2, 3]),
        array.array("d", [0.5] * 10_000),
    ],
    ids=lambda value: f"{type(value).__name__} of {len(bytes(value))}",
)
def test_a_value_arrives_as_it_is(value: Any, keys: None, transport: Any, open_store: OpenStore) -> None:
    """Its length in Content-Length, its true SHA-256 in x-amz-content-sha256, its bytes behind."""
    with ScriptedServer(exchanges(ok(), ok())) as server:
        store = open_store(server, credentials="environment", session=transport)
        for _ in range(2):  # Over a new connection, then over a used one.
            store.put("key", value)
        for request in server.requests:
            assert request.body == bytes(value)
            assert request.header("content-length") == str(len(bytes(value)))
            assert request.header("x-amz-content-sha256") == hashlib.sha256(value).hexdigest()
            assert request.header("transfer-encoding") is None
            assert request.header("expect") is None
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


def test_a_mapped_file_is_a_value(transport: Any, open_store: OpenStore) -> None:
    """Anything with a contiguous buffer is."""
    with mmap.mmap(-1, 100_000) as mapped, ScriptedServer(exchanges(ok())) as server:
        mapped[:5] = b"hello"
        open_store(server, session=transport).put("key", mapped)
        assert server.requests[0].body == b"hello" + b"\0" * 99_995


@pytest.mark.parametrize("method", ["get", "stat", "delete", "list"])
def test_a_request_without_a_body_says_nothing_of_one(
    method: str, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """No Content-Length, no Transfer-Encoding; the hash is that of nothing."""
    with ScriptedServer(exchanges(listing("a"))) as server:
        store = open_store(server, credentials="environment", session=transport)
        getattr(store, method)(*[] if method == "list" else ["key"])
        request = server.requests[0]
        assert request.header("content-length") in (None, "0")
        assert request.header("transfer-encoding") is None
        assert request.header("content-type") is None
        assert request.header("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()


def test_every_request_has_the_headers_it_needs_and_no_others(
    session_keys: None, open_store: OpenStore
) -> None:
    """Host first, as RFC 9112 asks; then what is signed, then the rest."""
    script = exchanges(ok(b"v"), ok(b"v"), ok(), ok(), ok(), listing())
    with ScriptedServer(script) as server:
        store = open_store(server, credentials="environment")
        store.get("key")
        store.get("key", byte_range=slice(0, 1))
        store.put("key", b"v", content_type="text/plain", metadata={"Color": "blue", "size": "two words"})
        store.stat("key")
        store.delete("key")
        store.list()
        common = {
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-security-token",
            "authorization",
            "accept-encoding",
            "user-agent",
        }
        extra: list[set[str]] = [
            {"x-amz-checksum-mode"},
            {"range"},
            {"content-type", "x-amz-meta-color", "x-amz-meta-size", "content-length"},
            set(),
            set(),
            set(),
        ]
        for request, more in zip(server.requests, extra, strict=True):
            assert request.names == common | more
            assert len(request.headers) == len(request.names)
            assert request.headers[0] == ("Host", f"127.0.0.1:{server.port}")
            assert request.line.endswith(" HTTP/1.1")
            assert request.header("accept-encoding") == "identity"
            assert request.header("x-amz-security-token") == TOKEN
            assert request.header("user-agent") == f"s3kv/{s3kv.__version__}"
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")
        assert server.requests[0].header("x-amz-checksum-mode") == "ENABLED"
        assert server.requests[1].header("range") == "bytes=0-0"
        assert server.requests[2].header("x-amz-meta-size") == "two words"


def test_an_anonymous_request_carries_no_proof(
    session_keys: None, transport: Any, open_store: OpenStore
) -> None:
    """Even when the environment has keys."""
    with ScriptedServer(exchanges(ok(b"v"), ok())) as server:
        store = open_store(server, session=transport)
        store.get("key")
        store.put("key", b"v")
        for request in server.requests:
            assert not request.names & {
                "authorization",
                "x-amz-date",
                "x-amz-content-sha256",
                "x-amz-security-token",
            }
            assert request.header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("wanted", "header", "told", "body"),
    [
        (slice(1, 5), "bytes=1-4", "bytes 1-4/10", b"1234"),
        (slice(4, None), "bytes=4-", "bytes 4-9/10", b"456789"),
        (slice(None, 1), "bytes=0-0", "bytes 0-0/10", b"0"),
        (slice(-3, None), "bytes=-3", "bytes 7-9/10", b"789"),
    ],
)
def test_a_range_is_asked_for_as_http_writes_it(
    wanted: slice, header: str, told: str, body: bytes, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """First and last byte, both included."""
    data = answer(206, body, f"Content-Range: {told}", 'ETag: "e"')
    with ScriptedServer(exchanges(data)) as server:
        store = open_store(server, credentials="environment", session=transport)
        assert store.get("key", byte_range=wanted) == body
        assert server.requests[0].header("range") == header
        sigv4.check(server.requests[0], ACCESS_KEY, SECRET_KEY, "us-east-1")


@pytest.mark.parametrize("size", [0, 1, 1000, 8192, 16_384], ids=lambda size: f"{size} bytes")
def test_head_and_small_body_leave_in_one_piece(size: int, keys: None, open_store: OpenStore) -> None:
    """One system call, one packet: no second one waits for the acknowledgement of the first."""
    with ScriptedServer(exchanges(*[ok()] * 6)) as server:
        store = open_store(server, credentials="environment")
        for _ in range(6):  # Over a new connection, then over a used one.
            store.put("key", b"x" * size)
        for request in server.requests:
            assert request.first_read == len(request.raw)
            assert request.segments in (1, None)


@pytest.mark.parametrize("size", [16_385, 100_000, 3_000_000])
def test_a_large_body_is_not_copied_together_with_its_head(
    size: int, keys: None, open_store: OpenStore
) -> None:
    """It arrives whole all the same, also when the server takes it slowly."""
    value = bytes(range(256)) * (size // 256 + 1)
    value = value[:size]
    with ScriptedServer(exchanges(ok(), ok())) as server:
        store = open_store(server, credentials="environment")
        store.put("key", value)
        store.put("key", value)
        assert [request.body for request in server.requests] == [value, value]


@pytest.mark.parametrize(
    "options",
    [
        {"content_type": "text/plain\r\nX-Evil: 1"},
        {"content_type": "text/plain\n"},
        {"content_type": "a\x00b"},
        {"content_type": "é"},
        {"content_type": " text/plain"},
        {"metadata": {"a": "1\r\nX-Evil: 1"}},
        {"metadata": {"a\r\nX-Evil": "1"}},
        {"metadata": {"a": "\x7f"}},
        {"metadata": {"a b": "1"}},
        {"metadata": {"": "1"}},
        {"metadata": {"A": "1", "a": "2"}},
    ],
    ids=repr,
)
def test_what_a_header_cannot_carry_is_refused_before_anything_is_sent(
    options: dict[str, Any], transport: Any, open_store: OpenStore
) -> None:
    """A ValueError, and no connection is opened."""
    with ScriptedServer() as server:
        store = open_store(server, session=transport)
        with pytest.raises(ValueError):
            store.put("key", b"v", **options)


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "\ud800", b"\xff"], ids=ascii)
def test_a_key_that_s3_cannot_hold_is_refused_before_anything_is_sent(
    key: Any, transport: Any, open_store: OpenStore
) -> None:
    """For every operation on one key."""
    with ScriptedServer() as server:
        store = open_store(server, session=transport)
        for call in (store.get, store.stat, store.delete, lambda k: store.put(k, b"")):
            with pytest.raises(s3kv.InvalidKey):
                call(key)


def test_signatures_are_made_anew_for_each_attempt(
    keys: None, transport: Any, open_store: OpenStore
) -> None:
    """Keys that change between two requests are used at once, without a new store."""

    def echo(request: Recorded) -> bytes:
        sigv4.check(request, ACCESS_KEY, SECRET_KEY, "eu-central-1")
        return ok(request.target.encode())

    with ScriptedServer([Forever(READ, Answer(echo))]) as server:
        store = open_store(server, credentials="environment", region="eu-central-1", session=transport)
        for number in range(20):
            assert store.get(f"key {number}") == f"/bucket/key%20{number}".encode()


def test_opening_a_store_sends_nothing(transport: Any, open_store: OpenStore) -> None:
    """Not even a connection is made before the first operation."""
    with ScriptedServer() as server:
        store = open_store(server, session=transport)
        assert store
        assert repr(store)
        assert store.spec()
        assert store / "child"


def test_the_answer_to_a_put_needs_an_etag(transport: Any, open_store: OpenStore) -> None:
    """Without one there is no generation to return: the answer is not what S3 promises."""
    with ScriptedServer(
        [READ, Send(answer(200, b"")), READ, Send(answer(200, b"", "ETag: plain"))]
    ) as server:
        store = open_store(server, session=transport)
        with pytest.raises(s3kv.MalformedResponse, match="ETag"):
            store.put("key", b"v")
        assert store.put("key", b"v").generation == '"plain"'
