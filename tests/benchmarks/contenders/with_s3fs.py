"""s3fs: fsspec over aiobotocore, by its blocking methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..task import REGION, Task
from .ways import Way

PACKAGE = "s3fs"


def _filesystem(task: Task) -> Any:
    """A file system that remembers no listing."""
    import s3fs

    place = task.place
    client = {"region_name": REGION, **({"verify": place.ca_file} if place.ca_file else {})}
    return s3fs.S3FileSystem(
        key=place.access_key,
        secret=place.secret_key,
        endpoint_url=place.endpoint,
        client_kwargs=client,
        config_kwargs={"max_pool_connections": max(128, task.limit)},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _get(task: Task) -> Callable[[str], bytes]:
    fs, bucket = _filesystem(task), task.place.bucket
    return lambda key: bytes(fs.cat_file(f"{bucket}/{key}"))


def _get_into(task: Task) -> Callable[[str, bytearray], None]:
    """It has no such call that is faster: read, then copy."""
    get = _get(task)

    def get_into(key: str, buffer: bytearray) -> None:
        buffer[:] = get(key)

    return get_into


def _get_many(task: Task, batch: int) -> Callable[[Sequence[str]], dict[str, bytes]]:
    fs, bucket = _filesystem(task), task.place.bucket
    skip = len(bucket) + 1

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        found = fs.cat([f"{bucket}/{key}" for key in keys], batch_size=batch)
        return {path[skip:]: value for path, value in found.items()}

    return get_many


def _list(task: Task) -> Callable[[], list[str]]:
    fs, bucket = _filesystem(task), task.place.bucket
    skip = len(bucket) + 1
    return lambda: [path[skip:] for path in fs.find(bucket)]


def _put(task: Task) -> Callable[[str, bytes], object]:
    fs, bucket = _filesystem(task), task.place.bucket
    return lambda key, value: fs.pipe_file(f"{bucket}/{key}", value)


def _put_many(task: Task, batch: int) -> Callable[[Mapping[str, bytes]], object]:
    fs, bucket = _filesystem(task), task.place.bucket
    return lambda items: fs.pipe(
        {f"{bucket}/{key}": value for key, value in items.items()}, batch_size=batch
    )


WAYS = {
    "get": [Way("cat_file", _get)],
    "get_large": [Way("cat_file", _get)],
    "get_into": [Way("cat_file, copy", _get_into)],
    "get_many": [
        Way("cat, 32 at a time", partial(_get_many, batch=32)),
        Way("cat, 128 at a time", partial(_get_many, batch=128)),
    ],
    "list": [Way("find", _list)],
    "put_large": [Way("pipe_file", _put)],
    "put_many": [Way("pipe, 32 at a time", partial(_put_many, batch=32))],
}
