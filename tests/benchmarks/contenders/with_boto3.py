"""boto3: the client's methods, and its managed transfers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..task import REGION, Task
from .ways import Way, pooled_get, pooled_put

PACKAGE = "boto3"


def _client(task: Task) -> Any:
    """A client with as many connections as there are threads; everything else is its default."""
    import boto3
    from botocore.config import Config

    place = task.place
    return boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=REGION,
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        verify=place.ca_file,
        config=Config(max_pool_connections=max(task.limit, task.threads)),
    )


def _get(task: Task) -> Callable[[str], bytes]:
    client, bucket = _client(task), task.place.bucket
    return lambda key: bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())


def _get_many(task: Task) -> Callable[[Sequence[str]], dict[str, bytes]]:
    return pooled_get(_get(task), task.limit)


def _download(task: Task) -> Callable[[str], bytes]:
    """The managed transfer: parts, in threads."""
    client, bucket = _client(task), task.place.bucket

    def get(key: str) -> bytes:
        file = io.BytesIO()
        client.download_fileobj(bucket, key, file)
        return file.getvalue()

    return get


def _get_into(task: Task) -> Callable[[str, bytearray], None]:
    """Reads the body in pieces into the buffer."""
    client, bucket = _client(task), task.place.bucket

    def get_into(key: str, buffer: bytearray) -> None:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        view, done = memoryview(buffer), 0
        while count := body.readinto(view[done : done + (1 << 20)]):
            done += count

    return get_into


def _list(task: Task) -> Callable[[], list[str]]:
    pages = _client(task).get_paginator("list_objects_v2")

    def keys() -> list[str]:
        found = pages.paginate(Bucket=task.place.bucket)
        return [entry["Key"] for page in found for entry in page.get("Contents", ())]

    return keys


def _put(task: Task) -> Callable[[str, bytes], object]:
    client, bucket = _client(task), task.place.bucket
    return lambda key, value: client.put_object(Bucket=bucket, Key=key, Body=value)


def _put_many(task: Task) -> Callable[[Mapping[str, bytes]], object]:
    return pooled_put(_put(task), task.limit)


def _upload(task: Task) -> Callable[[str, bytes], object]:
    """The managed transfer: parts, in threads."""
    client, bucket = _client(task), task.place.bucket
    return lambda key, value: client.upload_fileobj(io.BytesIO(value), bucket, key)


WAYS = {
    "get": [Way("get_object", _get)],
    "get_large": [Way("get_object", _get), Way("download_fileobj", _download)],
    "get_into": [Way("get_object, readinto", _get_into)],
    "get_many": [Way("32 threads", _get_many)],
    "list": [Way("paginator", _list)],
    "put_large": [Way("put_object", _put), Way("upload_fileobj", _upload)],
    "put_many": [Way("32 threads", _put_many)],
}
