"""The tables of docs/moving.md: both sides of each line do the same, as far as the library is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from s3kv.testing import LocalServer

SCRIPT = Path(__file__).with_name("moving_tables.py")
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def buckets(local_server: LocalServer) -> Iterator[str]:
    """The endpoint of a server with two empty buckets, theirs and ours."""
    s3 = boto3.client(
        "s3",
        endpoint_url=local_server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    for name in ("my-bucket", "our-bucket"):
        s3.create_bucket(Bucket=name, ACL="public-read-write")
    yield local_server.endpoint
    for name in ("my-bucket", "our-bucket"):
        keys = [{"Key": found["Key"]} for found in s3.list_objects_v2(Bucket=name).get("Contents", [])]
        if keys:
            s3.delete_objects(Bucket=name, Delete={"Objects": keys})
        s3.delete_bucket(Bucket=name)
    s3.close()


@pytest.mark.parametrize(
    ("library", "module", "lines", "results"),
    [
        ("boto3", "boto3", 21, 8),
        ("TensorStore", "tensorstore", 15, 9),
        ("obstore", "obstore", 13, 5),
        ("s3fs", "s3fs", 16, 7),
    ],
)
def test_both_sides_do_the_same(
    library: str, module: str, lines: int, results: int, buckets: str, tmp_path: Path
) -> None:
    """What they leave in the bucket, and what they return where that can be compared."""
    pytest.importorskip(module, reason=f"{library} is not part of the test extra")
    done = subprocess.run(
        [sys.executable, SCRIPT, library, buckets],
        cwd=tmp_path,
        env={**os.environ, **VARIABLES, "AWS_ENDPOINT_URL_S3": buckets},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found_lines, found_results = (int(word) for word in done.stdout.split() if word.isdigit())
    assert found_lines == lines
    assert found_results >= results
