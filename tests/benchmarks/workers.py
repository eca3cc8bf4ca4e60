"""The worker processes, as seen from the process that leads the run."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .task import Task

# Of one answer. Only a hang takes this long.
_ANSWER_SECONDS = 180.0
ROOT = Path(__file__).resolve().parents[2]


class WorkerFailed(Exception):
    """A contender broke down; says how."""


def clean_environment(task: Task | None = None) -> dict[str, str]:
    """This process's environment without what decides how requests are sent, and with the task's keys.

    Modules are compiled once, as for any user, and not by each import.
    """
    clients = ("AWS_", "BOTO_", "TENSORSTORE_", "S3KV_", "SSL_CERT_", "FSSPEC_", "MINIO_")
    dropped = (*clients, "PYTHONDONTWRITEBYTECODE")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(dropped) and not name.upper().endswith(("_PROXY", "_CA_BUNDLE"))
    }
    environment |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BOTO_CONFIG": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
    }
    if task is not None:
        environment["AWS_ACCESS_KEY_ID"] = task.place.access_key
        environment["AWS_SECRET_ACCESS_KEY"] = task.place.secret_key
    return environment


class Worker:
    """One contender's process. Use it as a context manager."""

    def __init__(self, task: Task, *, check: bool = True) -> None:
        """Start the process; ``check``: make the contender show that it does its work right."""
        self.task = task
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (Closed by stop.)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker"],
            cwd=ROOT,
            env=clean_environment(task),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # A Ctrl-C is for the leading process, which then ends this one.
            start_new_session=True,
        )
        self._say(json.dumps({**asdict(task), "check": check}))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def first_answer(self) -> dict[str, Any]:
        """What the contender says to its task: ``absent``, or ``ready`` with more."""
        return self._answer()

    def round(self, units: int) -> dict[str, Any]:
        """Have one round done."""
        self._say(str(units))
        return self._answer()

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has ended, which its missing answer will tell.
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _ANSWER_SECONDS)[0]:
            raise WorkerFailed(f"no answer within {_ANSWER_SECONDS:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"the process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise WorkerFailed(str(answer["failed"]))
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-500:].decode(errors="replace").strip() or "without a word"
