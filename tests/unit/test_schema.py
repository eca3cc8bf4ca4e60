"""The JSON Schema of specs: what it says is what the code does."""

from __future__ import annotations

import configparser
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import s3kv
from s3kv.spec.aws_credentials import TYPES
from s3kv.spec.resources import RESOURCES
from s3kv.spec.spec import MEMBERS, Spec
from tests.unit.specs import Json, specs
from tests.unit.validator import SCHEMA, VALIDATOR, accepted, ecma, valid

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {"bucket": "bucket"}


def _resolved(schema: Json) -> Json:
    """A schema with what it refers to, its own words first."""
    if "$ref" not in schema:
        return schema
    _, _, name = schema["$ref"].rpartition("/")
    return {**_resolved(SCHEMA["$defs"][name]), **schema}


def _objects(schema: Any, where: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema that has properties, and where it is."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield where, schema
        for name, below in schema.items():
            yield from _objects(below, f"{where}/{name}")
    elif isinstance(schema, list):
        for index, below in enumerate(schema):
            yield from _objects(below, f"{where}/{index}")


def _patterns(schema: Any) -> Iterator[str]:
    """Every regular expression."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", {})
        schema = list(schema.values())
    for below in schema if isinstance(schema, list) else ():
        yield from _patterns(below)


# ---------------------------------------------------------------------------- the schema itself


def test_the_schema_is_a_schema() -> None:
    """Of the draft that it names; each call gives a dict of its own."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    Spec.json_schema()["properties"].clear()
    assert Spec.json_schema() == SCHEMA


def test_every_pattern_means_the_same_to_all_validators() -> None:
    """No syntax that ECMA 262 and Python do not share, and both ends are anchored where it matters."""
    patterns = list(_patterns(SCHEMA))
    assert len(patterns) > 15
    for text in patterns:
        outside = re.sub(r"(\\.)|\[(\\.|[^\]\\])*\]", lambda match: match[1] or "x", text)
        assert not re.search(r"\\[A-Za-z0-9]", outside), text
        assert not re.search(r"\(\?|[*+?}][*+?]", re.sub(r"\\.", "x", outside)), text
        assert text.startswith("^") or text.endswith("$"), text
        re.compile(text)


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    """Nothing is left over from an earlier version."""
    used = set(re.findall(r'"#/\$defs/([a-z0-9_]+)"', json.dumps(SCHEMA)))
    assert used == set(SCHEMA["$defs"])


def test_the_schema_ships_in_the_package() -> None:
    """Beside the code, and named in what is built."""
    assert s3kv.__file__ is not None
    shipped = Path(s3kv.__file__).parent / "schema.json"
    assert json.loads(shipped.read_text(encoding="utf-8")) == SCHEMA
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    assert "schema.json" in config["options.package_data"]["s3kv"].split()


def test_every_member_of_the_schema_is_one_of_the_code_and_the_other_way_round() -> None:
    """Of the spec, of the context, of every resource and of every type of credentials."""
    assert tuple(SCHEMA["properties"]) == MEMBERS
    context = SCHEMA["properties"]["context"]
    assert context["additionalProperties"] is False
    assert len(context["patternProperties"]) == len(RESOURCES)
    for pattern, name in zip(context["patternProperties"], RESOURCES, strict=True):
        assert re.search(ecma(pattern), name)
        assert re.search(ecma(pattern), f"{name}#any\nname")
        assert not any(re.search(ecma(pattern), other) for other in RESOURCES if other != name)
    for name, kind in RESOURCES.items():
        if name != "aws_credentials":
            assert set(SCHEMA["$defs"][name]["properties"]) == set(kind.default._fields)
    alternatives = SCHEMA["$defs"]["aws_credentials"]["oneOf"]
    members = {
        each["properties"]["type"]["const"]: {*each["properties"]} - {"type"} for each in alternatives
    }
    assert members == {name: set(allowed) for name, allowed in TYPES.items()}


def test_no_object_of_the_schema_takes_members_that_are_not_listed() -> None:
    """A misspelt one is an error to the schema as to the code."""
    found = dict(_objects(SCHEMA))
    assert len(found) > 10
    for where, schema in found.items():
        # The alternatives at the top only ask for what is required.
        assert schema.get("additionalProperties") is False or where.startswith("/anyOf/"), where


def test_every_member_of_the_schema_has_a_description() -> None:
    """An editor shows it; a type of credentials has one as a whole."""
    for where, schema in _objects(SCHEMA):
        for name, below in schema["properties"].items():
            if where.startswith("/anyOf/"):
                continue
            described = schema if name == "type" else _resolved(below)
            assert len(described["description"]) > 10, f"{where}/{name}"
            assert described["description"].endswith("."), f"{where}/{name}"
    for name in SCHEMA["$defs"]:
        if name not in RESOURCES:
            assert SCHEMA["$defs"][name]["description"], name


def test_every_default_of_the_schema_is_the_codes() -> None:
    """And what has no default that could be written has none in the schema either."""
    written = Spec(MINIMAL).to_json(include_defaults=True)
    for name, below in SCHEMA["properties"].items():
        schema = _resolved(below)
        if name == "bucket":
            assert schema["default"] == "" == Spec(endpoint="http://h").bucket
        elif name in written and name != "driver":
            assert schema["default"] == written[name], name
        else:
            assert "default" not in schema, name
    for name, kind in RESOURCES.items():
        if name == "aws_credentials":
            continue
        defaults = kind.dump(kind.default, True)
        for member, below in SCHEMA["$defs"][name]["properties"].items():
            schema = _resolved(below)
            assert schema.get("default") == defaults.get(member), f"{name}.{member}"


def test_every_default_and_every_example_of_the_schema_is_allowed() -> None:
    """By the schema and by the code; each alone, and beside what it needs."""
    tried = 0
    for _, schema in _objects(SCHEMA):
        for below in schema["properties"].values():
            validator = VALIDATOR.evolve(schema={**_resolved(below), "$defs": SCHEMA["$defs"]})
            for value in [below.get("default"), *below.get("examples", ())]:
                if value is not None:
                    tried += 1
                    assert validator.is_valid(value), value
    assert tried > 10
    for name, below in SCHEMA["properties"].items():
        schema = _resolved(below)
        for value in [schema[key] for key in ("default",) if key in schema] + schema.get("examples", []):
            spec = {"bucket": "bucket", "endpoint": "http://h", name: value}
            assert valid(spec), spec
            assert accepted(spec), spec


# --------------------------------------------------------------------- the schema and the code


@given(specs())
def test_what_the_code_takes_the_schema_allows(spec: Json) -> None:
    """And what the code writes."""
    assert accepted(spec)
    assert valid(spec)
    for include_defaults in (False, True):
        assert valid(Spec(spec).to_json(include_defaults=include_defaults))


def _text(path: str) -> Any:
    return {"bucket": "bucket", "path": path}


def _at(endpoint: str) -> Any:
    return {"bucket": "bucket", "endpoint": endpoint}


def _ecs(endpoint: str) -> Any:
    return {"bucket": "bucket", "aws_credentials": {"type": "ecs", "endpoint": endpoint}}


# What a schema cannot say, and which side is the stricter one: (what, spec, by the schema, by the code).
BEYOND: list[tuple[str, Json, bool, bool]] = [
    ("a path's length counts in bytes, a schema counts characters", _text("é" * 513), True, False),
    ("a port is at most 65535", _at("http://h:65536"), True, False),
    ("a port is at least 1", _at("http://h:0"), True, False),
    ("a host has no empty labels", _at("http://a..b"), True, False),
    ("a label has at most 63 characters", _at("http://" + "a" * 64), True, False),
    ("a host has at most 253 characters", _at("http://" + "a." * 126 + "bc"), True, False),
    ("a container's port is at most 65535", _ecs("http://localhost:65536"), True, False),
    ("a loopback address has no part above 255", _ecs("http://127.0.0.256"), True, False),
    ("a loopback address has no leading zeros", _ecs("http://127.0.0.01"), True, False),
    ("a loopback address may be spelt in many ways", _ecs("http://[0:0::1]"), False, True),
]


@pytest.mark.parametrize(("what", "spec", "schema", "code"), BEYOND, ids=[row[0] for row in BEYOND])
def test_what_a_schema_cannot_say_the_code_decides(what: str, spec: Json, schema: bool, code: bool) -> None:
    """These are all the differences; references that lead nowhere are found by contexts, not by specs."""
    assert (valid(spec), accepted(spec)) == (schema, code)
    assert _beyond(spec)


_HTTP = re.compile(r"(?i)https?://(\[[^\]]*\]|[^/:?#]*)(?::([0-9]{1,5}))?(?:[/?#].*)?", re.DOTALL).fullmatch


def _beyond(spec: Any) -> bool:
    """Whether a spec has to do with one of the above."""
    path = spec.get("path")
    if isinstance(path, str) and len(path) <= 1024 < len(path.encode("utf-8", "replace")):
        return True
    urls = [(spec.get("endpoint"), False)]
    for each in (spec, spec.get("context")):
        for name, value in each.items() if isinstance(each, dict) else ():
            if name.startswith("aws_credentials") and isinstance(value, dict):
                urls.append((value.get("endpoint"), True))
    for url, container in urls:
        match = _HTTP(url) if isinstance(url, str) else None
        if match is None:
            continue
        labels = match[1].removesuffix(".").split(".")
        if match[2] is not None and not 0 < int(match[2]) < 65536:
            return True
        if len(match[1]) > 253 or not all(0 < len(label) < 64 for label in labels):
            return True
        if container and match[1].startswith(("127.", "[")):
            return True
    return False


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of an object inside ``value``, as the object and the member's name."""
    if isinstance(value, dict):
        for name in list(value):
            yield value, name
            yield from _places(value[name])


_JUNK = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            1.5,
            3.0,
            2**63,
            1e300,
            "",
            "x",
            "0",
            "1s",
            "inf",
            "-1s",
            "shared",
            [],
            {},
        ]
    ),
    st.sampled_from(
        ["s3", "gcs", "us-east-1", "http://h", "http://user@h", "http://h?x", "http://h#x", "ab", "1.2.3.4"]
    ),
    st.sampled_from([{"limit": 3}, {"limit": "3"}, {"type": "anonymous"}, {"type": "x"}, *RESOURCES]),
    st.sampled_from(list(RESOURCES)).map(lambda name: [name]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
_NAMES = st.sampled_from(
    [*MEMBERS, "limit", "type", "profile", "max_retries", "aws_credentials#x", "x", ""]
)


@st.composite
def _mutated(draw: st.DrawFn) -> Json:
    """A spec that something was done to: a member exchanged, added, renamed, taken away, or misspelt."""
    spec: Json = copy.deepcopy(draw(specs()))
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from([(spec, draw(_NAMES)), *_places(spec)]))
        where, name = place
        what = draw(st.sampled_from(["exchange", "add", "rename", "take", "edit"]))
        value = where.get(name)
        if what == "edit" and isinstance(value, str):
            at = draw(st.integers(0, len(value)))
            letters = draw(st.text("aZ0.-_:/?#@%[]{}$^ \n\x00é", max_size=2))
            where[name] = value[:at] + letters + value[at + draw(st.integers(0, 2)) :]
        elif what == "add":
            where[draw(_NAMES)] = draw(_JUNK)
        elif what == "rename" and name in where:
            where[draw(_NAMES)] = where.pop(name)
        elif what == "take":
            where.pop(name, None)
        else:
            where[name] = draw(_JUNK)
    return spec


@given(_mutated())
@example({"bucket": "bucket\n"})
@example({"bucket": "bucket", "path": "\n"})
@example({"bucket": "bucket", "aws_region": "us-east-1\n"})
@example({"bucket": "bucket", "endpoint": "http://h\n"})
@example({"bucket": "bucket", "endpoint": "http://h/\n"})
@example({"bucket": "bucket", "endpoint": "http://user@h"})
@example({"bucket": "bucket", "endpoint": "http://h?x"})
@example({"bucket": "bucket", "endpoint": "http://h", "host_header": "h\n"})
@example({"bucket": "bucket", "s3_request_retries": {"max_delay": "1s\n"}})
@example({"bucket": "bucket", "s3_request_retries": {"max_retries": 3.0}})
@example({"bucket": "bucket", "s3_request_retries": {"max_retries": True}})
@example({"bucket": "bucket", "s3_request_concurrency": {"limit": 2**63}})
@example({"bucket": "bucket", "s3_request_concurrency": {"limit": 2**63 - 1}})
@example({"bucket": "bucket", "context": {"aws_credentials": None, "aws_credentials#": None}})
@example({"bucket": "bucket", "context": {"aws_credentials\n": None}})
@example({"bucket": "bucket", "aws_credentials": "aws_credentials\n"})
@example({"bucket": "bucket", "aws_credentials": None})
def test_what_is_done_to_a_spec_is_judged_alike(spec: Json) -> None:
    """The schema's verdict is the code's."""
    if not _beyond(spec):
        assert valid(spec) == accepted(spec)


def _with(name: str, value: Any) -> Json:
    return {"bucket": "bucket", name: value}


def _each(name: str, *values: Any) -> list[Json]:
    return [_with(name, value) for value in values]


def _below(resource: str, member: str, *values: Any) -> list[Json]:
    return [_with(resource, {member: value}) for value in values]


_LIMITS = (0, 1, -1, 1.0, 1.5, 2**63 - 1, 2**63, True, "shared", "1", None)
_TIMES = (
    "0",
    "+0",
    "-0",
    "00",
    "0.",
    ".5s",
    "1.s",
    ".s",
    "1",
    "1s1",
    "inf",
    "9" * 18 + "ns",
    "9" * 19 + "ns",
    1,
)
_RATES = (0, 0.0, -1, 5e-324, 1, 1e308, True, "1", None)
_CREDENTIALS: tuple[Json, ...] = (
    {},
    {"profile": "p"},
    {"profile": ""},
    {"config_file": "c"},
    {"credentials_file": "c"},
    {"endpoint": "https://h"},
    {"auth_token_file": "t"},
    {"endpoint": "https://h", "auth_token_file": "t"},
)

_EDGES: list[Json] = [
    *_below("s3_request_concurrency", "limit", *_LIMITS),
    *_below("data_copy_concurrency", "limit", *_LIMITS),
    *_below("s3_request_retries", "max_retries", *_LIMITS),
    *_below("s3_request_retries", "initial_delay", *_TIMES),
    *_below("s3_request_retries", "max_delay", *_TIMES),
    *_below("experimental_s3_rate_limiter", "read_rate", *_RATES),
    *_below("experimental_s3_rate_limiter", "write_rate", *_RATES),
    *_below("experimental_s3_rate_limiter", "doubling_time", *_TIMES),
    *(
        _with("aws_credentials", {"type": kind, **more})
        for kind in (*TYPES, "x", "", None)
        for more in _CREDENTIALS
    ),
    *(
        {**_with("endpoint", "http://h"), "host_header": h}
        for h in ("h", "", "a b", "[::1]:1", "u@h", "a/b")
    ),
    *({"bucket": "bucket", "host_header": "h"}, {"host_header": "h"}, {}, {"endpoint": "http://h"}),
    *_each("aws_region", "", "a", "a-b", "a--b", "-a", "a-", "a_b", "a.b", "A-1", None),
    *_each("requester_pays", True, False, 0, "true", None),
    *_each("use_conditional_write", True, False, 0, "true", None),
    *_each("driver", "s3", "S3", "gcs", None),
    *_each("path", "", "x" * 1024, "x" * 1025, "é" * 512, 5, None),
]
for _name in RESOURCES:
    _EDGES += _each(_name, *(_name + tail for tail in ("", "#", "#x", "x", "##\n", "\n", " ")))
    _EDGES += _each(_name, [], [_name], 5, True, None, {"colour": 1})
    _EDGES += _each("context", *({_name + tail: None} for tail in ("", "#", "#x", "x", "##\n", "\n")))
    _EDGES += [_with("context", {_name: each}) for each in [_name, f"{_name}#x", {}, [], 5, "x"]]


@pytest.mark.parametrize("spec", _EDGES, ids=lambda spec: str(spec)[:100])
def test_what_is_at_the_edge_is_judged_alike(spec: Json) -> None:
    """Just allowed, and just not allowed any more."""
    assert valid(spec) == accepted(spec)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "a",
            "ab",
            "abc",
            "a" * 63,
            "a" * 64,
            "a" * 255,
            "a" * 256,
            "A_b",
            "a..b",
            "-ab",
            "ab-",
            "a.-b",
        ),
        *(
            "1.2.3.4",
            "1.2.3.4.5",
            "999.999.999.999",
            "xn--a",
            "sthree-a",
            "a-s3alias",
            "a--ol-s3",
            "a--x-s3",
        ),
        *("abc\n", "\nabc", "a b", "bücher", "ABC", "xN--a", "a--X-s3", "a_--x-s3", "1.2.3.4\n"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"endpoint": "http://h"}], ids=["amazon", "elsewhere"])
def test_a_bucket_name_is_judged_alike(name: str, more: dict[str, str]) -> None:
    """With an endpoint, which may stand for the bucket, and without."""
    assert valid({"bucket": name, **more}) == accepted({"bucket": name, **more})


@pytest.mark.parametrize("value", [None, 5, "s3://bucket", [], True, 1.5])
def test_nothing_but_an_object_is_a_spec(value: Any) -> None:
    """To the one as to the other."""
    assert not valid(value)
    assert not accepted(value)


def test_these_tests_read_patterns_as_json_schema_does() -> None:
    """The dollar sign is the very end, but for those that are escaped or in a class."""
    assert ecma(r"^a$") == r"^a\Z"
    assert ecma(r"^[a$]\$(b|c$)$") == r"^[a$]\$(b|c\Z)\Z"
    assert ecma(r"[\]$]$") == r"[\]$]\Z"
