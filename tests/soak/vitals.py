"""How much this process holds: threads, file descriptors, memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple


class Vitals(NamedTuple):
    """What a process holds at a moment; -1 for what the system does not tell.

    Attributes:
        threads: Threads.
        descriptors: Open files and sockets.
        megabytes: Memory in use, as the system counts it.
    """

    threads: int
    descriptors: int
    megabytes: float

    @classmethod
    def now(cls) -> Vitals:
        """Look at this process."""
        descriptors, megabytes = -1, -1.0
        if os.path.isdir("/proc/self/fd"):
            descriptors = len(os.listdir("/proc/self/fd"))
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return cls(threading.active_count(), descriptors, megabytes)

    def most(self, other: Vitals) -> Vitals:
        """The larger of each."""
        return Vitals(
            max(self.threads, other.threads),
            max(self.descriptors, other.descriptors),
            max(self.megabytes, other.megabytes),
        )

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.descriptors} descriptors, {self.megabytes:.0f} MB"
