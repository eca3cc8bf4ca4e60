"""Answers that break off at any byte: what comes in the end is whole, and little of it comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv.testing import CutAnswer, CutBody, FaultProxy
from tests.wire.conftest import FAST, OpenStore
from tests.wire.jobs import JOBS, NOISE, Bench, benching
from tests.wire.scripted import READ, Forever, ScriptedServer, Send, chunked

# One operation for each kind of answer.
KINDS = [
    "get",
    "get of a range",
    "read",
    "stat",
    "list",
    "put",
    "put if_absent",
    "delete",
    "delete_many",
    "copy",
]
each_kind = pytest.mark.parametrize("name", KINDS)
each_end = pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return what jobs are done on."""
    with benching(tmp_path, monkeypatch) as ready:
        yield ready


@each_kind
@each_end
def test_an_answer_may_break_off_at_any_byte(name: str, reset: bool, bench: Bench) -> None:
    """In its status line, its headers, its body: every fifth byte is tried, and the last ones."""
    job = JOBS[name]
    bench.count(job)
    length = bench.proxy.requests[-1].answer_bytes
    count = bench.count(job)
    for at in {*range(0, length, 5), *range(length - 4, length)}:
        hit = bench.proxy.inject(CutAnswer(at, reset=reset), skip=count - 1)
        assert bench.run(job) == job.result, at
        assert hit.hits == 1, at
        assert bench.bucket.values == (job.before if job.after is None else job.after), at


def _into(store: s3kv.Store, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: store.get_into("key", buffer)])


WAYS: dict[str, Callable[[s3kv.Store, int], Any]] = {
    "get": lambda store, size: store.get("key"),
    "get_many": lambda store, size: store.get_many(["key"])["key"],
    "get_into": _into,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("size", [40, len(NOISE) // 2], ids=["small", "large"])
def test_a_body_that_breaks_off_comes_once(way: Any, size: int, bench: Bench) -> None:
    """Wherever that is, and however often: what has come is not sent again."""
    value = NOISE[:size]
    bench.bucket.hold(key=value)
    for at in (0, 1, 2, size // 3, size // 2, size - 2, size - 1):
        bench.proxy.inject(CutBody(at))
        bench.proxy.inject(CutBody(min(1, size - at - 1)))
        before = len(bench.proxy.requests)
        assert way(bench.store, size) == value
        bench.proxy.clear()
        asked = bench.proxy.requests[before:]
        # Heads are some 200 bytes here, and no more than three answers are needed.
        assert len(asked) == 3
        assert sum(seen.answer_bytes for seen in asked) < size + 3 * 250
        assert ["range" in seen.headers for seen in asked] == [False, at > 0, True]
        # What is asked for on its way must be of the very same version.
        assert all("if-match" in seen.headers for seen in asked if "range" in seen.headers)


@each_end
def test_a_chunked_answer_may_break_off_at_any_byte(reset: bool, open_store: OpenStore) -> None:
    """In the line with a chunk's size, in the chunk, behind it, in the trailers."""
    data = chunked(b"one", b"two and", b"x" * 20, trailers="X-Sum: 1\r\n")
    server = ScriptedServer(then=[Forever(READ, Send(data))], lenient=True)
    with server, FaultProxy(server.url) as proxy:
        store = open_store(proxy.endpoint, policy=FAST)
        value = store.get("key")
        for at in range(len(data)):
            proxy.inject(CutAnswer(at, reset=reset))
            assert store.get("key") == value, at
