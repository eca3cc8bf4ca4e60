"""Ctrl-C gives the prompt back at once, and the interpreter ends when it wants to.

Each test runs a program of its own, which talks to a scripted server here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.wire.authority import Authority
from tests.wire.memory_s3 import MemoryS3
from tests.wire.scripted import (
    HOLD,
    READ,
    STOP,
    Forever,
    Peer,
    ScriptedServer,
    Send,
    Step,
    chunked,
    error,
    ok,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")

# What every program starts with. Warnings are errors there too, and would be seen on its standard error.
OPENING = """
import sys, threading, time
import s3kv

def opened(url=sys.argv[1], **options):
    return s3kv.Store(bucket="bucket", endpoint=url, aws_region="us-east-1",
                      aws_credentials={"type": "anonymous"}, **options)

def say(*words):
    print(*words, flush=True)

def session():
    import requests
    return requests.Session()

store = opened()
"""

FINE: list[Step] = [Forever(READ, Send(ok(b"fine")))]


@dataclass
class Program:
    """A Python program that runs."""

    process: subprocess.Popen[str]

    def interrupt(self) -> float:
        """Send it what Ctrl-C sends; the time at which that was."""
        now = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return now

    def line(self) -> list[str]:
        """The words of its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def go_on(self) -> None:
        """Let it go on that waits for a line of input."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, seconds: float = 10.0) -> tuple[str, str]:
        """Wait for its end; what else it wrote to its output and to its errors."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the program had not ended after {seconds:g} s") from None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Not by communicate(), which loses what was read ahead together with a line.
        return self.process.stdout.read(), self.process.stderr.read()


@contextmanager
def running(code: str, *arguments: str, options: tuple[str, ...] = ("-W", "error")) -> Iterator[Program]:
    """Run a program; kill it if it has not ended with the block."""
    command = [sys.executable, *options, "-c", OPENING + code, *arguments]
    # Ctrl-C must find the default handler, even where the tests run in the background of a shell.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_default_signals,
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The call that is interrupted, and what the server does with it.
@dataclass(frozen=True)
class Wait:
    """What a call waits for.

    Attributes:
        steps: What the server does after the request has come, or has begun to come.
        call: The call.
        used: It goes over a connection that has been used.
        store: How the store is opened.
    """

    steps: tuple[Step, ...]
    call: str = "store.get('slow')"
    used: bool = False
    store: str = "opened()"


BIG = ok(b"x" * 3_000_000)
BUSY = Send(error(503, "SlowDown", "Retry-After: 30", "Connection: close"))

WAITS = {
    "an answer": Wait((READ, HOLD)),
    "an answer on a used connection": Wait((READ, HOLD), used=True),
    "an answer on a used connection, with a timeout": Wait(
        (READ, HOLD), used=True, store="opened(timeout=60)"
    ),
    "the rest of a head": Wait((READ, Send(b"HTTP/1.1 20"), HOLD), used=True),
    "the rest of a body": Wait((READ, Send(ok(b"12345")[:-1]), HOLD)),
    "the rest of a large body": Wait((READ, Send(BIG[:1_500_000]), HOLD), used=True),
    "the next chunk": Wait((READ, Send(chunked(b"12345")[:-5]), HOLD), used=True),
    "an upload to be taken": Wait((STOP,), call="store.put('slow', b'x' * 30_000_000)"),
    "an upload to be taken on a used connection": Wait(
        (STOP,), call="store.put('slow', b'x' * 30_000_000)", used=True
    ),
    "the end of a backoff": Wait((READ, BUSY)),
    "the end of a backoff after a used connection": Wait((READ, BUSY), used=True),
    "the answer of a session": Wait((READ, HOLD), store="opened(session=session())"),
    "the backoff of a session": Wait(
        (READ, BUSY),
        store="opened(session=session())",
    ),
}

INTERRUPTED = """
store = {store}
if {used}:
    store.put("first", b"")
say("ready")
try:
    {call}
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(store.get("fast").decode())
say("ending", time.monotonic())
"""


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_ends_the_wait(wait: Wait) -> None:
    """Within half a second, for whatever the call waits; the next call works, and the program ends."""
    first: list[Step] = [READ, Send(ok())] if wait.used else []
    with ScriptedServer([*first, *wait.steps], then=FINE, lenient=True) as server:
        code = INTERRUPTED.format(store=wait.store, used=wait.used, call=wait.call)
        with running(code, server.url) as program:
            assert program.line() == ["ready"]
            if wait.steps[0] == READ:
                _until(lambda: len(server.requests) > wait.used)
            else:
                _until(lambda: len(server.connections) == 1)
            time.sleep(0.05)
            sent = program.interrupt()
            words = program.line()
            assert words[:1] == ["interrupted"], program.end()
            assert float(words[1]) - sent < 0.5
            assert program.line() == ["fine"]
            _assert_clean_end(program)


def test_ctrl_c_ends_the_wait_for_a_handshake(authority: Authority) -> None:
    """Where there is no connection yet."""
    code = INTERRUPTED.format(store="opened(sys.argv[2])", used=False, call="store.get('slow')")
    code = code.replace("say(store.get", "store = opened()\nsay(store.get")
    with (
        ScriptedServer([HOLD]) as silent,
        ScriptedServer(FINE) as server,
        running(code, server.url, silent.url.replace("http:", "https:")) as program,
    ):
        assert program.line() == ["ready"]
        _until(lambda: len(silent.connections) == 1)
        time.sleep(0.1)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.line() == ["fine"]
        _assert_clean_end(program)


CROWDED = """
import os
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "1"
threading.Thread(target=lambda: store.get("slow", None), daemon=True).start()
time.sleep(0.2)
say("ready")
try:
    store.get("second")
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say("ending", time.monotonic())
"""


def test_ctrl_c_ends_the_wait_for_a_turn() -> None:
    """Of a call that has not begun, because the limit is reached."""
    with ScriptedServer([READ, HOLD]) as server, running(CROWDED, server.url) as program:
        assert program.line() == ["ready"]
        _until(lambda: len(server.requests) == 1)
        time.sleep(0.1)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        _assert_clean_end(program)
        assert len(server.requests) == 1


MANY = """
def interrupted(number):
    try:
        store.get(f"slow {number}")
    except KeyboardInterrupt:
        return True

store.put("first", b"")
for number in range(5):
    say("ready")
    assert interrupted(number)
    assert store.get("fast") == b"fine"
say("ending", time.monotonic())
"""


def test_ctrl_c_may_come_again_and_again() -> None:
    """Each time the store goes on working, and no worker is lost."""

    @dataclass(frozen=True)
    class Selective(Step):
        def run(self, peer: Peer) -> None:
            request = peer.requests[-1]
            if "slow" in request.target:
                HOLD.run(peer)
            peer.send(ok(b"fine" if request.method == "GET" else b""))

    with ScriptedServer(then=[Forever(READ, Selective())]) as server, running(MANY, server.url) as program:
        for number in range(5):
            assert program.line() == ["ready"]
            _until(lambda: any(f"slow%20{number}" in r.target for r in server.requests))  # noqa: B023
            time.sleep(0.02)
            program.interrupt()
        _assert_clean_end(program)


def test_a_connection_that_was_interrupted_is_closed() -> None:
    """Its answer would be taken for another's."""
    code = INTERRUPTED.format(store="opened()", used=True, call="store.get('slow')")
    with (
        ScriptedServer([READ, Send(ok()), READ, HOLD], FINE) as server,
        running(code, server.url) as program,
    ):
        assert program.line() == ["ready"]
        _until(lambda: len(server.requests) == 2)
        program.interrupt()
        assert program.line()[:1] == ["interrupted"]
        assert server.connections[0].gone.wait(1)
        assert program.line() == ["fine"]


ENDS = {
    "after a call": "store.get('key')",
    "after many calls at once": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda n: store.get(str(n)), range(40)))
""",
    "without a call": "pass",
    "after a store was closed": "store.get('key'); store.close()",
    "with many stores open": "stores = [opened() for _ in range(5)]\nfor each in stores: each.get('key')",
    "with a session": "with session() as s: opened(session=s).get('key')",
}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_the_interpreter_ends_at_once(code: str) -> None:
    """Idle workers and open connections keep it from nothing, and nobody complains."""
    with (
        ScriptedServer(then=FINE) as server,
        running(f"{code}\nsay('ending', time.monotonic())", server.url) as program,
    ):
        _assert_clean_end(program)


IN_FLIGHT = {
    "an answer": Wait((READ, HOLD)),
    "an answer on a used connection": Wait((READ, HOLD), used=True),
    "the rest of a large body": Wait((READ, Send(BIG[:1_500_000]), HOLD), used=True),
    "an upload to be taken": Wait((STOP,), call="store.put('slow', b'x' * 30_000_000)"),
    "the end of a backoff": Wait((READ, BUSY)),
    "the answer of a session": Wait((READ, HOLD), store="opened(session=session())"),
}

DAEMON = """
store = {store}
if {used}:
    store.put("first", b"")
threading.Thread(target=lambda: {call}, daemon=True).start()
say("ready")
sys.stdin.readline()
say("ending", time.monotonic())
"""


@pytest.mark.parametrize("wait", IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_a_request_of_a_daemon_thread_does_not_keep_the_interpreter(wait: Wait) -> None:
    """Nobody will take its result: the program ends, without a traceback."""
    first: list[Step] = [READ, Send(ok())] if wait.used else []
    code = DAEMON.format(store=wait.store, used=wait.used, call=wait.call)
    with (
        ScriptedServer([*first, *wait.steps], then=FINE, lenient=True) as server,
        running(code, server.url) as program,
    ):
        assert program.line() == ["ready"]
        if wait.steps[0] == READ:
            _until(lambda: len(server.requests) > wait.used)
        else:
            _until(lambda: len(server.connections) == 1)
        time.sleep(0.1)
        program.go_on()
        _assert_clean_end(program)
        assert len(server.connections) == 1


def test_a_handshake_of_a_daemon_thread_does_not_keep_the_interpreter() -> None:
    """The contract allows for a name look-up only."""
    code = DAEMON.format(store="opened()", used=False, call="store.get('slow')")
    with (
        ScriptedServer([HOLD]) as server,
        running(code, server.url.replace("http:", "https:")) as program,
    ):
        assert program.line() == ["ready"]
        _until(lambda: len(server.connections) == 1)
        time.sleep(0.1)
        program.go_on()
        _assert_clean_end(program)


ENDLESS = """
def work():
    while True:
        store.get("again")

for number in range({threads}):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.4)
say("ending", time.monotonic())
"""


@pytest.mark.parametrize("threads", [1, 8])
def test_a_daemon_thread_that_goes_on_and_on_does_not_keep_the_interpreter(threads: int) -> None:
    """One request after the other is no reason to wait for the last, which never comes."""
    with (
        ScriptedServer(then=FINE) as server,
        running(ENDLESS.format(threads=threads), server.url) as program,
    ):
        _assert_clean_end(program)


LATE = """
def work():
    time.sleep(0.2)
    for number in range(5):
        say(store.get(str(number)).decode())

store.get("first")
threading.Thread(target=work).start()
"""


def test_a_thread_that_outlives_the_main_thread_may_finish_its_work() -> None:
    """Python waits for it, so s3kv works for it."""
    with ScriptedServer(then=FINE) as server, running(LATE, server.url) as program:
        out, errors = program.end(5)
        assert errors == ""
        assert out.split() == ["fine"] * 5
        assert program.process.returncode == 0


AT_EXIT = """
import atexit

def last():
    try:
        say(store.get("last").decode())
    except s3kv.S3KVError as error:
        say("refused")

atexit.register(last)
store.get("first")
"""


def test_a_thread_that_outlives_the_main_thread_needs_no_other_thread() -> None:
    """None can be started any more: large values and futures do without."""
    code = """
def late():
    threading.main_thread().join()
    time.sleep(0.2)
    store.put("key", b"x" * 40_000_000)
    assert store.futures.put("small", b"x").result()
    say("done")

threading.Thread(target=late).start()
"""
    bucket = MemoryS3()
    with bucket.server() as server, running(code, server.url) as program:
        assert program.line() == ["done"]
        assert program.end() == ("", "")
    assert bucket.applied == [("POST", "key", b"x" * 40_000_000), ("PUT", "small", b"x")]


def test_a_call_at_exit_works_or_is_refused_but_does_not_hang() -> None:
    """Threads can no longer be started then, in some versions of Python."""
    with ScriptedServer(then=FINE) as server, running(AT_EXIT, server.url) as program:
        out, errors = program.end(3)
        assert errors == ""
        assert out.split() in (["fine"], ["refused"])
        assert program.process.returncode == 0


def test_an_exception_of_the_program_is_the_only_one_it_shows() -> None:
    """With a request in flight in another thread."""
    code = """
threading.Thread(target=lambda: store.get("slow"), daemon=True).start()
time.sleep(0.3)
raise SystemExit("that is all")
"""
    with ScriptedServer([READ, HOLD]) as server, running(code, server.url) as program:
        out, errors = program.end(2)
        assert (out, errors.strip()) == ("", "that is all")
        assert program.process.returncode == 1


def _assert_clean_end(program: Program) -> None:
    """The program says that it ends, ends soon, and has nothing to complain about.

    If it waited for anything, that would take two seconds at least, and a busy machine takes one.
    """
    words = program.line()
    assert words[:1] == ["ending"], (words, program.end())
    said = float(words[1])
    out, errors = program.end()
    assert time.monotonic() - said < 1.9
    assert errors == ""
    assert out == ""
    assert program.process.returncode == 0


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.002)
