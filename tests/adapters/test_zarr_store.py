"""What a ZarrStore is: its place, its name, whom it equals, how it is pickled, listed and closed."""

from __future__ import annotations

import asyncio
import builtins
import copy
import importlib
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv.limits.copying import CopyLimit
from s3kv.testing import LocalServer

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype

from s3kv.zarr import ZarrStore
from s3kv.zarr.handle import _arrived
from tests.adapters.zarr_scripts import answering, opened, serving
from tests.wire.memory_s3 import MemoryS3
from tests.wire.scripted import Recorded, listing

PROTOTYPE = default_buffer_prototype()
SPEC = {"bucket": "bucket", "aws_region": "us-east-1", "aws_credentials": {"type": "anonymous"}}


def value(data: bytes) -> Any:
    """Return a value of zarr's."""
    return PROTOTYPE.buffer.from_bytes(data)


@pytest.fixture(autouse=True)
def _forget_pickles() -> Iterator[None]:
    """Let go of the stores that came in pickles, and their connections."""
    yield
    _arrived.cache_clear()


@pytest.fixture
def below(local_server: LocalServer, tmp_path: Path) -> Iterator[s3kv.Store]:
    """Return a store at a place of its own."""
    with local_server.store(path=f"{tmp_path.name}/a.zarr/") as store:
        yield store


# ---------------------------------------------------------------- the place


@pytest.mark.parametrize(
    ("path", "folder"), [("a.zarr", "a.zarr/"), ("a.zarr/", "a.zarr/"), ("", ""), ("a//", "a//")]
)
def test_the_path_is_a_folder(path: str, folder: str) -> None:
    """With its slash or without, as people write URLs of arrays."""
    with s3kv.Store(SPEC, path=path) as below:
        assert ZarrStore(below).store.path == folder
        assert ZarrStore(below).store == s3kv.Store(SPEC, path=folder)
        assert ZarrStore(below) == ZarrStore(s3kv.Store(SPEC, path=folder))


def test_it_says_where_it_is() -> None:
    """A URL, as zarr shows it with an array's path behind."""
    with s3kv.Store("s3://bucket/a%20b.zarr") as below:
        assert str(ZarrStore(below)) == "s3://bucket/a%20b.zarr/"
        assert repr(ZarrStore(below)) == "ZarrStore(<s3kv.Store('s3://bucket/a%20b.zarr/')>)"
    with s3kv.Store(SPEC, endpoint="http://127.0.0.1:9000/s3/", path="a.zarr") as below:
        assert str(ZarrStore(below)) == "http://127.0.0.1:9000/s3/bucket/a.zarr/"
    with s3kv.Store(
        endpoint="http://127.0.0.1:9000/bucket", aws_credentials={"type": "anonymous"}
    ) as below:
        assert str(ZarrStore(below)) == "http://127.0.0.1:9000/bucket"


@pytest.mark.parametrize("wrong", ["s3://bucket/a.zarr/", None, {"bucket": "bucket"}, {}])
def test_it_is_made_of_a_store(wrong: Any) -> None:
    """Of nothing else, and the error says how."""
    with pytest.raises(TypeError, match=r"ZarrStore\(s3kv\.Store\("):
        ZarrStore(wrong)


def test_equal_stores_have_equal_places_and_rights() -> None:
    """And equal hashes; what is in them does not matter."""
    with s3kv.Store(SPEC) as one, s3kv.Store(SPEC) as same, s3kv.Store(SPEC, path="b") as other:
        assert ZarrStore(one) == ZarrStore(same)
        assert hash(ZarrStore(one)) == hash(ZarrStore(same))
        assert ZarrStore(one) != ZarrStore(one, read_only=True)
        assert ZarrStore(one) != ZarrStore(other)
        assert ZarrStore(one) != one
        assert ZarrStore(one).with_read_only(True) == ZarrStore(one, read_only=True)
        assert ZarrStore(one).with_read_only(True).store is one


def test_a_pickle_opens_the_same_store_elsewhere(below: s3kv.Store) -> None:
    """Also in the middle of its life, of an array or a group, and as a copy."""
    store = ZarrStore(below)
    array = zarr.create_array(store, name="x", shape=(4,), dtype="u1")
    array[:] = 3
    for again in (pickle.loads(pickle.dumps(store)), copy.copy(store), copy.deepcopy(store)):
        assert again == store
        assert again.read_only is False
        assert zarr.open_array(again, path="x")[:].tolist() == [3] * 4
    assert pickle.loads(pickle.dumps(store.with_read_only(True))).read_only
    assert pickle.loads(pickle.dumps(array))[:].tolist() == [3] * 4


def test_equal_pickles_share_their_connections(below: s3kv.Store) -> None:
    """As long as the store that came first is open; each task of a cluster's brings a pickle."""
    pickled = pickle.dumps(ZarrStore(below))
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert first.store is second.store
    assert first.store is not below
    assert pickle.loads(pickle.dumps(first.with_read_only(True))).store is first.store
    assert pickle.loads(pickle.dumps(ZarrStore(below.with_timeout(9)))).store is not first.store
    first.store.close()
    third = pickle.loads(pickled)
    third.set_sync("x", value(b"works"))
    assert third.store is not first.store
    assert copy.copy(third).store is third.store


def test_tasks_that_bring_their_own_pickle_open_one_connection() -> None:
    """One after the other, each forgotten before the next comes."""
    with serving({"c/0": b"chunk"}) as (store, server):
        pickled = pickle.dumps(store)
        for _ in range(5):
            assert pickle.loads(pickled).get_sync("c/0").to_bytes() == b"chunk"
        assert len(server.connections) == 1
        _arrived.cache_clear()


def test_a_store_that_cannot_be_pickled_says_why() -> None:
    """As the one below does."""
    import requests

    with requests.Session() as session, s3kv.Store(SPEC, session=session) as below:
        store = ZarrStore(below)
        with pytest.raises(TypeError, match="a session may hold secrets"):
            pickle.dumps(store)


def test_closing_it_leaves_the_store_below_open(below: s3kv.Store) -> None:
    """That belongs to somebody else; and zarr goes on using stores that were closed."""
    with ZarrStore(below) as store:
        zarr.create_group(store)
    assert below.list() == ["zarr.json"]
    assert dict(zarr.open_group(store, mode="r").attrs) == {}


def test_a_store_that_is_named_only_once_lives_as_long_as_it_is_used(local_server: LocalServer) -> None:
    """Nobody has to hold the store below."""
    store = ZarrStore(local_server.store(path="kept alive"))
    zarr.create_array(store, shape=(3,), dtype="u1")[:] = 1
    assert zarr.open_array(store)[:].tolist() == [1] * 3
    store.store.clear()


def test_a_read_only_store_refuses_every_change() -> None:
    """Before anything is sent."""
    with serving({}) as (store, server):
        store = store.with_read_only(True)
        changes = [
            store.set("a", value(b"1")),
            store.set_if_not_exists("a", value(b"1")),
            store.delete("a"),
            store.delete_dir("a"),
            store.clear(),
        ]
        for change in changes:
            with pytest.raises(ValueError, match="read-only"):
                asyncio.run(change)
        with pytest.raises(ValueError, match="read-only"):
            store.set_sync("a", value(b"1"))
        with pytest.raises(ValueError, match="read-only"):
            store.delete_sync("a")
        assert not server.requests


@pytest.mark.parametrize("wrong", [b"bytes", "text", None, np.zeros(3, "u1")])
async def test_a_value_is_a_buffer_of_zarrs(wrong: Any) -> None:
    """Whatever else has bytes is a mistake."""
    with serving({}) as (store, _), pytest.raises(TypeError, match="a value is a Buffer of zarr's, not"):
        await store.set("a", wrong)


async def test_a_key_that_s3_cannot_hold_is_an_error() -> None:
    """Not a missing chunk."""
    with serving({}) as (store, server):
        with pytest.raises(s3kv.InvalidKey):
            await store.get("x" * 1025, PROTOTYPE)
        with pytest.raises(TypeError):
            await store.get(3, PROTOTYPE)  # type: ignore[arg-type]
        assert not server.requests


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1 << 20])
async def test_a_value_of_any_size_arrives_as_it_is(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed by the loop's thread only if it is small; from a view into somebody's array, too."""
    bucket = MemoryS3()
    sha256, hashed = CopyLimit.sha256, []

    def seen(*arguments: Any) -> str:
        hashed.append(threading.get_ident() == threading.main_thread().ident)
        return sha256(*arguments)

    monkeypatch.setattr(CopyLimit, "sha256", seen)
    data = np.arange(size + 8, dtype="u4").view("u1")[3 : 3 + size]
    with bucket.server() as server, opened(server) as below:
        await ZarrStore(below).set("c/0", PROTOTYPE.buffer.from_array_like(data))
    assert bucket.applied == [("PUT", "c/0", data.tobytes())]
    assert hashed == [size <= 256 * 1024]


async def test_set_if_not_exists_never_replaces() -> None:
    """The store decides, by the condition of the request."""
    bucket = MemoryS3(old=b"old")
    with bucket.server() as server, opened(server, use_conditional_write=True) as below:
        store = ZarrStore(below)
        await store.set_if_not_exists("old", value(b"new"))
        await store.set_if_not_exists("new", value(b"new"))
        assert [request.header("if-none-match") for request in server.requests] == ["*", "*"]
    assert {key: stored.value for key, stored in bucket.objects.items()} == {"old": b"old", "new": b"new"}


# ---------------------------------------------------------------- listing


def page(request: Recorded) -> bytes:
    """Answer with one of three pages of a listing."""
    number = int(request.query.partition("continuation-token=")[2].partition("&")[0] or 0)
    keys = (f"a/c/{number * 1000 + place:04}" for place in range(1000 if number < 2 else 7))
    return listing(*keys, token=str(number + 1) if number < 2 else None)


async def test_a_listing_goes_on_from_page_to_page() -> None:
    """To the last; a sum of sizes too, and who only asks whether there is something gets one page."""
    with answering(page) as server, opened(server) as below:
        store = ZarrStore(below)
        expected = [f"a/c/{number:04}" for number in range(2007)]
        assert [key async for key in store.list()] == expected
        assert [key async for key in store.list_prefix("a/c/")] == expected
        assert len(server.requests) == 6
        assert not await store.is_empty("a")
        assert len(server.requests) == 7
        assert await store.getsize_prefix("a") == 2007


async def test_a_prefix_is_a_beginning_and_a_folder_is_not(below: s3kv.Store) -> None:
    """What only begins with the folder's name is not below it."""
    below.put_many({"a/c/1": b"1234", "a/c/10": b"12", "ab/c/0": b"not below a"})
    store = ZarrStore(below)
    assert [key async for key in store.list_prefix("a")] == ["a/c/1", "a/c/10", "ab/c/0"]
    assert [key async for key in store.list_prefix("a/c/1")] == ["a/c/1", "a/c/10"]
    assert await store.getsize_prefix("a") == 6
    assert await store.getsize_prefix("") == 17
    assert await store.getsize_prefix("nothing") == 0
    assert not await store.is_empty("a")
    assert await store.is_empty("a/c/1")
    await store.delete_dir("a")
    assert below.list() == ["ab/c/0"]


async def test_a_listing_that_is_left_early_is_over() -> None:
    """Nothing is fetched that nobody asks for."""
    with answering(page) as server, opened(server) as below:
        async for key in ZarrStore(below).list():
            assert key == "a/c/0000"
            break
        assert len(server.requests) == 1


async def test_a_folder_lists_each_name_once_and_not_itself(below: s3kv.Store) -> None:
    """With the markers that some tools put there, and a key that has a folder's name."""
    for key in ("g/", "g/x", "g/x/zarr.json", "g/zarr.json", "g/y/c/0", "h"):
        below[key] = b""
    store = ZarrStore(below)
    for prefix in ("g", "g/"):
        assert sorted([name async for name in store.list_dir(prefix)]) == ["x", "y", "zarr.json"]
    for prefix in ("", "/"):
        assert sorted([name async for name in store.list_dir(prefix)]) == ["g", "h"]
    assert [name async for name in store.list_dir("none")] == []


# ---------------------------------------------------------------- the extra


def test_without_zarr_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the import of the adapter, not before."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "zarr" and not (options.get("level") or arguments[3:4] > (0,)):
            raise ImportError(name)
        return real(name, *arguments, **options)

    for name in [name for name in sys.modules if name.startswith("s3kv.zarr")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(s3kv.S3KVError, match=r"pip install 's3kv\[zarr\]'"):
        importlib.import_module("s3kv.zarr")
