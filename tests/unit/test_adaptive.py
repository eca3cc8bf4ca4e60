"""The limit that a store's refusals make: halved by each, raised by successes, turns given in order."""

from __future__ import annotations

import threading

import pytest

from s3kv.limits.adaptive import AdaptiveLimit
from s3kv.retry import wants_less


def _flying(limit: AdaptiveLimit, count: int) -> list[object]:
    """Put so many requests into the air."""
    requests = [object() for _ in range(count)]
    limit.flying.update(requests)
    return requests


def test_a_store_that_refuses_nothing_has_no_limit() -> None:
    """However many are in flight."""
    limit = AdaptiveLimit(lambda: 2)
    _flying(limit, 100)
    assert not limit.active
    assert limit.allowed is None
    assert limit.turn() is None


def test_a_refusal_halves_what_is_in_flight() -> None:
    """The refused one included, which has just ended."""
    limit = AdaptiveLimit(lambda: 32)
    _flying(limit, 15)
    limit.refused(limit.epoch)
    assert limit.active
    assert limit.allowed == 8


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_no_more_may_fly_than_it_says(count: int) -> None:
    """Not one for the rest of a half, either."""
    limit = AdaptiveLimit(lambda: 32)
    requests = _flying(limit, count)
    limit.refused(limit.epoch)
    allowed = limit.allowed
    assert allowed == (count + 1) // 2
    limit.flying.difference_update(requests[allowed:])
    assert limit.turn() is not None
    limit.flying.discard(requests[0])
    assert limit.turn() is None


def test_refusals_of_what_was_under_way_already_count_once() -> None:
    """Otherwise one bad moment would leave a single request in flight."""
    limit = AdaptiveLimit(lambda: 32)
    _flying(limit, 31)
    sent = limit.epoch
    for _ in range(16):
        limit.refused(sent)
    assert limit.allowed == 16
    limit.refused(limit.epoch)
    assert limit.allowed == 8


def test_one_request_is_always_allowed() -> None:
    """Or nothing would ever be found out again."""
    limit = AdaptiveLimit(lambda: 32)
    for _ in range(20):
        limit.refused(limit.epoch)
    assert limit.allowed == 1
    assert limit.turn() is None


def test_successes_raise_it_to_what_was_configured_and_no_further() -> None:
    """By one for as many successes as are allowed at once; then it is gone."""
    limit = AdaptiveLimit(lambda: 8)
    _flying(limit, 7)
    limit.refused(limit.epoch)
    seen = {limit.allowed}
    for _ in range(1000):
        if not limit.active:
            break
        limit.accepted()
        seen.add(limit.allowed)
    assert not limit.active
    assert seen == {4, 5, 6, 7, None}


def test_turns_are_given_in_order_as_requests_end() -> None:
    """One for each that ends, as long as more are in flight than allowed none."""
    limit = AdaptiveLimit(lambda: 32)
    requests = _flying(limit, 3)
    limit.refused(limit.epoch)
    assert limit.allowed == 2
    first, second = limit.turn(), limit.turn()
    assert first is not None
    assert second is not None
    limit.flying.discard(requests[0])
    limit.pass_on()
    assert not first.settled
    limit.flying.discard(requests[1])
    limit.pass_on()
    assert first.settled
    assert not second.settled
    limit.flying.discard(requests[2])
    limit.pass_on()
    assert second.settled


def test_those_who_wait_go_on_when_the_limit_is_gone() -> None:
    """All of them."""
    limit = AdaptiveLimit(lambda: 2)
    requests = _flying(limit, 4)
    limit.refused(limit.epoch)
    turns = [limit.turn() for _ in range(3)]
    limit.accepted()
    limit.flying.discard(requests[0])
    limit.pass_on()
    assert [turn.settled for turn in turns if turn is not None] == [True, True, True]
    assert not limit.active


def test_a_turn_is_not_given_to_one_who_waits_no_longer() -> None:
    """Whoever is behind gets it; and one that was given already is passed on."""
    limit = AdaptiveLimit(lambda: 32)
    limit.refused(limit.epoch)
    (request,) = _flying(limit, 1)
    first, second, third = limit.turn(), limit.turn(), limit.turn()
    assert first is not None
    assert second is not None
    assert third is not None
    limit.leave(first)
    limit.flying.discard(request)
    limit.pass_on()
    assert (first.settled, second.settled, third.settled) == (False, True, False)
    limit.leave(second)
    assert third.settled


def test_a_success_that_raises_the_limit_lets_others_go() -> None:
    """Nothing else may come to an end for a long time."""
    limit = AdaptiveLimit(lambda: 32)
    limit.refused(limit.epoch)
    _flying(limit, 1)
    turn = limit.turn()
    assert turn is not None
    limit.accepted()
    assert limit.allowed == 2
    assert turn.settled


def test_no_turn_is_lost_between_threads() -> None:
    """What ends while another asks for a turn is seen by one of them."""
    limit = AdaptiveLimit(lambda: 1000)
    _flying(limit, 7)
    limit.refused(limit.epoch)
    limit.flying.clear()
    most: list[int] = []

    def work() -> None:
        for _ in range(300):
            while (turn := limit.turn()) is not None:
                given = threading.Event()
                turn.watch(given.set)
                assert given.wait(10)
            request = object()
            limit.flying.add(request)
            most.append(len(limit.flying))
            limit.flying.discard(request)
            limit.pass_on()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert len(most) == 12 * 300


@pytest.mark.parametrize(
    ("status", "code", "less"),
    [
        (503, "", True),
        (503, "SlowDown", True),
        (429, "", True),
        (200, "SlowDown", True),
        (400, "ThrottlingException", True),
        (400, "RequestLimitExceeded", True),
        (500, "InternalError", False),
        (502, "", False),
        (504, "", False),
        (409, "ConditionalRequestConflict", False),
        (408, "RequestTimeout", False),
    ],
)
def test_what_asks_for_fewer_requests(status: int, code: str, less: bool) -> None:
    """Status or code: a store that is broken does not say that it is too busy."""
    assert wants_less(status, code) is less
