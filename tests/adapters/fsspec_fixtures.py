"""What the tests of the file system start from: one on a server in this process, and a place in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import FaultProxy, LocalServer

_numbers = itertools.count(1)


def storage_options(server: LocalServer | FaultProxy) -> dict[str, Any]:
    """Return what ``storage_options`` has to be for a server's bucket."""
    return {name: value for name, value in server.spec.items() if name not in ("driver", "bucket")}


def opened(options: dict[str, Any]) -> Iterator[S3KVFileSystem]:
    """Yield a file system, and close it."""
    made = S3KVFileSystem(**options)
    yield made
    made.close()
    S3KVFileSystem.clear_instance_cache()


@pytest.fixture
def options(local_server: LocalServer) -> dict[str, Any]:
    """Return the storage options for the local server."""
    return storage_options(local_server)


@pytest.fixture
def fs(options: dict[str, Any]) -> Iterator[S3KVFileSystem]:
    """Return a file system on the local server, closed at the end of the test."""
    yield from opened(options)


@pytest.fixture
def place(local_server: LocalServer) -> str:
    """Return the path of a folder that only this test uses."""
    return f"{local_server.bucket}/fsspec-{next(_numbers)}"


@pytest.fixture
def behind(local_server: LocalServer, place: str) -> Iterator[s3kv.Store]:
    """Return a store on the same folder: what looks at the objects, and changes them, behind the back."""
    with local_server.store(path=place.partition("/")[2] + "/") as store:
        yield store


@pytest.fixture
def proxy(local_server: LocalServer) -> Iterator[FaultProxy]:
    """Return a proxy in front of the local server, which tells what was asked for."""
    with FaultProxy(local_server) as running:
        yield running


@pytest.fixture
def proxied(proxy: FaultProxy) -> Iterator[S3KVFileSystem]:
    """Return a file system on the local server whose requests go through the proxy."""
    quick = {"max_retries": 2, "initial_delay": "1ms", "max_delay": "2ms"}
    yield from opened({**storage_options(proxy), "s3_request_retries": quick})


def asked(proxy: FaultProxy) -> list[str]:
    """Return S3's names of what was asked for so far."""
    return [request.operation for request in proxy.requests]
