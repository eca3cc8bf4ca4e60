"""What each fault does to a request, to the byte."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from s3kv.testing import (
    Answer,
    Corrupt,
    CutAnswer,
    CutBody,
    CutRequest,
    Delay,
    DropResponse,
    Fault,
    FaultProxy,
    RawAnswer,
    Reset,
    Stall,
    Throttle,
)
from tests.unit.proxied import (
    BODY,
    FULL,
    GET,
    HEAD,
    HEAD_BYTES,
    PUT,
    Client,
    proxied,
    served,
    serving,
    through,
)
from tests.wire.scripted import HOLD, READ, READ_HEAD, Notify, Send, answer, ok

# What arrives of the answer to a GET, how the connection ends, and how many requests the server saw.
ENDS: dict[str, tuple[Fault, bytes, str, int]] = {
    "reset": (Reset(), b"", "RST", 0),
    "reset, went through": (Reset(went_through=True), b"", "RST", 1),
    "answer dropped": (DropResponse(), b"", "FIN", 1),
    "request cut": (CutRequest(at=3), b"", "RST", 1),
    "body cut at 0": (CutBody(at=0), FULL[:HEAD_BYTES], "FIN", 1),
    "body cut at 4": (CutBody(at=4), FULL[: HEAD_BYTES + 4], "FIN", 1),
    "body cut at its end": (CutBody(at=10), FULL, "FIN", 1),
    "body cut behind its end": (CutBody(at=99), FULL, "FIN", 1),
    "body cut by a reset": (CutBody(at=4, reset=True), FULL[: HEAD_BYTES + 4], "RST", 1),
    "answer cut at 0": (CutAnswer(at=0), b"", "FIN", 1),
    "answer cut in the status line": (CutAnswer(at=10), FULL[:10], "FIN", 1),
    "answer cut in the body": (CutAnswer(at=HEAD_BYTES + 1), FULL[: HEAD_BYTES + 1], "FIN", 1),
    "answer cut behind its end": (CutAnswer(at=9999), FULL, "FIN", 1),
    "answer cut by a reset": (CutAnswer(at=10, reset=True), FULL[:10], "RST", 1),
    "garbage": (RawAnswer(b"garbage"), b"garbage", "FIN", 0),
    "nothing": (RawAnswer(b""), b"", "FIN", 0),
}


@pytest.mark.parametrize(("fault", "arrives", "end", "seen"), ENDS.values(), ids=ENDS)
def test_a_fault_that_ends_the_connection(fault: Fault, arrives: bytes, end: str, seen: int) -> None:
    """So much of the answer comes, and the next connection is as good as any."""
    with serving(FULL, extra=1) as (server, proxy, client):
        proxy.inject(fault)
        client.send(GET)
        assert client.rest() == (arrives, end)
        assert len(server.requests) == seen
        assert proxy.requests[0].fault == fault
        assert proxy.requests[0].answer_bytes == len(arrives)
        with Client(proxy) as again:
            again.send(GET)
            assert again.read(len(FULL)) == FULL


def _wait_until_full(proxy: FaultProxy) -> None:
    """Wait until nothing more of the first answer can be sent."""
    before = -1
    while before != (now := proxy.requests[0].answer_bytes):
        before = now
        time.sleep(0.05)


def test_all_arrives_that_comes_before_a_cut() -> None:
    """Also where the client takes it slowly, and the buffers between are full."""
    large = ok(bytes(8_000_000))
    with serving(large) as (_, proxy, client):
        proxy.inject(CutBody(at=6_000_000))
        client.send(GET)
        head = len(large) - 8_000_000
        client.read(head)
        _wait_until_full(proxy)
        assert client.rest() == (bytes(6_000_000), "FIN")


@pytest.mark.parametrize("at", [0, 3])
def test_a_request_that_is_cut_reaches_the_server_in_part(at: int) -> None:
    """Its head, and so much of its body."""
    with through([READ_HEAD, HOLD]) as (server, proxy, client):
        proxy.inject(CutRequest(at=at))
        client.send(PUT)
        assert client.rest() == (b"", "RST")
        assert proxied(proxy, 0).request_bytes == at
        assert served(server).gone.wait(5)


GOES_ON: dict[str, tuple[Fault, bytes]] = {
    "an answer": (Answer(503, {"X-A": "1"}, "é"), b"X-A: 1\r\nContent-Length: 2\r\n\r\n\xc3\xa9"),
    "an empty answer": (Answer(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "no content": (Answer(204), b"HTTP/1.1 204 No Content\r\n\r\n"),
    "another length": (Answer(headers=[("content-length", "1")], body=b"x"), b"content-length: 1\r\n\r\nx"),
    "an unknown status": (Answer(599), b"HTTP/1.1 599 Unknown\r\n"),
    "a corrupted byte": (Corrupt(at=2), b"01\xcd3456789"),
    "a corrupted byte that is not there": (Corrupt(at=10), BODY),
    "a delay": (Delay(0.01), BODY),
    "a stall": (Stall(0.01), BODY),
    "a stall in the body": (Stall(0.01, at=4), BODY),
    "a slow network": (Throttle(100_000), BODY),
}


@pytest.mark.parametrize(("fault", "arrives"), GOES_ON.values(), ids=GOES_ON)
def test_a_fault_that_leaves_the_connection(fault: Fault, arrives: bytes) -> None:
    """The next request goes over the same one."""
    asked = 0 if isinstance(fault, Answer) else 1
    with serving(*[FULL] * (asked + 1)) as (server, proxy, client):
        proxy.inject(fault)
        client.send(PUT)
        client.send(GET)
        data = client.read(proxied(proxy, 0).answer_bytes + len(FULL))
        assert arrives in data.removesuffix(FULL)
        assert data.endswith(FULL)
        assert [request.raw for request in server.requests] == [PUT, GET][1 - asked :]
        assert proxy.connections == 1


def test_an_answer_to_a_head_that_is_made_up_has_no_body() -> None:
    """It announces one."""
    with serving(FULL) as (_, proxy, client):
        proxy.inject(Answer(404, {}, b"<Error/>"))
        client.send(HEAD)
        client.send(GET)
        head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\n"
        assert client.read(len(head) + len(FULL)) == head + FULL


@pytest.mark.parametrize("data", [PUT, HEAD], ids=["put", "head"])
def test_an_answer_may_cover_up_what_the_server_has_said(data: bytes) -> None:
    """Which has carried the request out; the connection goes on."""
    fault = Answer(502, body="bad gateway", went_through=True)
    covered = fault.encoded(without_body=data == HEAD)
    with serving(answer(200) if data == HEAD else FULL, FULL) as (server, proxy, client):
        proxy.inject(fault)
        client.send(data)
        assert client.read(len(covered)) == covered
        client.send(GET)
        assert client.read(len(FULL)) == FULL
        assert [request.raw for request in server.requests] == [data, GET]
        assert (proxy.requests[0].status, proxy.requests[0].answer_bytes) == (200, len(covered))


def test_an_answer_may_cover_up_the_last_of_a_connection() -> None:
    """The client is not told so: its next request goes over a new connection to the server."""
    last = answer(200, b"x", "Connection: close")
    fault = Answer(500, body="sorry", went_through=True)
    # The server would not read another request on its first connection, nor close it.
    with through([READ, Send(last), HOLD], [READ, Send(FULL)]) as (server, proxy, client):
        proxy.inject(fault)
        client.send(GET)
        assert client.read(len(fault.encoded())) == fault.encoded()
        client.send(GET)
        assert client.read(len(FULL)) == FULL
        assert (proxy.connections, len(server.connections)) == (1, 2)


@pytest.mark.parametrize("wish", ["request", "answer", "expect"])
def test_an_answer_that_is_made_up_may_be_the_last(wish: str) -> None:
    """If either side says so, or the body of the request never came."""
    fault = Answer(200, {"Connection": "close"} if wish == "answer" else {}, b"x")
    line = {"request": b"Connection: Close\r\n", "answer": b"", "expect": b"Expect: 100-continue\r\n"}[wish]
    with serving() as (_, proxy, client):
        proxy.inject(fault)
        head = b"PUT /b/k HTTP/1.1\r\nContent-Length: 2\r\n" + line + b"\r\n"
        client.send(head + (b"" if wish == "expect" else b"ab"))
        assert client.rest() == (fault.encoded(), "FIN")


def test_a_delay_is_as_long_as_it_says() -> None:
    """The request has gone through before it begins."""
    got = threading.Event()
    with through([READ, Notify(got), Send(FULL)]) as (_, proxy, client):
        proxy.inject(Delay(0.3))
        start = time.monotonic()
        client.send(GET)
        assert got.wait(5)
        assert client.read(len(FULL)) == FULL
        assert time.monotonic() - start >= 0.3


def test_a_throttled_body_takes_its_time_both_ways() -> None:
    """Each way for itself."""
    value = bytes(1000)
    request = b"PUT /b/k HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + value
    for data, told in ((request, ok()), (GET, ok(value))):
        with serving(told) as (_, proxy, client):
            proxy.inject(Throttle(5000))
            start = time.monotonic()
            client.send(data)
            assert client.read(len(told)) == told
            assert time.monotonic() - start >= 1000 / 5000


@pytest.mark.parametrize("how", ["injection", "proxy", "clear", "remove"])
@pytest.mark.parametrize("at", [None, 0, 4, 10])
def test_a_stall_lasts_until_it_is_released(at: int | None, how: str) -> None:
    """So much has arrived before; the rest comes then, and the connection lives on."""
    early = 0 if at is None else HEAD_BYTES + at
    with serving(FULL, FULL) as (_, proxy, client):
        stall = proxy.inject(Stall(at=at))
        client.send(GET)
        assert client.read(early) == FULL[:early]
        stall.wait()
        if early < len(FULL):
            client.sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.sock.recv(1)
            client.sock.settimeout(10)
        ends: dict[str, Callable[[], None]] = {
            "injection": stall.release,
            "proxy": proxy.release,
            "clear": proxy.clear,
            "remove": stall.remove,
        }
        ends[how]()
        assert client.read(len(FULL) - early) == FULL[early:]
        client.send(GET)
        assert client.read(len(FULL)) == FULL
