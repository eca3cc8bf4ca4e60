"""The built-in transport: pooled keep-alive connections and our own HTTP/1.1 exchange."""

from __future__ import annotations

import os
import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING

from .. import forksafe, http1
from ..call import Call
from ..errors import TransportError
from ..messages import Origin, Response, Settings, WireRequest
from .connection import Connection
from .pool import ConnectionPool

if TYPE_CHECKING:
    import ssl


class SocketTransport:
    """Sends requests over its own pool of connections.

    Mutable state: ``_pool`` (see there), ``_context`` (made once, under ``_lock``) and ``_open``,
    every connection that exists, kept so that a forked child can let go of the parent's sockets.

    Args:
        settings: Timeouts and pool sizes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._pool = self._new_pool()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        forksafe.register(self)

    def _new_pool(self) -> ConnectionPool:
        return ConnectionPool(max_idle=self._settings.max_idle, idle_check=self._settings.idle_check)

    def exchange(self, request: WireRequest, call: Call) -> Response:
        """Send one request on the most recently used connection, or a new one."""
        origin = request.origin
        connection = None if request.fresh else self._pool.take(origin)
        if connection is None:
            connection = self._connect(origin, call)
        target, headers = request.target, request.headers
        if connection.forwarding is not None:
            target = f"{origin}{target}"
            headers = [*headers, *connection.forwarding.items()]
        head = http1.request_head(request.method, target, headers)
        call.attach(connection)
        try:
            response = connection.exchange(head, request.body, request.method, request.data, call.deadline)
        except BaseException:
            connection.close()
            raise
        finally:
            call.detach()
        if connection.reusable:
            self._pool.put(origin, connection)
        else:
            connection.close()
        return response

    def _connect(self, origin: Origin, call: Call) -> Connection:
        from .connect import open_connection

        timeout = self._settings.connect_timeout
        if call.deadline is not None:
            timeout = min(timeout, call.deadline - monotonic())
            if timeout <= 0:
                raise TransportError("the deadline has passed", reason="timeout")
        context = self._tls() if origin.scheme == "https" else None
        connection = open_connection(origin, self._settings, context, timeout)
        self._open.add(connection)
        return connection

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            # Reading a bundle of certificates takes tens of milliseconds: once is enough.
            if self._context is None:
                from .connect import ca_bundle, tls_context

                self._context = tls_context(ca_bundle(os.environ))
            return self._context

    def close(self) -> None:
        """Close idle connections now, and those in use as soon as their exchange is over."""
        self._pool.close()

    def after_fork(self) -> None:
        """Close the copies of the parent's sockets, which says nothing to the peers, and begin anew."""
        self._lock = threading.Lock()
        inherited = list(self._open)
        self._pool = self._new_pool()
        self._open = weakref.WeakSet()
        for connection in inherited:
            connection.close()

    def __repr__(self) -> str:
        return f"<SocketTransport {self._pool!r}>"
