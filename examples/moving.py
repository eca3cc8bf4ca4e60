"""What you write with boto3, TensorStore or s3fs, and with s3kv: equivalents, tried as they are printed.

Both sides of each line work on the same bucket of a local S3 server in this process (the ``server`` extra),
and must return the same. Of TensorStore and s3fs, what is not installed is left out. docs/moving.md has
more of them, and what is different.

    python examples/moving.py
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import boto3

from s3kv.testing import LocalServer

BOTO3 = {
    "s3.put_object(Bucket=bucket, Key='a', Body=b'1')['ETag']": "store.put('a', b'1').generation",
    "s3.get_object(Bucket=bucket, Key='a')['Body'].read()": "store['a']",
    "s3.get_object(Bucket=bucket, Key='ten', Range='bytes=5-9')['Body'].read()": (
        "store.get('ten', byte_range=slice(5, 10))"
    ),
    "s3.head_object(Bucket=bucket, Key='ten')['ContentLength']": "store.stat('ten').size",
    "[found['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket)"
    " for found in page['Contents']]": "store.list()",
    "s3.copy_object(Bucket=bucket, Key='b', CopySource={'Bucket': bucket, 'Key': 'a'})"
    "['CopyObjectResult']['ETag']": "store.copy('a', 'b').generation",
    "len(s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'a'}]})['Deleted'])": (
        "store.delete_many(['a'])"
    ),
}
TENSORSTORE = {
    "kv.write('a', b'1').result().generation[1:].decode()": "store.write('a', b'1').generation",
    "kv.read('a').result().value": "store.read('a').value",
    "kv['a']": "store['a']",
    "kv.read('missing').result().state": "store.read('missing').state",
    "sorted(key.decode() for key in kv.list().result())": "store.list()",
    "(kv / 'sub/').path": "(store / 'sub/').path",
}
S3FS = {
    "fs.cat(f'{bucket}/ten')": "store['ten']",
    "fs.cat_file(f'{bucket}/ten', start=-3)": "store.get('ten', byte_range=slice(-3, None))",
    "fs.info(f'{bucket}/ten')['size']": "store.stat('ten').size",
    "fs.exists(f'{bucket}/missing')": "'missing' in store",
    "fs.find(bucket)": "[f'{bucket}/{key}' for key in store.list()]",
    "fs.cat([f'{bucket}/ten'])": "{f'{bucket}/{k}': v for k, v in store.get_many(['ten']).items()}",
}


def compare(name: str, table: dict[str, str], **names: Any) -> None:
    """Try both sides of each line, and print them."""
    print(f"\n{name}")
    for theirs, ours in table.items():
        found, expected = eval(ours, names), eval(theirs, names)
        if found != expected:
            raise SystemExit(f"{ours} is {found!r}, but {theirs} is {expected!r}")
        print(f"  {theirs}\n      s3kv: {ours}")


def main() -> int:
    """Go through the tables, with a bucket and each of the clients."""
    with LocalServer() as server, server.store() as store:
        common = {"store": store, "bucket": server.bucket}
        store["ten"] = b"0123456789"

        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        compare("boto3", BOTO3, s3=s3, **common)
        s3.close()

        if find_spec("tensorstore"):
            # The spec is the same: store.spec() opens in TensorStore what it opens here.
            kv = import_module("tensorstore").KvStore.open(store.spec()).result()
            compare("TensorStore", TENSORSTORE, kv=kv, **common)

        if find_spec("s3fs"):
            fs = import_module("s3fs").S3FileSystem(anon=True, endpoint_url=server.endpoint)
            compare("s3fs", S3FS, fs=fs, **common)
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
