"""What ZarrStore reads: byte requests as zarr means them, in as few requests to the server as can be."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import s3kv
from s3kv.testing import LocalServer

pytest.importorskip("zarr.testing", reason="zarr 3 needs Python 3.11")

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from s3kv.zarr import ZarrStore
from tests.adapters.zarr_scripts import serving

VALUE = b"0123456789"
PROTOTYPE = default_buffer_prototype()

# What is asked for of VALUE, what that is, and how many requests it takes.
REQUESTS: list[tuple[ByteRequest | None, bytes, int]] = [
    (None, VALUE, 1),
    (RangeByteRequest(0, 10), VALUE, 1),
    (RangeByteRequest(2, 5), b"234", 1),
    (RangeByteRequest(0, 11), VALUE, 2),
    (RangeByteRequest(8, 100), b"89", 2),
    (RangeByteRequest(10, 12), b"", 2),
    (RangeByteRequest(50, 60), b"", 2),
    (RangeByteRequest(4, 4), b"", 1),
    (RangeByteRequest(99, 99), b"", 1),
    (OffsetByteRequest(0), VALUE, 1),
    (OffsetByteRequest(9), b"9", 1),
    (OffsetByteRequest(10), b"", 1),
    (OffsetByteRequest(11), b"", 1),
    (SuffixByteRequest(10), VALUE, 1),
    (SuffixByteRequest(1), b"9", 1),
    (SuffixByteRequest(11), VALUE, 2),
    (SuffixByteRequest(0), b"", 1),
]


def get(store: ZarrStore, key: str, request: ByteRequest | None = None) -> bytes | None:
    """Return what a coroutine reads, and check that the call that blocks reads the same."""
    found = asyncio.run(store.get(key, PROTOTYPE, request))
    plain = store.get_sync(key, prototype=PROTOTYPE, byte_range=request)
    assert (None if found is None else found.to_bytes()) == (None if plain is None else plain.to_bytes())
    return None if found is None else found.to_bytes()


@pytest.mark.parametrize(("request_", "expected", "count"), REQUESTS, ids=lambda value: str(value)[:40])
def test_a_request_gets_the_bytes_that_there_are_of_it(
    request_: ByteRequest | None, expected: bytes, count: int
) -> None:
    """In one request where it fits, in two where it does not: the first tells only that."""
    with serving({"key": VALUE}) as (store, server):
        assert get(store, "key", request_) == expected
        assert len(server.requests) == 2 * count


@pytest.mark.parametrize(
    "request_",
    [request for request, _, _ in REQUESTS if request is not None],
    ids=str,
)
def test_an_empty_value_has_no_bytes_and_is_not_missing(request_: ByteRequest) -> None:
    """Whatever is asked for, of an empty object there is b"", and of none None."""
    with serving({"key": b""}) as (store, _):
        assert get(store, "key", request_) == b""
        assert get(store, "missing", request_) is None


@pytest.mark.parametrize(
    "request_",
    [RangeByteRequest(-1, 3), RangeByteRequest(3, 1), OffsetByteRequest(-1), SuffixByteRequest(-1)],
    ids=str,
)
def test_a_request_that_cannot_be_is_a_value_error(request_: ByteRequest) -> None:
    """Nothing is sent for it."""
    with serving({"key": VALUE}) as (store, server):
        with pytest.raises(s3kv.ByteRangeError, match=r"is no range of bytes: allowed are"):
            store.get_sync("key", byte_range=request_)
        assert not server.requests


async def test_many_requests_are_answered_in_their_order() -> None:
    """Of several keys, some of them missing, some asked for more than they have."""
    objects = {"a": VALUE, "b": b"abcdef", "empty": b""}
    asked: list[tuple[str, ByteRequest | None]] = [
        (key, request) for request, _, _ in REQUESTS for key in ("a", "b", "missing", "empty")
    ]
    with serving(objects) as (store, _):
        found = await store.get_partial_values(PROTOTYPE, asked)
        for (key, request), value in zip(asked, found, strict=True):
            alone = await store.get(key, PROTOTYPE, request)
            assert (value is None) == (key == "missing") == (alone is None)
            if value is not None and alone is not None:
                assert value.to_bytes() == alone.to_bytes()


async def test_ranges_close_together_are_one_request() -> None:
    """Two chunks of a shard that lie side by side, and a third far off."""
    value = bytes(range(256)) * 100
    requests = [RangeByteRequest(10, 20), RangeByteRequest(20, 500), RangeByteRequest(20_000, 20_010)]
    with serving({"shard": value}) as (store, server):
        found = await store.get_partial_values(PROTOTYPE, [("shard", each) for each in requests])
        assert [buffer and buffer.to_bytes() for buffer in found] == [
            value[each.start : each.end] for each in requests
        ]
        assert sorted(request.header("range") or "" for request in server.requests) == [
            "bytes=10-499",
            "bytes=20000-20009",
        ]


async def test_getsize_and_exists_ask_for_no_bytes() -> None:
    """One HEAD each; a missing key is FileNotFoundError for one, False for the other."""
    with serving({"key": VALUE, "empty": b""}) as (store, server):
        assert await store.getsize("key") == 10
        assert await store.getsize("empty") == 0
        assert await store.exists("key")
        assert [request.method for request in server.requests] == ["HEAD"] * 3
        assert not await store.exists("missing")
        with pytest.raises(FileNotFoundError):
            await store.getsize("missing")


async def test_a_loop_is_told_of_many_outcomes_however_many_it_asks_for() -> None:
    """Far more than there may be requests at once."""
    objects = {f"c/{number}": b"%d" % number for number in range(300)}
    with serving(objects) as (store, _):
        found = await asyncio.gather(*(store.get(key, PROTOTYPE) for key in [*objects, "none"]))
    assert [buffer and buffer.to_bytes() for buffer in found] == [*objects.values(), None]


def test_loops_in_many_threads_use_one_store() -> None:
    """Each gets what it asked for, in its own loop."""

    async def read(store: ZarrStore, keys: list[str]) -> list[Any]:
        found = await asyncio.gather(*(store.get(key, PROTOTYPE) for key in keys))
        return [buffer and buffer.to_bytes() for buffer in found]

    objects = {f"c/{number}": b"%d" % number for number in range(40)}
    with serving(objects) as (store, _):

        async def everywhere() -> None:
            threads = [
                asyncio.to_thread(lambda: [asyncio.run(read(store, list(objects))) for _ in range(3)])
                for _ in range(4)
            ]
            for found in await asyncio.gather(*threads):
                assert found == [list(objects.values())] * 3

        asyncio.run(everywhere())


async def test_loops_that_take_turns_have_no_more_threads_than_one_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a notebook's own loop and that of zarr's blocking functions read through the same store."""
    gate = threading.Event()
    monkeypatch.setattr(s3kv.Store, "list_dir", lambda *_: ([], []) if gate.wait(60) else None)

    async def names(store: ZarrStore) -> list[str]:
        return [name async for name in store.list_dir("")]

    with serving({"k": VALUE}) as (store, _):
        listings = []
        for _ in range(40):
            listings.append(asyncio.ensure_future(names(store)))
            assert await asyncio.to_thread(asyncio.run, store.exists("k"))
        count = sum(thread.name == "s3kv-zarr" for thread in threading.enumerate())
        gate.set()
        assert await asyncio.gather(*listings) == [[]] * 40
    assert count == 32


@pytest.mark.parametrize(
    ("request_", "first", "count"),
    [
        (None, None, 3),
        (RangeByteRequest(1, 33 << 20), "bytes=1-34603007", 3),
        (OffsetByteRequest(1), "bytes=1-", 1),
    ],
    ids=str,
)
async def test_no_byte_of_a_large_value_is_asked_for_twice(
    request_: ByteRequest | None, first: str | None, count: int
) -> None:
    """In parts where it is known to be large; what comes with the first request is not fetched again."""
    value = bytes(range(256)) * (33 * 4096)
    with serving({"c/0": value}) as (store, server):
        found = await store.get("c/0", PROTOTYPE, request_)
        assert found is not None
        assert found.to_bytes() == value[0 if request_ is None else 1 :]
        asked = sorted(request.header("range") or "" for request in server.requests)
    assert len(asked) == count
    assert len(set(asked)) == count
    assert (first or "") in asked


async def test_a_large_value_is_read_and_written_in_parts(local_server: LocalServer) -> None:
    """More than 32 MiB either way, whole and a range of it."""
    value = bytes(range(256)) * (33 * 4096)
    buffer = PROTOTYPE.buffer.from_bytes(value)
    with local_server.store(path="large/") as below:
        store = ZarrStore(below)
        await store.set("c/0", buffer)
        assert "-" in below.stat("c/0").etag
        found = await store.get("c/0", PROTOTYPE)
        assert found is not None
        assert found.to_bytes() == value
        part = await store.get("c/0", PROTOTYPE, RangeByteRequest(100, len(value) - 100))
        assert part is not None
        assert part.to_bytes() == value[100:-100]
        await store.clear()
