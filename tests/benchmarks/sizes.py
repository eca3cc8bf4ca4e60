"""How much work there is."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """The amounts of one run."""

    keys: int
    signed: int
    large: int
    put_large: int
    listed: int
    iterated: int
    # How long the requests of a latency row take if the limit is reached.
    latency_seconds: float
    # A round of a slow client is cut to about this long; what counts is per request.
    round_seconds: float


FULL = Sizes(10_000, 2_000, 256 * MB, 64 * MB, 100_000, 50_000, 3.0, 3.0)
QUICK = Sizes(1_000, 200, 32 * MB, 16 * MB, 10_000, 5_000, 0.6, 0.5)
