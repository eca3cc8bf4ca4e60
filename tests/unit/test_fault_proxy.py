"""A proxy passes everything on as it is, and looks after its connections."""

from __future__ import annotations

import contextlib
import gc
import http.client
import socket
import threading
import time

import pytest

import s3kv
from s3kv.testing import FaultProxy, Reset, Stall
from tests.unit.proxied import BODY, FULL, GET, HEAD, PUT, Client, proxied, served, serving, through
from tests.wire.helpers import Background
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    READ_HEAD,
    RESET,
    ScriptedServer,
    Send,
    Step,
    Wait,
    answer,
    chunked,
    exchanges,
    ok,
)

ANSWERS = {
    "a length": ok(b"body"),
    "an empty body": ok(),
    "chunks": chunked(b"one", b"two", trailers="X-Sum: 1\r\n", extension=";a=b"),
    "no content": b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
    "not modified": answer(304, length=99),
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"body"),
    "odd headers": b"HTTP/1.1 200 \r\nx-A:  b \r\nX-a: c\r\ncontent-length: 1\r\n\r\nz",
    "large": ok(bytes(range(256)) * 4000),
}


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_requests_and_answers_pass_to_the_byte(data: bytes) -> None:
    """One after the other, on one connection to the server."""
    with serving(data, FULL, data) as (server, proxy, client):
        for request, told in ((GET, data), (PUT, FULL), (GET, data)):
            client.send(request)
            assert client.read(len(told)) == told
        assert [request.raw for request in server.requests] == [GET, PUT, GET]
        assert (proxy.connections, len(server.connections)) == (1, 1)


def test_the_answer_to_a_head_ends_with_its_head() -> None:
    """Whatever length it announces."""
    told = answer(200, length=1234)
    with serving(told, FULL) as (_, _, client):
        client.send(HEAD)
        assert client.read(len(told)) == told
        client.send(GET)
        assert client.read(len(FULL)) == FULL


UNENDED = {
    "no length": b"HTTP/1.1 200 OK\r\n\r\nbody",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nbody",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": FULL[:-3],
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3_000_000,
}


@pytest.mark.parametrize("data", UNENDED.values(), ids=UNENDED)
def test_what_ends_with_the_connection_passes_too(data: bytes) -> None:
    """Right or wrong; then the client's connection ends as well."""
    with through([READ, Send(data), CLOSE]) as (_, _, client):
        client.send(GET)
        assert client.rest() == (data, "FIN")


@pytest.mark.parametrize("steps", [[READ, CLOSE], [READ, RESET]], ids=["closes", "resets"])
def test_a_server_that_does_not_answer_is_passed_on(steps: list[Step]) -> None:
    """There is not a byte of an answer."""
    with through(steps) as (_, proxy, client):
        client.send(GET)
        assert client.rest()[0] == b""
        assert proxy.requests[0].status is None


def test_a_request_in_chunks_passes() -> None:
    """Its end is known too."""
    head = b"PUT /bucket/key HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"3\r\nabc\r\n0\r\n\r\n"
    with through([READ_HEAD, Send(FULL), HOLD]) as (server, proxy, client):
        client.send(head + body[:4])
        client.send(body[4:])
        assert client.read(len(FULL)) == FULL
        assert proxied(proxy, 0).request_bytes == len(body)
        assert server.requests[0].head == head


def test_a_client_may_wait_for_the_leave_to_go_on() -> None:
    """As boto3 does: the body is sent after the server has said 100."""
    head = PUT[:-5].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    leave = b"HTTP/1.1 100 Continue\r\n\r\n"
    told = threading.Event()
    script: list[Step] = [READ_HEAD, Send(leave), Wait(told), Send(FULL), HOLD]
    with through(script) as (_, _, client):
        client.send(head)
        assert client.read(len(leave)) == leave
        client.send(b"hello")
        told.set()
        assert client.read(len(FULL)) == FULL


def test_an_early_answer_passes_though_the_request_goes_on() -> None:
    """A store may refuse a large body after its head."""
    refusal = answer(403, b"no", "Connection: close")
    with through([READ_HEAD, Send(refusal), CLOSE]) as (_, _, client):
        client.send(b"PUT /bucket/key HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n" + bytes(1000))
        assert client.read(len(refusal)) == refusal


def test_a_server_that_closes_an_idle_connection_closes_the_clients() -> None:
    """A kept-alive connection dies in the proxy as it would without."""
    go = threading.Event()
    with through([*exchanges(FULL), Wait(go), CLOSE]) as (_, _, client):
        client.send(GET)
        client.read(len(FULL))
        go.set()
        assert client.rest() == (b"", "FIN")


@pytest.mark.parametrize("request_", [b"", GET[:20], GET, PUT[:-2]], ids=["idle", "head", "answer", "body"])
def test_a_client_that_goes_away_takes_the_servers_connection_along(request_: bytes) -> None:
    """At whatever moment, a stall that would last for ever included."""
    with through([READ, Send(FULL), HOLD]) as (server, proxy, client):
        client.send(GET)
        client.read(len(FULL))
        stall = proxy.inject(Stall())
        client.send(request_)
        if request_ == GET:
            stall.wait()
        client.sock.close()
        assert served(server).gone.wait(5)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    """The proxy has accepted the connection by then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with FaultProxy(f"127.0.0.1:{port}") as proxy, Client(proxy) as client:
        client.send(GET)
        assert client.rest() == (b"", "RST")


def test_a_proxy_that_is_closed_leaves_nobody_stalled() -> None:
    """Whatever its connections are doing; at once."""
    with ScriptedServer(then=[READ, Send(FULL), HOLD]) as server, contextlib.ExitStack() as clients:
        with FaultProxy(server.url) as proxy:
            stall = proxy.inject(Stall(), times=3)
            waiting = [clients.enter_context(Client(proxy)) for _ in range(5)]
            for client in waiting[:3]:
                client.send(GET)
            waiting[3].send(GET[:10])
            stall.wait(3)
            start = time.monotonic()
        assert time.monotonic() - start < 2
        assert [client.rest()[0] for client in waiting] == [b""] * 5


def test_a_proxy_may_be_closed_at_any_moment() -> None:
    """Also just when connections come in: nothing is left open."""
    for count in range(0, 40, 2):
        with contextlib.ExitStack() as clients:
            proxy = FaultProxy("127.0.0.1:9").__enter__()
            for number in range(count):
                client = clients.enter_context(Client(proxy))
                if number % 2:
                    client.send(GET[: 5 * number])
            proxy.__exit__(None, None, None)
        gc.collect()


def test_all_connections_can_be_broken_off_at_once() -> None:
    """Those in use, and those that are idle; new ones are accepted."""
    with serving(FULL, extra=2) as (_, proxy, idle), Client(proxy) as used:
        idle.send(GET)
        idle.read(len(FULL))
        stall = proxy.inject(Stall())
        used.send(GET)
        stall.wait()
        assert proxy.sever() == 2
        assert (idle.rest(), used.rest()) == ((b"", "RST"), (b"", "RST"))
        assert proxy.sever() == 0
        with Client(proxy) as client:
            client.send(GET)
            assert client.read(len(FULL)) == FULL
        assert proxy.connections == 3


def test_many_clients_are_served_at_once() -> None:
    """None waits for another's stall."""
    with serving(FULL, extra=8) as (_, proxy, client):
        stall = proxy.inject(Stall(), times=8)

        def ask() -> bytes:
            with Client(proxy) as another:
                another.send(GET)
                return another.rest()[0]

        stalled = [Background(ask) for _ in range(8)]
        stall.wait(8)
        client.send(GET)
        assert client.read(len(FULL)) == FULL
        proxy.sever()
        assert [call.result() for call in stalled] == [b""] * 8


def test_an_answer_is_not_held_back() -> None:
    """Head and body go out one after the other, and no packet waits for the client's receipt."""
    count = 20
    with serving(*[FULL] * count) as (_, _, client):
        start = time.monotonic()
        for _ in range(count):
            client.send(GET)
            client.read(len(FULL))
        # The system would hold each back for 40 ms.
        assert time.monotonic() - start < count * 0.03


def test_a_client_of_the_standard_library_works() -> None:
    """As any client does."""
    with ScriptedServer(exchanges(FULL, ok(b"x")), lenient=True) as server, FaultProxy(server.url) as proxy:
        connection = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=10)
        for told in (BODY, b"x"):
            connection.request("PUT", "/bucket/key", b"value")
            assert connection.getresponse().read() == told
        connection.close()
        assert [request.header("host") for request in server.requests] == [proxy.endpoint[7:]] * 2


def test_a_function_that_fails_fails_the_proxy() -> None:
    """What the connection does is not to be trusted then."""

    def broken(_: object) -> bool:
        raise ZeroDivisionError

    with ScriptedServer() as server:
        proxy = FaultProxy(server.url).__enter__()
        proxy.inject(Reset(), where=broken)
        with Client(proxy) as client:
            client.send(GET)
            assert client.rest()[0] == b""
        with pytest.raises(s3kv.S3KVError, match="ZeroDivisionError"):
            proxy.__exit__(None, None, None)
