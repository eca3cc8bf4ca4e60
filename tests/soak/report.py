"""What came of a soak, for people and for a test."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from .vitals import Vitals


class Report(NamedTuple):
    """What came of it.

    Attributes:
        server: In front of which server.
        seed: Of everything that was chosen at random.
        seconds: How long it went on.
        operations: How often each operation was done.
        requests: How many requests were sent.
        retries: How many of them were attempts after the first.
        faults: How many requests were disturbed, by kind of fault.
        severed: How many connections were broken off besides.
        maybes: How many errors left it open what was done, by class.
        objects: How many objects there were to compare in the end.
        wrong: Wrong answers, and what was lost or made up.
        warm: What the process held after a while.
        end: What it held in the end.
        peak: The most memory and so on that was seen.
    """

    server: str
    seed: int
    seconds: float
    operations: Counter[str]
    requests: int
    retries: int
    faults: Counter[str]
    severed: int
    maybes: Counter[str]
    objects: int
    wrong: list[str]
    warm: Vitals
    end: Vitals
    peak: Vitals

    @property
    def grown(self) -> list[str]:
        """What the process holds more of in the end than after a while, by more than chance."""
        allowed = Vitals(
            self.warm.threads + 10, self.warm.descriptors + 40, self.warm.megabytes * 1.25 + 30
        )
        return [
            f"{name}: {now:.0f}, after {before:.0f}"
            for name, now, before, most in zip(Vitals._fields, self.end, self.warm, allowed, strict=True)
            if now > most
        ]

    def __str__(self) -> str:
        total = self.operations.total()
        lines = [
            f"server      {self.server}, seed {self.seed}, {self.seconds:.0f} s",
            f"operations  {total:,} ({total / self.seconds:,.0f}/s)",
            f"requests    {self.requests:,}, of them {self.retries:,} tried again",
            f"faults      {self.faults.total():,}, and {self.severed:,} connections broken off",
            *(f"              {count:7,}  {kind}" for kind, count in sorted(self.faults.items())),
            f"unknown     {self.maybes.total():,} {dict(self.maybes) or ''}",
            f"objects     {self.objects:,} compared in the end",
            f"wrong       {len(self.wrong)}",
            *(f"              {line}" for line in self.wrong[:20]),
            f"after a while  {self.warm}",
            f"at most        {self.peak}",
            f"in the end     {self.end}",
            *(f"grown       {line}" for line in self.grown),
        ]
        return "\n".join(lines)
