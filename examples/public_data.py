"""Look around in public data: no account, no credentials, and only the bytes that are needed.

Without arguments it looks at weather records on a local S3 server in this process (the ``server`` extra).
With the URL of a public folder it looks at that; requests are not signed:

    python examples/public_data.py
    python examples/public_data.py s3://noaa-ghcn-pds/csv/by_year/
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from itertools import islice

import s3kv


def tour(store: s3kv.Store) -> None:
    """See what there is, and read the beginning of some of it."""
    # One level, as in a file manager.
    folders, entries = store.list_dir()
    print(f"  {len(folders)} folders and {len(entries)} objects:")
    for name in folders[:3]:
        print(f"    {name}")
    for entry in entries[:3]:
        print(f"    {entry.key:<24} {entry.size:>14,} bytes  {entry.last_modified:%Y-%m-%d}")

    # All that is below, a page of 1,000 at a time: what is not looked at is not listed.
    some = list(islice(store.scan(), 10_000))
    print(f"\n  the first {len(some):,} objects have {sum(entry.size for entry in some):,} bytes")

    # The beginning of one, and its end, in one go: the rest stays where it is.
    largest = max(some, key=lambda entry: entry.size)
    part = min(60, largest.size)
    head, tail = store.get_ranges(largest.key, [slice(0, part), slice(largest.size - part, None)])
    print(f"\n  {largest.key} begins with\n    {head!r}\n  and ends with\n    {tail!r}")

    # Whole objects, as many at once as may be; each is handed out as soon as it is there.
    small = [entry.key for entry in some if 0 < entry.size < 10_000][:20]
    total = sum(len(value) for _, value in store.iter_many(small))
    print(f"\n  {len(small)} small ones, read in parallel: {total:,} bytes")

    # Typed wrongly? That is an error, never an empty answer.
    try:
        store["no-such-key"]
    except s3kv.KeyNotFound as error:
        print(f"\n  no-such-key: {error.code}")
    except s3kv.PermissionDenied as error:
        # S3 says this in place of "not found" to whoever may not list the bucket.
        print(f"\n  no-such-key: {error.code}")


def fill(store: s3kv.Store) -> None:
    """What somebody has published: a file for each year, and one for each station."""
    lines = [f"ST{number % 90:04d},{1900 + number % 90},TMAX,{number % 40}\n" for number in range(9000)]
    years = {f"{year}.csv": "".join(lines[: 10 * (year - 1899)]).encode() for year in range(1900, 1990)}
    store.put_many(years)
    store.put_many((f"stations/ST{number:04d}.txt", b"somewhere\n" * 20) for number in range(90))


def main() -> int:
    """Open a store without credentials, and look around."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "url", nargs="?", help="s3://bucket/folder/ that is public; default: a local server"
    )
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.url:
            # Nothing looks for credentials, and nothing is signed.
            store = stack.enter_context(s3kv.Store(arguments.url, aws_credentials={"type": "anonymous"}))
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store(path="csv/"))
            fill(store)
        print(f"\n{store!r}\n")
        try:
            tour(store)
        except s3kv.S3KVError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
