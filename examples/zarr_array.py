"""A zarr array on S3: created, filled, read in part, and listed as the objects that it is.

Without arguments it starts a local S3 server in this process (the extras ``zarr`` and ``server``). With a
folder of a bucket it does the same there, below a name of its own:

    python examples/zarr_array.py
    python examples/zarr_array.py s3://my-bucket/some/folder/
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys

import numpy as np
import zarr

import s3kv
from s3kv.zarr import ZarrStore


def tour(folder: s3kv.Store) -> None:
    """Create a group with an array below ``folder``, and look at it."""
    store = ZarrStore(folder)
    group = zarr.create_group(store, attributes={"made by": "an example"})
    array = group.create_array("temperature", shape=(365, 180, 360), chunks=(73, 90, 90), dtype="f4")
    days = np.arange(365, dtype="f4")
    # Each chunk is an object; ten are on their way at once.
    seasons = 15 + 10 * np.sin(days / 365 * 2 * np.pi)
    array[:] = np.broadcast_to(seasons[:, None, None], array.shape)
    print(f"  written: {array.nchunks_initialized} objects")

    # A reader elsewhere opens it by its path; only the chunks that are asked for are fetched.
    again = zarr.open_array(ZarrStore(folder), path="temperature", mode="r")
    print(f"  mean of one place: {np.asarray(again[:, 90, 180]).mean():.3f}")

    # What there is in the bucket.
    print(f"  objects: {', '.join(folder.list()[:3])}, …")
    print(f"  bytes: {array.nbytes:,} in memory, {array.nbytes_stored():,} in the bucket")

    # A chunk of nothing but the fill value is no object at all.
    array[:73, :90, :90] = array.fill_value
    assert "temperature/c/0/0/0" not in folder


def main() -> int:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/folder/; default: a local server")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.url:
            store = stack.enter_context(s3kv.Store(arguments.url))
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store())
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-example-{secrets.token_hex(4)}.zarr/"
        print(f"\n{folder!r}\n")
        try:
            tour(folder)
        except s3kv.S3KVError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
        finally:
            folder.clear()
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
