"""Free ports on the loopback interface, and where to look for a server's program."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range from which Linux (32768 up) and macOS (49152 up) number outgoing connections, so
# that a connection made between the choice and the server's bind cannot take the port; and low
# enough for a second port 10,000 above to be in the same safe range.
_FIRST, _LAST = 11_000, 22_000
_TRIES = 200


def free_ports(count: int, *, offsets: tuple[int, ...] = (0,)) -> tuple[int, ...]:
    """Return ``count`` distinct ports p for which p + offset can be bound, for every offset.

    Nothing keeps the ports afterwards: another process may take one before the server binds it,
    so the caller has to be ready to choose again.
    """
    chosen: list[int] = []
    with ExitStack() as held:  # Holding the sockets keeps one call from choosing a port twice.
        for _ in range(_TRIES):
            if len(chosen) == count:
                break
            port = random.randrange(_FIRST, _LAST)
            if _bind_all(held, [port + offset for offset in offsets]):
                chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"could not find {count} free ports on {LOOPBACK} in {_TRIES} tries")
    return tuple(chosen)


def _bind_all(held: ExitStack, ports: list[int]) -> bool:
    """Bind every port or none; the sockets stay bound until ``held`` is closed."""
    with ExitStack() as attempt:
        for port in ports:
            sock = attempt.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # A port with connections in TIME_WAIT is usable by a server, all of which set this.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((LOOPBACK, port))
            except OSError:
                return False
        held.push(attempt.pop_all())
    return True


def find_program(name: str) -> str | None:
    """Return the path of a program, or None.

    Programs from PyPI sit next to the interpreter, which is not on ``PATH`` when a virtual
    environment is used without being activated; daemons from a distribution sit in ``sbin``,
    which is not on an ordinary user's ``PATH``.
    """
    beside_python = str(Path(sys.executable).parent)
    inherited = os.environ.get("PATH", os.defpath)
    places = [beside_python, inherited, "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


def missing_programs(names: tuple[str, ...], *, install: str) -> str | None:
    """Return None when all programs are found, else a sentence that says what to install."""
    missing = [name for name in names if find_program(name) is None]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} not installed ({install})"
