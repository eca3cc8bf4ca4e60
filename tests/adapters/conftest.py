"""What the tests of the adapters have in common: a server, coroutines as tests, no loop left running."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import Iterator

import pytest

from s3kv.testing import LocalServer


@pytest.fixture(scope="session")
def local_server(_no_configuration_of_this_machine: None) -> Iterator[LocalServer]:
    """Run an S3 server in this process; each test uses a path of its own."""
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _cheap_collections() -> Iterator[None]:
    """Leave what exists already, large libraries, out of the collections after each test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function, in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def _no_loop_of_zarr() -> Iterator[None]:
    """End the thread of zarr's own event loop; the next call of zarr's starts another."""
    yield
    zarr_sync = sys.modules.get("zarr.core.sync")
    if zarr_sync is not None:
        zarr_sync.cleanup_resources()
