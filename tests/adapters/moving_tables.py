"""Runs both sides of each line of a table of docs/moving.md; compares the buckets, and what was returned.

In a process of its own, for these libraries start threads that nobody can end:

    python moving_tables.py boto3 ENDPOINT
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3

import s3kv

PAGE = Path(__file__).parents[2] / "docs" / "moving.md"
REGION = "us-east-1"
# Results of these types are compared; the others differ by their nature.
PLAIN = (bytes, int, str, list, dict)


def lines(library: str) -> list[tuple[str, str]]:
    """The table of a library: what is written with it, and here."""
    section = PAGE.read_text(encoding="utf-8").partition(f"| {library} | s3kv |\n|---|---|\n")[2]
    found = []
    for line in section.splitlines():
        cells = re.fullmatch(r"\| `(.+)` \| `(.+)` \|", line)
        if cells is None:
            break
        found.append((cells[1], cells[2]))
    return found


def run(line: str, names: dict[str, Any]) -> Any:
    """The value of an expression; None for a statement."""
    tree = ast.parse(line)
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        return eval(compile(ast.Expression(tree.body[0].value), line, "eval"), names)
    exec(compile(tree, line, "exec"), names)
    return None


def with_boto3(endpoint: str) -> dict[str, Any]:
    """The client, and the module."""
    return {"boto3": boto3, "s3": boto3.client("s3")}


def with_tensorstore(endpoint: str) -> dict[str, Any]:
    """The store, and the module."""
    ts = import_module("tensorstore")
    spec = {
        "driver": "s3",
        "bucket": "my-bucket",
        "endpoint": endpoint,
        "aws_region": REGION,
        "aws_credentials": {"type": "anonymous"},
    }
    kv = ts.KvStore.open(spec).result()
    with s3kv.Store(kv.spec().to_json()) as same:
        assert ts.KvStore.open(same.spec()).result().spec() == kv.spec()
    return {"ts": ts, "kv": kv}


def with_obstore(endpoint: str) -> dict[str, Any]:
    """The store, and the module."""
    obstore, store = import_module("obstore"), import_module("obstore.store")
    bucket = store.S3Store(
        "my-bucket", endpoint=endpoint, region=REGION, client_options={"allow_http": True}
    )
    return {"obstore": obstore, "bucket": bucket}


def with_s3fs(endpoint: str) -> dict[str, Any]:
    """The file system."""
    return {"fs": import_module("s3fs").S3FileSystem(endpoint_url=endpoint)}


OPEN: dict[str, Callable[[str], dict[str, Any]]] = {
    "boto3": with_boto3,
    "TensorStore": with_tensorstore,
    "obstore": with_obstore,
    "s3fs": with_s3fs,
}


def main(library: str, endpoint: str) -> None:
    """Run the table of a library, line by line.

    The buckets ``my-bucket`` and ``our-bucket`` are there, and empty.
    """
    Path("file.txt").write_text("hello")
    theirs_names = OPEN[library](endpoint)
    theirs = s3kv.Store(bucket="my-bucket", endpoint=endpoint, aws_region=REGION)
    ours = s3kv.Store(bucket="our-bucket", endpoint=endpoint, aws_region=REGION)
    compared = 0
    table = lines(library)
    for their_line, our_line in table:
        expected, found = run(their_line, theirs_names), run(our_line, {"s3kv": s3kv, "store": ours})
        if (
            isinstance(expected, PLAIN)
            and type(expected) is type(found)
            and not str(found).startswith("http")
        ):
            assert found == expected, f"{our_line} is {found!r}; {their_line} is {expected!r}"
            compared += 1
        assert dict(ours.items()) == dict(theirs.items()), f"{their_line} does not do what {our_line} does"
    print(f"{len(table)} lines, {compared} results")


if __name__ == "__main__":
    main(*sys.argv[1:])
