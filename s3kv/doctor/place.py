"""Where the store is: endpoint, addressing, region, and who said so."""

from __future__ import annotations

import os
from collections.abc import Generator
from functools import partial

from ..call import Call
from ..core import Core
from ..endpoint import Endpoint, aws_endpoint, custom_endpoint
from ..messages import Response
from ..pipeline.life import Effect, Obtain
from ..pipeline.place import REGION_HEADER
from .probe import Probe
from .report import Check

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def expected_endpoint(core: Core) -> Endpoint:
    """Where the bucket is, or where it is asked for its region."""
    found = core.endpoint
    if found is not None:
        return found
    spec, url = core.spec, core._place.url
    if url is None:
        return aws_endpoint(spec.bucket, "us-east-1")
    return custom_endpoint(url, spec.bucket, "us-east-1", host_header=spec.host_header)


def locate(probe: Probe) -> tuple[Endpoint | None, Check | None]:
    """Where the bucket is, after asking it for its region if need be; or why that is not known."""

    def ask() -> Check:
        probe.run(_locate)
        return Check("region", "ok", "")

    if probe.core.endpoint is None:
        asked = probe.check("region", ask)
        if asked.outcome != "ok":
            if probe.stopped is None:
                probe.stopped = "the bucket's region is not known"
            return None, asked
    return probe.core.endpoint, None


def _locate(core: Core, call: Call) -> Generator[Effect, Endpoint, Endpoint]:
    call.operation = "HeadBucket"
    return (yield Obtain(partial(core.locate, call)))


def look_at_endpoint(core: Core, found: Endpoint) -> Check:
    """Where requests go, and who says so."""
    url = core._place.url
    if core.spec.endpoint is not None:
        who = "given as endpoint"
    elif url is not None:
        who = f"from {_naming(url)}"
    else:
        who = "Amazon's, for lack of an endpoint"
    if found.origin.scheme == "http" and not _is_this_machine(found.origin.host):
        return Check(
            "endpoint",
            "warning",
            f"{found.url}, {who}: plain http, so anybody on the way can read and change objects",
            "use an https:// endpoint if the store has one",
        )
    return Check("endpoint", "ok", f"{found.url}, {who}")


def _naming(url: str) -> str:
    """The variable that names the endpoint."""
    for name in _ENDPOINTS:
        if os.environ.get(name) == url:
            return name
    return f"{' or '.join(_ENDPOINTS)}, as it was when the store was opened"


def look_at_addressing(core: Core, found: Endpoint) -> Check:
    """Where in a request the bucket's name is, and why there."""
    bucket = core.spec.bucket
    if not bucket:
        how = "the endpoint itself names the bucket"
    elif core._place.url is not None:
        how = f"path style (/{bucket}/key), as always below an endpoint that is given"
    elif found.bucket_target == "/":
        how = f"virtual-host style ({found.origin.host})"
    else:
        how = f"path style (/{bucket}/key), because Amazon's certificates cover no host of such a name"
    if core.spec.host_header is not None:
        how += f", Host header {core.spec.host_header}"
    return Check("addressing", "ok", how)


def look_at_region(probe: Probe, given: Endpoint, first: Response | None) -> Check:
    """The region that requests are signed for, and how it was found.

    Args:
        given: Where the bucket was thought to be before anything was signed.
        first: The answer to the first signed request; None if there was none.
    """
    core = probe.core
    found = core.endpoint or given
    told = first.headers.get(REGION_HEADER, "") if first is not None else ""
    region, asked = found.region, core.spec.aws_region
    if asked is not None and asked != region:
        return Check(
            "region",
            "warning",
            f"{region}, which the store's answer corrected from aws_region, {asked}",
            f"say aws_region={region!r}: until then every new store's first request goes astray",
        )
    if asked is not None:
        agreed = ", and the bucket says so too" if told == region else ""
        return Check("region", "ok", f"{region}, given as aws_region{agreed}")
    if region != given.region:
        return Check("region", "ok", f"{region}, told by the store's refusal of another")
    if told == region:
        return Check("region", "ok", f"{region}, told by the bucket")
    return _guessed(probe, found)


def _guessed(probe: Probe, found: Endpoint) -> Check:
    """What there is to say of a region that nobody has given, and no answer names."""
    if probe.anonymous and not found.aws:
        return Check("region", "ok", f"{_fallback(found)}; nothing is signed, so it does not matter")

    def ask() -> Check:
        answer = probe.ask("HeadBucket", "HEAD")
        if answer.response.headers.get(REGION_HEADER, "") == found.region:
            return Check("region", "ok", f"{found.region}, told by the bucket")
        return Check("region", "ok", f"{_fallback(found)}; the store tells none of its own")

    return probe.check("region", ask)


def _fallback(found: Endpoint) -> str:
    for name in _REGIONS:
        if os.environ.get(name) == found.region:
            return f"{found.region}, from {name}"
    return f"{found.region}, by default"


def _is_this_machine(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
