"""The JSON spec: every member, what it may be, what its errors say, and a Spec as a value."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.endpoint_url import split_endpoint
from s3kv.spec.spec import MEMBERS, Spec
from tests.unit.specs import RESOURCES, specs

MINIMAL: dict[str, Any] = {"bucket": "bucket"}
LOCAL = "http://localhost:9000"


# ---------------------------------------------------------------------------- valid members


@pytest.mark.parametrize(
    "members",
    [
        {"driver": "s3", "bucket": "bucket"},
        {"driver": "s3", "bucket": "bucket", "path": "a/b//é"},
        {"bucket": "bucket", "path": "/"},
        {"bucket": "bucket", "path": "x" * 1024},
        {"bucket": "bucket", "path": "é" * 512},
        {"bucket": "bucket", "path": "\x00\n😀"},
        {"bucket": "bucket", "requester_pays": True},
        {"bucket": "bucket", "aws_region": "us-east-1"},
        {"bucket": "bucket", "aws_region": "garage"},
        {"bucket": "bucket", "aws_region": "US-EAST-1"},
        {"bucket": "bucket", "aws_region": "1"},
        {"bucket": "My_Bucket", "aws_region": "us-east-1"},
        {"bucket": "bucket", "endpoint": LOCAL},
        {"bucket": "bucket", "endpoint": "http://localhost:9000/base/"},
        {"bucket": "bucket", "endpoint": "HTTPS://Example.com"},
        {"bucket": "bucket", "endpoint": LOCAL, "host_header": "bucket.s3.example.com:80"},
        {"bucket": "bucket", "endpoint": LOCAL, "host_header": "[::1]:9000"},
        {"endpoint": "https://bucket.example.com"},
        {"bucket": "bucket", "use_conditional_write": True},
        {"bucket": "bucket", "use_conditional_write": False},
        {"bucket": "bucket", "context": {"aws_credentials": {"type": "anonymous"}}},
        {"bucket": "bucket", "context": {"aws_credentials#x": "aws_credentials#y"}},
        *(
            {"bucket": "bucket", "aws_credentials": credentials}
            for credentials in (
                *("aws_credentials#x", "aws_credentials#", "aws_credentials# é/#"),
                *({"type": kind} for kind in ("anonymous", "environment", "profile", "ecs", "imds")),
                {"type": "default"},
                {"type": "default", "profile": "p"},
                {"type": "profile", "profile": "p"},
                {"type": "profile", "config_file": "c"},
                {"type": "profile", "profile": "p é", "config_file": "~/c", "credentials_file": "d"},
                {"type": "ecs", "endpoint": "http://169.254.170.2/v2"},
                {"type": "ecs", "endpoint": "http://169.254.170.23/v1", "auth_token_file": "t"},
                {"type": "ecs", "endpoint": "http://[fd00:ec2::23]/v1"},
                {"type": "ecs", "endpoint": "http://[::1]:80/"},
                {"type": "ecs", "endpoint": "http://127.1.2.3"},
                {"type": "ecs", "endpoint": "http://localhost:9?a=b"},
                {"type": "ecs", "endpoint": "https://any.example.com/credentials"},
            )
        ),
        *(
            {"bucket": "bucket", name: limit}
            for name in ("s3_request_concurrency", "data_copy_concurrency")
            for limit in (name + "#x", {}, {"limit": 1}, {"limit": 10**6})
        ),
        {"bucket": "bucket", "s3_request_retries": "s3_request_retries#x"},
        {"bucket": "bucket", "s3_request_retries": {}},
        {"bucket": "bucket", "s3_request_retries": {"max_retries": 1}},
        {"bucket": "bucket", "s3_request_retries": {"max_retries": 31, "initial_delay": "0"}},
        {"bucket": "bucket", "s3_request_retries": {"initial_delay": "1m30s", "max_delay": "100ms"}},
        {"bucket": "bucket", "experimental_s3_rate_limiter": "experimental_s3_rate_limiter#x"},
        {"bucket": "bucket", "experimental_s3_rate_limiter": {}},
        {"bucket": "bucket", "experimental_s3_rate_limiter": {"read_rate": 0.001}},
        {"bucket": "bucket", "experimental_s3_rate_limiter": {"write_rate": 1e308}},
        {"bucket": "bucket", "experimental_s3_rate_limiter": {"doubling_time": "0"}},
        {"bucket": "bucket", "experimental_s3_rate_limiter": {"read_rate": 5, "doubling_time": "20m"}},
    ],
    ids=lambda members: str({k: v for k, v in members.items() if v not in ("bucket", "s3")})[:80],
)
def test_a_spec_goes_through_json_and_comes_back(members: dict[str, Any]) -> None:
    """As it was given, for it says nothing that is a default; with defaults it describes the same."""
    spec = Spec.from_json(members)
    assert spec.to_json() == {"driver": "s3", **members}
    for include_defaults in (False, True):
        told = spec.to_json(include_defaults=include_defaults)
        assert Spec.from_json(json.loads(json.dumps(told))) == spec
        assert told.items() >= {name: told[name] for name in members}.items()


@given(specs())
def test_every_spec_goes_through_json_and_comes_back(members: dict[str, Any]) -> None:
    """Equal, of equal hash, and written the same again."""
    spec = Spec.from_json(members)
    assert Spec(members) == Spec(**members) == Spec(spec) == spec
    for include_defaults in (False, True):
        told = spec.to_json(include_defaults=include_defaults)
        again = Spec.from_json(json.loads(json.dumps(told)))
        assert again == spec
        assert hash(again) == hash(spec)
        assert again.to_json(include_defaults=include_defaults) == told
        bare = spec.to_json(include_defaults=include_defaults, include_context=False)
        assert bare == {name: value for name, value in told.items() if name != "context"}


def test_defaults_are_left_out_unless_asked_for() -> None:
    """What is found out later, such as the region, has no default that could be written."""
    assert Spec(MINIMAL).to_json() == {"driver": "s3", "bucket": "bucket"}
    assert Spec(endpoint=LOCAL).to_json() == {"driver": "s3", "endpoint": LOCAL}
    assert Spec(MINIMAL).to_json(include_defaults=True) == {
        "driver": "s3",
        "bucket": "bucket",
        "path": "",
        "requester_pays": False,
        **{name: name for name in RESOURCES},
    }


@pytest.mark.parametrize(
    ("member", "given_value", "default"),
    [
        ("path", "", ""),
        ("requester_pays", False, False),
        ("aws_region", "", None),
        ("context", {}, ()),
        *((name, name, name) for name in RESOURCES),
    ],
)
def test_a_default_that_is_given_is_no_difference(member: str, given_value: Any, default: Any) -> None:
    """TensorStore, for instance, writes the region that nobody gave as an empty string."""
    spec = Spec({**MINIMAL, member: given_value})
    assert getattr(spec, member) == default
    assert spec == Spec(MINIMAL)
    assert spec.to_json() == {"driver": "s3", "bucket": "bucket"}


@pytest.mark.parametrize(
    ("resource", "short", "whole"),
    [
        ("aws_credentials", {"type": "default"}, {"type": "default"}),
        ("aws_credentials", {"type": "profile"}, {"type": "profile"}),
        ("s3_request_concurrency", {}, {"limit": "shared"}),
        ("s3_request_concurrency", {"limit": 3}, {"limit": 3}),
        ("data_copy_concurrency", {}, {"limit": "shared"}),
        ("s3_request_retries", {}, {"max_retries": 32, "initial_delay": "1s", "max_delay": "32s"}),
        (
            "s3_request_retries",
            {"max_retries": 3},
            {"max_retries": 3, "initial_delay": "1s", "max_delay": "32s"},
        ),
        ("experimental_s3_rate_limiter", {}, {}),
        ("experimental_s3_rate_limiter", {"read_rate": 1.5}, {"read_rate": 1.5}),
    ],
)
def test_a_resource_has_defaults_of_its_own(
    resource: str, short: dict[str, Any], whole: dict[str, Any]
) -> None:
    """Written out where defaults are asked for; no rate is no limit, and cannot be written."""
    for members in (short, whole):
        spec = Spec({**MINIMAL, resource: members, "context": {resource: members}})
        assert spec.to_json()[resource] == short
        assert spec.to_json()["context"] == {resource: short}
        assert spec.to_json(include_defaults=True)[resource] == whole
        assert spec.to_json(include_defaults=True)["context"] == {resource: whole}


@pytest.mark.parametrize("name", ["s3_request_concurrency", "data_copy_concurrency"])
def test_a_limit_may_be_shared(name: str) -> None:
    """The default, by its name."""
    assert Spec({**MINIMAL, name: {"limit": "shared"}}) == Spec({**MINIMAL, name: {}})


@pytest.mark.parametrize(
    ("resource", "member"),
    [
        ("s3_request_concurrency", "limit"),
        ("data_copy_concurrency", "limit"),
        ("s3_request_retries", "max_retries"),
    ],
)
def test_a_whole_number_may_be_written_with_a_decimal_point(resource: str, member: str) -> None:
    """JSON and JSON Schema know no difference between 3 and 3.0."""
    spec = Spec({**MINIMAL, resource: {member: 3.0}})
    assert spec == Spec({**MINIMAL, resource: {member: 3}})
    assert json.dumps(spec.to_json()[resource]) == f'{{"{member}": 3}}'


@pytest.mark.parametrize("rate", [1, 1.0, 0.5, 10**15])
def test_a_rate_may_be_a_whole_number_or_not(rate: float) -> None:
    """The one is as good as the other."""
    spec = Spec({**MINIMAL, "experimental_s3_rate_limiter": {"read_rate": rate, "write_rate": rate}})
    assert spec.to_json()["experimental_s3_rate_limiter"] == {"read_rate": rate, "write_rate": rate}


def test_every_member_is_an_attribute() -> None:
    """Under the same name; resources are frozen descriptions or references."""
    assert set(MEMBERS) == {
        *("driver", "bucket", "path", "requester_pays", "aws_region", "endpoint", "host_header"),
        *("use_conditional_write", "context", *RESOURCES),
    }
    spec = Spec(
        bucket="bucket",
        path="a/",
        requester_pays=True,
        aws_region="eu-west-1",
        endpoint=LOCAL,
        host_header="h",
        use_conditional_write=False,
        aws_credentials={"type": "profile", "profile": "p"},
        s3_request_concurrency={"limit": 7},
        data_copy_concurrency="data_copy_concurrency#x",
    )
    assert (spec.bucket, spec.path, spec.requester_pays) == ("bucket", "a/", True)
    assert (spec.aws_region, spec.endpoint, spec.host_header) == ("eu-west-1", LOCAL, "h")
    assert spec.use_conditional_write is False
    assert isinstance(spec.s3_request_concurrency, tuple)
    assert getattr(spec.aws_credentials, "profile", None) == "p"
    assert getattr(spec.s3_request_concurrency, "limit", None) == 7
    assert spec.s3_request_retries == "s3_request_retries"
    assert spec.data_copy_concurrency == "data_copy_concurrency#x"


# ------------------------------------------------------------------ the forms of the argument


def test_a_spec_is_made_of_a_url_a_mapping_or_a_spec_and_members_win() -> None:
    """The forms of the first argument; members override what it says."""
    base = Spec(bucket="bucket", path="a/")
    forms: list[Any] = ["s3://bucket/a/", {"bucket": "bucket", "path": "a/"}, base]
    forms += [OrderedDict(base.to_json()), MappingProxyType(base.to_json())]
    for form in forms:
        assert Spec(form) == base
        assert Spec(form, path="b") == Spec(bucket="bucket", path="b")
        assert Spec(form, path="") == Spec(bucket="bucket")
        assert Spec(form, bucket="other") == Spec("s3://other/a/")
        assert Spec(form, aws_region="eu-west-1").aws_region == "eu-west-1"
        assert Spec(form, driver="s3") == base
        assert Spec(form, context={"s3_request_retries": {}}).to_json()["path"] == "a/"
    assert Spec(None, bucket="bucket", path="a/") == base
    paying = Spec(base, requester_pays=True)
    assert not Spec(paying, requester_pays=False).requester_pays


@pytest.mark.parametrize("member", [name for name in MEMBERS if name != "driver"])
def test_a_keyword_of_none_leaves_the_member_as_the_spec_has_it(member: str) -> None:
    """A script may pass on what it does not know."""
    whole = Spec(
        bucket="bucket",
        path="a",
        requester_pays=True,
        aws_region="eu-west-1",
        endpoint=LOCAL,
        host_header="h",
        use_conditional_write=True,
        context={"s3_request_retries": {"max_retries": 2}},
        **{name: f"{name}#x" for name in RESOURCES},
    )
    assert Spec(whole, **{member: None}) == whole
    assert Spec(whole.to_json(), **{member: None}) == whole
    assert Spec("s3://bucket/a", **{member: None}) == Spec("s3://bucket/a")


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_a_mapping_is_not_null(member: str) -> None:
    """In JSON what is not known is left out; null is for resources of contexts only."""
    for make in (Spec, Spec.from_json):
        with pytest.raises(SpecError, match="null") as caught:
            make({**MINIMAL, member: None})
        assert caught.value.member == member


def test_what_is_passed_is_not_changed_and_not_kept() -> None:
    """Neither the mapping nor what is inside; changing it later changes no spec."""
    credentials = {"type": "profile", "profile": "p"}
    context = {"s3_request_retries": {"max_retries": 2}}
    mapping = {"bucket": "bucket", "aws_credentials": credentials, "context": context}
    before = copy.deepcopy(mapping)
    spec = Spec(mapping, path="a")
    assert mapping == before
    credentials["profile"] = "other"
    context["s3_request_retries"]["max_retries"] = 3
    assert spec == Spec(before, path="a")
    told = spec.to_json()
    told["context"].clear()
    told["aws_credentials"]["profile"] = "other"
    assert spec == Spec(before, path="a")


@pytest.mark.parametrize("spec", [5, b"s3://bucket", ["s3://bucket"], ("bucket", "path"), object(), True])
def test_anything_else_is_a_type_error(spec: Any) -> None:
    """The error says what a store is described by."""
    with pytest.raises(TypeError, match=r"s3:// URL, a mapping or a Spec"):
        Spec(spec)


@pytest.mark.parametrize("given_value", ["s3://bucket", None, 5, [("bucket", "bucket")]])
def test_json_is_an_object(given_value: Any) -> None:
    """Nothing else is a spec in JSON."""
    with pytest.raises(SpecError, match="allowed is an object"):
        Spec.from_json(given_value)


# -------------------------------------------------------------------------- a Spec is a value


@given(specs())
def test_a_spec_is_a_value(members: dict[str, Any]) -> None:
    """Copied and pickled it is equal, and its repr is an expression for it."""
    spec = Spec(members)
    for again in (pickle.loads(pickle.dumps(spec)), copy.copy(spec), copy.deepcopy(spec)):
        assert again == spec
        assert hash(again) == hash(spec)
    if "?" not in repr(spec):
        assert eval(repr(spec), {"Spec": Spec}) == spec


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_spec_pickles_by_every_protocol(protocol: int) -> None:
    """Old ones are still in use between processes."""
    spec = Spec("s3://bucket/é", aws_credentials={"type": "anonymous"}, context={"s3_request_retries": {}})
    assert pickle.loads(pickle.dumps(spec, protocol)) == spec


def test_specs_differ_when_any_member_does() -> None:
    """And compare with nothing else."""
    base = Spec("s3://bucket/a", endpoint=LOCAL)
    variants = [
        base,
        Spec(base, bucket="other"),
        Spec(base, path="b"),
        Spec(base, requester_pays=True),
        Spec(base, aws_region="us-east-1"),
        Spec(base, endpoint="http://localhost:9001"),
        Spec(base, host_header="h"),
        Spec(base, use_conditional_write=True),
        Spec(base, use_conditional_write=False),
        *(Spec(base, **{name: f"{name}#x"}) for name in RESOURCES),
        Spec(base, context={"s3_request_retries": {}}),
        Spec(base, context={"s3_request_retries": {"max_retries": 3}}),
    ]
    assert len(set(variants)) == len(variants)
    for index, one in enumerate(variants):
        for other in variants[index + 1 :]:
            assert one != other
    assert base != "s3://bucket/a"
    assert base != base.to_json()
    assert base in {Spec(base.to_json())}


@pytest.mark.parametrize("member", [*(name for name in MEMBERS if name != "driver"), "colour"])
def test_a_spec_cannot_be_changed(member: str) -> None:
    """Another is made of it."""
    spec = Spec(MINIMAL)
    with pytest.raises(AttributeError, match=rf"Spec\(spec, {member}="):
        setattr(spec, member, "other")
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(spec, member)
    assert spec == Spec(MINIMAL)
    assert not hasattr(spec, "__dict__")


def test_another_path_is_another_spec() -> None:
    """Nothing else changes."""
    spec = Spec("s3://bucket/a", requester_pays=True)
    assert spec.at("b") == Spec("s3://bucket/b", requester_pays=True)
    assert spec.path == "a"


class Given:
    """Credentials as botocore has them."""

    def get_frozen_credentials(self) -> None:
        raise NotImplementedError


def test_credentials_of_python_are_kept_as_they_are() -> None:
    """Specs are equal only with the very same object, and have no JSON form."""
    one, other = Given(), Given()
    for source in (one, test_credentials_of_python_are_kept_as_they_are, lambda: one):
        spec = Spec(MINIMAL, aws_credentials=source)
        assert spec == Spec(spec) == Spec({**MINIMAL, "aws_credentials": source})
        assert hash(spec) == hash(Spec(spec))
        assert spec != Spec(MINIMAL, aws_credentials=other)
        assert copy.copy(spec) == copy.deepcopy(spec) == spec
        with pytest.raises(SpecError, match="no JSON form") as caught:
            spec.to_json()
        assert caught.value.member == "aws_credentials"
        within = Spec(MINIMAL, context={"aws_credentials": source})
        with pytest.raises(SpecError, match="no JSON form"):
            within.to_json()
        assert within.to_json(include_context=False) == {"driver": "s3", "bucket": "bucket"}


def test_the_spec_is_exported() -> None:
    """Users name it in annotations."""
    assert s3kv.Spec is Spec


def test_the_scheme_of_an_endpoint_is_as_good_in_capitals() -> None:
    """RFC 3986, section 3.1."""
    assert split_endpoint("HTTPS://Example.COM:9000/a") == ("https", "example.com", 9000, "/a")
