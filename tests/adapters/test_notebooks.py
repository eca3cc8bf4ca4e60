"""The notebooks run from top to bottom, and an interrupted cell gives the prompt back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="nbclient runs the notebooks")
pytest.importorskip("ipykernel", reason="the notebooks need a kernel")

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def run(script: str, *arguments: Path) -> Any:
    """Return what a script of this folder prints as JSON; it must succeed."""
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kinds(outputs: list[dict[str, Any]]) -> set[str]:
    """Return the media types of a cell's outputs."""
    return {kind for output in outputs for kind in output.get("data", {})}


def test_there_are_notebooks() -> None:
    """The ones that the documentation speaks of."""
    assert {path.stem for path in NOTEBOOKS} >= {"first_steps", "chunked_array"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    """They would be of another machine, and out of date."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_notebook_of_first_steps() -> None:
    """Stores, results, the doctor's report and metrics are tables there; batches have bars."""
    outputs = run("run_notebook.py", EXAMPLES / "first_steps.ipynb")
    shown = json.dumps(outputs)
    assert sum("text/html" in kinds(cell) for cell in outputs) == 5
    # Widgets where ipywidgets is installed, else text.
    assert shown.count("application/vnd.jupyter.widget-view+json") == 2 or "100/100" in shown
    texts = [
        output["data"]["text/plain"]
        for cell in outputs
        for output in cell
        if "execute_result" in str(output)
    ]
    assert "['run-1/config.json', 'run-1/notes.txt']" in texts
    assert texts.count("True") == 2
    assert "conditional writes" in shown


def test_the_notebook_of_a_chunked_array() -> None:
    """It draws the array, throughput by the size of chunks, and latencies."""
    pytest.importorskip("zarr", reason="the notebook writes arrays with zarr")
    pytest.importorskip("matplotlib", reason="the notebook draws with matplotlib")
    outputs = run("run_notebook.py", EXAMPLES / "chunked_array.ipynb")
    assert sum("image/png" in kinds(cell) for cell in outputs) == 3
    assert "3 objects read, mean 22.10 degrees" in json.dumps(outputs)


@pytest.mark.skipif(sys.platform == "win32", reason="a kernel is interrupted in another way there")
def test_an_interrupted_cell_gives_the_prompt_back() -> None:
    """At once, whatever it was waiting for (a minute, otherwise); the next cell works."""
    found = run("interrupt_cells.py")
    assert found.keys() == {"get", "get_many", "futures", "doctor"}
    for name, cell in found.items():
        assert cell["error"] == "KeyboardInterrupt", name
        assert cell["seconds"] < 5, name
        assert cell["after"] == "", name
