"""What a store can do, each with what comes of it; for tests that disturb all of it."""

from __future__ import annotations

import contextlib
import io
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import s3kv
from s3kv.testing import FaultProxy
from tests.wire.every_s3 import EveryS3
from tests.wire.memory_s3 import etag_of

KIB = 1024
# Values count as large from 32 KiB on here, and are written in parts of 32 KiB, read in parts of 64 KiB.
NOISE = random.Random(5).randbytes(140 * KIB)
FEW = {f"k{number}": b"value %d" % number for number in range(5)}
QUICK = {"max_retries": 4, "initial_delay": "1ms", "max_delay": "2ms"}
NOTHING: dict[str, bytes] = {}


class Job(NamedTuple):
    """Something that a store does.

    Attributes:
        act: Does it, and returns what came of it.
        before: The objects that there are.
        result: What comes of it.
        after: The objects that there are then; None for the same.
        once: It depends on what was there before, so it must not be carried out twice.
    """

    act: Callable[[s3kv.Store, Path], Any]
    before: dict[str, bytes]
    result: Any
    after: dict[str, bytes] | None = None
    once: bool = False


def _get_into(store: s3kv.Store, _: Path) -> bytes:
    buffer = bytearray(len(NOISE))
    return bytes(buffer[: store.get_into("key", buffer)])


def _download(store: s3kv.Store, folder: Path) -> list[bytes]:
    store.download("key", folder / "file")
    return [path.read_bytes() for path in folder.iterdir()]


def _upload(store: s3kv.Store, folder: Path) -> str:
    (folder / "file").write_bytes(NOISE)
    return store.upload(folder / "file", "key").generation


class _Pipe(io.RawIOBase):
    """A reader of unknown length."""

    def __init__(self, value: bytes) -> None:
        self._rest = io.BytesIO(value)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


SMALL = {"key": b"0123456789"}
BIG = {"key": NOISE}
NEW = {"key": b"new value"}

READS = {
    "get": Job(lambda store, _: store.get("key"), SMALL, SMALL["key"]),
    "get of a range": Job(lambda store, _: store.get("key", byte_range=slice(2, -2 + 8)), SMALL, b"2345"),
    "get of the last bytes": Job(
        lambda store, _: store.get("key", byte_range=slice(-3, None)), SMALL, b"789"
    ),
    "get of a large object": Job(lambda store, _: store.get("key"), BIG, NOISE),
    "get with a default": Job(lambda store, _: store.get("missing", None), SMALL, None),
    "get_into": Job(_get_into, BIG, NOISE),
    "read": Job(lambda store, _: store.read("key", if_not_equal='"x"').value, SMALL, SMALL["key"]),
    "get_ranges": Job(
        lambda store, _: store.get_ranges("key", [slice(0, 2), slice(-3, None), slice(4, 5)]),
        SMALL,
        [b"01", b"789", b"4"],
    ),
    "get_many": Job(lambda store, _: store.get_many([*FEW, "gone"], on_missing="skip"), FEW, FEW),
    "iter_many": Job(lambda store, _: dict(store.iter_many(FEW)), FEW, FEW),
    "items": Job(lambda store, _: list(store.items()), FEW, list(FEW.items())),
    "download": Job(_download, BIG, [NOISE]),
    "download of a small object": Job(_download, SMALL, [SMALL["key"]]),
    "stat": Job(lambda store, _: store.stat("key")[:3], SMALL, ("key", 10, etag_of(SMALL["key"]))),
    "in": Job(lambda store, _: ("key" in store, "no" in store), SMALL, (True, False)),
    "list": Job(lambda store, _: store.list(), FEW, list(FEW)),
    "scan": Job(lambda store, _: [e.key for e in store.scan(start_after="k1")], FEW, ["k2", "k3", "k4"]),
    "scan in parallel": Job(lambda store, _: [e.key for e in store.scan(parallel=True)], FEW, list(FEW)),
    "list_dir": Job(
        lambda store, _: [store.list_dir()[0], [e.key for e in store.list_dir()[1]]],
        {"a/b": b"", "c": b""},
        [["a/"], ["c"]],
    ),
    "len": Job(lambda store, _: len(store), FEW, 5),
}

WRITES = {
    "put": Job(
        lambda store, _: store.put("key", b"new value").generation, SMALL, etag_of(b"new value"), NEW
    ),
    "put if_absent": Job(
        lambda store, _: store.put("key", b"new value", if_absent=True).generation,
        NOTHING,
        etag_of(b"new value"),
        NEW,
        True,
    ),
    "put if_equal": Job(
        lambda store, _: store.put("key", b"new value", if_equal=etag_of(SMALL["key"])).generation,
        SMALL,
        etag_of(b"new value"),
        NEW,
        True,
    ),
    "put of a large value": Job(lambda store, _: bool(store.put("key", NOISE)), SMALL, True, BIG),
    "put of a large value if_absent": Job(
        lambda store, _: bool(store.put("key", NOISE, if_absent=True)), NOTHING, True, BIG, True
    ),
    "put of a file": Job(lambda store, _: bool(store.put("key", io.BytesIO(NOISE))), SMALL, True, BIG),
    "put of a pipe": Job(lambda store, _: bool(store.put("key", _Pipe(NOISE))), SMALL, True, BIG),
    "put_many": Job(
        lambda store, _: sorted(store.put_many({**FEW, **BIG})),
        NOTHING,
        sorted({**FEW, **BIG}),
        {**FEW, **BIG},
    ),
    "upload": Job(lambda store, folder: bool(_upload(store, folder)), NOTHING, True, BIG),
    "write": Job(
        lambda store, _: store.write("key", b"new value").generation, SMALL, etag_of(b"new value"), NEW
    ),
    "delete": Job(
        lambda store, _: store.delete("key").generation, SMALL, s3kv.StorageGeneration.NO_VALUE, NOTHING
    ),
    "delete if_equal": Job(
        lambda store, _: store.delete("key", if_equal=etag_of(SMALL["key"])).generation,
        SMALL,
        s3kv.StorageGeneration.NO_VALUE,
        NOTHING,
        True,
    ),
    "delete_many": Job(lambda store, _: store.delete_many(FEW), {**FEW, **SMALL}, 5, SMALL),
    "delete_prefix": Job(
        lambda store, _: store.delete_prefix("k"), {**FEW, "other": b""}, 5, {"other": b""}
    ),
    "copy": Job(
        lambda store, _: bool(store.copy("key", "copy")), SMALL, True, {**SMALL, "copy": SMALL["key"]}
    ),
    "modify": Job(
        lambda store, _: bool(store.modify("key", lambda old: (old or b"") + b"!")),
        SMALL,
        True,
        {"key": SMALL["key"] + b"!"},
        True,
    ),
    "modify of nothing": Job(
        lambda store, _: bool(store.modify("key", lambda old: b"new value" if old is None else None)),
        NOTHING,
        True,
        NEW,
        True,
    ),
    "pop": Job(lambda store, _: store.pop("key"), SMALL, SMALL["key"], NOTHING, True),
    "setdefault": Job(
        lambda store, _: store.setdefault("key", b"new value"), NOTHING, b"new value", NEW, True
    ),
}
JOBS = {**READS, **WRITES}
each_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


class Bench:
    """A bucket behind a proxy, and a store on it."""

    def __init__(self, proxy: FaultProxy, bucket: EveryS3, store: s3kv.Store, folder: Path) -> None:
        self.proxy = proxy
        self.bucket = bucket
        self.store = store
        self._folder = folder
        self._numbers = itertools.count()

    def run(self, job: Job) -> Any:
        """Do it where everything is as it was at first."""
        self.bucket.hold(**job.before)
        return job.act(self.store, self.folder())

    def folder(self) -> Path:
        """Make an empty folder for a job's files."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def count(self, job: Job) -> int:
        """How many requests it takes."""
        before = len(self.proxy.requests)
        assert self.run(job) == job.result
        return len(self.proxy.requests) - before


MEMBERS: dict[str, Any] = {
    "bucket": "bucket",
    "aws_region": "us-east-1",
    "aws_credentials": {"type": "anonymous"},
    "use_conditional_write": True,
    "s3_request_retries": QUICK,
}


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values of 32 KiB be sent in several parts, and those of 128 KiB be read so."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 32 * KIB)
    monkeypatch.setattr("s3kv.payload._MIB", KIB)
    for module in ("payload", "writing", "many"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 32 * KIB)
    monkeypatch.setattr("s3kv.reading.PART_BYTES", 64 * KIB)
    monkeypatch.setattr("s3kv.files.PART_BYTES", 64 * KIB)
    monkeypatch.setattr("s3kv.buffers.LARGE", 64 * KIB)


@contextlib.contextmanager
def benching(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bucket: EveryS3 | None = None, **members: Any
) -> Iterator[Bench]:
    """Give what jobs are done on, where values are large from 32 KiB on.

    Args:
        folder: For the files of the jobs.
        bucket: The bucket, if not a new one.
        **members: How the store differs.
    """
    small_parts(monkeypatch)
    bucket = EveryS3() if bucket is None else bucket
    with (
        bucket.server() as server,
        FaultProxy(server.url) as proxy,
        s3kv.Store({**MEMBERS, "endpoint": proxy.endpoint}, **members) as store,
    ):
        yield Bench(proxy, bucket, store, folder)


def places(count: int) -> list[int]:
    """Which of so many requests to disturb: all of a few, else the first, one in the middle, the last."""
    return list(range(count)) if count <= 3 else [0, count // 2, count - 1]
