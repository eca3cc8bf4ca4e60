"""What holds for every item of a batch, however large, and what is no batch at all."""

from __future__ import annotations

import pytest

import s3kv
from s3kv.testing import Delay, FaultProxy, LocalServer


def test_one_key_is_not_many() -> None:
    """Its characters are keys, too, and must not be deleted."""
    store = s3kv.Store("s3://bucket/", aws_region="us-east-1", aws_credentials={"type": "anonymous"})
    for key in ("key", b"key"):
        with pytest.raises(TypeError, match="keys are many"):
            store.delete_many(key)  # type: ignore[arg-type]


def test_metadata_is_a_mapping() -> None:
    """Pairs are none."""
    store = s3kv.Store("s3://bucket/", aws_region="us-east-1", aws_credentials={"type": "anonymous"})
    with pytest.raises(TypeError, match="metadata is a mapping"):
        store.put("key", b"", metadata=[("a", "b")])  # type: ignore[arg-type]


def test_an_object_that_is_read_in_parts_counts_once() -> None:
    """What the first request did not read to its end is received by others."""
    with LocalServer() as server:
        store = server.store()
        store["big"] = bytes(40 << 20)
        assert len(store["big"]) == store.metrics["bytes_read"]


def test_the_timeout_of_an_item_goes_on_for_its_other_parts() -> None:
    """Two requests that take 0.4 s each are not done within 0.6 s."""
    with LocalServer() as server, FaultProxy(server) as proxy:
        server.store()["big"] = bytes(40 << 20)
        proxy.inject(Delay(0.4), operation="GetObject", times=None)
        with pytest.raises(s3kv.BatchError) as caught:
            proxy.store(timeout=0.6).get_many(["big"])
        assert isinstance(caught.value.errors["big"], s3kv.DeadlineExceeded)
