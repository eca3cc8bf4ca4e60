"""Every example runs as it is, in an interpreter of its own, and says what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3kv.testing import LocalServer

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
# Those that are run already, and where.
ELSEWHERE = {
    "dask_zarr.py": "tests/adapters/test_zarr_examples.py",
    "zarr_array.py": "tests/adapters/test_zarr_examples.py",
    "testing_your_code.py": "tests/wire/test_testing_docs.py",
    "quickstart.py": ".ci/run",
}


def run(name: str, *arguments: str, **variables: str) -> str:
    """Return what an example prints; it must succeed, without a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / name, *arguments],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ELSEWHERE])
def test_an_example_runs_without_arguments(name: str) -> None:
    """On a server of its own."""
    output = run(name)
    assert output.endswith("\nDone.\n")
    assert len(output.splitlines()) >= 8


def test_the_others_are_run_elsewhere() -> None:
    """Each by what is said to run it."""
    assert set(ELSEWHERE) < set(EXAMPLES)
    for name, place in ELSEWHERE.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        assert name in text or (name == "quickstart.py" and "readme_command quickstart" in text)


def test_an_example_runs_in_a_folder_of_somebody_s_bucket(local_server: LocalServer) -> None:
    """By URL or by endpoint; what is there already stays, and nothing is added."""
    variables = {
        "AWS_ENDPOINT_URL_S3": local_server.endpoint,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    with local_server.store(path="folder/") as store:
        store["mine"] = b"1"
        run("quickstart.py", f"s3://{local_server.bucket}/folder/", **variables)
        assert dict(store.items()) == {"mine": b"1"}
    with local_server.store() as store:
        before = store.list()
        run(
            "other_stores.py",
            "--endpoint",
            local_server.endpoint,
            "--bucket",
            local_server.bucket,
            **variables,
        )
        assert store.list() == before


def test_an_example_that_fails_says_so(local_server: LocalServer) -> None:
    """In a line, with an exit status."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "public_data.py", "s3://no-such-bucket/"],
        env={**os.environ, "AWS_ENDPOINT_URL_S3": local_server.endpoint},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("\nBucketNotFound: ")


def test_every_example_is_short_and_says_how_to_run_it() -> None:
    """Some hundred lines, to be read from top to bottom."""
    for name in EXAMPLES:
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 105
        assert f"    python examples/{name}\n" in text.partition('"""\n\nfrom')[0]
