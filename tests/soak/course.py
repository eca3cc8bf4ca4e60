"""The course of a soak: threads at work, faults, and a look at the process now and then."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable

from s3kv.testing import FaultProxy

from .shared import Shared
from .vitals import Vitals
from .weather import gather
from .worker import Worker

_STEP_SECONDS = 1.0
_TELL_SECONDS = 10.0


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
