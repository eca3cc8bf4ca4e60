"""Futures on real servers: what the methods do, many at once."""

from __future__ import annotations

import concurrent.futures
import io

import pytest

import s3kv


def test_futures_have_what_the_methods_return(store_by: s3kv.Store) -> None:
    """Each of them."""
    f = store_by.futures
    stamp = f.put("key", b"0123456789", content_type="text/x", metadata={"a": "b"}).result()
    assert f.get("key").result() == b"0123456789"
    assert f.get("key", byte_range=slice(2, 4)).result() == b"23"
    assert f.get_ranges("key", [slice(0, 2), slice(8, None)]).result() == [b"01", b"89"]
    info = f.stat("key").result()
    assert (info.size, info.etag, info.metadata) == (10, stamp.generation, {"a": "b"})
    assert f.read("key", if_not_equal=stamp.generation).result().state == "unspecified"
    assert f.copy("key", "copy").result().generation == stamp.generation
    second = f.write("key", io.BytesIO(b"2"), if_equal=stamp.generation).result()
    assert f.modify("key", lambda old: (old or b"") + b"!").result().generation != second.generation
    assert store_by.get("key") == b"2!"
    f.delete("key").result()
    assert f.get("key", None).result() is None


def test_errors_are_those_of_the_methods(store: s3kv.Store) -> None:
    """Raised by ``result``, not before."""
    store.put("key", b"value")
    for future, kind in (
        (store.futures.get("missing"), s3kv.KeyNotFound),
        (store.futures.copy("missing", "dst"), s3kv.KeyNotFound),
        (store.futures.put("key", b"", if_absent=True), s3kv.ConditionFailed),
        (store.futures.get("key", byte_range=slice(0, 100)), s3kv.ByteRangeError),
    ):
        with pytest.raises(kind):
            future.result(30)


def test_many_futures_are_all_done(store: s3kv.Store) -> None:
    """Written, read and deleted, each as it comes."""
    keys = [f"{number}" for number in range(100)]
    writing = {store.futures.put(key, key.encode()): key for key in keys}
    reading = {}
    for future in concurrent.futures.as_completed(writing, timeout=60):
        future.result()
        reading[store.futures.get(writing[future])] = writing[future]
    for future in concurrent.futures.as_completed(reading, timeout=60):
        assert future.result() == reading[future].encode()
    concurrent.futures.wait([store.futures.delete(key) for key in keys], timeout=60)
    assert store.list() == []


def test_a_callback_goes_on_with_the_store(store: s3kv.Store) -> None:
    """In the thread that has the result."""
    ended: concurrent.futures.Future[bytes] = concurrent.futures.Future()

    def follow(future: concurrent.futures.Future[s3kv.TimestampedStorageGeneration]) -> None:
        try:
            future.result()
            ended.set_result(store.get("key"))
        except BaseException as error:
            ended.set_exception(error)

    store.futures.put("key", b"value").add_done_callback(follow)
    assert ended.result(30) == b"value"
