"""Where a bucket's requests go: origin, path prefix and Host header.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import SpecError
from .keys import encode_path
from .messages import Origin
from .spec.bucket import check_bucket
from .spec.endpoint_url import split_endpoint

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_AWS_HOST = re.compile(
    r"(?:.*\.)?s3[.-](?:.*\.)?(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|"
    r"cloud\.adc-e\.uk|csp\.hci\.ic\.gov)",
    re.IGNORECASE,
).fullmatch

# Suffixes of the partitions other than aws and aws-us-gov, by the start of the region's name.
# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-iso-", "c2s.ic.gov"),
    ("eusc-", "amazonaws.eu"),
)


class Endpoint(NamedTuple):
    """The place of one bucket.

    Attributes:
        origin: Where to connect.
        bucket_target: The path of the bucket itself.
        key_prefix: What goes before an encoded key to make its path.
        host: The Host header.
        region: The region to sign for.
        aws: The store is Amazon's, not a compatible one.
    """

    origin: Origin
    bucket_target: str
    key_prefix: str
    host: str
    region: str
    aws: bool

    @property
    def url(self) -> str:
        """The URL of the bucket."""
        return f"{self.origin}{self.bucket_target}"


def dns_suffix(region: str) -> str:
    """The DNS suffix of the partition that a region is in, ``amazonaws.com`` for most."""
    for start, suffix in _SUFFIXES:
        if region.startswith(start):
            return suffix
    return "amazonaws.com"


def aws_endpoint(bucket: str, region: str) -> Endpoint:
    """Amazon's own endpoint: virtual-host style where the bucket's name is one DNS label.

    Raises:
        SpecError: a name that only us-east-1 ever allowed, in another region.
    """
    _check_region(bucket, region)
    regional = f"s3.{region}.{dns_suffix(region)}"
    if _DNS_LABEL(bucket):
        host = f"{bucket}.{regional}"
        return Endpoint(Origin("https", host, 443), "/", "/", host, region, True)
    return Endpoint(Origin("https", regional, 443), f"/{bucket}", f"/{bucket}/", regional, region, True)


def custom_endpoint(
    url: str, bucket: str, region: str, *, member: str = "endpoint", host_header: str | None = None
) -> Endpoint:
    """A compatible store's endpoint: path style below whatever path the URL has.

    Args:
        url: The endpoint URL.
        bucket: The bucket, or an empty string when the URL already names it.
        region: The region to sign for.
        member: What to call the URL in an error.
        host_header: The Host header to send; default: the URL's own.

    Raises:
        SpecError: not an http(s) URL, or one with a query, a fragment or user information; on
            Amazon's endpoints also :func:`aws_endpoint`'s.
    """
    scheme, host, port, path = split_endpoint(url, member=member)
    base = path.rstrip("/")
    origin = Origin(scheme, host.strip("[]"), port or (443 if scheme == "https" else 80))
    name = f"{host}:{port}" if port and port != (443 if scheme == "https" else 80) else host
    if bucket:
        target = f"{base}/{encode_path(bucket)}"
        prefix = f"{target}/"
    else:
        target = base or "/"
        prefix = f"{base}/"
    aws = _AWS_HOST(host) is not None
    if aws and bucket:
        _check_region(bucket, region)
    return Endpoint(origin, target, prefix, host_header or name, region, aws)


def bucket_of(endpoint: Endpoint) -> str:
    """The name of the bucket that an endpoint itself names.

    Raises:
        SpecError: it cannot be told.
    """
    from urllib.parse import unquote

    name = unquote(endpoint.bucket_target.rstrip("/").rpartition("/")[2])
    label, dot, rest = endpoint.origin.host.rpartition(".s3")
    if not name and dot and rest[:1] in (".", "-"):
        name = label
    if not name:
        raise SpecError(
            f"bucket is empty, and the endpoint {endpoint.url} does not tell its name, which a copy needs",
            member="bucket",
        )
    return name


def _check_region(bucket: str, region: str) -> None:
    if region != "us-east-1" and not check_bucket(bucket):
        raise SpecError(
            f"bucket is {bucket[:80]!r} in the region {region}: allowed there are names of 3 to 63 "
            "characters of a-z, 0-9, - and . (longer ones, A-Z and _ only in us-east-1, before 2018)",
            member="bucket",
        )
