"""What one thread of the soak does: one operation after the other, chosen at random, each checked."""

from __future__ import annotations

import io
import itertools
import pickle
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import s3kv

from .model import Model, Wrong

# A few of these are large enough for several parts where parts are small.
_SIZES = (0, 1, 10, 100, 1000, 5000, 20_000, 80_000, 200_000)
_MOST_KEYS = 60


class Worker:
    """One thread's operations on keys of its own.

    Args:
        store: A store that nobody else writes to.
        hasty: The same with a short timeout.
        seed: Of what it does.
        folder: For its files.

    Attributes:
        model: What its keys must hold.
        done: How often each operation was done.
        wrong: What was wrong, in words.
        turn: Held during each operation.
    """

    def __init__(self, store: s3kv.Store, hasty: s3kv.Store, seed: int, folder: Path) -> None:
        self.model = Model()
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.turn = threading.Lock()
        self._store = store
        self._hasty = hasty
        self._random = random.Random(seed)
        self._folder = folder
        self._numbers = itertools.count()
        self._choices: dict[Callable[[], None], int] = {
            self.put: 10,
            self.put_if_absent: 4,
            self.put_if_equal: 5,
            self.put_of_a_file: 2,
            self.put_many: 2,
            self.upload: 1,
            self.get: 14,
            self.get_of_a_range: 6,
            self.get_into: 4,
            self.get_ranges: 2,
            self.get_many: 4,
            self.download: 1,
            self.read: 3,
            self.stat: 5,
            self.missing: 3,
            self.list: 2,
            self.scan: 2,
            self.delete: 4,
            self.delete_if_equal: 3,
            self.delete_many: 1,
            self.copy: 3,
            self.modify: 4,
            self.pop: 2,
            self.setdefault: 2,
            self.in_haste: 1,
            self.reopen: 1,
            self.settle: 2,
        }

    def run(self, stop: threading.Event) -> None:
        """Do one operation after the other until told to stop."""
        operations, weights = list(self._choices), list(self._choices.values())
        while not stop.is_set() and len(self.wrong) < 10:
            (operation,) = self._random.choices(operations, weights)
            name = operation.__name__
            try:
                with self.turn:
                    operation()
            except Wrong as wrong:
                self.wrong.append(f"{name}: {wrong}")
            except Exception as error:
                self.wrong.append(f"{name}: {error!r}, caused by {error.__cause__!r}")
            self.done[name] += 1

    def check(self) -> None:
        """Compare all objects with what they must be; nothing may go wrong any more."""
        try:
            self.model.check_all(dict(self._store.items()))
        except (Wrong, s3kv.S3KVError) as error:
            self.wrong.append(str(error))

    # ---------------------------------------------------------------- choices

    def _value(self) -> bytes:
        size = self._random.choice(_SIZES)
        return b"%d " % next(self._numbers) + self._random.randbytes(size)

    def _new(self) -> str:
        return f"{self._random.choice(('', 'a/', 'b c/', 'é+%/'))}{next(self._numbers)}"

    def _some(self) -> str | None:
        """A key that is there for sure."""
        return self._random.choice(list(self.model.objects)) if self.model.objects else None

    def _any(self) -> str:
        """A key that may be written."""
        some = self._some()
        full = len(self.model.objects) >= _MOST_KEYS
        return some if some is not None and (full or self._random.random() < 0.6) else self._new()

    # ---------------------------------------------------------------- writes

    def put(self) -> None:
        key, value = self._any(), self._value()
        with self.model.writing({key: value}):
            self.model.hold(key, value, self._store.put(key, value).generation)

    def put_of_a_file(self) -> None:
        key, value = self._any(), self._value()
        with self.model.writing({key: value}):
            self.model.hold(key, value, self._store.put(key, io.BytesIO(value)).generation)

    def put_if_absent(self) -> None:
        key, value = self._any(), self._value()
        with self.model.writing({key: value}):
            try:
                stamp = self._store.put(key, value, if_absent=True)
            except s3kv.ConditionFailed:
                self.model.check(f"that {key!r} is there", self.model.now(key) is not None, True)
                return
            self.model.check(f"what {key!r} was before if_absent", self.model.now(key), None)
            self.model.hold(key, value, stamp.generation)

    def put_if_equal(self) -> None:
        key, value = self._some(), self._value()
        if key is None or not self.model.objects[key].etag:
            return
        right = self._random.random() < 0.7
        etag = self.model.objects[key].etag if right else '"00000000000000000000000000000000"'
        with self.model.writing({key: value} if right else {}):
            try:
                stamp = self._store.put(key, value, if_equal=etag)
            except s3kv.ConditionFailed:
                self.model.check(f"that the condition on {key!r} failed", True, not right)
                return
            self.model.check(f"that the condition on {key!r} held", True, right)
            self.model.hold(key, value, stamp.generation)

    def put_many(self) -> None:
        items = {self._any(): self._value() for _ in range(self._random.randrange(1, 9))}
        with self.model.writing(items):
            stamps = self._store.put_many(items)
            self.model.check("the keys put", set(stamps), set(items))
            for key, value in items.items():
                self.model.hold(key, value, stamps[key].generation)

    def upload(self) -> None:
        key, value = self._any(), self._value()
        path = self._folder / "up"
        path.write_bytes(value)
        with self.model.writing({key: value}):
            self.model.hold(key, value, self._store.upload(path, key).generation)

    def delete(self) -> None:
        key = self._any()
        with self.model.writing({key: None}):
            self._store.delete(key)
            self.model.hold(key, None)

    def delete_if_equal(self) -> None:
        key = self._some()
        if key is None or not self.model.objects[key].etag:
            return
        right = self._random.random() < 0.7
        etag = self.model.objects[key].etag if right else '"00000000000000000000000000000000"'
        with self.model.writing({key: None} if right else {}):
            try:
                self._store.delete(key, if_equal=etag)
            except s3kv.ConditionFailed:
                self.model.check(f"that the condition on {key!r} failed", True, not right)
                return
            self.model.check(f"that the condition on {key!r} held", True, right)
            self.model.hold(key, None)

    def delete_many(self) -> None:
        keys = {self._any() for _ in range(self._random.randrange(1, 6))}
        with self.model.writing(dict.fromkeys(keys)):
            self.model.check("how many were deleted", self._store.delete_many(keys), len(keys))
            for key in keys:
                self.model.hold(key, None)

    def copy(self) -> None:
        source, target = self._some(), self._any()
        if source is None or source == target:
            return
        value = self.model.objects[source].value
        with self.model.writing({target: value}):
            self.model.hold(target, value, self._store.copy(source, target).generation)

    def modify(self) -> None:
        key, more = self._any(), self._value()
        old = self.model.now(key)
        new = None if self._random.random() < 0.1 else more[:50] + (old or b"")[:1000]
        calls: list[bytes | None] = []

        def change(found: bytes | None) -> bytes | None:
            calls.append(found)
            return new

        with self.model.writing({key: new}):
            stamp = self._store.modify(key, change)
            self.model.check(f"what modify saw of {key!r}", calls, [old])
            self.model.hold(key, new, stamp.generation if new is not None else "")

    def pop(self) -> None:
        key = self._any()
        old = self.model.now(key)
        with self.model.writing({key: None}):
            self.model.check(f"what pop took of {key!r}", self._store.pop(key, None), old)
            self.model.hold(key, None)

    def setdefault(self) -> None:
        key, value = self._any(), self._value()
        old = self.model.now(key)
        with self.model.writing({key: value} if old is None else {}):
            found = self._store.setdefault(key, value)
            self.model.check(f"what setdefault found at {key!r}", found, value if old is None else old)
            if old is None:
                self.model.hold(key, value)

    def in_haste(self) -> None:
        key, value = self._new(), self._value()
        with self.model.writing({key: value}):
            self.model.hold(key, value, self._hasty.put(key, value).generation)

    # ---------------------------------------------------------------- reads

    def get(self) -> None:
        key = self._some()
        if key is not None:
            self.model.check(f"get of {key!r}", self._store.get(key), self.model.now(key))

    def get_of_a_range(self) -> None:
        key = self._some()
        if key is None:
            return
        value = self.model.objects[key].value
        first = self._random.randrange(len(value))
        last = self._random.randrange(first, len(value)) + 1
        for wanted in (slice(first, last), slice(first, None), slice(first - len(value), None)):
            found = self._store.get(key, byte_range=wanted)
            self.model.check(f"{wanted} of {key!r}", found, value[wanted])

    def get_into(self) -> None:
        key = self._some()
        if key is None:
            return
        value = self.model.objects[key].value
        buffer = bytearray(len(value) + 3)
        count = self._store.get_into(key, buffer)
        self.model.check(f"get_into of {key!r}", bytes(buffer[:count]), value)

    def get_ranges(self) -> None:
        key = self._some()
        if key is None:
            return
        value = self.model.objects[key].value
        starts = [self._random.randrange(len(value)) for _ in range(4)]
        ranges = [slice(start, self._random.randrange(start, len(value)) + 1) for start in starts]
        found = self._store.get_ranges(key, ranges)
        self.model.check(f"ranges of {key!r}", found, [value[one] for one in ranges])

    def get_many(self) -> None:
        wanted = self._random.sample(list(self.model.objects), min(8, len(self.model.objects)))
        found = self._store.get_many([*wanted, self._new()], on_missing="skip")
        self.model.check("get_many", found, {key: self.model.now(key) for key in wanted})

    def download(self) -> None:
        key = self._some()
        if key is not None:
            self._store.download(key, self._folder / "down")
            found = (self._folder / "down").read_bytes()
            self.model.check(f"the download of {key!r}", found, self.model.now(key))

    def read(self) -> None:
        key = self._some()
        if key is None:
            return
        held = self.model.objects[key]
        result = self._store.read(key, if_not_equal='"0"')
        self.model.check(f"read of {key!r}", (result.state, result.value), ("value", held.value))
        held.etag = result.stamp.generation
        again = self._store.read(key, if_not_equal=held.etag)
        self.model.check(f"read of {key!r} again", (again.state, again.value), ("unspecified", b""))

    def stat(self) -> None:
        key = self._some()
        if key is None:
            return
        held, info = self.model.objects[key], self._store.stat(key)
        self.model.check(f"the size of {key!r}", info.size, len(held.value))
        if held.etag:
            self.model.check(f"the ETag of {key!r}", info.etag, held.etag)
        held.etag = info.etag

    def missing(self) -> None:
        key = self._new()
        self.model.check(f"the default of {key!r}", self._store.get(key, None), None)
        self.model.check(f"that {key!r} is there", key in self._store, False)
        try:
            self._store.stat(key)
        except s3kv.KeyNotFound:
            return
        raise Wrong(f"stat of {key!r}, which is missing, succeeds")

    def list(self) -> None:
        self.model.check_keys("the listing", self._store.list())

    def scan(self) -> None:
        found = [entry.key for entry in self._store.scan(parallel=self._random.random() < 0.5)]
        self.model.check_keys("the scan", found)

    def settle(self) -> None:
        key = self.model.settled()
        if key is not None:
            self.model.settle(key, self._store.get(key, None))

    def reopen(self) -> None:
        with pickle.loads(pickle.dumps(self._store)) as store:
            self.model.check_keys("the listing of a pickled store", store.list())
