"""Durations: which texts are read, and that each is written in one way, the shortest."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3kv.errors import SpecError
from s3kv.spec.durations import format_duration, parse_duration
from s3kv.spec.spec import Spec
from tests.unit.specs import durations

NS = 1
US = 10**3
MS = 10**6
S = 10**9
M = 60 * S
H = 60 * M

# TensorStore's longest, in whole hours.
LONGEST = 2_562_047_788_015_215 * H

_CANONICAL = re.compile(
    r"0|([1-9][0-9]{0,2}(\.[0-9]{0,5}[1-9])?(ms|us)|[1-9][0-9]{0,2}ns)"
    r"|(?=.)([1-9][0-9]*h)?([1-9][0-9]?m)?((?:[1-9][0-9]?|0(?=\.))(\.[0-9]{0,8}[1-9])?s)?"
).fullmatch


def _parse(text: object) -> int:
    return parse_duration(text, "max_delay")


@pytest.mark.parametrize(
    ("text", "nanoseconds", "written"),
    [
        ("0", 0, "0"),
        ("+0", 0, "0"),
        ("0s", 0, "0"),
        ("0h0m0s", 0, "0"),
        ("0.0ns", 0, "0"),
        (".0h", 0, "0"),
        ("1ns", NS, "1ns"),
        ("999ns", 999, "999ns"),
        ("1000ns", US, "1us"),
        ("1us", US, "1us"),
        ("1.5us", 1500, "1.5us"),
        ("1500ns", 1500, "1.5us"),
        ("0.001us", NS, "1ns"),
        ("1ms", MS, "1ms"),
        ("100ms", 100 * MS, "100ms"),
        ("500ms", 500 * MS, "500ms"),
        (".5s", 500 * MS, "500ms"),
        ("0.5s", 500 * MS, "500ms"),
        ("999999999ns", S - 1, "999.999999ms"),
        ("1000000000ns", S, "1s"),
        ("1s", S, "1s"),
        ("+1s", S, "1s"),
        ("1.s", S, "1s"),
        ("1.0s", S, "1s"),
        ("00001s", S, "1s"),
        ("1000ms", S, "1s"),
        ("1.5s", 1500 * MS, "1.5s"),
        ("1.500s", 1500 * MS, "1.5s"),
        ("500ms1s", 1500 * MS, "1.5s"),
        ("1s500ms", 1500 * MS, "1.5s"),
        ("+500ms1s", 1500 * MS, "1.5s"),
        ("1s1ns", S + 1, "1.000000001s"),
        ("59.999999999s", M - 1, "59.999999999s"),
        ("60s", M, "1m"),
        ("1m", M, "1m"),
        ("1m30s", 90 * S, "1m30s"),
        ("90s", 90 * S, "1m30s"),
        ("30s1m", 90 * S, "1m30s"),
        ("1.5m", 90 * S, "1m30s"),
        ("1m0.5s", M + 500 * MS, "1m0.5s"),
        ("1m500ms", M + 500 * MS, "1m0.5s"),
        ("1m1ns", M + 1, "1m0.000000001s"),
        ("60m", H, "1h"),
        ("1h", H, "1h"),
        ("0.1h", 6 * M, "6m"),
        ("1.5h", 90 * M, "1h30m"),
        ("1h1s", H + S, "1h1s"),
        ("1h1ms", H + MS, "1h0.001s"),
        ("1h1m1s1ms1us1ns", H + M + S + MS + US + NS, "1h1m1.001001001s"),
        ("1h1h", 2 * H, "2h"),
        ("25h", 25 * H, "25h"),
        ("1000000000s", 10**9 * S, "277777h46m40s"),
        ("922337203685477580ns", 922_337_203_685_477_580, "256204h46m43.68547758s"),
        ("999999999h1h", 10**9 * H, "1000000000h"),
        ("2562047788015215h", LONGEST, "2562047788015215h"),
    ],
)
def test_a_duration_is_read_and_written(text: str, nanoseconds: int, written: str) -> None:
    """In whole nanoseconds, units in any order and number; written the way TensorStore does."""
    assert _parse(text) == nanoseconds
    assert format_duration(nanoseconds) == written
    assert _parse(written) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0.1ns", 0),
        ("0.9ns", 0),
        ("1.9ns", 1),
        ("0.0000000001s", 0),
        ("0.0000000019s", 1),
        ("1.00000000075s", S),
        ("0.123456789123s", 123_456_789),
        ("0.99999999999999999999999s", S - 1),
        ("1." + "3" * 1000 + "s", 1_333_333_333),
    ],
)
def test_what_is_finer_than_a_nanosecond_is_cut_off(text: str, nanoseconds: int) -> None:
    """However many decimals somebody's program wrote."""
    assert _parse(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "1", "10", "1.5", "0.5", "0.", ".0", "00", "000", "+", "+s", ".", ".s", "..5s"),
        *("1 s", " 1s", "1s ", "1s\n", "\n1s", "1s\x00", "1,5s", "1_000s", "1e3s", "0x10s"),
        *("1S", "1d", "1w", "1y", "1sec", "1 second", "1min", "1hr", "1µs", "1μs", "1Ms", "1mS"),
        *("1s2", "1ss", "1mms", "s1", "1m1", "1..5s", "1.5.5s", "1s+2s", "1s,2s", "++1s", "+ 1s"),
        *("١s", "１s", "1ｓ", "P1D", "PT1S", "00:01:30", "1s1", "0s0", "00s0"),
        *("infinity", "nan", "Inf", "shared", "null"),
    ],
)
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(SpecError, match="'100ms', '1m30s' or '0'") as caught:
        _parse(text)
    assert caught.value.member == "max_delay"
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["inf", "+inf", "-inf", "-1s", "-0", "-0s", "-.5s", "1s-2s", "--1s", "-"])
def test_a_duration_is_neither_negative_nor_infinite(text: str) -> None:
    """There is nothing that could be waited for that long, nor any use for less than nothing."""
    with pytest.raises(SpecError, match="allowed"):
        _parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "2562047788015216h",
        "2562047788015215h1ns",
        "9223372036854775807h",
        "999999999999999999h",
        "2562047788015215h" * 2,
        "999999999999999999s" * 1000,
        "9" * 19 + "ns",
        "9" * 10_000 + "s",
        "9" * 10_000 + ".9h",
        "inf" * 10_000,
    ],
)
def test_a_duration_that_is_too_long_is_refused(text: str) -> None:
    """At once, by a line that does not show it at length."""
    with pytest.raises(SpecError, match="allowed is") as caught:
        _parse(text)
    assert caught.value.member == "max_delay"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", [None, 1, 1.5, 0, True, b"1s", ["1s"], {"s": 1}])
def test_what_is_no_text_is_refused_by_its_type(value: Any) -> None:
    """A number could be of any unit."""
    kind = "null" if value is None else type(value).__name__
    with pytest.raises(SpecError, match=kind):
        _parse(value)


@given(durations)
@example("1.5h")
@example("59m59.999999999s1ns")
def test_writing_what_was_read_gives_the_one_canonical_text(text: str) -> None:
    """Which is read as the same time, is written the same again, and is never longer than need be."""
    written = format_duration(_parse(text))
    assert _CANONICAL(written)
    assert _parse(written) == _parse(text)
    assert format_duration(_parse(written)) == written


_NANOSECONDS = st.one_of(
    st.integers(0, LONGEST),
    st.integers(0, 10 * S),
    st.integers(0, 10**10).map(lambda count: min(count * M, LONGEST)),
    st.integers(0, 2_562_047_788_015_215).map(lambda count: count * H),
)


@given(_NANOSECONDS)
@example(0)
@example(1)
@example(S - 1)
@example(S)
@example(M - 1)
@example(M)
@example(H - 1)
@example(10**9 * H)
@example(LONGEST)
def test_every_duration_is_read_back_as_it_was_written(nanoseconds: int) -> None:
    """Whatever can be read can be written, and back."""
    written = format_duration(nanoseconds)
    assert _CANONICAL(written)
    assert _parse(written) == nanoseconds


@given(_NANOSECONDS, _NANOSECONDS)
def test_different_durations_are_written_differently(one: int, other: int) -> None:
    """No digit that matters is lost."""
    assert (format_duration(one) == format_duration(other)) == (one == other)


@given(st.text("0123456789.+-hmsnu i", max_size=12))
def test_any_other_text_is_refused_as_a_spec_error(text: str) -> None:
    """No text is an exception of another kind, and what is read is a time of at least nothing."""
    try:
        nanoseconds = _parse(text)
    except SpecError:
        return
    assert 0 <= nanoseconds <= LONGEST
    assert text[-1] in "hms0"


@pytest.mark.parametrize(
    ("resource", "member"),
    [
        ("s3_request_retries", "initial_delay"),
        ("s3_request_retries", "max_delay"),
        ("experimental_s3_rate_limiter", "doubling_time"),
    ],
)
def test_a_duration_of_a_spec_is_kept_as_a_number_and_written_as_text(resource: str, member: str) -> None:
    """So that equal durations make equal specs, however they were spelt."""
    spec = Spec({"bucket": "bucket", resource: {member: "90s"}})
    assert getattr(getattr(spec, resource), member) == 90 * S
    assert spec == Spec({"bucket": "bucket", resource: {member: "1m30s"}})
    assert hash(spec) == hash(Spec({"bucket": "bucket", resource: {member: "30s1m"}}))
    assert spec != Spec({"bucket": "bucket", resource: {member: "91s"}})
    assert spec.to_json()[resource] == {member: "1m30s"}
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(SpecError) as caught:
        Spec({"bucket": "bucket", resource: {member: "90"}})
    assert caught.value.member == f"{resource}.{member}"
