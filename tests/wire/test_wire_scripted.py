"""The scripted server itself: it sees every byte, keeps to its script, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest

from tests.wire.authority import Authority
from tests.wire.helpers import Background
from tests.wire.scripted import (
    CLOSE,
    FIN,
    HOLD,
    LOOPBACK,
    READ,
    READ_HEAD,
    RESET,
    STOP,
    Answer,
    Flood,
    Forever,
    ScriptedServer,
    Send,
    Step,
    Trickle,
    Tunnel,
    Wait,
    answer,
    chunked,
    every_byte,
    ok,
)

REQUEST = b"PUT /b/k?x=1 HTTP/1.1\r\nHost: h\r\nX-A:  two words \r\nContent-Length: 3\r\n\r\nabc"


def _talk(server: ScriptedServer, *pieces: bytes) -> bytes:
    """Send pieces, then read until the server closes."""
    with socket.create_connection(server.address, 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.005)
        return _rest(sock)


def _rest(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


def test_a_request_is_recorded_to_the_byte() -> None:
    """Line, target, headers in order, body; and in how many pieces it came."""
    with ScriptedServer([READ, Send(b"x"), FIN]) as server:
        assert _talk(server, REQUEST) == b"x"
        (request,) = server.requests
        assert request.raw == REQUEST
        assert request.line == "PUT /b/k?x=1 HTTP/1.1"
        assert (request.method, request.target, request.path, request.query) == (
            "PUT",
            "/b/k?x=1",
            "/b/k",
            "x=1",
        )
        assert request.headers == [("Host", "h"), ("X-A", " two words "), ("Content-Length", "3")]
        assert request.header("host") == "h"
        assert request.header("missing") is None
        assert request.body == b"abc"
        assert request.first_read == len(REQUEST)
        assert request.segments in (1, None)


def test_a_request_in_two_packets_is_seen_to_be() -> None:
    """Otherwise the test that heads and bodies leave together could not fail."""
    with ScriptedServer([READ, FIN]) as server:
        _talk(server, REQUEST[:-3], REQUEST[-3:])
        (request,) = server.requests
        assert request.raw == REQUEST
        assert request.first_read == len(REQUEST) - 3
        assert request.segments in (2, None)


def test_requests_that_come_together_are_told_apart() -> None:
    """The second is not lost when it arrives with the first."""
    with ScriptedServer([READ, READ, FIN]) as server:
        _talk(server, REQUEST + b"GET / HTTP/1.1\r\n\r\n")
        assert [request.method for request in server.requests] == ["PUT", "GET"]


def test_every_connection_has_its_own_script() -> None:
    """In the order in which they are made; those without one get ``then``."""
    with ScriptedServer([Send(b"1"), CLOSE], [Send(b"2"), CLOSE], then=[Send(b"n"), CLOSE]) as server:
        assert [_talk(server) for _ in range(4)] == [b"1", b"2", b"n", b"n"]
        assert len(server.connections) == 4


def test_pieces_arrive_apart() -> None:
    """A client that reads at once gets each piece of a trickle alone."""
    steps = [Trickle([b"a", b"b", b"c"], gap=0.05), CLOSE]
    with ScriptedServer(steps) as server, socket.create_connection(server.address, 5) as sock:
        assert [sock.recv(100) for _ in range(4)] == [b"a", b"b", b"c", b""]


def test_fin_close_and_reset_differ() -> None:
    """FIN lets the client go on talking; close answers with RST; reset is RST at once."""
    with ScriptedServer([FIN, READ]) as server, socket.create_connection(server.address, 5) as sock:
        assert sock.recv(1) == b""
        sock.sendall(REQUEST)
        _until(lambda: len(server.requests) == 1)
    with ScriptedServer([CLOSE]) as server, socket.create_connection(server.address, 5) as sock:
        assert sock.recv(1) == b""
        sock.sendall(b"x")
        _until(lambda: _broken(sock))
    with (
        ScriptedServer([RESET]) as server,
        socket.create_connection(server.address, 5) as sock,
        pytest.raises(ConnectionResetError),
    ):
        sock.recv(1)


def test_a_pause_lasts_until_its_event() -> None:
    """And not longer."""
    go = threading.Event()
    with ScriptedServer([Wait(go), Send(b"x"), CLOSE]) as server:
        call = Background(lambda: _talk(server))
        assert not call.done(0.05)
        go.set()
        assert call.result() == b"x"


def test_answers_may_depend_on_requests() -> None:
    """And steps may be repeated as long as the client stays."""
    steps = [Forever(READ, Answer(lambda request: request.body))]
    with ScriptedServer(steps) as server, socket.create_connection(server.address, 5) as sock:
        for _ in range(3):
            sock.sendall(REQUEST)
            assert sock.recv(100) == b"abc"


def test_a_flood_ends_with_the_client_or_its_limit() -> None:
    """And the bytes sent are counted."""
    with ScriptedServer([Flood(b"x" * 1000, limit=10_000), CLOSE]) as server:
        assert len(_talk(server)) == 10_000
        assert server.connections[0].sent == 10_000
    with ScriptedServer([Flood(b"x" * 1000)]) as server:
        with socket.create_connection(server.address, 5) as sock:
            sock.recv(1)
        assert server.connections[0].gone.wait(2)


def test_a_head_may_be_read_without_its_body() -> None:
    """What follows stays in the socket."""
    with ScriptedServer([READ_HEAD, READ, CLOSE]) as server:
        _talk(server, REQUEST[:-3] + b"GET / HTTP/1.1\r\n\r\n")
        assert [request.method for request in server.requests] == ["PUT", "GET"]


def test_a_tunnel_carries_bytes_both_ways() -> None:
    """Like a proxy after CONNECT."""
    with ScriptedServer([READ, Send(b"inside"), CLOSE]) as server:
        steps = [READ, Send(b"open"), Tunnel(server.address)]
        with ScriptedServer(steps) as proxy, socket.create_connection(proxy.address, 5) as sock:
            sock.sendall(b"CONNECT h:1 HTTP/1.1\r\n\r\n")
            assert sock.recv(4) == b"open"
            sock.sendall(REQUEST)
            assert _rest(sock) == b"inside"
        assert server.requests[0].raw == REQUEST


def test_tls_is_spoken_with_a_certificate_of_the_authority(authority: Authority) -> None:
    """Which a client that trusts the authority verifies; the failure of another is recorded."""
    trusting = ssl.create_default_context(cafile=str(authority.bundle))
    strict = ssl.create_default_context()
    with ScriptedServer(
        [READ, Send(b"x"), CLOSE], [READ], tls=authority.server_context(LOOPBACK)
    ) as server:
        with trusting.wrap_socket(
            socket.create_connection(server.address, 5), server_hostname=LOOPBACK
        ) as sock:
            sock.sendall(REQUEST)
            assert sock.recv(10) == b"x"
        with socket.create_connection(server.address, 5) as plain, pytest.raises(ssl.SSLError):
            strict.wrap_socket(plain, server_hostname=LOOPBACK)
        assert server.connections[1].gone.wait(2)
        assert server.connections[1].handshake_error is not None


def _one_too_many(server: ScriptedServer) -> None:
    _talk(server, REQUEST)
    _talk(server, REQUEST)


def _one_too_few(server: ScriptedServer) -> None:
    pass


def _another_request(server: ScriptedServer) -> None:
    _talk(server, REQUEST + REQUEST)


def _fragment(server: ScriptedServer) -> None:
    with socket.create_connection(server.address, 5) as sock:
        sock.sendall(REQUEST + b"G")
        _until(lambda: len(server.requests) == 1)
        sock.shutdown(socket.SHUT_WR)
        _rest(sock)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (_one_too_many, "connection 2 is not in the script"),
        (_one_too_few, "1 of 1 scripted connections were never made"),
        (_another_request, "bytes after the script's end"),
        (_fragment, "bytes after the script's end: b'G'"),
    ],
)
def test_what_is_not_in_the_script_fails_the_test(
    client: Callable[[ScriptedServer], None], words: str
) -> None:
    """Unless the server is lenient."""
    with pytest.raises(AssertionError, match=words), ScriptedServer([READ, FIN]) as server:
        client(server)
    with ScriptedServer([READ, FIN], lenient=True) as server:
        client(server)


def test_a_step_that_raises_fails_the_test() -> None:
    """An assertion in a server's thread must not be lost."""

    def refuse(_: object) -> bytes:
        raise ValueError("wrong request")

    with (
        pytest.raises(AssertionError, match="wrong request"),
        ScriptedServer([READ, Answer(refuse)]) as server,
    ):
        _talk(server, REQUEST)


def test_an_exception_of_the_test_goes_before_the_servers_faults() -> None:
    """It is what went wrong first."""
    with pytest.raises(ZeroDivisionError), ScriptedServer([READ]):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "steps",
    [[READ], [HOLD], [STOP], [Flood(b"x")], [Wait(threading.Event())]],
    ids=["read", "hold", "stop", "flood", "wait"],
)
def test_the_server_stops_whatever_it_is_doing(steps: list[Step]) -> None:
    """At once, and leaves neither threads nor sockets."""
    before = threading.active_count(), _descriptors()
    start = time.monotonic()
    with socket.socket() as sock, ScriptedServer(steps) as server:
        sock.connect(server.address)
        _until(lambda: len(server.connections) == 1)
        time.sleep(0.01)
    assert time.monotonic() - start < 1
    assert (threading.active_count(), _descriptors()) == before


def test_the_client_that_closed_first_is_known() -> None:
    """Tests ask who ended a connection."""
    with ScriptedServer([HOLD], [READ]) as server:
        socket.create_connection(server.address, 5).close()
        _until(lambda: len(server.connections) == 1)
        assert server.connections[0].gone.wait(2)
        assert server.connections[0].closed_by_client
        with socket.create_connection(server.address, 5):
            _until(lambda: len(server.connections) == 2)
            assert not server.connections[1].gone.is_set()


def test_the_answers_are_what_they_say() -> None:
    """The helpers that the other tests are made of."""
    assert answer(200, b"ab", "X: y") == b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nab"
    assert answer(404, length=9, version="1.0") == b"HTTP/1.0 404 Not Found\r\nContent-Length: 9\r\n\r\n"
    assert ok(b"a").endswith(b"Content-Length: 1\r\n\r\na")
    assert chunked(b"abc", b"d", extension=";x", trailers="T: 1\r\n") == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x\r\nabc\r\n1;x\r\nd\r\n0;x\r\nT: 1\r\n\r\n"
    )
    assert every_byte(b"abc") == [b"a", b"b", b"c"]


def _broken(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not _writable(sock)


def _writable(sock: socket.socket) -> bool:
    try:
        sock.send(b"x")
    except OSError:
        return False
    return True


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)
