"""``s3kv bench``: what it measures, what it says of it, and that it leaves nothing behind."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv.cli.bench.report import lines_of
from s3kv.cli.bench.results import Large, Latencies, Rate, Result
from s3kv.cli.bench.verdict import judge
from s3kv.testing import Answer, FaultProxy, LocalServer
from tests.adapters.cli_helpers import Folder, Run, running_on

_numbers = itertools.count()


@pytest.fixture
def folder(local_server: LocalServer) -> Folder:
    """Return a place of this test's own."""
    return Folder(local_server, f"bench-{next(_numbers)}/")


@pytest.fixture
def run(folder: Folder, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command on the server."""
    return running_on(folder.server.endpoint, capsys)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the large object be small."""
    monkeypatch.setattr("s3kv.cli.bench.measure._LARGE", (100_000, 200_000))
    monkeypatch.setattr("s3kv.cli.bench.measure._MIB", 100_000)


@pytest.fixture
def keys(folder: Folder) -> Iterator[Callable[[], list[str]]]:
    """Return a function that lists the place, in which there is something that is not the bench's."""
    with folder.server.store(path=folder.path) as store:
        store.put("mine", b"")
        yield store.list


def test_bench_measures_and_says_what_limits(
    run: Run, folder: Folder, keys: Callable[[], list[str]]
) -> None:
    """Rates, latencies and bandwidth; what it writes is under a prefix of its own, and gone afterwards."""
    ended = run("bench", folder.url(), "--seconds", "0.05", "--size", "1000", "--concurrency", "3")
    assert ended.status == 0
    for words in (
        "objects of 1,000 bytes, up to 3 requests",
        "objects/s",
        "keys/s",
        "p50, p95, p99",
        "MB/s",
        "CPU",
    ):
        assert words in ended.out
    assert "What limits small reads. " in ended.lines[-1]
    assert f"{folder.url('.s3kv-bench-')}" in ended.err
    assert keys() == ["mine"]


def test_bench_as_json_is_one_document(run: Run, folder: Folder, keys: Callable[[], list[str]]) -> None:
    """With all the numbers, and nothing else is said."""
    ended = run("bench", folder.url("sub"), "--seconds", "1e-9", "--json")
    found = ended.json
    assert ended.err == ""
    assert (found["url"], found["size"], found["concurrency"]) == (folder.url("sub"), 4096, 32)
    assert found["limit"] in ("throttling", "cpu", "bandwidth", "store", "latency")
    assert found["explanation"]
    for name in ("put", "get", "list"):
        assert found[name]["count"] >= 1
        assert found[name]["per_second"] == pytest.approx(found[name]["count"] / found[name]["seconds"])
    for name in ("put", "get"):
        single = found["single"][name]
        assert 0 < single["p50_ms"] <= single["p95_ms"] <= single["p99_ms"]
        # None takes longer than all of them.
        assert 0 < found[name]["mean_latency_ms"] <= found[name]["seconds"] * 1e3
    assert found["large"]["size"] in (100_000, 200_000)
    assert keys() == ["mine"]


def test_bench_draws_a_chart(run: Run, folder: Folder, tmp_path: Path) -> None:
    """If that is wanted."""
    ended = run("bench", folder.url("a$b$"), "--seconds", "0.01", "--chart", tmp_path / "chart.png")
    assert ended.status == 0
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    # What is not a folder's URL is taken for one.
    assert folder.url("a$b$/.s3kv-bench-") in ended.err


def test_without_matplotlib_nothing_is_measured_for_a_chart(
    run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said at once, with the extra to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    ended = run("bench", folder.url(), "--chart", "chart.png")
    assert ended == (2, "", "s3kv: --chart needs matplotlib: pip install 's3kv[bench]'\n")


class Stopped(Exception):
    """Something that nobody thought of."""


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (Stopped, 3)])
def test_bench_removes_what_it_wrote_also_when_it_is_stopped(
    run: Run,
    folder: Folder,
    keys: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    status: int,
) -> None:
    """By Ctrl-C, or by an error."""

    def stop(store: s3kv.Store, seconds: float) -> Any:
        assert len(keys()) > 1
        raise error

    monkeypatch.setattr("s3kv.cli.bench.measure._measure_large", stop)
    assert run("bench", folder.url(), "--seconds", "0.01").status == status
    assert keys() == ["mine"]


def test_what_cannot_be_removed_is_said(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """With its place, and status 3; what was measured is told all the same."""
    with FaultProxy(folder.server) as faults:
        faults.inject(Answer.error(403, "AccessDenied"), operation="DeleteObjects", times=None)
        ended = running_on(faults.endpoint, capsys)("bench", folder.url(), "--seconds", "0.01", "--json")
    assert ended.status == 3
    assert json.loads(ended.out)["limit"]
    assert f"remove {folder.url('.s3kv-bench-')}" in ended.err


def rate(
    done: int = 1000, *, seconds: float = 1.0, latency: float = 0.01, cpu: float = 0.1, retries: int = 0
) -> Rate:
    """Return a rate of objects of 4 KB."""
    return Rate(done, seconds, done * 4096, cpu, latency, retries)


def result(
    get: Rate, *, alone: float = 0.01, concurrency: int = 32, reached: int = 32, large: float = 1e9
) -> Result:
    """Return a result with these reads, and little else."""
    single = Latencies((alone,))
    size = 64 * 1024**2
    return Result(
        4096,
        concurrency,
        reached,
        rate(),
        get,
        rate(),
        single,
        single,
        Large(size, size / large, size / large),
    )


@pytest.mark.parametrize(
    ("measured", "limit", "words"),
    [
        (result(rate(), reached=8), "throttling", "8 of 32 requests"),
        (result(rate(retries=100)), "throttling", "100 attempts"),
        (result(rate(20_000, cpu=0.95)), "cpu", "95% busy"),
        (result(rate(10_000), large=50e6), "bandwidth", "41.0 MB/s, a large one at 50.0"),
        (result(rate(300, latency=0.1)), "store", "10.0 ms alone and 100.0 ms while 32"),
        (result(rate(3000)), "latency", "more than 3,200 a second are not possible"),
        (result(rate(3000)), "latency", "--concurrency 64"),
        (result(rate(100), concurrency=1, reached=1, alone=0.001), "latency", "--concurrency 2"),
        (result(rate(3000, latency=0.0)), "latency", "10.0 ms each"),
    ],
)
def test_what_limits_is_told_from_the_numbers(measured: Result, limit: str, words: str) -> None:
    """The gravest first."""
    verdict = judge(measured)
    assert verdict.limit == limit
    assert words in verdict.text
    assert verdict.text in "\n".join(lines_of(measured, verdict))


@pytest.mark.parametrize(
    ("count", "median", "highest"),
    [(1, 1, 1), (2, 1, 2), (3, 2, 3), (100, 50, 99), (1000, 500, 990), (99, 50, 99)],
)
def test_percentiles_are_values_that_were_measured(count: int, median: int, highest: int) -> None:
    """The least that so many percent do not exceed."""
    latencies = Latencies(tuple(float(number) for number in range(1, count + 1)))
    assert latencies.percentile(50) == median
    assert latencies.percentile(99) == highest
    assert latencies.percentile(100) == count
