"""The source of credentials, step by step: what a thread sees that comes at the wrong moment."""

from __future__ import annotations

import threading
from typing import Any

from s3kv.clock import Clock
from s3kv.credentials.cached import CachedSource
from s3kv.credentials.value import Credentials
from s3kv.pending import Pending


class Keys:
    """What botocore gives for static keys."""

    access_key = "AKIDEXAMPLE"
    secret_key = "secret"
    token = None

    def get_frozen_credentials(self) -> Keys:
        return self


class Counting:
    """A provider that counts how often it is asked."""

    what = "the test"
    asks = True

    def __init__(self) -> None:
        self.loads = 0

    def load(self) -> Any:
        self.loads += 1
        return Keys()

    def reload(self, holder: Any) -> Any:
        return self.load()

    def secrets(self) -> list[str]:
        return []


def _ended(fetch: Pending[Credentials]) -> bool:
    """Wait for a fetch; whether it has ended."""
    over = threading.Event()
    fetch.watch(over.set)
    return over.wait(5)


def test_who_looked_before_a_fetch_ended_does_not_begin_another() -> None:
    """It saw nothing, was slow to ask, and meanwhile somebody else's fetch came and went."""
    provider = Counting()

    class Late(CachedSource):
        interrupted = False

        def peek(self) -> Credentials | None:
            found = super().peek()
            if not self.interrupted:
                self.interrupted = True
                assert _ended(self.fetch())
            return found

    source = Late(provider, Clock())
    fetch = source.fetch()
    assert _ended(fetch)
    assert fetch.result().access_key == "AKIDEXAMPLE"
    assert provider.loads == 1
