"""Many objects at once: written, read, found missing and deleted in batches.

Without arguments it starts a local S3 server in this process (the ``server`` extra), as slow to answer as
one that is 20 ms away. With a folder of a bucket it does the same there, below a name of its own:

    python examples/batches.py
    python examples/batches.py s3://my-bucket/some/folder/
"""

from __future__ import annotations

import argparse
import contextlib
import json
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


def results() -> Iterator[tuple[str, bytes]]:
    """Somebody computes them one by one; they need not all be in memory."""
    for number in range(100):
        yield f"results/{number:04d}.json", json.dumps({"run": number, "loss": 1 / (number + 1)}).encode()


def tour(store: s3kv.Store) -> None:
    """Write many objects below ``store``, and work with all of them."""
    with step("put_many       100 objects, as they are computed"):
        stamps = store.put_many(results())
    assert len(stamps) == 100
    keys = sorted(stamps)
    with step("get            20 of them, one after the other"):
        for key in keys[:20]:
            store.get(key)
    with step("get_many       all 100, 32 at a time"):
        values = store.get_many(keys)
    assert sorted(values) == keys

    with step("iter_many      all 100, each as soon as it is there"):
        best = min(json.loads(value)["loss"] for _, value in store.iter_many(keys))
    assert best == 1 / 100

    # The rest is done even when something fails; the error has both.
    with step("get_many       three, one of which is missing"):
        try:
            store.get_many(["results/0000.json", "results/0001.json", "results/9999.json"])
        except s3kv.BatchError as error:
            print(f"  {len(error.results)} were read, and {list(error.errors)} failed:")
    assert store.get_many(["results/9999.json"], on_missing="skip") == {}

    # A future for each.
    with step("futures        20 sizes"):
        pending = [store.futures.stat(key) for key in keys[:20]]
        sizes = [future.result().size for future in pending]
    assert sizes == [len(values[key]) for key in keys[:20]]
    with step("delete_range   the first ten"):
        gone = store.delete_range(s3kv.KeyRange("results/0000", "results/0010"))
    assert gone == 10
    with step("delete_prefix  all the others, up to 1,000 in one request"):
        gone = store.delete_prefix("results/")
    assert gone == 90


def main() -> int:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/folder/; default: a local server")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.url:
            store = stack.enter_context(s3kv.Store(arguments.url))
        else:
            from s3kv.testing import Delay, FaultProxy, LocalServer

            proxy = stack.enter_context(FaultProxy(stack.enter_context(LocalServer())))
            proxy.inject(Delay(0.02), times=None)
            store = proxy.store()
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-example-{secrets.token_hex(4)}/"
        print(f"\n{folder!r}\n")
        tour(folder)
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
