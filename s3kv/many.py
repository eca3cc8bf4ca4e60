"""What a store does with many keys at once: batches of gets, puts and deletions."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, TypeVar

from .buffers import let_go
from .byterange import WHOLE
from .errors import BatchError, InvalidKey, S3KVError
from .keyrange import KeyRange
from .keys import MAX_KEY_BYTES, check_key, key_text, plain
from .listings import Listings
from .messages import Body
from .operations.delete_many import MAX_KEYS, delete_objects
from .operations.read import Found, get_object
from .operations.stat import Missing
from .operations.write import put_object
from .payload import LARGE_VALUE, Source, open_value
from .pipeline.batch import Entry
from .progress import Progress, show_progress
from .reading import PART_BYTES, Reading, Replaced, Unsplittable
from .sigv4 import EMPTY_SHA256
from .values import TimestampedStorageGeneration
from .writing import Writing

T = TypeVar("T")

OnMissing = Literal["raise", "skip"]


class Batches(Listings, Writing, Reading):
    """The methods of a store that are about many keys each."""

    __slots__ = ()

    # ---------------------------------------------------------------- gets

    def get_many(
        self, keys: Iterable[str | bytes], *, on_missing: OnMissing = "raise", progress: bool = False
    ) -> dict[str, bytes]:
        """The bytes of many objects, fetched in parallel.

        Args:
            keys: Taken as they are needed; each is fetched once, however often it comes.
            on_missing: What to do with keys that no object has: ``"raise"`` (default) them with the other
                errors, as ``KeyNotFound``, or ``"skip"`` them.
            progress: Show a progress bar (the ``progress`` extra), on a terminal or in a notebook. Default
                False.

        Returns:
            The objects by key, in the order in which they came.

        Raises:
            BatchError: some keys failed; ``errors`` and ``results`` have what became of each.
            TypeError: ``keys`` is one key, and not many.

        Example:
            >>> stamps = store.put_many({"a": b"1", "b": b"2"})
            >>> store.get_many(["a", "b", "c"], on_missing="skip") == {"a": b"1", "b": b"2"}
            True
        """
        _check_many(keys)
        errors: dict[str, Exception] = {}
        bar = show_progress(progress, "get", keys)
        results = dict(self._fetch(keys, on_missing, errors, bar, once=True))
        if errors:
            raise failed("get", errors, results)
        return results

    def iter_many(
        self, keys: Iterable[str | bytes], *, on_missing: OnMissing = "raise", progress: bool = False
    ) -> Iterator[tuple[str, bytes]]:
        """The bytes of many objects, fetched in parallel, each as soon as it is there.

        Twice as many are held in memory at most as can be in flight; of objects of up to 64 KiB, four times
        as many.

        Args:
            keys: Taken as they are needed.
            on_missing: As for :meth:`get_many`.
            progress: As for :meth:`get_many`.

        Returns:
            An iterator of (key, bytes), in the order in which they came.

        Raises:
            BatchError: after all that succeeded: some keys failed; ``errors`` has why.
            TypeError: ``keys`` is one key, and not many.

        Example:
            >>> stamps = store.put_many((f"run-{number}", bytes(1000)) for number in range(50))
            >>> sum(len(value) for key, value in store.iter_many(store.list("run-")))
            50000
        """
        _check_many(keys)
        _check_on_missing(on_missing)
        return self._iterate(keys, on_missing, progress)

    def _iterate(
        self, keys: Iterable[str | bytes], on_missing: OnMissing, progress: bool
    ) -> Iterator[tuple[str, bytes]]:
        errors: dict[str, Exception] = {}
        yield from self._fetch(keys, on_missing, errors, show_progress(progress, "get", keys))
        if errors:
            raise failed("get", errors, {})

    def _fetch(
        self,
        keys: Iterable[str | bytes],
        on_missing: OnMissing,
        errors: dict[str, Exception],
        bar: Progress,
        *,
        in_order: bool = False,
        once: bool = False,
    ) -> Iterator[tuple[str, bytes]]:
        """(key, bytes) of each object, once for each key if asked so; what fails goes into ``errors``."""
        _check_on_missing(on_missing)
        core, path, timeout = self._core, self._path, self._timeout

        def valid() -> Iterator[tuple[str, str]]:
            seen: set[str] = set()
            for key in keys:
                try:
                    name = key if type(key) is str else key_text(key)
                    if once:
                        if name in seen:
                            continue
                        seen.add(name)
                    full = path + name
                    if not full.isascii() or not 0 < len(full) <= MAX_KEY_BYTES:
                        full = check_key(path, name)
                    yield name, full
                except InvalidKey as error:
                    errors[_shown(key)] = error

        def begin(item: tuple[str, str]) -> Entry[tuple[str, str]]:
            name, full = item
            return core.entry(
                item,
                get_object,
                name,
                timeout,
                full,
                WHOLE,
                (),
                None,
                PART_BYTES,
                express=core.gets,
                asked=(full, b"", EMPTY_SHA256, PART_BYTES),
            )

        self._check_open()
        with bar:
            for entry in core.batch(
                begin, valid(), timeout, in_order=in_order, weigh=_received, limiter=core.rates.reads
            ):
                name = entry.item[0]
                found = entry.result
                if entry.error is not None:
                    errors[name] = _ours(entry.error)
                elif type(found) is Missing:
                    if on_missing == "raise":
                        errors[name] = found.error
                else:
                    if found.rest:
                        found = self._read_rest(name, entry.item[1], found, errors, on_missing)
                        if found is None:
                            bar.step(0)
                            continue
                    bar.step(len(found.value))
                    yield name, found.value
                    continue
                bar.step(0)

    def _read_rest(
        self, name: str, full: str, found: Found, errors: dict[str, Exception], on_missing: OnMissing
    ) -> Found | None:
        """A large object read to its end, or None and the error filed.

        The store's timeout goes on counting; while the object waited for its turn, it did not.
        """
        started = self._core.clock.monotonic() - found.spent
        try:
            try:
                again: Found | Missing = self._complete(name, full, found, started, [])
            except (Replaced, Unsplittable):
                again = self._read_object(name, full, WHOLE, since=started)
        except Exception as error:
            errors[name] = error
            return None
        if isinstance(again, Missing):
            if on_missing == "raise":
                errors[name] = again.error
            return None
        return again

    # ---------------------------------------------------------------- puts

    def put_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str | bytes, Any]],
        *,
        progress: bool = False,
    ) -> dict[str, TimestampedStorageGeneration]:
        """Write many objects in parallel, whatever was there before.

        Args:
            items: A mapping, or an iterable of (key, value) pairs, taken as there is room; of pairs with
                the same key the last one stays.
            progress: As for :meth:`get_many`.

        Returns:
            What :meth:`put` returns, by key.

        Raises:
            BatchError: some keys failed; ``errors`` and ``results`` have what became of each.

        Example:
            >>> stamps = store.put_many({"a": b"1", "b": b"2"})
            >>> sorted(stamps)
            ['a', 'b']
            >>> stamps["a"].generation == store.stat("a").etag
            True
        """
        core, path, timeout = self._core, self._path, self._timeout
        errors: dict[str, Exception] = {}
        results: dict[str, TimestampedStorageGeneration] = {}
        # Keys of which a put is under way: another one must come after it.
        active: set[str] = set()
        # Keys whose last pair so far cannot be put.
        spoilt: set[str] = set()
        # A value that is not sent in one request: it has the batch for itself.
        large: list[tuple[str, Body | Source]] = []
        outer = sys.exc_info()[1]

        def valid() -> Iterator[tuple[str, str, Body]]:
            for key, value in pairs:
                if type(key) is str and type(value) is bytes and len(value) <= LARGE_VALUE:
                    # Nearly all of them.
                    full = path + key
                    if full.isascii() and 0 < len(full) <= MAX_KEY_BYTES:
                        yield key, full, value
                        continue
                if not isinstance(key, (str, bytes)):
                    key_text(key)
                try:
                    name = key_text(key)
                    full = check_key(path, name)
                    opened = open_value(value)
                except Exception as error:
                    # Whatever a file may raise when it is read is that key's error, too.
                    if isinstance(error, (S3KVError, TypeError)):
                        # One of ours: it says it all, and its frames lead to those that hold other values.
                        let_go(error, outer)
                    spoilt.add(_shown(key))
                    errors[_shown(key)] = error
                    results.pop(_shown(key), None)
                    continue
                body = opened.whole if isinstance(opened, Source) else opened
                if body is None or len(body) > LARGE_VALUE:
                    large.append((name, opened))
                    return
                yield name, full, body
                # The errors of other keys hold this frame, and would keep a value from being resized.
                del value, opened, body

        def begin(item: tuple[str, str, Body]) -> Entry[tuple[str, str, Body]] | None:
            name, full, body = item
            if name in active:
                return None
            active.add(name)
            spoilt.discard(name)
            digest = core.copies.sha256(body)
            return core.entry(
                item,
                put_object,
                name,
                timeout,
                full,
                body,
                digest,
                (),
                express=core.puts,
                asked=(full, body, digest, 0),
            )

        def ended(name: str, stamp: Any, error: BaseException | None) -> None:
            if error is not None:
                errors[name] = _ours(error)
                results.pop(name, None)
            else:
                results[name] = stamp
                errors.pop(name, None)

        self._check_open()
        bar = show_progress(progress, "put", items)
        with bar:
            pairs = iter(items.items() if isinstance(items, Mapping) else items)
            while True:
                for entry in core.batch(begin, valid(), timeout, weigh=_sent, limiter=core.rates.writes):
                    name = entry.item[0]
                    active.discard(name)
                    # Where a pair that cannot be put came later, that is what counts.
                    if name not in spoilt:
                        ended(name, entry.result, entry.error)
                    bar.step(len(entry.item[2]))
                    # The same goes for this frame.
                    del entry
                if not large:
                    break
                name, opened = large.pop()
                spoilt.discard(name)
                try:
                    ended(name, self._put_opened(name, opened), None)
                except Exception as error:
                    ended(name, None, error)
                bar.step(0)
        if errors:
            raise failed("put", errors, results)
        return results

    # ---------------------------------------------------------------- deletions

    def delete_many(self, keys: Iterable[str | bytes], *, progress: bool = False) -> int:
        """Delete many objects, up to 1,000 in one request. Keys that no object has are no errors.

        Args:
            keys: Taken as they are needed.
            progress: As for :meth:`get_many`.

        Returns:
            How many keys the store says are deleted.

        Raises:
            BatchError: some keys failed; ``errors`` has why, ``results`` is empty.
            TypeError: ``keys`` is one key: the keys that are its characters are not to be deleted.

        Example:
            >>> stamps = store.put_many({"a": b"1", "b": b"2"})
            >>> store.delete_many(["a", "b", "no such key"])
            3
            >>> store.list()
            []
        """
        _check_many(keys)
        core, path, timeout = self._core, self._path, self._timeout
        skip = len(path)
        errors: dict[str, Exception] = {}
        count = 0

        def valid() -> Iterator[str]:
            for key in keys:
                try:
                    yield check_key(path, key_text(key))
                except InvalidKey as error:
                    errors[_shown(key)] = error

        def chunks() -> Iterator[list[str]]:
            every = valid()
            while chunk := list(dict.fromkeys(islice(every, MAX_KEYS))):
                yield chunk

        def begin(chunk: list[str]) -> Entry[list[str]]:
            return core.entry(chunk, delete_objects, None, timeout, chunk, skip)

        self._check_open()
        bar = show_progress(progress, "delete", keys)
        with bar:
            for entry in core.batch(begin, chunks(), timeout, limiter=core.rates.writes):
                chunk = entry.item
                wrong: Mapping[str, Exception] = entry.result
                if entry.error is not None:
                    wrong = dict.fromkeys(chunk, _ours(entry.error))
                for full, error in wrong.items():
                    errors[full[skip:]] = _about(error, full[skip:])
                count += len(chunk) - len(wrong)
                bar.step(0, len(chunk))
        if errors:
            raise failed("delete", errors, {})
        return count

    def delete_range(self, range: KeyRange) -> int:
        """Delete every object whose key is in a range; listed and deleted at the same time.

        Args:
            range: Relative to the store's path.

        Returns:
            How many keys the store says are deleted.

        Raises:
            BatchError: some keys failed; ``errors`` has why.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamps = store.put_many({"2026-01": b"1", "2026-02": b"2", "2026-03": b"3"})
            >>> store.delete_range(s3kv.KeyRange("2026-01", "2026-03"))
            2
            >>> store.list()
            ['2026-03']
        """
        if not isinstance(range, KeyRange):
            raise TypeError(f"range is a KeyRange, not {type(range).__name__}")
        self._core.recorder.count("delete_range")
        return self.delete_many(key for page in self._pages(range, None) for key in page.keys)

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with ``prefix``; listed and deleted at the same time.

        Args:
            prefix: Relative to the store's path; the empty one is every key.

        Returns:
            How many keys the store says are deleted.

        Raises:
            BatchError, PermissionDenied, …: as for :meth:`delete_range`.

        Example:
            >>> stamps = store.put_many({"old/a": b"1", "old/b": b"2", "new/a": b"3"})
            >>> store.delete_prefix("old/")
            2
        """
        return self.delete_range(KeyRange.prefix(prefix))


def _received(entry: Entry[Any]) -> int:
    """The bytes that a read holds."""
    found = entry.result
    return len(found.value) if isinstance(found, Found) else 0


def _sent(entry: Entry[tuple[str, str, Body]]) -> int:
    """The bytes that a write holds."""
    return len(entry.item[2])


def _about(error: Exception, key: str) -> Exception:
    """One error of many keys as one of a key's own."""
    if not isinstance(error, S3KVError) or error.key == key:
        return error
    own = copy.copy(error)
    own.key = key
    own.__cause__ = error.__cause__
    return own


def _check_many(keys: object) -> None:
    """Raise a TypeError for what is one key: its characters are not what is meant."""
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"keys are many, for instance a list, not one {type(keys).__name__}")


def _check_on_missing(on_missing: object) -> None:
    if on_missing not in ("raise", "skip"):
        raise ValueError(f"on_missing is {on_missing!r}: allowed are 'raise' and 'skip'")


def _shown(key: str | bytes) -> str:
    """A key as errors are filed under it, be it no UTF-8."""
    return plain(key) if isinstance(key, str) else key.decode("utf-8", "backslashreplace")


def _ours(error: BaseException) -> Exception:
    """An operation's error as one of a batch; anything that is no ordinary error ends the batch."""
    if isinstance(error, Exception):
        return error
    raise error


def failed(what: str, errors: dict[str, Exception], results: dict[str, Any]) -> BatchError:
    """The error for a batch of which some keys failed.

    Args:
        what: What they failed to do.
    """
    key, first = next(iter(errors.items()))
    shown = key if len(key) <= 80 else f"{key[:80]}…"
    keys = "key" if len(errors) == 1 else "keys"
    message = f"{len(errors):,} {keys} failed to {what}; the first, {shown!r}: {str(first)[:500]}"
    return BatchError(message, errors=errors, results=results)
