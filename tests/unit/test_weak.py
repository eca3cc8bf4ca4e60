"""Sets of what others hold: looked through while other threads add to them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from s3kv import exitsafe, forksafe, metrics
from s3kv.metrics import Recorder, process_metrics
from s3kv.weak import living


class Thing:
    """Something that can be held weakly, and asked what those in the sets are asked."""

    def after_fork(self) -> None:
        """Nothing to forget."""

    def moved(self) -> int:
        """Nothing has."""
        return 0

    def keep_only(self, callers: set[int | None]) -> None:
        """Nothing to cancel."""

    def give_up(self, why: str) -> None:
        """Nothing to give up."""


class Growing(weakref.WeakSet):  # type: ignore[type-arg]
    """A set to which another thread adds something at the worst moment, once."""

    def __init__(self, things: list[object], more: object) -> None:
        super().__init__(things)
        self.more = [more]

    def __iter__(self) -> Iterator[object]:
        for thing in super().__iter__():
            if self.more:
                self.add(self.more.pop())
            yield thing


def test_what_is_added_meanwhile_is_among_them() -> None:
    """And what nobody holds any more is not."""
    things = [Thing() for _ in range(5)]
    more = Thing()
    growing = Growing([*things, Thing()], more)
    gc.collect()
    assert {id(thing) for thing in living(growing)} == {id(thing) for thing in [*things, more]}


def test_the_metrics_of_the_process_are_told_while_stores_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All stores that are there register what they do."""
    recorders = [Recorder(lambda: 0, lambda: 32) for _ in range(3)]
    monkeypatch.setattr(metrics, "_recorders", Growing(list(recorders[:2]), recorders[2]))
    assert process_metrics()["requests"] >= 0


def test_the_exit_is_told_to_what_begins_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that are let finish may open stores until the end."""
    things = [Thing() for _ in range(3)]
    monkeypatch.setattr(exitsafe, "_registered", Growing(list(things[:2]), things[2]))
    exitsafe._at_exit()


def test_a_child_tells_all_to_start_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though one of them has others register."""
    things = [Thing() for _ in range(3)]
    monkeypatch.setattr(forksafe, "_registered", Growing(list(things[:2]), things[2]))
    monkeypatch.setattr(forksafe, "importing", forksafe.importing)
    forksafe._after_fork()
