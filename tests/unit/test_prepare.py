"""From a request to what goes on the wire: what is signed, what is sent, and what nobody gets to see."""

from __future__ import annotations

import hashlib
import hmac
import random
from datetime import datetime, timezone
from typing import Any

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from s3kv import sigv4
from s3kv.credentials.value import ANONYMOUS, Credentials
from s3kv.endpoint import Endpoint, aws_endpoint, custom_endpoint
from s3kv.messages import Body, Request, WireRequest
from s3kv.pipeline import prepare as module
from s3kv.pipeline.prepare import prepare
from s3kv.sigv4 import EMPTY_SHA256

NOW = 1_769_900_000.75
DATE = "20260131T225320Z"
LOCAL = custom_endpoint("http://localhost:9000", "bucket", "us-east-1")
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials(
    "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZX/+=token"
)
GET = Request("GetObject", "GET", "key")


def _prepare(
    request: Request,
    credentials: Credentials = KEYS,
    endpoint: Endpoint = LOCAL,
    now: float = NOW,
    fresh: bool = False,
) -> WireRequest:
    return prepare(request, endpoint, credentials, now, "agent/1", fresh=fresh)


def _lower(wire: WireRequest) -> dict[str, str]:
    """The headers by lower-case name; no name twice."""
    headers = {name.lower(): value for name, value in wire.headers}
    assert len(headers) == len(wire.headers)
    return headers


def _signed_names(wire: WireRequest) -> list[str]:
    return _lower(wire)["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")


def test_a_signed_request_has_these_headers_and_no_others() -> None:
    """Host comes first; the proof is the only thing not compared here."""
    wire = _prepare(GET)
    headers = _lower(wire)
    assert headers.pop("authorization").startswith(
        f"AWS4-HMAC-SHA256 Credential={KEYS.access_key}/20260131/us-east-1/s3/aws4_request, "
    )
    assert headers == {
        "host": "localhost:9000",
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": DATE,
        "accept-encoding": "identity",
        "user-agent": "agent/1",
    }
    assert wire.headers[0] == ("Host", "localhost:9000")


def test_an_anonymous_request_says_nothing_of_signatures() -> None:
    """No date, no hash, no proof, no token."""
    wire = _prepare(GET, ANONYMOUS)
    assert wire.headers == [
        ("Host", "localhost:9000"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "agent/1"),
    ]
    assert wire.target == "/bucket/key"


def test_an_anonymous_request_keeps_its_own_headers() -> None:
    """A byte range is asked for whoever asks."""
    request = GET._replace(headers=(("range", "bytes=0-4"),))
    assert _lower(_prepare(request, ANONYMOUS))["range"] == "bytes=0-4"


def test_a_session_token_is_sent_and_signed() -> None:
    """Only where there is one."""
    wire = _prepare(GET, TEMPORARY)
    assert _lower(wire)["x-amz-security-token"] == TEMPORARY.token
    assert "x-amz-security-token" in _signed_names(wire)
    assert "x-amz-security-token" not in _lower(_prepare(GET))


def test_what_a_proxy_may_change_is_not_signed() -> None:
    """Everything else that is sent is, in order of names."""
    request = Request(
        "PutObject",
        "PUT",
        "key",
        headers=(("content-type", "text/plain"), ("x-amz-meta-a", "b"), ("if-match", '"x"')),
        body=b"abc",
        payload_hash=hashlib.sha256(b"abc").hexdigest(),
    )
    wire = _prepare(request, TEMPORARY)
    unsigned = {"accept-encoding", "authorization", "content-length", "user-agent"}
    assert _signed_names(wire) == sorted(set(_lower(wire)) - unsigned)


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", b"", None),
        ("HEAD", b"", None),
        ("DELETE", b"", None),
        ("PUT", b"", "0"),
        ("POST", b"", "0"),
        ("PUT", b"abc", "3"),
        ("PUT", bytearray(b"abcd"), "4"),
        ("PUT", memoryview(b"abcde"), "5"),
        ("POST", b"abc", "3"),
    ],
)
@pytest.mark.parametrize("credentials", [KEYS, ANONYMOUS], ids=["signed", "anonymous"])
def test_a_body_has_its_length(
    method: str, body: Body, length: str | None, credentials: Credentials
) -> None:
    """Also an empty body where the method means one; the body itself is not copied."""
    wire = _prepare(Request("X", method, "key", body=body), credentials)
    assert _lower(wire).get("content-length") == length
    assert wire.body is body
    assert wire.method == method


@pytest.mark.parametrize(
    ("endpoint", "key", "query", "target"),
    [
        (LOCAL, "key", (), "/bucket/key"),
        (LOCAL, None, (), "/bucket"),
        (LOCAL, "a//b/../c", (), "/bucket/a//b/../c"),
        (LOCAL, "/a", (), "/bucket//a"),
        (LOCAL, "é %+?#", (), "/bucket/%C3%A9%20%25%2B%3F%23"),
        (LOCAL, None, (("prefix", "a b/"), ("list-type", "2")), "/bucket?list-type=2&prefix=a%20b%2F"),
        (LOCAL, "key", (("uploads", ""),), "/bucket/key?uploads="),
        (aws_endpoint("bucket", "us-east-1"), "key", (), "/key"),
        (aws_endpoint("bucket", "us-east-1"), "/key", (), "//key"),
        (aws_endpoint("bucket", "us-east-1"), None, (("delete", ""),), "/?delete="),
        (custom_endpoint("http://h/base/", "bucket", "x"), "key", (), "/base/bucket/key"),
        (custom_endpoint("http://h/base/", "", "x"), None, (), "/base"),
    ],
)
def test_the_target_is_path_and_query_as_they_go_on_the_wire(
    endpoint: Endpoint, key: str | None, query: tuple[tuple[str, str], ...], target: str
) -> None:
    """The bucket or a key in it, encoded once; the query sorted, and no question mark without one."""
    wire = _prepare(Request("X", "GET", key, query), KEYS, endpoint)
    assert wire.target == target
    assert wire.origin == endpoint.origin
    assert _lower(wire)["host"] == endpoint.host


def test_the_date_is_that_of_the_store() -> None:
    """What the caller says the store's clock shows, in the header, the scope and the signature."""
    wires = [_prepare(GET, now=NOW + shift) for shift in (0, 0.2, 1, 86400)]
    dates = [_lower(wire)["x-amz-date"] for wire in wires]
    assert dates == [DATE, DATE, "20260131T225321Z", "20260201T225320Z"]
    proofs = [_lower(wire)["authorization"] for wire in wires]
    assert proofs[0] == proofs[1]
    assert len(set(proofs)) == 3
    assert "/20260201/" in proofs[3]


@pytest.mark.parametrize("flag", [True, False])
def test_what_the_transport_must_know_is_passed_on(flag: bool) -> None:
    """Whether the answer is an object's bytes, and whether a used connection will do."""
    assert _prepare(GET._replace(data=flag)).data is flag
    assert _prepare(GET, fresh=flag).fresh is flag


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("key", ["key", None])
def test_the_headers_of_every_request_are_sent_and_signed(method: str, key: str | None) -> None:
    """Whatever the request; its own headers stay what they are."""
    own = (("range", "bytes=0-4"), ("content-type", "text/plain"))
    request = Request("X", method, key, headers=own, body=b"abc" if method == "PUT" else b"")
    extra = (("x-amz-request-payer", "requester"), ("x-amz-expected-bucket-owner", "123456789012"))
    wire = prepare(request, LOCAL, TEMPORARY, NOW, "agent/1", extra=extra)
    headers = _lower(wire)
    assert set(own + extra) <= set(headers.items())
    assert {name for name, _ in own + extra} <= set(_signed_names(wire))
    plain = _lower(prepare(request, LOCAL, TEMPORARY, NOW, "agent/1"))
    assert set(headers) - set(plain) == {name for name, _ in extra}
    assert headers["authorization"] != plain["authorization"]


def test_an_anonymous_request_has_the_headers_of_every_request_too() -> None:
    """Who pays is said even by those who are nobody; the store refuses them in its own words."""
    wire = prepare(GET, LOCAL, ANONYMOUS, NOW, "agent/1", extra=(("x-amz-request-payer", "requester"),))
    assert _lower(wire) == {
        "host": "localhost:9000",
        "x-amz-request-payer": "requester",
        "accept-encoding": "identity",
        "user-agent": "agent/1",
    }


@pytest.mark.parametrize("credentials", [KEYS, ANONYMOUS], ids=["signed", "anonymous"])
def test_a_host_header_names_the_host_and_changes_nothing_else(credentials: Credentials) -> None:
    """The connection goes where the endpoint says, and so does the target; the name is signed."""
    url = "http://127.0.0.1:9000/base"
    named = custom_endpoint(url, "bucket", "us-east-1", host_header="s3.example.com:8000")
    request = Request("ListObjectsV2", "GET", None, (("list-type", "2"),))
    wire = _prepare(request, credentials, named)
    plain = _prepare(request, credentials, custom_endpoint(url, "bucket", "us-east-1"))
    assert wire.headers[0] == ("Host", "s3.example.com:8000")
    assert (wire.origin, wire.target) == (plain.origin, plain.target)
    assert str(wire.origin) == "http://127.0.0.1:9000"
    if credentials is KEYS:
        assert "host" in _signed_names(wire)
        assert _lower(wire)["authorization"] != _lower(plain)["authorization"]


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_request_is_signed_as_botocore_signs_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL and the headers as they go on the wire, given to botocore, get the same proof."""
    rng = random.Random(seed)
    when = datetime.fromtimestamp(int(NOW), timezone.utc)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: when)
    endpoints = [
        LOCAL,
        aws_endpoint("bucket", "eu-west-1"),
        aws_endpoint("my.bucket", "cn-north-1"),
        custom_endpoint("https://[::1]:9000/base", "bucket", "garage"),
        custom_endpoint("http://10.1.2.3:9000", "bucket", "us-east-1", host_header="s3.example.com"),
    ]
    for _ in range(100):
        endpoint, keys = rng.choice(endpoints), rng.choice((KEYS, TEMPORARY))
        body = rng.randbytes(rng.choice((0, 50)))
        key = rng.choice((None, "".join(rng.choices("a/. %+é😀\r=&", k=rng.randint(1, 8)))))
        query = tuple(
            (rng.choice("abA="), rng.choice(("", "é", "a b", "/"))) for _ in range(rng.randint(0, 3))
        )
        headers = rng.sample([("range", "bytes=0-9"), ("x-amz-meta-a", "b  c"), ("if-match", '"e"')], 2)
        method = rng.choice(("GET", "PUT", "DELETE"))
        digest = hashlib.sha256(body).hexdigest()
        wire = prepare(
            Request("X", method, key, query, tuple(headers), body, digest),
            endpoint,
            keys,
            NOW,
            "agent/1",
            extra=rng.choice(((), (("x-amz-request-payer", "requester"),))),
        )
        sent = _lower(wire)
        request = AWSRequest(method, f"{wire.origin}{wire.target}", data=body)
        # botocore takes the host from the URL unless it is told.
        for name in ("range", "x-amz-meta-a", "if-match", "x-amz-request-payer", "host"):
            if name in sent:
                request.headers[name] = sent[name]
        signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(*keys), "s3", endpoint.region)
        signer.add_auth(request)
        assert sent["authorization"] == request.headers["Authorization"], wire
        assert sent["x-amz-content-sha256"] == request.headers["X-Amz-Content-SHA256"]
        assert sent["x-amz-date"] == request.headers["X-Amz-Date"]
        assert sent.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_a_request_that_is_printed_shows_neither_signature_nor_token() -> None:
    """In a log, a traceback or a debugger; method and URL are enough to know it by."""
    wire = _prepare(GET, TEMPORARY)
    proof = _lower(wire)["authorization"].partition("Signature=")[2]
    assert len(proof) == 64
    for shown in (repr(wire), str(wire), f"{wire}", f"{[wire]}"):
        for secret in (proof, TEMPORARY.token, TEMPORARY.secret_key):
            assert secret is not None
            assert secret not in shown
        assert "GET" in shown
        assert "http://localhost:9000/bucket/key" in shown


# ------------------------------------------------------------------ what is worked out once


def _reference(wire: WireRequest, keys: Credentials, region: str, now: float, digest: str) -> str:
    """The proof of a request as it is on the wire, from the specification, with nothing kept."""
    headers = {name.lower(): value for name, value in wire.headers}
    names = sorted(set(headers) - {"accept-encoding", "authorization", "content-length", "user-agent"})
    path, _, query = wire.target.partition("?")
    lines = "".join(f"{name}:{' '.join(headers[name].split(' '))}\n" for name in names)
    canonical = f"{wire.method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{digest}"
    date = datetime.fromtimestamp(int(now), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    key = b"AWS4" + keys.secret_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    proof = hmac.new(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}".encode(), "sha256").hexdigest()
    return (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={proof}"
    )


_VALUES = st.text("abc =,;\"'/%+:", max_size=8).map(lambda text: " ".join(text.split()))
_LATIN = st.text(st.characters(min_codepoint=0xA1, max_codepoint=0xFF), min_size=1, max_size=5)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["range", "if-match", "content-type", "x-amz-meta-a", "x-amz-meta-b", "x-amz-z", "a", "zz"]
        ),
        _VALUES | _LATIN,
    ),
    max_size=5,
    unique_by=lambda pair: pair[0],
).map(tuple)
_EXTRA = st.sampled_from(
    [(), (("x-amz-request-payer", "requester"),), (("x-amz-expected", "1"), ("b", "c"))]
)
_CREDENTIALS = st.sampled_from(
    [
        KEYS,
        TEMPORARY,
        KEYS._replace(secret_key="another"),
        KEYS._replace(access_key="AKIDANOTHER"),
        TEMPORARY._replace(token="another/+="),
        TEMPORARY._replace(token=""),
    ]
)
_ENDPOINTS = st.sampled_from(
    [
        LOCAL,
        LOCAL._replace(region="eu-west-1"),
        aws_endpoint("bucket", "eu-west-1"),
        aws_endpoint("bucket", "us-east-1"),
        custom_endpoint("http://localhost:9000", "other", "us-east-1"),
        custom_endpoint("http://10.1.2.3:9000", "bucket", "us-east-1", host_header="s3.example.com"),
    ]
)
# Around a second, a minute, a day and a year.
_TIMES = st.sampled_from(
    [NOW, NOW + 0.2, NOW + 0.25, NOW + 1, NOW - 1, 1_769_903_999.999, 1_769_904_000.0, 1_798_761_599.5, 0.0]
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
            st.lists(st.tuples(st.text("ab=&é ", min_size=1, max_size=3), st.text("a/é &", max_size=3))),
            _HEADERS,
            _EXTRA,
            _CREDENTIALS,
            _ENDPOINTS,
            _TIMES,
            st.binary(max_size=5),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_kept_from_one_request_changes_no_other(requests: list[Any]) -> None:
    """Each proof is that of its own request, credentials, region and second, in whatever order."""
    for method, key, query, headers, extra, keys, endpoint, now, body in requests:
        digest = hashlib.sha256(body).hexdigest()
        request = Request("X", method, key, tuple(query), headers, body, digest)
        names = {name for name, _ in extra}
        request = request._replace(headers=tuple(pair for pair in headers if pair[0] not in names))
        wire = prepare(request, endpoint, keys, now, "agent/1", extra=extra)
        sent = _lower(wire)
        expected = _reference(wire, keys, endpoint.region, now, digest)
        assert sent["authorization"] == expected
        assert sent["x-amz-content-sha256"] == digest
        assert sent.get("x-amz-security-token") == keys.token
        assert sent["host"] == endpoint.host
        assert wire.headers[-2:] == [("Accept-Encoding", "identity"), ("User-Agent", "agent/1")] or (
            wire.headers[-1][0] == "Content-Length"
        )
        # And as the functions for each stage have it, where headers are what they were written for.
        if all(value.isascii() for _, value in request.headers):
            path, _, text = wire.target.partition("?")
            signed = [(name, sent[name]) for name in _signed_names(wire)]
            date = sigv4.amz_date(now)
            assert expected == sigv4.authorization(
                keys.access_key, keys.secret_key, endpoint.region, date, method, path, text, signed, digest
            )


def test_a_request_is_prepared_as_if_it_were_the_first() -> None:
    """With what is kept and without, it is the same to the byte."""
    shapes = [
        (Request("X", method, key, headers=headers), keys, NOW + shift)
        for method in ("GET", "PUT")
        for key in ("a", "b c")
        for headers in ((), (("range", "bytes=0-1"),), (("range", "bytes=0-2"),))
        for keys in (KEYS, TEMPORARY, ANONYMOUS)
        for shift in (0, 0.1, 1)
    ]
    kept = [_prepare(request, keys, now=now) for request, keys, now in shapes]
    for (request, keys, now), before in zip(shapes, kept, strict=True):
        module._mould.cache_clear()
        module._unsigned.cache_clear()
        sigv4.signing_key.cache_clear()
        assert tuple(_prepare(request, keys, now=now)) == tuple(before)


def test_a_header_value_in_latin_1_is_signed_as_it_goes_on_the_wire() -> None:
    """Its bytes there, not those of UTF-8."""
    request = GET._replace(headers=(("x-amz-meta-a", "é"),))
    wire = _prepare(request)
    assert _lower(wire)["authorization"] == _reference(wire, KEYS, "us-east-1", NOW, EMPTY_SHA256)
    assert "x-amz-meta-a: é\r\n".encode("latin-1") in wire.lines.encode("latin-1")


def test_what_is_kept_is_bounded() -> None:
    """However many headers, seconds, credentials and regions there are."""
    for number in range(1000):
        headers = (("range", f"bytes={number}-{number}"),)
        keys = KEYS._replace(secret_key=f"secret {number}")
        endpoint = LOCAL._replace(region=f"region-{number}")
        _prepare(GET._replace(headers=headers), keys, endpoint, now=NOW + number)
        _prepare(GET._replace(headers=headers), ANONYMOUS)
    for cache in (module._mould, module._unsigned, sigv4.signing_key, sigv4._format_second):
        info = cache.cache_info()
        assert info.maxsize is not None
        assert 0 < info.currsize <= info.maxsize <= 1024


def test_what_is_kept_shows_no_secret_when_it_is_printed() -> None:
    """Neither the key, nor the token, nor anything that was made of them."""
    secret, token = TEMPORARY.secret_key, TEMPORARY.token
    assert token is not None
    mould = module._mould((), (), LOCAL.host, "us-east-1", TEMPORARY, int(NOW), "agent/1")
    key = sigv4.signing_key(secret, "20260131", "us-east-1")
    prefixed = sigv4.PrefixedKey(key, "prefix")
    for thing in (mould, mould.key, key, prefixed, [mould], {"mould": mould}):
        for shown in (repr(thing), str(thing), f"{thing}"):
            assert secret not in shown
            assert token not in shown
            assert "sha256" not in shown
    assert token in "".join(mould.sent)


def test_a_key_for_messages_that_begin_alike_signs_the_whole_message() -> None:
    """As often as it is asked, in any order."""
    key = sigv4.signing_key("secret", "20260131", "us-east-1")
    prefixed = sigv4.PrefixedKey(key, "begin é\n")
    for rest in ("a", "", "b" * 200, "a"):
        assert prefixed.sign(rest) == key.sign(("begin é\n" + rest).encode())


def test_a_message_that_is_no_ascii_is_not_signed_wrongly() -> None:
    """What follows the prefix is a hash, which is ASCII."""
    with pytest.raises(UnicodeEncodeError):
        sigv4.PrefixedKey(sigv4.signing_key("s", "20260131", "r"), "").sign("é")
