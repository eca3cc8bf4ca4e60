"""What stores have done so far: counters and latencies, under TensorStore's names.

https://google.github.io/tensorstore/kvstore/s3/index.html
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import add

from . import forksafe
from .weak import living

#: What the names of TensorStore's own metrics begin with.
PREFIX = "/tensorstore/kvstore/s3/"
#: What the names of those begin with that only s3kv has.
OURS = "/s3kv/"

# Upper bounds in milliseconds, each bucket twice as wide as the one before it.
BOUNDS = tuple(float(2**n) for n in range(18))

_SECONDS = tuple(bound / 1000.0 for bound in BOUNDS)

# S3's operations, by what they are to TensorStore.
_READS = frozenset({"GetObject"})
_WRITES = frozenset({"PutObject", "DeleteObject", "CompleteMultipartUpload", "CopyObject"})
_SENDS = frozenset({"PutObject", "UploadPart"})

# So many records are kept before they are added up.
_MANY = 512

_COUNTERS = {
    "read": "objects read, or parts of them",
    "write": "objects written or deleted",
    "delete_range": "ranges of keys deleted",
    "list": "listings",
    "bytes_read": "bytes of objects received",
    "bytes_written": "bytes of objects sent",
    "retries": "attempts after the first",
}
_HISTOGRAMS = {
    "read_latency_ms": "milliseconds a read took, retries included",
    "write_latency_ms": "milliseconds a write took, retries included",
}
_OWN = {
    "requests": "requests answered or given up, of any kind",
    "failures": "requests given up",
}
_GAUGES = {
    "in_flight": "requests in flight now",
    "in_flight_limit": "requests that may be in flight now; fewer than configured after a 503 or 429",
}


#: One request from its first attempt to its end: S3's name of the operation, seconds, how often sent,
#: bytes of an object received and sent, whether it was given up. Plain, for there is one for each.
Record = tuple[str, float, int, int, int, bool]


class Histogram:
    """How many values there were of which size.

    Attributes:
        count: How many values (int).
        sum: Their sum (float).
        buckets: How many of them were at most each of :data:`BOUNDS`, and over the one before it; the last
            is for those over the last bound (tuple of int).

    Example:
        >>> store["a.txt"] = b"hello"
        >>> latency = store.metrics["write_latency_ms"]
        >>> latency.count, latency.sum > 0, sum(latency.buckets)
        (1, True, 1)
    """

    __slots__ = ("buckets", "count", "sum")

    def __init__(self, total: float, buckets: Sequence[int]) -> None:
        self.count = sum(buckets)
        self.sum = total
        self.buckets = tuple(buckets)

    @property
    def mean(self) -> float:
        """Their mean (float); 0 if there are none.

        Example:
            >>> store.metrics["read_latency_ms"].mean
            0.0
        """
        return self.sum / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """A bound that a share of the values does not exceed.

        Args:
            share: From 0 to 1.

        Returns:
            The least of :data:`BOUNDS` that will do (float); infinite where none does, 0 if there are no
            values.

        Example:
            >>> store["a.txt"] = b"hello"
            >>> store.metrics["write_latency_ms"].quantile(0.99) >= 1
            True
        """
        seen = 0
        for bound, count in zip((*BOUNDS, float("inf")), self.buckets, strict=True):
            seen += count
            if seen and seen >= share * self.count:
                return bound
        return 0.0

    def __repr__(self) -> str:
        return f"<{self.count:,} values, mean {self.mean:.1f}, 99 % up to {self.quantile(0.99):g}>"


class _Totals:
    """Sums of records. Guarded by the lock of whoever has it."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys([*_COUNTERS, *_OWN], 0)
        self.buckets = {name: [0] * (len(BOUNDS) + 1) for name in _HISTOGRAMS}
        self.sums = dict.fromkeys(_HISTOGRAMS, 0.0)

    def add(self, records: Sequence[Record]) -> None:
        counts = self.counts
        counts["requests"] += len(records)
        retries = failures = bytes_read = bytes_written = 0
        latencies: dict[str, list[float]] = {"read": [], "write": []}
        reads, writes = latencies.values()
        for operation, seconds, attempts, received, sent, failed in records:
            retries += attempts - 1 if attempts > 1 else 0
            failures += failed
            if operation in _READS:
                reads.append(seconds)
                bytes_read += received
            elif operation in _WRITES:
                writes.append(seconds)
            if sent and operation in _SENDS:
                bytes_written += sent
        counts["retries"] += retries
        counts["failures"] += failures
        counts["bytes_read"] += bytes_read
        counts["bytes_written"] += bytes_written
        for name, values in latencies.items():
            counts[name] += len(values)
            self.sums[f"{name}_latency_ms"] += 1000.0 * sum(values)
            buckets = self.buckets[f"{name}_latency_ms"]
            for value in values:
                buckets[bisect_left(_SECONDS, value)] += 1

    def merge(self, other: _Totals) -> None:
        """Add other sums to these."""
        for name, count in other.counts.items():
            self.counts[name] += count
        for name, total in other.sums.items():
            self.sums[name] += total
            self.buckets[name] = list(map(add, self.buckets[name], other.buckets[name]))


class Recorder:
    """Takes what one opened bucket's requests tell, and adds it up when somebody looks.

    Mutable state: ``_records``, to which threads append by single steps of the interpreter; the totals,
    its own and the process's, are guarded by the module's ``_lock``.

    Args:
        in_flight: Tells how many requests are in flight.
        limit: Tells how many may be.
    """

    def __init__(self, in_flight: Callable[[], int], limit: Callable[[], int]) -> None:
        self._in_flight = in_flight
        self._limit = limit
        self.after_fork()
        forksafe.register(self)
        _recorders.add(self)

    def after_fork(self) -> None:
        """Forget what the parent did."""
        self._records: deque[Record] = deque()
        self._totals = _Totals()

    def record(self, record: Record) -> None:
        """Take the record of a request."""
        records = self._records
        records.append(record)
        if len(records) > _MANY and _lock.acquire(False):
            try:
                self._add_up()
            finally:
                _lock.release()

    def count(self, name: str, number: int = 1) -> None:
        """Count what is no single request: a call of the user's, or the keys of a request."""
        with _lock:
            self._totals.counts[name] += number
            _process.counts[name] += number

    def _add_up(self) -> None:
        """Under the lock."""
        records = self._records
        # Others go on appending; what they append meanwhile is for the next time.
        some = _Totals()
        some.add([records.popleft() for _ in range(len(records))])
        self._totals.merge(some)
        _process.merge(some)

    def metrics(self) -> Metrics:
        """All so far."""
        with _lock:
            self._add_up()
            values = _values(self._totals)
        values[OURS + "in_flight"] = self._in_flight()
        values[OURS + "in_flight_limit"] = self._limit()
        return Metrics(values)

    def __del__(self) -> None:
        # Nobody else has it any more; what it has not yet told the process would be lost.
        with contextlib.suppress(Exception), _lock:
            self._add_up()


class Metrics(Mapping[str, "int | Histogram"]):
    """Counters and histograms at one moment: a mapping from their names to their values.

    Names are TensorStore's, such as ``/tensorstore/kvstore/s3/read``; the last part alone will do.
    Values are ``int``, or a :class:`Histogram` of milliseconds.

    Example:
        >>> store["a.txt"] = b"hello"
        >>> store["a.txt"]
        b'hello'
        >>> metrics = store.metrics
        >>> metrics["read"], metrics["/tensorstore/kvstore/s3/bytes_written"], metrics["retries"]
        (1, 5, 0)
        >>> metrics["read_latency_ms"]
        <1 values, mean ..., 99 % up to ...>
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, int | Histogram]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> int | Histogram:
        for prefix in ("", PREFIX, OURS):
            if prefix + name in self._values:
                return self._values[prefix + name]
        raise KeyError(f"{name!r} is no metric; there are {', '.join(self._values)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def prometheus(self) -> str:
        """All of them in Prometheus's text format.

        https://prometheus.io/docs/instrumenting/exposition_formats/

        Returns:
            The text (str).

        Example:
            >>> print(store.metrics.prometheus())
            # HELP tensorstore_kvstore_s3_read objects read, or parts of them
            # TYPE tensorstore_kvstore_s3_read counter
            tensorstore_kvstore_s3_read 0
            ...
        """
        lines = []
        for name, value in self._values.items():
            short = name.rpartition("/")[2]
            shown = name.strip("/").replace("/", "_")
            kind = (
                "histogram" if isinstance(value, Histogram) else "gauge" if short in _GAUGES else "counter"
            )
            lines += [f"# HELP {shown} {_ALL[short]}", f"# TYPE {shown} {kind}"]
            if isinstance(value, int):
                lines.append(f"{shown} {value}")
                continue
            seen = 0
            for bound, count in zip(BOUNDS, value.buckets, strict=False):
                seen += count
                lines.append(f'{shown}_bucket{{le="{bound:g}"}} {seen}')
            lines += [
                f'{shown}_bucket{{le="+Inf"}} {value.count}',
                f"{shown}_sum {value.sum!r}",
                f"{shown}_count {value.count}",
            ]
        return "\n".join(lines) + "\n"

    def _rows(self) -> list[tuple[str, str]]:
        return [
            (name, f"{value:,}" if isinstance(value, int) else repr(value)[1:-1])
            for name, value in self._values.items()
        ]

    def __repr__(self) -> str:
        width = max(map(len, self._values), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        from .tables import table

        return table(("metric", "value"), self._rows())


def process_metrics() -> Metrics:
    """What all stores of this process have done so far, those that are gone included (a :class:`Metrics`).

    Example:
        >>> from s3kv.metrics import process_metrics
        >>> process_metrics()["bytes_read"] >= 0
        True
    """
    recorders = living(_recorders)
    with _lock:
        for recorder in recorders:
            recorder._add_up()
        return Metrics(_values(_process))


def _values(totals: _Totals) -> dict[str, int | Histogram]:
    """Under the lock."""
    values: dict[str, int | Histogram] = {PREFIX + name: totals.counts[name] for name in _COUNTERS}
    for name, buckets in totals.buckets.items():
        values[PREFIX + name] = Histogram(totals.sums[name], buckets)
    for name in _OWN:
        values[OURS + name] = totals.counts[name]
    return values


class _Fork:
    """Forgets, in a forked child, what the parent did."""

    def after_fork(self) -> None:
        global _lock, _process
        _lock = threading.RLock()
        _process = _Totals()


_ALL = {**_COUNTERS, **_HISTOGRAMS, **_OWN, **_GAUGES}
# Guards all totals. Reentrant: a recorder may be collected in the middle of adding up.
_lock = threading.RLock()
_process = _Totals()
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
_fork = _Fork()
forksafe.register(_fork)
