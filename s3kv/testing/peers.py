"""One end of a proxied connection: a TCP stream of asyncio that can break off in every way there is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

from .framing import Framing

# A head longer than this is passed on like a body.
_MAX_HEAD = 1 << 20
_PIECE = 1 << 16
_END_OF_HEAD = b"\r\n\r\n"
# Throw away what was not sent, and say so.
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class _Reader(asyncio.StreamReader):
    """A reader that tells of its end though nobody reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


class Peer:
    """The client, or the server, at the other end of a connection."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # What came behind what was asked for.
        self._unread = bytearray()
        # asyncio does this only for sockets that say themselves that they speak TCP.
        sock = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What was written has left when drain returns: a reset throws away what has not.
        writer.transport.set_write_buffer_limits(high=0)

    async def head(self) -> tuple[bytes, bool]:
        """The head of the next message, its empty line included, and whether it is whole.

        What is not whole is what came before the end of the connection, or more than a head can be.
        """
        while True:
            end = self._unread.find(_END_OF_HEAD)
            if end >= 0:
                return self._take(end + len(_END_OF_HEAD)), True
            data = b"" if len(self._unread) > _MAX_HEAD else await self._read()
            if not data:
                return self._take(len(self._unread)), False
            self._unread += data

    async def body(self, framing: Framing, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand on the pieces of a body as they come.

        Args:
            framing: Says where it ends.
            take: Gets each piece.

        Raises:
            EOFError: the peer has gone before its end.
        """
        while not framing.done:
            if not self._unread:
                self._unread += await self._read()
            if not self._unread:
                raise EOFError
            await take(self._take(framing.take(bytes(self._unread))))

    def _take(self, count: int) -> bytes:
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    async def _read(self) -> bytes:
        with contextlib.suppress(OSError):
            return await self._reader.read(_PIECE)
        return b""

    async def send(self, data: bytes) -> None:
        """Send bytes; returns when they have left.

        Raises:
            OSError: the peer has gone.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the peer has closed its sending direction, or the connection is broken."""
        await self._reader.ended.wait()

    def close(self) -> None:
        """Close the connection: FIN, behind what was sent."""
        if self._writer.transport.get_write_buffer_size():
            # Nobody takes it any more.
            self._writer.transport.abort()
        else:
            self._writer.close()

    def reset(self) -> None:
        """Close the connection with RST."""
        sock = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def dial(host: str, port: int) -> Peer:
    """Connect to a server.

    Raises:
        OSError: it cannot be reached.
    """
    loop = asyncio.get_running_loop()
    reader = _Reader(loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port)
    return Peer(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def welcome(sock: socket.socket) -> Peer:
    """Take over a connection that was accepted.

    Raises:
        OSError: it is broken already.
    """
    loop = asyncio.get_running_loop()
    reader = _Reader(loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
    return Peer(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
