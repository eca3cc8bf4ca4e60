"""Tables: pandas, pyarrow and Dask read and write them through the file system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import dask
import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from s3kv.fsspec import S3KVFileSystem
from tests.adapters.fsspec_fixtures import behind, fs, options, place, proxied, proxy

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]


@pytest.fixture(autouse=True)
def _known(fs: S3KVFileSystem) -> Iterator[None]:
    """Have the protocol known, installed or not; ``fs`` closes the connections of all."""
    fsspec.register_implementation("s3kv", S3KVFileSystem, clobber=True)
    yield
    # pyarrow's threads stay as long as the process, and are seen when they have called Python.
    for thread in threading.enumerate():
        if isinstance(thread, threading._DummyThread):
            threading._active.pop(thread.ident)


@pytest.fixture
def table() -> Any:
    """Return a small table."""
    return pd.DataFrame({"number": range(100), "letter": list("abcd") * 25})


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "json", "feather", "pickle"])
def test_pandas_reads_what_it_wrote(table: Any, options: dict[str, Any], place: str, kind: str) -> None:
    """By URL and storage options, in every format of a file."""
    url = f"s3kv://{place}/table.{kind}"
    how = kind.partition(".")[0]
    more = {"index": False} if how == "csv" else {}
    getattr(table, f"to_{how}")(url, storage_options=options, **more)
    pd.testing.assert_frame_equal(getattr(pd, f"read_{how}")(url, storage_options=options), table)


def test_pandas_reads_only_the_columns_and_rows_that_are_wanted(
    table: Any, options: dict[str, Any], place: str
) -> None:
    """Of a partitioned table, too."""
    url = f"s3kv://{place}/partitioned"
    table.to_parquet(url, partition_cols=["letter"], storage_options=options)
    found = pd.read_parquet(
        url, storage_options=options, filters=[("letter", "=", "b")], columns=["number"]
    )
    assert list(found.number) == list(range(1, 100, 4))
    assert len(pd.read_parquet(url, storage_options=options)) == 100


def test_pyarrow_writes_and_reads_datasets(fs: S3KVFileSystem, table: Any, place: str) -> None:
    """With its own threads; what is there may be replaced."""
    arrow = pa.Table.from_pandas(table)
    for behaviour in ("error", "delete_matching", "overwrite_or_ignore"):
        ds.write_dataset(
            arrow,
            f"{place}/set",
            filesystem=fs,
            format="parquet",
            partitioning=["letter"],
            partitioning_flavor="hive",
            existing_data_behavior=behaviour,
        )
    found = ds.dataset(f"{place}/set", filesystem=fs, partitioning="hive")
    assert len(found.files) == 4
    assert found.to_table(filter=ds.field("letter") == "c").num_rows == 25
    with pytest.raises(pa.ArrowInvalid, match="not empty"):
        ds.write_dataset(arrow, f"{place}/set", filesystem=fs, format="parquet")
    pq.write_table(arrow, f"{place}/one.parquet", filesystem=fs)
    assert pq.read_table(f"{place}/one.parquet", filesystem=fs).equals(arrow)


def test_pyarrow_sees_a_file_system(fs: S3KVFileSystem, place: str) -> None:
    """Files, folders, times, copies, moves and deletions."""
    arrow = pafs.PyFileSystem(pafs.FSSpecHandler(fs))
    fs.pipe({f"{place}/a": b"1", f"{place}/d/b": b"22"})
    one, folder, none = arrow.get_file_info([f"{place}/{name}" for name in ("a", "d", "none")])
    assert (one.type, one.size, one.mtime) == (pafs.FileType.File, 1, fs.modified(f"{place}/a"))
    assert (folder.type, none.type) == (pafs.FileType.Directory, pafs.FileType.NotFound)
    below = arrow.get_file_info(pafs.FileSelector(place, recursive=True))
    assert sorted(info.path for info in below) == [f"{place}/{name}" for name in ("a", "d", "d/b")]
    arrow.create_dir(f"{place}/new")
    arrow.copy_file(f"{place}/a", f"{place}/c")
    arrow.move(f"{place}/d", f"{place}/e")
    with arrow.open_append_stream(f"{place}/c") as stream:
        stream.write(b"2")
    with arrow.open_input_file(f"{place}/c") as file:
        assert file.read_at(1, 1) == b"2"
    with pytest.raises(IsADirectoryError):
        arrow.delete_file(f"{place}/e")
    arrow.delete_file(f"{place}/a")
    arrow.delete_dir(f"{place}/e")
    assert fs.find(place) == [f"{place}/c"]
    arrow.delete_dir_contents(place)
    assert fs.find(place) == []


@pytest.mark.filterwarnings("ignore")
def test_dask_reads_and_writes_many_files(table: Any, options: dict[str, Any], place: str) -> None:
    """Each partition is one; that Dask is not up to the newest pandas is not looked at here."""
    url = f"s3kv://{place}/dask"
    with dask.config.set(scheduler="synchronous"):
        dd.from_pandas(table, npartitions=3).to_parquet(url, storage_options=options)
        found = dd.read_parquet(url, storage_options=options)
        assert found.npartitions == 3
        assert int(found.number.sum().compute()) == sum(range(100))
        # This looks at the files' footers only.
        assert len(found) == 100
