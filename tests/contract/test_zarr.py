"""Arrays of zarr on every server."""

from __future__ import annotations

from typing import Any

import pytest

import s3kv

pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")

import numpy as np
import zarr
from zarr.core.sync import cleanup_resources

from s3kv.zarr import ZarrStore


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_is_read_as_it_was_written(store: s3kv.Store, zarr_format: Any) -> None:
    """In chunks and, where the format has them, in shards; one chunk deleted, one group emptied."""
    try:
        group = zarr.open_group(ZarrStore(store), mode="w", zarr_format=zarr_format)
        shards = {"shards": (4, 4)} if zarr_format == 3 else {}
        array = group.create_array("a/b", shape=(8, 8), chunks=(2, 2), dtype="i4", fill_value=-1, **shards)
        data = np.arange(64).reshape(8, 8)
        array[:] = data
        data[:4, :4] = array[:4, :4] = -1
        again = zarr.open_group(ZarrStore(store.with_timeout(60)), mode="r")["a/b"]
        assert (again[:] == data).all()
        assert (again[3:7, 5] == data[3:7, 5]).all()
        assert [name for name, _ in group.members(max_depth=None)] == ["a", "a/b"]
        zarr.open_group(ZarrStore(store), mode="w", zarr_format=zarr_format)
        # Of the array nothing is left; folders may be, on servers that keep empty ones.
        assert {key for key in store.list() if not key.endswith("/")} <= {"zarr.json", ".zgroup", ".zattrs"}
    finally:
        cleanup_resources()
