"""Signature Version 4: Amazon's published examples, and thousands of requests against botocore."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from s3kv import sigv4
from s3kv.credentials.value import Credentials as Keys
from s3kv.keys import encode_path

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DATE = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"
HOST = "examplebucket.s3.amazonaws.com"
WELCOME_SHA256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"


class Example(NamedTuple):
    """One example of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    payload_hash: str
    canonical: str
    digest: str
    signature: str


def _common(payload_hash: str) -> tuple[tuple[str, str], ...]:
    return (("host", HOST), ("x-amz-content-sha256", payload_hash), ("x-amz-date", DATE))


EXAMPLES = {
    "GET object": Example(
        "GET",
        "/test.txt",
        (),
        (("range", "bytes=0-9"), *_common(sigv4.EMPTY_SHA256)),
        sigv4.EMPTY_SHA256,
        "GET\n"
        "/test.txt\n"
        "\n"
        "host:examplebucket.s3.amazonaws.com\n"
        "range:bytes=0-9\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n"
        "\n"
        "host;range;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": Example(
        "PUT",
        "/test%24file.text",
        (),
        (
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            *_common(WELCOME_SHA256),
        ),
        WELCOME_SHA256,
        "PUT\n"
        "/test%24file.text\n"
        "\n"
        "date:Fri, 24 May 2013 00:00:00 GMT\n"
        "host:examplebucket.s3.amazonaws.com\n"
        "x-amz-content-sha256:44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n"
        "x-amz-date:20130524T000000Z\n"
        "x-amz-storage-class:REDUCED_REDUNDANCY\n"
        "\n"
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class\n"
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": Example(
        "GET",
        "/",
        (("lifecycle", ""),),
        _common(sigv4.EMPTY_SHA256),
        sigv4.EMPTY_SHA256,
        "GET\n"
        "/\n"
        "lifecycle=\n"
        "host:examplebucket.s3.amazonaws.com\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n"
        "\n"
        "host;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "GET bucket (list objects)": Example(
        "GET",
        "/",
        (("prefix", "J"), ("max-keys", "2")),
        _common(sigv4.EMPTY_SHA256),
        sigv4.EMPTY_SHA256,
        "GET\n"
        "/\n"
        "max-keys=2&prefix=J\n"
        "host:examplebucket.s3.amazonaws.com\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n"
        "\n"
        "host;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}

published = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def _canonical(example: Example) -> str:
    query = sigv4.canonical_query(example.query)
    request, _ = sigv4.canonical_request(
        example.method, example.path, query, example.headers, example.payload_hash
    )
    return request


@published
def test_the_canonical_request_is_the_published_one(example: Example) -> None:
    """Stage one, to the byte."""
    assert _canonical(example) == example.canonical


@published
def test_the_string_to_sign_is_the_published_one(example: Example) -> None:
    """Stage two names the algorithm, the date, the scope and the hash of stage one."""
    text = sigv4.string_to_sign(DATE, sigv4.credential_scope(DATE, "us-east-1"), _canonical(example))
    assert text == f"AWS4-HMAC-SHA256\n20130524T000000Z\n{SCOPE}\n{example.digest}"


@published
def test_the_signature_is_the_published_one(example: Example) -> None:
    """Stage three."""
    text = f"AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{example.digest}"
    assert sigv4.signature(SECRET, DATE, "us-east-1", text) == example.signature


@published
def test_the_authorization_header_is_the_published_one(example: Example) -> None:
    """All three stages together, in the form of the header."""
    header = sigv4.authorization(
        ACCESS_KEY,
        SECRET,
        "us-east-1",
        DATE,
        example.method,
        example.path,
        sigv4.canonical_query(example.query),
        example.headers,
        example.payload_hash,
    )
    names = ";".join(sorted(name for name, _ in example.headers))
    assert header == (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE}, SignedHeaders={names}, "
        f"Signature={example.signature}"
    )


@published
def test_the_published_values_are_what_botocore_computes(example: Example) -> None:
    """The examples above are remembered rightly: botocore gets the same at each stage."""
    query = "&".join(f"{name}={value}" for name, value in example.query)
    request = AWSRequest(example.method, f"https://{HOST}{example.path}?{query}".rstrip("?"))
    for name, value in example.headers:
        request.headers[name] = value
    request.context["timestamp"] = DATE
    signer = botocore.auth.S3SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", "us-east-1")
    canonical = signer.canonical_request(request)
    assert canonical == example.canonical
    text = signer.string_to_sign(request, canonical)
    assert text.rpartition("\n")[2] == example.digest
    assert signer.signature(text, request) == example.signature


def test_the_hash_of_the_published_body_is_the_published_one() -> None:
    """The PUT example's body, so that its payload hash is not merely copied."""
    assert hashlib.sha256(b"Welcome to Amazon S3.").hexdigest() == WELCOME_SHA256
    assert hashlib.sha256(b"").hexdigest() == sigv4.EMPTY_SHA256


def test_the_presigned_url_is_the_published_one() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, to the byte."""
    query = sigv4.presigned_query(
        ACCESS_KEY, SECRET, None, "us-east-1", DATE, 86400, "GET", "/test.txt", (), [("host", HOST)]
    )
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400"
        "&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    canonical, _ = sigv4.canonical_request(
        "GET", "/test.txt", query.rpartition("&")[0], [("host", HOST)], sigv4.UNSIGNED_PAYLOAD
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert digest == "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"


# Keys and names that a normalising, twice-encoding or wrongly sorting signer gets wrong.
PIECES = (
    "a", "Z", "9", "-", "_", ".", "~", "/", "//", "./", "../", "/./", "/../", " ", "  ", "+", "%", "%2F",
    "%25", "%zz", "=", "&", "?", "#", ";", ":", "@", "!", "$", "'", "(", ")", "*", ",", "[", "]", "\\",
    "^", "`", "{", "|", "}", '"', "<", ">", "\x00", "\x01", "\t", "\n", "\r", "\x1f", "\x7f", "\x85",
    "\xa0", "é", "e\u0301", "ß", "中文", "\u2028", "\ufeff", "\uffff", "😀", "👩‍👩‍👧", "\U0010ffff",
)  # fmt: skip
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "auto", "garage")


class Case(NamedTuple):
    """One generated request, as both signers get it."""

    access_key: str
    secret: str
    token: str | None
    region: str
    time: datetime
    scheme: str
    host: str
    method: str
    key: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


def _text(rng: random.Random, most: int) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(0, most)))


def _header_value(rng: random.Random) -> str:
    # Printable ASCII is all that the package lets into a header; runs of spaces are the trap.
    words = ["a", "b=c", "  ", "   ", " ", '"quoted  text"', "x;y", "0,1", ", "]
    return "".join(rng.choices(words, k=rng.randint(0, 6)))


def _query(rng: random.Random) -> list[tuple[str, str]]:
    # Names that are each other's prefix, and characters on both sides of "=" (0x3D) and of "%" (0x25),
    # which change places when whole "name=value" texts or texts not yet encoded are sorted.
    names = [
        "a",
        "a-",
        "a.",
        "a0",
        "aa",
        "A",
        "a=",
        "a&",
        "a%",
        "a ",
        "a+",
        "a/",
        "é",
        "prefix",
        "x-id",
        "",
    ]
    pairs = []
    for _ in range(rng.choice((0, 0, 1, 2, 3, 6))):
        name = rng.choice(names) if rng.random() < 0.8 else _text(rng, 3)
        pairs.append((name, "" if rng.random() < 0.3 else _text(rng, 4)))
    return pairs


def _cases(seed: int, count: int) -> Iterator[Case]:
    rng = random.Random(seed)
    start = datetime(2000, 1, 1, tzinfo=timezone.utc)
    for _ in range(count):
        names = rng.sample(
            ["range", "if-match", "content-type", "x-amz-meta-a", "x-amz-meta-a-b", "x-b"], 3
        )
        yield Case(
            access_key="AK" + "".join(rng.choices("ABCDEFGHIJ234567", k=rng.choice((1, 14, 18)))),
            secret="".join(rng.choices("abcXYZ019/+=é", k=rng.choice((1, 40, 80)))),
            token=None if rng.random() < 0.5 else "".join(rng.choices("abc/+=%&", k=rng.choice((1, 400)))),
            region=rng.choice(REGIONS),
            time=start + timedelta(seconds=rng.randrange(40 * 365 * 86400)),
            scheme=rng.choice(("http", "https")),
            host=rng.choice(("bucket.s3.amazonaws.com", "localhost:9000", "[::1]:9000", "127.0.0.1")),
            method=rng.choice(("GET", "PUT", "POST", "DELETE", "HEAD")),
            key=_text(rng, 8),
            query=_query(rng),
            headers={name: _header_value(rng) for name in names[: rng.randint(0, 3)]},
            body=rng.randbytes(rng.choice((0, 0, 1, 100))),
        )


def _oracle_url(case: Case) -> str:
    # How botocore's serializer writes a key into a path.
    return f"{case.scheme}://{case.host}/" + quote(case.key.encode("utf-8"), safe="/~")


@pytest.mark.parametrize("seed", range(8))
def test_the_authorization_header_is_botocores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd keys, queries, headers, tokens, regions and dates give botocore's header, to the byte."""
    for case in _cases(seed, 500):
        with monkeypatch.context() as patched:
            patched.setattr(botocore.auth, "get_current_datetime", lambda case=case: case.time)
            request = AWSRequest(case.method, _oracle_url(case), dict(case.headers), case.body)
            # Pairs, not a dict: a name may come twice.
            request.params = case.query  # type: ignore[assignment]
            keys = Credentials(case.access_key, case.secret, case.token)
            botocore.auth.S3SigV4Auth(keys, "s3", case.region).add_auth(request)
        date = sigv4.amz_date(case.time.timestamp())
        digest = hashlib.sha256(case.body).hexdigest()
        headers = [
            ("host", case.host),
            *case.headers.items(),
            ("x-amz-content-sha256", digest),
            ("x-amz-date", date),
        ]
        if case.token is not None:
            headers.append(("x-amz-security-token", case.token))
        ours = sigv4.authorization(
            case.access_key,
            case.secret,
            case.region,
            date,
            case.method,
            "/" + encode_path(case.key),
            sigv4.canonical_query(case.query),
            headers,
            digest,
        )
        assert ours == request.headers["Authorization"], case
        assert date == request.headers["X-Amz-Date"]


@pytest.mark.parametrize("seed", range(4))
def test_the_presigned_query_is_botocores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same parameters and the same signature as botocore's presigned URL of the same request."""
    for case in _cases(1000 + seed, 500):
        # botocore keeps a presigned URL's parameters in a dict: no name twice here.
        query = dict(case.query)
        expires = 1 + len(case.key) * 1000
        with monkeypatch.context() as patched:
            patched.setattr(botocore.auth, "get_current_datetime", lambda case=case: case.time)
            request = AWSRequest(case.method, _oracle_url(case), dict(case.headers), params=dict(query))
            keys = Credentials(case.access_key, case.secret, case.token)
            botocore.auth.S3SigV4QueryAuth(keys, "s3", case.region, expires).add_auth(request)
        ours = sigv4.presigned_query(
            case.access_key,
            case.secret,
            case.token,
            case.region,
            sigv4.amz_date(case.time.timestamp()),
            expires,
            case.method,
            "/" + encode_path(case.key),
            query.items(),
            [("host", case.host), *case.headers.items()],
        )
        theirs = str(request.url).partition("?")[2]
        assert ours.rpartition("&")[2] == theirs.rpartition("&")[2], case
        # botocore does not put them in order on the wire, which the signature does not need.
        assert sorted(ours.split("&")) == sorted(theirs.split("&")), case


def test_the_query_is_sorted_by_encoded_name_then_by_value() -> None:
    """Names that are prefixes of others, names that hold what encodes low, and repeated names."""
    pairs = [
        ("a", "2"),
        ("a", "10"),
        ("a-", "1"),
        ("a/", "1"),
        ("b", ""),
        ("A", "z"),
        ("a=", "0"),
        ("é", ""),
    ]
    assert sigv4.canonical_query(pairs) == ("%C3%A9=&A=z&a=10&a=2&a%2F=1&a%3D=0&a-=1&b=")


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=6))
def test_the_query_decodes_to_the_pairs_it_was_made_of(pairs: list[tuple[str, str]]) -> None:
    """Nothing is lost or merged on the way into a query string."""
    decoded = parse_qsl(
        sigv4.canonical_query(pairs), keep_blank_values=True, strict_parsing=bool(pairs), errors="strict"
    )
    assert sorted(decoded) == sorted(pairs)


def test_header_values_are_trimmed_and_their_inner_spaces_collapsed() -> None:
    """The canonical form of a header is lower-case name, colon, trimmed value, in the order of names."""
    lines, names = sigv4.canonical_headers([("x-b", "  two   words  "), ("x-a", "a\tb"), ("x-c", "plain")])
    assert lines == "x-a:a b\nx-b:two words\nx-c:plain\n"
    assert names == "x-a;x-b;x-c"


def test_the_signing_key_is_the_published_one() -> None:
    """The derivation example of Amazon's general reference: a key seen through what it signs."""
    derived = bytes.fromhex("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9")
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    for message in (b"", b"x", b"a longer message" * 100):
        assert key.sign(message) == hmac.new(derived, message, hashlib.sha256).hexdigest()


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_a_signing_key_signs_as_hmac_does_and_can_sign_again(key: bytes, messages: list[bytes]) -> None:
    """The two precomputed SHA-256 states are copied, not used up."""
    signer = sigv4.SigningKey(key)
    for message in [*messages, *messages]:
        assert signer.sign(message) == hmac.new(key, message, hashlib.sha256).hexdigest()


def test_a_signing_key_is_derived_once_for_a_secret_date_region_and_service() -> None:
    """The cache gives the same object for the same four, and never for others; it is bounded."""
    key = sigv4.signing_key("secret", "20260131", "us-east-1")
    assert sigv4.signing_key("secret", "20260131", "us-east-1") is key
    others = [
        sigv4.signing_key("secreT", "20260131", "us-east-1"),
        sigv4.signing_key("secret", "20260201", "us-east-1"),
        sigv4.signing_key("secret", "20260131", "us-east-2"),
        sigv4.signing_key("secret", "20260131", "us-east-1", "sts"),
    ]
    assert len({key.sign(b"m"), *(other.sign(b"m") for other in others)}) == 5
    maximum = sigv4.signing_key.cache_info().maxsize
    assert maximum is not None
    assert maximum <= 1024


@pytest.mark.parametrize(
    ("timestamp", "date"),
    [
        (0, "19700101T000000Z"),
        (1369353600, "20130524T000000Z"),
        (1769903999.999, "20260131T235959Z"),
        (1769904000.0, "20260201T000000Z"),
        (951782400, "20000229T000000Z"),
        (4102444799.5, "20991231T235959Z"),
    ],
)
def test_a_date_is_written_in_whole_seconds_of_utc(timestamp: float, date: str) -> None:
    """The fraction is cut off, not rounded, and the zone is UTC."""
    assert sigv4.amz_date(timestamp) == date


@given(st.floats(min_value=0, max_value=4102444800))
def test_a_date_is_what_datetime_writes(timestamp: float) -> None:
    """Any time, against the standard library, whatever was written just before."""
    moment = datetime.fromtimestamp(int(timestamp), timezone.utc)
    assert sigv4.amz_date(timestamp) == moment.strftime("%Y%m%dT%H%M%SZ")


def test_no_secret_is_in_a_repr() -> None:
    """Signing keys and credentials show neither a secret key nor a token, however they are printed."""
    token = "FwoGZXIvYXdzEBYaDHqa0AP"
    for thing in (sigv4.signing_key(SECRET, "20260131", "us-east-1"), Keys(ACCESS_KEY, SECRET, token)):
        for shown in (repr(thing), str(thing), f"{thing}", f"{[thing]}"):
            assert SECRET not in shown
            assert token not in shown
            assert ACCESS_KEY not in shown
    assert repr(Keys("", "")) == "Credentials(anonymous)"
