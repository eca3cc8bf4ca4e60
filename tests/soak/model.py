"""What one thread's keys must hold: it alone writes them, so each answer can be checked."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import s3kv

# After these nobody can say whether a write was done.
MAYBE = (s3kv.OutcomeUnknown, s3kv.RetriesExhausted, s3kv.DeadlineExceeded)


# Seconds after which a request that was given up is not carried out any more.
_SETTLES = 10.0


class Wrong(Exception):
    """The store said or did something that it must not."""


class Object:
    """An object that is there for sure.

    Attributes:
        value: Its bytes.
        etag: Its generation; empty where it was not told.
    """

    __slots__ = ("etag", "value")

    def __init__(self, value: bytes, etag: str = "") -> None:
        self.value = value
        self.etag = etag


class Model:
    """The keys of one thread, which alone uses it.

    Attributes:
        objects: What is there for sure; any other key that is not in doubt is missing for sure.
        doubtful: What each key may hold, None for nothing, where no more is known. Such a key is not
            written for a while: a request that was given up may still be carried out.
        maybes: How many errors left it open what was done, by class.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.doubtful: dict[str, set[bytes | None]] = {}
        self._since: dict[str, float] = {}
        self.maybes: Counter[str] = Counter()

    def now(self, key: str) -> bytes | None:
        """What a key that is not in doubt holds."""
        found = self.objects.get(key)
        return None if found is None else found.value

    def hold(self, key: str, value: bytes | None, etag: str = "") -> None:
        """A key holds this now; None for nothing."""
        if value is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = Object(value, etag)

    def doubt(self, key: str, new: bytes | None) -> None:
        """A key holds what it held, or this."""
        self.doubtful[key] = {self.now(key), new}
        self._since[key] = time.monotonic()
        self.objects.pop(key, None)

    def settled(self) -> str | None:
        """A key that was in doubt for so long that nothing happens to it any more; None for none."""
        key = next(iter(self._since), None)
        return None if key is None or time.monotonic() - self._since[key] < _SETTLES else key

    def settle(self, key: str, found: bytes | None) -> None:
        """Hold what a key that was in doubt turns out to hold."""
        if found not in self.doubtful[key]:
            raise Wrong(f"{key!r} is {_shown(found)}, which was never possible")
        del self.doubtful[key], self._since[key]
        self.hold(key, found)

    @contextlib.contextmanager
    def writing(self, changes: Mapping[str, bytes | None]) -> Iterator[None]:
        """Note what is in doubt if the block ends with an error that leaves it open."""
        try:
            yield
        except s3kv.BatchError as error:
            for key, value in changes.items():
                failed = error.errors.get(key)
                if failed is None:
                    self.hold(key, value)
                elif isinstance(failed, MAYBE):
                    self.maybes[type(failed).__name__] += 1
                    self.doubt(key, value)
                else:
                    raise Wrong(f"{key!r} failed: {failed!r}") from failed
        except MAYBE as error:
            self.maybes[type(error).__name__] += 1
            for key, value in changes.items():
                self.doubt(key, value)

    def check(self, what: str, found: object, expected: object) -> None:
        """Compare an answer with what it must be."""
        if found != expected:
            raise Wrong(f"{what} is {_shown(found)} and must be {_shown(expected)}")

    def check_keys(self, what: str, found: list[str]) -> None:
        """Compare a listing, which may have keys in doubt, with what it must be."""
        if found != sorted(set(found)):
            raise Wrong(f"{what} is not sorted, or has a key twice: {found}")
        sure = [key for key in found if key not in self.doubtful]
        if sure != sorted(self.objects):
            missing, more = sorted(set(self.objects) - set(sure)), sorted(set(sure) - set(self.objects))
            raise Wrong(f"{what} lacks {missing} and has {more} too many")

    def check_all(self, found: Mapping[str, bytes]) -> None:
        """Compare all that there is in the end with what there must be."""
        self.check_keys("the last listing", sorted(found))
        for key, held in self.objects.items():
            self.check(f"in the end, {key!r}", found[key], held.value)
        for key, possible in self.doubtful.items():
            if found.get(key) not in possible:
                raise Wrong(f"in the end, {key!r} is {_shown(found.get(key))}, which was never possible")


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:40]!r}"
    return f"{value!r:.200}"
