"""Endpoints that cannot be reached: soon an error, with words that help."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

import s3kv
from s3kv import core
from s3kv.messages import Settings
from s3kv.retry import RetryPolicy
from tests.wire.conftest import FAST, OpenStore, RecordingTimer
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    LOOPBACK,
    READ,
    ScriptedServer,
    Send,
    error,
    exchanges,
    ok,
    used_ports,
)

# Patient enough for a minute, were it not for the time that an unreachable endpoint is given.
POLICY = RetryPolicy(max_retries=1000, initial_delay=0.01, max_delay=0.02, unreachable_for=0.15)


@contextmanager
def refusing() -> Iterator[str]:
    """A URL whose port is taken, so that nobody else gets it, but on which nobody listens.

    Nor has anybody answered there before.
    """
    with ExitStack() as stack:
        while True:
            sock = stack.enter_context(socket.socket())
            sock.bind((LOOPBACK, 0))
            port = sock.getsockname()[1]
            # Servers of other tests had ports, too.
            if port not in used_ports and not any(url.endswith(f":{port}") for url in core._reaches):
                break
        yield f"http://{LOOPBACK}:{port}"


def test_a_refused_connection_is_an_unreachable_endpoint(transport: Any, open_store: OpenStore) -> None:
    """Tried for as long as the policy says, then an error that is a ConnectionError too."""
    with refusing() as url, Stopwatch() as watch:
        store = open_store(url, policy=POLICY, session=transport)
        with pytest.raises(s3kv.EndpointUnreachable) as caught:
            store.get("key")
    found = caught.value
    assert isinstance(found, s3kv.RetriesExhausted)
    assert isinstance(found, ConnectionError)
    assert 0.15 <= watch.seconds < 1
    assert found.attempts is not None
    assert found.attempts > 3
    assert found.elapsed is not None
    assert found.elapsed >= 0.15
    assert (found.operation, found.key, found.status) == ("GetObject", "key", None)
    assert url.removeprefix("http://") in str(found)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unknown_host_is_an_unreachable_endpoint(
    scheme: str, transport: Any, open_store: OpenStore
) -> None:
    """The error names the host."""
    store = open_store(f"{scheme}://no-such-store.invalid", policy=POLICY, session=transport)
    with (
        Stopwatch() as watch,
        pytest.raises(s3kv.EndpointUnreachable, match=r"no-such-store\.invalid") as caught,
    ):
        store.get("key")
    assert watch.seconds < 1
    cause = caught.value.__cause__
    assert isinstance(cause, s3kv.TransportError)
    assert cause.reason == "connect"


@pytest.mark.parametrize(
    "host", ["a..b", ".start", "x" * 64 + ".invalid", "bücher.invalid", "under_score.invalid", "[::1"]
)
def test_a_host_that_cannot_be_one_is_an_error_of_ours(
    host: str, transport: Any, open_store: OpenStore
) -> None:
    """When the store is opened or at the first request, but none of urllib3's."""
    with pytest.raises(s3kv.S3KVError):
        open_store(f"http://{host}", policy=POLICY, session=transport).get("key")


def test_an_endpoint_that_comes_up_in_time_is_used(transport: Any, open_store: OpenStore) -> None:
    """A laptop that has just woken up has no network for a moment."""
    sock = socket.socket()
    sock.bind((LOOPBACK, 0))
    port = sock.getsockname()[1]
    policy = POLICY._replace(unreachable_for=5.0)

    def come_up() -> None:
        time.sleep(0.1)
        sock.listen()
        connection, _ = sock.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(ok(b"fine", "Connection: close"))

    server = threading.Thread(target=come_up)
    with sock:
        server.start()
        store = open_store(f"http://{LOOPBACK}:{port}", policy=policy, session=transport)
        assert store.get("key") == b"fine"
        server.join()


def test_an_endpoint_that_has_answered_is_tried_for_longer(transport: Any, open_store: OpenStore) -> None:
    """It exists, so it will be back: only the number of attempts ends the tries."""
    timer = RecordingTimer()
    policy = FAST._replace(max_retries=5, unreachable_for=0.0)
    with ScriptedServer([READ, Send(ok()), CLOSE]) as server:
        store = open_store(server, policy=policy, timer=timer, session=transport)
        store.put("key", b"")
        server.stop_listening()
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
    assert not isinstance(caught.value, s3kv.EndpointUnreachable)
    assert caught.value.attempts == 5
    assert len(timer.waits) == 4


def test_an_endpoint_that_has_answered_another_store_is_tried_for_longer(open_store: OpenStore) -> None:
    """What counts is the endpoint, in this process, not the store."""
    policy = FAST._replace(max_retries=5, unreachable_for=0.0)
    with ScriptedServer([READ, Send(ok()), CLOSE]) as server:
        first = open_store(server, policy=policy)
        first.put("key", b"")
        first.close()
        server.stop_listening()
        second = open_store(server, bucket="another", policy=policy)
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            second.get("key")
    assert not isinstance(caught.value, s3kv.EndpointUnreachable)
    assert caught.value.attempts == 5


def test_an_error_answer_shows_that_the_endpoint_is_there(open_store: OpenStore) -> None:
    """503 is an answer."""
    policy = FAST._replace(max_retries=5, unreachable_for=0.0)
    with ScriptedServer([READ, Send(error(503, "SlowDown")), CLOSE]) as server:
        store = open_store(server, policy=policy, timer=_Stopping(server))
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
    assert not isinstance(caught.value, s3kv.EndpointUnreachable)
    assert caught.value.attempts == 5


def test_the_timeout_ends_the_tries_of_an_unreachable_endpoint(
    transport: Any, open_store: OpenStore
) -> None:
    """Whichever comes first."""
    with refusing() as url, Stopwatch() as watch:
        store = open_store(url, policy=POLICY._replace(unreachable_for=5), timeout=0.15, session=transport)
        with pytest.raises(s3kv.DeadlineExceeded):
            store.get("key")
    assert watch.seconds < 1


def test_max_retries_ends_the_tries_of_an_unreachable_endpoint(open_store: OpenStore) -> None:
    """With one attempt there is no waiting."""
    with refusing() as url, Stopwatch() as watch:
        store = open_store(url, policy=POLICY._replace(max_retries=1))
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
    assert caught.value.attempts == 1
    assert isinstance(caught.value, ConnectionError)
    assert watch.seconds < 0.5


def test_a_proxy_that_is_not_there_is_an_unreachable_endpoint(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names both, for the one to be looked at is the proxy."""
    with refusing() as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        store = open_store("http://behind-a-proxy.invalid", policy=POLICY)
        with pytest.raises(s3kv.EndpointUnreachable, match=r"behind-a-proxy\.invalid") as caught:
            store.get("key")
        assert url.removeprefix("http://") in str(caught.value)


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose backlog is full: connecting to it takes as long as it is let."""
    with socket.socket() as sock, ExitStack() as crowd:
        sock.bind((LOOPBACK, 0))
        sock.listen(0)
        for _ in range(4):
            crowd.enter_context(closing(_knock(sock.getsockname())))
        yield sock.getsockname()[1]


def _name(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have one address for each of these ports."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOOPBACK, port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)


def test_a_host_of_many_deaf_addresses_takes_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
) -> None:
    """The time for connecting is that for all of them."""
    with deaf() as port:
        _name(monkeypatch, *[port] * 6)
        policy, settings = FAST._replace(max_retries=1), Settings(connect_timeout=0.3)
        store = open_store("http://many.invalid", policy=policy, settings=settings)
        with Stopwatch() as watch, pytest.raises(s3kv.RetriesExhausted, match=r"many\.invalid"):
            store.get("key")
        assert watch.seconds < 0.8


@pytest.mark.parametrize("kind", ["deaf", "refusing"])
def test_a_host_is_reached_at_the_address_that_answers(
    kind: str, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
) -> None:
    """Though it is not the first."""
    with deaf() as port, refusing() as url, ScriptedServer(exchanges(ok(b"fine"))) as server:
        first = port if kind == "deaf" else int(url.rpartition(":")[2])
        _name(monkeypatch, first, server.port)
        store = open_store("http://two.invalid", settings=Settings(connect_timeout=0.5), policy=FAST)
        assert store.get("key") == b"fine"


def test_a_store_that_is_closed_does_not_wait_for_a_connection(open_store: OpenStore) -> None:
    """Whoever waits is told at once."""
    with deaf() as port:
        store = open_store(f"http://{LOOPBACK}:{port}", policy=FAST)
        waiting = Background(lambda: store.get("key"))
        assert not waiting.done(0.2)
        store.close()
        assert isinstance(waiting.error(1), s3kv.StoreClosed)


def test_a_server_whose_backlog_is_full_is_a_timeout(open_store: OpenStore) -> None:
    """The packets are dropped, so connecting takes as long as it is let: a transient failure."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        sock.listen(0)
        url = f"http://{LOOPBACK}:{sock.getsockname()[1]}"
        crowd = [_knock(sock.getsockname()) for _ in range(4)]
        try:
            store = open_store(
                url, policy=FAST._replace(max_retries=2), settings=Settings(connect_timeout=0.1)
            )
            with Stopwatch() as watch, pytest.raises(s3kv.RetriesExhausted) as caught:
                store.get("key")
        finally:
            for each in crowd:
                each.close()
    cause = caught.value.__cause__
    assert isinstance(cause, s3kv.TransportError)
    assert cause.reason == "timeout"
    assert watch.seconds < 1


def test_after_an_unreachable_endpoint_the_store_works(open_store: OpenStore) -> None:
    """An error is no verdict on the store: the next call tries anew."""
    with ScriptedServer(exchanges(ok(b"fine"))) as server:
        with refusing() as url:
            store = open_store(url, policy=POLICY._replace(unreachable_for=0.0))
            with pytest.raises(s3kv.EndpointUnreachable):
                store.get("key")
            with pytest.raises(s3kv.EndpointUnreachable):
                store.get("key")
        assert open_store(server, policy=POLICY).get("key") == b"fine"


class _Stopping(RecordingTimer):
    """A timer that makes a server refuse connections before the first wait is over."""

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self._server = server

    def wait(self, seconds: float, call: Any) -> None:
        super().wait(seconds, call)
        self._server.stop_listening()


def _knock(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock
