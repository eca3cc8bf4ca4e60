"""What the tests of the command line have in common: the command in this process, and in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from s3kv.cli.main import main
from s3kv.testing import LocalServer

ANONYMOUS = '{"type": "anonymous"}'


class Ended(NamedTuple):
    """A command that has ended.

    Attributes:
        status: Its exit status.
        out: What it wrote.
        err: What it complained about.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, read as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """What it wrote, line by line."""
        return self.out.splitlines()


Run = Callable[..., Ended]


def at(endpoint: str) -> list[str]:
    """Return the options that lead to an endpoint, without credentials."""
    return ["--endpoint", endpoint, "--aws-region", "us-east-1", "--aws-credentials", ANONYMOUS]


def running_on(endpoint: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command on an endpoint, in this process."""

    def run(*arguments: str | os.PathLike[str], where: bool = True) -> Ended:
        capsys.readouterr()
        status = main([*map(os.fspath, arguments), *(at(endpoint) if where else ())])
        return Ended(status, *capsys.readouterr())

    return run


@contextmanager
def process(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a process of its own; kill it if it has not ended with the block."""
    command = [sys.executable, "-W", "error", "-m", "s3kv", *arguments]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Output is buffered, as it is for users, whatever runs the tests.
    pipes["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    # Ctrl-C must find the default handler, even where the tests run in the background of a shell.
    with subprocess.Popen(command, **{**pipes, **options}, preexec_fn=_default_signals) as started:
        try:
            yield started
        finally:
            started.kill()


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Folder(NamedTuple):
    """A place of a test's own on a server.

    Attributes:
        server: The server.
        path: The place: a prefix with a slash at its end.
    """

    server: LocalServer
    path: str

    def url(self, key: str = "") -> str:
        """Return the URL of a key in it."""
        return f"s3://{self.server.bucket}/{self.path}{key}"
