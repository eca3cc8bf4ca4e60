"""pytest's plugin: fixtures for tests of code that uses s3kv. pytest finds it by itself.

The fixtures need the ``server`` extra. Nothing is loaded or started before a test asks for one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..store import Store
    from .fault_proxy import FaultProxy
    from .local_server import LocalServer


@pytest.fixture(scope="session")
def s3kv_server() -> Iterator[LocalServer]:
    """A local S3 server (s3kv.testing.LocalServer), started once for all tests that want it."""
    from .local_server import LocalServer

    with LocalServer() as server:
        yield server


@pytest.fixture
def s3kv_store(s3kv_server: LocalServer) -> Iterator[Store]:
    """An empty s3kv.Store on the local server, for one test alone: it has a path of its own."""
    path = f"test-{secrets.token_hex(8)}/"
    with s3kv_server.store(path=path) as store:
        yield store
    # Another one, for the test may have closed its own.
    with s3kv_server.store(path=path) as store:
        store.clear()


@pytest.fixture
def s3kv_faults(s3kv_store: Store) -> Iterator[FaultProxy]:
    """A proxy (s3kv.testing.FaultProxy): its store() is s3kv_store with what inject() has go wrong."""
    from .fault_proxy import FaultProxy

    with FaultProxy(s3kv_store) as proxy:
        yield proxy
