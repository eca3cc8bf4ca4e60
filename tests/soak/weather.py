"""The faults of the soak: about one request in six, of every kind that a store can make up for."""

from __future__ import annotations

import random

from s3kv.testing import (
    Answer,
    CutAnswer,
    CutBody,
    CutRequest,
    Delay,
    DropResponse,
    Fault,
    FaultProxy,
    Injection,
    Reset,
    Stall,
    Throttle,
)

_PAGE = "<html><body>Bad gateway</body></html>"

# Each with how many of a thousand requests it hits.
_FAULTS: list[tuple[Fault, float]] = [
    (Reset(), 15),
    (Reset(went_through=True), 15),
    (DropResponse(), 15),
    (CutRequest(at=0), 5),
    (CutRequest(at=500), 5),
    (Answer.error(500, "InternalError"), 10),
    (Answer.error(500, "InternalError", went_through=True), 10),
    (Answer(502, {"Content-Type": "text/html"}, _PAGE, went_through=True), 10),
    (Answer.error(503, "SlowDown"), 3),
    (Answer(504), 5),
    (Answer.error(400, "RequestTimeout"), 5),
    (Delay(0.02), 10),
    (Stall(0.1), 5),
    (Stall(0.1, at=100), 5),
    (Throttle(500_000), 3),
]
# And this many of a thousand are cut at one of these bytes, of the answer or of its body.
_CUTS = 60
_PLACES = (0, 1, 5, 30, 100, 150, 250, 400, 1000, 10_000, 70_000)


def gather(proxy: FaultProxy, seed: int) -> list[Injection]:
    """Inject all of them."""
    chances = random.Random(seed)
    faults = list(_FAULTS)
    for at in _PLACES:
        for kind in (CutAnswer, CutBody):
            faults.append((kind(at, reset=chances.random() < 0.5), _CUTS / len(_PLACES) / 2))
    return [
        proxy.inject(fault, times=None, probability=often / 1000, seed=seed * 1000 + number)
        for number, (fault, often) in enumerate(faults)
    ]
