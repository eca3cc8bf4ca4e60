"""What was measured, and whether it is enough."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Unit:
    """What the numbers of a row are."""

    name: str
    digits: int = 0
    higher_is_better: bool = True

    def show(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:,.{self.digits}f} {self.name}"

    def ratio(self, value: float, other: float) -> float:
        """How many times as good a value is as another one."""
        better, worse = (value, other) if self.higher_is_better else (other, value)
        return better / worse if worse > 0 else float("inf")


REQUESTS = Unit("requests/s")
KEYS = Unit("keys/s")
THROUGHPUT = Unit("MB/s")
MILLISECONDS = Unit("ms", digits=1, higher_is_better=False)
MEMORY = Unit("MB", digits=1, higher_is_better=False)


@dataclass(frozen=True)
class Sample:
    """One round of one contender."""

    value: float
    # Microseconds of the contender's process, all its threads, a request.
    cpu: float
    # The most memory it has had resident until then, in MB; None where it is not looked at.
    peak: float | None
    units: int


@dataclass
class Result:
    """One way of one client."""

    client: str
    way: str
    compared: bool = True
    version: str = ""
    samples: list[Sample] = field(default_factory=list)
    # Why there is nothing, or not more.
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(sample.value for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median of the rounds, in microseconds a request."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def peak(self) -> float | None:
        """The largest of the rounds, in MB."""
        return max((sample.peak for sample in self.samples if sample.peak is not None), default=None)


@dataclass
class RowResult:
    """All contenders of one row."""

    name: str
    title: str
    unit: Unit
    results: list[Result]
    targets: Sequence[Target] = ()
    # Why the row was not run.
    note: str = ""

    def best(self, clients: Sequence[str]) -> Result | None:
        """The best way of any of these clients."""
        candidates = [
            result
            for result in self.results
            if result.client in clients and result.compared and result.samples
        ]
        if not candidates:
            return None
        choose = max if self.unit.higher_is_better else min
        return choose(candidates, key=lambda result: result.value)

    @property
    def ours(self) -> Result | None:
        """What s3kv achieved."""
        return self.best(["s3kv"])

    @property
    def best_peer(self) -> Result | None:
        """The best of the others."""
        return self.best([result.client for result in self.results if result.client != "s3kv"])

    def ratio(self, result: Result, other: Result) -> float:
        """How many times as good one result is as another."""
        return self.unit.ratio(result.value, other.value)

    def reason(self) -> str:
        """Why s3kv has no result."""
        notes = [result.note for result in self.results if result.client == "s3kv" and result.note]
        return self.note or "; ".join(notes) or "not run"


@dataclass(frozen=True)
class Verdict:
    """Whether one target is met; ``met`` is None where that cannot be said."""

    target: str
    measured: str
    met: bool | None


class Target(ABC):
    """What s3kv is to achieve in a row."""

    @abstractmethod
    def judge(self, row: RowResult) -> Verdict:
        """Compare with what was measured."""


@dataclass(frozen=True)
class Times(Target):
    """So many times as good as a peer, by default the best one."""

    factor: float
    peer: str = ""

    def judge(self, row: RowResult) -> Verdict:
        text = f"{self.factor:g}x {self.peer or 'best peer'}"
        other = row.best([self.peer]) if self.peer else row.best_peer
        if row.ours is None:
            return Verdict(text, row.reason(), None)
        if other is None:
            return Verdict(text, "no peer", None)
        ratio = row.ratio(row.ours, other)
        return Verdict(text, f"{ratio:.2f}x {other.client}", ratio >= self.factor)


@dataclass(frozen=True)
class Beside(Target):
    """No target but a comparison with a peer who need not be the best one."""

    peer: str

    def judge(self, row: RowResult) -> Verdict:
        text, other = f"none, beside {self.peer}", row.best([self.peer])
        if row.ours is None or other is None:
            return Verdict(text, row.reason() if row.ours is None else "no peer", None)
        return Verdict(text, f"{row.ratio(row.ours, other):.2f}x {self.peer}", None)


@dataclass(frozen=True)
class Bound(Target):
    """At least, or at most, where less is better, an absolute value."""

    value: float
    text: str

    def judge(self, row: RowResult) -> Verdict:
        if row.ours is None:
            return Verdict(self.text, row.reason(), None)
        met = row.ours.value >= self.value if row.unit.higher_is_better else row.ours.value <= self.value
        return Verdict(self.text, row.unit.show(row.ours.value), met)
