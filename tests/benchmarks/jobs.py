"""The timed work of each style, inside a worker process, and the check that it is done right."""

from __future__ import annotations

import hashlib
import http.client
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from .contenders import ways
from .task import LARGE_KEY, Task, content, large_content, listed_key, small_key

_CHECKED_KEYS = 64


class Job(ABC):
    """One contender with its work."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._names = [small_key(number) for number in range(task.place.keys)]
        self._way: Any = self._build(task)

    def _build(self, task: Task) -> Any:
        """The callable that does it: the same way, of whatever place."""
        (way,) = (way for way in ways(task.client, task.style) if way.name == task.way)
        return way.build(task)

    def warm(self) -> None:
        """Send a small request, so that what follows finds everything loaded."""
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Do a little of the work, and raise AssertionError if the outcome is wrong."""

    @abstractmethod
    def run(self, units: int) -> int:
        """Do the work, and return how many units of it were done. This is what is timed."""

    def after(self) -> None:
        """Let go of what the work left, once the clock has stopped."""
        return

    def _keys(self, units: int) -> list[str]:
        """As many keys as asked for, again from the first when there are no more."""
        return list(islice(cycle(self._names), units))

    def _content(self, key: str) -> bytes:
        return content(self._task.place.content_of or key)


class GetMany(Job):
    """Many small objects by one call."""

    def check(self) -> None:
        keys = self._names[:_CHECKED_KEYS]
        found = self._way(keys)
        assert dict(found) == {key: self._content(key) for key in keys}, "wrong bytes"

    def run(self, units: int) -> int:
        found = self._way(self._keys(units))
        assert len(found) == min(units, len(self._names)), "objects are missing"
        return units


class IterMany(GetMany):
    """Many small objects, none of them kept."""

    def run(self, units: int) -> int:
        # An iterator: the keys themselves are not to take memory.
        done = sum(1 for _ in self._way(islice(cycle(self._names), units)))
        assert done == units, "objects are missing"
        return done


class Get(Job):
    """Small objects one by one, by one or many of the user's threads."""

    def check(self) -> None:
        for key in self._keys(8):
            assert self._way(key) == self._content(key), "wrong bytes"

    def run(self, units: int) -> int:
        threads = self._task.threads
        keys, each = self._keys(units), max(1, units // threads)
        if threads == 1:
            self._call(keys)
            return units
        errors: list[BaseException] = []

        def call(mine: list[str]) -> None:
            try:
                self._call(mine)
            except BaseException as error:
                errors.append(error)

        slices = [keys[start * each : (start + 1) * each] for start in range(threads)]
        callers = [threading.Thread(target=call, args=(mine,)) for mine in slices]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        if errors:
            raise errors[0]
        return sum(map(len, slices))

    def _call(self, keys: list[str]) -> None:
        get, size = self._way, self._task.size
        for key in keys:
            assert len(get(key)) == size, "wrong length"


class GetLarge(Job):
    """One large object as bytes."""

    _found: Any = None

    def warm(self) -> None:
        # A way that fetches parts of the large object cannot fetch a small one.
        first = ways(self._task.client, "get")[0]
        get = first.build(replace(self._task, style="get", way=first.name))
        assert get(small_key(0)) == content(small_key(0)), "wrong bytes"

    def check(self) -> None:
        found = self._way(LARGE_KEY)
        assert hashlib.sha256(found).hexdigest() == self._task.place.digest, "wrong bytes"

    def run(self, units: int) -> int:
        self._found = self._way(LARGE_KEY)
        return 1

    def after(self) -> None:
        assert len(self._found) == self._task.size, "wrong length"
        self._found = None


class GetInto(Job):
    """One large object into a buffer that is used again and again."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._buffer = bytearray(task.size)

    def check(self) -> None:
        self._way(LARGE_KEY, self._buffer)
        assert len(self._buffer) == self._task.size, "wrong length"
        assert hashlib.sha256(self._buffer).hexdigest() == self._task.place.digest, "wrong bytes"

    def run(self, units: int) -> int:
        self._way(LARGE_KEY, self._buffer)
        return 1


class PutMany(Job):
    """Many small objects by one call."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._items = {key: content(key) for key in self._names}

    def check(self) -> None:
        items = dict(islice(self._items.items(), _CHECKED_KEYS))
        self._way(items)  # The server for speed only has to be content.
        with _recorded(self._task, self._build) as (put_many, stored):
            put_many(items)
            assert {key: stored(key) for key in items} == items, "wrong bytes"

    def run(self, units: int) -> int:
        self._way(dict(islice(self._items.items(), units)))
        return units


class PutLarge(Job):
    """One large object."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._body = large_content(task.size)

    def check(self) -> None:
        with _recorded(self._task, self._build) as (put, stored):
            put("verify-large", self._body)
            assert stored("verify-large") == self._body, "wrong bytes"

    def run(self, units: int) -> int:
        self._way("sunk", self._body)
        return 1


class List(Job):
    """All keys of a bucket."""

    def check(self) -> None:
        expected = [listed_key(number) for number in range(self._task.size)]
        assert sorted(self._way()) == expected, "wrong keys"

    def run(self, units: int) -> int:
        return len(self._way())


@contextmanager
def _recorded(task: Task, build: Callable[[Task], Any]) -> Iterator[tuple[Any, Callable[[str], bytes]]]:
    """The contender's callable for the server that keeps what is put, and how to ask it what it has."""
    assert task.place.recorder is not None
    place = replace(task.place, endpoint=task.place.recorder)
    connection = http.client.HTTPConnection(place.address, timeout=60)

    def stored(key: str) -> bytes:
        headers = {"Authorization": "AWS4-HMAC-SHA256"}
        connection.request("GET", f"/{place.bucket}/{key}", headers=headers)
        return connection.getresponse().read()

    with closing(connection):
        yield build(replace(task, place=place)), stored


_JOBS: dict[str, type[Job]] = {
    "get": Get,
    "get_large": GetLarge,
    "get_into": GetInto,
    "get_many": GetMany,
    "get_many_limited": GetMany,
    "iter_many": IterMany,
    "list": List,
    "put_large": PutLarge,
    "put_many": PutMany,
}


def make_job(task: Task) -> Job:
    """The job of a task."""
    return _JOBS[task.style](task)
