"""What all threads write at the same time: a counter, and keys that only one may create."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict

import s3kv

from .model import MAYBE


class Shared:
    """Keys that everybody writes.

    Mutable state, behind ``_lock``: the counts, and who has won.

    Args:
        store: Where they are.
        threads: How many there are.
        atomic: The server decides on conditions atomically; otherwise one thread writes at a time.

    Attributes:
        wrong: What was wrong, in words.
        turns: For each thread a lock, held during each operation.
    """

    def __init__(self, store: s3kv.Store, threads: int, *, atomic: bool) -> None:
        self.wrong: list[str] = []
        one = threading.Lock()
        self.turns = [threading.Lock() if atomic else one for _ in range(threads)]
        self._store = store
        self._lock = threading.Lock()
        self._added: Counter[bool] = Counter()
        self._races = 0
        self._winners: dict[str, list[bytes]] = defaultdict(list)
        self._unknown: dict[str, list[bytes]] = defaultdict(list)

    def run(self, number: int, stop: threading.Event, seed: int) -> None:
        """Count up, and race for keys, from time to time, until told to stop."""
        chances = random.Random(seed)
        while not stop.wait(chances.random() * 0.1):
            try:
                with self.turns[number]:
                    self._step(number)
            except Exception as error:
                self.wrong.append(f"a key that all write: {error!r}, caused by {error.__cause__!r}")

    def _step(self, number: int) -> None:
        try:
            self._store.modify("counter", lambda old: b"%d" % (int(old or 0) + 1))
            sure = True
        except MAYBE:
            sure = False
        with self._lock:
            self._added[sure] += 1
            self._races += 1
            # Several threads come to each key.
            key, mine = f"race {self._races // 4}", b"%d %d" % (number, self._races)
        try:
            self._store.put(key, mine, if_absent=True)
            found = self._winners
        except s3kv.ConditionFailed:
            return
        except MAYBE:
            found = self._unknown
        with self._lock:
            found[key].append(mine)

    def check(self) -> None:
        """Compare what there is in the end with what was told on the way."""
        count = int(self._store.get("counter", b"0"))
        sure, maybe = self._added[True], self._added[False]
        if not sure <= count <= sure + maybe:
            self.wrong.append(f"the counter is {count}, after {sure} additions and {maybe} that may be")
        there = dict(self._store.items())
        for key in {*there, *self._winners, *self._unknown} - {"counter"}:
            winners, unknown = self._winners[key], self._unknown[key]
            if len(winners) > 1 or (winners and there.get(key) != winners[0]):
                self.wrong.append(f"{key!r} is {there.get(key)!r}, and was created by {winners}")
            elif not winners and there.get(key) not in unknown:
                self.wrong.append(f"{key!r} is {there.get(key)!r}, and nobody said so")

    @property
    def done(self) -> Counter[str]:
        """How often what was done."""
        return Counter({"modify by all": self._added.total(), "if_absent by all": self._races})

    @property
    def maybes(self) -> int:
        """How often nobody could know what was done."""
        return self._added[False] + sum(len(values) for values in self._unknown.values())
