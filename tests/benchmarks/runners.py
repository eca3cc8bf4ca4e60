"""How a row is measured: by rounds taken in turns, by the memory of fresh processes, or by imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .contenders import client_version, ways
from .results import MEMORY, THROUGHPUT, Result, RowResult, Sample
from .rows import Row
from .sizes import MB, Sizes
from .task import Place, Task
from .workers import ROOT, Worker, WorkerFailed, clean_environment

# Of the units of a round; what comes before only tells how many units a round is to have.
_PILOT_SHARE = 10
_PILOT_ROUNDS = 2
# Ways this much slower than the best one of the same client are not worth five rounds.
_HOPELESS = 0.5
_MEMORY_ROUNDS = 3
_IMPORT = (
    "import time; cpu, started = time.process_time(), time.perf_counter(); import {name}; "
    "print(time.perf_counter() - started, time.process_time() - cpu)"
)

Tell = Callable[[str], None]


@dataclass
class _Entrant:
    """A contender that takes part."""

    worker: Worker
    result: Result
    units: int
    baseline: int


def run_row(row: Row, sizes: Sizes, rounds: int, clients: Sequence[str], tell: Tell) -> RowResult:
    """Measure one row."""
    chosen = [client for client in row.clients if client in clients]
    outcome = RowResult(row.name, row.title(sizes), row.unit, [], row.targets(sizes))
    if row.kind == "import":
        _imports(outcome, rounds, chosen)
        return outcome
    assert row.serve is not None
    with row.serve(sizes) as place:
        tasks = list(_tasks(row, sizes, place, chosen, outcome))
        if row.kind == "memory":
            _memory(row, sizes, min(rounds, _MEMORY_ROUNDS), tasks)
        else:
            _rounds(row, sizes, rounds, tasks, tell)
    return outcome


def _tasks(
    row: Row, sizes: Sizes, place: Place, clients: Sequence[str], outcome: RowResult
) -> Iterator[tuple[Task, Result]]:
    """What each contender is told, and where its results go."""
    for client in clients:
        for way in ways(client, row.style):
            task = Task(client, way.name, row.style, place, row.size(sizes), row.threads, row.limit)
            result = Result(client, way.name, way.compared)
            outcome.results.append(result)
            yield task, result


def _rounds(row: Row, sizes: Sizes, rounds: int, tasks: Sequence[tuple[Task, Result]], tell: Tell) -> None:
    """Every contender gets ready, then all do one round in turns, then the next."""
    with ExitStack() as stack:
        entrants = []
        for task, result in tasks:
            tell(f"{row.name}: {task.client}, {task.way}")
            entrant = _enter(stack.enter_context(Worker(task)), result, row, sizes)
            if entrant is not None:
                entrants.append(entrant)
        entrants = _promising(entrants)
        for number in range(rounds):
            tell(f"{row.name}: round {number + 1} of {rounds}")
            shift = number % max(1, len(entrants))
            for entrant in entrants[shift:] + entrants[:shift]:
                _round(entrant, row, sizes)


def _enter(worker: Worker, result: Result, row: Row, sizes: Sizes) -> _Entrant | None:
    """Wait until a contender is ready, and find out how fast it is."""
    total = row.units(sizes)
    try:
        first = worker.first_answer()
        if "absent" in first:
            result.note = first["absent"]
            worker.stop()
            return None
        result.version = first["version"]
        entrant = _Entrant(worker, result, total, first["baseline"])
        if row.divisible:
            entrant.units = min(total, max(total // _PILOT_SHARE, 8 * row.threads))
        answers = [worker.round(entrant.units) for _ in range(_PILOT_ROUNDS)]
    except WorkerFailed as error:
        result.note = f"failed: {error}"
        worker.stop()
        return None
    best = min(answers, key=lambda answer: float(answer["seconds"]))
    result.samples.append(_sample(best, row, sizes, entrant.baseline))
    if row.divisible:
        possible = int(best["units"] / best["seconds"] * sizes.round_seconds)
        # What this is about always does the whole work.
        whole = result.client == "s3kv" or possible >= total
        entrant.units = total if whole else max(possible, min(total, 8 * row.threads))
    return entrant


def _promising(entrants: Sequence[_Entrant]) -> list[_Entrant]:
    """Those that are not far behind another way of the same client; the others' processes are ended.

    By what the pilot found, in units of which more is better, as all rows have that go by rounds.
    """
    best: dict[str, float] = {}
    for entrant in entrants:
        result = entrant.result
        if result.compared:
            best[result.client] = max(result.samples[0].value, best.get(result.client, 0.0))
    kept = []
    for entrant in entrants:
        result = entrant.result
        share = result.samples[0].value / best.get(result.client, result.samples[0].value)
        result.samples.clear()
        if share >= _HOPELESS:
            kept.append(entrant)
        else:
            result.note = f"left out: {share:.2f}x its best way"
            entrant.worker.stop()
    return kept


def _round(entrant: _Entrant, row: Row, sizes: Sizes) -> None:
    """One timed round; a contender that breaks down is out."""
    if entrant.result.note:
        return
    try:
        answer = entrant.worker.round(entrant.units)
    except WorkerFailed as error:
        entrant.result.note = f"failed: {error}"
        entrant.result.samples.clear()
        return
    entrant.result.samples.append(_sample(answer, row, sizes, entrant.baseline))


def _sample(answer: dict[str, Any], row: Row, sizes: Sizes, baseline: int) -> Sample:
    """What a worker's answer says in the unit of the row."""
    units, seconds = int(answer["units"]), float(answer["seconds"])
    if row.unit is MEMORY:
        value = (answer["peak"] - baseline) / MB
    elif row.unit is THROUGHPUT:
        value = units * row.size(sizes) / seconds / 1e6
    else:
        value = units / seconds
    requests = units / row.units_per_request
    return Sample(value, answer["cpu"] / requests * 1e6, answer["peak"] / MB, units)


def _memory(row: Row, sizes: Sizes, rounds: int, tasks: Sequence[tuple[Task, Result]]) -> None:
    """Each time in a process that has done nothing before but a small request."""
    for _ in range(rounds):
        for task, result in tasks:
            if result.note:
                continue
            with Worker(task, check=False) as worker:
                try:
                    first = worker.first_answer()
                    if "absent" in first:
                        result.note = first["absent"]
                        continue
                    result.version = first["version"]
                    answer = worker.round(row.units(sizes))
                except WorkerFailed as error:
                    result.note = f"failed: {error}"
                    continue
                result.samples.append(_sample(answer, row, sizes, first["baseline"]))


def _imports(outcome: RowResult, rounds: int, clients: Sequence[str]) -> None:
    """Each time in a fresh interpreter; the first round only fills the caches."""
    outcome.results = [Result(client, f"import {client}") for client in clients]
    for number in range(2 * rounds + 1):
        for result in outcome.results:
            if result.note:
                continue
            found = subprocess.run(
                [sys.executable, "-c", _IMPORT.format(name=result.client)],
                cwd=ROOT,
                env=clean_environment(),
                capture_output=True,
                text=True,
            )
            if found.returncode:
                missing = f"No module named '{result.client}'" in found.stderr
                result.note = "not installed" if missing else f"failed: {found.stderr.strip()[-200:]}"
            elif number:
                seconds, cpu = map(float, found.stdout.split())
                result.samples.append(Sample(seconds * 1e3, cpu * 1e6, None, 1))
                result.version = client_version(result.client)
