"""Runs a notebook from its first cell to its last in a kernel of its own, and prints what came out as JSON.

Usage: ``python run_notebook.py NOTEBOOK``. In a process of its own, because Jupyter needs an event loop,
and sockets that it closes in its own time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

# Seconds that one cell may take.
_PATIENCE = 60


def main(path: Path) -> None:
    """Run a notebook, and print the kinds and texts of each code cell's outputs."""
    notebook: Any = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=_PATIENCE,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    print(json.dumps(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
