"""Many requests at once over TLS: carried by one thread, whatever way their records come."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable

import pytest

import s3kv
from s3kv.messages import Settings
from s3kv.pipeline.shared import new_executor
from s3kv.transport.connect import open_connection  # noqa: F401 (imported at the first request otherwise)
from s3kv.transport.tls_connection import TlsConnection
from tests.leaks import Held
from tests.wire.authority import Authority
from tests.wire.conftest import FAST, OpenStore, RecordingTimer
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    RESET,
    ClientGone,
    Forever,
    Gauge,
    Peer,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    chunked,
    error,
    ok,
)
from tests.wire.test_wire_interrupts import running

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
# Longer than some records, and shorter than what is large.
LONG = bytes(range(256)) * 1000


@pytest.fixture(params=VERSIONS.values(), ids=VERSIONS)
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext:
    """Return the context of a server that speaks one version of TLS."""
    context = authority.server_context("127.0.0.1")
    context.minimum_version = context.maximum_version = request.param
    return context


class Keeper(Step):
    """Answers requests, each in its way.

    Args:
        send: Gets the connection and the request that was read last.

    Attributes:
        gauge: How many requests there are at once.
    """

    def __init__(self, send: Callable[[Peer, Recorded], object] | None = None) -> None:
        self.send = send or (lambda peer, request: peer.send(ok(value(request))))
        self.gauge = Gauge()

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        with self.gauge:
            self.send(peer, peer.requests[-1])

    def server(self, tls: ssl.SSLContext) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)], tls=tls, lenient=True)


def value(request: Recorded) -> bytes:
    """Return what the object is that a request asks for."""
    return request.path.rpartition("/")[2].encode() * 20


def names(count: int) -> list[str]:
    """Return so many keys."""
    return [f"k{number}" for number in range(count)]


def expected(count: int) -> dict[str, bytes]:
    """Return what a batch of so many keys is."""
    return {key: key.encode() * 20 for key in names(count)}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)


def warm(store: s3kv.Store, keeper: Keeper, count: int) -> None:
    """Have a store open so many connections: what comes then is carried by one thread."""
    gate = threading.Event()
    send = keeper.send
    keeper.send = lambda peer, request: (peer.wait(gate), peer.send(ok(b"warm")))
    calls = [Background(lambda: store.get("warm")) for _ in range(count)]
    until(lambda: keeper.gauge.now == count)
    gate.set()
    for call in calls:
        assert call.result() == b"warm"
    keeper.send = send


def test_batches_over_tls_are_carried_by_one_thread(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many at once as there may be, each with its own bytes, on connections that are used again."""
    keeper = Keeper()
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(8))
        warm(store, keeper, 8)
        assert store.get_many(names(300)) == expected(300)
        assert len(server.connections) <= 8
        keeper.gauge.peak = 0
        barrier = threading.Barrier(8)

        def together(peer: Peer, request: Recorded) -> None:
            barrier.wait(5)
            peer.send(ok(value(request)))

        # No worker may wait for one answer alone; and any comes only when eight are asked for at once.
        keeper.send = together
        monkeypatch.setattr(TlsConnection, "exchange", None)
        assert store.get_many(names(64)) == expected(64)
        assert keeper.gauge.peak == 8
        assert len(server.connections) <= 8


def _byte_by_byte(peer: Peer, data: bytes) -> None:
    for index in range(0, len(data), 7):
        peer.send(data[index : index + 7])


def _many_records(peer: Peer, data: bytes) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    peer.send(head)
    peer.send(b"\r\n\r\n")
    for index in range(0, len(body), 50):
        peer.send(body[index : index + 50])


WAYS: dict[str, Callable[[Peer, bytes], object]] = {
    "one record": Peer.send,
    "records of seven bytes": _byte_by_byte,
    "a record for the head": _many_records,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("chunks", [False, True], ids=["a length", "chunks"])
def test_answers_come_in_any_number_of_records(
    way: Callable[[Peer, bytes], object],
    chunks: bool,
    trusted: Authority,
    tls: ssl.SSLContext,
    open_store: OpenStore,
) -> None:
    """Of a batch, and of single requests of many threads."""

    def send(peer: Peer, request: Recorded) -> None:
        body = value(request)
        way(peer, chunked(body[:11], body[11:]) if chunks else ok(body))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(6))
        warm(store, keeper, 6)
        assert store.get_many(names(40)) == expected(40)
        calls = {key: Background(lambda key=key: store.get(key)) for key in names(12)}
        assert {key: call.result() for key, call in calls.items()} == expected(12)
        assert len(server.connections) <= 6


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, 32_768, 65_536, 65_537, 256_000, 1_048_575])
def test_answers_of_several_records_are_whole(
    size: int, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """What OpenSSL has decrypted already is not waited for: no poll would tell of it."""
    body = (LONG * 5)[:size]
    keeper = Keeper(lambda peer, request: peer.send(ok(body)))
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4))
        warm(store, keeper, 4)
        with Stopwatch() as watch:
            assert set(store.get_many(names(12)).values()) == {body}
        assert watch.seconds < 2


def test_large_bodies_are_waited_for_by_a_worker_of_their_own(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """From the middle on: they hold nobody up, and are whole."""
    large = LONG * 12
    gate = threading.Event()

    def send(peer: Peer, request: Recorded) -> None:
        if "slow" not in request.path:
            peer.send(ok(value(request)))
            return
        data = ok(large)
        peer.send(data[:1_500_000])
        peer.wait(gate)
        peer.send(data[1_500_000:])

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(6))
        warm(store, keeper, 6)
        slow = [Background(lambda: store.get("slow")) for _ in range(3)]
        until(lambda: keeper.gauge.now == 3)
        with Stopwatch() as watch:
            assert store.get_many(names(50)) == expected(50)
        assert watch.seconds < 2
        assert not any(call.done(0) for call in slow)
        gate.set()
        assert [call.result() == large for call in slow] == [True] * 3
        assert len(server.connections) <= 6


@pytest.mark.parametrize("count", [0, 1, 5, 20, 300, 70_000])
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["FIN", "RST"])
def test_a_peer_that_goes_in_the_middle_is_asked_again(
    count: int, end: Step, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Wherever the answer breaks off; the others have theirs."""
    broken: set[str] = set()
    body = LONG[:100_000]

    def send(peer: Peer, request: Recorded) -> None:
        if request.path not in broken and request.path.endswith(("3", "5")):
            broken.add(request.path)
            peer.send(ok(body)[:count])
            end.run(peer)
            peer.close()
            raise ClientGone
        peer.send(ok(body))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4), policy=FAST)
        warm(store, keeper, 4)
        assert store.get_many(names(16)) == dict.fromkeys(names(16), body)
        assert len(broken) == 4


def test_a_peer_that_goes_in_the_middle_of_a_record_is_asked_again(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Half a record is nothing: what was decrypted before it counts, and is not enough."""
    cut: list[str] = []

    def send(peer: Peer, request: Recorded) -> None:
        if request.path.endswith("1") and not cut:
            cut.append(request.path)
            peer.send(ok(b"x" * 100)[:-50])
            # A record that says it is longer than what comes of it.
            raw = peer.sock.detach()
            os.write(raw, b"\x17\x03\x03\x00\x50" + b"half")
            os.close(raw)
            peer.gone.set()
            raise ClientGone
        peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(3), policy=FAST)
        warm(store, keeper, 3)
        assert store.get_many(names(9)) == expected(9)
        assert len(cut) == 1


def test_a_record_that_is_broken_is_no_answer(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """What was changed on the way is asked for again on another connection."""
    spoilt: list[str] = []

    def send(peer: Peer, request: Recorded) -> None:
        if request.path.endswith("1") and not spoilt:
            spoilt.append(request.path)
            raw = peer.sock.detach()
            os.write(raw, b"\x17\x03\x03\x00\x28" + bytes(40))
            time.sleep(0.05)
            os.close(raw)
            peer.gone.set()
            raise ClientGone
        peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(3), policy=FAST)
        warm(store, keeper, 3)
        assert store.get_many(names(9)) == expected(9)


def test_idle_connections_that_die_cost_no_attempt(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """All of them at once, before a batch and in it."""
    timer = RecordingTimer()
    keeper = Keeper()
    with keeper.server(tls) as server:
        store = open_store(
            server, executor=new_executor(4), policy=FAST._replace(max_retries=1), timer=timer
        )
        for _ in range(3):
            warm(store, keeper, 4)
            for peer in server.connections:
                if not peer.gone.is_set():
                    peer.wake()
            assert store.get_many(names(20)) == expected(20)
        assert timer.waits == []


@pytest.mark.parametrize("together", [True, False], ids=["in one record", "in another record"])
def test_what_comes_on_an_idle_connection_is_no_answer(
    together: bool, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """An answer to nothing is not taken for the next one's, decrypted already or not."""

    def send(peer: Peer, request: Recorded) -> None:
        if together:
            peer.send(ok(value(request)) + ok(b"of somebody else"))
        else:
            peer.send(ok(value(request)))
            peer.send(ok(b"of somebody else"))

    keeper = Keeper()
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4))
        warm(store, keeper, 4)
        keeper.send = send
        for key in names(12):
            assert store.get(key) == key.encode() * 20
            # What came after the next request was sent, nobody could tell from its answer.
            time.sleep(0.02)
        if together:
            assert store.get_many(names(20)) == expected(20)


def test_session_tickets_that_come_late_do_no_harm(
    trusted: Authority, authority: Authority, open_store: OpenStore
) -> None:
    """TLS 1.3 sends them when it likes, on idle connections too; no attempt is spent on that."""
    context = authority.server_context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # So many come with the first bytes that the server sends, together with the answer or before.
    context.num_tickets = 20
    timer = RecordingTimer()

    def send(peer: Peer, request: Recorded) -> None:
        peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(context) as server:
        store = open_store(
            server, executor=new_executor(4), policy=FAST._replace(max_retries=1), timer=timer
        )
        for _ in range(3):
            warm(store, keeper, 4)
            assert store.get_many(names(20)) == expected(20)
        assert timer.waits == []
        assert len(server.connections) <= 4


@pytest.mark.parametrize("size", [0, 1, 1000, 16_000, 16_384, 16_385, 40_000])
def test_small_and_large_values_are_put_over_tls(
    size: int, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """On used connections: to the byte, each in one try, also where a request takes two records."""
    timer = RecordingTimer()
    body = LONG[:size]
    keeper = Keeper(lambda peer, request: peer.send(ok()))
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4), timer=timer)
        warm(store, keeper, 4)
        store.put_many((key, body) for key in names(12))
        puts = [request for request in server.requests if request.method == "PUT"]
        assert {request.body for request in puts} == {body}
        assert len(puts) == 12
        assert timer.waits == []
        assert len(server.connections) <= 4


@pytest.mark.parametrize("sent", [0, 10, 300], ids=["nothing", "half a head", "half a body"])
def test_timeouts_are_kept_over_tls(
    sent: int, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """For each item of a batch, and for a single request; the others are done."""

    def send(peer: Peer, request: Recorded) -> None:
        if "slow" in request.path:
            peer.send(ok(b"x" * 1000)[:sent])
            HOLD.run(peer)
        peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4), timeout=0.25)
        warm(store, keeper, 4)
        with Stopwatch() as watch, pytest.raises(s3kv.BatchError) as caught:
            store.get_many([*names(10), "slow1", "slow2"])
        assert 0.2 < watch.seconds < 1.5
        assert caught.value.errors.keys() == {"slow1", "slow2"}
        assert {type(error) for error in caught.value.errors.values()} == {s3kv.DeadlineExceeded}
        assert caught.value.results == expected(10)
        with Stopwatch() as watch, pytest.raises(s3kv.DeadlineExceeded):
            store.get("slow")
        assert 0.2 < watch.seconds < 1.0
        assert store.get_many(names(10)) == expected(10)


def test_a_silent_peer_is_given_up_over_tls(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Where there is no deadline, too: tried again on another connection."""
    silent: list[str] = []

    def send(peer: Peer, request: Recorded) -> None:
        if request.path.endswith("3") and not silent:
            silent.append(request.path)
            HOLD.run(peer)
        peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(
            server, executor=new_executor(4), policy=FAST, settings=Settings(read_timeout=0.3)
        )
        warm(store, keeper, 4)
        with Stopwatch() as watch:
            assert store.get_many(names(10)) == expected(10)
        assert 0.25 < watch.seconds < 3
        assert len(silent) == 1


def test_errors_over_tls_are_their_own_keys(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """As without TLS."""

    def send(peer: Peer, request: Recorded) -> None:
        number = int(request.path.rpartition("k")[2] or 0)
        if number % 3 == 0:
            peer.send(error(403, "AccessDenied"))
        elif number % 3 == 1:
            peer.send(error(404, "NoSuchKey"))
        else:
            peer.send(ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(4), policy=FAST)
        warm(store, keeper, 4)
        with pytest.raises(s3kv.BatchError) as caught:
            store.get_many(names(30))
        kinds = [s3kv.PermissionDenied, s3kv.KeyNotFound]
        for number, key in enumerate(names(30)):
            if number % 3 < 2:
                assert type(caught.value.errors[key]) is kinds[number % 3]
            else:
                assert caught.value.results[key] == key.encode() * 20


def test_a_batch_that_is_closed_leaves_no_socket(trusted: Authority, tls: ssl.SSLContext) -> None:
    """Not one that is idle, and not one that waits."""
    before = Held.now()
    keeper = Keeper(lambda peer, request: HOLD.run(peer))
    with keeper.server(tls) as server:
        store = s3kv.Store(
            bucket="bucket",
            endpoint=server.url,
            aws_region="us-east-1",
            aws_credentials={"type": "anonymous"},
            context={"s3_request_concurrency": {"limit": 5}},
        )
        warm(store, keeper, 5)
        batch = Background(lambda: store.get_many(names(100)))
        until(lambda: keeper.gauge.now == 5)
        with Stopwatch() as watch:
            store.close()
            assert isinstance(batch.error(1), (s3kv.S3KVError, s3kv.BatchError))
        assert watch.seconds < 0.5
        until(lambda: all(peer.gone.is_set() or peer.closed_by_client for peer in server.connections))
    assert [leak for leak in before.leaks() if "s3kv" not in leak] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_has_connections_of_its_own(trusted: Authority, tls: ssl.SSLContext) -> None:
    """And takes none of the parent's answers; both go on."""
    keeper = Keeper()
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
names = [f"k{n}" for n in range(20)]
good = {name: name.encode() * 20 for name in names}
assert store.get_many(names) == good
child = os.fork()
for _ in range(5):
    assert store.get_many(names) == good
if not child:
    os._exit(0)
say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert store.get_many(names) == good
say("done")
"""
    with keeper.server(tls) as server, running(code, server.url) as program:
        assert program.line() == ["child", "0"], program.end()
        assert program.line() == ["done"]
        assert program.end() == ("", "")


def test_ctrl_c_ends_a_batch_over_tls(trusted: Authority, tls: ssl.SSLContext) -> None:
    """Within half a second, while its answers are waited for on used connections."""

    def send(peer: Peer, request: Recorded) -> None:
        if "slow" in request.path:
            peer.send(ok(b"x" * 100)[:-5])
            HOLD.run(peer)
        peer.send(ok(value(request)))

    code = """
store.get_many([f"k{n}" for n in range(60)])
say("ready")
try:
    store.get_many([f"slow{n}" for n in range(100)])
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(store.get("fast").decode())
"""
    keeper = Keeper(send)
    with keeper.server(tls) as server, running(code, server.url) as program:
        assert program.line() == ["ready"], program.end()
        until(lambda: keeper.gauge.now >= 32)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end() == ("fast" * 20 + "\n", "")


def test_a_listing_over_tls_goes_on_with_a_batch(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Large documents are carried by the same thread as small objects."""
    keys = [f"k{number:04}" for number in range(1000)]
    entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

    def send(peer: Peer, request: Recorded) -> None:
        peer.send(answer(200, page) if "list-type" in request.query else ok(value(request)))

    keeper = Keeper(send)
    with keeper.server(tls) as server:
        store = open_store(server, executor=new_executor(5))
        warm(store, keeper, 5)
        assert [(key, len(found)) for key, found in store.items()] == [(key, 100) for key in keys]
        assert len(server.connections) <= 5
