"""s3kv itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..task import REGION, Absent, Task
from .ways import Way

PACKAGE = "s3kv"


def _store(task: Task) -> Any:
    """A store as a user opens it; the default limit is everybody's, another one is its own."""
    place = task.place
    if place.ca_file:
        os.environ["AWS_CA_BUNDLE"] = place.ca_file
    import s3kv

    more: dict[str, Any] = {} if task.limit == 32 else {"s3_request_concurrency": {"limit": task.limit}}
    return s3kv.Store(
        bucket=place.bucket,
        endpoint=place.endpoint,
        aws_region=REGION,
        aws_credentials={"type": "environment"},
        **more,
    )


def _get(task: Task) -> Callable[[str], bytes]:
    get: Callable[[str], bytes] = _store(task).get
    return get


def _get_into(task: Task) -> Callable[[str, bytearray], object]:
    import s3kv

    if not hasattr(s3kv.Store, "get_into"):
        raise Absent("not there yet")
    get_into: Callable[[str, bytearray], object] = _store(task).get_into
    return get_into


def _get_many(task: Task) -> Callable[[Sequence[str]], dict[str, bytes]]:
    get_many: Callable[[Sequence[str]], dict[str, bytes]] = _store(task).get_many
    return get_many


def _iter_many(task: Task) -> Callable[[Iterable[str]], Iterator[tuple[str, bytes]]]:
    iter_many: Callable[[Iterable[str]], Iterator[tuple[str, bytes]]] = _store(task).iter_many
    return iter_many


def _list(task: Task) -> Callable[[], list[str]]:
    keys: Callable[[], list[str]] = _store(task).list
    return keys


def _put(task: Task) -> Callable[[str, bytes], object]:
    put: Callable[[str, bytes], object] = _store(task).put
    return put


def _put_many(task: Task) -> Callable[[Mapping[str, bytes]], object]:
    put_many: Callable[[Mapping[str, bytes]], object] = _store(task).put_many
    return put_many


WAYS = {
    "get": [Way("get", _get)],
    "get_large": [Way("get", _get)],
    "get_into": [Way("get_into", _get_into)],
    "get_many": [Way("get_many", _get_many)],
    "get_many_limited": [Way("get_many", _get_many)],
    "iter_many": [Way("iter_many", _iter_many)],
    "list": [Way("list", _list)],
    "put_large": [Way("put", _put)],
    "put_many": [Way("put_many", _put_many)],
}
