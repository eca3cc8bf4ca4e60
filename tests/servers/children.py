"""Child processes: a clean environment for them, stopping them, and the guard over them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_GUARD_SECONDS = 5.0


def clean_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server program.

    It is built from nothing: a developer's ``AWS_*``, proxy or program-specific variables must not
    change how a server behaves, and no program may write into the real home directory.
    """
    environment = {
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return {**environment, **extra}


def stop_group(process: subprocess.Popen[bytes], *, patience: float) -> None:
    """Ask the leader of a process group to end, insist after ``patience`` seconds, and reap it."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # Insisting comes next anyway.
            process.wait(patience)
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process group, and whatever its leader left behind in it, and reap the leader."""
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], signum: int) -> None:
    # Gone, or (on macOS) only zombies are left in it.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


class Guard:
    """Starts programs under the eyes of ``guard.py``, and tells it when everything is well."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """``paths``: what the guard removes if this interpreter is killed."""
        script = Path(__file__).with_name("guard.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def spawn(
        self, argv: Sequence[str], *, log: Path, directory: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a program in a new process group, with the same id, that the guard watches."""
        # The shell announces its id to the guard and then becomes the program. Were it announced
        # from here, this interpreter might be killed in between and nobody would know the program.
        with open(log, "ab") as output:
            return subprocess.Popen(
                ["/bin/sh", "-c", 'echo "$$"; exec "$@" >&2', "sh", *argv],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._process.stdin,
                stderr=output,
                start_new_session=True,
            )

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Stop watching a program that has ended."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"-{process.pid}\n".encode())
            self._process.stdin.flush()

    def release(self) -> None:
        """Tell the guard that nothing is left to watch, and wait for it to end."""
        try:
            self._process.communicate(b"done\n", timeout=_GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
