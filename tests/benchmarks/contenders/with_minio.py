"""MinIO's Python client."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..task import REGION, Task
from .ways import Way, pooled_get, pooled_put

PACKAGE = "minio"


def _client(task: Task) -> Any:
    """A client whose pool keeps as many connections as there are threads."""
    import urllib3
    from minio import Minio

    place = task.place
    trust: dict[str, Any] = (
        {"cert_reqs": "CERT_REQUIRED", "ca_certs": place.ca_file} if place.ca_file else {}
    )
    return Minio(
        endpoint=place.address,
        access_key=place.access_key,
        secret_key=place.secret_key,
        region=REGION,
        secure=place.tls,
        http_client=urllib3.PoolManager(maxsize=max(task.limit, task.threads), **trust),
    )


def _get(task: Task) -> Callable[[str], bytes]:
    client, bucket = _client(task), task.place.bucket

    def get(key: str) -> bytes:
        response = client.get_object(bucket_name=bucket, object_name=key)
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()

    return get


def _get_into(task: Task) -> Callable[[str, bytearray], None]:
    """Reads the body in pieces into the buffer."""
    client, bucket = _client(task), task.place.bucket

    def get_into(key: str, buffer: bytearray) -> None:
        response = client.get_object(bucket_name=bucket, object_name=key)
        view, done = memoryview(buffer), 0
        while count := response.readinto(view[done : done + (1 << 20)]):
            done += count
        response.close()
        response.release_conn()

    return get_into


def _get_many(task: Task) -> Callable[[Sequence[str]], dict[str, bytes]]:
    return pooled_get(_get(task), task.limit)


def _list(task: Task) -> Callable[[], list[str]]:
    client, bucket = _client(task), task.place.bucket
    return lambda: [found.object_name for found in client.list_objects(bucket_name=bucket, recursive=True)]


def _put(task: Task, *, single: bool) -> Callable[[str, bytes], object]:
    """``single``: in one request, whatever its size; else as it sees fit: parts, in three threads."""
    client, bucket = _client(task), task.place.bucket

    def put(key: str, value: bytes) -> object:
        more = {"part_size": max(len(value), 5 << 20)} if single else {}
        return client.put_object(
            bucket_name=bucket, object_name=key, data=io.BytesIO(value), length=len(value), **more
        )

    return put


def _put_many(task: Task) -> Callable[[Mapping[str, bytes]], object]:
    return pooled_put(_put(task, single=False), task.limit)


WAYS = {
    "get": [Way("get_object", _get)],
    "get_large": [Way("get_object", _get)],
    "get_into": [Way("get_object, readinto", _get_into)],
    "get_many": [Way("32 threads", _get_many)],
    "list": [Way("list_objects", _list)],
    "put_large": [
        Way("put_object, one part", partial(_put, single=True)),
        Way("put_object, parts", partial(_put, single=False)),
    ],
    "put_many": [Way("32 threads", _put_many)],
}
