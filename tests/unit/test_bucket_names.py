"""Bucket names: standard ones, those from before 2018, and where each may be used."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.bucket import check_bucket
from s3kv.spec.spec import Spec
from tests.unit.specs import old_buckets, standard_buckets

LOCAL = "http://localhost:9000"


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
        "a.xn--b",
        "x" * 63,
        "a.b" + "c" * 60,
        "sthre-e",
        "sthreex",
        "s3alias",
        "a-s3aliases",
        "ol-s3",
        "b--x-s3x",
    ],
)
def test_a_standard_name_is_one(name: str) -> None:
    """3 to 63 of a-z, 0-9, - and ., in labels that start and end with a letter or digit."""
    assert check_bucket(name) is True


@given(standard_buckets)
@example("a" * 63)
def test_every_standard_name_is_one(name: str) -> None:
    """Whatever the rules put together."""
    assert check_bucket(name) is True


@pytest.mark.parametrize(
    ("size", "standard"),
    [
        (0, None),
        (1, None),
        (2, None),
        (3, True),
        (4, True),
        (62, True),
        (63, True),
        (64, False),
        (254, False),
        (255, False),
        (256, None),
        (1000, None),
    ],
)
def test_the_length_of_a_name_decides(size: int, standard: bool | None) -> None:
    """Up to 63 anywhere, up to 255 where old names live, nothing shorter than 3 or longer."""
    name = "a" * size
    if standard is None:
        with pytest.raises(SpecError, match="3 to 63 characters"):
            check_bucket(name)
    else:
        assert check_bucket(name) is standard


@pytest.mark.parametrize("size", [2, 256])
@pytest.mark.parametrize("character", "aA1")
def test_no_name_is_too_short_or_too_long_for_old_ones_too(size: int, character: str) -> None:
    """The limits of both kinds of names are limits for what looks like either."""
    with pytest.raises(SpecError):
        check_bucket(character * size)


@pytest.mark.parametrize("name", ["a_b", "A-B", "MyBucket", "My_Old.Bucket", "abC", "a" * 64, "A" * 255])
def test_a_name_from_before_2018_is_told_apart(name: str) -> None:
    """Upper case, underscores and length are allowed, but not as a standard name."""
    assert check_bucket(name) is False


@given(old_buckets)
def test_an_old_name_is_standard_exactly_when_it_is_short_and_plain(name: str) -> None:
    """Nothing else tells the two kinds apart."""
    plain = len(name) <= 63 and "_" not in name and name == name.lower()
    assert check_bucket(name) is plain


@pytest.mark.parametrize(
    "name",
    [
        *("-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "_ab", "ab_", "...", "---", "___"),
        *("A..b", "-Ab", "Ab-", "_Ab", "Ab_", ".Ab", "Ab.", "A._b", "a_.B"),
        *("a" * 64 + "-", "." + "a" * 64, "a" * 64 + "..b"),
    ],
)
def test_a_label_is_not_empty_and_starts_and_ends_with_a_letter_or_digit(name: str) -> None:
    """Of names from before 2018 too."""
    with pytest.raises(SpecError, match="labels that start and end"):
        check_bucket(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1.2.3.4", "IP address"),
        ("192.168.5.44", "IP address"),
        ("256.1.1.1", "IP address"),
        ("999.999.999.999", "IP address"),
        ("0.0.0.0", "IP address"),
        ("xn--bcher-kva", "xn--"),
        ("xn--" + "a" * 100, "xn--"),
        ("sthree-x", "sthree-"),
        ("sthree-configurator-x", "sthree-"),
        ("sthree-Old_Name", "sthree-"),
        ("point-s3alias", "-s3alias"),
        ("Old_Name-s3alias", "-s3alias"),
        ("lambda--ol-s3", "--ol-s3"),
        ("express--usw2-az1--x-s3", "not supported"),
        ("Old_Name--x-s3", "not supported"),
        ("a b", "allowed"),
        ("a/b", "allowed"),
        ("a\\b", "allowed"),
        ("a:b", "allowed"),
        ("a%b", "allowed"),
        ("a,b", "allowed"),
        ("a~b", "allowed"),
        ("abc\n", "allowed"),
        ("\nabc", "allowed"),
        ("abc\x00", "allowed"),
        ("1.2.3.4\n", "allowed"),
        ("bücher", "allowed"),
        ("büc", "allowed"),
        ("abc١", "allowed"),
        ("ａｂｃ", "allowed"),
        ("", "allowed"),
    ],
)
def test_a_name_that_no_bucket_can_have_is_refused_with_the_reason(name: str, why: str) -> None:
    """The error names the member, what was given and what is allowed."""
    with pytest.raises(SpecError, match=why) as caught:
        check_bucket(name)
    assert caught.value.member == "bucket"
    assert repr(name)[:60] in str(caught.value)


@pytest.mark.parametrize("name", ["xn--a", "sthree-a", "a-s3alias", "a--ol-s3", "a--x-s3", "1.2.3.4"])
def test_what_is_reserved_is_refused_everywhere(name: str) -> None:
    """On Amazon's endpoints, on others, and in URLs."""
    with pytest.raises(SpecError):
        Spec(bucket=name)
    with pytest.raises(SpecError):
        Spec(bucket=name, aws_region="us-east-1")
    with pytest.raises(SpecError):
        Spec(bucket=name, endpoint=LOCAL)
    with pytest.raises(SpecError):
        Spec(f"s3://{name}/path")


@pytest.mark.parametrize("name", [None, 5, b"abc", ["abc"]])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    """By its type."""
    with pytest.raises(SpecError, match=type(name).__name__):
        check_bucket(name)


def test_a_refused_name_is_not_shown_at_length() -> None:
    """A message stays a line."""
    with pytest.raises(SpecError, match="'aaaaaaaaaa") as caught:
        check_bucket("a" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=80))
def test_any_other_text_is_refused_as_a_spec_error(name: str) -> None:
    """No text is an exception of another kind, and what is allowed has no other characters."""
    try:
        standard = check_bucket(name)
    except SpecError:
        return
    assert name.isascii()
    assert name.replace("-", "").replace(".", "").replace("_", "").isalnum()
    assert standard == (name == name.lower() and "_" not in name and len(name) <= 63)


# ----------------------------------------------------------------------- the rule of us-east-1

OLD = ["My_Bucket", "my_bucket", "UPPER", "x" * 64, "x" * 255]


@pytest.mark.parametrize("bucket", OLD)
@pytest.mark.parametrize("region", ["us-east-1", None, ""])
def test_an_old_name_is_opened_in_us_east_1_or_where_the_bucket_will_tell(
    bucket: str, region: str | None
) -> None:
    """Without a region there is nothing to hold against the name yet."""
    with s3kv.Store(bucket=bucket, aws_region=region) as store:
        assert store.bucket == bucket


@pytest.mark.parametrize("bucket", OLD)
@pytest.mark.parametrize("region", ["eu-west-1", "us-east-2", "us-gov-east-1", "cn-north-1"])
@pytest.mark.parametrize(
    "endpoint", [None, "https://s3.eu-west-1.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"]
)
def test_an_old_name_is_refused_in_other_regions_of_amazon(
    bucket: str, region: str, endpoint: str | None
) -> None:
    """When the store is opened, by naming the bucket and the region."""
    with pytest.raises(SpecError, match=f"in the region {region}.*us-east-1") as caught:
        s3kv.Store(bucket=bucket, aws_region=region, endpoint=endpoint)
    assert caught.value.member == "bucket"
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("bucket", OLD)
def test_an_old_name_is_as_good_as_any_on_a_compatible_store(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those have rules of their own, whoever names the endpoint."""
    with s3kv.Store(bucket=bucket, aws_region="eu-west-1", endpoint=LOCAL) as store:
        assert store.bucket == bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", LOCAL)
    with s3kv.Store(bucket=bucket, aws_region="eu-west-1") as store:
        assert store.bucket == bucket
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    with pytest.raises(SpecError, match="us-east-1"):
        s3kv.Store(bucket=bucket, aws_region="eu-west-1")


@pytest.mark.parametrize("bucket", ["abc", "a.b", "x" * 63])
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1", None])
def test_a_standard_name_is_opened_in_every_region(bucket: str, region: str | None) -> None:
    """The rule is about old names only."""
    with s3kv.Store(bucket=bucket, aws_region=region) as store:
        assert store.bucket == bucket
