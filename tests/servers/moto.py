"""moto: Amazon's API imitated in Python. No authentication: any signature is accepted.

It runs as a process of its own, though it could run as a thread here: a fork, a Ctrl-C or a
thousand client threads in a test then cannot disturb it, and it takes no turns at this
interpreter's lock, which would make the client under test look slow.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import ClassVar

from .base import LocalProcessServer
from .ports import LOOPBACK

_MODULES = ("moto", "flask", "flask_cors")


class MotoServer(LocalProcessServer):
    """moto's stand-alone server; it keeps objects in memory."""

    name: ClassVar[str] = "moto"

    @classmethod
    def available(cls) -> str | None:
        """Return None when moto and what its server needs can be imported."""
        missing = [module for module in _MODULES if importlib.util.find_spec(module) is None]
        if missing:
            return f"no module named {', '.join(missing)} (pip install 'moto[s3,server]')"
        return None

    def _launch(self) -> None:
        port = str(self.ports[0])
        self._spawn("moto", [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", port])
