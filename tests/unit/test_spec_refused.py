"""Specs that are refused: which member is named, what is said of it, and that no secret is."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import pytest

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.aws_credentials import TYPES
from s3kv.spec.spec import MEMBERS, Spec
from tests.unit.specs import RESOURCES

MINIMAL: dict[str, Any] = {"bucket": "bucket"}
LOCAL = "http://localhost:9000"


def _refusal(members: dict[Any, Any]) -> SpecError:
    """The error for a mapping, after a look at what every such error has."""
    with pytest.raises(SpecError) as caught:
        Spec(members)
    error = caught.value
    assert isinstance(error, ValueError)
    assert isinstance(error, s3kv.S3KVError)
    str(error).encode("utf-8")
    assert len(str(error)) < 600
    again = pickle.loads(pickle.dumps(error))
    assert (again.member, str(again)) == (error.member, str(error))
    return error


@pytest.mark.parametrize(
    ("members", "member", "why"),
    [
        ({}, "bucket", "missing"),
        ({"path": "a"}, "bucket", "missing"),
        ({"bucket": ""}, "bucket", "missing"),
        ({"bucket": 5}, "bucket", "int"),
        ({"bucket": b"bucket"}, "bucket", "bytes"),
        ({"bucket": ["bucket"]}, "bucket", "list"),
        ({"bucket": "no"}, "bucket", "'no'"),
        ({"bucket": "ab\ud800"}, "bucket", "UTF-8"),
        ({"bucket": "no", "endpoint": LOCAL}, "bucket", "'no'"),
        ({"driver": "gcs"}, "driver", "'gcs'"),
        ({"driver": "S3"}, "driver", "'S3'"),
        ({"driver": ""}, "driver", "''"),
        ({"driver": 5}, "driver", "int"),
        ({"driver": ["s3"]}, "driver", "list"),
        ({"path": 5}, "path", "int"),
        ({"path": b"a"}, "path", "bytes"),
        ({"path": ["a"]}, "path", "list"),
        ({"path": True}, "path", "bool"),
        ({"path": "a\ud800"}, "path", "UTF-8"),
        ({"path": "x" * 1025}, "path", "1,024"),
        ({"path": "é" * 512 + "x"}, "path", "1,024"),
        ({"requester_pays": 1}, "requester_pays", "true and false"),
        ({"requester_pays": 0}, "requester_pays", "int"),
        ({"requester_pays": "true"}, "requester_pays", "str"),
        ({"requester_pays": []}, "requester_pays", "list"),
        ({"use_conditional_write": 1}, "use_conditional_write", "true and false"),
        ({"use_conditional_write": "false"}, "use_conditional_write", "str"),
        ({"aws_region": 5}, "aws_region", "int"),
        ({"aws_region": "us east 1"}, "aws_region", "us-east-1"),
        ({"aws_region": " us-east-1"}, "aws_region", "us-east-1"),
        ({"aws_region": "us-east-1\n"}, "aws_region", "us-east-1"),
        ({"aws_region": "us-east-1/../x"}, "aws_region", "us-east-1"),
        ({"aws_region": "us.east.1"}, "aws_region", "us-east-1"),
        ({"aws_region": "us--east"}, "aws_region", "us-east-1"),
        ({"aws_region": "évry"}, "aws_region", "us-east-1"),
        ({"aws_region": "-"}, "aws_region", "us-east-1"),
        ({"endpoint": 5}, "endpoint", "int"),
        ({"endpoint": ""}, "endpoint", "http"),
        ({"endpoint": "localhost:9000"}, "endpoint", "http"),
        ({"endpoint": "ftp://localhost"}, "endpoint", "http"),
        ({"endpoint": "s3://bucket"}, "endpoint", "http"),
        ({"endpoint": "http://"}, "endpoint", "http"),
        ({"endpoint": "http://user@localhost"}, "endpoint", "user information"),
        ({"endpoint": "http://localhost?a=b"}, "endpoint", "query"),
        ({"endpoint": "http://localhost/#a"}, "endpoint", "fragment"),
        ({"endpoint": "http://localhost:65536"}, "endpoint", "port"),
        ({"endpoint": "http://local host"}, "endpoint", "http"),
        ({"endpoint": "http://localhost/\n"}, "endpoint", "http"),
        ({"endpoint": "http://h\ud800"}, "endpoint", "UTF-8"),
        ({"host_header": "h"}, "host_header", "only together with an endpoint"),
        ({"host_header": 5, "endpoint": LOCAL}, "host_header", "int"),
        ({"host_header": "", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "a b", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "a/b", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "http://h", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "u@h", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "h\r\nx: y", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "h\n", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "h\x00", "endpoint": LOCAL}, "host_header", "host name"),
        ({"host_header": "hé", "endpoint": LOCAL}, "host_header", "host name"),
        ({"context": 5}, "context", "int"),
        ({"context": "aws_credentials"}, "context", "str"),
        ({"context": []}, "context", "list"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_member_that_is_not_allowed_is_refused_by_name(
    members: dict[str, Any], member: str, why: str
) -> None:
    """The error names the member and says what is wrong with its value, or what is allowed."""
    error = _refusal(members if member == "bucket" else {**MINIMAL, **members})
    assert error.member == member
    assert member in str(error)
    assert why in str(error)


_RETRIES = ("s3_request_retries", ("max_retries", "initial_delay", "max_delay"))
_RATES = ("experimental_s3_rate_limiter", ("read_rate", "write_rate", "doubling_time"))
_NAN, _INF = float("nan"), float("inf")

# What is given for a resource, the member that is at fault below it, and what is said.
_BAD: list[tuple[str, Any, str, str]] = [
    *(
        (name, given, "", why)
        for name in RESOURCES
        for given, why in (
            (5, "int"),
            ([], "list"),
            ([name], "list"),
            ("", "no reference"),
            ("x", "no reference"),
            ("#x", "no reference"),
            (f"{name}x", "no reference"),
            (f"x{name}#x", "no reference"),
            (f" {name}", "no reference"),
            ("s3_request_concurrencyx#a", "no reference"),
        )
    ),
    ("s3_request_concurrency", "data_copy_concurrency", "", "no reference"),
    ("aws_credentials", "anonymous", "", "'aws_credentials#'"),
    *(("aws_credentials", {**more}, ".type", "has no type") for more in ({}, {"profile": "p"})),
    ("aws_credentials", {"type": "enviroment"}, ".type", "'enviroment'"),
    ("aws_credentials", {"type": "Anonymous"}, ".type", "'Anonymous'"),
    ("aws_credentials", {"type": ""}, ".type", "allowed are 'anonymous', 'environment'"),
    ("aws_credentials", {"type": 5}, ".type", "int"),
    ("aws_credentials", {"type": None}, ".type", "null"),
    ("aws_credentials", {"type": ["default"]}, ".type", "list"),
    *(
        ("aws_credentials", {"type": kind, member: value}, f".{member}", why)
        for kind, members in TYPES.items()
        for member in members
        for value, why in ((5, "int"), (None, "null"), ("", "empty"), ("\ud800", "UTF-8"), ([], "list"))
    ),
    *(
        ("aws_credentials", {"type": kind, member: "x"}, f".{member}", "has no member")
        for kind, members in TYPES.items()
        for member in ("profile", "config_file", "credentials_file", "endpoint", "auth_token_file")
        if member not in members
    ),
    (
        "aws_credentials",
        {"type": "ecs", "auth_token_file": "t"},
        ".auth_token_file",
        "only with an endpoint",
    ),
    *(
        ("aws_credentials", {"type": "ecs", "endpoint": endpoint}, ".endpoint", "http")
        for endpoint in (
            *("x", "/v2/credentials", "ftp://localhost", "http://", "http://localhost:0", "http://h:65536"),
            *("http://user@localhost", "http://localhost\n", "http://localhost/a b", "http://localhost:x"),
            *("http://example.com", "http://169.254.169.254/", "http://169.254.170.24", "http://10.0.0.1"),
            *("http://localhost.example.com", "http://127.0.0.1.example.com", "http://[fd00:ec2::24]"),
            *("http://0.0.0.0", "http://[::]", "http://127.256.0.1", "http://169.254.170.2.nip.io"),
        )
    ),
    *(
        (name, {"limit": limit}, ".limit", why)
        for name in ("s3_request_concurrency", "data_copy_concurrency")
        for limit, why in (
            *(
                (0, "at least 1"),
                (-1, "at least 1"),
                (1.5, "1.5"),
                (0.0, "at least 1"),
                (_NAN, "nan"),
                (_INF, "inf"),
            ),
            *((True, "True"), (False, "False"), ("3", "'3'"), ("Shared", "'shared'"), ("", "''")),
            *(
                (None, "null"),
                ([3], "list"),
                ({}, "dict"),
                (2**63, "64 bits"),
                (1e300, "64 bits"),
            ),
        )
    ),
    *(
        (_RETRIES[0], {"max_retries": value}, ".max_retries", why)
        for value, why in (
            *((0, "at least 1"), (-1, "-1"), (1.5, "1.5"), (True, "True"), ("3", "'3'"), (None, "null")),
            *(("shared", "whole number"), (_NAN, "nan"), (_INF, "inf"), (2**63, "64 bits")),
        )
    ),
    *(
        (_RATES[0], {rate: value}, f".{rate}", why)
        for rate in _RATES[1][:2]
        for value, why in (
            *(
                (0, "above 0"),
                (0.0, "above 0"),
                (-0.0, "above 0"),
                (-1, "-1"),
                (_INF, "inf"),
                (-_INF, "inf"),
            ),
            *((_NAN, "nan"), (10**400, "finite"), (Fraction(1, 10**400), "finite"), (True, "True")),
            *(("5", "'5'"), (None, "null"), ([1], "list"), (1j, "complex")),
        )
    ),
    *(
        (resource, {member: value}, f".{member}", why)
        for resource, members in (_RETRIES, _RATES)
        for member in members
        if member.endswith(("delay", "time"))
        for value, why in (
            *((1, "int"), (1.5, "float"), (None, "null"), ("", "''"), ("1", "'1'"), ("inf", "'inf'")),
            *(("-1s", "'-1s'"), ("1S", "'1S'"), ("soon", "'soon'"), (True, "bool")),
        )
    ),
    *(
        (resource, {member: value}, f".{member}", "has no member")
        for resource, member, value in (
            ("s3_request_concurrency", "limits", 3),
            ("data_copy_concurrency", "max", 3),
            ("s3_request_retries", "retries", 3),
            ("experimental_s3_rate_limiter", "rate", 3),
        )
    ),
]


@pytest.mark.parametrize(
    ("resource", "given", "below", "why"), _BAD, ids=[f"{row[0]}-{row[1]!s:.40}-{row[3]}" for row in _BAD]
)
def test_a_resource_that_is_not_allowed_is_refused_by_name(
    resource: str, given: Any, below: str, why: str
) -> None:
    """As a member of the spec and as one of its context, whose members are named by their keys."""
    for members, where in (
        ({resource: given}, resource),
        ({"context": {resource: given}}, f"context.{resource}"),
        ({"context": {f"{resource}#é": given}}, f"context.{resource}#é"),
    ):
        error = _refusal({**MINIMAL, **members})
        assert error.member == where + below
        assert where in str(error)
        assert why in str(error)


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["large", "small"])
@pytest.mark.parametrize("member", ["limit", "max_retries", "read_rate", "initial_delay", "requester_pays"])
def test_a_number_too_long_to_be_written_is_refused_like_any_other(member: str, value: int) -> None:
    """Python refuses to write out numbers of thousands of digits."""
    resource = {
        "limit": "s3_request_concurrency",
        "max_retries": "s3_request_retries",
        "read_rate": "experimental_s3_rate_limiter",
        "initial_delay": "s3_request_retries",
    }.get(member)
    error = _refusal({**MINIMAL, **({resource: {member: value}} if resource else {member: value})})
    assert error.member == (f"{resource}.{member}" if resource else member)


@pytest.mark.parametrize(
    "key", ["", "#", "#x", "aws_credential", "aws_credentials ", "cache_pool", 5, None]
)
def test_a_context_holds_nothing_but_the_resources_that_there_are(key: Any) -> None:
    """With an id or without; all are listed."""
    error = _refusal({**MINIMAL, "context": {key: {}}})
    assert error.member == f"context.{key}"
    for name in RESOURCES:
        assert name in str(error)


# ------------------------------------------------------------------------- misspelt members


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
        ("credentials", "aws_credentials"),
        ("paths", "path"),
        ("request_pays", "requester_pays"),
        ("host_headers", "host_header"),
        ("use_conditional_writes", "use_conditional_write"),
        ("s3_request_concurency", "s3_request_concurrency"),
        ("s3_request_retry", "s3_request_retries"),
        ("s3_rate_limiter", "experimental_s3_rate_limiter"),
        ("data_copy_concurency", "data_copy_concurrency"),
        ("contexts", "context"),
    ],
)
def test_a_misspelt_member_is_recognised(name: str, meant: str) -> None:
    """The error says which one was probably meant; of a keyword too."""
    members: dict[str, Any] = {name: "x"}
    error = _refusal({**MINIMAL, **members})
    assert f"did you mean {meant!r}" in str(error)
    assert error.member == name
    assert repr(name) in str(error)
    with pytest.raises(SpecError, match=f"did you mean '{meant}'"):
        Spec("s3://bucket", **members)
    with pytest.raises(SpecError, match=f"did you mean '{meant}'"):
        s3kv.Store("s3://bucket", **members)


@pytest.mark.parametrize(
    ("members", "member", "meant"),
    [
        ({"aws_credentials": {"type": "profile", "profiles": "p"}}, "aws_credentials.profiles", "profile"),
        (
            {"aws_credentials": {"type": "ecs", "auth_token": "t"}},
            "aws_credentials.auth_token",
            "auth_token_file",
        ),
        ({"s3_request_concurrency": {"limits": 3}}, "s3_request_concurrency.limits", "limit"),
        ({"s3_request_retries": {"max_retry": 3}}, "s3_request_retries.max_retry", "max_retries"),
        (
            {"experimental_s3_rate_limiter": {"readrate": 3}},
            "experimental_s3_rate_limiter.readrate",
            "read_rate",
        ),
        ({"context": {"s3_request_retry": {}}}, "context.s3_request_retry", "s3_request_retries"),
        (
            {"context": {"data_copy_concurrency#x": {"limt": 3}}},
            "context.data_copy_concurrency#x.limt",
            "limit",
        ),
    ],
    ids=str,
)
def test_a_misspelt_member_of_a_resource_is_recognised(
    members: dict[str, Any], member: str, meant: str
) -> None:
    """Wherever it is."""
    error = _refusal({**MINIMAL, **members})
    assert error.member == member
    assert f"did you mean {meant!r}" in str(error)


@pytest.mark.parametrize("name", ["zzz", "", "kvstore", 5, None, ("a",), "x" * 10_000, "\ud800"])
def test_an_unknown_member_is_refused_with_those_that_are_known(name: Any) -> None:
    """Where nothing is near, all are listed; names that are no text are no exception of their own."""
    error = _refusal({**MINIMAL, name: "x"})
    for known in MEMBERS:
        assert known in error.message
    assert error.member == (str(name) if name != "x" * 10_000 else "x" * 80 + "…")


def test_an_unknown_member_is_refused_without_a_value_too() -> None:
    """A keyword of None is as good as left out, but only where there is such a member."""
    with pytest.raises(SpecError, match="did you mean 'aws_region'") as caught:
        Spec("s3://bucket/", aws_regin=None)
    assert caught.value.member == "aws_regin"
    with pytest.raises(SpecError):
        s3kv.Store("s3://bucket/", nothing=None)


def test_a_member_of_another_type_of_credentials_is_refused_with_those_it_has() -> None:
    """An anonymous store has no profile."""
    error = _refusal({**MINIMAL, "aws_credentials": {"type": "anonymous", "profile": "p"}})
    assert "allowed are type" in str(error)
    assert "config_file" not in str(error)


# --------------------------------------------------------------------------------------- secrets

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_DASHED = SECRET.replace("/", "-")


@pytest.mark.parametrize(
    "spec",
    [
        *(
            {**MINIMAL, **members}
            for members in (
                {"aws_secret_access_key": SECRET},
                {"secret_key": SECRET, "access_key": "AKIAIOSFODNN7EXAMPLE"},
                {"aws_credentials": SECRET},
                {"aws_credentials": f"aws_credentials {SECRET}"},
                {"aws_credentials": {"type": SECRET}},
                {"aws_credentials": {"type": ("AKIAIOSFODNN7EXAMPLE", SECRET)}},
                {"aws_credentials": {"secret_access_key": SECRET}},
                {"aws_credentials": {"type": "environment", "secret_key": SECRET}},
                {"aws_credentials": {"type": "profile", "profile": [SECRET]}},
                {"aws_credentials": {"type": "ecs", "endpoint": f"http://u:{SECRET}@localhost"}},
                {"aws_credentials": {"type": "ecs", "endpoint": f"http://example.com/?token={SECRET}"}},
                {"aws_credentials": [SECRET]},
                {"context": SECRET},
                {"context": {"aws_credentials": SECRET}},
                {"context": {"aws_credentials#x": {"type": SECRET}}},
                {"context": {"aws_credentials#x": {"type": "default", "token": SECRET}}},
                {"endpoint": f"https://user:{SECRET}@localhost:9000"},
                {"endpoint": f"https://{_DASHED}@localhost:9000/base"},
                {"endpoint": f"https://user:{SECRET}?@localhost"},
                {"endpoint": f"user:{SECRET}@localhost:9000"},
                {"endpoint": f"ftp://user:{SECRET}@localhost:9000"},
                {"endpoint": f"https://user:\n{SECRET}@localhost"},
                {"endpoint": f"https://localhost/?X-Amz-Signature={SECRET}"},
                {"endpoint": f"https://localhost/#{SECRET}"},
            )
        ),
        f"s3://user:{SECRET}@bucket/path",
        f"s3://{_DASHED}@bucket/path",
        f"https://user:{SECRET}@bucket/path",
        f"s3://bucket/a?X-Amz-Signature={SECRET}",
        f"s3://bucket/a#{SECRET}",
        f"https://bucket.s3.amazonaws.com/a?X-Amz-Signature={SECRET}",
        f"user:{SECRET}@bucket",
    ],
    ids=lambda value: str(value).replace(SECRET, "SECRET").replace(_DASHED, "SECRET"),
)
def test_what_could_be_a_secret_is_not_in_the_error(spec: Any) -> None:
    """Neither the whole nor its first part, which ends at a slash; not in words, repr, or pickle."""
    for make in (Spec, s3kv.Store):
        with pytest.raises(SpecError) as caught:
            make(spec)
        error = caught.value
        for shown in (
            str(error),
            repr(error),
            repr(error.args),
            repr(vars(error)),
            repr(pickle.dumps(error)),
        ):
            for part in SECRET.split("/"):
                assert part not in shown


def test_the_error_for_a_url_with_user_information_still_shows_the_rest() -> None:
    """Scheme and host help to find which URL is meant."""
    with pytest.raises(SpecError, match=r"https://…@localhost:9000"):
        Spec.from_json({**MINIMAL, "endpoint": f"https://user:{SECRET}@localhost:9000"})
