"""The outcome as Markdown, and as data."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .results import Result, RowResult, Verdict

_MET = {True: "yes", False: "**no**", None: "–"}


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are as wide in plain text as they need to be."""
    every = [columns, *lines]
    widths = [max(len(line[number]) for line in every) for number in range(len(columns))]

    def shown(line: Sequence[str]) -> str:
        return "| " + " | ".join(map(str.ljust, line, widths)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([shown(columns), rule, *map(shown, lines)])


def machine() -> str:
    """Where this was measured."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python}{load}"


def details(row: RowResult) -> str:
    """Every contender of one row, best ways first, and what is made of it."""
    peer = row.best_peer
    shown = sorted(row.results, key=lambda result: _rank(row, result))
    columns = ("client", "way", "median", "spread", "CPU µs/request", "peak RSS", "vs best peer")
    lines = [_line(row, result, peer) for result in shown if result.samples]
    parts = [f"### {row.name}: {row.title}"]
    if lines:
        parts.append(table(columns, lines))
    missing = [f"{result.client} ({result.way}): {result.note}" for result in shown if not result.samples]
    missing += [row.note] if row.note else []
    if missing:
        parts.append("\n".join(f"- {line}" for line in missing))
    verdicts = [target.judge(row) for target in row.targets]
    if verdicts:
        parts.append("\n".join(f"Target {v.target}: {v.measured}; met: {_MET[v.met]}" for v in verdicts))
    return "\n\n".join(parts)


def _rank(row: RowResult, result: Result) -> tuple[bool, float]:
    """The order of the lines."""
    if not result.samples:
        return True, 0.0
    return False, -result.value if row.unit.higher_is_better else result.value


def _line(row: RowResult, result: Result, peer: Result | None) -> tuple[str, ...]:
    """One contender."""
    values = [sample.value for sample in result.samples]
    ratio = "" if peer is None else f"{row.ratio(result, peer):.2f}x"
    return (
        f"{result.client} {result.version}".strip(),
        result.way,
        row.unit.show(result.value),
        f"{min(values):,.{row.unit.digits}f}–{max(values):,.{row.unit.digits}f}",
        f"{result.cpu:,.0f}",
        "" if result.peak is None else f"{result.peak:,.0f} MB",
        ratio if result.compared else "not compared",
    )


def _verdicts(row: RowResult) -> Iterator[Verdict]:
    """At least one a row."""
    if row.targets:
        for target in row.targets:
            yield target.judge(row)
    elif row.ours is not None and row.best_peer is not None:
        ratio = row.ratio(row.ours, row.best_peer)
        yield Verdict("none", f"{ratio:.2f}x {row.best_peer.client}", None)
    else:
        yield Verdict("none", row.reason(), None)


def summary(rows: Sequence[RowResult]) -> str:
    """One line for each target."""
    columns = ("row", "work", "s3kv", "best peer", "measured", "target", "met")
    lines = []
    for row in rows:
        ours = "" if row.ours is None else row.unit.show(row.ours.value)
        peer = row.best_peer
        theirs = "" if peer is None else f"{row.unit.show(peer.value)} ({peer.client}: {peer.way})"
        for verdict in _verdicts(row):
            lines.append(
                (row.name, row.title, ours, theirs, verdict.measured, verdict.target, _MET[verdict.met])
            )
            ours = theirs = ""
    return table(columns, lines)


def as_data(rows: Sequence[RowResult]) -> dict[str, Any]:
    """Everything, every round included, for a JSON document."""
    return {
        "machine": machine(),
        "rows": [
            {
                "name": row.name,
                "title": row.title,
                "unit": row.unit.name,
                "note": row.note,
                "targets": [asdict(target.judge(row)) for target in row.targets],
                "results": [_data(result) for result in row.results],
            }
            for row in rows
        ],
    }


def _data(result: Result) -> dict[str, Any]:
    """One contender."""
    values = [sample.value for sample in result.samples]
    return {**asdict(result), "median": statistics.median(values) if values else None}
