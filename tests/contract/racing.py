"""Stores on which conditional writes can race, on every server that honours conditions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

import s3kv
from tests.servers import departure

READS = ("GET", "HEAD")

# Seconds that a race may take: SeaweedFS takes some for a contended write.
TIMEOUT = 60.0


class OneWriteAtATime(requests.Session):
    """A session that sends no write while another is under way, for a server that has no lock."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send the request, a write alone."""
        if request.method in READS:
            return super().send(request, **kwargs)
        with self._lock:
            # The answer's head is here when the lock is given up: the write is done.
            return super().send(request, **kwargs)


@contextmanager
def atomic_store(server: str, open_store: Callable[..., s3kv.Store]) -> Iterator[s3kv.Store]:
    """Open a store on which conditional writes are atomic: on moto by sending one at a time.

    Skips the test on a server that ignores conditions.
    """
    reason = departure(server, "put-if-match")
    if reason is not None:
        pytest.skip(reason)
    if departure(server, "atomic-writes") is None:
        yield open_store(timeout=TIMEOUT)
        return
    with OneWriteAtATime() as session:
        yield open_store(timeout=TIMEOUT, session=session)
