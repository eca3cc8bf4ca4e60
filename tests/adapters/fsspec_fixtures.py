"""What the tests of the file system start from: one on a server in this process, and a place in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import LocalServer

# As the installed package's entry point does.
fsspec.register_implementation("s3kv", S3KVFileSystem, clobber=True)

_numbers = itertools.count(1)


def storage_options(server: LocalServer) -> dict[str, Any]:
    """Return what ``storage_options`` has to be for a server's bucket."""
    return {name: value for name, value in server.spec.items() if name not in ("driver", "bucket")}


@pytest.fixture
def options(local_server: LocalServer) -> dict[str, Any]:
    """Return the storage options for the local server."""
    return storage_options(local_server)


@pytest.fixture
def fs(options: dict[str, Any]) -> Iterator[S3KVFileSystem]:
    """Return a file system on the local server, closed at the end of the test."""
    made = S3KVFileSystem(**options)
    yield made
    made.close()
    S3KVFileSystem.clear_instance_cache()


@pytest.fixture
def place(local_server: LocalServer) -> str:
    """Return the path of a folder that only this test uses."""
    return f"{local_server.bucket}/fsspec-{next(_numbers)}"


@pytest.fixture
def store(local_server: LocalServer, place: str) -> Iterator[Any]:
    """Return a store on the same folder, to look at what the file system did, and to do things behind it."""
    with local_server.store(path=place.partition("/")[2] + "/") as opened:
        yield opened
