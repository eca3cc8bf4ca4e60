"""Many write to one key at the same moment: one of them wins, and no update is lost.

Each racer adds a word of its own to the object, so that the object tells in the end which writes were
carried out, and in which order; a counter would tell how many. That is compared with what the racers
were told: a word that was acknowledged is there, and one that was refused is not.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

import s3kv
from tests.contract.behind import Behind
from tests.contract.conftest import OpenStore
from tests.contract.racing import HONOURING, TIMEOUT, Between, atomic_store
from tests.servers import LocalProcessServer

RACERS = 16

# Enough where they are made to meet.
FEW = 4

# How often the races are run whose course is a matter of chance. Read here: no test sees the variable.
ROUNDS = int(os.environ.get("S3KV_TEST_RACE_ROUNDS", "2"))

KEY, START = "words", b"start"

# So that a lost answer, or an answer of 500, does not cost a second.
IMPATIENT = {"max_retries": 100, "initial_delay": "2ms", "max_delay": "50ms"}

feature = pytest.mark.feature

each_round = pytest.mark.parametrize("number", range(ROUNDS))

# Elsewhere it would be a matter of chance whether an update is lost. That it is lost there when writes
# surely meet is what the races with a meeting show, which are expected to fail.
each_honouring_server = pytest.mark.parametrize(
    "server", HONOURING, indirect=True, scope="session", ids=lambda server_class: server_class.name
)

Record = Callable[[str, object], None]


class Told:
    """What the racers were told about the words that they wrote.

    Attributes:
        done: Words whose writes were acknowledged.
        refused: Words of which it was said that they were not written.
        unknown: Words that were written or not.
    """

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.refused: list[bytes] = []
        self.unknown: list[bytes] = []

    def check(self, words: list[bytes]) -> None:
        """Compare with the words that are there."""
        assert len(set(words)) == len(words), "a write was carried out twice"
        lost = set(self.done) - set(words)
        assert not lost, f"{len(lost)} acknowledged updates are lost"
        assert not set(words) & set(self.refused), "a write was carried out that was said to be refused"
        assert set(words) <= {*self.done, *self.unknown}

    def record(self, record: Record, between: Between | None = None) -> None:
        """Put the numbers into the report of the test."""
        record("done", len(self.done))
        record("refused", len(self.refused))
        record("unknown", len(self.unknown))
        record("answers lost", 0 if between is None else between.answers_lost)


Racer = Callable[[s3kv.Store, int, Told], None]


def create(store: s3kv.Store, racer: int, told: Told) -> None:
    """Make the object, if there is none."""
    word = b"racer-%d" % racer
    try:
        store.put(KEY, word, if_absent=True)
    except s3kv.ConditionFailed:
        told.refused.append(word)
    except s3kv.OutcomeUnknown:
        told.unknown.append(word)
    else:
        told.done.append(word)


def swap(store: s3kv.Store, racer: int, told: Told) -> None:
    """Add a word by reading, and writing over what was read only, as often as it takes."""
    for attempt in itertools.count():
        word = b"racer-%d-%d" % (racer, attempt)
        found = store.read(KEY)
        try:
            store.put(KEY, b"%s %s" % (found.value, word), if_equal=found.stamp.generation)
        except s3kv.ConditionFailed:
            told.refused.append(word)
        except s3kv.OutcomeUnknown:
            told.unknown.append(word)
        else:
            told.done.append(word)
            return


def modify(store: s3kv.Store, racer: int, told: Told) -> None:
    """Add a word by ``modify``, again if the outcome is not known."""
    attempts = itertools.count()
    while True:
        words: list[bytes] = []

        def add(old: bytes | None, words: list[bytes] = words) -> bytes:
            words.append(b"racer-%d-%d" % (racer, next(attempts)))
            return b"%s %s" % (old, words[-1])

        try:
            store.modify(KEY, add)
        except s3kv.OutcomeUnknown:
            told.unknown.append(words.pop())
        else:
            told.done.append(words.pop())
            return
        finally:
            # The function is called again for those that were refused only.
            told.refused.extend(words)


def race(store: s3kv.Store, racer: Racer, racers: int) -> Told:
    """Let so many racers go at once, and wait for them."""
    told = Told()
    start = threading.Barrier(racers)

    def go(number: int) -> None:
        start.wait(TIMEOUT)
        racer(store, number, told)

    with ThreadPoolExecutor(racers) as threads:
        list(threads.map(go, range(racers)))
    return told


class Race(NamedTuple):
    """A kind of race.

    Attributes:
        racer: What each racer does.
        there: What is there at the start; None for nothing.
    """

    racer: Racer
    there: bytes | None

    def run(self, store: s3kv.Store, behind: Behind, racers: int = RACERS) -> Told:
        """Run it at a place that nobody else uses, and compare what is there with what was told."""
        if self.there is not None:
            behind.put(store, KEY, self.there)
        told = race(store, self.racer, racers)
        words = behind.get(store, KEY).split()
        if self.there is None:
            # Whose word it is, and that nobody else was told that it is theirs, is compared below.
            assert len(words) == 1
        else:
            assert words.pop(0) == self.there
            assert len(told.done) == racers
        told.check(words)
        return told


RACES = {
    "create": (Race(create, None), "put-if-none-match"),
    "swap": (Race(swap, START), "put-if-match"),
    "modify": (Race(modify, START), "put-if-match"),
}

each_race = pytest.mark.parametrize("kind", [kind for kind, _ in RACES.values()], ids=RACES)

each_race_of_a_feature = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name, marks=feature(needed)) for name, (kind, needed) in RACES.items()]
)


@pytest.fixture
def open_behind(open_store: OpenStore, credentials: None) -> Callable[..., s3kv.Store]:
    """Return a function that opens a store which sends through a proxy."""

    def open_(between: Between, mode: bool | None) -> s3kv.Store:
        options = {} if mode is None else {"use_conditional_write": mode}
        return open_store(
            endpoint=between.endpoint, timeout=TIMEOUT, s3_request_retries=IMPATIENT, **options
        )

    return open_


# A look at the object comes before each write, or does not.
MODES = {"look and headers": None, "headers": True}


@each_race_of_a_feature
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_of_writes_that_surely_meet_one_wins(
    server: LocalProcessServer,
    open_behind: Callable[..., s3kv.Store],
    behind: Behind,
    record_property: Record,
    kind: Race,
    mode: bool | None,
) -> None:
    """The first writes of all racers go off when all have seen the same state of the object.

    So updates are lost for certain on a server that ignores conditions.
    """
    with Between(server.info, meet=FEW) as between, open_behind(between, mode) as store:
        told = kind.run(store, behind, FEW)
    told.record(record_property)
    assert len(told.refused) + len(told.unknown) >= FEW - 1


@each_honouring_server
@each_round
@each_race
def test_no_update_is_lost_when_many_write_at_once(
    server: LocalProcessServer,
    open_store: OpenStore,
    credentials: None,
    behind: Behind,
    record_property: Record,
    kind: Race,
    number: int,
) -> None:
    """As it happens, with nothing between the store and the server."""
    with atomic_store(server.name, open_store) as store:
        told = kind.run(store, behind)
    told.record(record_property)


@each_honouring_server
@each_round
@each_race
def test_no_update_is_lost_when_answers_are(
    server: LocalProcessServer,
    open_behind: Callable[..., s3kv.Store],
    behind: Behind,
    record_property: Record,
    kind: Race,
    number: int,
) -> None:
    """Who cannot be told what became of a write is told that, and nobody is told what is not true."""
    mode = list(MODES.values())[number % len(MODES)]
    with (
        Between(server.info, meet=RACERS, lost=True, seed=number) as between,
        open_behind(between, mode) as store,
    ):
        told = kind.run(store, behind)
    told.record(record_property, between)
    assert between.answers_lost >= RACERS // 3
