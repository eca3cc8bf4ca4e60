"""A server that answers each GET a fixed time after it came, whatever the key, and costs next to nothing.

    python delayed_server.py PORT MILLISECONDS BODY_FILE

It stands for a store that is far away. Requests without a signature are refused. Run as a script, by path,
so that nothing else is imported.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

_MARK = b"AWS4-HMAC-SHA256"


class DelayedServer:
    """One thread, one loop: what is due leaves, what came is noted."""

    def __init__(self, port: int, delay: float, body: bytes) -> None:
        self._delay = delay
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nAccept-Ranges: bytes\r\n'
            "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        self._get, self._head = head + body, head
        self._refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._peers: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        # (when, to whom, what), in the order in which they came, which is that in which they are due.
        self._due: deque[tuple[float, socket.socket, bytes]] = deque()

    def serve(self) -> None:
        """Go on until the process is ended."""
        waiter, poll, due = [self._poll.fileno()], self._poll.poll, self._due
        while True:
            # select() on the epoll itself: epoll's own timeout is in whole milliseconds.
            timeout = max(0.0, due[0][0] - time.monotonic()) if due else None
            if select.select(waiter, [], [], timeout)[0]:
                for number, _ in poll(0):
                    if number == self._listener.fileno():
                        self._accept()
                    else:
                        self._receive(number)
            now = time.monotonic()
            while due and due[0][0] <= now:
                _, peer, answer = due.popleft()
                self._send(peer, answer)

    def _accept(self) -> None:
        """Take in everybody who knocks."""
        while True:
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                return
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # So that an answer always fits, and sending never has to wait.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            self._peers[peer.fileno()] = peer
            self._poll.register(peer.fileno(), select.EPOLLIN)

    def _receive(self, number: int) -> None:
        """Note the requests that have come in whole."""
        try:
            data = self._peers[number].recv(65536)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(number)
            self._partial.pop(number, None)
            self._peers.pop(number).close()
            return
        *requests, rest = (self._partial.pop(number, b"") + data).split(b"\r\n\r\n")
        if rest:
            self._partial[number] = rest
        for request in requests:
            answer = self._head if request.startswith(b"HEAD ") else self._get
            if _MARK not in request:
                answer = self._refusal
            self._due.append((time.monotonic() + self._delay, self._peers[number], answer))

    @staticmethod
    def _send(peer: socket.socket, answer: bytes) -> None:
        """Send an answer, unless nobody waits for it any more."""
        try:
            peer.send(answer)
        except OSError:
            peer.close()


if __name__ == "__main__":
    DelayedServer(int(sys.argv[1]), float(sys.argv[2]) / 1000, Path(sys.argv[3]).read_bytes()).serve()
