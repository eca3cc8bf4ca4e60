"""Large files and objects: in parts, ten at a time, both ways; and the few bytes of them that are wanted.

Without arguments it starts a local S3 server in this process (the ``server`` extra). With a folder of a
bucket it does the same there, below a name of its own:

    python examples/large_files.py
    python examples/large_files.py s3://my-bucket/some/folder/ --megabytes 2000
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import s3kv


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    started = time.perf_counter()
    yield
    print(f"  {what:<58} {(time.perf_counter() - started) * 1000:8.1f} ms")


def tour(store: s3kv.Store, folder: Path, size: int) -> None:
    """Send a large file to ``store``, and get it back in several ways."""
    path = folder / "data.bin"
    chunk = random.randbytes(1 << 20)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(chunk)

    # Files on disk; progress=True shows a bar, on a terminal or in a notebook (the ``progress`` extra).
    with step(f"upload    {size:,} bytes"):
        store.upload(path, "data.bin", metadata={"made-by": "an example"})
    with step("download  them, checked: the file is there when it is whole"):
        store.download("data.bin", folder / "copy.bin")
    assert (folder / "copy.bin").read_bytes() == path.read_bytes()

    # Memory that there is already: nothing is copied on the way. A NumPy array will do, too.
    with mmap.mmap(-1, size) as memory, step("get_into  memory"):
        assert store.get_into("data.bin", memory) == size

    # Some bytes of it: one request for ranges that are close to each other, all of the same version.
    with step("get_ranges  a header and an index at the end"):
        header, index = store.get_ranges("data.bin", [slice(0, 64), slice(-64, None)])
    assert (header, index) == (chunk[:64], chunk[-64:])

    # Anything with read(): a pipe, a response, a compressor. Its length need not be known.
    with path.open("rb") as file, step("put       what a file object yields"):
        store.put("stream.bin", file, content_type="application/octet-stream")

    # On the server: nothing passes through here, however large it is.
    with step("copy      on the server"):
        store.copy("data.bin", "copy.bin")
    assert store.stat("copy.bin").metadata == {"made-by": "an example"}

    # For somebody without an account.
    print(f"\n  good for ten minutes: {store.presign('data.bin', expires=600)[:70]}…")


def main() -> int:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/folder/; default: a local server")
    parser.add_argument("--megabytes", type=int, default=40, help="how large; default 40")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.url:
            store = stack.enter_context(s3kv.Store(arguments.url))
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store())
        # A folder of its own, so that nothing that is already there is touched.
        place = store / f"s3kv-example-{secrets.token_hex(4)}/"
        print(f"\n{place!r}\n")
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        tour(place, Path(temporary), arguments.megabytes << 20)
        place.clear()
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
