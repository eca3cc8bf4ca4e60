"""The main job of s3kv in one page: put, get, list and delete objects.

Without arguments it starts a local S3 server in this process (the ``server`` extra). With a bucket it
does the same there:

    python examples/quickstart.py
    python examples/quickstart.py s3://my-bucket/some/folder/
    python examples/quickstart.py --endpoint http://127.0.0.1:9000 --bucket my-bucket
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import time
from collections.abc import Iterator

import s3kv


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    started = time.perf_counter()
    yield
    print(f"  {what:<58} {(time.perf_counter() - started) * 1000:8.1f} ms")


def tour(store: s3kv.Store) -> None:
    """Put, get, list, stat and delete a few objects below ``store``."""
    with step("put      'greeting.txt'"):
        stamp = store.put("greeting.txt", b"hello, S3", content_type="text/plain")
    with step("get      'greeting.txt'"):
        value = store.get("greeting.txt")
    assert value == b"hello, S3"
    with step("get      its last two bytes"):
        assert store.get("greeting.txt", byte_range=slice(-2, None)) == b"S3"
    with step("stat     'greeting.txt'"):
        info = store.stat("greeting.txt")
    assert info.size == 9
    assert info.etag == stamp.generation
    with step("put      100 objects of 4 KB"):
        for number in range(100):
            store[f"data/{number:03d}"] = secrets.token_bytes(4096)
    with step("list     'data/'"):
        keys = store.list("data/")
    assert len(keys) == 100
    with step("get      100 objects of 4 KB"):
        total = sum(len(store[key]) for key in keys)
    assert total == 100 * 4096
    with step("list_dir the top level"):
        folders, entries = store.list_dir()
    assert folders == ["data/"]
    assert [entry.key for entry in entries] == ["greeting.txt"]
    with step("delete   everything"):
        store.clear()
    with step("check    that a missing key is an error of its own"):
        try:
            store["greeting.txt"]
        except s3kv.KeyNotFound as error:
            refused = error
    print(f"\n  the error reads: {refused}")


def main() -> int:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/path; default: a local server")
    parser.add_argument("--endpoint", help="the URL of an S3-compatible store")
    parser.add_argument("--bucket", help="the bucket, with --endpoint")
    parser.add_argument("--region", help="the bucket's region")
    arguments = parser.parse_args()
    members = {
        "bucket": arguments.bucket,
        "endpoint": arguments.endpoint,
        "aws_region": arguments.region,
    }
    members = {name: value for name, value in members.items() if value is not None}
    with contextlib.ExitStack() as stack:
        if arguments.url or members:
            store = stack.enter_context(s3kv.Store(arguments.url, **members))
        else:
            from s3kv.testing import LocalServer

            with step("start a local S3 server"):
                server = stack.enter_context(LocalServer())
            store = stack.enter_context(server.store())
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-quickstart-{secrets.token_hex(4)}/"
        print(f"\n{folder!r}\n")
        try:
            tour(folder)
        except s3kv.S3KVError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
