"""s3:// URLs: which are understood, and that reading and writing them are exactly inverse."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.spec import Spec
from s3kv.spec.url import format_url, parse_url
from tests.unit.specs import old_buckets, standard_buckets

_UTF8 = st.characters(codec="utf-8")
_WRITTEN = re.compile(r"s3://[A-Za-z0-9._-]+/(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*").fullmatch


@given(standard_buckets | old_buckets, st.text(_UTF8))
@example("abc", "a//b/../c%2F?#@ +\x00é😀")
@example("abc", "/")
@example("abc", "")
@example("abc", "%41%zz%")
@example("abc", "".join(map(chr, range(256))))
def test_a_url_is_read_back_as_it_was_written(bucket: str, path: str) -> None:
    """Formatting and parsing are inverse for every path, and a URL needs no further encoding."""
    url = format_url(bucket, path)
    assert parse_url(url) == (bucket, path)
    assert _WRITTEN(url)
    assert format_url(*parse_url(url)) == url


@given(st.text(_UTF8.filter(lambda character: character not in "%?#|")))
def test_a_path_may_stand_in_a_url_as_it_is(path: str) -> None:
    """Only a percent sign and what would end the path must be encoded; a browser would encode more."""
    assert parse_url(f"s3://bucket/{path}") == ("bucket", path)


@given(st.text(_UTF8), st.sampled_from(["", "/", "/~", "/?#", "%"]))
def test_a_url_may_be_encoded_by_other_means(path: str, safe: str) -> None:
    """Python's own library writes what is read here, and reads what is written here."""
    if not set(safe) & set("?#%"):
        assert parse_url(f"s3://bucket/{quote(path, safe=safe)}") == ("bucket", path)
    assert unquote(format_url("bucket", path), errors="strict") == f"s3://bucket/{path}"


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_the_case_of_a_percent_encoding_does_not_matter(case: object) -> None:
    """RFC 3986, section 2.1."""
    encoded = "".join(f"%{byte:02x}" for byte in "éÿ/?#%".encode())
    assert callable(case)
    assert parse_url(f"s3://bucket/{case(encoded)}") == ("bucket", "éÿ/?#%")


@pytest.mark.parametrize(
    ("url", "bucket", "path"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket//", "bucket", "/"),
        ("s3://bucket///a", "bucket", "//a"),
        ("s3://bucket/a/b/", "bucket", "a/b/"),
        ("s3://bucket/a//b/../c/./d", "bucket", "a//b/../c/./d"),
        ("s3://bucket/..", "bucket", ".."),
        ("s3://bucket/a%20b%2fc%2Bd", "bucket", "a b/c+d"),
        ("s3://bucket/%2F", "bucket", "/"),
        ("s3://bucket/%2E%2E/", "bucket", "../"),
        ("s3://bucket/a+b", "bucket", "a+b"),
        ("s3://bucket/a b", "bucket", "a b"),
        ("s3://bucket/ a ", "bucket", " a "),
        ("s3://bucket/é%C3%A9", "bucket", "éé"),
        ("s3://bucket/e%CC%81", "bucket", "e\u0301"),
        ("s3://bucket/%F0%9F%98%80", "bucket", "😀"),
        ("s3://bucket/%00", "bucket", "\x00"),
        ("s3://bucket/%0A", "bucket", "\n"),
        ("s3://bucket/a\n", "bucket", "a\n"),
        ("s3://bucket/%2525", "bucket", "%25"),
        ("s3://bucket/a%3Fb%23c", "bucket", "a?b#c"),
        ("s3://bucket/user@host:80", "bucket", "user@host:80"),
        ("s3://bucket/s3://other/x", "bucket", "s3://other/x"),
        ("s3://bucket/\\", "bucket", "\\"),
        ("S3://bucket/a", "bucket", "a"),
        ("s3://My_Bucket/a", "My_Bucket", "a"),
        ("s3://my.bucket/a", "my.bucket", "a"),
    ],
)
def test_a_url_is_understood(url: str, bucket: str, path: str) -> None:
    """Percent-decoded once, a plus sign stays one, nothing is normalised."""
    assert parse_url(url) == (bucket, path)
    spec = Spec(url)
    assert (spec.bucket, spec.path) == (bucket, path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no scheme"),
        ("bucket", "no scheme"),
        ("bucket/path", "no scheme"),
        ("s3", "no scheme"),
        ("s3:/bucket/path", "no scheme"),
        ("s3:bucket/path", "no scheme"),
        ("//bucket/path", "no scheme"),
        ("https://bucket.s3.amazonaws.com/a", "scheme is 'https'"),
        ("gs://bucket/a", "scheme is 'gs'"),
        ("s3a://bucket/a", "scheme is 's3a'"),
        ("file:///a", "scheme is 'file'"),
        ("://bucket/a", "scheme is ''"),
        (" s3://bucket/a", "scheme is ' s3'"),
        ("s3://", "no bucket"),
        ("s3:///path", "no bucket"),
        ("s3://bucket/a?versionId=1", "query"),
        ("s3://bucket/a?", "query"),
        ("s3://bucket?x", "query"),
        ("s3://bucket/a?b#c", "query"),
        ("s3://bucket/a#b", "fragment"),
        ("s3://bucket/a#", "fragment"),
        ("s3://bucket#b", "fragment"),
        ("s3://bucket/a.zip|zip:", "%7C"),
        ("s3://bucket/a|b", "%7C"),
        ("s3://bucket|zip:", "%7C"),
        ("s3://user@bucket/a", "user information"),
        ("s3://user:password@bucket/a", "user information"),
        ("s3://@bucket/a", "user information"),
        ("s3://bucket:9000/a", "port"),
        ("s3://bucket:/a", "port"),
        ("s3://ab/a", "allowed"),
        ("s3://1.2.3.4/a", "IP address"),
        ("s3://bucket%2Dx/a", "allowed"),
        ("s3://bücher/a", "allowed"),
        ("s3://bucket name/a", "allowed"),
        ("s3://bucket\n/a", "allowed"),
        ("s3://xn--a/b", "reserved"),
        ("s3://a--x-s3/b", "not supported"),
        ("s3://bucket/100%", "percent"),
        ("s3://bucket/%", "percent"),
        ("s3://bucket/a%2", "percent"),
        ("s3://bucket/a%zz", "percent"),
        ("s3://bucket/a% 2", "percent"),
        ("s3://bucket/a%+2", "percent"),
        ("s3://bucket/a%%20", "percent"),
        ("s3://bucket/a%１２", "percent"),
        ("s3://bucket/%FF", "UTF-8"),
        ("s3://bucket/%C3", "UTF-8"),
        ("s3://bucket/%C3é", "UTF-8"),
        ("s3://bucket/%C0%80", "UTF-8"),
        ("s3://bucket/%ED%A0%80", "UTF-8"),
        ("s3://bucket/%F4%90%80%80", "UTF-8"),
        ("s3://bucket/\ud800", "UTF-8"),
        ("s3://bucket/%20\ud800", "UTF-8"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_with_the_reason(url: str, why: str) -> None:
    """Each in words that say what to change, by a Spec and by a Store."""
    with pytest.raises(SpecError, match=why) as caught:
        Spec(url)
    assert isinstance(caught.value, ValueError)
    assert caught.value.member in ("url", "bucket", "path")
    str(caught.value).encode("utf-8")
    with pytest.raises(SpecError, match=why):
        s3kv.Store(url)


@given(st.text(max_size=60).map("s3://bucket/{}".format) | st.text(max_size=60))
def test_any_other_text_is_refused_as_a_spec_error(url: str) -> None:
    """No text is an exception of another kind."""
    try:
        bucket, path = parse_url(url)
    except SpecError:
        return
    assert parse_url(format_url(bucket, path)) == (bucket, path)


@pytest.mark.parametrize(("unit", "most"), [("x", 1024), ("%20", 1024), ("é", 512), ("%C3%A9", 512)])
def test_the_path_of_a_url_is_as_long_as_any_path(unit: str, most: int) -> None:
    """1,024 bytes of UTF-8, counted after decoding."""
    assert len(Spec(f"s3://bucket/{unit * most}").path.encode("utf-8")) == 1024
    for more in (most + 1, 10 * most):
        with pytest.raises(SpecError, match="1,024") as caught:
            Spec(f"s3://bucket/{unit * more}")
        assert caught.value.member == "path"


def test_a_spec_has_the_url_it_was_made_of() -> None:
    """In its canonical form, which names the same place."""
    assert Spec("s3://bucket/a%20b//c").url == "s3://bucket/a%20b//c"
    assert Spec("S3://bucket/a b%2Fé").url == "s3://bucket/a%20b/%C3%A9"
    assert Spec("s3://bucket").url == "s3://bucket/"
    assert Spec(bucket="My_Bucket", path="/a|b").url == "s3://My_Bucket//a%7Cb"


@pytest.mark.parametrize("bucket", ["bucket", ""])
def test_a_store_with_an_endpoint_has_no_url(bucket: str) -> None:
    """The error says so, and what there is instead."""
    spec = Spec(bucket=bucket, endpoint="http://localhost:9000")
    with pytest.raises(SpecError, match=r"http://localhost:9000.*use its spec") as caught:
        _ = spec.url
    assert caught.value.member == "endpoint"
    with s3kv.Store(spec) as store, pytest.raises(SpecError, match="http://localhost:9000"):
        _ = store.url


def test_an_endpoint_of_the_environment_leaves_a_store_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the store's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://localhost:9000")
    with s3kv.Store("s3://bucket/a b") as store:
        assert store.url == "s3://bucket/a%20b"


def test_a_long_url_is_not_shown_at_length() -> None:
    """A message stays a line; a short one is shown whole."""
    with pytest.raises(SpecError, match="x…'") as caught:
        parse_url("s3://bucket/%" + "x" * 10_000)
    assert len(str(caught.value)) < 400
    with pytest.raises(SpecError, match="'s3://bucket/%x'"):
        parse_url("s3://bucket/%x")
