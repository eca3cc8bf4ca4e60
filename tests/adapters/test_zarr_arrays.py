"""Arrays and groups in both formats of zarr: what zarr does with a store holds on ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv.testing import LocalServer

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

import numpy as np
import zarr
from zarr.api import asynchronous

from s3kv.zarr import ZarrStore
from tests.adapters.zarr_scripts import serving

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
DATA = np.arange(60, dtype="i4").reshape(6, 10)


@pytest.fixture
def store(local_server: LocalServer, tmp_path: Path) -> Iterator[ZarrStore]:
    """Return a store at a place of its own."""
    with local_server.store(path=f"{tmp_path.name}.zarr") as below:
        yield ZarrStore(below)


@FORMATS
def test_an_array_is_what_was_written(store: ZarrStore, zarr_format: Any) -> None:
    """Compressed, in chunks that do not fit, changed in part, opened again by somebody else."""
    array = zarr.create_array(store, shape=(6, 10), chunks=(4, 3), dtype="i4", zarr_format=zarr_format)
    array[:] = DATA
    array[2:5, 1:9:2] = -1
    expected = DATA.copy()
    expected[2:5, 1:9:2] = -1
    assert (zarr.open_array(ZarrStore(store.store), mode="r")[:] == expected).all()
    assert zarr.open_array(store)[3, 4] == expected[3, 4]


@FORMATS
def test_a_group_has_its_members_and_attributes(store: ZarrStore, zarr_format: Any) -> None:
    """Also by consolidated metadata, and without the ones that were deleted."""
    group = zarr.open_group(store, mode="w", zarr_format=zarr_format)
    group.attrs["of"] = "group"
    group.create_group("inner").create_array("x", shape=(3,), dtype="u1")[:] = 5
    group.create_array("y", shape=(2,), dtype="u1")
    group.create_group("gone").create_array("z", shape=(2,), dtype="u1")[:] = 1
    del group["gone"]
    again = zarr.open_group(store, mode="r")
    assert again.attrs["of"] == "group"
    assert sorted(name for name, _ in again.members(max_depth=None)) == ["inner", "inner/x", "y"]
    # Of format 3, zarr says that consolidated metadata are not part of it yet.
    with pytest.warns(Warning, match="onsolidated") if zarr_format == 3 else contextlib.nullcontext():
        zarr.consolidate_metadata(store)
    consolidated = zarr.open_consolidated(store)
    assert sorted(consolidated.keys()) == ["inner", "y"]
    assert consolidated["inner/x"][:].tolist() == [5] * 3  # type: ignore[index]


def test_modes_do_what_zarr_says(store: ZarrStore) -> None:
    """What is there is kept by "a", refused by "w-", replaced by "w", and read-only by "r"."""
    with pytest.raises(FileNotFoundError):
        zarr.open_group(store, mode="r")
    zarr.open_group(store, mode="a").create_array("x", shape=(2,), dtype="u1")[:] = 1
    zarr.open_group(store, mode="a")
    with pytest.raises(FileExistsError):
        zarr.open_group(store, mode="w-")
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_group(store, mode="r").create_group("y")
    zarr.open_group(store, mode="w")
    assert store.store.list() == ["zarr.json"]


def test_a_chunk_of_nothing_but_fill_values_is_deleted(store: ZarrStore) -> None:
    """Unless zarr is told to write it; it reads the same either way."""
    shape: Any = {"shape": (4,), "chunks": (2,), "dtype": "u1", "fill_value": 9}
    array = zarr.create_array(store, **shape)
    array[:] = 1
    assert store.store.list("c/") == ["c/0", "c/1"]
    array[:2] = 9
    assert store.store.list("c/") == ["c/1"]
    assert array[:].tolist() == [9, 9, 1, 1]
    assert array.nchunks_initialized == 1
    kept = zarr.create_array(store, **shape, overwrite=True, config={"write_empty_chunks": True})
    kept[:] = 9
    assert store.store.list("c/") == ["c/0", "c/1"]
    assert kept.nbytes_stored() == sum(entry.size for entry in store.store.scan())


def test_a_chunk_in_a_shard_is_read_alone() -> None:
    """By the shard's index and one range; never the whole shard."""
    memory: dict[str, Any] = {}
    array = zarr.create_array(
        memory, shape=(4096,), chunks=(64,), shards=(4096,), dtype="u4", compressors=None
    )
    array[:] = np.arange(4096)
    objects = {key: value.to_bytes() for key, value in memory.items()}
    with serving(objects) as (store, server):
        array = zarr.open_array(store, mode="r")
        before = len(server.requests)
        assert array[130:140].tolist() == list(range(130, 140))
        asked = [request.header("range") for request in server.requests[before:]]
        assert len(asked) == 2
        assert all(asked)
        assert asked[1] == "bytes=512-767"
        assert (array[:] == np.arange(4096)).all()


def test_zarrs_asynchronous_functions_use_it_in_the_callers_loop(store: ZarrStore) -> None:
    """And the blocking ones see what they wrote."""

    async def write() -> None:
        array = await asynchronous.create_array(store, shape=(6, 10), chunks=(2, 5), dtype="i4")
        await array.setitem(slice(None), DATA)
        found = await array.getitem((slice(1, 3), slice(None)))
        assert (np.asarray(found) == DATA[1:3]).all()

    asyncio.run(write())
    assert (zarr.open_array(store)[:] == DATA).all()


def test_a_store_with_a_timeout_reads_and_writes(store: ZarrStore) -> None:
    """Which bounds each operation, not all of them."""
    slow = ZarrStore(store.store.with_timeout(30))
    array = zarr.create_array(slow, shape=(6, 10), chunks=(2, 5), dtype="i4")
    array[:] = DATA
    assert (array[:] == DATA).all()
    assert isinstance(slow.store, s3kv.Store)
