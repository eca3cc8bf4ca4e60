"""A TLS connection that can be told not to wait.

OpenSSL works on a socket that does not block, and says what it waits for. Unlike a plain socket's, single
calls cannot be told so: the socket is switched, and switched back for whoever waits.
"""

from __future__ import annotations

import select
import ssl
from typing import TYPE_CHECKING

from .connection import Connection

if TYPE_CHECKING:
    from ..http1_reader import ResponseReader

# One record of TLS is at most this long.
_RECORD = 16 * 1024


class TlsConnection(Connection):
    """See :class:`Connection`."""

    __slots__ = ("_poll",)

    _sock: ssl.SSLSocket

    def __init__(self, sock: ssl.SSLSocket, *, timeout: float) -> None:
        super().__init__(sock, tls=True, timeout=timeout)
        self.steady = hasattr(select, "epoll")
        self._poll: select.poll | None = None

    def send_now(self, data: bytes) -> int:
        if self._armed != 0.0:
            self._arm(0.0)
        try:
            return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def take_now(self, scratch: memoryview) -> int | None:
        try:
            return self._sock.recv_into(scratch, _RECORD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def receive_now(self, reader: ResponseReader, data: bytes | None = None) -> bool:
        while True:
            if data is not None:
                count = len(data)
            else:
                room = reader.room()
                try:
                    if room is not None:
                        count = self._sock.recv_into(room, len(room))
                    else:
                        data = self._sock.recv(_RECORD)
                        count = len(data)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    return False
                except OSError as error:
                    raise self.failure(reader, error) from error
            if not count:
                self._end(reader)
            elif not (reader.filled(count) if data is None else self._feed(reader, data)):
                if reader.large:
                    return False
                # What OpenSSL has decrypted already, no poll will tell of.
                data = None
                continue
            self.carried += 1
            return True

    def quiet(self) -> bool:
        try:
            if self._sock.pending():
                return False
            if self._poll is None:
                self._poll = select.poll()
                self._poll.register(self._sock, select.POLLIN)
            return not self._poll.poll(0)
        except (OSError, ValueError):
            return False
