"""A batch of operations: what it takes, what it begins, and in which order it hands them out.

The executor is the test's: operations end when, and in the order in which, the test says.
"""

from __future__ import annotations

import gc
import itertools
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.call import Call
from s3kv.errors import DeadlineExceeded, StoreClosed
from s3kv.pipeline.batch import Batch, Entry
from s3kv.progress import Progress, show_progress


class Hand:
    """Stands for the executor: keeps what was begun, and ends it when told.

    Attributes:
        begun: The items of all that were begun, in order.
        most: The most that were under way at once.
        live: What is under way, by item.
        choose: Called when something is begun; may end some.
    """

    def __init__(self, choose: Callable[[Hand], object] = lambda hand: None) -> None:
        self.begun: list[Any] = []
        self.live: dict[Any, Entry[Any]] = {}
        self.most = 0
        self.choose = choose

    def announce(self) -> None:
        """What was taken is under way already."""

    def enqueue(self, entry: Entry[Any]) -> None:
        """Take an operation."""
        self.begun.append(entry.item)
        self.live[entry.item] = entry
        self.most = max(self.most, len(self.live))
        self.choose(self)

    def end(self, item: Any, error: Exception | None = None) -> None:
        """End an operation, as a worker would."""
        self.live.pop(item).finish(None if error else f"did {item}", error)

    def end_all(self, *spared: Any) -> None:
        """End all that is under way but for some."""
        for item in [item for item in self.live if item not in spared]:
            self.end(item)

    def batch(
        self,
        items: Iterable[Any],
        window: int = 4,
        timeout: float | None = None,
        allowed: Callable[[Any], bool] = lambda item: True,
    ) -> Batch[Any]:
        """Return a batch that is carried by this."""

        def begin(item: Any) -> Entry[Any] | None:
            if not allowed(item):
                return None
            call = Call(str(item), time.monotonic(), timeout)
            return Entry(item, iter(()), call, None, None)  # type: ignore[arg-type]

        return Batch(self, begin, items, window, timeout)  # type: ignore[arg-type]


def last_first(hand: Hand) -> None:
    """End all that is under way, the last first, when there are four or nothing more will come."""
    if len(hand.live) == 4:
        for item in reversed(list(hand.live)):
            hand.end(item)


def test_outcomes_come_in_the_order_in_which_operations_end() -> None:
    """Each with its item, and its result or its error."""
    hand = Hand()
    entries = iter(hand.batch("abc", window=3))

    def end() -> None:
        hand.end("c")
        hand.end("a", KeyError("a"))
        hand.end("b")

    waiting = threading.Timer(0.01, end)
    waiting.start()
    got = [(entry.item, entry.result, type(entry.error)) for entry in entries]
    waiting.join()
    assert got == [
        ("c", "did c", type(None)),
        ("a", None, KeyError),
        ("b", "did b", type(None)),
    ]


def test_outcomes_come_in_the_order_of_the_items_if_they_are_to() -> None:
    """Also when later ones end first."""
    hand = Hand(last_first)
    assert [entry.item for entry in hand.batch(range(20)).in_order()] == list(range(20))
    assert hand.most == 4


@given(st.data(), st.integers(0, 30), st.integers(1, 6), st.booleans())
def test_every_item_is_done_once_within_the_window(
    data: st.DataObject, count: int, window: int, in_order: bool
) -> None:
    """In whatever order they end."""
    taken = itertools.count()
    handed = 0

    def items() -> Iterator[int]:
        for number in range(count):
            assert next(taken) - handed < window
            yield number

    def choose(hand: Hand) -> None:
        full = len(hand.begun) - handed >= window or len(hand.begun) == count
        while hand.live and (full or data.draw(st.booleans())):
            hand.end(data.draw(st.sampled_from(sorted(hand.live))))

    hand = Hand(choose)
    batch = hand.batch(items(), window)
    got = []
    # However slow a busy machine is to begin them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.pipeline.batch._FILLING", math.inf)
        for entry in batch.in_order() if in_order else batch:
            handed += 1
            got.append(entry.item)
    assert sorted(got) == sorted(hand.begun) == list(range(count))
    assert got == sorted(got) or not in_order
    assert hand.most <= window


def test_an_item_that_must_wait_is_begun_when_one_has_ended() -> None:
    """None is lost, and none overtakes it."""
    hand = Hand(lambda hand: hand.end(2) if 2 in hand.live else None)
    batch = hand.batch(range(1, 6), 3, allowed=lambda item: item != 3 or 1 not in hand.live)
    entries = iter(batch)
    assert next(entries).item == 2
    assert hand.begun == [1, 2]
    hand.end(1)
    assert next(entries).item == 1
    hand.choose = Hand.end_all
    assert [entry.item for entry in entries] == [3, 4, 5]
    assert hand.begun == [1, 2, 3, 4, 5]


def test_no_items_are_no_outcomes() -> None:
    """At once."""
    hand = Hand()
    assert list(hand.batch(())) == list(hand.batch(()).in_order()) == []


@pytest.mark.parametrize("in_order", [False, True])
def test_what_is_under_way_is_cancelled_when_the_batch_is_given_up(in_order: bool) -> None:
    """What ends after that changes nothing."""
    hand = Hand(lambda hand: hand.end(0) if len(hand.live) == 4 and 0 in hand.live else None)
    batch = hand.batch(range(9))
    entries: Any = batch.in_order() if in_order else iter(batch)
    assert next(entries).item == 0
    left = dict(hand.live)
    assert left.keys() == {1, 2, 3}
    entries.close()
    assert all(entry.call.cancelled for entry in left.values())
    for item in left:
        hand.end(item)


def test_an_exception_of_the_items_ends_the_batch() -> None:
    """What is under way is cancelled."""

    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    hand = Hand()
    with pytest.raises(LookupError, match="no more"):
        list(hand.batch(broken()))
    assert [entry.call.cancelled for entry in hand.live.values()] == [True, True]


def test_a_batch_that_is_interrupted_ends_with_the_error() -> None:
    """While it waits; nothing more is begun."""
    hand = Hand()
    batch = hand.batch(range(9))
    closing = threading.Timer(0.02, lambda: batch.interrupt(StoreClosed("closed")))
    closing.start()
    with pytest.raises(StoreClosed):
        list(batch)
    closing.join()
    assert hand.begun == [0, 1, 2, 3]
    assert all(entry.call.cancelled for entry in hand.live.values())


def test_an_operation_that_never_ends_is_given_up_after_its_time() -> None:
    """And no other; what it does later is not believed."""
    hand = Hand(lambda hand: hand.end_all(1))
    got = {}
    for entry in hand.batch(range(9), timeout=0.05):
        got[entry.item] = entry.error
    assert got.keys() == set(range(9))
    assert isinstance(got[1], DeadlineExceeded)
    assert {type(error) for item, error in got.items() if item != 1} == {type(None)}
    hand.end(1)


# ------------------------------------------------------------------ told together, and soon


def _later(seconds: float, function: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, function)
    timer.start()
    return timer


def test_an_outcome_that_comes_alone_is_handed_out_at_once() -> None:
    """While all the others take their time."""
    hand = Hand()
    entries = iter(hand.batch(range(40), window=40))
    ended: list[float] = []

    def end(item: int) -> None:
        ended.append(time.monotonic())
        hand.end(item)

    for item in (7, 3, 20):
        waiting = _later(0.05, partial(end, item))
        assert next(entries).item == item
        late = time.monotonic() - ended[-1]
        waiting.join()
        assert late < 0.1


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 39, 40])
def test_whoever_waits_is_told_by_the_bell_or_when_there_are_many(count: int) -> None:
    """Who settles several asks for one bell; a quarter of the window is worth a bell of its own."""
    hand = Hand()
    batch = hand.batch(range(40), window=40)
    entries = iter(batch)
    told: list[int] = []

    def end() -> None:
        bells = set()
        for item in range(count):
            bell = hand.live.pop(item).settle(item, None)
            if bell is not None:
                bells.add(bell)
        told.append(len(bells))
        for bell in bells:
            bell.ring()

    waiting = _later(0.02, end)
    got = {next(entries).item for _ in range(count)}
    waiting.join()
    assert got == set(range(count))
    assert told[0] <= 1


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_an_outcome_is_not_kept_back_by_a_bell_that_nobody_rings(timeout: float | None) -> None:
    """Who sleeps looks for itself now and then."""
    hand = Hand()
    entries = iter(hand.batch(range(40), window=40, timeout=timeout))
    waiting = _later(0.02, lambda: hand.live.pop(3).settle("done", None))
    started = time.monotonic()
    assert next(entries).item == 3
    assert time.monotonic() - started < 1
    waiting.join()


def test_a_quarter_of_the_window_is_worth_a_bell_of_its_own() -> None:
    """Whoever goes on settling others does not keep so many back."""
    hand = Hand()
    entries = iter(hand.batch(range(40), window=40))
    settled: list[float] = []

    def settle() -> None:
        for item in range(10):
            hand.live.pop(item).settle(item, None)
        settled.append(time.monotonic())

    waiting = _later(0.02, settle)
    next(entries)
    late = time.monotonic() - settled[0]
    waiting.join()
    assert late < 0.15


def test_items_that_wait_for_outcomes_get_them() -> None:
    """An iterable may give the next item only when it has seen what became of the one before."""
    seen: list[int] = []
    hand = Hand()

    def items() -> Iterator[int]:
        for number in range(10):
            yield number
            # It is the same thread that hands out, so what is waited for here must have been.
            assert len(seen) >= number - 3

    hand.choose = lambda hand: hand.end_all()
    for entry in hand.batch(items(), window=4):
        seen.append(entry.item)
    assert seen == list(range(10))


@pytest.mark.parametrize("window", [1, 2, 8, 64])
def test_items_that_are_slow_to_come_keep_no_outcome_back(window: int) -> None:
    """What has ended is handed out before the next one but few has come."""
    taken = itertools.count()
    hand = Hand(lambda hand: hand.end_all())

    def slow() -> Iterator[int]:
        for number in range(12):
            next(taken)
            time.sleep(0.01)
            yield number

    ahead = 0
    for place, _ in enumerate(hand.batch(slow(), window=window)):
        ahead = max(ahead, int(repr(taken).partition("(")[2][:-1]) - place)
    assert ahead <= 3


def test_every_operation_is_announced() -> None:
    """None stays in the queue with nobody looking, though those that are ready are announced together."""

    class Announced(Hand):
        pending = 0
        calls = 0

        def enqueue(self, entry: Entry[Any]) -> None:
            super().enqueue(entry)
            self.pending += 1

        def announce(self) -> None:
            self.pending = 0
            self.calls += 1

    hand = Announced()
    entries = iter(hand.batch(range(1000), window=100))
    waiting = _later(0.05, hand.end_all)
    next(entries)
    waiting.join()
    assert hand.pending == 0
    # A hundred that were ready are not a hundred announcements.
    assert hand.calls < 90
    hand.choose = Hand.end_all
    assert len(list(entries)) == 999


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("delay", [0.0005, 0.003, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("in_order", [False, True])
def test_a_signal_is_seen_soon_whenever_it_comes(delay: float, in_order: bool) -> None:
    """While the batch fills, as it falls asleep, and long after; what is under way is cancelled."""

    class Interrupted(BaseException):
        """Like KeyboardInterrupt nothing that anybody catches with all other errors."""

    sent: list[float] = []

    def interrupt(*_: object) -> None:
        sent.append(time.monotonic())
        raise Interrupted

    hand = Hand()
    batch = hand.batch(range(200), window=100)
    before = signal.signal(signal.SIGALRM, interrupt)
    # What a finalizer raises goes nowhere, and there are many in the process that all tests share.
    gc.collect()
    gc.disable()
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        with pytest.raises(Interrupted):
            list(batch.in_order() if in_order else batch)
        assert time.monotonic() - sent[0] < 0.5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    gc.collect()
    assert all(entry.call.cancelled for entry in hand.live.values())


def test_outcomes_of_many_threads_are_all_handed_out() -> None:
    """No wake-up is lost, whoever ends what and when."""
    hand = Hand()
    count = 3000
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                item, entry = hand.live.popitem()
            except KeyError:
                time.sleep(0)
                continue
            entry.finish(item, None)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    started = time.monotonic()
    try:
        got = [entry.result for entry in hand.batch(range(count), window=8)]
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert sorted(got) == list(range(count))
    # Each wake-up that got lost would cost a quarter of a second.
    assert time.monotonic() - started < 10


def test_no_bar_is_shown_unless_it_is_wanted_and_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal tqdm is not needed; on one its absence is an error that names the extra."""
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    assert type(show_progress(True, "get", [])) is Progress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(show_progress(False, "get", [])) is Progress
    with pytest.raises(ImportError, match=r"s3kv\[progress\]"):
        show_progress(True, "get", [])


def test_a_bar_counts_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows how many there are where that can be told without asking a store."""
    made: list[dict[str, Any]] = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            made.append({**options, "done": 0, "closed": False})

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            made[-1]["text"] = text

        def update(self, count: int) -> None:
            made[-1]["done"] += count

        def close(self) -> None:
            made[-1]["closed"] = True

    module = ModuleType("tqdm.auto")
    module.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with show_progress(True, "get", ["a", "b"]) as bar:
        bar.step(1_500_000)
        bar.step(0, 2)
    with show_progress(True, "put", iter("ab")):
        pass
    assert made[0] == {
        "total": 2,
        "desc": "get",
        "unit": "key",
        "done": 3,
        "closed": True,
        "text": "1.5 MB",
    }
    assert (made[1]["total"], made[1]["closed"]) == (None, True)
