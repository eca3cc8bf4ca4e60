"""What the contenders have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

from ..task import Task

PART = 16 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """One way in which a client can do a style of work."""

    name: str
    build: Callable[[Task], Any]
    # Whether it does the same work as the others, so that it may be the best peer.
    compared: bool = True


def pooled_get(get: Callable[[str], bytes], threads: int) -> Callable[[Sequence[str]], dict[str, bytes]]:
    """``get_many`` out of a ``get``, by a pool of threads that stays."""
    pool = ThreadPoolExecutor(threads)

    def get_many(keys: Sequence[str]) -> dict[str, bytes]:
        return dict(zip(keys, pool.map(get, keys), strict=True))

    return get_many


def taken_by_threads(act: Callable[[T], object], items: Iterable[T], threads: int) -> None:
    """Act on every item by bare threads that take the next one each: no pool, no futures."""
    left = iter(items)

    def take() -> None:
        for item in left:
            act(item)

    takers = [Thread(target=take) for _ in range(threads)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()


def pooled_put(
    put: Callable[[str, bytes], object], threads: int
) -> Callable[[Mapping[str, bytes]], Sequence[object]]:
    """``put_many`` out of a ``put``, by a pool of threads that stays."""
    pool = ThreadPoolExecutor(threads)

    def put_many(items: Mapping[str, bytes]) -> Sequence[object]:
        return list(pool.map(put, items.keys(), items.values()))

    return put_many


def parts(size: int) -> list[tuple[int, int]]:
    """The (start, end) of the parts in which a large object is fetched in parallel."""
    return [(start, min(start + PART, size)) for start in range(0, size, PART)]
