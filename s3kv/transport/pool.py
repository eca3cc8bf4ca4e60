"""Idle connections, last in first out, one stack for each origin."""

from __future__ import annotations

from ..messages import Origin
from .connection import Connection


class ConnectionPool:
    """Connections that nobody uses at the moment.

    Mutable state: ``_stacks``, a list per origin, and ``_closed``. Appending to a list, popping from
    it and adding a key to a dict are single steps of the interpreter, so no lock is needed; every
    decision is made on a connection that was already popped and so belongs to one thread.
    """

    __slots__ = ("_closed", "_max_idle", "_stacks")

    def __init__(self, max_idle: int) -> None:
        self._stacks: dict[Origin, list[Connection]] = {}
        self._max_idle = max_idle
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """The connection used last that is still good, or None."""
        stack = self._stacks.get(origin)
        if stack is None:
            return None
        while True:
            try:
                connection = stack.pop()
            except IndexError:
                return None
            if connection.quiet():
                return connection
            connection.close()

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for later, or close it when there are enough."""
        stack = self._stacks.get(origin)
        if stack is None:
            stack = self._stacks.setdefault(origin, [])
        if len(stack) >= self._max_idle:
            connection.close()
            return
        stack.append(connection)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close every idle connection, now and from now on."""
        self._closed = True
        for stack in list(self._stacks.values()):
            while stack:
                try:
                    stack.pop().close()
                except IndexError:
                    break

    def __len__(self) -> int:
        return sum(len(stack) for stack in self._stacks.values())

    def __repr__(self) -> str:
        counts = ", ".join(f"{origin}: {len(stack)}" for origin, stack in self._stacks.items())
        return f"<ConnectionPool idle {{{counts}}}{' closed' if self._closed else ''}>"
