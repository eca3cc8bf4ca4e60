"""The command line as a process: signals, pipes, memory, and what it takes to start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.adapters.cli_helpers import at, process
from tests.wire.memory_s3 import MemoryS3, Stored, Upload, part_of
from tests.wire.scripted import (
    HOLD,
    READ,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Send,
    answer,
    listing,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes are as POSIX has them")

# Of "interrupted", which comes at once; the end of the interpreter is part of it.
SOON = 2.0

ZEROS = '"00000000000000000000000000000000"'


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen within 10 s"
        time.sleep(0.005)


def interrupted(command: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Send what Ctrl-C sends, and return what the command wrote, which must end at once and with 130."""
    command.send_signal(signal.SIGINT)
    sent = time.monotonic()
    out, err = command.communicate(timeout=10)
    assert time.monotonic() - sent < SOON
    assert command.returncode == 130
    return out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ["cat", "s3://bucket/key"],
        ["get", "s3://bucket/key", "{path}/new"],
        ["put", "-r", os.path.dirname(__file__), "s3://bucket/", "--all"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_ctrl_c_is_quiet_and_prompt(arguments: list[str], tmp_path: object) -> None:
    """Status 130, whatever it waits for, and nothing half done is left behind."""
    with ScriptedServer(then=[READ, HOLD], lenient=True) as server:
        words = [word.format(path=tmp_path) for word in arguments]
        with process(*words, *at(server.url)) as command:
            until(lambda: bool(server.requests))
            assert interrupted(command) == (b"", b"")
    assert os.listdir(str(tmp_path)) == []


def test_ctrl_c_while_standard_input_says_nothing() -> None:
    """The upload that was begun is forgotten by the store."""
    bucket = MemoryS3()
    with bucket.server() as server, process("put", "-", "s3://bucket/key", *at(server.url)) as command:
        assert command.stdin is not None
        command.stdin.write(bytes(9 * 1024**2))
        command.stdin.flush()
        until(lambda: any(upload.parts for upload in bucket.uploads.values()))
        command.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert command.wait(timeout=10) == 130
        assert time.monotonic() - sent < SOON
        assert command.stderr is not None
        assert command.stderr.read() == b""
        command.stdin.close()
    assert bucket.uploads == {}
    assert bucket.objects == {}


def test_a_reader_that_has_had_enough_ends_it_quietly() -> None:
    """As head does with cat."""
    bucket = MemoryS3()
    bucket.objects["key"] = Stored(bytes(1_000_000))
    with bucket.server() as server, process("cat", "s3://bucket/key", *at(server.url)) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.read(10) == bytes(10)
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(timeout=10) == 130


def test_a_reader_that_is_gone_already_is_no_error_at_exit() -> None:
    """Of what was still in a buffer then."""
    reader, writer = os.pipe()
    os.close(reader)
    with (
        MemoryS3(key=b"value").server() as server,
        open(writer, "wb") as pipe,
        process("cat", "s3://bucket/key", *at(server.url), stdout=pipe) as command,
    ):
        _, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (130, b"")


def test_a_pager_that_is_left_ends_the_listing() -> None:
    """However long it would be."""
    keys = [f"{number:0100}" for number in range(1000)]
    pages = (Send(listing(*keys, token=f"t{number}")) for number in range(100))
    with (
        ScriptedServer([step for page in pages for step in (READ, page)], lenient=True) as server,
        process("ls", "-r", "s3://bucket/", *at(server.url)) as command,
    ):
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == f"s3://bucket/{keys[0]}\n".encode()
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(timeout=10) == 130


@pytest.mark.skipif(sys.platform != "linux", reason="the most that was in memory is told by Linux only")
def test_standard_input_is_sent_as_it_comes_with_little_memory() -> None:
    """However much it is: ten parts of 8 MiB at a time."""
    size = 160 * 1024**2
    script = "import sys; from s3kv.cli.main import main; code = main(sys.argv[1:]);"
    # Not what getrusage tells, which counts the process that this one was forked from.
    script += "print(*open('/proc/self/status')); sys.exit(code)"
    bucket = Counting()
    with (
        bucket.server() as server,
        subprocess.Popen(
            [sys.executable, "-c", script, "put", "-", "s3://bucket/key", *at(server.url)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as command,
    ):
        assert command.stdin is not None
        piece = bytes(8 * 1024**2)
        for _ in range(size // len(piece)):
            command.stdin.write(piece)
        out, _ = command.communicate(timeout=60)
    assert command.returncode == 0
    assert bucket.size == size
    (most,) = (int(line.split()[1]) for line in out.splitlines() if b"VmHWM" in line)
    assert most < 140 * 1024


class Counting(MemoryS3):
    """A bucket that counts the bytes of parts, and keeps none."""

    size = 0

    def run(self, peer: Peer) -> None:
        super().run(peer)
        with peer.server.lock:
            peer.requests.clear()
            peer.server.requests.clear()

    def _part(self, request: Recorded, upload: Upload) -> bytes:
        self.size += len(request.body)
        upload.parts[part_of(request)] = (b"", ZEROS)
        return answer(200, b"", f"ETag: {ZEROS}")


def test_without_standard_output_what_writes_fails() -> None:
    """And what does not, does not; errors need somebody to tell them to, too."""
    bucket = MemoryS3(key=b"value")
    with bucket.server() as server:
        shell = '"$0" "$@" >&-; echo $? >&2'
        for arguments, status in (
            (["cat", "s3://bucket/key"], b"3"),
            (["cp", "s3://bucket/key", "s3://bucket/copy"], b"0"),
        ):
            words = [sys.executable, "-m", "s3kv", *arguments, *at(server.url)]
            ended = subprocess.run(
                ["sh", "-c", shell, *words], capture_output=True, check=False, timeout=30
            )
            assert ended.stderr.splitlines()[-1] == status
        words = [sys.executable, "-m", "s3kv", "cat", "s3://bucket/none", *at(server.url)]
        ended = subprocess.run(
            ["sh", "-c", '"$0" "$@" 2>&-', *words], capture_output=True, check=False, timeout=30
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
def test_what_cannot_be_written_is_an_error() -> None:
    """Also where that turns out at the end, of what was still in a buffer."""
    with (
        MemoryS3(key=b"value").server() as server,
        open("/dev/full", "wb") as full,
        process("cat", "s3://bucket/key", *at(server.url), stdout=full) as command,
    ):
        _, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (3, b"s3kv: No space left on device\n")


def test_bytes_arrive_whole_where_standard_output_is_not_buffered() -> None:
    """Where one write may take only part of them."""
    value = os.urandom(3_000_000)
    bucket = MemoryS3()
    bucket.objects["key"] = Stored(value)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        bucket.server() as server,
        process("cat", "s3://bucket/key", *at(server.url), env=environment) as command,
    ):
        out, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (0, b"")
    assert out == value


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"%C3%A9"), ("latin-1", b"\xe9"), ("cp437", b"\x82"), ("utf-8", b"\xc3\xa9")],
)
def test_a_url_leads_back_where_its_name_cannot_be_written(encoding: str, shown: bytes) -> None:
    """In a terminal that knows few characters, or a pipe on Windows."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with (
        ScriptedServer(then=[Forever(READ, Send(listing("%C3%A9")))], lenient=True) as server,
        process("ls", "s3://bucket/", *at(server.url), env=environment) as command,
    ):
        out, err = command.communicate(timeout=20)
    assert (command.returncode, out, err) == (0, b"s3://bucket/" + shown + b"\n", b"")


def test_text_that_cannot_be_written_ends_nothing() -> None:
    """It is shown as Python writes it."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with process("put", "é", "s3://bucket/key", env=environment) as command:
        out, err = command.communicate(timeout=20)
    assert (command.returncode, out, err) == (1, b"", b"s3kv: \\xe9: No such file or directory\n")


def test_help_and_version_load_nothing_that_they_do_not_need() -> None:
    """So that the shell is not kept waiting."""
    script = "import sys; from s3kv.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script, "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(ended.stdout.split())
    heavy = {"boto3", "botocore", "requests", "urllib3", "ssl", "asyncio", "tqdm", "matplotlib", "logging"}
    assert not loaded & (heavy | {"concurrent.futures", "s3kv.cli.moving", "s3kv.cli.bench.command"})
