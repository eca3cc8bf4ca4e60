"""tensorstore: futures of its C++ client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..task import REGION, Task
from .ways import Way

PACKAGE = "tensorstore"


def _store(task: Task, limit: int | None = None, http_threads: int | None = None) -> Any:
    """A store with room for ``limit`` requests at a time, by default what the row says."""
    place = task.place
    if place.ca_file:
        os.environ["TENSORSTORE_CA_BUNDLE"] = place.ca_file
    if http_threads:
        os.environ["TENSORSTORE_HTTP_THREADS"] = str(http_threads)
    import tensorstore

    spec = {
        "driver": "s3",
        "bucket": place.bucket,
        "endpoint": place.endpoint,
        "aws_region": REGION,
        "aws_credentials": {"type": "environment"},
        "s3_request_concurrency": {"limit": limit or task.limit},
    }
    return tensorstore.KvStore.open(spec).result()


def _get(task: Task) -> Callable[[str], bytes]:
    read = _store(task).read
    return lambda key: bytes(read(key).result().value)


def _get_into(task: Task) -> Callable[[str, bytearray], None]:
    """It has no such call: read, then copy."""
    read = _store(task).read

    def get_into(key: str, buffer: bytearray) -> None:
        buffer[:] = read(key).result().value

    return get_into


def _get_many(
    task: Task, limit: int | None = None, http_threads: int | None = None
) -> Callable[[Sequence[str]], dict[str, bytes]]:
    """Begins all reads at once; the store's limit bounds those in flight."""
    read = _store(task, limit, http_threads).read

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        futures = [read(key) for key in keys]
        return {key: future.result().value for key, future in zip(keys, futures, strict=True)}

    return get_many


def _list(task: Task) -> Callable[[], list[str]]:
    keys = _store(task).list
    return lambda: [key.decode() for key in keys().result()]


def _put(task: Task) -> Callable[[str, bytes], object]:
    write = _store(task).write
    return lambda key, value: write(key, value).result()


def _put_many(
    task: Task, limit: int, http_threads: int | None = None
) -> Callable[[Mapping[str, bytes]], object]:
    """Begins all writes at once."""
    write = _store(task, limit, http_threads).write

    def put_many(items: Mapping[str, bytes]) -> object:
        futures = [write(key, value) for key, value in items.items()]
        return [future.result() for future in futures]

    return put_many


WAYS = {
    "get": [Way("read().result()", _get)],
    "get_large": [Way("read().result()", _get)],
    "get_into": [Way("read, copy", _get_into)],
    "get_many": [
        Way("futures, limit 32", partial(_get_many, limit=32)),
        Way("futures, limit 128", partial(_get_many, limit=128)),
        Way("futures, limit 32, 1 HTTP thread", partial(_get_many, limit=32, http_threads=1)),
        Way("futures, limit 128, 1 HTTP thread", partial(_get_many, limit=128, http_threads=1)),
    ],
    "get_many_limited": [Way("futures", _get_many)],
    "list": [Way("list", _list)],
    "put_large": [Way("write", _put)],
    "put_many": [
        Way("futures, limit 32", partial(_put_many, limit=32)),
        Way("futures, limit 128", partial(_put_many, limit=128)),
        Way("futures, limit 32, 1 HTTP thread", partial(_put_many, limit=32, http_threads=1)),
    ],
}
