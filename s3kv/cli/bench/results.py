"""What was measured, as frozen values."""

from __future__ import annotations

from typing import Any, NamedTuple

# The percentiles that are shown.
PERCENTILES = (50, 95, 99)


class Rate(NamedTuple):
    """Many small operations, as many at once as the store's limit allows.

    Attributes:
        done: How many objects, or keys of listings.
        seconds: How long they took in all.
        bytes: Of objects, in all.
        cpu: Seconds that this process computed.
        latency: Seconds that one took, on average, while the others were in flight; 0 where it is unknown.
        retries: Attempts that had to be made again.
    """

    done: int
    seconds: float
    bytes: int
    cpu: float
    latency: float
    retries: int

    @property
    def per_second(self) -> float:
        """How many a second."""
        return self.done / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """How many bytes a second."""
        return self.bytes / self.seconds

    @property
    def cpu_share(self) -> float:
        """How busy one processor would have been, 1 for all the time."""
        return self.cpu / self.seconds


class Latencies(NamedTuple):
    """How long single operations took, one after the other.

    Attributes:
        seconds: Of each, sorted; at least one.
    """

    seconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Seconds that so many percent of them did not exceed."""
        place = -(-len(self.seconds) * percent // 100)
        return self.seconds[max(0, int(place) - 1)]


class Large(NamedTuple):
    """One large object, in parts.

    Attributes:
        size: Its length in bytes.
        put: Seconds to write it.
        get: Seconds to read it.
    """

    size: int
    put: float
    get: float

    @property
    def put_rate(self) -> float:
        """Bytes written a second."""
        return self.size / self.put

    @property
    def get_rate(self) -> float:
        """Bytes read a second."""
        return self.size / self.get


class Result(NamedTuple):
    """All of it.

    Attributes:
        size: Bytes of each small object.
        concurrency: How many requests may be in flight.
        reached: How many may be at the end, after the store has refused some.
        put: Small objects written.
        get: Small objects read.
        list: Keys listed.
        put_latency: Single writes.
        get_latency: Single reads.
        large: One large object.
    """

    size: int
    concurrency: int
    reached: int
    put: Rate
    get: Rate
    list: Rate
    put_latency: Latencies
    get_latency: Latencies
    large: Large

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object; times in seconds unless their name says otherwise."""
        return {
            "size": self.size,
            "concurrency": self.concurrency,
            **{
                name: {
                    "count": rate.done,
                    "seconds": rate.seconds,
                    "per_second": rate.per_second,
                    "bytes_per_second": rate.bytes_per_second,
                    "cpu_share": rate.cpu_share,
                    "mean_latency_ms": rate.latency * 1e3,
                    "retries": rate.retries,
                }
                for name, rate in (("put", self.put), ("get", self.get), ("list", self.list))
            },
            "single": {
                name: {
                    "count": len(latencies.seconds),
                    **{f"p{percent}_ms": latencies.percentile(percent) * 1e3 for percent in PERCENTILES},
                }
                for name, latencies in (("put", self.put_latency), ("get", self.get_latency))
            },
            "large": {
                "size": self.large.size,
                "put_bytes_per_second": self.large.put_rate,
                "get_bytes_per_second": self.large.get_rate,
            },
        }
