"""Writing: files in parts, what becomes of them when something goes wrong, transactions, and bytes."""

from __future__ import annotations

import gc
import io
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import Answer, DropResponse, FaultProxy, LocalServer, Stall
from tests.adapters.fsspec_fixtures import (
    asked,
    behind,
    fs,
    opened,
    options,
    place,
    proxied,
    proxy,
    storage_options,
)

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]

KIB = 1024
PART = 64 * KIB


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have parts be 64 KiB, and the server take such."""
    monkeypatch.setattr("s3kv.fsspec.write_file.PART_BYTES", PART)
    monkeypatch.setattr("s3kv.payload.PART_BYTES", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)


@pytest.fixture
def uploads(local_server: LocalServer, place: str) -> Callable[[], list[str]]:
    """Return what tells the keys of uploads that were begun, and neither completed nor aborted."""
    url = f"{local_server.endpoint}/{local_server.bucket}?uploads"
    prefix = place.partition("/")[2]

    def listed() -> list[str]:
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        assert "<ListMultipartUploadsResult" in text
        return re.findall(f"<Key>{prefix}/(.*?)</Key>", text)

    return listed


def noise(size: int) -> bytes:
    """Return so many bytes, no part of which is like another."""
    return random.Random(size).randbytes(size)


# ---------------------------------------------------------------- what arrives


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 7])
def test_what_is_written_arrives_when_the_file_is_closed(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, size: int, small: None
) -> None:
    """In pieces of any length, with its type and metadata; not before."""
    value, pieces = noise(size), random.Random(0)
    with fs.open(f"{place}/k", "wb", content_type="text/x", metadata={"colour": "red"}) as file:
        assert (file.writable(), file.readable(), file.seekable()) == (True, False, False)
        sent = 0
        while sent < size:
            count = pieces.randrange(1, 2 * PART)
            assert file.write(value[sent : sent + count]) == min(count, size - sent)
            sent += count
        assert file.tell() == size
        file.flush()
        file.flush(force=True)
        assert "k" not in behind
    assert file.closed
    file.close()
    assert behind["k"] == value
    info = behind.stat("k")
    assert (info.content_type, info.metadata) == ("text/x", {"colour": "red"})


def test_small_files_are_one_request_and_large_ones_parts(
    proxied: S3KVFileSystem, proxy: FaultProxy, place: str, small: None
) -> None:
    """As long as is said, but not shorter than a part must be."""
    with proxied.open(f"{place}/k", "wb") as file:
        file.write(noise(PART - 1))
    assert asked(proxy) == ["PutObject"]
    for block_size in (1000, 80 * KIB):
        before = len(asked(proxy))
        with proxied.open(f"{place}/k", "wb", block_size=block_size) as file:
            file.write(noise(160 * KIB))
        sizes = [
            request.request_bytes
            for request in proxy.requests[before:]
            if request.operation == "UploadPart"
        ]
        assert sorted(sizes) == ([32 * KIB, PART, PART] if block_size == 1000 else [80 * KIB, 80 * KIB])


def test_any_buffer_can_be_written_and_changed_afterwards(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """The file has a copy."""
    with fs.open(f"{place}/k", "wb") as file:
        buffer = bytearray(b"abc")
        file.write(buffer)
        buffer[:] = b"xyz"
        assert file.write(memoryview(b"1234").cast("H")) == 4
        assert file.write(b"") == 0
        with pytest.raises(TypeError, match="str"):
            file.write("text")
    assert behind["k"] == b"abc1234"


def test_pieces_of_any_kind_and_length_fill_the_parts(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str, small: None
) -> None:
    """Each part is as long as it is to be, wherever a piece ends."""
    data = noise(5 * PART + 11)
    draw = random.Random(1)
    kinds: list[Callable[[bytes], Any]] = [bytes, bytes, bytes, bytearray, memoryview]
    with proxied.open(f"{place}/object", "wb") as file:
        at = 0
        while at < len(data):
            piece = data[at : at + draw.choice([0, 1, 100, 1000, PART // 2, PART - at % PART])]
            assert file.write(draw.choice(kinds)(piece)) == len(piece)
            at += len(piece)
            assert file.tell() == at
    assert behind["object"] == data
    parts = [request for request in proxy.requests if request.operation == "UploadPart"]
    assert len(parts) == 6


def test_ten_parts_at_most_are_under_way(
    proxied: S3KVFileSystem, proxy: FaultProxy, place: str, small: None
) -> None:
    """The writer waits when so many are under way."""
    stall = proxy.inject(Stall(), operation="UploadPart", times=None)
    written: list[int] = []
    part = bytes(PART)

    def write() -> None:
        with proxied.open(f"{place}/k", "wb") as file:
            for number in range(12):
                file.write(part)
                written.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while stall.hits < 10:
            thread.join(0.01)
        thread.join(0.1)
        assert (len(written), stall.hits) == (10, 10)
    finally:
        proxy.clear()
        thread.join()
    assert proxied.size(f"{place}/k") == 12 * PART


def test_a_part_that_the_store_did_not_take_is_sent_again(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str, small: None
) -> None:
    """As everything is."""
    busy = proxy.inject(Answer.error(503, "SlowDown"), operation="UploadPart")
    lost = proxy.inject(DropResponse(), operation="CompleteMultipartUpload")
    with proxied.open(f"{place}/k", "wb") as file:
        file.write(noise(2 * PART))
    assert (busy.hits, lost.hits) == (1, 1)
    assert behind["k"] == noise(2 * PART)


# ---------------------------------------------------------------- what does not


class Oops(Exception):
    """Something else goes wrong."""


def write_and_fail(file: Any, value: Any) -> None:
    """Write to a file, and let something else go wrong before it is closed."""
    with file:
        file.write(value)
        raise Oops


@pytest.mark.parametrize("size", [10, 2 * PART + 1])
@pytest.mark.parametrize("mode", ["wb", "xb", "ab", "w", "wt compressed", "wb compressed"])
def test_a_with_block_that_ends_with_an_exception_leaves_nothing(
    fs: S3KVFileSystem,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    place: str,
    small: None,
    mode: str,
    size: int,
) -> None:
    """Neither an object nor an upload; what was there stays."""
    kind, _, compressed = mode.partition(" ")
    if kind == "wb":
        behind["k"] = b"old"
    before = behind.get("k", None)
    value: Any = noise(size) if "b" in kind else noise(size).decode("latin-1")
    file = fs.open(f"{place}/k", kind, compression="gzip" if compressed else None)
    with pytest.raises(Oops):
        write_and_fail(file, value)
    assert file.closed
    file.close()
    assert behind.get("k", None) == before
    assert uploads() == []


@pytest.mark.parametrize("mode", ["wb", "w", "wt compressed"])
def test_a_file_that_is_forgotten_leaves_nothing_and_says_so(
    fs: S3KVFileSystem,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    place: str,
    small: None,
    mode: str,
) -> None:
    """Not even through what was wrapped around it."""
    kind, _, compressed = mode.partition(" ")
    file = fs.open(f"{place}/k", kind, compression="gzip" if compressed else None)
    value: Any = noise(2 * PART) if "b" in kind else noise(2 * PART).decode("latin-1")
    file.write(value)
    assert uploads() != []
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
        del file
        gc.collect()
    for thread in threading.enumerate():
        if thread.name == "s3kv-forget":
            thread.join()
    assert uploads() == []
    assert behind.list() == []


def test_a_part_that_cannot_be_sent_ends_the_file(
    proxied: S3KVFileSystem,
    proxy: FaultProxy,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    place: str,
    small: None,
) -> None:
    """Closing it afterwards makes no object of the rest."""
    proxy.inject(Answer.error(403, "AccessDenied"), operation="UploadPart", skip=1)
    file = proxied.open(f"{place}/k", "wb")
    with pytest.raises(PermissionError):
        file.write(bytes(20 * PART))
    assert file.closed
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"1")
    assert behind.list() == []
    assert uploads() == []


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "CompleteMultipartUpload", "PutObject"])
def test_a_file_that_cannot_be_finished_raises_and_leaves_nothing(
    proxied: S3KVFileSystem,
    proxy: FaultProxy,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    place: str,
    small: None,
    operation: str,
) -> None:
    """Whether it is small or large."""
    proxy.inject(Answer.error(400, "InvalidArgument"), operation=operation)

    def write() -> None:
        file.write(bytes(10 if operation == "PutObject" else PART))
        file.close()

    file = proxied.open(f"{place}/k", "wb")
    with pytest.raises(OSError, match="InvalidArgument") as caught:
        write()
    assert caught.value.filename == f"{place}/k"
    assert file.closed
    assert behind.list() == []
    assert uploads() == []


@pytest.fixture
def one_at_a_time(proxy: FaultProxy) -> Iterator[S3KVFileSystem]:
    """Return a file system that sends one request at a time, through the proxy."""
    yield from opened({**storage_options(proxy), "s3_request_concurrency": {"limit": 1}})


def test_ctrl_c_while_parts_are_under_way_gives_the_prompt_back(
    one_at_a_time: S3KVFileSystem, proxy: FaultProxy, place: str, small: None
) -> None:
    """However long the store takes; behind it, the parts give way to what has the upload forgotten."""
    stall = proxy.inject(Stall(), operation="UploadPart", times=None)

    def interrupt() -> None:
        while not stall.hits:
            pass
        signal.raise_signal(signal.SIGINT)

    def write() -> None:
        with file:
            thread.start()
            file.write(bytes(PART))

    thread = threading.Thread(target=interrupt)
    file = one_at_a_time.open(f"{place}/k", "wb")
    with pytest.raises(KeyboardInterrupt):
        write()
    thread.join()
    assert file.closed
    while "AbortMultipartUpload" not in asked(proxy):
        thread.join(0.01)
    proxy.clear()
    assert one_at_a_time.find(place) == []


def test_closing_the_file_system_ends_a_file(
    fs: S3KVFileSystem, behind: s3kv.Store, uploads: Callable[[], list[str]], place: str, small: None
) -> None:
    """It is not carried on over another connection."""
    file = fs.open(f"{place}/k", "wb")
    file.write(bytes(PART))
    fs.close()
    with pytest.raises(s3kv.S3KVError, match="closed"):
        file.close()
    assert uploads() == []
    assert behind.list() == []


def test_closing_the_file_system_ends_a_file_that_waits(
    one_at_a_time: S3KVFileSystem, proxy: FaultProxy, place: str, small: None
) -> None:
    """However long the store would take."""
    stall = proxy.inject(Stall(), operation="UploadPart", times=None)

    def end() -> None:
        while not stall.hits:
            pass
        one_at_a_time.close()

    thread = threading.Thread(target=end)
    file = one_at_a_time.open(f"{place}/k", "wb")
    thread.start()
    file.write(bytes(PART))
    with pytest.raises(s3kv.S3KVError, match="closed"):
        file.close()
    thread.join()
    proxy.clear()


# ---------------------------------------------------------------- modes


def test_exclusive_creation_is_checked_twice(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """When the file is opened, and when it is closed."""
    with fs.open(f"{place}/k", "xb") as file:
        file.write(b"1")
    with pytest.raises(FileExistsError):
        fs.open(f"{place}/k", "xb")
    file = fs.open(f"{place}/other", "x")
    behind["other"] = b"theirs"
    with pytest.raises(FileExistsError) as caught:
        file.close()
    assert caught.value.filename == f"{place}/other"
    assert behind["other"] == b"theirs"


@pytest.mark.parametrize("size", [0, 10, PART, 2 * PART + 3])
@pytest.mark.parametrize("more", [0, 10, PART + 1])
def test_appending_puts_bytes_behind_those_there_are(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, small: None, size: int, more: int
) -> None:
    """With the type and metadata that the object has."""
    behind.put("k", noise(size), content_type="text/x", metadata={"colour": "red"})
    with fs.open(f"{place}/k", "ab") as file:
        assert file.tell() == size
        file.write(noise(more))
    assert behind["k"] == noise(size) + noise(more)
    info = behind.stat("k")
    assert (info.content_type, info.metadata) == ("text/x", {"colour": "red"})


def test_a_large_object_is_appended_to_by_the_store(
    proxied: S3KVFileSystem, proxy: FaultProxy, behind: s3kv.Store, place: str, small: None
) -> None:
    """What there is does not pass through here."""
    behind["k"] = noise(2 * PART)
    with proxied.open(f"{place}/k", "a") as file:
        file.write("more")
    assert "UploadPartCopy" in asked(proxy)
    assert "GetObject" not in asked(proxy)
    assert behind["k"] == noise(2 * PART) + b"more"


def test_appending_to_nothing_creates(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """As for any file."""
    with fs.open(f"{place}/k", "ab") as file:
        file.write(b"1")
    assert behind["k"] == b"1"


@pytest.mark.parametrize("size", [10, PART, None])
def test_appending_loses_nobodys_write(
    fs: S3KVFileSystem,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    place: str,
    small: None,
    size: int | None,
) -> None:
    """Somebody else was faster: an error."""
    if size is not None:
        behind["k"] = noise(size)
    file = fs.open(f"{place}/k", "ab")
    file.write(b"ours")
    behind["k"] = b"theirs"
    with pytest.raises(OSError, match="replaced"):
        file.close()
    assert behind["k"] == b"theirs"
    assert uploads() == []


# ---------------------------------------------------------------- transactions


def test_a_transaction_makes_all_files_appear_at_its_end(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, small: None, tmp_path: Any
) -> None:
    """However they were written."""
    (tmp_path / "local").write_bytes(b"4")
    with fs.transaction:
        with fs.open(f"{place}/small", "wb") as file:
            file.write(b"1")
        with fs.open(f"{place}/large", "wb") as file:
            file.write(noise(PART + 1))
        left_open = fs.open(f"{place}/open", "wb")
        left_open.write(b"2")
        fs.pipe({f"{place}/piped": b"3"})
        fs.put(str(tmp_path / "local"), f"{place}/put")
        fs.put_file(str(tmp_path / "local"), f"{place}/created", mode="create")
        assert behind.list() == []
    assert left_open.closed
    assert dict(behind.items()) == {
        "small": b"1",
        "large": noise(PART + 1),
        "open": b"2",
        "piped": b"3",
        "put": b"4",
        "created": b"4",
    }


def test_a_transaction_writes_the_keys_that_are_written_without_one(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, tmp_path: Any
) -> None:
    """Those that end with a slash, too: an object without it would be in the way of the folder."""
    (tmp_path / "local").write_bytes(b"3")

    def write(folder: str) -> list[str]:
        fs.touch(f"{folder}/a/")
        fs.pipe_file(f"{folder}/b/", b"1")
        fs.pipe_file(f"s3kv://{folder}/c/", b"2", mode="create")
        fs.put_file(str(tmp_path / "local"), f"{folder}/d/")
        return behind.list()

    names = ["plain/a/", "plain/b/", "plain/c/", "plain/d/"]
    assert write(f"{place}/plain") == names
    with fs.transaction:
        assert write(f"{place}/deferred") == names
    assert behind.list("deferred/") == ["deferred/a/", "deferred/b/", "deferred/c/", "deferred/d/"]
    assert list(behind.values())[:4] == list(behind.values())[4:]


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_transaction_writes_what_lies_over_its_files(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, mode: str, compression: str | None, close: bool
) -> None:
    """Text and what is compressed: all of it, and although the program has not got the file any more."""
    left_open = []
    with fs.transaction:
        file = fs.open(f"{place}/k", mode, compression=compression)
        file.write("words" if mode == "w" else b"words")
        if close:
            file.close()
        else:
            left_open.append(file)
        del file
        gc.collect()
        assert behind.list() == []
    assert [file.closed for file in left_open] == [True] * (not close)
    with fs.open(f"{place}/k", compression=compression) as written:
        assert written.read() == b"words"


def test_a_transaction_that_ends_with_an_exception_leaves_nothing(
    fs: S3KVFileSystem, behind: s3kv.Store, uploads: Callable[[], list[str]], place: str, small: None
) -> None:
    """And the next write is a plain one again."""

    def fail() -> None:
        with fs.transaction:
            fs.pipe_file(f"{place}/small", b"1")
            with fs.open(f"{place}/large", "wb") as file:
                file.write(bytes(PART))
            raise Oops

    with pytest.raises(Oops):
        fail()
    assert behind.list() == []
    assert uploads() == []
    fs.pipe_file(f"{place}/small", b"1")
    assert behind.list() == ["small"]


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_left_open_in_a_transaction_that_fails_is_over(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, mode: str, compression: str | None
) -> None:
    """Whatever lies over it: closing it afterwards is no error."""

    def fail() -> None:
        with fs.transaction:
            left_open.append(fs.open(f"{place}/k", mode, compression=compression))
            left_open[0].write("words" if mode == "w" else b"words")
            raise Oops

    left_open: list[Any] = []
    with pytest.raises(Oops):
        fail()
    assert left_open[0].closed
    left_open[0].close()
    assert behind.list() == []


def test_a_file_that_failed_is_no_part_of_its_transaction(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """The others are written all the same."""
    with fs.transaction:
        with pytest.raises(Oops):
            write_and_fail(fs.open(f"{place}/bad", "wb"), b"1")
        fs.pipe_file(f"{place}/good", b"1")
    assert behind.list() == ["good"]


def test_a_transaction_of_exclusive_creations_finds_those_that_exist(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """At the latest when it is committed."""

    def collide() -> None:
        with fs.transaction:
            fs.pipe_file(f"{place}/k", b"1", mode="create")
            behind["k"] = b"theirs"

    with pytest.raises(FileExistsError):
        collide()
    assert behind["k"] == b"theirs"


# ---------------------------------------------------------------- bytes


def test_pipe_writes_one_object_or_many(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """Of any length, in one batch."""
    fs.pipe(f"{place}/a", b"1")
    fs.pipe({f"s3kv://{place}/b": b"2", f"{place}/c": bytes(PART)})
    fs.pipe({f"{place}/d": b"4"}, content_type="text/x")
    assert [behind["a"], behind["b"], len(behind["c"])] == [b"1", b"2", PART]
    assert behind.stat("d").content_type == "text/x"
    fs.pipe_file(f"{place}/e", b"5", mode="create")
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{place}/e", b"6", mode="create")
    with pytest.raises(ValueError, match="allowed are 'overwrite' and 'create'"):
        fs.pipe_file(f"{place}/e", b"6", mode="append")
    assert behind["e"] == b"5"
    with pytest.raises(TypeError):
        fs.pipe({f"{place}/f": "text"})


def test_touch_writes_an_empty_object(fs: S3KVFileSystem, behind: s3kv.Store, place: str) -> None:
    """Over what there is, or only if there is nothing; it cannot give an object another time."""
    behind["k"] = b"1"
    with pytest.raises(NotImplementedError):
        fs.touch(f"{place}/k", truncate=False)
    assert behind["k"] == b"1"
    fs.touch(f"{place}/k")
    fs.touch(f"{place}/new", truncate=False)
    assert dict(behind.items()) == {"k": b"", "new": b""}


# ---------------------------------------------------------------- processes


def test_a_file_that_is_open_when_the_interpreter_ends_leaves_nothing(
    local_server: LocalServer,
    behind: s3kv.Store,
    uploads: Callable[[], list[str]],
    options: dict[str, Any],
    place: str,
    small: None,
) -> None:
    """Nor does one that was forgotten a moment before; a thread that still writes may finish."""
    code = f"""
import threading, s3kv.payload, s3kv.fsspec.write_file as module
module.PART_BYTES = s3kv.payload.PART_BYTES = {PART}
from s3kv.fsspec import S3KVFileSystem
fs = S3KVFileSystem(**{options!r})
def write(name):
    file = fs.open("{place}/" + name, "wb")
    file.write(bytes({2 * PART}))
    return file
def go_on():
    file = write("thread")
    threading.main_thread().join()
    file.write(b"1")
    file.close()
write("forgotten")
threading.Thread(target=go_on).start()
left_open = write("open")
raise SystemExit(3)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr) == (3, "")
    assert uploads() == []
    assert [entry[:2] for entry in behind.scan()] == [("thread", 2 * PART + 1)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_leaves_its_parents_file_alone(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, small: None
) -> None:
    """It neither writes nor aborts; and its own files work."""
    file = fs.open(f"{place}/k", "wb")
    file.write(bytes(PART))
    child = os.fork()
    if not child:
        status = 1
        try:
            with pytest.raises(ValueError, match="another process"):
                file.write(b"1")
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                del file
                gc.collect()
            assert not told
            with fs.open(f"{place}/child", "wb") as own:
                own.write(b"2")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    file.write(b"3")
    file.close()
    assert behind["k"] == bytes(PART) + b"3"
    assert behind["child"] == b"2"


@pytest.mark.parametrize("wrong", [{"compression": "none such"}, {"encoding": "none such"}])
def test_a_file_that_cannot_be_wrapped_is_not_left_open(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str, wrong: dict[str, str]
) -> None:
    """Nor written."""
    with pytest.raises((ValueError, LookupError), match="none such"):
        fs.open(f"{place}/k", "w", **wrong)
    gc.collect()
    assert behind.list() == []


def test_a_file_taken_from_under_its_text_goes_on(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """Nobody needs the text any more, not even a transaction."""
    text = fs.open(f"{place}/k", "w")
    text.write("1")
    file = text.detach()
    del text
    gc.collect()
    file.write(b"2")
    file.close()
    assert behind["k"] == b"12"
    with fs.transaction:
        text = fs.open(f"{place}/k", "w")
        with text.detach() as file:
            file.write(b"3")
    assert behind["k"] == b"3"


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_text_has_one_byte_order_mark_at_its_beginning(
    fs: S3KVFileSystem, place: str, encoding: str, compression: str | None
) -> None:
    """Or it could not be read again; as in a local file, also when more is appended."""
    how = {"encoding": encoding, "compression": compression}
    with fs.open(f"{place}/k", "w", **how) as file:
        assert file.tell() == 0
        file.write("ä")
        file.write("b")
        assert file.tell() == len("äb".encode(encoding))
        assert not file.seekable()
    with fs.open(f"{place}/k", "a", **how) as file:
        assert file.tell() > 0
        file.write("c")
    with fs.open(f"{place}/k", compression=compression) as file:
        assert file.read() == "äbc".encode(encoding)


def test_what_a_file_that_is_written_cannot_do(fs: S3KVFileSystem, place: str) -> None:
    """Read, seek, travel; and nothing at all once it is closed."""
    with fs.open(f"{place}/k", "wb") as file:
        for attempt in (file.read, lambda: file.seek(0), lambda: file.truncate(0)):
            with pytest.raises(io.UnsupportedOperation):
                attempt()
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(file)
        assert "mode 'wb'" in repr(file)
    for attempt in (lambda: file.write(b"1"), file.flush, file.tell):
        with pytest.raises(ValueError, match="closed"):
            attempt()
