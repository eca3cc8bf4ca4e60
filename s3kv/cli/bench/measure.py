"""The measurements: small objects many at once and one by one, listings, and a large object."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any

from ...errors import BatchError, S3KVError
from ...metrics import Histogram
from ...store import Store
from .results import Large, Latencies, Rate, Result

_MIB = 1024**2
# Lengths of the large object; a longer one is taken where the one before it was done soon enough.
_LARGE = (_MIB, 8 * _MIB, 64 * _MIB)
# Single operations, at most.
_MOST_SINGLE = 2000
# So often is it looked whether all that was written is gone.
_MOST_SWEEPS = 3


def begin(store: Store) -> None:
    """Write and read an object: who comes first finds out the region, opens a connection and so on.

    Raises:
        S3KVError: that is not possible.
    """
    store.put("first", b"s3kv")
    store.get("first")


def measure(store: Store, *, seconds: float, size: int, say: Callable[[str], None]) -> Result:
    """Measure a store, which must be an empty place of its own.

    Args:
        seconds: How long each measurement takes, about.
        size: Bytes of each small object.
        say: Told what is going on.

    Raises:
        S3KVError: an operation failed.
    """
    value = os.urandom(size)
    say(f"putting objects of {size:,} bytes for {seconds:g} s")
    written = _put(store, value, seconds)
    say("getting them")
    read = _get(store, written.done, size, seconds)
    say("putting and getting them one by one")
    put_latency = _single(lambda key: store.put(key, value), written.done, seconds / 2)
    get_latency = _single(store.get, written.done, seconds / 2)
    say("listing them")
    listed = _list(store, seconds)
    say("putting and getting a large object")
    large = _measure_large(store, seconds)
    metrics = store.metrics
    limit = store._core._find_executor().limit
    reached: Any = metrics["in_flight_limit"]
    return Result(size, limit, int(reached), written, read, listed, put_latency, get_latency, large)


def _put(store: Store, value: bytes, seconds: float) -> Rate:
    end = time.perf_counter() + seconds

    def items() -> Iterator[tuple[str, bytes]]:
        for number in count():
            # One at least, however little time there is.
            if number and time.perf_counter() >= end:
                return
            yield _key(number), value

    with _Meter(store, "write_latency_ms") as meter:
        done = len(_first_error(lambda: store.put_many(items())))
    return meter.rate(done, done * len(value))


def _get(store: Store, written: int, size: int, seconds: float) -> Rate:
    end = time.perf_counter() + seconds

    def keys() -> Iterator[str]:
        for number in cycle(range(written)):
            yield _key(number)
            if time.perf_counter() >= end:
                return

    with _Meter(store, "read_latency_ms") as meter:
        done = _first_error(lambda: sum(1 for _ in store.iter_many(keys())))
    return meter.rate(done, done * size)


def _list(store: Store, seconds: float) -> Rate:
    end = time.perf_counter() + seconds
    done = 0
    with _Meter(store, "") as meter:
        while not done or time.perf_counter() < end:
            done += len(store.list())
    return meter.rate(done, 0)


def _single(operation: Callable[[str], object], written: int, seconds: float) -> Latencies:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    for number in range(_MOST_SINGLE):
        # Not those that were used last.
        begun = time.perf_counter()
        operation(_key(number * 7919 % written))
        ended = time.perf_counter()
        taken.append(ended - begun)
        if ended >= end:
            break
    return Latencies(tuple(sorted(taken)))


def _measure_large(store: Store, seconds: float) -> Large:
    result: Large | None = None
    for size in _LARGE:
        # It would take as much longer as it is larger.
        if result is not None and (result.put + result.get) * size / result.size > seconds:
            break
        value = memoryview(os.urandom(_MIB) * (size // _MIB))
        begun = time.perf_counter()
        store.put("large", value)
        between = time.perf_counter()
        buffer = bytearray(size)
        again = time.perf_counter()
        store.get_into("large", buffer)
        result = Large(size, between - begun, time.perf_counter() - again)
    assert result is not None
    return result


def _key(number: int) -> str:
    return f"small/{number:08}"


def _first_error(operation: Callable[[], Any]) -> Any:
    """What an operation returns; of what fails in a batch, the first."""
    try:
        return operation()
    except BatchError as error:
        first = next(iter(error.errors.values()))
        raise first from error


def clean_up(store: Store) -> str:
    """Remove everything that was written.

    Returns:
        Why some of it is still there; empty if it is not.
    """
    try:
        for _ in range(_MOST_SWEEPS):
            # A request that was under way may have been carried out after its object was looked for.
            if not store.delete_prefix(""):
                break
    except S3KVError as error:
        return str(error)
    return ""


class _Meter:
    """Measures time, computing, retries and latencies of what is done in a block.

    Args:
        histogram: The metric of the latencies; empty for none.
    """

    def __init__(self, store: Store, histogram: str) -> None:
        self._store = store
        self._histogram = histogram

    def __enter__(self) -> _Meter:
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        self._after = self._look()

    def _look(self) -> tuple[float, float, int, int, float]:
        metrics = self._store.metrics
        found = metrics[self._histogram] if self._histogram else None
        number, total = (found.count, found.sum) if isinstance(found, Histogram) else (0, 0.0)
        retries: Any = metrics["retries"]
        return time.perf_counter(), time.process_time(), int(retries), number, total

    def rate(self, done: int, size: int) -> Rate:
        """What was measured, for so many things of so many bytes in all."""
        seconds, cpu, retries, number, total = (
            after - before for before, after in zip(self._before, self._after, strict=True)
        )
        latency = total / number / 1e3 if number else 0.0
        return Rate(done, seconds, size, cpu, latency, int(retries))
