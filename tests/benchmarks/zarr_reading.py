"""Measure how fast zarr reads arrays through s3kv, and through other stores, from one local server.

    python -m tests.benchmarks.zarr_reading [--rounds N] [--quick] [--only ROW ...] [--stores STORE ...]

Needs nginx, and zarr; stores that are not installed are named and left out. Each store has a process of its
own, and all do a round in turns. ``local`` reads the same files without any server: what zarr itself takes.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import StaticServer

from .task import ACCESS_KEY, REGION, SECRET_KEY

BUCKET = "bench"
STORES = ("s3kv", "obstore", "s3fs", "local")
# What the others are compared with.
OURS, RIVAL = "s3kv", "obstore"


class Row(NamedTuple):
    """One array to be read.

    Attributes:
        title: What it is.
        shape: Its shape, in bytes.
        chunk: The shape of its chunks.
        options: More of what it is created with.
        random: Its bytes cannot be compressed.
        part: What is read of it.
    """

    title: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    options: dict[str, Any]
    random: bool = True
    part: tuple[slice, ...] = (slice(None),)


_PLAIN: dict[str, Any] = {"compressors": None}
ROWS = {
    "small": Row("1,000 chunks of 4 KB, not compressed", (4_096_000,), (4096,), _PLAIN),
    "small-zstd": Row("1,000 chunks of 4 KB, zarr's default codec", (4_096_000,), (4096,), {}, False),
    "large": Row("100 chunks of 1 MB, not compressed", (100 << 20,), (1 << 20,), _PLAIN),
    "large-zstd": Row("100 chunks of 1 MB, zarr's default codec", (100 << 20,), (1 << 20,), {}, False),
    "sharded": Row(
        "500 of 1,000 chunks of 4 KB in 10 shards",
        (100, 40_960),
        (1, 4096),
        {**_PLAIN, "shards": (100, 4096)},
        part=(slice(50), slice(None)),
    ),
}


class Where(NamedTuple):
    """Where the arrays are."""

    endpoint: str
    folder: str


def _write(folder: Path, name: str, row: Row) -> None:
    """Create an array as files."""
    import numpy as np
    import zarr

    random = np.random.default_rng(0)
    # Never the fill value, which would be no file.
    data = random.integers(1, 256 if row.random else 16, row.shape, dtype="u1")
    path = str(folder / name)
    zarr.create_array(path, shape=row.shape, chunks=row.chunk, dtype="u1", **row.options)[:] = data


def _open(store: str, where: Where, name: str) -> Any:
    """An array, opened through a store."""
    import zarr

    opened: Any
    if store == "s3kv":
        import s3kv
        from s3kv.zarr import ZarrStore

        spec = {"bucket": BUCKET, "path": f"{name}/", "endpoint": where.endpoint, "aws_region": REGION}
        opened = ZarrStore(s3kv.Store(spec))
    elif store == "obstore":
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        options: Any = {"client_options": {"allow_http": True}}
        opened = ObjectStore(
            S3Store(BUCKET, prefix=name, endpoint=where.endpoint, region=REGION, **options)
        )
    elif store == "s3fs":
        import s3fs
        from zarr.storage import FsspecStore

        system = s3fs.S3FileSystem(endpoint_url=where.endpoint, asynchronous=True)
        opened = FsspecStore(system, read_only=True, path=f"{BUCKET}/{name}")
    else:
        opened = f"{where.folder}/{name}"
    return zarr.open_array(opened, mode="r", zarr_format=3)


def _child(pipe: Connection, store: str, where: Where, name: str) -> None:
    """A store's process: tells what it read first, then what each round took."""
    # A Ctrl-C is for the parent, whose end of the pipe then closes.
    with suppress(EOFError, KeyboardInterrupt):
        try:
            array = _open(store, where, name)
        except ImportError as error:
            pipe.send(f"not installed: {error}")
            return
        part = ROWS[name].part
        pipe.send(int(array[part].sum()))
        while pipe.recv():
            gc.collect()
            cpu, started = time.process_time(), time.perf_counter()
            array[part]
            pipe.send((time.perf_counter() - started, time.process_time() - cpu))
    # Without the words of libraries that do not like to end.
    os._exit(0)


class Took(NamedTuple):
    """What a round took: seconds of the clock, and of the process's own work, which others disturb less."""

    seconds: float
    cpu: float


class _Contender:
    """A store's process, as the parent sees it."""

    def __init__(self, store: str, where: Where, name: str) -> None:
        context = get_context("spawn")
        self.store = store
        self.took: list[Took] = []
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, store, where, name), daemon=True)
        self._process.start()
        theirs.close()

    def first(self) -> Any:
        """What it has read; text where it cannot take part."""
        return self._pipe.recv()

    def round(self) -> None:
        """Have it read once, and keep what that took."""
        self._pipe.send(True)
        self.took.append(Took(*self._pipe.recv()))

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()


def measure(name: str, where: Where, stores: Sequence[str], rounds: int) -> dict[str, list[Took] | str]:
    """What each round took, by store, or why there are none."""
    found: dict[str, list[Took] | str] = {}
    with ExitStack() as stack:
        contenders = []
        sums = set()
        for store in stores:
            contender = _Contender(store, where, name)
            stack.callback(contender.stop)
            first = contender.first()
            if isinstance(first, str):
                found[store] = first
                continue
            sums.add(first)
            contenders.append(contender)
        if len(sums) > 1:
            raise AssertionError(f"not everybody has read the same: {sums}")
        for number in range(rounds + 1):
            shift = number % max(1, len(contenders))
            for contender in contenders[shift:] + contenders[:shift]:
                contender.round()
        for contender in contenders:
            # The first round is still warming up.
            found[contender.store] = contender.took[1:]
    return found


@contextmanager
def _serving(names: Sequence[str]) -> Iterator[Where]:
    """Arrays as files, and nginx, which gives them out as S3 would."""
    with tempfile.TemporaryDirectory(prefix="s3kv-bench-") as root:
        os.chmod(root, 0o755)
        folder = Path(root) / BUCKET
        for name in names:
            _write(folder, name, ROWS[name])
        with StaticServer(Path(root)) as server:
            yield Where(server.endpoint, str(folder))


def _report(name: str, found: dict[str, list[Took] | str]) -> str:
    """A row as text."""
    lines = [f"{name}: {ROWS[name].title}"]
    rival = found.get(RIVAL, "")
    for store, rounds in found.items():
        if isinstance(rounds, str):
            lines.append(f"  {store:8} {rounds}")
            continue
        seconds = [took.seconds for took in rounds]
        cpu = statistics.median(took.cpu for took in rounds)
        told = (
            f"  {store:8} {statistics.median(seconds) * 1000:8.1f} ms   {min(seconds) * 1000:8.1f} at best"
        )
        told += f"   {cpu * 1000:8.1f} ms of work"
        if store == OURS and not isinstance(rival, str):
            faster = statistics.median(took.seconds for took in rival) / statistics.median(seconds)
            told += f"   {faster:.2f} times as fast as {RIVAL}"
        lines.append(told)
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """Measure each row, and say what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.zarr_reading", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="these rows")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES, help="these stores")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each store (15)")
    parser.add_argument("--quick", action="store_true", help="three rounds: a trial, not a measurement")
    arguments = parser.parse_args(given)
    # What every store signs with; nobody looks at it.
    os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    rounds = 3 if arguments.quick else arguments.rounds
    with _serving(arguments.only) as where:
        for name in arguments.only:
            print(_report(name, measure(name, where, arguments.stores, rounds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
