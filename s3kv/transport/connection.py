"""One connection: send a request, read the answer, say whether the connection may be used again.

The socket blocks. On plain sockets the kernel's own timeouts bound each call, which saves the
``poll`` that Python's ``settimeout`` adds to every send and receive; TLS sockets use ``settimeout``,
because OpenSSL takes a kernel timeout for a reason to try again. On plain sockets a single call can
also be told not to wait, which is what the multiplexing driver does; ``tls_connection`` has the same
for TLS.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from ..errors import MalformedResponse, TransportError
from ..http1_reader import ResponseReader
from ..messages import Body, Response

if TYPE_CHECKING:
    import ssl

_RECEIVE = 64 * 1024
# A request this small is copied together with its head: one system call, one packet.
COALESCE = 16 * 1024
# After a failed send an answer may already be here; this long is it waited for, in seconds.
_LAST_WORDS = 1.0
# So long it takes to read what is here, in seconds.
_GLANCE = 0.02
_WAITALL = getattr(socket, "MSG_WAITALL", 0)
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
# Linux: struct tcp_info begins with the state and has tcpi_bytes_acked at 120, tcpi_bytes_received at 128
# (tcp(7)).
_TCP_INFO = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0
_TCP_ESTABLISHED = 1
_ACKNOWLEDGED_AT, _RECEIVED_AT = 120, 128
_READ_COUNT = struct.Struct("=Q").unpack_from
_READ_BOTH = struct.Struct("=QQ").unpack_from
# Windows has the option too, but as a count of milliseconds.
_CAN_ARM = hasattr(socket, "SO_RCVTIMEO") and sys.platform != "win32"


class Watcher(Protocol):
    """Waits for bytes on many connections at once."""

    def unwatch(self, connection: Connection) -> None:
        """Stop watching a connection."""


class Connection:
    """A connected socket and what it has carried.

    Not shared: the thread that took it from the pool owns it until it is put back. Only
    :meth:`abort` may be called by others.

    Attributes:
        carried: How many exchanges it has completed.
        descriptor: The socket's file descriptor, as long as it is open.
        forwarding: None, or the peer is an HTTP proxy: requests name the whole URL, and carry
            these headers for the proxy alone.
        timeout: Seconds that the peer may stay silent.
        steady: It can be told not to wait, so that one thread can carry many.
        watcher: Who is told when bytes arrive; None for nobody.
    """

    __slots__ = (
        "__weakref__",
        "_armed",
        "_kernel",
        "_received",
        "_sock",
        "carried",
        "descriptor",
        "forwarding",
        "steady",
        "timeout",
        "watcher",
    )

    def __init__(
        self,
        sock: socket.socket | ssl.SSLSocket,
        *,
        tls: bool,
        timeout: float,
        forwarding: dict[str, str] | None = None,
    ) -> None:
        self._sock = sock
        self.descriptor = sock.fileno()
        self.timeout = timeout
        self._kernel = _CAN_ARM and not tls
        self._armed = -1.0
        self.steady = not tls and bool(_DONTWAIT)
        self.carried = 0
        self.forwarding = forwarding
        # Bytes received, plain connections only.
        self._received = 0
        self.watcher: Watcher | None = None
        if self._kernel:
            sock.settimeout(None)
        self._arm(timeout)

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._sock.fileno()

    # ---------------------------------------------------------------- blocking

    def exchange(self, head: bytes, body: Body, reader: ResponseReader, deadline: float | None) -> Response:
        """Send one request and read its answer.

        Args:
            head: The request head.
            body: The payload.
            reader: A new reader, which tells afterwards whether the connection may be used again.
            deadline: Monotonic time at which to give up, or None.

        Raises:
            TransportError: no whole answer came.
            MalformedResponse: the answer breaks HTTP.
        """
        if deadline is None and self._armed != self.timeout:
            self._arm(self.timeout)
        try:
            self._send(head, body, deadline)
        except OSError as error:
            return self._last_words(reader, deadline, error)
        return self.receive(reader, deadline)

    def _last_words(self, reader: ResponseReader, deadline: float | None, broken: OSError) -> Response:
        """The answer to a request that could not be sent whole: it may be here already."""
        now = monotonic()
        until = now + _LAST_WORDS if deadline is None else min(now + _LAST_WORDS, deadline)
        try:
            # A deadline that has passed is no reason to leave unread what is here.
            response = self.receive(reader, max(until, now + _GLANCE))
        except TransportError as error:
            if error.reason == "stale":
                raise
            if isinstance(broken, (BlockingIOError, TimeoutError)):
                raise TransportError(
                    "the store stopped taking the request", reason="timeout", sent=True
                ) from broken
            raise TransportError(
                f"the store closed the connection while the request was sent: {_words(broken)}",
                reason="closed",
                sent=True,
            ) from broken
        reader.clean = False
        return response

    def receive(self, reader: ResponseReader, deadline: float | None) -> Response:
        """Read an answer, or the rest of it, to its end."""
        sock = self._sock
        flags = _WAITALL if self._kernel else 0
        if deadline is None and self._armed != self.timeout:
            self._arm(self.timeout)
        while True:
            try:
                if deadline is not None:
                    self._rearm(deadline)
                room = reader.room()
                if room is not None:
                    count = sock.recv_into(room, len(room), flags)
                    if count:
                        self._received += count
                        if reader.filled(count):
                            break
                        continue
                    data = b""
                elif reader.wanted:
                    data = sock.recv(reader.wanted, flags)
                else:
                    data = sock.recv(_RECEIVE)
            except OSError as error:
                raise self.failure(reader, error) from error
            if not data:
                self._end(reader)
                break
            self._received += len(data)
            if self._feed(reader, data):
                break
        self.carried += 1
        assert reader.response is not None
        return reader.response

    def _feed(self, reader: ResponseReader, data: bytes) -> bool:
        try:
            return reader.feed(data)
        except MalformedResponse as error:
            if self.carried and reader.head is None:
                # Most likely left over from the answer before, which said it was shorter.
                raise _stale() from error
            raise

    def _end(self, reader: ResponseReader) -> None:
        if not reader.started:
            raise self.failure(reader, None)
        reader.end()

    def failure(self, reader: ResponseReader, error: OSError | None) -> TransportError:
        """What a failed receive means, by how far the answer had come."""
        if isinstance(error, (BlockingIOError, TimeoutError)):
            message = (
                "the store fell silent in the middle of an answer"
                if reader.started
                else "the store did not answer in time"
            )
            return _broken(reader, message, "timeout")
        if reader.started:
            return _broken(reader, "the answer was cut short", "short")
        if self.carried:
            return _stale()
        detail = "" if error is None else f": {_words(error)}"
        return TransportError(
            f"the store closed the connection without an answer{detail}", reason="closed", sent=True
        )

    def _send(self, head: bytes, body: Body, deadline: float | None) -> None:
        if len(body) <= COALESCE:
            pending = memoryview(head + body) if body else memoryview(head)
        elif self._kernel:
            if deadline is not None:
                self._rearm(deadline)
            sent = self._sock.sendmsg((head, body))  # type: ignore[arg-type]
            if sent < len(head):
                self._send_all(memoryview(head)[sent:], deadline)
                sent = len(head)
            pending = memoryview(body)[sent - len(head) :]
        else:
            self._send_all(memoryview(head), deadline)
            pending = memoryview(body)
        self._send_all(pending, deadline)

    def _send_all(self, view: memoryview, deadline: float | None) -> None:
        send = self._sock.send
        while view:
            if deadline is not None:
                self._rearm(deadline)
            view = view[send(view) :]

    def _arm(self, seconds: float) -> None:
        self._armed = seconds
        if not self._kernel:
            self._sock.settimeout(seconds)
            return
        # Zero would mean "for ever" to the kernel.
        micros = max(1, int(seconds * 1e6))
        value = struct.pack("@ll", micros // 1_000_000, micros % 1_000_000)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def _rearm(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        if left < self.timeout or self._armed != self.timeout:
            self._arm(min(left, self.timeout))

    # ---------------------------------------------------------------- not waiting

    def send_now(self, data: bytes) -> int:
        """Send what the kernel takes at once; how many bytes that was. Steady connections only.

        Raises:
            OSError: the connection is broken.
        """
        try:
            return self._sock.send(data, _DONTWAIT)
        except BlockingIOError:
            return 0

    def take_now(self, scratch: memoryview) -> int | None:
        """What is here, of an answer of which nothing has come yet. Steady connections only.

        Args:
            scratch: Where to put it.

        Returns:
            How many bytes that are: 0 for the end of the connection, None for nothing yet.

        Raises:
            OSError: the connection is broken.
        """
        try:
            count = self._sock.recv_into(scratch, 0, _DONTWAIT)
        except BlockingIOError:
            return None
        self._received += count
        return count

    def receive_now(self, reader: ResponseReader, data: bytes | None = None) -> bool:
        """Read some of what is here; True when the answer is whole. Steady connections only.

        Args:
            data: What :meth:`take_now` has taken already; default: nothing.

        Raises:
            TransportError: no whole answer came.
            MalformedResponse: the answer breaks HTTP.
        """
        if data is not None:
            count = len(data)
        else:
            room = reader.room()
            try:
                if room is not None:
                    count = self._sock.recv_into(room, len(room), _DONTWAIT)
                else:
                    data = self._sock.recv(_RECEIVE, _DONTWAIT)
                    count = len(data)
            except BlockingIOError:
                return False
            except OSError as error:
                raise self.failure(reader, error) from error
            self._received += count
        if not count:
            self._end(reader)
        elif not (reader.filled(count) if data is None else self._feed(reader, data)):
            return False
        self.carried += 1
        return True

    # ---------------------------------------------------------------- either

    def quiet(self) -> bool:
        """Whether an idle connection is as it was left: the peer neither closed it nor sent anything.

        Bytes that nobody asked for would be taken for the answer to the next request. On Linux the
        kernel's own count tells, by a call that, unlike a receive, keeps the interpreter lock.
        """
        try:
            if self._kernel and _TCP_INFO:
                info = self._sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED_AT + 8)
                if len(info) == _RECEIVED_AT + 8:
                    received: int = _READ_COUNT(info, _RECEIVED_AT)[0]
                    return info[0] == _TCP_ESTABLISHED and received == self._received
            if not hasattr(select, "poll"):
                return not select.select([self._sock], [], [], 0)[0]
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def moved(self) -> int:
        """How many bytes have gone both ways, as far as the system tells; safe from any thread."""
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RECEIVED_AT + 8)
            acknowledged, received = _READ_BOTH(info, _ACKNOWLEDGED_AT)
        except (OSError, struct.error):
            return self._received
        return int(acknowledged + received)

    def abort(self) -> None:
        """Wake the thread that waits on this connection; it finds the connection broken."""
        # Below TLS: a polite goodbye would wait for the peer.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket without a word to the peer."""
        self._sock.close()


def _broken(reader: ResponseReader, message: str, reason: str) -> TransportError:
    failure = TransportError(message, reason=reason, sent=True)
    failure.partial = reader.partial()
    return failure


def _stale() -> TransportError:
    return TransportError("a kept-alive connection was dead", reason="stale", sent=True)


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
