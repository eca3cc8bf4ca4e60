"""Batches of gets and puts on the wire: bounded, lazy, each key on its own, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import s3kv
from s3kv.errors import StoreClosed
from s3kv.pipeline.shared import new_executor
from tests.servers import metadata
from tests.servers.metadata import FakeContainer, FakeS3
from tests.wire.conftest import FAST, OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.memory_s3 import MemoryS3, etag_of
from tests.wire.scripted import HOLD, READ, Forever, Gauge, Peer, Recorded, ScriptedServer, Step, ok
from tests.wire.scripted import error as refusal
from tests.wire.test_wire_interrupts import running

LIMIT = 3
# As many as a batch may have begun or done ahead of what was taken from it.
WINDOW = 2 * LIMIT


class Keeper(Step):
    """Answers requests with what a function makes of them; some are kept waiting.

    Args:
        make: Makes the answer.
        held: Requests that are kept until the gate is opened: part of their path.

    Attributes:
        gate: What they wait for.
        gauge: How many requests there are at once.
    """

    def __init__(self, make: Callable[[Recorded], bytes] | None = None, held: str = "\0") -> None:
        self.make = make or (lambda request: ok(request.path.encode()))
        self.held = held
        self.gate = threading.Event()
        self.gauge = Gauge()

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        request = peer.requests[-1]
        with self.gauge:
            if self.held in request.path:
                peer.wait(self.gate)
            else:
                time.sleep(0.001)
            data = self.make(request)
        peer.send(data)

    def server(self) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)])


class Counting:
    """An iterator that counts what was taken from it."""

    def __init__(self, items: Any) -> None:
        self._items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.taken += 1
        return item


def names(count: int) -> list[str]:
    """Return so many keys."""
    return [f"k{number}" for number in range(count)]


def value(key: str) -> bytes:
    """Return what a :class:`Keeper` says that an object is."""
    return f"/bucket/{key}".encode()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.001)


# ------------------------------------------------------------------------ get_many


def test_many_keys_come_each_with_its_own_bytes_and_within_the_limit(open_store: OpenStore) -> None:
    """The limit is made use of, and never passed."""
    with (keeper := Keeper()).server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        assert store.get_many(names(100)) == {key: value(key) for key in names(100)}
        assert keeper.gauge.peak == LIMIT
        assert len(server.requests) == 100
        assert len(server.connections) <= LIMIT


def test_batches_of_many_threads_share_the_limit(open_store: OpenStore) -> None:
    """It is the executor's, whoever asks."""
    with (keeper := Keeper()).server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        calls = [
            Background(lambda n=n: store.get_many(f"{n}-{key}" for key in names(20)))  # type: ignore[misc]
            for n in range(5)
        ]
        for number, call in enumerate(calls):
            assert call.result() == {f"{number}-{key}": value(f"{number}-{key}") for key in names(20)}
        assert keeper.gauge.peak == LIMIT


def test_a_key_that_comes_again_is_fetched_once(open_store: OpenStore) -> None:
    """As text or as bytes, and however much later; the results have text."""
    with Keeper().server() as server:
        store = open_store(server, executor=new_executor(2))
        found = store.get_many(["a", b"a", *names(30), "a", "é".encode(), *names(30), "é"])
        assert found.keys() == {"a", "é", *names(30)}
        assert len(server.requests) == 32


def test_values_are_let_go_of_when_another_cannot_be_put(open_store: OpenStore) -> None:
    """They can be resized as soon as the batch has ended, whatever the error of the other one holds."""
    first, last = bytearray(b"value"), bytearray(b"value")
    with MemoryS3().server() as server:
        with pytest.raises(s3kv.BatchError) as caught:
            open_store(server).put_many({"first": first, "wrong": "text", "last": last})
        assert list(caught.value.errors) == ["wrong"]
        first.append(1)
        last.append(1)


BAD_KEYS = ["", "x" * 1025, "é" * 513, "\ud800"]


def test_keys_that_no_object_can_have_are_errors_of_their_own(open_store: OpenStore) -> None:
    """The others are got, put and deleted; nothing is sent for the bad ones."""
    with (bucket := MemoryS3()).server() as server:
        store = open_store(server)
        pairs = [(key, b"v") for key in [*BAD_KEYS[:2], "good", *BAD_KEYS[2:]]]
        for batch in (lambda: store.put_many(pairs), lambda: store.get_many(key for key, _ in pairs)):
            with pytest.raises(s3kv.BatchError) as caught:
                batch()
            assert caught.value.errors.keys() == set(BAD_KEYS)
            assert {type(error) for error in caught.value.errors.values()} == {s3kv.InvalidKey}
            assert caught.value.results.keys() == {"good"}
        assert len(server.requests) == 2
    assert bucket.applied == [("PUT", "good", b"v")]


@pytest.mark.parametrize("call", ["get_many", "iter_many", "put_many", "delete_many"])
def test_bytes_that_are_no_text_are_an_error_of_their_own(call: str, open_store: OpenStore) -> None:
    """As other keys are that no object can have; the keys beside it are not held up."""

    def make(request: Recorded) -> bytes:
        if request.method == "POST":
            told = b"".join(b"<Deleted><Key>%c</Key></Deleted>" % key for key in b"ab")
            return ok(b"<DeleteResult>" + told + b"</DeleteResult>")
        return ok(b"v")

    with Keeper(make).server() as server:
        store = open_store(server)
        keys: list[Any] = ["a", b"\xff", "b"]
        items = [(key, b"v") for key in keys] if call == "put_many" else keys
        with pytest.raises(s3kv.BatchError) as caught:
            list(getattr(store, call)(items))
        (error,) = caught.value.errors.values()
        assert isinstance(error, s3kv.InvalidKey)
        assert len(server.requests) == (1 if call == "delete_many" else 2)


@pytest.mark.parametrize("call", ["get_many", "iter_many"])
def test_a_wrong_word_for_missing_keys_is_refused_at_once(call: str, open_store: OpenStore) -> None:
    """No key has been taken by then, and nothing sent."""
    with Keeper().server() as server:
        keys, store = Counting(["a"]), open_store(server)
        with pytest.raises(ValueError, match=r"'ignore'.*'raise' and 'skip'"):
            getattr(store, call)(keys, on_missing="ignore")
        assert keys.taken == 0
        assert server.requests == []


def test_what_goes_wrong_with_one_key_is_nothing_to_the_others(open_store: OpenStore) -> None:
    """A refusal, a broken answer and a failure that lasts, each with its own class."""
    wrong = {
        "/bucket/k3": refusal(403, "AccessDenied"),
        "/bucket/k5": b"HTTP/1.1 nonsense\r\n\r\n",
        "/bucket/k7": refusal(503, "SlowDown"),
        "/bucket/k9": refusal(400, "InvalidArgument"),
    }
    with Keeper(lambda request: wrong.get(request.path, ok(b"fine"))).server() as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.BatchError, match="4 keys failed to get") as caught:
            store.get_many(names(12))
        kinds = {key: type(error).__name__ for key, error in caught.value.errors.items()}
        assert kinds == {
            "k3": "PermissionDenied",
            "k5": "MalformedResponse",
            "k7": "RetriesExhausted",
            "k9": "ServiceError",
        }
        assert [getattr(error, "key", None) for error in caught.value.errors.values()] == list(kinds)
        assert caught.value.results == dict.fromkeys(set(names(12)) - kinds.keys(), b"fine")


@pytest.mark.parametrize("call", ["get_many", "put_many"])
def test_a_failure_that_passes_is_tried_again_for_that_key_only(call: str, open_store: OpenStore) -> None:
    """Every third key needs three attempts."""
    seen: dict[str, int] = {}

    def make(request: Recorded) -> bytes:
        seen[request.path] = seen.get(request.path, 0) + 1
        late = int(request.path.removeprefix("/bucket/k")) % 3 == 0 and seen[request.path] < 3
        return refusal(503, "SlowDown") if late else ok(b"v")

    with Keeper(make).server() as server:
        store = open_store(server, policy=FAST, executor=new_executor(LIMIT))
        items: Any = dict.fromkeys(names(12), b"v")
        assert getattr(store, call)(items).keys() == items.keys()
    assert seen == {f"/bucket/k{number}": 3 if number % 3 == 0 else 1 for number in range(12)}


@pytest.mark.parametrize("call", ["get_many", "put_many"])
def test_items_are_taken_as_there_is_room(call: str, open_store: OpenStore) -> None:
    """Not ahead of what can be in flight, and as much again to be ready."""
    keeper = Keeper(held="k")
    with keeper.server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        items = Counting((key, b"v") if call == "put_many" else key for key in names(50))
        batch = Background(lambda: getattr(store, call)(items))
        until(lambda: len(server.requests) == LIMIT)
        time.sleep(0.02)
        assert LIMIT <= items.taken <= WINDOW
        assert len(server.requests) == LIMIT
        keeper.gate.set()
        assert batch.result().keys() == set(names(50))
        assert keeper.gauge.peak == LIMIT


# ------------------------------------------------------------------------ iter_many


def test_objects_come_in_the_order_in_which_they_arrive(open_store: OpenStore) -> None:
    """One that takes long keeps none of the others."""
    keeper = Keeper(held="k0")
    with keeper.server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        found = store.iter_many(names(20))
        first = [next(found)[0] for _ in range(19)]
        assert set(first) == set(names(20)[1:])
        keeper.gate.set()
        assert list(found) == [("k0", value("k0"))]


def test_only_so_many_objects_are_held_as_can_be_in_flight(open_store: OpenStore) -> None:
    """However slowly they are taken, and however many there are; twice as many if they are taken fast."""
    with Keeper().server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        keys = Counting(names(60))
        ahead = []
        for number, _ in enumerate(store.iter_many(keys)):
            time.sleep(0.02 if number < 10 else 0)
            ahead.append(keys.taken - number)
        assert len(ahead) == 60
        assert max(ahead[:10]) <= WINDOW
        assert max(ahead) <= 2 * WINDOW
        assert len(server.requests) == 60


def test_of_objects_that_are_not_small_no_more_are_held_when_they_are_taken_fast(
    open_store: OpenStore,
) -> None:
    """What they are is seen by those that have come."""
    objects = {key: bytes(70_000) for key in names(40)}
    with MemoryS3(**objects).server() as server:
        store = open_store(server, executor=new_executor(LIMIT))
        keys = Counting(names(40))
        ahead = [keys.taken - number for number, _ in enumerate(store.iter_many(keys))]
        assert len(ahead) == 40
        assert max(ahead) <= WINDOW


def test_all_that_succeeded_comes_before_the_error(open_store: OpenStore) -> None:
    """One error, with a reason for each key that failed; then the iterator is at its end."""
    with MemoryS3(**dict.fromkeys(names(10), b"v")).server() as server:
        found = open_store(server).iter_many(["lost", *names(10), "", "gone"])
        assert {next(found)[0] for _ in range(10)} == set(names(10))
        with pytest.raises(s3kv.BatchError) as caught:
            next(found)
        assert caught.value.errors.keys() == {"lost", "", "gone"}
        assert list(found) == []


def test_an_iterator_that_is_given_up_ends_its_requests(open_store: OpenStore) -> None:
    """They are cancelled, nothing more is sent, and the store works on."""
    keys = Counting(["k1", *(f"slow{number}" for number in range(50))])

    def answer(request: Recorded) -> bytes:
        if request.path == "/bucket/k1":
            # Until then: nothing is begun while the iterator rests.
            until(lambda: keys.taken > LIMIT)
        return ok(request.path.encode())

    keeper = Keeper(answer, held="slow")
    with ScriptedServer(then=[Forever(READ, keeper)], lenient=True) as server:
        store = open_store(server, executor=new_executor(LIMIT))
        found = store.iter_many(keys)
        assert next(found) == ("k1", value("k1"))
        until(lambda: len(server.requests) == 1 + LIMIT)
        del found
        assert keys.taken <= WINDOW + 1
        with Stopwatch() as watch:
            assert store.get_many(names(10)) == {key: value(key) for key in names(10)}
        assert watch.seconds < 1
        assert len(server.requests) == 1 + LIMIT + 10


def test_the_store_may_be_used_between_two_objects(open_store: OpenStore) -> None:
    """Also with room for one request only."""
    with (bucket := MemoryS3(**{key: key.encode() for key in names(10)})).server() as server:
        store = open_store(server, executor=new_executor(1))
        for key, found in store.iter_many(names(10)):
            store.put(f"copy-{key}", found)
            assert store.get_many([f"copy-{key}"]) == {f"copy-{key}": found}
    assert len(bucket.objects) == 20


# ------------------------------------------------------------------------ put_many


def test_the_last_of_several_values_for_a_key_stays(open_store: OpenStore) -> None:
    """However long each takes, and however many others are under way."""
    bucket = MemoryS3()
    pairs = [(f"k{number % 4}", str(number).encode()) for number in range(60)]

    class Uneven(Step):
        def run(self, peer: Peer) -> None:
            time.sleep(0.001 * (hash(peer.requests[-1].body) % 5))
            bucket.run(peer)

    with ScriptedServer(then=[Forever(READ, Uneven())]) as server:
        stamps = open_store(server, executor=new_executor(8)).put_many(pairs)
    assert {key: found.value for key, found in bucket.objects.items()} == dict(pairs)
    assert {key: stamp.generation for key, stamp in stamps.items()} == {
        key: etag_of(found) for key, found in dict(pairs).items()
    }
    assert {key: [body for _, at, body in bucket.applied if at == key] for key in stamps} == {
        key: [body for at, body in pairs if at == key] for key in stamps
    }


@pytest.mark.parametrize("filling", [0, 40], ids=["at once", "later"])
def test_a_last_value_that_is_wrong_is_not_forgotten(filling: int, open_store: OpenStore) -> None:
    """The key is among the errors, whenever the good value before it was written."""
    pairs: list[tuple[str, Any]] = [("a", b"1"), *((key, b"v") for key in names(filling)), ("a", None)]
    with MemoryS3().server() as server:
        with pytest.raises(s3kv.BatchError) as caught:
            open_store(server, executor=new_executor(LIMIT)).put_many(pairs)
        assert caught.value.errors.keys() == {"a"}
        assert caught.value.results.keys() == set(names(filling))


# ------------------------------------------------------------------------ time


@pytest.mark.parametrize("call", ["get_many", "put_many", "iter_many"])
def test_the_timeout_is_that_of_each_item(call: str, open_store: OpenStore) -> None:
    """One that hangs fails when its time is over; the others go on meanwhile."""
    keeper = Keeper(held="slow")
    found: dict[str, Any] = {}
    with ScriptedServer(then=[Forever(READ, keeper)], lenient=True) as server, Stopwatch() as watch:
        store = open_store(server, timeout=0.3, executor=new_executor(LIMIT))
        items: Any = dict.fromkeys(["k", "slow", *names(30)], b"v")
        with pytest.raises(s3kv.BatchError) as caught:
            found.update(getattr(store, call)(items))
        assert caught.value.errors.keys() == {"slow"}
        assert isinstance(caught.value.errors["slow"], s3kv.DeadlineExceeded)
        assert (caught.value.results or found).keys() == {"k", *names(30)}
    assert 0.25 < watch.seconds < 1.5


@pytest.mark.parametrize("call", ["get_many", "put_many", "delete_many"])
def test_the_time_that_the_iterator_takes_is_not_the_items(call: str, open_store: OpenStore) -> None:
    """Many items that take a moment each to come are not late when they are sent."""

    def slow() -> Iterator[Any]:
        for key in names(12):
            time.sleep(0.04)
            yield (key, b"v") if call == "put_many" else key

    def make(request: Recorded) -> bytes:
        told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in names(12))
        return ok(f"<DeleteResult>{told}</DeleteResult>".encode() if request.method == "POST" else b"v")

    with Keeper(make).server() as server:
        store = open_store(server, timeout=0.2, executor=new_executor(8))
        done = getattr(store, call)(slow())
        assert (done if call == "delete_many" else len(done)) == 12


@pytest.mark.parametrize("call", ["get_many", "put_many"])
def test_an_item_is_sent_before_the_next_has_come(call: str, open_store: OpenStore) -> None:
    """Whoever makes them one by one has them written one by one."""
    seen = []
    with Keeper().server() as server:

        def patient() -> Iterator[Any]:
            for number, key in enumerate(names(4)):
                end = time.monotonic() + 0.5
                while len(server.requests) < number and time.monotonic() < end:
                    time.sleep(0.001)
                seen.append(len(server.requests))
                yield (key, b"v") if call == "put_many" else key

        getattr(open_store(server), call)(patient())
    assert seen == [0, 1, 2, 3]


# ------------------------------------------------------------------------ ends


@pytest.mark.parametrize("call", ["get_many", "iter_many", "put_many", "delete_many"])
def test_an_exception_of_the_iterator_comes_through(call: str, open_store: OpenStore) -> None:
    """What is under way is cancelled, and the store works on."""
    keeper = Keeper(held="slow")

    def broken() -> Iterator[Any]:
        for key in ("slow1", "slow2"):
            yield (key, b"v") if call == "put_many" else key
        raise LookupError("the file ends here")

    with ScriptedServer(then=[Forever(READ, keeper)], lenient=True) as server:
        store = open_store(server, executor=new_executor(2))
        with pytest.raises(LookupError, match="the file ends here"):
            list(getattr(store, call)(broken()))
        assert store.get_many(names(5)) == {key: value(key) for key in names(5)}


@pytest.mark.parametrize("call", ["get_many", "put_many"])
def test_a_store_that_is_closed_ends_its_batches(call: str, open_store: OpenStore) -> None:
    """At once, and however many items are left: nothing more is sent."""
    keeper = Keeper(held="k")
    with ScriptedServer(then=[Forever(READ, keeper)], lenient=True) as server:
        store = open_store(server, executor=new_executor(LIMIT))
        running = Background(
            lambda: getattr(store, call)((key, b"v") if call == "put_many" else key for key in names(500))
        )
        until(lambda: len(server.requests) == LIMIT)
        store.close()
        error = running.error(1)
        if isinstance(error, s3kv.BatchError):
            assert {type(each) for each in error.errors.values()} == {StoreClosed}
        else:
            assert isinstance(error, StoreClosed)
        assert len(server.requests) == LIMIT
        with pytest.raises(StoreClosed):
            getattr(store, call)([])


class ExpiringS3(FakeS3):
    """Refuses the first credentials from the tenth request on."""

    def respond(self, request: Recorded) -> bytes:
        if len(self.requests) >= 10:
            self.expire(metadata.keys(1))
        return super().respond(request)


def test_credentials_that_end_in_the_middle_are_renewed_once() -> None:
    """No key fails for it."""
    with ExpiringS3() as s3, FakeContainer(metadata.keys(1), metadata.keys(2)) as container:
        with s3.store(container.spec) as store:
            assert store.get_many(names(100)) == dict.fromkeys(names(100), b"value")
        assert len(container.requests) == 2
        assert {signer for signer in s3.signers if signer} == {
            metadata.keys(1).signer,
            metadata.keys(2).signer,
        }


INTERRUPTED = """
say("ready")
try:
    {call}
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(store.get("fast").decode())
"""
CALLS = {
    "get_many": "store.get_many(f'slow{n}' for n in range(200))",
    "iter_many": "list(store.iter_many(f'slow{n}' for n in range(200)))",
    "put_many": "store.put_many((f'slow{n}', b'v') for n in range(200))",
    "delete_many": "store.delete_many(f'slow{n}' for n in range(5000))",
    "delete_prefix": "store.delete_prefix('slow')",
    "items": "list(store.items())",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_ends_a_batch(call: str) -> None:
    """Within half a second; the next call works, and the program ends by itself."""

    class Slow(Step):
        def run(self, peer: Peer) -> None:
            if "fast" not in peer.requests[-1].path:
                HOLD.run(peer)
            peer.send(ok(b"fine"))

    server = ScriptedServer(then=[Forever(READ, Slow())], lenient=True)
    with server, running(INTERRUPTED.format(call=call), server.url) as program:
        assert program.line() == ["ready"]
        until(lambda: len(server.requests) > 0)
        time.sleep(0.05)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end() == ("fine\n", "")
        assert program.process.returncode == 0
