"""The outcome as a picture: every row, the best way of every client, and what is to be reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .contenders import CLIENTS
from .results import Bound, RowResult, Times

_COLUMNS = 3
_OURS, _THEIRS, _TARGET = "#1f6feb", "#b8c0cc", "#d1242f"


def write_chart(rows: Sequence[RowResult], path: Path) -> None:
    """Draw the rows that have results. Raises ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows if any(result.samples for result in row.results)]
    lines = max(1, math.ceil(len(rows) / _COLUMNS))
    figure = Figure(figsize=(6 * _COLUMNS, 2.7 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(lines, _COLUMNS, squeeze=False)
    for place in places.flat[len(rows) :]:
        place.set_visible(False)
    for place, row in zip(places.flat, rows, strict=False):
        _draw(place, row)
    figure.savefig(path, dpi=110)


def _draw(place: Any, row: RowResult) -> None:
    """One row."""
    best = [result for client in CLIENTS if (result := row.best([client])) is not None]
    values = [result.value for result in best]
    bars = place.barh(
        [f"{result.client}\n{result.way}" for result in best],
        values,
        color=[_OURS if result.client == "s3kv" else _THEIRS for result in best],
    )
    place.bar_label(
        bars, [row.unit.show(value) for value in values], padding=6, fontsize=8, backgroundcolor="white"
    )
    goal = _goal(row)
    if goal is not None:
        place.axvline(goal, color=_TARGET, linewidth=1.2, linestyle="--")
    place.set_xlim(0, 1.3 * max([*values, goal or 0.0]))
    place.invert_yaxis()
    better = "more" if row.unit.higher_is_better else "less"
    place.set_title(f"{row.title}\n({better} is better; dashed: target)", fontsize=9)
    place.tick_params(labelsize=7)
    place.spines[["top", "right"]].set_visible(False)


def _goal(row: RowResult) -> float | None:
    """The value that s3kv's first target asks for."""
    if not row.targets:
        return None
    target = row.targets[0]
    if isinstance(target, Bound):
        return target.value
    assert isinstance(target, Times)
    other = row.best([target.peer]) if target.peer else row.best_peer
    if other is None:
        return None
    return other.value * target.factor if row.unit.higher_is_better else other.value / target.factor
