"""What a test may leave behind: nothing. Finds the connections and threads that it did leave."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import threading
import time
from typing import NamedTuple

# The threads of the process-wide executor stay for the next request, whichever test sends it.
SHARED_THREADS = "s3kv"

# How long what ends behind a test may take: a worker that closes a connection its caller gave up.
SETTLE_SECONDS = 2.0
_POLL_SECONDS = 0.01


class LeftBehind(Exception):
    """A test left a connection or a thread behind."""


class Held(NamedTuple):
    """The Internet sockets and the threads of this process at one moment.

    Attributes:
        sockets: The descriptor and inode of each socket, for a descriptor alone is soon used again.
        threads: The threads that are alive, the shared ones left out.
    """

    sockets: frozenset[tuple[int, int]]
    threads: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Held:
        """Look at the process."""
        threads = (t for t in threading.enumerate() if not t.name.startswith(SHARED_THREADS))
        return cls(frozenset(_sockets()), frozenset(threads))

    def leaks(self) -> list[str]:
        """Describe what came after this moment and does not go away; the empty list when all does."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            now = Held.now()
            sockets, threads = now.sockets - self.sockets, now.threads - self.threads
            if not sockets and not threads:
                return []
            if time.monotonic() >= deadline:
                return [_describe(fd) for fd, _ in sorted(sockets)] + [repr(t) for t in threads]
            # Whatever only a reference cycle keeps alive is not leaked: the collector ends it.
            gc.collect()
            time.sleep(_POLL_SECONDS)


def _sockets() -> list[tuple[int, int]]:
    """The descriptor and inode of every open Internet socket; none where the system does not tell."""
    found = []
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                # The descriptor that listed the folder is closed by now.
                with contextlib.suppress(OSError):
                    status = os.fstat(int(name))
                    if stat.S_ISSOCK(status.st_mode) and _family(int(name)) != socket.AF_UNIX:
                        found.append((int(name), status.st_ino))
            break
    return found


def _family(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        return copy.family


def _describe(descriptor: int) -> str:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        return repr(copy)
    return f"<socket of descriptor {descriptor}>"
