"""The rates of a store: which side has a limit, and how fast it grows."""

from __future__ import annotations

import pytest

from s3kv.errors import SpecError
from s3kv.limits.rates import DOUBLING_VARIABLE, Rates, parse_doubling_time
from s3kv.spec.resources import RateLimiter

VARIABLE = "TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME"
SECOND = 10**9

BAD = ["soon", "-1", "-1s", "1e3", "inf", "nan", "1 s", "10 seconds", "1,5", ".", "1.2.3", "0x10", "١", "s"]


def _side(name: str) -> RateLimiter:
    """The rates of a store where one side alone is limited."""
    return RateLimiter(read_rate=4.0) if name == "read_rate" else RateLimiter(write_rate=4.0)


def test_the_variable_has_tensorstores_name() -> None:
    """So that a setting for the one is a setting for the other."""
    assert DOUBLING_VARIABLE == VARIABLE


def test_each_side_has_its_own_limiter() -> None:
    """Of its own rate; nothing is shared but the doubling time."""
    rates = Rates(RateLimiter(5.0, 2.0, 3 * SECOND), {})
    assert rates.reads is not None
    assert rates.writes is not None
    assert (rates.reads.rate, rates.writes.rate) == (5.0, 2.0)
    assert rates.reads.doubling_time == rates.writes.doubling_time == 3.0
    for _ in range(10):
        rates.reads.reserve(0.0)
    rates = Rates(RateLimiter(5.0, 2.0), {})
    assert rates.reads is not None
    assert rates.writes is not None
    for _ in range(10):
        rates.reads.reserve(0.0)
    assert rates.writes.reserve(0.0) == 0.5


def test_a_side_without_a_rate_has_no_limiter() -> None:
    """Neither, one or the other."""
    neither = Rates(RateLimiter(), {})
    assert (neither.reads, neither.writes) == (None, None)
    reads = Rates(RateLimiter(read_rate=5.0), {})
    assert reads.writes is None
    assert reads.reads is not None
    writes = Rates(RateLimiter(write_rate=5.0), {})
    assert writes.reads is None
    assert writes.writes is not None


def test_a_rate_is_constant_unless_something_else_is_said() -> None:
    """As in the specification: the doubling time is 0."""
    rates = Rates(RateLimiter(1.0, 1.0), {})
    assert rates.reads is not None
    assert rates.reads.doubling_time == 0
    assert [rates.reads.reserve(0.0) for _ in range(100)][-1] == pytest.approx(100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2),
        ("0", 0),
        ("0.0", 0),
        ("007", 7),
        (" 10 ", 10),
        ("10s", 10),
        ("100ms", 0.1),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("0s", 0),
        ("", 0),
        ("  ", 0),
    ],
)
@pytest.mark.parametrize("side", ["read_rate", "write_rate"])
def test_the_environment_says_how_fast_rates_double(text: str, seconds: float, side: str) -> None:
    """A number of seconds or a duration; an empty variable says nothing."""
    rates = Rates(_side(side), {VARIABLE: text})
    limiter = rates.reads or rates.writes
    assert limiter is not None
    assert limiter.doubling_time == seconds
    assert parse_doubling_time({VARIABLE: text}) == seconds * SECOND


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("side", ["read_rate", "write_rate"])
def test_a_bad_value_in_the_environment_is_an_error_that_names_the_variable(text: str, side: str) -> None:
    """It says what was found there, and what is allowed."""
    with pytest.raises(SpecError) as caught:
        Rates(_side(side), {VARIABLE: text})
    assert caught.value.member == VARIABLE
    message = str(caught.value)
    assert VARIABLE in message
    assert repr(text) in message
    assert "number of seconds" in message


def test_a_long_value_in_the_environment_is_not_shown_at_length() -> None:
    """A message stays a line."""
    with pytest.raises(SpecError) as caught:
        parse_doubling_time({VARIABLE: "x" * 5000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("variable", ["10", *BAD])
@pytest.mark.parametrize("doubling", [0, SECOND // 2, 60 * SECOND])
def test_the_specs_doubling_time_beats_the_environments(variable: str, doubling: int) -> None:
    """Zero is a value too; what the environment says is then not even looked at."""
    rates = Rates(RateLimiter(1.0, 2.0, doubling), {VARIABLE: variable})
    assert rates.reads is not None
    assert rates.writes is not None
    assert rates.reads.doubling_time == rates.writes.doubling_time == doubling / SECOND


@pytest.mark.parametrize("text", BAD)
def test_the_environment_is_not_looked_at_without_a_rate(text: str) -> None:
    """There is nothing that could double."""
    rates = Rates(RateLimiter(), {VARIABLE: text})
    assert (rates.reads, rates.writes) == (None, None)
