"""The JSON Schema's verdict on a spec, and the code's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema

from s3kv.errors import SpecError
from s3kv.spec.spec import Spec
from tests.unit.specs import Json


def ecma(pattern: str) -> str:
    """The pattern with ``$`` as JSON Schema has it: Python's also matches before a final newline."""
    return re.sub(r"(\\.|\[(?:\\.|[^\]\\])*\])|\$", lambda match: match[1] or r"\Z", pattern)


def _pattern(_: Any, pattern: str, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not re.search(ecma(pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match")


def _matching(schema: Json, name: str) -> Iterator[Any]:
    """What a schema says of the members whose names have a pattern."""
    for pattern, below in schema.get("patternProperties", {}).items():
        if re.search(ecma(pattern), name):
            yield below


def _pattern_properties(
    validator: Any, _: Any, instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        for below in _matching(schema, name):
            yield from validator.descend(value, below)


def _additional_properties(
    _: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    assert allowed is False
    for name in instance if isinstance(instance, dict) else ():
        if name not in schema.get("properties", {}) and not any(_matching(schema, name)):
            yield jsonschema.ValidationError(f"{name!r} is not expected")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)
SCHEMA = Spec.json_schema()
VALIDATOR = _Validator(SCHEMA)


def valid(spec: Any) -> bool:
    """The schema's verdict."""
    return bool(VALIDATOR.is_valid(spec))


def accepted(spec: Any) -> bool:
    """The code's verdict."""
    try:
        Spec.from_json(spec)
    except SpecError:
        return False
    return True
