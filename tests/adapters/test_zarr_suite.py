"""zarr's own tests of stores hold for ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import s3kv
from s3kv.testing import LocalServer

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

from zarr.core.buffer import Buffer, cpu
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine
from zarr.testing.store import StoreTests

from s3kv.zarr import ZarrStore
from s3kv.zarr.handle import _arrived
from tests.contract.direct import Direct
from tests.servers import ServerInfo


@pytest.fixture
def below(local_server: LocalServer, tmp_path: Path) -> Iterator[s3kv.Store]:
    """Return the store below, at a place of its own."""
    with local_server.store(path=f"{tmp_path.name}/a.zarr/") as store:
        yield store


class TestZarrStore(StoreTests[ZarrStore, cpu.Buffer]):
    """The published suite; what it asks to be done behind the store's back is done without s3kv."""

    store_cls = ZarrStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, below: s3kv.Store) -> dict[str, Any]:
        """Return what the suite makes stores of."""
        return {"store": below}

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> ZarrStore:
        """Return a store that is open."""
        return asyncio.run(ZarrStore.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> ZarrStore:
        """Return a store that nobody has opened."""
        return ZarrStore(**store_kwargs)

    @pytest.fixture(autouse=True)
    def _behind(self, local_server: LocalServer) -> Iterator[None]:
        info = ServerInfo("local", local_server.endpoint, "any key", "any secret")
        self._direct = Direct(info, local_server.bucket)
        yield
        # Of the stores that came in pickles.
        _arrived.cache_clear()

    async def set(self, store: ZarrStore, key: str, value: Buffer) -> None:
        self._direct.put(store.store.path + key, value.to_bytes())

    async def get(self, store: ZarrStore, key: str) -> Buffer:
        answer = self._direct.send("GET", store.store.path + key)
        assert answer.status == 200
        return self.buffer_cls.from_bytes(answer.body)

    def test_store_repr(self, store: ZarrStore) -> None:
        """It says where the store is, and no secret."""
        assert repr(store) == f"ZarrStore({store.store!r})"
        assert repr(store.with_read_only(True)) == f"ZarrStore({store.store!r}, read_only=True)"

    def test_store_supports_writes(self, store: ZarrStore) -> None:
        """It does."""
        assert store.supports_writes
        assert store.supports_deletes

    def test_store_supports_listing(self, store: ZarrStore) -> None:
        """It does."""
        assert store.supports_listing


# Enough for each rule to come a few times; the machines check everything after each of their steps.
_BOUNDED = settings(
    max_examples=4,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_any_sequence_of_steps_leaves_what_a_dict_would_hold(below: s3kv.Store) -> None:
    """Zarr's machine of keys and values."""
    run_state_machine_as_test(lambda: ZarrStoreStateMachine(ZarrStore(below)), settings=_BOUNDED)


# What zarr says of data types that its machine draws.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_any_sequence_of_changes_leaves_the_hierarchy_that_memory_would_hold(below: s3kv.Store) -> None:
    """Zarr's machine of groups and arrays."""
    run_state_machine_as_test(lambda: ZarrHierarchyStateMachine(ZarrStore(below)), settings=_BOUNDED)
