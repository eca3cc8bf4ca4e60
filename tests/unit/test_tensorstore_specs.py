"""TensorStore's own package as the oracle: the same specs and URLs are accepted, and written alike.

Specs are read only, never opened. The differences that are meant are in tables, each with its reason.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from s3kv.spec.spec import Spec
from tests.unit.oracle import REFUSED, credentials, delay, limit, ours_of, rates, retries, s3, theirs_of
from tests.unit.specs import Json


def _each(member: str, *values: Any) -> list[Json]:
    return [s3(**{member: value}) for value in values]


def _name(spec: Any) -> str:
    if isinstance(spec, dict):
        spec = {k: v for k, v in spec.items() if (k, v) not in (("driver", "s3"), ("bucket", "bucket"))}
    return str(spec)[:80]


LOCAL = "http://localhost:9000"

ACCEPTED: list[Any] = [
    *("s3://bucket", "s3://bucket/", "s3://bucket//", "s3://bucket/a/b/", "s3://bucket/a//b/../c/./d"),
    *("s3://bucket/a b", "s3://bucket/a%20b", "s3://bucket/a+b", "s3://bucket/%2B", "s3://bucket/a%2Fb"),
    *("s3://bucket/é", "s3://bucket/%C3%A9", "s3://bucket/%c3%a9", "s3://bucket/%F0%9F%98%80"),
    *("s3://bucket/%2525", "s3://bucket/%3F%23", "s3://bucket/%7C", "s3://bucket/%00", "s3://bucket/a\n"),
    *("s3://bucket/user@host:80", "s3://bucket/s3://x", "s3://bucket/\\", "s3://bucket/%20", "s3://a.b/"),
    *("s3://My_Bucket/a", "s3://abc/", f"s3://{'a' * 63}/", f"s3://{'A' * 255}/", "s3://1.2.3.4.5/a"),
    *_each("bucket", "abc", "a-b", "a.b", "123", "a--b", "xn-a", "a_b", "A-B", "x" * 64),
    *_each("bucket", "Sthree-a", "XN--a", "a-S3alias", "a--X-s3", "a.mrap", "1.2.3"),
    s3(),
    s3(path=""),
    s3(path="a/b"),
    s3(path="/é\x00 %?#"),
    s3(path="x" * 1024),
    s3(requester_pays=True),
    s3(requester_pays=False),
    s3(aws_region=""),
    s3(aws_region="us-east-1"),
    s3(aws_region="garage"),
    s3(endpoint=LOCAL),
    s3(endpoint="HTTPS://Example.com/base/"),
    s3(endpoint="http://[::1]:9000"),
    s3(endpoint=LOCAL, host_header="h:80"),
    {"driver": "s3", "endpoint": LOCAL},
    {"driver": "s3", "endpoint": LOCAL, "bucket": ""},
    s3(use_conditional_write=True),
    s3(use_conditional_write=False),
    *(credentials(kind) for kind in ("default", "anonymous", "environment", "profile", "ecs", "imds")),
    credentials("default", profile="p"),
    credentials("profile", profile="p é", config_file="c", credentials_file="d"),
    credentials("ecs", endpoint="http://169.254.170.2/v2"),
    credentials("ecs", endpoint="https://example.com", auth_token_file="t"),
    *(s3(aws_credentials=f"aws_credentials{tail}") for tail in ("", "#", "#x", "#a b/é", "##")),
    *(limit(value) for value in (1, 32, 3.0, "shared", 2**63 - 1)),
    s3(s3_request_concurrency={}),
    s3(s3_request_concurrency="s3_request_concurrency#x"),
    s3(data_copy_concurrency={"limit": 3}),
    s3(data_copy_concurrency={"limit": "shared"}),
    s3(data_copy_concurrency="data_copy_concurrency"),
    retries(),
    retries(max_retries=1),
    retries(max_retries=32),
    retries(max_retries=3.0),
    retries(max_retries=2**63 - 1),
    retries(initial_delay="2s", max_delay="1s"),
    retries(max_retries=5, initial_delay="1s", max_delay="32s"),
    *(
        delay(text)
        for text in ("0", "+0", "0s", "1s", "+1s", ".5s", "1.s", "500ms1s", "90s", "1.5h", "1h1h")
    ),
    *(delay(text) for text in ("00001s", "1000000000ns", "1500us", "1ms1us1ns", "2562047788015215h")),
    rates(),
    rates(read_rate=1),
    rates(read_rate=1.5, write_rate=2),
    rates(write_rate=1e308),
    rates(read_rate=5e-324),
    rates(doubling_time="20m"),
    rates(doubling_time="0"),
    s3(context={}),
    s3(context={"aws_credentials": {"type": "anonymous"}}),
    s3(context={"aws_credentials#x": {"type": "anonymous"}}, aws_credentials="aws_credentials#x"),
    s3(context={"aws_credentials": "aws_credentials#x"}),
    s3(context={"aws_credentials": "aws_credentials"}),
    s3(context={"s3_request_concurrency": {"limit": 3}, "data_copy_concurrency": {"limit": "shared"}}),
    s3(context={"s3_request_retries#": {"max_delay": "60s"}, "experimental_s3_rate_limiter##": {}}),
]

BOTH_REFUSE: list[Any] = [
    *(
        "",
        "bucket",
        "s3",
        "s3:bucket",
        "s3:/bucket/a",
        "s3://",
        "s3:///a",
        "gs3://bucket/a",
        "s3a://bucket/a",
    ),
    *("s3://bucket/a?x=1", "s3://bucket?x", "s3://bucket/a#b"),
    *("s3://user@bucket/a", "s3://user:password@bucket/a", "s3://bucket:80/a", "s3://buc%6Bet/a"),
    *("s3://ab", "s3://1.2.3.4/a", "s3://xn--a/b", "s3://a..b/c", "s3://bücher/a", "s3://bucket name/a"),
    *("s3://bucket/%", "s3://bucket/a%2", "s3://bucket/%zz", "s3://bucket/%FF", "s3://bucket/%C3"),
    *("s3://bucket/%ED%A0%80", "s3://bucket/%C0%80", "s3://bucket/%F4%90%80%80", "s3://bucket/%%20"),
    *_each("bucket", "ab", "a" * 256, "a..b", "-ab", "ab-", ".ab", "ab.", "_ab", "ab_", "a.-b"),
    *_each("bucket", "1.2.3.4", "999.999.999.999", "xn--a", "sthree-a", "a-s3alias", "a--ol-s3"),
    *_each("bucket", "A..b", "-Ab", "a b", "a/b", "abc\n", "abc\x00", "bücher", 5, None, []),
    {"driver": "s3"},
    {"driver": "s3", "bucket": ""},
    {"driver": "s3", "path": "a"},
    {"driver": "S3", "bucket": "bucket"},
    {"driver": 5, "bucket": "bucket"},
    *(
        s3(**{member: None})
        for member in ("path", "requester_pays", "aws_region", "endpoint", "host_header")
    ),
    *(s3(**{member: None}) for member in ("use_conditional_write", "aws_credentials", "context")),
    *_each("path", 5, True, ["a"], {}),
    *_each("requester_pays", 1, 0, "true", []),
    *_each("use_conditional_write", 1, "false"),
    *_each("aws_region", 5, ["us-east-1"]),
    *_each("endpoint", 5, [LOCAL]),
    s3(host_header="h"),
    s3(endpoint=LOCAL, host_header=5),
    s3(colour=1),
    s3(bukcet="bucket"),
    s3(base="s3://bucket"),
    s3(url="s3://bucket"),
    s3(cache_pool={}),
    *_each("aws_credentials", "x", "", "s3_request_retries", 5, [], {}, {"profile": "p"}),
    *(credentials(kind) for kind in ("nope", "Anonymous", "")),
    s3(aws_credentials={"type": 5}),
    s3(aws_credentials={"type": None}),
    credentials("anonymous", profile="p"),
    credentials("environment", profile="p"),
    credentials("imds", endpoint="x"),
    credentials("default", config_file="c"),
    credentials("default", filename="c"),
    credentials("profile", profile=5),
    credentials("profile", profile=None),
    credentials("ecs", auth_token_file="t"),
    *map(limit, (0, -1, 1.5, True, "3", "Shared", None, [], 2**64)),
    s3(s3_request_concurrency={"limits": 3}),
    s3(s3_request_concurrency="data_copy_concurrency"),
    s3(data_copy_concurrency={"limit": 0}),
    *_each("s3_request_retries", *({"max_retries": value} for value in (-1, 1.5, True, "3", None, 2**63))),
    retries(retries=3),
    *(
        delay(text)
        for text in (1, None, "", "s", "1", "1 s", " 1s", "1S", "1d", "1e3s", "1s-2s", "1µs", "00", "0.")
    ),
    rates(read_rate="1"),
    rates(read_rate=True),
    rates(read_rate=None),
    rates(doubling_time=1),
    rates(rate=1),
    *_each("context", 5, [], "aws_credentials"),
    *(s3(context={key: {}}) for key in ("colour", "", "#", "#x", "aws_credentials ")),
    *_each(
        "context", *({"aws_credentials": value} for value in (5, {}, {"type": "nope"}, ["aws_credentials"]))
    ),
    s3(context={"aws_credentials": "s3_request_concurrency"}),
    s3(context={"s3_request_retries#x": {"max_retries": -1}}),
]


class Difference(NamedTuple):
    """A spec that is judged differently, on purpose.

    Attributes:
        name: What it is about.
        spec: The spec or URL.
        theirs: TensorStore accepts it, and s3kv refuses it; False for the other way round.
        reason: Why.
        apart: TensorStore is asked in a process of its own, since it has ended processes for such values.
    """

    name: str
    spec: Any
    theirs: bool
    reason: str
    apart: bool = False


_RATE = "TensorStore reads such a rate, and ends the process when it opens the store"
_NO_LIMIT = "JSON has no infinity; a rate that is left out is no limit"
_TIME = "a pause or a doubling time is neither negative nor endless"
_LONG = (
    "2562047788015215 hours are the longest; TensorStore takes some minutes more, and the rest for 'inf'"
)
_URL = (
    "the endpoint is an http(s) URL without user information, query and fragment; said at once, not later"
)
_HOST = "a Host header is a host, with a port perhaps; anything else could change the request"
_AREA = "a region is a name: it becomes part of a host name and of every signature"
_EMPTY = "an empty string means nothing here; leave the member out for the usual value"
_ECS = "credentials are asked for only where botocore would: https, this machine, the containers' addresses"
_OTHERS = "only what the s3 driver uses is a resource here; a misspelt one would be accepted otherwise"
_REST = "what a user wrote behind a path is not dropped; a question mark in a key is %3F"
_DRIVER = "Python calls need not name the driver"
_PIPE = "there are no pipelines of drivers; a vertical bar in a path is written %7C, as RFC 3986 has it"

DIFFERENCES: list[Difference] = [
    Difference(
        "scheme in capitals", "S3://bucket/a", False, "RFC 3986: the case of a scheme does not matter"
    ),
    Difference("pipeline in a URL", "s3://bucket/a.zip|zip:", True, _PIPE),
    Difference("query of nothing", "s3://bucket/a?", True, _REST),
    Difference("fragment of nothing", "s3://bucket/a#", True, _REST),
    Difference("no driver", {"bucket": "bucket"}, False, _DRIVER),
    Difference(
        "another driver", {"driver": "gcs", "bucket": "bucket"}, True, "this package is the s3 driver"
    ),
    Difference("another driver's members", {"driver": "file", "path": "/a"}, True, "as above"),
    Difference("directory bucket", s3(bucket="a--usw2-az1--x-s3"), True, "their protocol is not supported"),
    Difference("directory bucket in a URL", "s3://a--x-s3/b", True, "as above"),
    Difference("long path", s3(path="x" * 1025), True, "no key can start with more than 1,024 bytes"),
    Difference("long path in bytes", s3(path="é" * 513), True, "as above"),
    Difference("region with spaces", s3(aws_region="not a region"), True, _AREA),
    Difference("region with a slash", s3(aws_region="x/../y"), True, _AREA),
    Difference("endpoint empty", s3(endpoint=""), True, _URL),
    Difference("endpoint without scheme", s3(endpoint="localhost:9000"), True, _URL),
    Difference("endpoint of another scheme", s3(endpoint="ftp://localhost"), True, _URL),
    Difference("endpoint with user information", s3(endpoint="http://u:p@localhost"), True, _URL),
    Difference("endpoint with a query", s3(endpoint="http://localhost?x=1"), True, _URL),
    Difference("endpoint with a fragment", s3(endpoint="http://localhost#x"), True, _URL),
    Difference("endpoint with a bad port", s3(endpoint="http://localhost:99999"), True, _URL),
    Difference("endpoint with a control character", s3(endpoint="http://localhost/\n"), True, _URL),
    Difference("host header empty", s3(host_header="", endpoint=LOCAL), True, _HOST),
    Difference("host header empty, no endpoint", s3(host_header=""), True, _HOST),
    Difference("host header malformed", s3(host_header="a b", endpoint=LOCAL), True, _HOST),
    Difference("host header with a line", s3(host_header="h\r\nx: y", endpoint=LOCAL), True, _HOST),
    Difference(
        "bound form of a resource",
        s3(aws_credentials=["aws_credentials"]),
        True,
        "TensorStore reads it as the reference without the brackets, and does not document it",
    ),
    Difference("profile empty", credentials("default", profile=""), True, _EMPTY),
    Difference("config file empty", credentials("profile", config_file=""), True, _EMPTY),
    Difference("credentials file empty", credentials("profile", credentials_file=""), True, _EMPTY),
    Difference("container endpoint empty", credentials("ecs", endpoint=""), True, _EMPTY),
    Difference("token file empty", credentials("ecs", auth_token_file=""), True, _EMPTY),
    Difference("container endpoint not a URL", credentials("ecs", endpoint="x"), True, _ECS),
    Difference(
        "container endpoint elsewhere", credentials("ecs", endpoint="http://example.com"), True, _ECS
    ),
    Difference(
        "no attempt at all",
        retries(max_retries=0),
        True,
        "max_retries counts attempts in all, as TensorStore's documentation says; none would do nothing",
    ),
    Difference(
        "limit of 64 bits, without sign", limit(2**63), True, "whole numbers have 64 bits with their sign"
    ),
    Difference("delay endless", delay("inf"), True, _TIME),
    Difference("delay negative", delay("-1s"), True, _TIME),
    Difference("delay of minus nothing", delay("-0"), True, "no duration has a minus sign"),
    Difference("doubling time endless", rates(doubling_time="inf"), True, _TIME),
    Difference("doubling time negative", rates(doubling_time="-1s"), True, _TIME),
    Difference("delay longer than all", delay("2562047788015216h"), True, _LONG),
    Difference("delay almost longer than all", delay("2562047788015215h30m"), True, _LONG),
    Difference("rate of nothing", rates(read_rate=0), True, _RATE, apart=True),
    Difference("rate of less than nothing", rates(read_rate=-1), True, _RATE, apart=True),
    Difference("write rate of nothing", rates(write_rate=0.0), True, _RATE, apart=True),
    Difference("rate without end", rates(read_rate=float("inf")), True, _NO_LIMIT, apart=True),
    Difference("rate that is no number", rates(read_rate=float("nan")), True, _RATE, apart=True),
    Difference("another driver's resource", s3(context={"gcs_request_retries": {}}), True, _OTHERS),
    Difference("another kind of resource", s3(context={"cache_pool": {}}), True, _OTHERS),
]


class Writing(NamedTuple):
    """A spec that both accept and write differently, on purpose: only what ``theirs`` and ``ours`` have."""

    name: str
    spec: Json
    theirs: Json
    ours: Json
    reason: str


_FINE = "time is kept in whole nanoseconds; anything finer is cut off"
_NULL = "null in a context means a new resource with the defaults, and is written as one"

WRITTEN_DIFFERENTLY: list[Writing] = [
    Writing(
        "null in a context",
        s3(context={"s3_request_retries": None}),
        {"context": {"s3_request_retries": None}},
        {"context": {"s3_request_retries": {}}},
        _NULL,
    ),
    Writing(
        "null for credentials in a context",
        s3(context={"aws_credentials#x": None}),
        {"context": {"aws_credentials#x": None}},
        {"context": {"aws_credentials#x": {"type": "default"}}},
        _NULL,
    ),
    Writing(
        "less than a nanosecond",
        retries(initial_delay="0.5ns"),
        {"s3_request_retries": {"initial_delay": "0.5ns"}},
        {"s3_request_retries": {"initial_delay": "0"}},
        _FINE,
    ),
    Writing(
        "more than nine decimals",
        retries(max_delay="1.0000000009s"),
        {"s3_request_retries": {"max_delay": "1.00000000075s"}},
        {"s3_request_retries": {"max_delay": "1s"}},
        _FINE,
    ),
]


# --------------------------------------------------------------------------------- the tables


def test_the_tables_are_long_and_say_nothing_twice() -> None:
    """At least a hundred of either kind; every difference has its name and its reason."""
    assert len(ACCEPTED) > 100
    assert len(BOTH_REFUSE) > 100
    every = [*ACCEPTED, *BOTH_REFUSE, *(each.spec for each in DIFFERENCES)]
    assert len({repr(spec) for spec in every}) == len(every)
    assert len({each.name for each in DIFFERENCES}) == len(DIFFERENCES)
    assert all(each.reason for each in DIFFERENCES)
    assert all(each.reason for each in WRITTEN_DIFFERENTLY)


@pytest.mark.parametrize("spec", ACCEPTED, ids=_name)
def test_what_tensorstore_accepts_is_accepted_and_written_alike(spec: Any) -> None:
    """Member by member; and each reads what the other writes."""
    theirs = theirs_of(spec)
    assert theirs != REFUSED
    assert ours_of(spec) == theirs
    assert ours_of(theirs) == theirs
    assert theirs_of(Spec(spec).to_json(include_defaults=True)) == theirs_of(theirs_of(spec, True))


@pytest.mark.parametrize("spec", BOTH_REFUSE, ids=_name)
def test_what_tensorstore_refuses_is_refused(spec: Any) -> None:
    """A store that is described wrongly here is so there."""
    assert theirs_of(spec) == REFUSED
    assert ours_of(spec) == REFUSED


@pytest.mark.parametrize("each", DIFFERENCES, ids=lambda each: each.name)
def test_what_is_judged_differently_is_in_the_table(each: Difference) -> None:
    """Should TensorStore change its mind, the difference is one no longer."""
    accepted = _verdicts_apart()[each.name] if each.apart else theirs_of(each.spec) != REFUSED
    assert accepted == each.theirs
    assert (ours_of(each.spec) == REFUSED) == each.theirs


@functools.cache
def _verdicts_apart() -> dict[str, bool]:
    code = """
import json, sys, tensorstore
for line in sys.stdin:
    name, spec = json.loads(line)
    try:
        tensorstore.KvStore.Spec(spec)
        print(json.dumps([name, True]), flush=True)
    except ValueError:
        print(json.dumps([name, False]), flush=True)
"""
    lines = [json.dumps([each.name, each.spec]) for each in DIFFERENCES if each.apart]
    run = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return dict(map(json.loads, run.stdout.splitlines()))


@pytest.mark.parametrize("each", WRITTEN_DIFFERENTLY, ids=lambda each: each.name)
def test_what_is_written_differently_is_in_the_table(each: Writing) -> None:
    """Both say the rest alike."""
    assert theirs_of(each.spec) == s3(**each.theirs)
    assert ours_of(each.spec) == s3(**each.ours)
    assert each.theirs != each.ours


def test_defaults_are_written_alike_but_for_what_has_none() -> None:
    """A region that is found out later, an empty context, and an experimental limiter nobody asked for."""
    theirs = theirs_of(s3(), include_defaults=True)
    ours = Spec(s3()).to_json(include_defaults=True)
    assert {name: theirs.pop(name) for name in ("aws_region", "context")} == {
        "aws_region": "",
        "context": {},
    }
    assert ours.pop("experimental_s3_rate_limiter") == "experimental_s3_rate_limiter"
    assert theirs == ours
