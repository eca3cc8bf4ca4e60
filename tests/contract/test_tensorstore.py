"""Beside TensorStore's own S3 driver: the same operations come out the same, step by step.

Both libraries do the same at places of their own in one bucket, and both read at both places.
"""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.contract.conftest import OpenStore
from tests.contract.theirs import Theirs
from tests.servers import LocalProcessServer, MotoServer, SeaweedFSServer

# Operations on each server, in sequences of so many; 2,000 take about a minute. Read here: no test sees the
# variable.
OPERATIONS = int(os.environ.get("S3KV_TEST_OPERATIONS", "200"))
LENGTH = 100

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("tensorstore") is None, reason="no tensorstore"),
    pytest.mark.parametrize(
        "server",
        [MotoServer, SeaweedFSServer],
        indirect=True,
        scope="session",
        ids=lambda server_class: server_class.name,
    ),
]

NO_VALUE, UNKNOWN = StorageGeneration.NO_VALUE, StorageGeneration.UNKNOWN
KEYS = ["plain", "folder/key", "sp ace+%41&=?#;@", "漢字/é", "~-._'\"()*!", "😀"]
VALUES = [b"", b"1", b"0123456789", bytes(range(256)) * 20]
EDGES = [None, 0, 1, 5, 9, 10, 11, 5119, 5120, 6000]

Outcome = tuple[Any, ...]


class Pair:
    """A place that both libraries have opened."""

    def __init__(self, ours: s3kv.Store, theirs: Theirs) -> None:
        self.ours, self.theirs = ours, theirs


def their_generation(generation: str) -> bytes:
    """Write a generation as TensorStore does: a byte that says what it is, then the ETag."""
    if generation == NO_VALUE:
        return b"\x02"
    return b"\x00" + generation.encode() if generation else b""


def ours_of(pair: Pair, operation: str, *arguments: Any, **options: Any) -> Outcome:
    """What s3kv makes of an operation."""
    try:
        if operation == "list":
            return tuple(sorted(pair.ours.list()))
        if operation == "write":
            stamp = pair.ours.write(*arguments, **options)
            return (their_generation(stamp.generation),)
        found = pair.ours.read(*arguments, **options)
    except ValueError:
        return ("ValueError",)
    return found.state, found.value, their_generation(found.stamp.generation)


def theirs_of(pair: Pair, operation: str, *arguments: Any, **options: Any) -> Outcome:
    """What TensorStore makes of it."""
    for name in ("if_equal", "if_not_equal"):
        if name in options:
            options[name] = their_generation(options[name])
    try:
        if operation == "list":
            return tuple(sorted(pair.theirs.list()))
        if operation == "write":
            return (pair.theirs.write(*arguments, **options),)
        return pair.theirs.read(*arguments, **options)
    except ValueError:
        return ("ValueError",)


@pytest.fixture
def places(
    server: LocalProcessServer, open_store: OpenStore, members: dict[str, Any], credentials: None
) -> Iterator[tuple[Pair, Pair]]:
    """Return s3kv's place and TensorStore's, each opened by both."""
    path = members["path"]
    mine, their = ({**members, "driver": "s3", "path": f"{path}{name}/"} for name in ("mine", "their"))
    with Theirs(mine) as one, Theirs(their) as two:
        yield Pair(open_store(path=mine["path"]), one), Pair(open_store(path=their["path"]), two)


class Sequence:
    """Operations drawn at random, and what is known of the objects, so that conditions often hold."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.generations: dict[str, str] = {}
        self._seen = [StorageGeneration('"d41d8cd98f00b204e9800998ecf8427e"')]

    def draw(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return the name of an operation, its arguments, and its options."""
        chance = self._chance
        kind = chance.random()
        key = chance.choice(KEYS)
        if kind < 0.05:
            return "list", (), {}
        if kind < 0.5:
            options: dict[str, Any] = {}
            if chance.random() < 0.5:
                options["byte_range"] = self._range()
            if chance.random() < 0.4:
                options["if_not_equal"] = self._generation(key)
            return "read", (key,), options
        value = None if chance.random() < 0.25 else chance.choice(VALUES)
        return "write", (key, value), {"if_equal": self._generation(key)} if chance.random() < 0.7 else {}

    def note(self, key: str, generation: bytes) -> None:
        """Remember what a write has led to."""
        if generation == b"\x02":
            self.generations.pop(key, None)
        elif generation:
            self.generations[key] = generation[1:].decode()
            self._seen.append(StorageGeneration(generation[1:].decode()))

    def _range(self) -> slice:
        """Return a range that s3kv and TensorStore both take for one, inside the object or not."""
        if self._chance.random() < 0.3:
            return slice(-self._chance.choice([1, 5, 10, 11, 6000]), None)
        start, stop = self._chance.choice(EDGES), self._chance.choice(EDGES)
        return slice(start, stop if stop is None or stop >= (start or 0) else None)

    def _generation(self, key: str) -> str:
        chance = self._chance.random()
        if chance < 0.6:
            return self.generations.get(key, NO_VALUE)
        return NO_VALUE if chance < 0.75 else self._chance.choice(self._seen)


@pytest.mark.parametrize("seed", range(OPERATIONS // LENGTH))
def test_the_same_operations_come_out_the_same(places: tuple[Pair, Pair], seed: int) -> None:
    """State, value and generation after each step, and all the objects in the end."""
    mine, their = places
    sequence = Sequence(seed)
    outcomes: set[str] = set()
    for step in range(LENGTH):
        operation, arguments, options = sequence.draw()
        what = (step, operation, arguments, options)
        expected = theirs_of(their, operation, *arguments, **options)
        assert ours_of(mine, operation, *arguments, **options) == expected, what
        if operation == "write":
            (generation,) = expected
            sequence.note(arguments[0], generation)
            outcomes.add(f"write {generation[:1]!r}")
            continue
        outcomes.add(f"{operation} {expected[0]}" if operation == "read" else operation)
        # Each also finds what the other has written.
        assert ours_of(their, operation, *arguments, **options) == expected, what
        assert theirs_of(mine, operation, *arguments, **options) == expected, what
    keys = sorted(sequence.generations)
    assert sorted(mine.ours.list()) == sorted(their.ours.list()) == keys
    for key in keys:
        found = mine.ours.read(key)
        assert found.stamp.generation == sequence.generations[key]
        assert found.value == their.ours.get(key)
    # Sequences in which nothing much happens would show nothing.
    assert outcomes >= {"read value", "read missing", "read unspecified", "read ValueError"}
    assert outcomes >= {"write b''", "write b'\\x00'", "write b'\\x02'"}


# What differs on purpose: the operation, what s3kv makes of it, what TensorStore does, and why.
DIFFERENCES: dict[str, tuple[tuple[Any, ...], dict[str, Any], Outcome, Outcome, str]] = {
    "write if unknown": (
        ("write", "key", b"new"),
        {"if_equal": UNKNOWN},
        ("ValueError",),
        (their_generation('"22af645d1859cb5ca6da0c484f1f37ea"'),),
        "The unknown generation is what a write returns that was not done: given as a condition by "
        "mistake, it must not mean that there is none.",
    ),
    "read if not unknown": (
        ("read", "key"),
        {"if_not_equal": UNKNOWN},
        ("ValueError",),
        ("value", b"old", their_generation('"149603e6c03516362a8da23f624db945"')),
        "The same.",
    ),
}


@pytest.mark.parametrize(
    ("call", "options", "ours", "theirs", "why"), DIFFERENCES.values(), ids=DIFFERENCES
)
def test_what_differs_on_purpose_differs_as_told(
    places: tuple[Pair, Pair],
    call: tuple[Any, ...],
    options: dict[str, Any],
    ours: Outcome,
    theirs: Outcome,
    why: str,
) -> None:
    """A difference that has gone away is to be taken out of the table."""
    assert why
    mine, their = places
    for place in places:
        place.ours.put("key", b"old")
    assert ours_of(mine, *call, **options) == ours
    assert theirs_of(their, *call, **options) == theirs
