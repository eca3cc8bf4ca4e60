"""The page about testing and its example do what they say."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import s3kv.testing
from s3kv.testing import Fault

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "testing_your_code.py"


def test_all_that_is_shown_runs(pytester: pytest.Pytester) -> None:
    """The page's blocks, each a file of tests, and the example; with warnings as errors."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    files = {f"test_{number}": block for number, block in enumerate(blocks)}
    pytester.makepyfile(**files)
    shutil.copy(EXAMPLE, pytester.path / "test_example.py")
    others = [entry.name for entry in entry_points(group="pytest11") if entry.name != "s3kv"]
    result = pytester.runpytest_subprocess("-Werror", *(f"-pno:{name}" for name in others))
    tests = PAGE.count("\ndef test_") + EXAMPLE.read_text(encoding="utf-8").count("\ndef test_")
    # The tests of the example that have parameters count several times.
    assert result.parseoutcomes()["passed"] >= tests >= 15
    assert result.ret == 0


def test_the_example_runs_as_it_says(tmp_path: Path) -> None:
    """In a clone, whose settings make errors of warnings, and where s3kv is installed, not only linked."""
    installed = tmp_path / "s3kv-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: s3kv\nVersion: 0\n")
    (installed / "RECORD").write_text("s3kv/__init__.py,,\n")
    (installed / "entry_points.txt").write_text("[pytest11]\ns3kv = s3kv.testing.plugin\n")
    done = subprocess.run(
        [sys.executable, "examples/testing_your_code.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "arning" not in done.stdout + done.stderr


def test_every_fault_is_on_the_page() -> None:
    """In the table, by its name."""
    table = PAGE.partition("| fault |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))
    assert shown == {kind.__name__ for kind in Fault.__subclasses__()}
    assert shown < set(s3kv.testing.__all__)


def test_every_parameter_of_inject_is_on_the_page() -> None:
    """By its name."""
    parameters = set(inspect.signature(s3kv.testing.FaultProxy.inject).parameters) - {"self", "fault"}
    assert parameters <= set(re.findall(r"\b(\w+)=", PAGE))
