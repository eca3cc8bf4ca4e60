"""Where requests go: botocore's partitions and its endpoint rules for S3 as the oracle."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import botocore
import botocore.loaders
import pytest
from botocore.endpoint_provider import EndpointProvider

import s3kv
from s3kv.endpoint import aws_endpoint, custom_endpoint, dns_suffix
from s3kv.errors import SpecError
from s3kv.messages import Origin

PARTITIONS = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text("utf-8"))
# Pseudo regions such as aws-global are names for the partition, not places of buckets.
REGIONS = {
    region: partition["outputs"]["dnsSuffix"]
    for partition in PARTITIONS["partitions"]
    for region in partition["regions"]
    if not region.endswith("-global")
}


@functools.cache
def _rules() -> EndpointProvider:
    loader = botocore.loaders.Loader()
    return EndpointProvider(loader.load_service_model("s3", "endpoint-rule-set-1"), PARTITIONS)


def _botocores(**parameters: Any) -> str:
    """The URL of a bucket by botocore's rules for S3."""
    url: str = _rules().resolve_endpoint(**parameters).url
    return url


def test_the_oracle_knows_many_regions() -> None:
    """The tests below are not run over nothing."""
    assert len(REGIONS) > 30
    assert len(set(REGIONS.values())) > 4


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_has_the_suffix_of_its_partition(region: str) -> None:
    """Of every partition that botocore knows."""
    assert dns_suffix(region) == REGIONS[region]


@pytest.mark.parametrize("region", ["us-east-9", "eu-new-1", "xx-place-1", "auto"])
def test_a_region_that_is_not_known_is_in_the_first_partition(region: str) -> None:
    """New regions work on the day they open."""
    assert dns_suffix(region) == "amazonaws.com"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("bucket", ["bucket", "my-bucket-1", "123", "x" * 63, "my.bucket", "a.b.c"])
def test_amazons_endpoint_is_botocores(bucket: str, region: str) -> None:
    """Virtual-host style for one DNS label, path style for names with dots, in every region."""
    endpoint = aws_endpoint(bucket, region)
    assert endpoint.url.rstrip("/") == _botocores(Bucket=bucket, Region=region)
    assert endpoint.region == region
    assert endpoint.aws


@pytest.mark.parametrize("bucket", ["My-Bucket", "my_bucket", "UPPER", "a_b.c", "x" * 64, "x" * 255])
def test_a_name_from_before_2018_is_reached_by_path_in_us_east_1(bucket: str) -> None:
    """It is no lowercase DNS label, or too long for one."""
    endpoint = aws_endpoint(bucket, "us-east-1")
    assert endpoint.url == f"https://s3.us-east-1.amazonaws.com/{bucket}"
    if len(bucket) < 64:
        assert endpoint.url == _botocores(Bucket=bucket, Region="us-east-1")


@pytest.mark.parametrize("bucket", ["My-Bucket", "my_bucket", "x" * 64])
def test_a_name_from_before_2018_is_refused_in_other_regions_of_amazon_only(bucket: str) -> None:
    """The rule binds on Amazon's endpoints, given or not; compatible stores have their own."""
    with pytest.raises(SpecError, match="us-east-1") as caught:
        aws_endpoint(bucket, "eu-west-1")
    assert caught.value.member == "bucket"
    with pytest.raises(SpecError, match="us-east-1"):
        custom_endpoint("https://s3.eu-west-1.amazonaws.com", bucket, "eu-west-1")
    assert custom_endpoint("http://localhost:9000", bucket, "eu-west-1").bucket_target == f"/{bucket}"
    assert custom_endpoint("https://s3.amazonaws.com", bucket, "us-east-1").bucket_target == f"/{bucket}"


def test_the_parts_of_a_virtual_host_endpoint() -> None:
    """The bucket is in the host, and a key is a path from the root."""
    endpoint = aws_endpoint("bucket", "eu-west-1")
    host = "bucket.s3.eu-west-1.amazonaws.com"
    assert endpoint == (Origin("https", host, 443), "/", "/", host, "eu-west-1", True)


def test_the_parts_of_a_path_style_endpoint() -> None:
    """The bucket is the first segment of the path."""
    endpoint = aws_endpoint("my.bucket", "eu-west-1")
    host = "s3.eu-west-1.amazonaws.com"
    assert endpoint == (Origin("https", host, 443), "/my.bucket", "/my.bucket/", host, "eu-west-1", True)


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://localhost", Origin("http", "localhost", 80), "localhost"),
        ("http://localhost:80", Origin("http", "localhost", 80), "localhost"),
        ("http://localhost:443", Origin("http", "localhost", 443), "localhost:443"),
        ("http://localhost:9000", Origin("http", "localhost", 9000), "localhost:9000"),
        ("https://s3.example.com", Origin("https", "s3.example.com", 443), "s3.example.com"),
        ("https://s3.example.com:443", Origin("https", "s3.example.com", 443), "s3.example.com"),
        ("https://s3.example.com:80", Origin("https", "s3.example.com", 80), "s3.example.com:80"),
        ("https://S3.Example.COM", Origin("https", "s3.example.com", 443), "s3.example.com"),
        ("http://127.0.0.1:1", Origin("http", "127.0.0.1", 1), "127.0.0.1:1"),
        ("http://h:65535", Origin("http", "h", 65535), "h:65535"),
        ("http://h:00080", Origin("http", "h", 80), "h"),
        ("http://[::1]", Origin("http", "::1", 80), "[::1]"),
        ("http://[::1]:9000", Origin("http", "::1", 9000), "[::1]:9000"),
        ("https://[2001:DB8::1]:443", Origin("https", "2001:db8::1", 443), "[2001:db8::1]"),
        (
            "http://[::ffff:127.0.0.1]:9000",
            Origin("http", "::ffff:127.0.0.1", 9000),
            "[::ffff:127.0.0.1]:9000",
        ),
        ("http://my_host", Origin("http", "my_host", 80), "my_host"),
        ("http://h.example.com.", Origin("http", "h.example.com.", 80), "h.example.com."),
        (f"http://{'x' * 63}.y", Origin("http", f"{'x' * 63}.y", 80), f"{'x' * 63}.y"),
    ],
)
def test_a_url_says_where_to_connect_and_what_host_to_name(url: str, origin: Origin, host: str) -> None:
    """Default ports are left out of the Host header; brackets are for the header, not the socket."""
    endpoint = custom_endpoint(url, "bucket", "us-east-1")
    assert endpoint.origin == origin
    assert endpoint.host == host
    assert endpoint.region == "us-east-1"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9000",
        "https://localhost/base/",
        "http://[::1]:443",
        "https://s3.eu-west-1.amazonaws.com",
    ],
)
@pytest.mark.parametrize("bucket", ["bucket", ""])
@pytest.mark.parametrize("header", ["h", "bucket.s3.example.com:9000", "[::1]:80", "UPPER.example.com"])
def test_a_host_header_is_named_instead_of_the_urls_own(url: str, bucket: str, header: str) -> None:
    """As it is given; where to connect and what to ask for stay the same."""
    plain = custom_endpoint(url, bucket, "eu-west-1")
    endpoint = custom_endpoint(url, bucket, "eu-west-1", host_header=header)
    assert endpoint.host == header != plain.host
    assert endpoint == plain._replace(host=header)
    assert endpoint.url == plain.url
    assert custom_endpoint(url, bucket, "eu-west-1", host_header=None) == plain


def test_a_store_names_the_host_header_of_its_spec() -> None:
    """And its own endpoint's where it has none."""
    members = {"bucket": "bucket", "endpoint": "http://localhost:9000", "aws_region": "us-east-1"}
    for header, host in (("h:80", "h:80"), (None, "localhost:9000")):
        with s3kv.Store(members, host_header=header) as store:
            assert store._core.endpoint is not None
            assert store._core.endpoint.host == host
            assert store._core.endpoint.origin == Origin("http", "localhost", 9000)


@pytest.mark.parametrize(
    ("path", "bucket", "target", "prefix"),
    [
        ("", "bucket", "/bucket", "/bucket/"),
        ("/", "bucket", "/bucket", "/bucket/"),
        ("//", "bucket", "/bucket", "/bucket/"),
        ("/base", "bucket", "/base/bucket", "/base/bucket/"),
        ("/base/", "bucket", "/base/bucket", "/base/bucket/"),
        ("/base//", "bucket", "/base/bucket", "/base/bucket/"),
        ("/a/b", "bucket", "/a/b/bucket", "/a/b/bucket/"),
        ("/a!b~c", "bucket", "/a!b~c/bucket", "/a!b~c/bucket/"),
        ("/a%20b", "bucket", "/a%20b/bucket", "/a%20b/bucket/"),
        ("", "my.bucket", "/my.bucket", "/my.bucket/"),
        ("", "", "/", "/"),
        ("/", "", "/", "/"),
        ("/base", "", "/base", "/base/"),
        ("/base/", "", "/base", "/base/"),
        ("/base//", "", "/base", "/base/"),
    ],
)
def test_a_bucket_is_below_the_path_of_the_url(path: str, bucket: str, target: str, prefix: str) -> None:
    """One slash between whatever the URL ends with; without a bucket the URL is the bucket's."""
    endpoint = custom_endpoint(f"http://localhost:9000{path}", bucket, "us-east-1")
    assert endpoint.bucket_target == target
    assert endpoint.key_prefix == prefix
    assert endpoint.url == f"http://localhost:9000{target}"


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9000", "https://localhost", "https://h.example.com/base", "http://[::1]:9000/a/b/"],
)
def test_a_custom_endpoint_is_botocores_in_path_style(url: str) -> None:
    """The same URL of the same bucket."""
    ours = custom_endpoint(url, "bucket", "us-east-1")
    assert ours.url == _botocores(Bucket="bucket", Region="us-east-1", Endpoint=url, ForcePathStyle=True)
    assert not ours.aws


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:9000",
        "//localhost",
        "http:/localhost",
        "http://",
        "http:///bucket",
        "http://:9000",
        "ftp://localhost",
        "s3://bucket",
        "unix:///run/s3.sock",
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:99999",
        "http://localhost:123456",
        "http://localhost:-1",
        "http://localhost:port",
        "http://localhost:٩",
        "http://localhost?x=1",
        "http://localhost/?x=1",
        "http://localhost/?",
        "http://localhost/#x",
        "http://localhost#",
        "http://user@localhost",
        "http://user:password@localhost:9000",
        "http://@localhost",
        "http://::1",
        "http://[::1",
        "http://::1]:9000",
        "http://[::1]x",
        "http://[localhost]",
        "http://[]",
        f"http://{'x' * 64}.y",
        "http://" + "x." * 126 + "yz",
        "http://a..b",
        "http://.a",
        "http://.",
        "http://local host",
        "http://localhost/a b",
        "http://localhost\n",
        "http://localhost/\r\nx: y",
        "http://localhost/\x00",
        "http://localhost/\x7f",
        " http://localhost",
        "http://löcalhost",
        "http://localhost/ü",
    ],
)
def test_a_url_that_is_no_endpoint_is_refused(url: str) -> None:
    """The error names the member and what is allowed, whoever gave the URL."""
    for member in ("endpoint", "AWS_ENDPOINT_URL_S3"):
        with pytest.raises(SpecError, match="https://") as caught:
            custom_endpoint(url, "bucket", "us-east-1", member=member)
        assert caught.value.member == member
        assert str(caught.value).startswith(member)


def test_user_information_is_masked_in_the_error() -> None:
    """The rest of the URL is shown."""
    with pytest.raises(SpecError, match="//…@localhost:9000/base") as caught:
        custom_endpoint("http://user:pass/word@localhost:9000/base", "bucket", "us-east-1")
    for part in ("user", "pass", "word"):
        assert f"{part}:" not in str(caught.value)
        assert f"{part}@" not in str(caught.value)
        assert f"{part}/" not in str(caught.value)


@pytest.mark.parametrize("region", REGIONS)
def test_amazons_hosts_are_recognised_in_a_url(region: str) -> None:
    """Plain, FIPS, dual-stack and accelerated, with the bucket in the host and without."""
    options: list[dict[str, Any]] = [{}, {"UseDualStack": True}]
    if not region.startswith("cn-"):
        options.append({"UseFIPS": True})
    places = [{"Region": region, **option} for option in options]
    places.extend([{**place, "Bucket": "bucket"} for place in places])
    if region == "eu-west-1":
        places.append({"Region": region, "Bucket": "bucket", "Accelerate": True})
    for place in places:
        assert custom_endpoint(_botocores(**place), "", region).aws, place


@pytest.mark.parametrize(
    "host",
    [
        "s3.amazonaws.com",
        "s3-us-west-2.amazonaws.com",
        "s3-accelerate.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "my.bucket.s3.us-west-2.amazonaws.com",
        "bucket.vpce-0a1b2c.s3.us-east-1.vpce.amazonaws.com",
        "S3.AmazonAWS.com",
    ],
)
def test_amazons_older_and_private_hosts_are_recognised(host: str) -> None:
    """Names that the rules no longer give, but that users have in their configuration."""
    assert custom_endpoint(f"https://{host}", "", "us-east-1").aws


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "minio.example.com",
        "s3.example.com",
        "s3.eu-central-1.wasabisys.com",
        "storage.googleapis.com",
        "s3.amazonaws.com.example.com",
        "s3.amazonaws.comx",
        "s3xamazonaws.com",
        "mys3.amazonaws.com",
        "evil-s3.amazonaws.org",
        "s3.notamazonaws.com",
        "amazonaws.com",
        "ec2.amazonaws.com",
        "s3.amazonaws-com",
    ],
)
def test_other_hosts_are_not_taken_for_amazons(host: str) -> None:
    """What only AWS is known to honour is not trusted to them."""
    assert not custom_endpoint(f"https://{host}", "bucket", "us-east-1").aws
