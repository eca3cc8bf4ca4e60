"""A computation over a zarr array on S3, spread over the processes of a Dask cluster.

Without arguments everything is on this machine: an S3 server in this process, and a cluster of two workers
(the extras ``zarr`` and ``server``, ``dask[array]`` and ``distributed``). With a folder of a bucket and the
address of a scheduler it does the same there:

    python examples/dask_zarr.py
    python examples/dask_zarr.py s3://my-bucket/some/folder/ --scheduler tcp://10.0.0.1:8786
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.distributed import Client, LocalCluster

import s3kv
from s3kv.zarr import ZarrStore


def tour(client: Any, folder: s3kv.Store) -> None:
    """Write an array, have the workers compute over it, and have them write the result."""
    store = ZarrStore(folder)
    raw = zarr.create_array(store, name="raw", shape=(1200, 1200), chunks=(300, 300), dtype="f8")
    raw[:] = np.add.outer(np.arange(1200.0), np.arange(1200.0))

    # What travels to a worker is the spec of the store; the chunks do not pass through this process.
    x = da.from_zarr(raw)
    mean = x.mean().compute()
    assert mean == 1199.0
    print(f"  mean of {raw.nchunks} chunks: {mean}")

    # Each task writes chunks of its own: Dask's blocks are aligned with zarr's chunks.
    centred = zarr.create_array(store, name="centred", shape=x.shape, chunks=(300, 300), dtype="f8")
    da.store(x - mean, centred, lock=False)
    found = zarr.open_array(store, path="centred", mode="r")
    assert found[0, 0] == -1199.0
    print(f"  written by the workers: {found.nchunks_initialized} chunks")

    # A store is an argument like any other; the worker opens it with connections of its own.
    pid, back = client.submit(lambda store: (os.getpid(), store), store).result()
    assert pid != os.getpid()
    assert back == store
    print("  a worker gave the store back as it came")


def main() -> int:
    """Connect to a cluster and a store as the arguments say, and compute."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/folder/; default: a local server")
    parser.add_argument("--scheduler", help="the address of a Dask scheduler; default: a local cluster")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.url:
            store = stack.enter_context(s3kv.Store(arguments.url))
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store())
        cluster: Any = arguments.scheduler or stack.enter_context(
            LocalCluster(n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=None)
        )
        client = stack.enter_context(Client(cluster))
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-example-{secrets.token_hex(4)}.zarr/"
        print(f"\n{folder!r}\n")
        try:
            tour(client, folder)
        except s3kv.S3KVError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
        finally:
            folder.clear()
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
