"""The end of the interpreter while something is under way: what was promised is done while it goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.wire.memory_s3 import MemoryS3, Turn
from tests.wire.scripted import HOLD, READ, Forever, ScriptedServer, Send, Trickle, error, ok
from tests.wire.test_wire_interrupts import Program, running

# Shorter than what users get, so that the tests need not wait; the values are looked at in the end.
SHORT = """
from s3kv import exitsafe
exitsafe._WRITES, exitsafe._READS = {writes}, {reads}
"""
HURRIED = SHORT.format(writes=0.6, reads=0.3)


def ended(program: Program, within: float) -> tuple[float, str]:
    """Seconds from when the program said "ending" to its end, and what it wrote to its errors."""
    words = program.line()
    assert words[:1] == ["ending"], (words, program.end())
    out, errors = program.end(within)
    seconds = time.monotonic() - float(words[1])
    assert (out, program.process.returncode) == ("", 0), errors
    return seconds, errors


ENDING = 'say("ending", time.monotonic())\n'


@pytest.mark.parametrize("count", [1, 100])
def test_reads_of_a_silent_store_are_given_up_quietly(count: int) -> None:
    """Those in the queue, too: nobody is there who would want to know."""
    code = HURRIED + f"pending = [store.futures.get(str(n)) for n in range({count})]\ntime.sleep(0.2)\n"
    with ScriptedServer(then=[READ, HOLD]) as server, running(code + ENDING, server.url) as program:
        seconds, errors = ended(program, 5)
    assert 0.3 < seconds < 2
    assert errors == ""


@pytest.mark.parametrize("call", ["put('key', b'value')", "put('key', b'x' * 40_000_000)", "delete('key')"])
def test_writes_of_a_silent_store_are_given_up_and_that_is_said(call: str) -> None:
    """Later than reads: something is lost."""
    code = HURRIED + f"pending = [store.futures.get('a'), store.futures.{call}]\ntime.sleep(0.2)\n"
    with ScriptedServer(then=[READ, HOLD]) as server, running(code + ENDING, server.url) as program:
        seconds, errors = ended(program, 5)
    assert 0.6 < seconds < 3
    assert errors.startswith("1 writes that no one waited for were given up: the interpreter exits, and ")
    assert errors.count("\n") == 1


def test_a_store_that_is_busy_for_ever_is_given_up() -> None:
    """In the middle of a pause that it has asked for."""
    busy = [READ, Send(error(503, "SlowDown", "Retry-After: 30"))]
    code = HURRIED + "pending = store.futures.get('key')\ntime.sleep(0.2)\n" + ENDING
    with ScriptedServer(then=[Forever(*busy)]) as server, running(code, server.url) as program:
        seconds, errors = ended(program, 5)
    assert seconds < 2
    assert errors == ""


def test_what_goes_on_is_waited_for(tmp_path: Path) -> None:
    """However long it takes in all: bytes that arrive are progress, and so is a future that ends."""
    body = ok(b"x" * 300_000)
    slow = Trickle([body[at : at + 30_000] for at in range(0, len(body), 30_000)], gap=0.15)
    code = HURRIED + "store.futures.download('key', sys.argv[2])\ntime.sleep(0.1)\n" + ENDING
    with (
        ScriptedServer(then=[READ, slow]) as server,
        running(code, server.url, str(tmp_path / "file")) as program,
    ):
        seconds, errors = ended(program, 8)
    assert seconds > 1
    assert errors == ""
    assert (tmp_path / "file").read_bytes() == b"x" * 300_000


def test_writes_that_take_their_time_are_done_before_the_end() -> None:
    """One after the other; all of them arrive."""
    bucket = MemoryS3()
    bucket.writes = [Turn(told=None, then=lambda: time.sleep(0.2)) for _ in range(8)]
    code = HURRIED + "store = s3kv.Store(store.spec(), s3_request_concurrency={'limit': 1})\n"
    code += "for number in range(8): store.futures.put(str(number), b'value')\n" + ENDING
    with bucket.server() as server, running(code, server.url) as program:
        seconds, errors = ended(program, 8)
        assert errors == ""
        assert len(bucket.objects) == 8
    assert seconds > 1


def test_ctrl_c_at_the_end_ends_it() -> None:
    """Without waiting for what does not come."""
    code = "pending = store.futures.put('key', b'value')\ntime.sleep(0.2)\n" + ENDING
    with ScriptedServer(then=[READ, HOLD]) as server, running(code, server.url) as program:
        words = program.line()
        assert words[:1] == ["ending"]
        time.sleep(0.3)
        interrupted = program.interrupt()
        out, errors = program.end(3)
        assert time.monotonic() - interrupted < 1
    assert (out, program.process.returncode) == ("", 0)
    assert (
        errors
        == "1 writes that no one waited for were given up: Ctrl-C came while the interpreter was exiting\n"
    )


BATCHES = {
    "get_many": "store.get_many(map(str, range(100)))",
    "iter_many": "list(store.iter_many(map(str, range(100))))",
    "put_many": "store.put_many((str(n), b'value') for n in range(100))",
    "delete_many": "store.delete_many(map(str, range(3000)))",
    "a large value": "store.put('key', b'x' * 40_000_000)",
    "a large object": "store.get('key')",
    "a download": "store.download('key', sys.argv[2])",
}


@pytest.mark.parametrize("call", BATCHES.values(), ids=BATCHES)
def test_a_batch_of_a_daemon_thread_does_not_keep_the_interpreter(call: str, tmp_path: Path) -> None:
    """And does not complain that it was ended."""
    code = f"threading.Thread(target=lambda: {call}, daemon=True).start()\ntime.sleep(0.4)\n" + ENDING
    with (
        ScriptedServer(then=[READ, HOLD]) as server,
        running(code, server.url, str(tmp_path / "file")) as program,
    ):
        seconds, errors = ended(program, 5)
    assert seconds < 1
    assert errors == ""


def test_users_wait_for_seconds() -> None:
    """Ten where something would be lost, two where not."""
    from s3kv import exitsafe

    assert (exitsafe._WRITES, exitsafe._READS) == (10.0, 2.0)
