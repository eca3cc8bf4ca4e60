"""The house: layers, module sizes, and what importing the package loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "s3kv"


def test_each_layer_imports_downwards_only() -> None:
    """The import contracts of .importlinter hold."""
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 kept, 0 broken" in run.stdout


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_module_is_longer_than_500_lines(path: Path) -> None:
    """A module that grows past this has more than one concern."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def _modules_after(code: str) -> set[str]:
    """The modules loaded in a fresh interpreter that has run ``code``."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    return set(run.stdout.split())


HEAVY = {"boto3", "botocore", "requests", "urllib3", "ssl", "asyncio"}


def test_importing_s3kv_loads_no_heavy_library() -> None:
    """boto3, requests and urllib3 wait until they are needed."""
    assert not (HEAVY | {"concurrent.futures", "logging"}) & _modules_after("import s3kv")


def test_opening_a_store_loads_no_heavy_library() -> None:
    """Opening sends no request, and loads nothing that only requests need."""
    code = "import s3kv; s3kv.Store('s3://bucket/path', aws_region='us-east-1')"
    assert not HEAVY & _modules_after(code)


def test_an_anonymous_request_loads_neither_boto3_nor_requests() -> None:
    """A public bucket needs no credentials, so nothing that finds them is loaded."""
    code = """
import socket, threading, s3kv
server = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = server.accept()
    while b"\\r\\n\\r\\n" not in connection.recv(65536): pass
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nETag: x\\r\\n\\r\\nhi")
    connection.close()
threading.Thread(target=serve).start()
store = s3kv.Store(bucket="bucket", endpoint=f"http://127.0.0.1:{server.getsockname()[1]}",
                   aws_region="us-east-1", aws_credentials={"type": "anonymous"})
assert store.get("k") == b"hi"
store.close(); server.close()
"""
    assert not {"boto3", "botocore", "requests"} & _modules_after(code)
