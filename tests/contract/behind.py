"""What is really in a bucket: the objects of a store as boto3 sees them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import s3kv


class Behind:
    """Reads and writes the objects of a store, behind its back."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def get(self, store: s3kv.Store, key: str) -> bytes:
        """Return the bytes of an object."""
        answer = self._client.get_object(Bucket=store.bucket, Key=store.path + key)
        with closing(answer["Body"]) as body:
            data = body.read()
        assert isinstance(data, bytes)
        return data

    def put(self, store: s3kv.Store, key: str, value: bytes, **options: str) -> None:
        """Write an object."""
        self._client.put_object(Bucket=store.bucket, Key=store.path + key, Body=value, **options)

    def head(self, store: s3kv.Store, key: str) -> dict[str, Any]:
        """Return the facts of an object, names of metadata in lower case: HTTP does not tell them apart."""
        facts = dict(self._client.head_object(Bucket=store.bucket, Key=store.path + key))
        facts["Metadata"] = {name.lower(): value for name, value in facts["Metadata"].items()}
        return facts

    def keys(self, store: s3kv.Store) -> list[str]:
        """Return the keys, relative to the store, of the first page of its listing."""
        listed = self._client.list_objects_v2(Bucket=store.bucket, Prefix=store.path)
        return [entry["Key"].removeprefix(store.path) for entry in listed.get("Contents", [])]
