"""TensorStore's own package as the oracle for whatever specs, names, URLs, durations and contexts come up.

What is judged differently on purpose is in the tables of ``test_tensorstore_specs``, and is left out here.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorstore
from hypothesis import example, given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from s3kv.spec.spec import Spec
from tests.unit.oracle import REFUSED, ours_of, rates, retries, theirs_of
from tests.unit.specs import Json, openable, specs


@given(specs())
def test_tensorstore_reads_what_is_written_here(spec: Json) -> None:
    """And writes it the same again; its own writing is read here as the same spec."""
    mine = Spec(spec)
    assert theirs_of(mine.to_json()) == mine.to_json()
    assert Spec(theirs_of(mine.to_json(), include_defaults=True)).to_json() == mine.to_json()
    assert theirs_of(mine.to_json(include_defaults=True)) != REFUSED


@given(openable())
def test_tensorstore_reads_the_spec_of_a_store(spec: Json) -> None:
    """With the context that its references lead to."""
    store = s3kv.Store(spec)
    for include_defaults in (False, True):
        told = store.spec(include_defaults=include_defaults)
        assert s3kv.Store(theirs_of(told)) == store


_PIECES = st.sampled_from(
    [*"aZ09.-_", "xn--", "sthree-", "-s3alias", "--ol-s3", "é", " ", "1.2.3.4", "a" * 60]
)


@given(st.lists(_PIECES, max_size=6).map("".join))
@example("--x-s")
def test_the_same_names_are_buckets(name: str) -> None:
    """But for those of directory buckets."""
    if not name.endswith("--x-s3"):
        spec = {"driver": "s3", "bucket": name}
        assert ours_of(spec) == theirs_of(spec)
        url = f"s3://{name}/path"
        assert ours_of(url) == theirs_of(url)


_LETTERS = st.characters(codec="utf-8", exclude_characters="|")


@given(st.lists(_LETTERS | st.sampled_from(["%", "%2", "%41", "%C3", "%A9", "?", "#", "/"])).map("".join))
def test_the_same_urls_are_understood(path: str) -> None:
    """As the same paths; a vertical bar separates drivers there, and a query of nothing is none."""
    spec = f"s3://bucket/{path}"
    if len(path) < 300 and not path.endswith(("?", "#")):
        assert ours_of(spec) == theirs_of(spec)


def _exact(unit: str, decimals: int) -> st.SearchStrategy[str]:
    pattern = (
        rf"[0-9]{{1,8}}(\.[0-9]{{0,{decimals}}})?|\.[0-9]{{1,{decimals}}}" if decimals else "[0-9]{1,8}"
    )
    return st.from_regex(pattern, fullmatch=True).map(lambda number: number + unit)


_EXACT = st.one_of(
    _exact("h", 6), _exact("m", 6), _exact("s", 9), _exact("ms", 6), _exact("us", 3), _exact("ns", 0)
)


@given(st.sampled_from(["", "+"]), st.lists(_EXACT, min_size=1, max_size=4).map("".join))
@example("+", "500ms1s")
def test_the_same_durations_are_written_alike(sign: str, text: str) -> None:
    """Whatever comes to whole nanoseconds."""
    spec = retries(initial_delay=sign + text, max_delay=text)
    assert theirs_of(spec) != REFUSED
    assert ours_of(spec) == theirs_of(spec)


@given(st.text("0123456789.+hmsnu ", max_size=8))
def test_the_same_texts_are_durations(text: str) -> None:
    """Of those without a minus sign."""
    spec = rates(doubling_time=text)
    assert (ours_of(spec) == REFUSED) == (theirs_of(spec) == REFUSED)


# ----------------------------------------------------------------------------------- contexts

ANONYMOUS, ENVIRONMENT, DEFAULT = ({"type": kind} for kind in ("anonymous", "environment", "default"))
KEY = "aws_credentials"


@pytest.mark.parametrize(
    ("spec", "parent", "key", "leads_to"),
    [
        ({}, None, "", DEFAULT),
        ({}, {"": ANONYMOUS}, "", ANONYMOUS),
        ({"": ENVIRONMENT}, {"": ANONYMOUS}, "", ENVIRONMENT),
        ({"": None}, None, "", DEFAULT),
        ({"#x": None}, None, "#x", DEFAULT),
        ({"": "#x", "#x": ANONYMOUS}, None, "", ANONYMOUS),
        ({"#x": ""}, None, "#x", DEFAULT),
        ({"#x": ""}, {"": ANONYMOUS}, "#x", ANONYMOUS),
        ({"#x": "#y"}, {"#y": ANONYMOUS}, "#x", ANONYMOUS),
        ({"": ENVIRONMENT}, {"": ANONYMOUS, "#x": ""}, "#x", ANONYMOUS),
        ({"#y": ENVIRONMENT}, {"#x": "#y", "#y": ANONYMOUS}, "#x", ANONYMOUS),
        ({"#": ANONYMOUS}, None, "#", ANONYMOUS),
        ({}, None, "#x", REFUSED),
        ({"#y": ANONYMOUS}, None, "#x", REFUSED),
        ({"": "#x"}, None, "", REFUSED),
        ({"": ""}, None, "", REFUSED),
        ({"": ""}, {"": ANONYMOUS}, "", REFUSED),
        ({"": "#x", "#x": ""}, None, "", REFUSED),
        ({"#x": "#y", "#y": "#x"}, {"#y": ANONYMOUS}, "#x", REFUSED),
    ],
    ids=str,
)
def test_references_lead_where_tensorstores_lead(
    spec: dict[str, Any], parent: dict[str, Any] | None, key: str, leads_to: Any
) -> None:
    """Those that lead nowhere are errors: there when they are followed, here when the context is made."""
    inner, outer = (
        {KEY + name: KEY + value if isinstance(value, str) else value for name, value in each.items()}
        for each in (spec, parent or {})
    )
    try:
        theirs: Any = tensorstore.Context(inner, tensorstore.Context(outer))[KEY + key].to_json()
    except ValueError:
        theirs = REFUSED
    try:
        context = s3kv.Context(inner, parent=s3kv.Context(outer))
        store = s3kv.Store("s3://bucket", context=context, aws_credentials=KEY + key)
        ours = store.spec(include_defaults=True)["context"][KEY + key]
    except SpecError:
        ours = REFUSED
    assert theirs == leads_to
    assert ours == leads_to


def test_a_reference_that_leads_nowhere_is_an_error_at_once() -> None:
    """TensorStore finds it when the resource is first needed."""
    spec = {KEY: f"{KEY}#x"}
    assert tensorstore.Context(spec)
    with pytest.raises(SpecError, match="no resource 'aws_credentials#x'"):
        s3kv.Context(spec)


def test_null_is_a_new_default_as_tensorstores_documentation_says() -> None:
    """Its code takes the parent's resource."""
    parent, child = {KEY: ANONYMOUS}, {KEY: None}
    theirs = tensorstore.Context(child, tensorstore.Context(parent))[KEY]
    assert theirs.to_json() == ANONYMOUS
    store = s3kv.Store("s3://bucket", context=s3kv.Context(child, parent=s3kv.Context(parent)))
    assert store.spec(include_defaults=True)["context"][KEY] == DEFAULT
