"""A raw-socket server that follows a script, for tests that care about every byte on the wire.

A script is a list of connections, each a list of steps::

    script = [READ, Send(ok(b"one"))], [READ, Send(ok(b"two")), CLOSE]
    with ScriptedServer(*script) as server:
        …                                   # a client talks to server.url
    assert server.connections[0].requests[0].target == "/bucket/key"

The server is strict, so that a test need not be: a connection that the script does not have, one that
was never made, bytes that arrive after a connection's last step and a step that raises all fail the
test when the ``with`` block ends. ``then=`` is a script for any number of further connections.
Leaving the block closes every socket and joins every thread.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

LOOPBACK = "127.0.0.1"

# No step waits longer than this, so that a broken client fails a test instead of hanging it.
PATIENCE = 10.0

# Every port that a scripted server has had in this process: a client may remember that somebody answered.
used_ports: set[int] = set()

_REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Slow Down",
}


class ClientGone(Exception):
    """The client closed the connection; the script of that connection ends there."""


@dataclass(frozen=True)
class Recorded:
    """One request as it came off the wire.

    Attributes:
        head: The bytes up to and including the empty line.
        body: As many bytes as Content-Length announced.
        first_read: How many bytes the server's first ``recv`` gave.
        segments: How many TCP segments with data the request came in; None where the platform does
            not say.
    """

    head: bytes
    body: bytes
    first_read: int
    segments: int | None

    @property
    def raw(self) -> bytes:
        """The whole request."""
        return self.head + self.body

    @property
    def line(self) -> str:
        """The request line without its end."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        """The method of the request line."""
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of the request line, exactly as sent."""
        return self.line.split(" ")[1]

    @property
    def path(self) -> str:
        """The target up to the question mark."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target after the question mark."""
        return self.target.partition("?")[2]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names as sent, and values, in the order of the wire."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [
            (name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines)
        ]

    def all(self, name: str) -> list[str]:
        """Every value of a header, whatever the case of its name."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that occurs at most once."""
        values = self.all(name)
        assert len(values) < 2, f"the request has {name} {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def names(self) -> set[str]:
        """The names of all headers, in lower case."""
        return {name.lower() for name, _ in self.headers}


class Step:
    """One thing that the server does on a connection."""

    def run(self, peer: Peer) -> None:
        """Do it; raise ``ClientGone`` when the client has gone."""
        raise NotImplementedError


class Peer:
    """The server's side of one connection.

    Attributes:
        requests: What was read, in order.
        sent: How many bytes were sent.
        leftover: Bytes that came after the last step.
        gone: Set when the client has closed the connection, or the server has.
        closed_by_client: The client closed the connection first.
        handshake_error: Why TLS failed, or None.
        opened: Monotonic time at which the connection was accepted.
        client: The client's address.
    """

    def __init__(self, server: ScriptedServer, sock: socket.socket, client: tuple[str, int]) -> None:
        self.server = server
        self.sock = sock
        self.client = client
        self.requests: list[Recorded] = []
        self.sent = 0
        self.leftover = b""
        self.gone = threading.Event()
        self.closed_by_client = False
        self.handshake_error: Exception | None = None
        self.opened = time.monotonic()
        self._unread = b""
        self._segments = 0

    def read_request(self) -> Recorded:
        """Read one request, head and body, and record it."""
        data, self._unread = self._unread, b""
        first = len(data)
        while b"\r\n\r\n" not in data:
            piece = self.receive()
            first = first or len(piece)
            data += piece
        end = data.index(b"\r\n\r\n") + 4
        head = data[:end]
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        pieces = [data[end:]]
        have = len(pieces[0])
        while have < length:
            pieces.append(self.receive())
            have += len(pieces[-1])
        rest = b"".join(pieces)
        self._unread = rest[length:]
        total = _segments(self.sock)
        segments = None if total is None else total - self._segments
        self._segments = total or 0
        recorded = Recorded(head, rest[:length], first, segments)
        with self.server.lock:
            self.requests.append(recorded)
            self.server.requests.append(recorded)
        return recorded

    def receive(self, size: int = 1 << 20) -> bytes:
        """Some bytes from the client, at least one."""
        try:
            data = self.sock.recv(size)
        except (OSError, ValueError) as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data)
        while view:
            try:
                count = self.sock.send(view)
            except (OSError, ValueError) as error:
                raise ClientGone from error
            self.sent += count
            view = view[count:]

    def wait(self, event: threading.Event, seconds: float = PATIENCE) -> None:
        """Wait for an event, or for the server to stop."""
        end = time.monotonic() + seconds
        while not event.wait(0.01):
            if self.server.stopping.is_set():
                raise ClientGone
            if time.monotonic() > end:
                raise AssertionError(f"a scripted pause was not ended within {seconds:g} s")

    def wait_until_sent(self, count: int) -> None:
        """Wait until so many bytes have been sent on this connection."""
        end = time.monotonic() + PATIENCE
        while self.sent < count:
            assert time.monotonic() < end, f"{self.sent} of {count} bytes were sent"
            time.sleep(0.001)

    def drain(self) -> None:
        """Read until the client closes; whatever comes was not in the script, and is told so."""
        self.leftover += self._unread
        self._unread = b""
        try:
            while b"\r\n\r\n" not in self.leftover:
                self.leftover += self.receive()
            self.send(NOT_IN_SCRIPT)
            while True:
                self.leftover += self.receive()
        except ClientGone:
            self.closed_by_client = not self.server.stopping.is_set()

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close both directions."""
        self.sock.close()
        self.gone.set()

    def wake(self) -> None:
        """Make a step that waits for the client find it gone."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


@dataclass(frozen=True)
class Read(Step):
    """Read one whole request and record it."""

    def run(self, peer: Peer) -> None:
        peer.read_request()


@dataclass(frozen=True)
class ReadHead(Step):
    """Read until the head of a request is there, leave its body unread, record the head."""

    def run(self, peer: Peer) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += peer.receive(1)
        with peer.server.lock:
            peer.requests.append(Recorded(data, b"", len(data), None))
            peer.server.requests.append(peer.requests[-1])


@dataclass(frozen=True)
class Send(Step):
    """Send bytes in one piece."""

    data: bytes

    def run(self, peer: Peer) -> None:
        peer.send(self.data)


@dataclass(frozen=True)
class Trickle(Step):
    """Send pieces one by one, with a pause between them that lets the client read each alone."""

    pieces: Sequence[bytes]
    gap: float = 0.0005

    def run(self, peer: Peer) -> None:
        for number, piece in enumerate(self.pieces):
            if number:
                if peer.server.stopping.is_set():
                    raise ClientGone
                time.sleep(self.gap)
            peer.send(piece)


@dataclass(frozen=True)
class Flood(Step):
    """Send a piece again and again until the client closes; at most ``limit`` bytes."""

    piece: bytes
    limit: int = 1 << 30

    def run(self, peer: Peer) -> None:
        start = peer.sent
        while peer.sent - start < self.limit:
            peer.send(self.piece)


@dataclass(frozen=True)
class Answer(Step):
    """Send what a function makes of the request that was read last."""

    make: Callable[[Recorded], bytes]

    def run(self, peer: Peer) -> None:
        peer.send(self.make(peer.requests[-1]))


@dataclass(frozen=True)
class Wait(Step):
    """Do nothing until an event is set."""

    event: threading.Event

    def run(self, peer: Peer) -> None:
        peer.wait(self.event)


@dataclass(frozen=True)
class Notify(Step):
    """Set an event."""

    event: threading.Event

    def run(self, peer: Peer) -> None:
        self.event.set()


@dataclass(frozen=True)
class Fin(Step):
    """Close the sending direction only; go on reading."""

    def run(self, peer: Peer) -> None:
        try:
            peer.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ClientGone from error


@dataclass(frozen=True)
class Close(Step):
    """Close both directions: FIN now, RST for whatever the client still sends."""

    def run(self, peer: Peer) -> None:
        peer.close()


@dataclass(frozen=True)
class Reset(Step):
    """Close with RST."""

    def run(self, peer: Peer) -> None:
        peer.reset()


@dataclass(frozen=True)
class Hold(Step):
    """Read and forget whatever comes until the client closes."""

    def run(self, peer: Peer) -> None:
        while True:
            peer.receive()


@dataclass(frozen=True)
class Stop(Step):
    """Neither read nor send until the server stops: the client's bytes pile up."""

    def run(self, peer: Peer) -> None:
        peer.server.stopping.wait(PATIENCE)
        raise ClientGone


class Forever(Step):
    """Repeat steps until the client closes."""

    def __init__(self, *steps: Step) -> None:
        self.steps = steps

    def run(self, peer: Peer) -> None:
        while True:
            for step in self.steps:
                step.run(peer)


@dataclass(frozen=True)
class Tunnel(Step):
    """Connect to an address and carry bytes both ways, as a proxy does after CONNECT."""

    address: tuple[str, int]

    def run(self, peer: Peer) -> None:
        with socket.create_connection(self.address, PATIENCE) as upstream:
            upstream.settimeout(None)
            while True:
                for ready in select.select([peer.sock, upstream], [], [], PATIENCE)[0]:
                    data = peer.receive(65536) if ready is peer.sock else upstream.recv(65536)
                    if not data:
                        raise ClientGone
                    if ready is peer.sock:
                        upstream.sendall(data)
                    else:
                        peer.send(data)


READ = Read()
READ_HEAD = ReadHead()
FIN = Fin()
CLOSE = Close()
RESET = Reset()
HOLD = Hold()
STOP = Stop()


class ScriptedServer:
    """Follows a script on 127.0.0.1; see the module's description.

    Args:
        connections: The steps of the first connection, of the second, and so on.
        then: The steps of every further connection; by default there must not be any.
        tls: A server's context, to speak TLS.
        lenient: Do not insist that the client does exactly what the script says.

    Attributes:
        connections: The connections so far, in the order in which they were accepted.
        requests: The requests of all connections, in the order in which they were read.
        faults: What did not go by the script.
        stopping: Set when the block is left.
    """

    def __init__(
        self,
        *connections: Sequence[Step],
        then: Sequence[Step] | None = None,
        tls: ssl.SSLContext | None = None,
        lenient: bool = False,
    ) -> None:
        self.connections: list[Peer] = []
        self.requests: list[Recorded] = []
        self.faults: list[str] = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self._script = list(connections)
        self._then = then
        self._tls = tls
        self._lenient = lenient
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        used_ports.add(self.port)
        self._wake_end, self._woken = socket.socketpair()

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect."""
        return LOOPBACK, self.port

    @property
    def url(self) -> str:
        """The endpoint for a store."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def stop_listening(self) -> None:
        """Refuse new connections from now on; the ones there are go on."""
        with contextlib.suppress(OSError):
            self._wake_end.send(b"x")
        self._acceptor.join(PATIENCE)

    def __enter__(self) -> ScriptedServer:
        self._acceptor = threading.Thread(target=self._accept, name="scripted-accept", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever the client has sent by now is there to be found fault with.
        self.stopping.set()
        self.stop_listening()
        for peer in self.connections:
            peer.wake()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._wake_end.close()
        self._woken.close()
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if kind is not None:
            return
        assert not stuck, f"threads of the scripted server did not end: {stuck}"
        unused = len(self._script) - len(self.connections)
        if unused > 0:
            self.faults.append(f"{unused} of {len(self._script)} scripted connections were never made")
        if not self._lenient:
            assert not self.faults, f"not as scripted: {'; '.join(self.faults)}"

    def _accept(self) -> None:
        with self._listener:
            while True:
                ready = select.select([self._listener, self._woken], [], [])[0]
                if self._listener not in ready:
                    return
                try:
                    sock, client = self._listener.accept()
                except OSError:
                    continue
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(self, sock, client)
                number = len(self.connections)
                steps = self._script[number] if number < len(self._script) else self._then
                with self.lock:
                    self.connections.append(peer)
                if steps is None:
                    self.faults.append(f"connection {number + 1} is not in the script")
                    steps = [READ, Send(NOT_IN_SCRIPT), FIN]
                thread = threading.Thread(
                    target=self._serve, args=(peer, steps), name=f"scripted-{number}", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _serve(self, peer: Peer, steps: Iterable[Step]) -> None:
        try:
            if self._tls is not None and not self._shake_hands(peer):
                return
            for step in steps:
                step.run(peer)
            if not peer.gone.is_set():
                peer.drain()
                if peer.leftover:
                    self.faults.append(f"bytes after the script's end: {peer.leftover[:200]!r}")
        except ClientGone:
            peer.closed_by_client = not self.stopping.is_set()
        except Exception as error:
            self.faults.append(f"a step failed: {error!r}")
        finally:
            if not peer.gone.is_set():
                peer.close()

    def _shake_hands(self, peer: Peer) -> bool:
        assert self._tls is not None
        peer.sock.settimeout(PATIENCE)
        try:
            peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)
        except (OSError, ValueError) as error:
            peer.handshake_error = error
            return False
        peer.sock.settimeout(None)
        return True


@dataclass
class Gauge:
    """Counts how many of something there are at once.

    Attributes:
        now: How many there are.
        peak: The most there have been.
    """

    now: int = 0
    peak: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Gauge:
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def _segments(sock: socket.socket) -> int | None:
    """``tcpi_data_segs_in`` of Linux: how many TCP segments with data have come in."""
    info = getattr(socket, "TCP_INFO", None)
    if info is None or isinstance(sock, ssl.SSLSocket):
        return None
    data = sock.getsockopt(socket.IPPROTO_TCP, info, 256)
    return struct.unpack_from("I", data, 152)[0] if len(data) >= 156 else None


def answer(
    status: int, body: bytes = b"", *headers: str, length: int | None = None, version: str = "1.1"
) -> bytes:
    """An answer with a Content-Length.

    Args:
        headers: Whole lines such as ``"Connection: close"``.
        length: What Content-Length says; by default the truth.
    """
    lines = [f"HTTP/{version} {status} {_REASONS.get(status, 'Whatever')}", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ok(body: bytes = b"", *headers: str) -> bytes:
    """A 200 answer with an ETag, good for GET and PUT."""
    return answer(200, body, 'ETag: "9b2cf535f27731c974343645a3985328"', *headers)


def error(status: int, code: str, *headers: str, message: str = "Sorry.") -> bytes:
    """An S3 error answer."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>BODY-REQUEST-ID</RequestId><HostId>BODY-HOST-ID</HostId></Error>"
    )
    return answer(status, body.encode(), "Content-Type: application/xml", *headers)


def chunked(*pieces: bytes, trailers: str = "", extension: str = "") -> bytes:
    """A 200 answer whose body is in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(piece):x}{extension}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return head + body + f"0{extension}\r\n{trailers}\r\n".encode()


def listing(*keys: str, token: str | None = None, extra: str = "") -> bytes:
    """A ListObjectsV2 answer; keys are written as given, so they must be encoded already."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-31T23:59:59.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><IsTruncated>{'true' if token else 'false'}</IsTruncated>"
        f"{more}{contents}{extra}</ListBucketResult>"
    )
    return answer(200, body.encode(), "Content-Type: application/xml")


def exchanges(*answers: bytes) -> list[Step]:
    """The steps of a connection that reads a request before each answer."""
    return [step for data in answers for step in (READ, Send(data))]


# A client that is told so gives up at once, which saves the test from its retries.
NOT_IN_SCRIPT = error(400, "NotInTheScript", "Connection: close")


def every_byte(data: bytes) -> list[bytes]:
    """``data`` in pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]
