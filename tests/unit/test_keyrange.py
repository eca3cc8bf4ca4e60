"""Ranges of keys: half-open, in the order of UTF-8."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3kv import InvalidKey, KeyRange
from s3kv.keyrange import just_before

# Few different characters, so that keys have much in common; among them the last of all, and the
# neighbours of the gap in which no character is.
KEYS = st.text(st.sampled_from("ab/0\x01~\ud7ff\ue000é\U0010ffff"), max_size=5)
ANY = st.text(max_size=8)


def octets(key: str) -> bytes:
    return key.encode("utf-8")


@given(KEYS | ANY, KEYS | ANY, KEYS | ANY)
def test_a_range_holds_the_keys_from_its_start_up_to_its_end(low: str, high: str, key: str) -> None:
    """In the order of their bytes; an empty end is none."""
    expected = octets(low) <= octets(key) and (not high or octets(key) < octets(high))
    assert (key in KeyRange(low, high)) == expected
    assert (octets(key) in KeyRange(octets(low), octets(high))) == expected


@given(KEYS | ANY, KEYS | ANY)
@example("", "")
@example("\U0010ffff", "\U0010ffffa")
@example("a\ud7ff", "a\ue000")
def test_a_prefix_is_the_range_of_all_that_starts_with_it(prefix: str, key: str) -> None:
    """And of nothing else."""
    assert (key in KeyRange.prefix(prefix)) == key.startswith(prefix)
    assert prefix + key in KeyRange.prefix(prefix)
    assert KeyRange.prefix(octets(prefix)) == KeyRange.prefix(prefix)


@given(KEYS, KEYS, KEYS)
def test_every_key_of_a_range_starts_with_their_common_prefix(low: str, high: str, key: str) -> None:
    """Whatever else the keys are."""
    wanted = KeyRange(low, high)
    if key in wanted:
        assert key.startswith(wanted.common_prefix)


@given(KEYS)
def test_the_common_prefix_of_a_prefix_is_the_prefix(prefix: str) -> None:
    """Also where no key is behind it."""
    assert KeyRange.prefix(prefix).common_prefix == prefix


@pytest.mark.parametrize(
    ("low", "high", "prefix"),
    [
        ("a/1", "a/3", "a/"),
        ("a/1", "a/2", "a/1"),
        ("a/1x", "a/2", "a/1"),
        ("a", "b", "a"),
        ("a", "c", ""),
        ("", "b", ""),
        ("a", "", ""),
        ("abc", "abd", "abc"),
    ],
)
def test_the_common_prefix_is_the_longest(low: str, high: str, prefix: str) -> None:
    """It is what a store is asked to list."""
    assert KeyRange(low, high).common_prefix == prefix


@given(KEYS, KEYS, KEYS, KEYS, KEYS)
def test_the_keys_in_two_ranges_are_a_range(a: str, b: str, c: str, d: str, key: str) -> None:
    """That of ``&``."""
    one, other = KeyRange(a, b), KeyRange(c, d)
    assert (key in one & other) == (key in one and key in other)


@given(KEYS, KEYS)
def test_a_range_that_ends_before_it_starts_is_empty(low: str, high: str) -> None:
    """And one that ends where it starts; an empty end ends nowhere."""
    assert KeyRange(low, high).empty == (high != "" and octets(low) >= octets(high))


@given(KEYS.filter(bool), KEYS)
def test_what_is_just_before_a_key_leaves_out_no_key_from_it_on(key: str, other: str) -> None:
    """It is before the key."""
    start = just_before(key)
    assert octets(start) < octets(key)
    assert start.isprintable() or start == key[:-1] or "\U0010ffff" in start


def test_a_range_is_a_value() -> None:
    """Equal, hashable, picklable, and never changed."""
    wanted = KeyRange("a", "b")
    assert wanted == KeyRange(b"a", b"b") != KeyRange("a")
    assert wanted != ("a", "b")
    assert len({wanted, KeyRange("a", "b"), KeyRange()}) == 2
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert [repr(KeyRange()), repr(KeyRange("a")), repr(wanted)] == [
        "KeyRange()",
        "KeyRange('a')",
        "KeyRange('a', 'b')",
    ]
    with pytest.raises(AttributeError):
        wanted.inclusive_min = "x"
    with pytest.raises(AttributeError):
        del wanted.exclusive_max


@pytest.mark.parametrize("wrong", [None, 5, ["a"], slice(1)])
def test_what_is_no_key_is_no_end_of_a_range(wrong: Any) -> None:
    """Nor in one."""
    with pytest.raises(TypeError):
        KeyRange(wrong)
    with pytest.raises(TypeError):
        KeyRange("a", wrong)
    with pytest.raises(TypeError):
        assert wrong in KeyRange()
    with pytest.raises(InvalidKey):
        KeyRange(b"\xff")


@pytest.mark.parametrize("wrong", ["\ud800", "a\udfffb"])
def test_what_is_not_unicode_is_no_end_of_a_range(wrong: str) -> None:
    """No key could be there, and no request can say it."""
    for make in (KeyRange, lambda end: KeyRange("a", end), KeyRange.prefix):
        with pytest.raises(InvalidKey, match="UTF-8"):
            make(wrong)
