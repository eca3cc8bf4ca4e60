"""Keeps moto's web server from logging every request while some local server runs."""

from __future__ import annotations

import logging
import threading


class Quiet:
    """Raises the level of a logger as long as somebody wants that.

    Mutable state, behind ``_lock``: how many want it, and the level from before.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._name = name
        self._count = 0
        self._level = logging.NOTSET

    def begin(self) -> None:
        """One more wants it."""
        log = logging.getLogger(self._name)
        with self._lock:
            if not self._count:
                self._level = log.level
                log.setLevel(logging.ERROR)
            self._count += 1

    def end(self) -> None:
        """One less wants it."""
        with self._lock:
            self._count -= 1
            if not self._count:
                logging.getLogger(self._name).setLevel(self._level)


QUIET = Quiet("werkzeug")
