"""The examples run, and say what they found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> str:
    """Return what an example prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_of_an_array() -> None:
    """A local server, an array of 5 by 2 by 4 chunks."""
    output = run("zarr_array.py")
    assert "written: 40 objects" in output
    assert "mean of one place: 15.000" in output
    assert output.endswith("Done.\n")


def test_the_example_of_a_cluster() -> None:
    """Workers in processes of their own read, compute and write; a store goes to one and comes back."""
    pytest.importorskip("distributed", reason="the example starts a cluster of Dask's")
    output = run("dask_zarr.py")
    assert "mean of 16 chunks: 1199.0" in output
    assert "written by the workers: 16 chunks" in output
    assert "a worker gave the store back as it came" in output
    assert output.endswith("Done.\n")
