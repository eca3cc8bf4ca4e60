"""ETags: with quotes, without, or as XML entities on the way in; always with quotes on the way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import MalformedResponse
from s3kv.etag import quoted, required


@pytest.mark.parametrize(
    ("told", "etag"),
    [
        ('"abc"', '"abc"'),
        ("abc", '"abc"'),
        ("&quot;abc&quot;", '"abc"'),
        (' "abc" ', '"abc"'),
        (" abc ", '"abc"'),
        ('"abc-12"', '"abc-12"'),
        ("abc-12", '"abc-12"'),
        ('""', '""'),
        ("", ""),
    ],
)
def test_an_etag_is_quoted_exactly_once(told: str, etag: str) -> None:
    """Quotes are added where a store left them out, never doubled; nothing stays nothing."""
    assert quoted(told) == etag


@given(st.text("abcdef0123456789-", min_size=1))
def test_quoting_twice_changes_nothing(text: str) -> None:
    """What is quoted stays as it is."""
    assert quoted(text) == f'"{text}"'
    assert quoted(quoted(text)) == quoted(text)


def test_an_answer_that_must_have_an_etag_is_refused_without() -> None:
    """Absent or empty; a generation is never made up."""
    assert required({"etag": "abc"}) == '"abc"'
    for headers in ({}, {"etag": ""}):
        with pytest.raises(MalformedResponse, match="ETag"):
            required(headers)


def test_a_weak_etag_is_left_as_it_is() -> None:
    """Quoting it again would make it match nothing."""
    assert quoted('W/"abc"') == 'W/"abc"'
