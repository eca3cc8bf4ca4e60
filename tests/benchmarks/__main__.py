"""Measure s3kv beside other S3 clients, on this machine only.

    python -m tests.benchmarks [--only ROW ...] [--clients CLIENT ...] [--rounds N] [--quick]
                               [--json PATH] [--chart PATH.png] [--list]

Needs nginx on the PATH for most rows. Clients that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers import ServerStartError

from .contenders import CLIENTS
from .report import as_data, details, machine, summary
from .results import RowResult
from .rows import ROWS, Row
from .runners import run_row
from .sizes import FULL, QUICK, Sizes


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=list(ROWS), help="these rows")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=CLIENTS, help="these clients")
    parser.add_argument("--rounds", type=int, help="rounds of each contender (5; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes: a trial, not a measurement")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every round to a file")
    parser.add_argument("--chart", type=Path, metavar="PATH.png", help="draw a chart (needs matplotlib)")
    parser.add_argument("--list", action="store_true", help="name the rows, and run none")
    return parser.parse_args(given)


def _tell(message: str) -> None:
    """Say what is going on, apart from the report."""
    if sys.stderr.isatty():
        print(f"\r\033[K{message}", end="", file=sys.stderr, flush=True)


def _run(row: Row, sizes: Sizes, rounds: int, clients: Sequence[str]) -> RowResult:
    """Measure a row, or tell why not."""
    try:
        return run_row(row, sizes, rounds, clients, _tell)
    except ServerStartError as error:
        note = str(error).splitlines()[0]
        return RowResult(row.name, row.title(sizes), row.unit, [], row.targets(sizes), note)
    finally:
        _tell("")


def main(given: Sequence[str] | None = None) -> int:
    """Run the rows one after the other and report; 130 if interrupted, what there is is shown then too."""
    arguments = _arguments(given)
    sizes = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    chosen = [ROWS[name] for name in arguments.only or ROWS]
    if arguments.list:
        print("\n".join(f"{row.name:15} {row.title(sizes)}" for row in chosen))
        return 0
    if arguments.chart:
        import matplotlib  # noqa: F401  (Better missed now than after the run.)
    print(f"{machine()}; medians of {rounds} rounds{', quick' if arguments.quick else ''}\n", flush=True)
    done: list[RowResult] = []
    status = 0
    try:
        for row in chosen:
            done.append(_run(row, sizes, rounds, arguments.clients))
            print(details(done[-1]) + "\n", flush=True)
    except KeyboardInterrupt:
        status = 130
    print(f"## Summary\n\n{summary(done)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_data(done), indent=1))
    if arguments.chart:
        from .chart import write_chart

        write_chart(done, arguments.chart)
    return status


if __name__ == "__main__":
    sys.exit(main())
