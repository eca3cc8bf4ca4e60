"""The token bucket: what it lets through in any stretch of time, and who comes first. No time passes."""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3kv.limits.rate_limiter import RateLimiter

# Any clock will do, and clocks do not start at 0.
START = 1000.0


def tokens(rate: float, doubling: float, seconds: float) -> float:
    """The integral of the rate from the first use on."""
    if not doubling:
        return rate * seconds
    return rate * doubling / math.log(2) * (2 ** (seconds / doubling) - 1)


def brim(rate: float, doubling: float, seconds: float) -> float:
    """How many tokens the bucket holds, so many seconds after the first use."""
    return max(1.0, 0.1 * rate * (2 ** (seconds / doubling) if doubling else 1))


def reserve(limiter: RateLimiter, count: int, now: float = START) -> list[float]:
    """The waits of so many who come at once."""
    return [limiter.reserve(now) for _ in range(count)]


RATES = st.floats(0.01, 2000)
DOUBLINGS = st.just(0.0) | st.floats(0.1, 100)
# Most come in a crowd, some a little later, some after a long silence.
GAPS = st.lists(st.just(0.0) | st.floats(0, 0.1) | st.floats(0, 20), max_size=40)


@given(RATES, DOUBLINGS, GAPS)
@example(10.0, 0.0, [0.0] * 40)
@example(1000.0, 0.0, [0.0, 20.0, *[0.0] * 40])
@example(50.0, 1.0, [0.0, 5.0, *[0.0] * 40])
def test_no_stretch_of_time_sees_more_than_the_rate_and_a_full_bucket(
    rate: float, doubling: float, gaps: list[float]
) -> None:
    """Whoever comes when: between any two tokens there are no more than come in, and what was saved up.

    From the first use on nothing is saved up.
    """
    limiter = RateLimiter(rate, doubling)
    now, due = START, [limiter.reserve(START)]
    for gap in gaps:
        now += gap
        due.append(now + limiter.reserve(now) - START)
    for last, end in enumerate(due):
        until_end = tokens(rate, doubling, end)
        slack = 1e-6 * (1 + until_end)
        assert last + 1 <= until_end + slack
        for first, begin in enumerate(due[: last + 1]):
            allowed = until_end - tokens(rate, doubling, begin) + brim(rate, doubling, begin)
            assert last - first + 1 <= allowed + slack


@given(st.integers(1, 5000), GAPS)
@example(7, [0.0] * 40)
@example(1000, [0.0, 20.0, *[0.0] * 40])
def test_a_constant_rate_is_a_bucket_that_drips(tenths: int, gaps: list[float]) -> None:
    """The bucket by the book, in fractions: it fills to the brim, and owes what is reserved ahead."""
    rate = tenths / 10
    exact, full = Fraction(rate), max(Fraction(1), Fraction(rate) / 10)
    limiter = RateLimiter(rate)
    now, level, before = START, Fraction(0), Fraction(START)
    for gap in [0.0, *gaps]:
        now += gap
        level = min(full, level + exact * (Fraction(now) - before)) - 1
        before = Fraction(now)
        assert limiter.reserve(now) == pytest.approx(max(0, -level / exact), abs=1e-6)


@given(RATES, DOUBLINGS, GAPS)
def test_tokens_are_given_first_come_first_served(rate: float, doubling: float, gaps: list[float]) -> None:
    """Nobody's token comes before that of somebody who was there earlier."""
    limiter = RateLimiter(rate, doubling)
    now, due = START, [0.0]
    for gap in gaps:
        now += gap
        wait = limiter.reserve(now)
        assert wait >= 0
        due.append(now + wait)
    # A clock's hair, for the sum is rounded.
    assert all(later >= earlier - 1e-9 * earlier for earlier, later in itertools.pairwise(due))


@pytest.mark.parametrize("rate", [0.25, 1.0, 3.0, 40.0, 1e6])
def test_the_bucket_is_empty_at_first(rate: float) -> None:
    """The first request waits for the first token, the second for the second, whatever the capacity."""
    assert reserve(RateLimiter(rate), 5) == pytest.approx([n / rate for n in range(1, 6)])


@pytest.mark.parametrize(
    ("rate", "at_once", "then"),
    [
        (0.5, 1, 2.0),
        (5.0, 1, 0.2),
        (10.0, 1, 0.1),
        # Two and a half, so half of the third is there.
        (25.0, 2, 0.02),
        (100.0, 10, 0.01),
        (5000.0, 500, 0.0002),
    ],
)
def test_idle_time_is_saved_up_to_the_capacity_and_no_further(
    rate: float, at_once: int, then: float
) -> None:
    """What comes in 0.1 s, but one at least; after an hour as after a minute, and once."""
    limiter = RateLimiter(rate)
    limiter.reserve(START)
    for now in (START + 60, START + 3660):
        assert reserve(limiter, at_once + 1, now) == pytest.approx([*[0.0] * at_once, then])


def test_a_short_idle_time_is_saved_as_far_as_it_goes() -> None:
    """Of ten tokens' room four are filled in 40 ms at a rate of 100."""
    limiter = RateLimiter(100.0)
    assert limiter.reserve(START) == pytest.approx(0.01)
    assert reserve(limiter, 5, START + 0.0505) == pytest.approx([0, 0, 0, 0, 0.0095])


@pytest.mark.parametrize(("rate", "doubling"), [(1.0, 1.0), (3.0, 60.0), (200.0, 0.5), (0.01, 7.0)])
def test_a_rate_that_doubles_lets_through_its_integral(rate: float, doubling: float) -> None:
    """The n-th token is there when the integral of r·2^(t / doubling time) is n."""
    waits = reserve(RateLimiter(rate, doubling), 300)
    for number, wait in enumerate(waits, 1):
        assert tokens(rate, doubling, wait) == pytest.approx(number)


def test_a_rate_has_doubled_after_the_doubling_time() -> None:
    """And is four times as high after two of them: the tokens come as much closer together."""
    waits = reserve(RateLimiter(1000.0, 2.0), 15_000)
    apart = {}
    for earlier, later in itertools.pairwise(waits):
        apart[round(later, 2)] = later - earlier
    for seconds, rate in ((0.01, 1000), (2.0, 2000), (4.0, 4000)):
        assert 1 / apart[seconds] == pytest.approx(rate, rel=0.01)


def test_the_capacity_grows_with_the_rate() -> None:
    """What comes in 0.1 s at the rate of that moment."""
    limiter = RateLimiter(100.0, 1.0)
    limiter.reserve(START)
    waits = reserve(limiter, 81, START + 3)
    assert waits[:80] == [0.0] * 80
    assert waits[80] == pytest.approx(1 / 800, rel=0.01)


@pytest.mark.parametrize("now", [0.0, 5.0, 1e6])
def test_the_clock_of_the_doubling_starts_at_the_first_use(now: float) -> None:
    """Not when the limiter is made, and not when the clock was at 0."""
    assert reserve(RateLimiter(2.0, 3.0), 20, now) == pytest.approx(reserve(RateLimiter(2.0, 3.0), 20))


def test_a_first_use_that_reserves_nothing_starts_the_clock_too() -> None:
    """Somebody has used it."""
    limiter = RateLimiter(0.5)
    assert limiter.reserve(START, until=START + 1) == math.inf
    assert limiter.reserve(START + 1.5) == pytest.approx(0.5)


@pytest.mark.parametrize("doubling", [0.0, 10.0])
def test_a_token_that_would_come_too_late_is_not_reserved(doubling: float) -> None:
    """Whoever cannot wait so long takes nobody's place."""
    limiter = RateLimiter(2.0, doubling)
    first = limiter.reserve(START)
    for _ in range(100):
        assert limiter.reserve(START, until=START + first + 0.1) == math.inf
    second = limiter.reserve(START, until=START + 10)
    assert tokens(2.0, doubling, second) == pytest.approx(2)


def test_a_token_that_is_there_is_given_whatever_the_time_left() -> None:
    """There is nothing to wait for."""
    limiter = RateLimiter(1.0)
    limiter.reserve(START)
    assert limiter.reserve(START + 10, until=START + 10) == 0.0


def test_a_token_that_comes_at_the_very_end_is_too_late() -> None:
    """No time would be left to do anything with it."""
    limiter = RateLimiter(0.5)
    assert limiter.reserve(START, until=START + 2) == math.inf
    assert limiter.reserve(START, until=START + 2.001) == 2.0


def test_the_next_has_the_place_that_is_given_back() -> None:
    """As if whoever gave it back had never been there."""
    limiter = RateLimiter(1.0)
    assert reserve(limiter, 3) == [1.0, 2.0, 3.0]
    limiter.give_back()
    assert reserve(limiter, 2) == [3.0, 4.0]
    for _ in range(4):
        limiter.give_back()
    assert reserve(limiter, 2) == [1.0, 2.0]


COME, WAIT = "come", "wait"


@given(
    RATES,
    st.lists(st.just(COME) | st.tuples(st.just(WAIT), st.floats(0, 3)) | st.integers(0, 9), max_size=60),
)
@example(1.0, [COME] * 9 + [0] * 5 + [COME] * 9)
def test_who_gives_up_changes_nothing_for_the_rate(rate: float, steps: list[Any]) -> None:
    """A crowd comes, and some of it, anywhere in the queue, give up: the rest gets no more than the rate.

    And none of it is lost: whoever comes next waits for nobody but those who stay.
    """
    limiter = RateLimiter(rate)
    now = START
    due = [limiter.reserve(START)]
    for step in steps:
        if step == COME:
            due.append(now - START + limiter.reserve(now))
        elif isinstance(step, tuple):
            now += step[1]
        else:
            waiting = [number for number, seconds in enumerate(due) if seconds > now - START]
            if step < len(waiting):
                del due[waiting[step]]
                limiter.give_back()
    for number, seconds in enumerate(sorted(due), 1):
        assert number <= rate * seconds * (1 + 1e-9) + 1e-6
    ahead = sum(seconds > now - START for seconds in due)
    assert limiter.reserve(now) <= (ahead + 1) / rate + 1e-6


def test_a_long_queue_does_not_drift() -> None:
    """The hundred-thousandth token comes when the rate says, whenever it is reserved."""
    rate, count = 3.0, 100_000
    limiter = RateLimiter(rate)
    limiter.reserve(START)
    for number in range(2, count + 1):
        # The queue is never empty.
        now = START + 0.3 * number
        due = now + limiter.reserve(now)
        assert abs(due - (START + number / rate)) < 1e-6


@pytest.mark.parametrize("rate", [1e-9, 0.5, 100.0, 1e12, 1e300])
@pytest.mark.parametrize("doubling", [0.0, 1e-9, 1.0, 1e9, 1e14])
@pytest.mark.parametrize("seconds", [0.0, 1e-9, 3600.0, 1e9, 1e15, 1e300])
def test_no_time_and_no_rate_overflows(rate: float, doubling: float, seconds: float) -> None:
    """After an idle time however long there is a token; and the next to come gets an answer as well."""
    limiter = RateLimiter(rate, doubling)
    first = limiter.reserve(0.0)
    assert 0 <= first <= 1 / rate * 1.001
    limiter.give_back()
    for wait in reserve(limiter, 3, seconds):
        assert 0 <= wait <= 3 / rate * 1.001


def test_a_rate_that_has_doubled_a_hundred_times_is_no_limit() -> None:
    """Nobody waits; and nothing is the worse for it later."""
    limiter = RateLimiter(1.0, 1.0)
    limiter.reserve(START)
    for hours in (0.05, 1, 24, 24 * 365 * 100):
        assert max(reserve(limiter, 1000, START + 3600 * hours)) == 0.0


def test_threads_that_come_at_once_get_a_token_each() -> None:
    """None twice, none lost: the waits are those of one thread that reserved them all."""
    limiter = RateLimiter(1000.0)
    together = threading.Barrier(8)

    def work(_: int) -> list[float]:
        together.wait()
        return reserve(limiter, 500)

    with ThreadPoolExecutor(8) as pool:
        waits = sorted(wait for found in pool.map(work, range(8)) for wait in found)
    assert waits == pytest.approx([number / 1000 for number in range(1, 4001)])


def test_threads_that_give_up_lose_nothing() -> None:
    """After half of them have given their tokens back, the next is the one in the middle."""
    limiter = RateLimiter(1000.0)
    together = threading.Barrier(8)

    def work(_: int) -> None:
        together.wait()
        for _ in range(500):
            limiter.reserve(START)
            limiter.reserve(START)
            limiter.give_back()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert limiter.reserve(START) == pytest.approx(4.001)


def test_a_forked_child_begins_anew() -> None:
    """Those who waited before it are not with it."""
    limiter = RateLimiter(2.0)
    reserve(limiter, 100)
    limiter.after_fork()
    assert reserve(limiter, 2, START + 7) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("limiter", "shown"),
    [
        (RateLimiter(5.0), "<RateLimiter 5 a second>"),
        (RateLimiter(0.25, 90.0), "<RateLimiter 0.25 a second, doubling every 90 s>"),
    ],
)
def test_a_limiter_says_what_it_allows(limiter: RateLimiter, shown: str) -> None:
    """In errors, too."""
    assert repr(limiter) == shown
