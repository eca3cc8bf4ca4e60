"""obstore: Rust's object_store, by its blocking and its asyncio functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..task import REGION, Task
from .ways import Way, parts, pooled_get, pooled_put, taken_by_threads

PACKAGE = "obstore"


def _store(task: Task) -> Any:
    """A store with its defaults, but for what a local server needs."""
    from obstore.store import S3Store

    place = task.place
    options: Any = {"allow_http": True}
    if place.ca_file:
        options["root_certificate"] = Path(place.ca_file).read_bytes()
    return S3Store(
        place.bucket,
        endpoint=place.endpoint,
        region=REGION,
        access_key_id=place.access_key,
        secret_access_key=place.secret_key,
        client_options=options,
    )


def _gather(width: int, act: Callable[[Any], Coroutine[Any, Any, None]], items: Any) -> Any:
    """A coroutine that acts on every item, ``width`` at a time: cheaper than a task each."""
    shared = iter(items)

    async def one() -> None:
        for item in shared:
            await act(item)

    async def every() -> None:
        await asyncio.gather(*(one() for _ in range(width)))

    return every()


def _get(task: Task) -> Callable[[str], bytes]:
    store = _store(task)
    return lambda key: store.get(key).bytes().to_bytes()


def _get_own_type(task: Task) -> Callable[[str], Any]:
    """Leaves the data in its own buffer type, which spares the copy into ``bytes``."""
    store = _store(task)
    return lambda key: store.get(key).bytes()


def _get_parts(task: Task) -> Callable[[str], bytes]:
    """Parts of the object in parallel; joining them is the copy into ``bytes``."""
    store, pieces = _store(task), parts(task.size)
    starts, ends = [start for start, _ in pieces], [end for _, end in pieces]
    return lambda key: b"".join(store.get_ranges(key, starts=starts, ends=ends, coalesce=0))


def _get_into(task: Task) -> Callable[[str, bytearray], None]:
    store = _store(task)

    def get_into(key: str, buffer: bytearray) -> None:
        memoryview(buffer)[:] = memoryview(store.get(key).bytes())

    return get_into


def _stream_into(task: Task) -> Callable[[str, bytearray], None]:
    """Copies pieces while the next ones arrive."""
    store = _store(task)

    def get_into(key: str, buffer: bytearray) -> None:
        view, done = memoryview(buffer), 0
        for chunk in store.get(key).stream(min_chunk_size=1 << 20):
            view[done : done + len(chunk)] = memoryview(chunk)
            done += len(chunk)

    return get_into


def _parts_into(task: Task) -> Callable[[str, bytearray], None]:
    """Parts of the object in parallel, each copied when all are there."""
    store, pieces = _store(task), parts(task.size)
    starts, ends = [start for start, _ in pieces], [end for _, end in pieces]

    def get_into(key: str, buffer: bytearray) -> None:
        view = memoryview(buffer)
        found = store.get_ranges(key, starts=starts, ends=ends, coalesce=0)
        for (start, end), part in zip(pieces, found, strict=True):
            view[start:end] = memoryview(part)

    return get_into


def _get_many(task: Task, width: int | None = None) -> Callable[[Sequence[str]], dict[str, bytes]]:
    """``get_async``, in one event loop that stays."""
    store, loop = _store(task), asyncio.new_event_loop()

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        async def get(key: str) -> None:
            response = await store.get_async(key)
            found[key] = (await response.bytes_async()).to_bytes()

        loop.run_until_complete(_gather(width or task.limit, get, keys))
        return found

    return get_many


def _get_many_ranges(task: Task, width: int) -> Callable[[Sequence[str]], dict[str, bytes]]:
    """``get_range_async``: one await instead of two, for callers who know every object's size."""
    store, loop, size = _store(task), asyncio.new_event_loop(), task.size

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        async def get(key: str) -> None:
            found[key] = (await store.get_range_async(key, start=0, length=size)).to_bytes()

        loop.run_until_complete(_gather(width, get, keys))
        return found

    return get_many


def _get_many_threads(task: Task, threads: int) -> Callable[[Sequence[str]], dict[str, bytes]]:
    return pooled_get(_get(task), threads)


def _get_many_bare(task: Task, threads: int) -> Callable[[Sequence[str]], dict[str, bytes]]:
    store = _store(task)

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        def get(key: str) -> None:
            found[key] = store.get(key).bytes().to_bytes()

        taken_by_threads(get, keys, threads)
        return found

    return get_many


def _list(task: Task) -> Callable[[], list[str]]:
    store = _store(task)
    return lambda: [entry["path"] for chunk in store.list(chunk_size=1000) for entry in chunk]


def _put(task: Task, *, multipart: bool) -> Callable[[str, bytes], object]:
    store = _store(task)
    return lambda key, value: store.put(key, value, use_multipart=multipart)


def _put_many(task: Task, width: int) -> Callable[[Mapping[str, bytes]], object]:
    """``put_async``, in one event loop that stays."""
    store, loop = _store(task), asyncio.new_event_loop()

    def put_many(items: Mapping[str, bytes]) -> object:
        async def put(item: tuple[str, bytes]) -> None:
            await store.put_async(item[0], item[1], use_multipart=False)

        return loop.run_until_complete(_gather(width, put, items.items()))

    return put_many


def _put_many_threads(task: Task, threads: int) -> Callable[[Mapping[str, bytes]], object]:
    return pooled_put(_put(task, multipart=False), threads)


def _put_many_bare(task: Task, threads: int) -> Callable[[Mapping[str, bytes]], object]:
    store = _store(task)

    def put(item: tuple[str, bytes]) -> None:
        store.put(item[0], item[1], use_multipart=False)

    return lambda items: taken_by_threads(put, items.items(), threads)


WAYS = {
    "get": [Way("get", _get)],
    "get_large": [
        Way("get", _get),
        Way("get_ranges, 16 MB parts", _get_parts),
        # Not what the row asks for: shown, so that nobody needs to wonder.
        Way("get, its own buffer type", _get_own_type, compared=False),
    ],
    "get_into": [
        Way("get, copy", _get_into),
        Way("stream", _stream_into),
        Way("get_ranges, 16 MB parts, copy", _parts_into),
    ],
    "get_many": [
        Way("get_async, 32 at a time", partial(_get_many, width=32)),
        Way("get_async, 128 at a time", partial(_get_many, width=128)),
        Way("get_range_async, 32 at a time", partial(_get_many_ranges, width=32)),
        Way("get_range_async, 128 at a time", partial(_get_many_ranges, width=128)),
        Way("get, pool of 32 threads", partial(_get_many_threads, threads=32)),
        Way("get, 32 bare threads", partial(_get_many_bare, threads=32)),
        Way("get, 8 bare threads", partial(_get_many_bare, threads=8)),
    ],
    "get_many_limited": [Way("get_async", _get_many)],
    "list": [Way("list", _list)],
    "put_large": [
        Way("put, one part", partial(_put, multipart=False)),
        Way("put, parts", partial(_put, multipart=True)),
    ],
    "put_many": [
        Way("put_async, 32 at a time", partial(_put_many, width=32)),
        Way("put_async, 128 at a time", partial(_put_many, width=128)),
        Way("put, pool of 32 threads", partial(_put_many_threads, threads=32)),
        Way("put, 32 bare threads", partial(_put_many_bare, threads=32)),
        Way("put, 8 bare threads", partial(_put_many_bare, threads=8)),
    ],
}
