"""What commands write: lines for people, JSON for programs, bytes as they are."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from ..errors import Changed

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def write_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, all at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write a JSON document to standard output."""
    write_lines([json.dumps(value, indent=2, ensure_ascii=False)])


class JsonList:
    """A JSON document that is a list, written as it comes.

    Where it breaks off, it is no JSON, so that nobody takes it for all.
    """

    def __init__(self) -> None:
        self._begun = False

    def add(self, values: Iterable[Any]) -> None:
        """Write more of its elements, each on a line."""
        pieces = []
        for value in values:
            pieces.append((",\n" if self._begun else "[\n") + json.dumps(value, ensure_ascii=False))
            self._begun = True
        sys.stdout.write("".join(pieces))
        sys.stdout.flush()

    def end(self) -> None:
        """Write its end."""
        write_lines(["\n]" if self._begun else "[]"])


def write_bytes(data: bytes | memoryview) -> None:
    """Write bytes to standard output, all of them, which an unbuffered one may not do at once."""
    view = memoryview(data)
    while view:
        view = view[sys.stdout.buffer.write(view) :]


class Output:
    """Standard output as the place of an object's bytes, which come in order."""

    def __init__(self) -> None:
        self._written = 0

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write what comes next."""
        write_bytes(data)
        self._written = offset + len(data)

    def empty(self) -> None:
        """Begin anew, if that is still possible.

        Raises:
            Changed: it is not.
        """
        if self._written:
            raise Changed(f"the object was replaced after {self._written:,} bytes of it were written")


def complain(line: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        print(f"s3kv: {line}", file=sys.stderr)


def shown_size(size: int, *, human: bool) -> str:
    """How many bytes: all digits, or rounded with a unit."""
    if not human:
        return str(size)
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.{0 if not unit or amount >= 99.95 else 1}f} {_UNITS[unit]}"


def shown_time(time: datetime | None) -> str:
    """A time in UTC, or a dash."""
    return "-" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def json_time(time: datetime | None) -> str | None:
    """A time as JSON has it."""
    return None if time is None else time.isoformat()


def wants_progress(options: Namespace) -> bool:
    """Whether to show a bar: on a terminal, where there is something that draws it."""
    return bool(
        options.progress
        and not options.json
        and sys.stderr is not None
        and sys.stderr.isatty()
        and find_spec("tqdm") is not None
    )
