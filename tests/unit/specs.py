"""Specs for hypothesis to draw: members as JSON has them, all of them valid."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Drawn = st.SearchStrategy[Any]

RESOURCES = (
    "aws_credentials",
    "s3_request_concurrency",
    "s3_request_retries",
    "experimental_s3_rate_limiter",
    "data_copy_concurrency",
)

_ALNUM = string.ascii_lowercase + string.digits
_STARTS = ("xn--", "sthree-")
_ENDS = ("-s3alias", "--ol-s3", "--x-s3")


def _allowed(name: str) -> bool:
    digits = name.split(".")
    address = len(digits) == 4 and all(part.isdigit() and len(part) < 4 for part in digits)
    return not name.startswith(_STARTS) and not name.endswith(_ENDS) and not address


def _names(edge: str, inner: str, most: int) -> Drawn:
    label = st.builds(
        lambda first, rest, last: first + rest + last,
        st.sampled_from(edge),
        st.text(inner, max_size=20),
        st.sampled_from(edge),
    )
    joined = st.lists(label, min_size=1, max_size=4).map(".".join)
    return joined.filter(lambda name: 3 <= len(name) <= most and _allowed(name))


# Text that UTF-8 can hold.
texts = st.text(st.characters(codec="utf-8"), max_size=30)
standard_buckets = _names(_ALNUM, _ALNUM + "-", 63)
old_buckets = _names(_ALNUM + string.ascii_uppercase, _ALNUM + string.ascii_uppercase + "-_", 255)
paths = st.text(st.characters(codec="utf-8"), max_size=256)
regions = st.sampled_from(["us-east-1", "eu-west-3", "us-gov-east-1", "auto", "garage", "US", "1-a"])
endpoints = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP"]),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "minio.example.com", "my_host", "h.", "S3.X.Y"]),
    st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format)),
    st.sampled_from(["", "/", "/base", "/a%20b/c/", "//", "/a:b@c!"]),
)
host_headers = st.sampled_from(["h", "bucket.s3.example.com:9000", "[::1]:80", "a_b~c"])

durations = st.lists(
    st.builds(
        lambda number, unit: number + unit,
        st.from_regex(r"[0-9]{1,6}(\.[0-9]{0,6})?|\.[0-9]{1,6}", fullmatch=True),
        st.sampled_from(["h", "m", "s", "ms", "us", "ns"]),
    ),
    min_size=1,
    max_size=3,
).map("".join) | st.sampled_from(["0", "+0", "+1s"])

_counts = st.one_of(st.integers(1, 2**40), st.integers(1, 1000).map(float))
_rates = st.one_of(
    st.integers(1, 10**6), st.floats(0, exclude_min=True, allow_infinity=False, allow_subnormal=False)
)
_filled = texts.filter(bool)


def _object(required: dict[str, Drawn], **optional: Drawn) -> Drawn:
    return st.fixed_dictionaries(required, optional=optional)


def _credentials(kind: str, **optional: Drawn) -> Drawn:
    return _object({"type": st.just(kind)}, **optional)


_containers = st.sampled_from(
    [
        "http://169.254.170.2/v2/credentials",
        "http://[fd00:ec2::23]",
        "http://localhost:8080?a=b",
        "http://127.0.0.1/",
        "https://example.com/credentials",
    ]
)
_limits = _object({}, limit=st.just("shared") | _counts)

INLINE: dict[str, Drawn] = {
    "aws_credentials": st.one_of(
        *(_credentials(kind) for kind in ("anonymous", "environment", "imds", "ecs")),
        _credentials("default", profile=_filled),
        _credentials("profile", profile=_filled, config_file=_filled, credentials_file=_filled),
        _object({"type": st.just("ecs"), "endpoint": _containers}, auth_token_file=_filled),
    ),
    "s3_request_concurrency": _limits,
    "s3_request_retries": _object({}, max_retries=_counts, initial_delay=durations, max_delay=durations),
    "experimental_s3_rate_limiter": _object(
        {}, read_rate=_rates, write_rate=_rates, doubling_time=durations
    ),
    "data_copy_concurrency": _limits,
}
"""What describes each resource."""


def references(name: str) -> Drawn:
    """References to a resource, whether anything has that name or not."""
    return st.one_of(st.just(name), texts.map(lambda text: f"{name}#{text}"))


def _resource(name: str) -> Drawn:
    return st.one_of(INLINE[name], references(name))


_context = st.fixed_dictionaries(
    {}, optional={f"{name}{tail}": st.none() | _resource(name) for name in RESOURCES for tail in ("", "#x")}
)

_BASE: dict[str, Drawn] = {
    "driver": st.just("s3"),
    "path": paths,
    "requester_pays": st.booleans(),
    "use_conditional_write": st.booleans(),
}

_amazons = _object({"bucket": standard_buckets}, aws_region=regions | st.just(""), **_BASE)
_old = _object({"bucket": old_buckets}, aws_region=st.sampled_from(["us-east-1", ""]), **_BASE)
_elsewhere = _object(
    {"endpoint": endpoints},
    bucket=st.one_of(st.just(""), standard_buckets, old_buckets),
    host_header=host_headers,
    aws_region=regions,
    **_BASE,
)
_places = st.one_of(_amazons, _old, _elsewhere)


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """Valid specs; what they refer to may be missing."""
    spec: Json = draw(_places)
    spec.update(draw(st.fixed_dictionaries({}, optional={name: _resource(name) for name in RESOURCES})))
    if draw(st.booleans()):
        spec["context"] = draw(_context)
    return spec


@st.composite
def contexts(draw: st.DrawFn) -> Json:
    """Valid contexts whose references lead somewhere."""
    context: Json = {}
    for name in draw(st.sets(st.sampled_from(RESOURCES))):
        inline = st.none() | INLINE[name]
        context[f"{name}#a"] = draw(inline)
        if draw(st.booleans()):
            context[f"{name}#ä b/"] = draw(inline | st.just(f"{name}#a"))
        if draw(st.booleans()):
            context[name] = draw(inline | st.just(f"{name}#a"))
    return context


@st.composite
def openable(draw: st.DrawFn) -> Json:
    """Valid specs that open: all that they refer to is in their own contexts."""
    spec: Json = draw(_places)
    context = draw(contexts())
    for name in draw(st.sets(st.sampled_from(RESOURCES))):
        defined = [key for key in context if key.partition("#")[0] == name]
        spec[name] = draw(st.sampled_from([name, *defined]) | INLINE[name])
    if context:
        spec["context"] = context
    return spec
