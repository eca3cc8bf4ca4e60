"""The built-in transport: pooled keep-alive connections and our own HTTP/1.1 exchange."""

from __future__ import annotations

import os
import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING

from .. import forksafe, http1
from ..buffers import Room
from ..call import Call
from ..errors import TransportError
from ..http1 import split_plain
from ..http1_reader import ResponseReader
from ..messages import Body, Origin, Response, Settings, WireRequest, header_lines
from ..weak import living
from .connection import COALESCE, Connection
from .pool import ConnectionPool

if TYPE_CHECKING:
    import ssl


# The longest answer that is taken in one piece.
_SCRATCH = 64 * 1024


class SocketTransport:
    """Sends requests over its own pool of connections.

    Mutable state: ``_pool`` (see there), ``_context`` (made once, under ``_lock``), ``_open``,
    every connection that exists, kept so that a forked child can let go of the parent's sockets, and
    ``scratch``, which belongs to the thread that leads the store's executor.

    Args:
        settings: Timeouts and pool sizes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._make_pool()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        # Small answers come here first: memory that is used again is in the cache, and leaves no holes.
        scratch = bytearray(_SCRATCH)
        self.scratch = scratch, memoryview(scratch)
        forksafe.register(self)

    def _make_pool(self) -> None:
        self._pool = ConnectionPool(self._settings.max_idle)
        #: Takes back a connection that may carry another exchange.
        self.keep = self._pool.put

    def exchange(self, request: WireRequest, call: Call) -> Response:
        """Send one request on the most recently used connection, or a new one."""
        origin = request.origin
        connection = None if request.fresh else self._pool.take(origin)
        if connection is None:
            connection = self._connect(origin, call)
        elif connection.watcher is not None:
            connection.watcher.unwatch(connection)
        reader = ResponseReader(request.method, request.data, request.into, request.cut)
        call.attach(connection)
        try:
            response = connection.exchange(_head(request, connection), request.body, reader, call.deadline)
        except BaseException:
            connection.close()
            raise
        finally:
            call.detach()
        self.release(origin, connection, clean=reader.clean)
        return response

    def begin(self, request: WireRequest, call: Call) -> SocketExchange | None:
        """Send a small request on an idle connection, if there is one."""
        if len(request.body) > COALESCE or request.fresh:
            return None
        connection = self._pool.take(request.origin)
        if connection is None:
            return None
        if not connection.steady:
            self._pool.put(request.origin, connection)
            return None
        data = _head(request, connection)
        if request.body:
            data += request.body
        wanted = request.method, request.data, request.into, request.cut
        return SocketExchange(self, connection, request.origin, data, wanted, call)

    def launch(
        self, origin: Origin, head: bytes, body: Body, method: str, data: bool, cut: int, call: Call
    ) -> SocketExchange | None:
        """Send a small request, head and all, on an idle connection, if there is one."""
        connection = self._pool.take(origin)
        if connection is None:
            return None
        if not connection.steady or connection.forwarding is not None:
            self._pool.put(origin, connection)
            return None
        wanted = method, data, None, cut
        return SocketExchange(self, connection, origin, head + body if body else head, wanted, call)

    def release(self, origin: Origin, connection: Connection, *, clean: bool = True) -> None:
        """Take back a connection after an exchange.

        Args:
            clean: It may carry another.
        """
        if clean:
            self._pool.put(origin, connection)
        else:
            connection.close()

    def _connect(self, origin: Origin, call: Call) -> Connection:
        with forksafe.importing:
            from .connect import open_connection

        timeout = self._settings.connect_timeout
        if call.deadline is not None:
            timeout = min(timeout, call.deadline - monotonic())
            if timeout <= 0:
                raise TransportError("the deadline has passed", reason="timeout")
        context = self._tls() if origin.scheme == "https" else None
        connection = open_connection(origin, self._settings, context, timeout, call)
        self._open.add(connection)
        return connection

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            # Reading a bundle of certificates takes tens of milliseconds: once is enough.
            if self._context is None:
                # OpenSSL's first use is like an import: a child must not be forked in the middle of it.
                with forksafe.importing:
                    from .tls import ca_bundle, tls_context

                    self._context = tls_context(ca_bundle(os.environ))
            return self._context

    def close(self) -> None:
        self._pool.close()

    def after_fork(self) -> None:
        """Close the copies of the parent's sockets, which says nothing to the peers, and begin anew."""
        self._lock = threading.Lock()
        inherited = living(self._open)
        self._make_pool()
        self._open = weakref.WeakSet()
        for connection in inherited:
            connection.close()

    def __repr__(self) -> str:
        return f"<SocketTransport {self._pool!r}>"


def _head(request: WireRequest, connection: Connection) -> bytes:
    if connection.forwarding is None:
        return http1.request_head(request.method, request.target, request.lines)
    return http1.request_head(
        request.method,
        f"{request.origin}{request.target}",
        request.lines + header_lines(connection.forwarding.items()),
    )


class SocketExchange:
    """A request sent on a connection, whose answer is taken without waiting.

    Belongs to one thread at a time. See :class:`~s3kv.transport.protocol.Exchange`.

    Args:
        wanted: What the answer's reader is made with.
    """

    __slots__ = ("_call", "_origin", "_reader", "_transport", "_wanted", "connection", "expires")

    def __init__(
        self,
        transport: SocketTransport,
        connection: Connection,
        origin: Origin,
        data: bytes,
        wanted: tuple[str, bool, Room | None, int],
        call: Call,
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._call = call
        self._wanted = wanted
        # Most answers come in one piece and are plain: what puts others together is made when there is one.
        self._reader: ResponseReader | None = None
        self.connection = connection
        self.expires = monotonic() + connection.timeout
        call.attach(connection)
        try:
            sent = connection.send_now(data)
        except OSError as error:
            self._abandon()
            reason = "stale" if connection.carried else "closed"
            raise TransportError("the store closed the connection", reason=reason, sent=True) from error
        if sent != len(data):
            # A peer that has let its buffer fill up with small requests is not well.
            self._abandon()
            raise TransportError("the store does not take the request", reason="timeout", sent=True)

    @property
    def large(self) -> bool:
        return self._reader is not None and self._reader.large

    def advance(self) -> Response | None:
        connection = self.connection
        data: bytes | None = None
        try:
            if self._reader is None and self._wanted[2] is None:
                scratch, view = self._transport.scratch
                try:
                    count = connection.take_now(view)
                except OSError as error:
                    raise connection.failure(self._read(), error) from error
                if count is None:
                    self.expires = monotonic() + connection.timeout
                    return None
                plain = split_plain(scratch, view, count)
                if plain is None:
                    data = view[:count].tobytes()
                else:
                    connection.carried += 1
                    self._call.detach()
                    self._transport.keep(self._origin, connection)
                    return Response(200, plain[0], plain[1], True)
            if not connection.receive_now(self._read(), data):
                self.expires = monotonic() + connection.timeout
                return None
        except BaseException:
            self._abandon()
            raise
        return self._done()

    def finish(self) -> Response:
        try:
            self.connection.receive(self._read(), self._call.deadline)
        except BaseException:
            self._abandon()
            raise
        return self._done()

    def _read(self) -> ResponseReader:
        reader = self._reader
        if reader is None:
            reader = self._reader = ResponseReader(*self._wanted)
        return reader

    def _done(self) -> Response:
        reader = self._read()
        response = reader.response
        assert response is not None
        self._call.detach()
        self._transport.release(self._origin, self.connection, clean=reader.clean)
        return response

    def expire(self) -> TransportError:
        failure = self.connection.failure(self._read(), TimeoutError())
        self._abandon()
        return failure

    def _abandon(self) -> None:
        self._call.detach()
        self.connection.close()
