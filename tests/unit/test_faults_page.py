"""The page about faults names tests that there are, in every row."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAME = re.compile(r"`(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    """Somewhere in the suite."""
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    tests = {name for text in modules for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    named = set(NAME.findall(PAGE))
    assert len(named) > 90
    assert sorted(named - tests) == []


def test_every_row_names_a_test() -> None:
    """A promise that nothing holds is none."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 60
    assert [row for row in rows if not NAME.search(row.rsplit("|", 2)[1])] == []
