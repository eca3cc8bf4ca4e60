"""Start a server as a child process on loopback ports, wait until it answers, and stop it for sure.

``LocalProcess`` is the part that every server shares, whatever it speaks. A subclass says how many
ports it needs, how to launch its programs, and how to ask whether it is ready.

What holds for every subclass:

- each program runs in a session of its own, so that a Ctrl-C at the terminal reaches pytest only,
  and so that one signal to the group reaches whatever the program forks;
- everything it writes is under one private temporary directory, which is removed at the end;
- it is stopped by ``stop`` (or the end of the ``with`` block), at interpreter exit if that was
  forgotten, and by the guard (see ``guard.py``) if the interpreter was killed;
- a child that the tests fork has copies of these objects, and cannot stop the servers with them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

from .children import Guard, clean_environment, kill_group, stop_group
from .ports import find_program, free_ports

_SelfT = TypeVar("_SelfT", bound="LocalProcess")

_LAUNCH_ATTEMPTS = 4
_POLL_SECONDS = 0.05
_LOG_TAIL_BYTES = 4_000
_CLASH_MARKS = ("address already in use", "eaddrinuse", "errno 98", "errno 48")


class ServerStartError(RuntimeError):
    """A server could not be started; the message ends with the end of its logs."""


class LocalProcess(ABC):
    """One server on 127.0.0.1, made of one or more child processes.

    Use it as a context manager, or call ``start`` and ``stop``. It can be started again after it
    was stopped, on new ports and in a new, empty directory.
    """

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    port_offsets: ClassVar[tuple[int, ...]] = (0,)
    # How long a program may take to end when asked to, in seconds, before it is killed.
    stop_patience: ClassVar[float] = 4.0

    def __init__(self, *, ready_seconds: float = 90.0) -> None:
        """``ready_seconds``: how long the server may take, in all, before ``start`` gives up."""
        self._ready_seconds = ready_seconds
        # All mutable state. It changes in start and stop only, which one thread calls.
        self._deadline = 0.0  # On the clock of time.monotonic.
        self._owner_pid = 0
        self._directory: Path | None = None
        self._ports: tuple[int, ...] = ()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: Guard | None = None

    @classmethod
    @abstractmethod
    def available(cls) -> str | None:
        """Return None when this server can run here, else why it cannot, for a developer."""

    @abstractmethod
    def _launch(self) -> None:
        """Write the configuration, ``_run`` preparations, and ``_spawn`` each program."""

    @abstractmethod
    def _not_ready(self) -> str | None:
        """Ask the server once; return None when it is ready, else what went wrong."""

    def _strays(self) -> Sequence[Path]:
        """Return the files that the programs leave outside the directory, if they do that."""
        return ()

    def __enter__(self: _SelfT) -> _SelfT:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The private directory of the running server."""
        if self._directory is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._directory

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports chosen for the running server; the first is the one clients use."""
        if not self._ports:
            raise RuntimeError(f"{self.name} is not running")
        return self._ports

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the programs started, which are also the ids of their process groups."""
        return tuple(process.pid for process in self._processes.values())

    def start(self) -> None:
        """Start the server and return once it answers; on failure nothing is left running."""
        if self._directory is not None:
            raise RuntimeError(f"{self.name} is already running")
        reason = self.available()
        if reason is not None:
            raise ServerStartError(f"cannot start {self.name}: {reason}")
        self._deadline = time.monotonic() + self._ready_seconds
        for attempt in range(1, _LAUNCH_ATTEMPTS + 1):
            try:
                self._prepare()
                self._launch()
                self._await_ready()
                return
            except ServerStartError:
                # The only failure worth another try: somebody took a port after it was chosen.
                retry = attempt < _LAUNCH_ATTEMPTS and self._log_tells_of_clash()
                self.stop()
                if not retry:
                    raise
            except BaseException:  # KeyboardInterrupt too: no process may outlive it.
                self.stop()
                raise

    def stop(self) -> None:
        """Stop the programs, last started first, and remove the directory. May be repeated."""
        if self._owner_pid != os.getpid():
            return  # A forked child: the servers belong to its parent.
        try:
            for label in reversed(list(self._processes)):
                stop_group(self._processes[label], patience=self.stop_patience)
                del self._processes[label]
        finally:
            # Programs are left here only when the above was interrupted, by a second Ctrl-C say.
            for process in self._processes.values():
                kill_group(process)
            self._processes.clear()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None
            if self._ports:
                for path in self._strays():
                    path.unlink(missing_ok=True)
                self._ports = ()
            if self._guard is not None:  # Last: until here there is something to clean up.
                self._guard.release()
                self._guard = None
            atexit.unregister(self.stop)

    def log_tail(self) -> str:
        """Return the end of each program's log."""
        parts = []
        for log in sorted(self.directory.glob("*.log")):
            text = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
            parts.append(f"--- end of {log.name} ---\n{text or '(empty)'}")
        return "\n".join(parts) or "(no log was written)"

    def _prepare(self) -> None:
        self._owner_pid = os.getpid()
        atexit.register(self.stop)
        # resolve(): the system's temporary directory is behind a symbolic link on macOS, and some
        # servers refuse to serve files through one.
        self._directory = Path(tempfile.mkdtemp(prefix=f"s3kv-{self.name}-")).resolve()
        self._ports = free_ports(self.port_count, offsets=self.port_offsets)
        self._guard = Guard([self._directory, *self._strays()])

    def _spawn(self, label: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start one program of the server; its output goes to ``label``.log."""
        if self._guard is None:
            raise RuntimeError(f"{self.name} is not being started")
        self._processes[label] = self._guard.spawn(
            [find_program(argv[0]) or argv[0], *argv[1:]],
            log=self.directory / f"{label}.log",
            directory=self.directory,
            environment=clean_environment(self.directory, env or {}),
        )

    def _run(self, label: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Run a preparatory command to its end; its output goes to ``label``.log."""
        self._spawn(label, argv, env=env)
        process = self._processes[label]
        while process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            self._check_alive(but=label)  # It may be waiting for a program that has died.
            if time.monotonic() >= self._deadline:
                raise self._failure(f"{argv[0]} did not finish in time")
        if process.returncode != 0:
            raise self._failure(f"{argv[0]} ended with status {process.returncode}")
        del self._processes[label]
        if self._guard is not None:
            self._guard.forget(process)

    def _await_ready(self) -> None:
        while True:
            self._check_alive()
            problem = self._not_ready()
            if problem is None:
                self._check_alive()  # What answered may be another process, on a port it took.
                return
            if time.monotonic() >= self._deadline:
                raise self._failure(f"not ready after {self._ready_seconds:g} s; last: {problem}")
            time.sleep(_POLL_SECONDS)

    def _check_alive(self, *, but: str | None = None) -> None:
        for label, process in self._processes.items():
            status = process.poll()
            if status is not None and label != but:
                raise self._failure(f"{label} ended with status {status} while starting")

    def _failure(self, what: str) -> ServerStartError:
        return ServerStartError(f"cannot start {self.name}: {what}\n{self.log_tail()}")

    def _log_tells_of_clash(self) -> bool:
        tail = self.log_tail().lower()
        return any(mark in tail for mark in _CLASH_MARKS)
