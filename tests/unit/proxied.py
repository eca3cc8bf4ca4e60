"""A client of raw bytes, a scripted server, and a proxy between them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

from s3kv.testing import FaultProxy, Seen
from tests.wire.scripted import Peer, ScriptedServer, Step, exchanges, ok

GET = b"GET /bucket/a%20b?x=1 HTTP/1.1\r\nHost: h:1\r\nX-Odd:  two  spaces \r\n\r\n"
PUT = b"PUT /bucket/key HTTP/1.1\r\nhOsT: h\r\nContent-Length: 5\r\n\r\nhello"
HEAD = b"HEAD /bucket/key HTTP/1.1\r\nHost: h\r\n\r\n"
BODY = b"0123456789"
FULL = ok(BODY)
HEAD_BYTES = len(FULL) - len(BODY)


class Client:
    """A connection to a proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        host, _, port = proxy.endpoint.removeprefix("http://").partition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=10)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            assert piece, f"the connection ended after {data!r}"
            data += piece
        return data

    def rest(self) -> tuple[bytes, str]:
        """All that comes, and how the connection ends."""
        data = b""
        while True:
            try:
                piece = self.sock.recv(65536)
            except ConnectionResetError:
                return data, "RST"
            if not piece:
                return data, "FIN"
            data += piece


@contextlib.contextmanager
def through(
    *script: Sequence[Step], lenient: bool = False
) -> Iterator[tuple[ScriptedServer, FaultProxy, Client]]:
    """A scripted server behind a proxy, and a client."""
    with (
        ScriptedServer(*script, lenient=lenient) as server,
        FaultProxy(server.url) as proxy,
        Client(proxy) as client,
    ):
        yield server, proxy, client


@contextlib.contextmanager
def serving(*answers: bytes, extra: int = 0) -> Iterator[tuple[ScriptedServer, FaultProxy, Client]]:
    """A server of one connection with these answers behind a proxy, and a client.

    Args:
        extra: So many further connections are served, each with one whole answer.
    """
    script = [exchanges(*answers)] + [exchanges(FULL)] * extra
    with through(*script, lenient=True) as (server, proxy, client):
        yield server, proxy, client


def proxied(proxy: FaultProxy, number: int) -> Seen:
    """What became of a request, once the proxy is done with it."""
    end = time.monotonic() + 5
    while len(proxy.requests) <= number or not proxy.requests[number].done:
        assert time.monotonic() < end
        time.sleep(0.002)
    return proxy.requests[number]


def served(server: ScriptedServer) -> Peer:
    """The first connection, once the server knows of it."""
    end = time.monotonic() + 5
    while not server.connections:
        assert time.monotonic() < end
        time.sleep(0.002)
    return server.connections[0]
