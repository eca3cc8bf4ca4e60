"""One connection: send a request, read the answer, say whether the connection may be used again.

The socket blocks. On plain sockets the kernel's own timeouts bound each call, which saves the
``poll`` that Python's ``settimeout`` adds to every send and receive; TLS sockets use
``settimeout``, because OpenSSL takes a kernel timeout for a reason to try again.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from time import monotonic
from typing import TYPE_CHECKING

from .. import http1
from ..errors import MalformedResponse, TransportError
from ..messages import MAX_DOCUMENT_BYTES, MAX_ERROR_BYTES, Body, Response
from . import buffers

if TYPE_CHECKING:
    import ssl

_RECEIVE = 64 * 1024
# A request this small is copied together with its head: one system call, one packet.
_COALESCE = 16 * 1024
# After a failed send an answer may already be here; this long is it waited for, in seconds.
_LAST_WORDS = 1.0
_WAITALL = getattr(socket, "MSG_WAITALL", 0)
# Windows has the option too, but as a count of milliseconds.
_CAN_ARM = hasattr(socket, "SO_RCVTIMEO") and sys.platform != "win32"


class Connection:
    """A connected socket and what it has carried.

    Not shared: the thread that took it from the pool owns it until it is put back. Only
    :meth:`abort` may be called by others.

    Attributes:
        reusable: The last exchange left the connection in a state to carry another.
        idle_since: Monotonic time at which it was put into the pool.
        carried: How many exchanges it has completed.
        forwarding: None, or the peer is an HTTP proxy: requests name the whole URL, and carry
            these headers for the proxy alone.
    """

    __slots__ = (
        "__weakref__",
        "_armed",
        "_kernel",
        "_sock",
        "_timeout",
        "carried",
        "forwarding",
        "idle_since",
        "reusable",
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
        self._timeout = timeout
        self._kernel = _CAN_ARM and not tls
        self._armed = -1.0
        self.reusable = False
        self.idle_since = 0.0
        self.carried = 0
        self.forwarding = forwarding
        if self._kernel:
            sock.settimeout(None)
        self._arm(timeout)

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
        if left < self._timeout or self._armed != self._timeout:
            self._arm(min(left, self._timeout))

    def exchange(
        self, head: bytes, body: Body, method: str, data: bool, deadline: float | None
    ) -> Response:
        """Send one request and read its answer.

        Args:
            head: The request head.
            body: The payload.
            method: The HTTP method, which says whether the answer has a body.
            data: A 2xx body is an object's bytes (see :class:`~s3kv.messages.Request`).
            deadline: Monotonic time at which to give up, or None.

        Raises:
            TransportError: no whole answer came.
            MalformedResponse: the answer breaks HTTP.
        """
        self.reusable = False
        if deadline is None and self._armed != self._timeout:
            self._arm(self._timeout)
        broken: OSError | None = None
        try:
            self._send(head, body, deadline)
        except (BlockingIOError, TimeoutError) as error:
            raise TransportError(
                "the store stopped taking the request", reason="timeout", sent=True
            ) from error
        except OSError as error:
            broken = error
            deadline = min(deadline or float("inf"), monotonic() + _LAST_WORDS)
        response = self._receive(method, data, deadline, broken)
        self.carried += 1
        return response

    def _send(self, head: bytes, body: Body, deadline: float | None) -> None:
        send = self._sock.send
        if not body:
            pending: bytes | memoryview = head
        elif len(body) <= _COALESCE:
            pending = b"".join((head, body))
        else:
            pending = memoryview(body)
            if self._kernel:
                if deadline is not None:
                    self._rearm(deadline)
                sent = self._sock.sendmsg((head, pending))  # type: ignore[arg-type]
                if sent < len(head):
                    self._send_all(memoryview(head)[sent:], deadline)
                    sent = len(head)
                pending = pending[sent - len(head) :]
            else:
                self._send_all(memoryview(head), deadline)
            self._send_all(pending, deadline)
            return
        if deadline is not None:
            self._rearm(deadline)
        sent = send(pending)
        if sent != len(pending):
            self._send_all(memoryview(pending)[sent:], deadline)

    def _send_all(self, view: memoryview, deadline: float | None) -> None:
        send = self._sock.send
        while view:
            if deadline is not None:
                self._rearm(deadline)
            view = view[send(view) :]

    def _receive(self, method: str, data: bool, deadline: float | None, broken: OSError | None) -> Response:
        """Read heads until one is final, then its body."""
        pending = b""
        interim = 0
        while True:
            end = pending.find(b"\r\n\r\n")
            while end < 0:
                if len(pending) > http1.MAX_HEAD_BYTES:
                    raise MalformedResponse(
                        f"the answer's head is longer than {http1.MAX_HEAD_BYTES:,} bytes"
                    )
                if not pending and interim == 0:
                    pending = self._first(deadline, broken)
                else:
                    pending += self._more(deadline)
                end = pending.find(b"\r\n\r\n", max(0, end))
            if end > http1.MAX_HEAD_BYTES:
                raise MalformedResponse(f"the answer's head is longer than {http1.MAX_HEAD_BYTES:,} bytes")
            try:
                head = http1.parse_head(pending[:end])
            except MalformedResponse as error:
                if self.carried and interim == 0:
                    # Most likely left over from the answer before, which said it was shorter.
                    raise self._stale() from error
                raise
            if head.status >= 200:
                break
            interim += 1
            if head.status == 101 or interim > http1.MAX_INTERIM:
                raise MalformedResponse(f"the answer is an unexpected interim {head.status}")
            pending = pending[end + 4 :]
        rest = pending[end + 4 :]
        body, clean = self._body(head, method, rest, data, deadline)
        self.reusable = clean and head.keep_alive and broken is None
        return Response(head.status, head.headers, body)

    def _first(self, deadline: float | None, broken: OSError | None) -> bytes:
        """The first bytes of an answer; tells a dead kept-alive connection from a broken one."""
        cause: OSError | None = broken
        try:
            if deadline is not None:
                self._rearm(deadline)
            data = self._sock.recv(_RECEIVE)
            if data:
                return data
        except (BlockingIOError, TimeoutError) as error:
            if broken is None:
                raise TransportError(
                    "the store did not answer in time", reason="timeout", sent=True
                ) from error
        except OSError as error:
            cause = broken or error
        if self.carried:
            raise self._stale() from cause
        detail = f": {cause.strerror or cause}" if cause is not None else ""
        raise TransportError(
            f"the store closed the connection without an answer{detail}", reason="closed", sent=True
        ) from cause

    @staticmethod
    def _stale() -> TransportError:
        return TransportError("a kept-alive connection was dead", reason="stale", sent=True)

    def _more(self, deadline: float | None, size: int = _RECEIVE, flags: int = 0) -> bytes:
        """The next bytes of an answer that has begun, at least one."""
        try:
            if deadline is not None:
                self._rearm(deadline)
            data = self._sock.recv(size, flags)
        except (BlockingIOError, TimeoutError) as error:
            raise _stalled() from error
        except OSError as error:
            raise _cut() from error
        if not data:
            raise _cut()
        return data

    def _body(
        self, head: http1.Head, method: str, rest: bytes, data: bool, deadline: float | None
    ) -> tuple[bytes, bool]:
        """The body, and whether the answer ended exactly where it said it would."""
        if not http1.has_body(method, head.status):
            return b"", not rest
        success = head.status < 300
        limit = None if data and success else MAX_DOCUMENT_BYTES if success else MAX_ERROR_BYTES
        if head.chunked:
            return self._chunks(rest, limit, success, deadline)
        length = head.length
        if length is not None:
            if limit is not None and length > limit:
                if success:
                    raise MalformedResponse(f"the answer announces {length:,} bytes of document")
                return self._fixed(rest, limit, deadline)[0], False
            return self._fixed(rest, length, deadline)
        if limit is None:
            raise MalformedResponse("the answer does not say how long the object's bytes are")
        return self._until_close(rest, limit, success, deadline), False

    def _fixed(self, rest: bytes, length: int, deadline: float | None) -> tuple[bytes, bool]:
        have = len(rest)
        if have >= length:
            return (rest, True) if have == length else (rest[:length], False)
        flags = _WAITALL if self._kernel else 0
        if length < buffers.LARGE or not buffers.available():
            pieces = [rest] if rest else []
            while have < length:
                piece = self._more(deadline, length - have, flags)
                pieces.append(piece)
                have += len(piece)
            return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), True
        fresh = buffers.FreshBytes(length, rest)
        view = fresh.view
        receive_into = self._sock.recv_into
        while have < length:
            try:
                if deadline is not None:
                    self._rearm(deadline)
                count = receive_into(view[have:], length - have, flags)
            except (BlockingIOError, TimeoutError) as error:
                raise _stalled() from error
            except OSError as error:
                raise _cut() from error
            if not count:
                raise _cut()
            have += count
        return fresh.data, True

    def _chunks(
        self, rest: bytes, limit: int | None, success: bool, deadline: float | None
    ) -> tuple[bytes, bool]:
        decoder = http1.ChunkedDecoder()
        pieces: list[bytes] = []
        size = 0
        data = rest
        while True:
            for piece in decoder.feed(data):
                pieces.append(piece)
                size += len(piece)
            if limit is not None and size > limit:
                if success:
                    raise MalformedResponse(f"the answer is a document of over {limit:,} bytes")
                return b"".join(pieces)[:limit], False
            if decoder.done:
                return b"".join(pieces), not decoder.rest
            data = self._more(deadline)

    def _until_close(self, rest: bytes, limit: int, success: bool, deadline: float | None) -> bytes:
        pieces = [rest]
        size = len(rest)
        while size <= limit:
            try:
                if deadline is not None:
                    self._rearm(deadline)
                piece = self._sock.recv(_RECEIVE)
            except (BlockingIOError, TimeoutError) as error:
                raise _stalled() from error
            except OSError as error:
                raise _cut() from error
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        if success:
            raise MalformedResponse(f"the answer is a document of over {limit:,} bytes")
        return b"".join(pieces)[:limit]

    def quiet(self) -> bool:
        """Whether an idle connection is as it was left: neither closed nor sent anything."""
        try:
            if not hasattr(select, "poll"):
                return not select.select([self._sock], [], [], 0)[0]
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def abort(self) -> None:
        """Wake the thread that waits on this connection; it finds the connection broken."""
        # Below TLS: a polite goodbye would wait for the peer.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket without a word to the peer."""
        self._sock.close()


def _stalled() -> TransportError:
    return TransportError("the store fell silent in the middle of an answer", reason="timeout", sent=True)


def _cut() -> TransportError:
    return TransportError("the answer was cut short", reason="short", sent=True)
