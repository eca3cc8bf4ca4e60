"""Races on real servers: stores on which writes meet each other, and a proxy that loses answers."""

from __future__ import annotations

import http.client
import itertools
import random
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests

import s3kv
from tests.servers import ALL, LocalProcessServer, ServerInfo, departure

READS = ("GET", "HEAD")

# Seconds that a race may take: SeaweedFS takes some for a contended write.
TIMEOUT = 60.0

# Those on which it is not a matter of chance who wins.
HONOURING: tuple[type[LocalProcessServer], ...] = tuple(
    server
    for server in ALL
    if all(departure(server.name, feature) is None for feature in ("put-if-match", "put-if-none-match"))
)

_ONE_IN = 3
_REFUSED = 300
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")
_NO_BODY = (204, 304)


class OneWriteAtATime(requests.Session):
    """A session that sends no write while another is under way, for a server that has no lock."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send the request, a write alone."""
        if request.method in READS:
            return super().send(request, **kwargs)
        with self._lock:
            # The answer's head is here when the lock is given up: the write is done.
            return super().send(request, **kwargs)


@contextmanager
def atomic_store(server: str, open_store: Callable[..., s3kv.Store]) -> Iterator[s3kv.Store]:
    """Open a store on which conditional writes are atomic, on one of the servers that honour them.

    On moto by sending one at a time.
    """
    if departure(server, "atomic-writes") is None:
        yield open_store(timeout=TIMEOUT)
        return
    with OneWriteAtATime() as session:
        yield open_store(timeout=TIMEOUT, session=session)


class Between:
    """A loopback proxy that makes writes meet, and loses the answers to some of them.

    Every request goes through to the server, whatever becomes of its answer. Close what talks to it first.

    Args:
        server: Where requests go.
        meet: So many writes wait for each other, the first ones, and then go through together.
        lost: Of each three writes one is answered by the server, and the answer is not passed on: the
            connection ends instead. Which one is drawn at random. The first success is always lost.
        seed: Decides what is drawn.

    Attributes:
        endpoint: Where to send requests.
        answers_lost: How many were.
    """

    def __init__(self, server: ServerInfo, *, meet: int = 0, lost: bool = False, seed: int = 0) -> None:
        self._upstream = urlsplit(server.endpoint).netloc
        self._lock = threading.Lock()
        self._losses = _one_of_each_three(seed) if lost else itertools.repeat(False)
        # Otherwise it would be a matter of chance whether the only success of a race is among the lost.
        self._loses_success = lost
        self._to_meet = meet
        self._meeting = threading.Barrier(max(1, meet))
        # One after the other, each from its start to its end, where the server has no lock of its own.
        alone = (
            departure(server.name, "put-if-match") is None
            and departure(server.name, "atomic-writes") is not None
        )
        self._turn: Any = threading.Lock() if alone else nullcontext()
        self._failures: list[BaseException] = []
        self.answers_lost = 0
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))
        self.endpoint = "http://{}:{}".format(*self._listener.server_address)

    def __enter__(self) -> Between:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._meeting.abort()
        self._listener.shutdown()
        self._listener.hang_up()
        self._listener.server_close()
        self._thread.join()
        if self._failures and error is None:
            # Whatever the test has found then, it was not what it looked for; and no server is excused.
            raise RuntimeError("the proxy failed") from self._failures[0]

    def failed(self, failure: BaseException) -> None:
        """Remember what must not be, to be raised in the end."""
        self._failures.append(failure)

    def exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes] | None:
        """Send a request on; return the answer and its body, or None for one that is to be lost."""
        if method in READS:
            return self._send(method, target, headers, body)
        with self._lock:
            meets = self._to_meet > 0
            self._to_meet -= 1
        if meets:
            self._meeting.wait(TIMEOUT / 2)
        with self._turn:
            answer = self._send(method, target, headers, body)
        with self._lock:
            lost = next(self._losses)
            if self._loses_success and answer[0].status < _REFUSED:
                lost, self._loses_success = True, False
            self.answers_lost += lost
        return None if lost else answer

    def _send(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes]:
        # A connection of its own for each request: none of them can be an old one that has ended.
        link = http.client.HTTPConnection(self._upstream, timeout=TIMEOUT)
        try:
            link.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                link.putheader(name, value)
            link.endheaders(body or None)
            response = link.getresponse()
            return response, response.read()
        finally:
            link.close()


def _one_of_each_three(seed: int) -> Iterator[bool]:
    """Yield one True and two False, in an order drawn anew each time."""
    chance = random.Random(seed)
    while True:
        lost = chance.randrange(_ONE_IN)
        yield from (number == lost for number in range(_ONE_IN))


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections; closing it waits for those that serve them."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, between: Between) -> None:
        self.between = between
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are still open."""
        with self._lock:
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell the proxy, instead of the screen."""
        error = sys.exc_info()[1]
        assert error is not None
        self.between.failed(error)


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # An answer in one piece.
    server: _Listener

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        # Not self.path, from which two leading slashes are gone.
        target = self.requestline.split(" ")[1]
        answer = self.server.between.exchange(self.command, target, list(self.headers.items()), body)
        if answer is None:
            self.close_connection = True
            return
        response, content = answer
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if response.status not in _NO_BODY:
            length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            if length is not None:
                self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
