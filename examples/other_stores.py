"""MinIO, Ceph, Cloudflare R2 and others: opened by their endpoint, and tried for what they promise.

Without arguments it does so with a local S3 server in this process (the ``server`` extra). With an endpoint
it does the same there, below a name of its own; the keys are those that boto3 would find:

    python examples/other_stores.py
    AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \\
        python examples/other_stores.py --endpoint http://127.0.0.1:9000 --bucket my-bucket
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
from typing import Any

import s3kv

# What it takes to open a bucket elsewhere.
KNOWN: dict[str, dict[str, Any]] = {
    "MinIO": {"endpoint": "http://127.0.0.1:9000"},
    "Ceph RADOS Gateway": {"endpoint": "http://127.0.0.1:7480"},
    "SeaweedFS": {"endpoint": "http://127.0.0.1:8333"},
    "Cloudflare R2": {"endpoint": "https://<account>.r2.cloudflarestorage.com", "aws_region": "auto"},
    "Backblaze B2": {"endpoint": "https://s3.<region>.backblazeb2.com", "aws_region": "<region>"},
    # Two buckets of one name, as a gateway may have for two customers: the Host header tells which.
    "a virtual host": {"endpoint": "http://127.0.0.1:8080", "host_header": "my-bucket.s3.example.com"},
}


def tour(store: s3kv.Store) -> None:
    """Use the store as any other, and find out where it is not like Amazon's."""
    store["a.txt"] = b"hello"
    assert store["a.txt"] == b"hello"
    assert store.list() == ["a.txt"]
    print("  put, get, list: as everywhere\n")

    # What does it make of conditions? Those that ignore them may lose an update when two write at once.
    report = store.doctor(write=True)
    for check in report:
        print(f"  {check.outcome:<8} {check.name:<24} {check.detail}")
        if check.advice:
            print(f"  {'':<8} {'':<24} -> {check.advice}")

    # Keys that only some stores keep as they are: on disk, they would be folders or not be allowed.
    unusual = ["a//b", "x/../y", "ends/", "a\\b", "ключ", "🔑"]
    kept = []
    for key in unusual:
        with contextlib.suppress(s3kv.S3KVError):
            store[key] = key.encode()
            if store.list(key) == [key]:
                kept.append(key)
    print(f"\n  of {len(unusual)} unusual keys it keeps {len(kept)}: {kept}")


def main() -> int:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", help="the URL of an S3-compatible store; default: a local server")
    parser.add_argument("--bucket", help="the bucket, unless the endpoint names it")
    parser.add_argument("--region", help="what to sign for, where the store wants a certain one")
    arguments = parser.parse_args()
    print()
    for name, members in KNOWN.items():
        shown = ", ".join(f"{member}={value!r}" for member, value in members.items())
        print(f"  {name + ':':<20} s3kv.Store(bucket=…, {shown})")
    with contextlib.ExitStack() as stack:
        if arguments.endpoint:
            store = stack.enter_context(
                s3kv.Store(
                    bucket=arguments.bucket, endpoint=arguments.endpoint, aws_region=arguments.region
                )
            )
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store())
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-example-{secrets.token_hex(4)}/"
        print(f"\n{folder!r}\n")
        try:
            tour(folder)
            folder.clear()
        except s3kv.S3KVError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
