"""Stores that take only so many requests at once: few are refused, nobody is forgotten, and it passes."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import s3kv
from s3kv.errors import StoreClosed
from s3kv.retry import RetryPolicy
from tests.wire.conftest import OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import READ, Forever, Gauge, Peer, ScriptedServer, Step, error, ok
from tests.wire.test_wire_interrupts import running

# Short pauses, and more attempts than anybody needs here.
PATIENT = RetryPolicy(max_retries=32, initial_delay=0.01, max_delay=0.05)


class Narrow(Step):
    """A store that refuses whatever comes while so many requests are under way.

    Args:
        most: So many it takes at once.
        seconds: So long each of them takes.

    Attributes:
        refused: How many it has refused.
        served: How many it has not.
        gates: What answers for keys wait for.
    """

    def __init__(self, most: int, seconds: float = 0.005) -> None:
        self.most = most
        self.seconds = seconds
        self.refused = 0
        self.served = 0
        self.gates: dict[str, threading.Event] = {}
        self.gauge = Gauge()
        self._lock = threading.Lock()

    def server(self) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)], lenient=True)

    def run(self, peer: Peer) -> None:
        """Serve the request that was read last, or refuse it."""
        key = peer.requests[-1].path.rpartition("/")[2]
        with self.gauge:
            with self._lock:
                refuse = self.gauge.now > self.most
                self.refused += refuse
                self.served += not refuse
            if not refuse:
                if key in self.gates:
                    peer.wait(self.gates[key])
                time.sleep(self.seconds)
        peer.send(error(503, "SlowDown") if refuse else ok(key.encode()))


def limited(store: s3kv.Store) -> None:
    """Have a store know that it is to send one request at a time."""
    adaptive = store._core.adaptive
    adaptive.refused(adaptive.epoch)
    assert adaptive.allowed == 1


def until(condition: Any) -> None:
    """Wait for what is about to happen."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.002)


def waits(store: s3kv.Store, count: int) -> None:
    """Wait until so many operations wait for their turn."""
    until(lambda: len(store._core.adaptive._waiting) >= count)


# ------------------------------------------------------------------------------ a store with little room


def test_a_store_that_takes_four_at_once_refuses_few(open_store: OpenStore) -> None:
    """Less than three requests of ten; every key is read."""
    narrow = Narrow(4)
    keys = [f"k{number}" for number in range(300)]
    with narrow.server() as server:
        found = open_store(server, policy=PATIENT).get_many(keys)
    assert found == {key: key.encode() for key in keys}
    assert narrow.served == 300
    # It has to be refused to find out.
    assert 0 < narrow.refused < 0.3 * (narrow.served + narrow.refused)


def test_writes_are_fewer_too(open_store: OpenStore) -> None:
    """The limit is one for whatever is asked."""
    narrow = Narrow(4)
    with narrow.server() as server:
        open_store(server, policy=PATIENT).put_many({f"k{number}": b"v" for number in range(200)})
    assert narrow.served == 200
    assert 0 < narrow.refused < 0.3 * (narrow.served + narrow.refused)


def test_a_store_that_takes_one_at_once_is_sent_one_after_the_other(open_store: OpenStore) -> None:
    """The least there can be still gets everything done."""
    narrow = Narrow(1, 0.001)
    keys = [f"k{number}" for number in range(100)]
    with narrow.server() as server:
        assert len(open_store(server, policy=PATIENT).get_many(keys)) == 100
    assert narrow.served == 100


def test_the_limit_is_gone_when_the_store_has_recovered(open_store: OpenStore) -> None:
    """After enough successes; then as many are in flight as before."""
    narrow = Narrow(4)
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        adaptive = store._core.adaptive
        store.get_many([f"k{number}" for number in range(100)])
        assert adaptive.allowed is not None
        narrow.most = 1000
        narrow.gauge.peak = 0
        for _ in range(20):
            store.get_many([f"k{number}" for number in range(100)])
            if adaptive.allowed is None:
                break
        assert adaptive.allowed is None
        assert not adaptive.active
        # Long enough that all that are allowed are under way at the same time.
        narrow.seconds = 0.02
        store.get_many([f"k{number}" for number in range(100)])
        assert narrow.gauge.peak >= 16
        assert not adaptive.flying


def test_a_limit_is_kept(open_store: OpenStore) -> None:
    """Not many more are sent at once than the store has room for."""
    narrow = Narrow(1000)
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        limited(store)
        store.get_many([f"k{number}" for number in range(6)])
    # It has grown by one, by a half, by two fifths, and so on.
    assert narrow.gauge.peak <= 4
    assert narrow.served == 6


def test_a_store_that_is_broken_is_not_taken_for_one_that_is_busy(open_store: OpenStore) -> None:
    """500 is tried again, and limits nothing."""

    class Broken(Narrow):
        def run(self, peer: Peer) -> None:
            with self._lock:
                self.served += 1
                fails = self.served <= 10
            peer.send(error(500, "InternalError") if fails else ok(b"v"))

    broken = Broken(1)
    with broken.server() as server:
        store = open_store(server, policy=PATIENT)
        assert len(store.get_many([f"k{number}" for number in range(40)])) == 40
        assert store._core.adaptive.allowed is None
        assert store._core.adaptive.epoch == 0


# ------------------------------------------------------------------------------ those who wait


def test_who_waits_for_a_turn_keeps_its_deadline(open_store: OpenStore) -> None:
    """And sends nothing."""
    narrow = Narrow(10)
    gate = narrow.gates["slow"] = threading.Event()
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        limited(store)
        slow = Background(lambda: store.get("slow"))
        until(lambda: narrow.served == 1)
        with Stopwatch() as watch, pytest.raises(s3kv.DeadlineExceeded) as caught:
            store.with_timeout(0.2).get("late")
        assert 0.15 < watch.seconds < 1
        assert caught.value.key == "late"
        gate.set()
        assert slow.result() == b"slow"
        assert [request.path for request in server.requests] == ["/bucket/slow"]


def test_a_turn_is_not_given_to_one_who_waits_no_longer(open_store: OpenStore) -> None:
    """Otherwise the next would wait for ever: its turn was somebody's who had gone."""
    narrow = Narrow(10)
    gate = narrow.gates["slow"] = threading.Event()
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        limited(store)
        slow = Background(lambda: store.get("slow"))
        until(lambda: narrow.served == 1)
        gone = Background(lambda: store.with_timeout(0.3).get("gone"))
        waits(store, 1)
        behind = Background(lambda: store.get("behind"))
        waits(store, 2)
        assert isinstance(gone.error(), s3kv.DeadlineExceeded)
        gate.set()
        assert slow.result() == b"slow"
        assert behind.result(3) == b"behind"


def test_who_waits_for_a_turn_is_told_when_the_store_is_closed(open_store: OpenStore) -> None:
    """At once."""
    narrow = Narrow(10)
    gate = narrow.gates["slow"] = threading.Event()
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        limited(store)
        slow = Background(lambda: store.get("slow"))
        until(lambda: narrow.served == 1)
        waiting = [Background(lambda: store.get("late")) for _ in range(3)]
        waits(store, 3)
        with Stopwatch() as watch:
            store.close()
            assert all(isinstance(each.error(), StoreClosed) for each in waiting)
        assert watch.seconds < 1
        gate.set()
        assert slow.done(5)
        slow.error()


def test_a_batch_whose_items_wait_for_turns_keeps_their_deadlines(open_store: OpenStore) -> None:
    """Those that got their turn in time are its results."""
    narrow = Narrow(10)
    narrow.gates["slow"] = gate = threading.Event()
    with narrow.server() as server:
        store = open_store(server, policy=PATIENT)
        limited(store)
        slow = Background(lambda: store.get("slow"))
        until(lambda: narrow.served == 1)
        with Stopwatch() as watch, pytest.raises(s3kv.BatchError) as caught:
            store.with_timeout(0.3).get_many(["a", "b", "c"])
        assert watch.seconds < 2
        assert sorted(caught.value.errors) == ["a", "b", "c"]
        assert {type(each) for each in caught.value.errors.values()} == {s3kv.DeadlineExceeded}
        gate.set()
        assert slow.result() == b"slow"
        # Nothing is left of them that would keep others waiting.
        assert store.get_many(["d", "e"]) == {"d": b"d", "e": b"e"}


INTERRUPTED = """
from s3kv.errors import S3KVError
adaptive = store._core.adaptive
while adaptive.allowed != 1:
    adaptive.refused(adaptive.epoch)
slow = threading.Thread(target=lambda: store.get("slow"))
slow.start()
while not adaptive.flying:
    time.sleep(0.002)
say("ready")
try:
    {call}
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
# Behind the one that has gone, and in front of it no more.
late = []
other = threading.Thread(target=lambda: late.append(store.get("other")))
other.start()
while not adaptive._waiting:
    time.sleep(0.002)
say("go")
slow.join()
other.join()
say(late[0].decode())
"""


@pytest.mark.parametrize("call", ["store.get('late')", "store.get_many(['a', 'b', 'c'])"])
def test_ctrl_c_ends_the_wait_for_a_turn(call: str) -> None:
    """At once; who comes afterwards gets the turn."""
    narrow = Narrow(10)
    gate = narrow.gates["slow"] = threading.Event()
    with narrow.server() as server, running(INTERRUPTED.format(call=call), server.url) as program:
        assert program.line() == ["ready"]
        time.sleep(0.2)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.line() == ["go"]
        gate.set()
        assert program.end(4) == ("other\n", "")
