"""Files: a download appears whole or not at all, an upload is of one state of the file; and URLs.

Downloads are in parts from 128 KiB on here, but for one test; uploads from 32 KiB on where a test asks so.
"""

from __future__ import annotations

import base64
import os
import random
import signal
import stat
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.session
import pytest

import s3kv
from s3kv.errors import StoreClosed
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, TOKEN, OpenStore
from tests.wire.helpers import Background
from tests.wire.memory_s3 import MemoryS3, Turn, operation_of
from tests.wire.scripted import (
    CLOSE,
    READ,
    ClientGone,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    chunked,
    error,
)
from tests.wire.test_wire_interrupts import running

KIB, MIB = 1024, 1024**2
PART = 64 * KIB
ONE, TWO = '"one"', '"two"'
VALUE = random.Random(1).randbytes(13 * PART + 7)
OTHER = random.Random(2).randbytes(13 * PART + 7)


@pytest.fixture(autouse=True)
def _small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have objects be large from 128 KiB on, unless a test wants them as they are."""
    if "real_parts" not in request.fixturenames:
        monkeypatch.setattr("s3kv.reading.PART_BYTES", PART)
        monkeypatch.setattr("s3kv.files.PART_BYTES", PART)
        monkeypatch.setattr("s3kv.buffers.LARGE", PART)


@pytest.fixture
def real_parts() -> None:
    """Leave the lengths as they are for users."""


@pytest.fixture
def small_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values count as large from 32 KiB on, and their parts be 8 KiB."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 8 * KIB)
    monkeypatch.setattr("s3kv.payload._MIB", KIB)
    for module in ("payload", "writing", "many"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 32 * KIB)


class Shelf(Step):
    """Serves one object, in whole or by ranges.

    Args:
        value: Its bytes.
        etag: Its ETag; empty for none.
        headers: More lines of header.

    Attributes:
        asked: The Range and If-Match headers of the requests so far.
        then: Its bytes and ETag from the so-and-so-manieth request on; None for deleted.
        conditions: If-Match is heeded.
        ranges: Range is heeded.
        chunks: Whole answers have no length.
        faults: What is answered instead when bytes from an offset on are asked for, each time.
        meanwhile: Called at each request, with its number.
    """

    def __init__(self, value: bytes = VALUE, etag: str = ONE, *headers: str) -> None:
        self.first: tuple[bytes, str] = (value, etag)
        self.headers = headers
        self.asked: list[tuple[str | None, str | None]] = []
        self.then: dict[int, tuple[bytes, str] | None] = {}
        self.conditions = True
        self.ranges = True
        self.chunks = False
        self.faults: dict[int, bytes | Step] = {}
        self.meanwhile: Callable[[int], object] = lambda number: None
        self._lock = threading.Lock()

    def server(self) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)], lenient=True)

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        request = peer.requests[-1]
        with self._lock:
            now: tuple[bytes, str] | None = self.first
            for number, version in self.then.items():
                now = version if len(self.asked) >= number else now
            number = len(self.asked)
            self.asked.append((request.header("range"), request.header("if-match")))
        self.meanwhile(number)
        start, data = self._answer(request, now)
        told = self.faults.get(start, data)
        if isinstance(told, Step):
            told.run(peer)
            peer.close()
            raise ClientGone
        peer.send(told)

    def _answer(self, request: Recorded, now: tuple[bytes, str] | None) -> tuple[int, bytes]:
        if now is None:
            return 0, error(404, "NoSuchKey")
        value, etag = now
        lines = [f"ETag: {etag}"] * bool(etag) + list(self.headers)
        match, wanted = request.header("if-match"), request.header("range")
        if self.conditions and match is not None and match != etag:
            return 0, error(412, "PreconditionFailed")
        if wanted is None or not self.ranges:
            if self.chunks:
                whole = chunked(*(value[at : at + 10_000] for at in range(0, len(value), 10_000)))
                return 0, whole.replace(b"\r\n", b"\r\n" + "\r\n".join(lines).encode() + b"\r\n", 1)
            return 0, answer(200, value, *lines)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, len(value))
        if start >= len(value):
            return start, error(416, "InvalidRange", f"Content-Range: bytes */{len(value)}")
        where = f"Content-Range: bytes {start}-{stop - 1}/{len(value)}"
        return start, answer(206, value[start:stop], *lines, where)


def in_folder(folder: Path) -> list[str]:
    """Return what is in a folder, hidden files too."""
    return sorted(os.listdir(folder))


# ------------------------------------------------------------------------------ downloads


@pytest.mark.parametrize("size", [0, 1, PART, 2 * PART, 2 * PART + 1, 3 * PART, 13 * PART + 7])
def test_a_download_is_what_is_there(size: int, tmp_path: Path, open_store: OpenStore) -> None:
    """In one request up to two parts; then in parts that are pinned to the version that was begun."""
    shelf = Shelf(VALUE[:size])
    with shelf.server() as server:
        before = time.time()
        stamp = open_store(server).download("key", tmp_path / "file")
        assert before <= stamp.time <= time.time()
    assert stamp.generation == ONE
    assert (tmp_path / "file").read_bytes() == VALUE[:size]
    assert in_folder(tmp_path) == ["file"]
    first, rest = shelf.asked[0], shelf.asked[1:]
    assert first == (None, None)
    places = range(0, size, PART) if size > 2 * PART else range(0)
    wanted = [f"bytes={at}-{min(at + PART, size) - 1}" for at in places]
    assert sorted(str(asked) for asked, _ in rest) == sorted(wanted)
    assert {match for _, match in rest} <= {ONE}


def test_ten_parts_of_a_download_are_in_memory_at_most(
    tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; what has been written is let go before the next is begun."""
    now, most = 0, 0

    class Part(bytearray):
        def __init__(self, size: int) -> None:
            nonlocal now, most
            super().__init__(size)
            now += 1
            most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            now -= 1

    monkeypatch.setattr("s3kv.files.bytearray", Part, raising=False)
    with Shelf(VALUE).server() as server:
        open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == VALUE
    assert most <= 10


def test_more_than_32_mib_are_downloaded_in_parts_of_16(
    real_parts: None, tmp_path: Path, open_store: OpenStore
) -> None:
    """As it is for users."""
    value = bytes(range(256)) * (34 * 4096)
    shelf = Shelf(value)
    with shelf.server() as server:
        open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == value
    assert sorted(str(asked) for asked, _ in shelf.asked[1:]) == sorted(
        f"bytes={at}-{min(at + 16 * MIB, len(value)) - 1}" for at in range(0, len(value), 16 * MIB)
    )


@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Match", "ignores If-Match"])
@pytest.mark.parametrize("when", [1, 2, 5, 9])
@pytest.mark.parametrize("size", [len(OTHER), 3 * PART + 1, 100, 0])
def test_of_an_object_that_is_replaced_one_version_arrives(
    conditions: bool, when: int, size: int, tmp_path: Path, open_store: OpenStore
) -> None:
    """The new one; nothing of the old one is left behind it."""
    shelf = Shelf()
    shelf.conditions = conditions
    shelf.then = {when: (OTHER[:size], TWO)}
    with shelf.server() as server:
        stamp = open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == OTHER[:size]
    assert stamp.generation == TWO
    assert in_folder(tmp_path) == ["file"]


@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Match", "ignores If-Match"])
def test_an_object_that_is_replaced_all_the_time_does_not_arrive(
    conditions: bool, tmp_path: Path, open_store: OpenStore
) -> None:
    """That is said, and the file that was there stays."""
    (tmp_path / "file").write_bytes(b"old")
    shelf = Shelf()
    shelf.conditions = conditions
    shelf.then = {number: (VALUE[number:], f'"{number}"') for number in range(1, 500)}
    with shelf.server() as server, pytest.raises(s3kv.Changed) as caught:
        open_store(server).download("key", tmp_path / "file")
    assert caught.value.key == "key"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert in_folder(tmp_path) == ["file"]


def test_an_object_that_is_deleted_meanwhile_does_not_arrive(tmp_path: Path, open_store: OpenStore) -> None:
    """The key is missing then."""
    shelf = Shelf()
    shelf.then = {3: None}
    with shelf.server() as server, pytest.raises(s3kv.KeyNotFound):
        open_store(server).download("key", tmp_path / "file")
    assert in_folder(tmp_path) == []


FAILURES: dict[str, tuple[bytes | Step, type[s3kv.S3KVError]]] = {
    "500": (error(500, "InternalError"), s3kv.RetriesExhausted),
    "403": (error(403, "AccessDenied"), s3kv.PermissionDenied),
    "closed": (CLOSE, s3kv.S3KVError),
}


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("place", [PART, 12 * PART], ids=["early", "late"])
@pytest.mark.parametrize("there", [True, False], ids=["over a file", "over nothing"])
def test_a_part_that_fails_for_good_leaves_what_was_there(
    kind: str, place: int, there: bool, tmp_path: Path, open_store: OpenStore
) -> None:
    """No file, or the old one, and nothing else in the folder."""
    if there:
        (tmp_path / "file").write_bytes(b"old")
    shelf = Shelf()
    shelf.faults[place], expected = FAILURES[kind]
    with shelf.server() as server, pytest.raises(expected) as caught:
        open_store(server, policy=FAST).download("key", tmp_path / "file")
    assert caught.value.key == "key"
    assert in_folder(tmp_path) == (["file"] if there else [])
    assert not there or (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("size", [100, len(VALUE)], ids=["small", "large"])
def test_bytes_that_do_not_match_their_checksum_do_not_arrive(
    size: int, tmp_path: Path, open_store: OpenStore
) -> None:
    """Whether in one request or in parts; the file that was there stays."""
    value = VALUE[:size]
    (tmp_path / "file").write_bytes(b"old")
    told = base64.b64encode(zlib.crc32(value + b"!").to_bytes(4, "big")).decode()
    lines = (f"x-amz-checksum-crc32: {told}", "x-amz-checksum-type: FULL_OBJECT")
    with Shelf(value, ONE, *lines).server() as server, pytest.raises(s3kv.DataLoss) as caught:
        open_store(server).download("key", tmp_path / "file")
    assert (caught.value.operation, caught.value.key) == ("GetObject", "key")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert in_folder(tmp_path) == ["file"]


@pytest.mark.parametrize("size", [100, len(VALUE)], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["FULL_OBJECT", "COMPOSITE"])
def test_bytes_that_match_their_checksum_arrive(
    size: int, kind: str, tmp_path: Path, open_store: OpenStore
) -> None:
    """One of parts' checksums says nothing about the whole."""
    value = VALUE[:size]
    crc = zlib.crc32(value) if kind == "FULL_OBJECT" else 1
    told = base64.b64encode(crc.to_bytes(4, "big")).decode() + ("-3" if kind == "COMPOSITE" else "")
    lines = (f"x-amz-checksum-crc32: {told}", f"x-amz-checksum-type: {kind}")
    with Shelf(value, ONE, *lines).server() as server:
        open_store(server).download("key", tmp_path / "file")
        assert server.requests[0].header("x-amz-checksum-mode") == "ENABLED"
    assert (tmp_path / "file").read_bytes() == value


@pytest.mark.parametrize("etag", ["", 'W/"one"'], ids=["no ETag", "a weak ETag"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_without_a_strong_etag_a_download_is_of_one_version(
    etag: str, ranges: bool, tmp_path: Path, open_store: OpenStore
) -> None:
    """Nothing would tell parts of two versions apart."""
    shelf = Shelf(VALUE, etag)
    shelf.ranges = ranges
    shelf.conditions = False
    shelf.then = {number: (VALUE if number % 2 else OTHER, etag) for number in range(1, 50)}
    with shelf.server() as server:
        stamp = open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() in (VALUE, OTHER)
    assert stamp.generation == etag


@pytest.mark.parametrize("chunks", [True, False], ids=["chunks", "a length"])
@pytest.mark.parametrize("size", [0, 100, 2 * PART, 2 * PART + 1, len(VALUE)])
def test_a_store_that_ignores_ranges_is_downloaded_from(
    chunks: bool, size: int, tmp_path: Path, open_store: OpenStore
) -> None:
    """In one piece, whether it tells the length or not."""
    shelf = Shelf(VALUE[:size])
    shelf.ranges, shelf.chunks = False, chunks
    with shelf.server() as server:
        open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == VALUE[:size]
    assert in_folder(tmp_path) == ["file"]


def test_what_is_there_stays_until_the_download_is_whole(tmp_path: Path, open_store: OpenStore) -> None:
    """Who opens the file meanwhile sees the old one, and goes on seeing it."""
    (tmp_path / "file").write_bytes(b"old")
    seen: list[bytes] = []
    shelf = Shelf()
    shelf.meanwhile = lambda number: seen.append((tmp_path / "file").read_bytes())
    with shelf.server() as server, open(tmp_path / "file", "rb") as opened:
        open_store(server).download("key", tmp_path / "file")
        assert opened.read() == b"old"
    assert set(seen) == {b"old"}
    assert (tmp_path / "file").read_bytes() == VALUE


@pytest.mark.parametrize(
    "name",
    ["n" * 255, "é" * 127, "漢" * 85, "😀" * 63, "a\nb", "..a"],
    ids=["ASCII", "two bytes", "three bytes", "four bytes", "a newline", "dots"],
)
def test_a_file_may_have_any_name_that_the_system_takes(
    name: str, tmp_path: Path, open_store: OpenStore
) -> None:
    """The longest too: the other name that it has meanwhile must not be longer."""
    (tmp_path / name).write_bytes(b"the system takes it")
    with Shelf(b"value").server() as server:
        open_store(server).download("key", tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"value"
    assert in_folder(tmp_path) == [name]


def test_what_is_no_file_is_left_alone(tmp_path: Path, open_store: OpenStore) -> None:
    """A folder, a pipe; no request is sent."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with Shelf().server() as server:
        store = open_store(server)
        for name in ("folder", "pipe", "."):
            with pytest.raises(ValueError, match="no file"):
                store.download("key", tmp_path / name)
        with pytest.raises(OSError):
            store.download("key", tmp_path / "missing" / "file")
        assert server.requests == []
    assert in_folder(tmp_path) == ["folder", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_path_that_names_no_file_is_an_os_error(tmp_path: Path, open_store: OpenStore) -> None:
    """A slash at the end says folder: no file of that name is made or replaced. No request is sent."""
    (tmp_path / "file").write_bytes(b"there")
    with Shelf().server() as server:
        store = open_store(server)
        for name, kind in (
            (f"{tmp_path / 'missing'}/", FileNotFoundError),
            (f"{tmp_path / 'file'}/", NotADirectoryError),
            ("", FileNotFoundError),
        ):
            for path in (name, os.fsencode(name)):
                with pytest.raises(kind) as caught:
                    store.download("key", path)
                assert caught.value.filename == name
        assert server.requests == []
    assert in_folder(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"there"


def test_an_error_of_a_download_names_the_file_that_was_asked_for(
    tmp_path: Path, open_store: OpenStore
) -> None:
    """Not the one that it is written to meanwhile, which nobody has heard of."""
    path = tmp_path / "missing" / "file"
    with Shelf().server() as server, pytest.raises(FileNotFoundError) as caught:
        open_store(server).download("key", path)
    assert caught.value.filename == str(path)
    assert caught.value.filename2 is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_an_os_error(tmp_path: Path, open_store: OpenStore) -> None:
    """Before any request."""
    (tmp_path / "locked").mkdir(mode=0o500)
    with Shelf().server() as server, pytest.raises(PermissionError):
        open_store(server).download("key", tmp_path / "locked" / "file")


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the system's."""
    written = []
    real = os.pwrite

    def pwrite(file: int, data: Any, offset: int) -> int:
        written.append(offset)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        # A system may write less than it was given.
        return real(file, data[: max(1, len(data) // 2)], offset)

    monkeypatch.setattr("os.pwrite", pwrite)
    with Shelf().server() as server:
        store = open_store(server)
        with pytest.raises(OSError, match="No space left"):
            store.download("key", tmp_path / "file")
        assert in_folder(tmp_path) == []
        assert store.get("key") == VALUE


def test_writes_that_are_cut_short_are_gone_on_with(
    tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system may write less than it was given."""
    real = os.pwrite
    monkeypatch.setattr("os.pwrite", lambda file, data, offset: real(file, data[:10_001], offset))
    with Shelf().server() as server:
        open_store(server).download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == VALUE


def test_a_store_that_is_closed_ends_a_download(tmp_path: Path, open_store: OpenStore) -> None:
    """And what had arrived is gone; once it is closed, none begins."""
    gate = threading.Event()

    class Slow(Step):
        def run(self, peer: Peer) -> None:
            peer.wait(gate)

    shelf = Shelf()
    shelf.faults[5 * PART] = Slow()
    with shelf.server() as server:
        store = open_store(server)
        call = Background(lambda: store.download("key", tmp_path / "file"))
        end = time.monotonic() + 5
        while len(shelf.asked) < 7 and time.monotonic() < end:
            time.sleep(0.002)
        store.close()
        assert isinstance(call.error(), StoreClosed)
        assert in_folder(tmp_path) == []
        gate.set()
        with pytest.raises(StoreClosed):
            store.download("key", tmp_path / "file")
        assert in_folder(tmp_path) == []


def test_a_download_keeps_its_deadline(tmp_path: Path, open_store: OpenStore) -> None:
    """Over all its parts; what had arrived is gone."""
    shelf = Shelf()
    shelf.meanwhile = lambda number: time.sleep(0.15) if number else None
    with shelf.server() as server, pytest.raises(s3kv.DeadlineExceeded):
        open_store(server, timeout=0.2).download("key", tmp_path / "file")
    assert in_folder(tmp_path) == []


INTERRUPTED = """
import os
import s3kv.files, s3kv.reading
s3kv.files.PART_BYTES = s3kv.reading.PART_BYTES = 64 * 1024
folder = sys.argv[2]
say("ready")
try:
    store.download("key", os.path.join(folder, "file"))
except KeyboardInterrupt:
    say("interrupted", time.monotonic(), len(os.listdir(folder)))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
@pytest.mark.parametrize("place", [0, 5 * PART], ids=["in the first part", "in a later part"])
def test_ctrl_c_leaves_no_file(place: int, tmp_path: Path) -> None:
    """Nothing whole has arrived, so nothing is there; at once."""
    gate = threading.Event()

    class Slow(Step):
        def run(self, peer: Peer) -> None:
            peer.wait(gate)

    shelf = Shelf()
    slow = Slow()
    # The first answer, of the whole object, begins at 0 as well.
    shelf.meanwhile = lambda number: shelf.faults.update({place: slow}) if number else None
    with shelf.server() as server, running(INTERRUPTED, server.url, str(tmp_path)) as program:
        assert program.line() == ["ready"]
        end = time.monotonic() + 5
        while len(shelf.asked) < 7 and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(0.1)
        assert len(in_folder(tmp_path)) == 1
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert words[2] == "0"
        gate.set()
        assert program.end() == ("", "")
    assert program.process.returncode == 0 != -signal.SIGINT


# ------------------------------------------------------------------------------ uploads


def test_a_file_is_uploaded_with_its_type(
    small_uploads: None, tmp_path: Path, open_store: OpenStore
) -> None:
    """In one request or in parts."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_store(server)
        for size in (0, 100, 32 * KIB, 32 * KIB + 1, 100_000):
            (tmp_path / "page.html").write_bytes(VALUE[:size])
            stamp = store.upload(tmp_path / "page.html", "key", metadata={"colour": "red"})
            assert bucket.objects["key"].value == VALUE[:size]
            assert stamp.generation == bucket.objects["key"].etag
            info = store.stat("key")
            assert (info.content_type, info.metadata) == ("text/html", {"colour": "red"})
        assert bucket.uploads == {}


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("a.png", None, "image/png"),
        ("A.PNG", None, "image/png"),
        ("a.tar.gz", None, None),
        ("a.json.gz", None, None),
        ("a", None, None),
        ("a.unheard-of", None, None),
        ("a.png", "x/y", "x/y"),
        ("a.gz", "x/y", "x/y"),
    ],
)
def test_the_type_is_guessed_by_the_name_unless_it_is_given(
    name: str, given: str | None, stored: str | None, tmp_path: Path, open_store: OpenStore
) -> None:
    """Of a compressed file it would be that of what is in it."""
    (tmp_path / name).write_bytes(b"value")
    bucket = MemoryS3()
    with bucket.server() as server:
        open_store(server).upload(str(tmp_path / name), "key", content_type=given)
        put = next(request for request in server.requests if request.method == "PUT")
        assert put.header("content-type") == stored


def test_a_path_may_be_bytes(tmp_path: Path, open_store: OpenStore) -> None:
    """As for ``open`` and ``upload_prefix``."""
    (tmp_path / "a.png").write_bytes(b"value")
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_store(server)
        store.upload(os.fsencode(tmp_path / "a.png"), "key")
        store.download("key", os.fsencode(tmp_path / "b"))
        put = next(request for request in server.requests if request.method == "PUT")
        assert put.header("content-type") == "image/png"
    assert (tmp_path / "b").read_bytes() == b"value"


def change(path: Path) -> None:
    """Write to a file."""
    with open(path, "r+b") as file:
        file.write(b"!")


def lengthen(path: Path) -> None:
    """Append to a file."""
    with open(path, "ab") as file:
        file.write(b"!")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": change,
    "appended to": lengthen,
    "cut short": lambda path: os.truncate(path, 50_000),
    "emptied": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("number", [1, 13], ids=["early", "late"])
def test_a_file_that_changes_meanwhile_is_not_uploaded(
    kind: str, number: int, small_uploads: None, tmp_path: Path, open_store: OpenStore
) -> None:
    """Nothing is written, and the upload is forgotten; the object that was there stays."""
    path = tmp_path / "file"
    path.write_bytes(VALUE[:100_000])
    # So that the time of another write is another, however coarse the system's clock.
    os.utime(path, ns=(1, 1))
    bucket = MemoryS3(key=b"old")
    bucket.turns[f"UploadPart {number}"] = [Turn(then=lambda: CHANGES[kind](path))]
    with bucket.server() as server:
        with pytest.raises(s3kv.Changed) as caught:
            open_store(server).upload(path, "key")
        assert caught.value.key == "key"
        assert str(path) in str(caught.value)
        assert bucket.applied == []
        assert bucket.uploads == {}
        assert len(bucket.aborted) == 1


def test_a_small_file_that_changes_while_it_is_read_is_not_uploaded(
    tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is sent."""
    from s3kv.payload import Source

    path = tmp_path / "file"
    path.write_bytes(b"value")
    os.utime(path, ns=(1, 1))
    read = Source._read

    def reading(self: Source, size: int, *likely: int) -> bytes:
        found = read(self, size, *likely)
        change(path)
        return found

    monkeypatch.setattr(Source, "_read", reading)
    bucket = MemoryS3()
    with bucket.server() as server:
        with pytest.raises(s3kv.Changed):
            open_store(server).upload(path, "key")
        assert server.requests == []


def test_what_cannot_be_read_is_an_os_error(tmp_path: Path, open_store: OpenStore) -> None:
    """And no request is sent."""
    with MemoryS3().server() as server:
        store = open_store(server)
        with pytest.raises(FileNotFoundError):
            store.upload(tmp_path / "missing", "key")
        with pytest.raises(OSError):
            store.upload(tmp_path, "key")
        with pytest.raises(ValueError, match="not both"):
            store.upload(tmp_path, "key", if_absent=True, if_equal='"x"')
        with pytest.raises(s3kv.InvalidKey):
            store.upload(tmp_path / "missing", "k" * 1025)
        with pytest.raises(ValueError):
            store.upload(tmp_path / "missing", "key", content_type="a\r\nb: c")
        assert server.requests == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_os_error(tmp_path: Path, open_store: OpenStore) -> None:
    """And no request is sent."""
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "file").chmod(0)
    with MemoryS3().server() as server:
        with pytest.raises(PermissionError):
            open_store(server).upload(tmp_path / "file", "key")
        assert server.requests == []


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart 3"])
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (error(403, "AccessDenied"), s3kv.PermissionDenied),
        (error(404, "NoSuchBucket"), s3kv.BucketNotFound),
        (error(500, "InternalError"), s3kv.RetriesExhausted),
    ],
    ids=["403", "404", "500"],
)
def test_an_upload_that_fails_names_the_key_and_leaves_nothing(
    operation: str,
    told: bytes,
    expected: type[s3kv.S3KVError],
    small_uploads: None,
    tmp_path: Path,
    open_store: OpenStore,
) -> None:
    """At whatever step; no upload is left behind."""
    (tmp_path / "file").write_bytes(VALUE[: 100 if operation == "PutObject" else 100_000])
    bucket = MemoryS3()
    turns = [Turn(acts=False, told=told)] * 4
    if operation == "PutObject":
        bucket.writes = turns
    else:
        bucket.turns[operation] = turns
    with bucket.server() as server:
        with pytest.raises(expected) as caught:
            open_store(server, path="folder/", policy=FAST).upload(tmp_path / "file", "some key")
        assert caught.value.key == "some key"
        assert "some key" in str(caught.value)
        assert bucket.applied == []
        assert bucket.uploads == {}
        assert "CompleteMultipartUpload" not in map(operation_of, server.requests)


# ------------------------------------------------------------------------------ URLs

ODD_KEYS = [
    "key",
    "a b",
    "a+b%41&c=d?e#f",
    "a//b",
    "/lead",
    "./x/../y",
    "é/漢字/😀",
    "x/",
    "~-._*'()!@:$,;",
    "a\r\nb",
]


def signed_again(url: str, method: str, token: str | None = None, region: str = "us-east-1") -> str:
    """Return the signature that botocore makes for the request of a presigned URL, at its own time."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    request = botocore.awsrequest.AWSRequest(method, url.rpartition("&X-Amz-Signature=")[0])
    request.context["timestamp"] = query["X-Amz-Date"]
    keys = botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY, token)
    auth = botocore.auth.S3SigV4QueryAuth(keys, "s3", region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return str(auth.signature(text, request))


def botocores(method: str, key: str, when: float, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """Return the URL that botocore makes for an object of a bucket at a time."""
    import datetime

    names = {"GET": "get_object", "PUT": "put_object", "HEAD": "head_object", "DELETE": "delete_object"}
    now = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    with monkeypatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: now)
        client = botocore.session.Session().create_client(
            "s3",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=botocore.config.Config(
                signature_version="s3v4", s3={"addressing_style": options.pop("style", "path")}
            ),
            region_name=options.pop("region", "us-east-1"),
            endpoint_url=options.pop("endpoint", None),
            aws_session_token=options.pop("token", None),
        )
        try:
            url = client.generate_presigned_url(
                names[method], {"Bucket": "bucket", "Key": key}, ExpiresIn=options.pop("expires", 3600)
            )
        finally:
            client.close()
    assert not options
    return str(url)


def same(ours: str, theirs: str) -> None:
    """Compare two URLs: all but the order of the parameters."""
    mine, other = urlsplit(ours), urlsplit(theirs)
    assert (mine.scheme, mine.netloc, mine.fragment) == (other.scheme, other.netloc, "")
    assert mine.path == other.path
    assert dict(parse_qsl(mine.query, True)) == dict(parse_qsl(other.query, True))
    assert len(parse_qsl(mine.query, True)) == len(parse_qsl(other.query, True))


def date_of(url: str) -> float:
    """Return the time that a presigned URL was made at."""
    import calendar

    return calendar.timegm(time.strptime(dict(parse_qsl(url))["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
@pytest.mark.parametrize("expires", [1, 3600, 604_800])
def test_a_url_is_the_one_that_botocore_makes(
    method: str, expires: int, keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each method and time; no request is sent."""
    with ScriptedServer() as server:
        store = open_store(server, path="folder/", credentials="environment")
        url = store.presign("a key", method=method, expires=expires)
        assert abs(date_of(url) - time.time()) < 5
        theirs = botocores(
            method, "folder/a key", date_of(url), monkeypatch, expires=expires, endpoint=server.url
        )
        same(url, theirs)
        assert SECRET_KEY not in url
        assert server.connections == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_url_may_be_of_any_key(
    key: str, keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature is that of the path as it is in the URL, which is not tidied up."""
    with ScriptedServer() as server:
        url = open_store(server, credentials="environment").presign(key)
        same(url, botocores("GET", key, date_of(url), monkeypatch, endpoint=server.url))
        assert url.isascii()
        assert (
            urlsplit(url).path
            == urlsplit(open_store(server, credentials="environment").presign(key.encode())).path
        )


def test_a_url_with_a_session_token_has_it(
    session_keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed, as S3 wants it; the secret key is not there."""
    with ScriptedServer() as server:
        url = open_store(server, credentials="environment").presign("key")
        assert dict(parse_qsl(urlsplit(url).query))["X-Amz-Security-Token"] == TOKEN
        same(url, botocores("GET", "key", date_of(url), monkeypatch, endpoint=server.url, token=TOKEN))
        assert SECRET_KEY not in url


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "bucket.s3.eu-central-1.amazonaws.com"),
        ("us-east-1", "bucket.s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "bucket.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_url_of_amazon_names_the_bucket_in_the_host(
    region: str, host: str, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS; nothing is sent to make it."""
    with s3kv.Store(bucket="bucket", aws_region=region, aws_credentials={"type": "environment"}) as store:
        url = store.presign("a b/é", method="PUT", expires=60)
    assert url.startswith(f"https://{host}/a%20b/%C3%A9?")
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["X-Amz-Signature"] == signed_again(url, "PUT", region=region)
    assert query["X-Amz-Credential"].split("/")[0] == ACCESS_KEY
    assert query["X-Amz-Credential"].split("/")[2] == region
    if region != "us-east-1":
        same(
            url,
            botocores(
                "PUT", "a b/é", date_of(url), monkeypatch, region=region, style="virtual", expires=60
            ),
        )


def test_a_url_says_that_the_requester_pays(keys: None) -> None:
    """Signed with the rest, since whoever has the URL sends no header."""
    with s3kv.Store(
        bucket="bucket",
        aws_region="us-east-1",
        aws_credentials={"type": "environment"},
        requester_pays=True,
    ) as store:
        url = store.presign("key")
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["x-amz-request-payer"] == "requester"
        assert query["X-Amz-SignedHeaders"] == "host"
        assert query["X-Amz-Signature"] == signed_again(url, "GET")
        # And another method has another signature.
        other = store.presign("key", method="PUT")
        assert query["X-Amz-Signature"] != dict(parse_qsl(urlsplit(other).query))["X-Amz-Signature"]


def test_a_url_of_an_anonymous_store_is_plain(open_store: OpenStore) -> None:
    """There is nothing to sign it with."""
    with ScriptedServer() as server:
        store = open_store(server, path="a b/")
        assert store.presign("é") == f"{server.url}/bucket/a%20b/%C3%A9"
        assert store.presign("é", method="PUT") == f"{server.url}/bucket/a%20b/%C3%A9"


@pytest.mark.parametrize("expires", [0, -1, 604_801, 10**12])
def test_a_url_is_good_for_a_second_to_a_week(expires: int, keys: None, open_store: OpenStore) -> None:
    """As S3 has it."""
    with ScriptedServer() as server, pytest.raises(ValueError, match="604,800"):
        open_store(server, credentials="environment").presign("key", expires=expires)


@pytest.mark.parametrize("expires", [True, 1.5, "60", None])
def test_the_time_of_a_url_is_a_whole_number(expires: Any, keys: None, open_store: OpenStore) -> None:
    """A TypeError says what it was."""
    with ScriptedServer() as server, pytest.raises(TypeError, match=type(expires).__name__):
        open_store(server, credentials="environment").presign("key", expires=expires)


@pytest.mark.parametrize("method", ["POST", "get", "", "PATCH", None])
def test_a_url_has_one_of_four_methods(method: Any, keys: None, open_store: OpenStore) -> None:
    """A ValueError names them."""
    with ScriptedServer() as server, pytest.raises(ValueError, match="GET, HEAD, PUT, DELETE"):
        open_store(server, credentials="environment").presign("key", method=method)


def test_a_url_needs_a_key_and_credentials(open_store: OpenStore) -> None:
    """Otherwise it would be of the bucket, or good for nothing."""
    with ScriptedServer() as server:
        with pytest.raises(s3kv.InvalidKey):
            open_store(server).presign("")
        with pytest.raises(s3kv.CredentialsError):
            open_store(server, credentials="environment").presign("key")
        store = open_store(server)
        store.close()
        with pytest.raises(StoreClosed):
            store.presign("key")
