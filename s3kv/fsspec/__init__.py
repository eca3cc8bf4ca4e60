"""s3kv as a file system of fsspec: what pandas, pyarrow, Dask and others open ``s3kv://`` URLs with."""

from __future__ import annotations

from .filesystem import S3KVFileSystem

__all__ = ["S3KVFileSystem"]
