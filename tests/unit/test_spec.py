"""How a store is described: bucket names, s3:// URLs, the JSON spec and what its errors say."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.bucket import check_bucket
from s3kv.spec.endpoint_url import split_endpoint
from s3kv.spec.spec import Spec
from s3kv.spec.url import format_url, parse_url

# ---------------------------------------------------------------------------------- bucket names


@pytest.mark.parametrize(
    "name",
    [
        "abc",
        "a-b",
        "a.b",
        "123",
        "1.2.3",
        "1.2.3.4.5",
        "1234.1.1.1",
        "1.2.3.x",
        "a--b",
        "my-bucket.example.com",
        "xn-a",
        "x" * 63,
        "a.b" + "c" * 60,
        "sthre-e",
        "s3alias",
        "a-s3aliases",
        "ol-s3",
        "b--x-s3x",
    ],
)
def test_a_standard_name_is_one(name: str) -> None:
    """3 to 63 of a-z, 0-9, - and ., in labels that start and end with a letter or digit."""
    assert check_bucket(name) is True


@pytest.mark.parametrize(
    ("size", "standard"),
    [(0, None), (1, None), (2, None), (3, True), (63, True), (64, False), (255, False), (256, None)],
)
def test_the_length_of_a_name_decides(size: int, standard: bool | None) -> None:
    """Up to 63 anywhere, up to 255 where old names live, nothing shorter than 3 or longer."""
    name = "a" * size
    if standard is None:
        with pytest.raises(SpecError):
            check_bucket(name)
    else:
        assert check_bucket(name) is standard


@pytest.mark.parametrize("name", ["a_b", "A-B", "MyBucket", "My_Old.Bucket", "abC", "a" * 64, "A" * 255])
def test_a_name_from_before_2018_is_told_apart(name: str) -> None:
    """Upper case, underscores and length are allowed, but not as a standard name."""
    assert check_bucket(name) is False


@pytest.mark.parametrize("name", ["-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "_ab", "ab_", "..."])
def test_a_name_with_a_bad_label_is_never_a_standard_one(name: str) -> None:
    """Empty labels, and labels that start or end with a hyphen."""
    try:
        standard = check_bucket(name)
    except SpecError:
        return
    assert standard is False


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1.2.3.4", "IP address"),
        ("192.168.5.44", "IP address"),
        ("256.1.1.1", "IP address"),
        ("999.999.999.999", "IP address"),
        ("xn--bcher-kva", "xn--"),
        ("sthree-x", "sthree-"),
        ("sthree-configurator-x", "sthree-"),
        ("point-s3alias", "-s3alias"),
        ("lambda--ol-s3", "--ol-s3"),
        ("express--usw2-az1--x-s3", "not supported"),
        ("a b", "allowed"),
        ("a/b", "allowed"),
        ("a\\b", "allowed"),
        ("a:b", "allowed"),
        ("a%b", "allowed"),
        ("abc\n", "allowed"),
        ("abc\x00", "allowed"),
        ("bücher", "allowed"),
        ("büc", "allowed"),
        ("abc١", "allowed"),
        ("", "allowed"),
    ],
)
def test_a_name_that_no_bucket_can_have_is_refused_with_the_reason(name: str, why: str) -> None:
    """The error names the member, what was given and what is allowed."""
    with pytest.raises(SpecError, match=why) as caught:
        check_bucket(name)
    assert caught.value.member == "bucket"
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", [None, 5, b"abc", ["abc"]])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    """By its type."""
    with pytest.raises(SpecError, match=type(name).__name__):
        check_bucket(name)


def test_a_refused_name_is_not_shown_at_length() -> None:
    """A message stays a line."""
    with pytest.raises(SpecError) as caught:
        check_bucket("a" * 100_000)
    assert len(str(caught.value)) < 400


# ------------------------------------------------------------------------------------------ URLs

_BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True).filter(
    lambda name: not name.startswith(("xn--", "sthree-")) and not name.endswith(("-s3alias", "-s3"))
)


@given(_BUCKETS, st.text(max_size=30))
@example("abc", "a//b/../c%2F?#@ +\x00é😀")
@example("abc", "/")
def test_a_url_is_read_back_as_it_was_written(bucket: str, path: str) -> None:
    """Formatting and parsing are inverse for every path, and a URL is plain ASCII."""
    url = format_url(bucket, path)
    assert parse_url(url) == (bucket, path)
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(' ?#"<>\\^`{|}')
    assert format_url(*parse_url(url)) == url


@pytest.mark.parametrize(
    ("url", "bucket", "path"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket//", "bucket", "/"),
        ("s3://bucket/a/b/", "bucket", "a/b/"),
        ("s3://bucket/a//b/../c/./d", "bucket", "a//b/../c/./d"),
        ("s3://bucket/a%20b%2fc%2Bd", "bucket", "a b/c+d"),
        ("s3://bucket/a+b", "bucket", "a+b"),
        ("s3://bucket/a b", "bucket", "a b"),
        ("s3://bucket/é%C3%A9", "bucket", "éé"),
        ("s3://bucket/%2525", "bucket", "%25"),
        ("s3://bucket/a%3Fb%23c", "bucket", "a?b#c"),
        ("s3://bucket/user@host:80", "bucket", "user@host:80"),
        ("S3://bucket/a", "bucket", "a"),
        ("s3://My_Bucket/a", "My_Bucket", "a"),
    ],
)
def test_a_url_is_understood(url: str, bucket: str, path: str) -> None:
    """Percent-decoded once, a plus sign stays one, nothing is normalised."""
    assert parse_url(url) == (bucket, path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no scheme"),
        ("bucket/path", "no scheme"),
        ("s3", "no scheme"),
        ("s3:/bucket/path", "no scheme"),
        ("https://bucket.s3.amazonaws.com/a", "scheme is 'https'"),
        ("gs://bucket/a", "scheme is 'gs'"),
        ("s3a://bucket/a", "scheme is 's3a'"),
        ("://bucket/a", "scheme is ''"),
        (" s3://bucket/a", "scheme is ' s3'"),
        ("s3://", "no bucket"),
        ("s3:///path", "no bucket"),
        ("s3://bucket/a?versionId=1", "query"),
        ("s3://bucket?x", "query"),
        ("s3://bucket/a#b", "fragment"),
        ("s3://bucket#b", "fragment"),
        ("s3://user@bucket/a", "user information"),
        ("s3://user:password@bucket/a", "user information"),
        ("s3://bucket:9000/a", "port"),
        ("s3://ab/a", "allowed"),
        ("s3://1.2.3.4/a", "IP address"),
        ("s3://bucket%2Dx/a", "allowed"),
        ("s3://bucket/100%", "percent"),
        ("s3://bucket/a%2", "percent"),
        ("s3://bucket/a%zz", "percent"),
        ("s3://bucket/a%%20", "percent"),
        ("s3://bucket/%FF", "UTF-8"),
        ("s3://bucket/%C3", "UTF-8"),
        ("s3://bucket/%ED%A0%80", "UTF-8"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_with_the_reason(url: str, why: str) -> None:
    """Each in words that say what to change."""
    with pytest.raises(SpecError, match=why) as caught:
        parse_url(url)
    assert isinstance(caught.value, ValueError)


# ----------------------------------------------------------------------------------------- specs

MINIMAL: dict[str, Any] = {"bucket": "bucket"}


@pytest.mark.parametrize(
    "members",
    [
        {"bucket": "bucket"},
        {"driver": "s3", "bucket": "bucket", "path": "a/b//é"},
        {"bucket": "My_Bucket", "aws_region": "us-east-1"},
        {"bucket": "bucket", "endpoint": "http://localhost:9000/base/"},
        {"endpoint": "https://bucket.example.com"},
        {"bucket": "", "endpoint": "https://bucket.example.com"},
        {"bucket": "bucket", "aws_credentials": {"type": "anonymous"}},
        {"bucket": "bucket", "aws_credentials": {"type": "environment"}},
        {"bucket": "bucket", "aws_credentials": {"type": "default"}},
        {"bucket": "bucket", "path": "x" * 1024},
        {"bucket": "bucket", "path": "é" * 512},
    ],
    ids=lambda members: str(members)[:60],
)
def test_a_spec_goes_through_json_and_comes_back(members: dict[str, Any]) -> None:
    """With and without its defaults; what comes out is JSON, and describes the same store."""
    spec = Spec.from_json(members)
    for include_defaults in (False, True):
        told = spec.to_json(include_defaults=include_defaults)
        assert told["driver"] == "s3"
        assert Spec.from_json(json.loads(json.dumps(told))) == spec
    for name, value in members.items():
        assert spec.to_json(include_defaults=True).get(name, "") == value
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(Spec.from_json(dict(members))) == hash(spec)


def test_defaults_are_left_out_unless_asked_for() -> None:
    """The shortest spec that describes the store."""
    assert Spec.from_json(MINIMAL).to_json() == {"driver": "s3", "bucket": "bucket"}
    whole = Spec.from_json(MINIMAL).to_json(include_defaults=True)
    assert whole["path"] == ""


@pytest.mark.parametrize(
    ("members", "member", "why"),
    [
        ({}, "bucket", "missing"),
        ({"path": "a"}, "bucket", "missing"),
        ({"bucket": ""}, "bucket", "missing"),
        ({"bucket": None}, "bucket", "null"),
        ({"bucket": 5}, "bucket", "int"),
        ({"bucket": b"bucket"}, "bucket", "bytes"),
        ({"bucket": "no"}, "bucket", "'no'"),
        ({"bucket": "ab\ud800"}, "bucket", "UTF-8"),
        ({"driver": "gcs"}, "driver", "'gcs'"),
        ({"driver": None}, "driver", "'s3'"),
        ({"driver": 5}, "driver", "'s3'"),
        ({"path": None}, "path", "null"),
        ({"path": 5}, "path", "int"),
        ({"path": b"a"}, "path", "bytes"),
        ({"path": ["a"]}, "path", "list"),
        ({"path": "a\ud800"}, "path", "UTF-8"),
        ({"path": "x" * 1025}, "path", "1,024"),
        ({"path": "é" * 513}, "path", "1,024"),
        ({"endpoint": 5}, "endpoint", "int"),
        ({"endpoint": ""}, "endpoint", "http"),
        ({"endpoint": "localhost:9000"}, "endpoint", "http"),
        ({"endpoint": "ftp://localhost"}, "endpoint", "http"),
        ({"endpoint": "http://h\ud800"}, "endpoint", "UTF-8"),
        ({"aws_region": 5}, "aws_region", "int"),
        ({"aws_region": ""}, "aws_region", "us-east-1"),
        ({"aws_region": "us east 1"}, "aws_region", "us-east-1"),
        ({"aws_region": "us-east-1\n"}, "aws_region", "us-east-1"),
        ({"aws_region": "us-east-1/../x"}, "aws_region", "us-east-1"),
        ({"aws_region": "évry"}, "aws_region", "us-east-1"),
        ({"aws_region": "-"}, "aws_region", "us-east-1"),
        ({"aws_credentials": 5}, "aws_credentials", "int"),
        ({"aws_credentials": ["anonymous"]}, "aws_credentials", "list"),
        ({"aws_credentials": {}}, "aws_credentials", "type"),
        ({"aws_credentials": {"type": "enviroment"}}, "aws_credentials", "'enviroment'"),
        ({"aws_credentials": {"type": 5}}, "aws_credentials", "int"),
        ({"aws_credentials": {"type": None}}, "aws_credentials", "null"),
        ({"aws_credentials": {"type": ["default"]}}, "aws_credentials", "list"),
        ({"aws_credentials": {"type": "anonymous", "colour": "x"}}, "aws_credentials", "colour"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_member_that_is_not_allowed_is_refused_by_name(
    members: dict[str, Any], member: str, why: str
) -> None:
    """The error names the member and says what is wrong with its value, or what is allowed."""
    complete = members if member == "bucket" else {**MINIMAL, **members}
    with pytest.raises(SpecError, match=why) as caught:
        Spec.from_json(complete)
    assert caught.value.member == member
    assert member in str(caught.value)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("buckets", "bucket"),
        ("Bucket", "bucket"),
        ("bukcet", "bucket"),
        ("region", "aws_region"),
        ("endpoint_url", "endpoint"),
        ("end_point", "endpoint"),
        ("aws_credential", "aws_credentials"),
        ("paths", "path"),
    ],
)
def test_a_misspelt_member_is_recognised(name: str, meant: str) -> None:
    """The error says which one was probably meant."""
    with pytest.raises(SpecError, match=f"did you mean '{meant}'") as caught:
        Spec.from_json({**MINIMAL, name: "x"})
    assert caught.value.member == name
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["zzz", "", "kvstore", 5, None, ("a",), "x" * 10_000])
def test_an_unknown_member_is_refused_with_those_that_are_known(name: Any) -> None:
    """Where nothing is near, all are listed; names that are no text are no exception of their own."""
    with pytest.raises(SpecError) as caught:
        Spec.from_json({**MINIMAL, name: "x"})
    for known in ("bucket", "path", "endpoint", "aws_region"):
        assert known in caught.value.message
    assert len(caught.value.message) < 600


def test_no_member_is_no_error_where_none_is_the_default() -> None:
    """A script may pass on what it does not know."""
    assert Spec.from_json({**MINIMAL, "endpoint": None, "aws_region": None}) == Spec("bucket")


def test_a_spec_is_made_of_a_url_a_mapping_or_a_spec_and_members_win() -> None:
    """The four forms of the first argument of Store."""
    base = Spec("bucket", "a/")
    for given_spec in ("s3://bucket/a/", {"bucket": "bucket", "path": "a/"}, base):
        assert Spec.parse(given_spec, {}) == base
        assert Spec.parse(given_spec, {"path": "b"}) == Spec("bucket", "b")
        assert Spec.parse(given_spec, {"aws_region": "eu-west-1"}).aws_region == "eu-west-1"
    assert Spec.parse(None, {"bucket": "bucket", "path": "a/"}) == base


def test_what_is_passed_is_not_changed() -> None:
    """Neither the mapping nor the members."""
    mapping: Mapping[str, Any] = {"bucket": "bucket"}
    members = {"path": "a"}
    Spec.parse(mapping, members)
    assert mapping == {"bucket": "bucket"}
    assert members == {"path": "a"}


@pytest.mark.parametrize("spec", [5, b"s3://bucket", ["s3://bucket"], ("bucket", "path"), object()])
def test_anything_else_is_a_type_error(spec: Any) -> None:
    """The error says what a store is described by."""
    with pytest.raises(TypeError, match=r"s3:// URL, a mapping or a Spec"):
        Spec.parse(spec, {})


def test_a_spec_has_the_url_it_was_made_of() -> None:
    """In its canonical form; one with an endpoint has none, and says so."""
    assert Spec.parse("s3://bucket/a%20b//c", {}).url == "s3://bucket/a%20b//c"
    assert Spec("bucket").url == "s3://bucket/"
    spec = Spec("bucket", endpoint="http://localhost:9000")
    with pytest.raises(SpecError, match="http://localhost:9000") as caught:
        _ = spec.url
    assert caught.value.member == "endpoint"


# --------------------------------------------------------------------------------------- secrets

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("spec", "members"),
    [
        (None, {**MINIMAL, "aws_secret_access_key": SECRET}),
        (None, {**MINIMAL, "secret_key": SECRET, "access_key": "AKIAIOSFODNN7EXAMPLE"}),
        (None, {**MINIMAL, "aws_credentials": SECRET}),
        (None, {**MINIMAL, "aws_credentials": {"type": SECRET}}),
        (None, {**MINIMAL, "aws_credentials": {"type": ("AKIAIOSFODNN7EXAMPLE", SECRET)}}),
        (None, {**MINIMAL, "aws_credentials": {"secret_access_key": SECRET}}),
        (None, {**MINIMAL, "aws_credentials": {"type": "environment", "secret_key": SECRET}}),
        (None, {**MINIMAL, "aws_credentials": [SECRET]}),
        (None, {**MINIMAL, "endpoint": f"https://user:{SECRET}@localhost:9000"}),
        (None, {**MINIMAL, "endpoint": f"https://{SECRET.replace('/', '-')}@localhost:9000/base"}),
        (None, {**MINIMAL, "endpoint": f"https://user:{SECRET}?@localhost"}),
        (None, {**MINIMAL, "endpoint": f"user:{SECRET}@localhost:9000"}),
        (None, {**MINIMAL, "endpoint": f"ftp://user:{SECRET}@localhost:9000"}),
        (None, {**MINIMAL, "endpoint": f"https://user:\n{SECRET}@localhost"}),
        (None, {**MINIMAL, "endpoint": f"https://localhost/?X-Amz-Signature={SECRET}"}),
        (None, {**MINIMAL, "endpoint": f"https://localhost/#{SECRET}"}),
        (f"s3://user:{SECRET}@bucket/path", {}),
        (f"s3://{SECRET.replace('/', '-')}@bucket/path", {}),
        (f"https://user:{SECRET}@bucket/path", {}),
        (f"s3://bucket/a?X-Amz-Signature={SECRET}", {}),
        (f"https://bucket.s3.amazonaws.com/a?X-Amz-Signature={SECRET}", {}),
        (f"user:{SECRET}@bucket", {}),
    ],
    ids=lambda value: str(value).replace(SECRET, "SECRET"),
)
def test_what_could_be_a_secret_is_not_in_the_error(spec: str | None, members: dict[str, Any]) -> None:
    """Neither the whole nor its first part, which ends at a slash; not in words, repr, or pickle."""
    with pytest.raises(SpecError) as caught:
        Spec.parse(spec, members)
    error = caught.value
    for shown in (str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))):
        for part in SECRET.split("/"):
            assert part not in shown


def test_the_error_for_a_url_with_user_information_still_shows_the_rest() -> None:
    """Scheme and host help to find which URL is meant."""
    with pytest.raises(SpecError, match=r"https://…@localhost:9000"):
        Spec.from_json({**MINIMAL, "endpoint": f"https://user:{SECRET}@localhost:9000"})


def test_a_long_url_is_not_shown_at_length() -> None:
    """A message stays a line; a short one is shown whole."""
    with pytest.raises(SpecError, match="x…'") as caught:
        parse_url("s3://bucket/%" + "x" * 10_000)
    assert len(str(caught.value)) < 400
    with pytest.raises(SpecError, match="'s3://bucket/%x'"):
        parse_url("s3://bucket/%x")


def test_the_spec_is_exported() -> None:
    """Users name it in annotations."""
    assert s3kv.Spec is Spec


@pytest.mark.parametrize("name", ["A..b", "-Ab", "Ab-", "ab_", "_ab", ".Ab", "Ab."])
def test_names_from_before_2018_have_proper_labels_too(name: str) -> None:
    """Labels are not empty, and start and end with a letter or digit."""
    with pytest.raises(SpecError):
        check_bucket(name)


def test_the_scheme_of_an_endpoint_is_as_good_in_capitals() -> None:
    """RFC 3986, section 3.1."""
    assert split_endpoint("HTTPS://Example.COM:9000/a") == ("https", "example.com", 9000, "/a")
