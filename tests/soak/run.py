"""The soak itself, from the start of a server to the report."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import s3kv
from s3kv.testing import FaultProxy

from .course import Course
from .report import Report
from .servers import serving
from .shared import Shared
from .worker import Worker

# Threads that write what all write.
_SHARING = 3


def soak(server: str, seconds: float, seed: int, threads: int = 6, *, tell: bool = False) -> Report:
    """Use a store from several threads for a while, and check all that it says.

    Args:
        server: One of :data:`servers.NAMES`.
        seconds: For how long.
        seed: Of the operations and of the faults. With several threads the order is another each time.
        threads: How many threads.
        tell: Print how it goes on.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(server) as running,
        FaultProxy(running.endpoint, remember=100) as proxy,
        s3kv.Store(running.members, endpoint=proxy.endpoint) as store,
    ):
        workers = []
        for number in range(threads):
            mine = store / f"thread {number}/"
            (Path(folder) / str(number)).mkdir()
            hasty = mine.with_timeout(0.2)
            workers.append(Worker(mine, hasty, seed * 1000 + number, Path(folder) / str(number)))
        shared = Shared(store / "shared/", _SHARING, atomic=running.atomic)
        course = Course(workers, shared, proxy, running.forget)
        course.run(seconds, seed, tell=tell)
        for worker in workers:
            worker.check()
        shared.check()
        return Report(
            server,
            seed,
            course.seconds,
            sum((worker.done for worker in workers), shared.done),
            _count(store, "requests") + _count(store, "retries"),
            _count(store, "retries"),
            course.faults,
            course.severed,
            sum((worker.model.maybes for worker in workers), Counter(shared=shared.maybes)),
            sum(len(worker.model.objects) + len(worker.model.doubtful) for worker in workers),
            [*(line for worker in workers for line in worker.wrong), *shared.wrong],
            course.warm,
            course.end,
            course.peak,
        )


def _count(store: s3kv.Store, name: str) -> int:
    found = store.metrics[name]
    assert isinstance(found, int)
    return found
