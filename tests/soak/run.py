"""The soak itself: servers, threads, faults, and what came of it."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import s3kv
from s3kv.testing import FaultProxy
from tests.servers import ALL
from tests.wire.every_s3 import EveryS3
from tests.wire.scripted import ScriptedServer

from .shared import Shared
from .vitals import Vitals
from .weather import gather
from .worker import Worker

# Servers that decide on conditions without a lock.
_UNLOCKED = {"moto"}
SERVERS = ("memory", *(server.name for server in ALL if server.name in ("moto", "seaweedfs", "ceph")))
_KIB = 1024
_STEP_SECONDS = 1.0
_TELL_SECONDS = 10.0


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
            self.warm.threads + 10, self.warm.descriptors + 20, self.warm.megabytes * 1.25 + 30
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


@contextlib.contextmanager
def _small_parts() -> Iterator[None]:
    """Have values of 32 KiB be sent in several parts, and those of 128 KiB be read so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3kv.payload.PART_BYTES", 32 * _KIB)
        patch.setattr("s3kv.payload._MIB", _KIB)
        for module in ("payload", "writing", "many"):
            patch.setattr(f"s3kv.{module}.LARGE_VALUE", 32 * _KIB)
        patch.setattr("s3kv.reading.PART_BYTES", 64 * _KIB)
        patch.setattr("s3kv.files.PART_BYTES", 64 * _KIB)
        patch.setattr("s3kv.buffers.LARGE", 64 * _KIB)
        yield


class _Memory(EveryS3):
    """The little S3 in memory, which forgets what it was asked."""

    page = 50

    def forget(self, server: ScriptedServer) -> None:
        """Let go of requests that were answered, and of connections that are closed."""
        self.applied.clear()
        self.aborted.clear()
        with server.lock:
            server.requests.clear()
            server.connections[:] = [peer for peer in server.connections if not peer.gone.is_set()]
            for peer in server.connections:
                del peer.requests[:-1]
            server._threads[:] = [thread for thread in server._threads if thread.is_alive()]


@contextlib.contextmanager
def _serving(name: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """A server: its endpoint, how a store on it is opened, and what is to be called now and then."""
    members: dict[str, Any] = {
        "bucket": "soak",
        "aws_region": "us-east-1",
        "s3_request_retries": {"initial_delay": "5ms", "max_delay": "50ms"},
    }
    if name == "memory":
        bucket = _Memory()
        with _small_parts(), bucket.server() as server:
            anonymous = {"aws_credentials": {"type": "anonymous"}, "use_conditional_write": True}
            members = {**members, **anonymous, "bucket": "bucket"}
            yield server.url, members, lambda: bucket.forget(server)
        return
    with next(server for server in ALL if server.name == name)() as process:
        process.create_bucket("soak")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", process.info.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", process.info.secret_key)
            members["aws_credentials"] = {"type": "environment"}
            yield process.info.endpoint, members, lambda: None


def soak(server: str, seconds: float, seed: int, threads: int = 6, *, tell: bool = False) -> Report:
    """Use a store from several threads for a while, and check all that it says.

    Args:
        server: One of :data:`SERVERS`.
        seconds: For how long.
        seed: Of the operations and of the faults. With several threads the order is another each time.
        threads: How many threads.
        tell: Print how it goes on.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        _serving(server) as (endpoint, members, forget),
        FaultProxy(endpoint, remember=100) as proxy,
        s3kv.Store(members, endpoint=proxy.endpoint) as store,
    ):
        workers = []
        for number in range(threads):
            mine = store / f"thread {number}/"
            (Path(folder) / str(number)).mkdir()
            hasty = mine.with_timeout(0.2)
            workers.append(Worker(mine, hasty, seed * 1000 + number, Path(folder) / str(number)))
        shared = Shared(store / "shared/", 3, atomic=server not in _UNLOCKED)
        course = Course(workers, shared, proxy, forget)
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


class Course:
    """The threads at work, in bad weather.

    Attributes:
        seconds: How long it went on.
        faults: How many requests were disturbed, by kind of fault.
        severed: How many connections were broken off besides.
        warm, peak, end: What the process held after a while, at most, and in the end.
    """

    def __init__(
        self, workers: list[Worker], shared: Shared, proxy: FaultProxy, forget: Callable[[], None]
    ) -> None:
        self.seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.severed = 0
        self.warm = self.peak = self.end = Vitals.now()
        self._workers = workers
        self._shared = shared
        self._proxy = proxy
        self._forget = forget

    def run(self, seconds: float, seed: int, *, tell: bool) -> None:
        """Go on for so long, or until something is wrong."""
        stop = threading.Event()
        threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in self._workers]
        for number in range(len(self._shared.turns)):
            arguments = (number, stop, seed * 7 + number)
            threads.append(threading.Thread(target=self._shared.run, args=arguments))
        injections = gather(self._proxy, seed)
        started = told = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            while (now := time.monotonic()) < started + seconds and not self._wrong():
                stop.wait(min(_STEP_SECONDS, started + seconds - now))
                self._sever()
                self._look(early=now < started + seconds / 3)
                if tell and now - told >= _TELL_SECONDS:
                    told = now
                    print(f"{now - started:6.0f} s  {self._done():9,} operations  {self.end}", flush=True)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            self.seconds = time.monotonic() - started
            for injection in injections:
                self.faults[type(injection.fault).__name__] += injection.hits
            self._proxy.clear()
        self._sever()
        self._look(early=False)

    def _wrong(self) -> bool:
        return bool(self._shared.wrong) or any(worker.wrong for worker in self._workers)

    def _done(self) -> int:
        return sum(worker.done.total() for worker in self._workers)

    def _sever(self) -> None:
        """Break off all connections between two operations: of one under way nobody knows what becomes."""
        with contextlib.ExitStack() as turns:
            for turn in {*(worker.turn for worker in self._workers), *self._shared.turns}:
                turns.enter_context(turn)
            self.severed += self._proxy.sever()

    def _look(self, *, early: bool) -> None:
        self._forget()
        self.end = Vitals.now()
        self.peak = self.peak.most(self.end)
        if early:
            self.warm = self.end
