"""The rows of the benchmark: what work, by whom, against which server, and what s3kv is to achieve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from . import serving
from .contenders import CLIENTS
from .results import KEYS, MEMORY, MILLISECONDS, REQUESTS, THROUGHPUT, Beside, Bound, Target, Times, Unit
from .sizes import MB, Sizes
from .task import SMALL, Place

Serve = Callable[[Sizes], AbstractContextManager[Place]]
Targets = Callable[[Sizes], tuple[Target, ...]]


@dataclass(frozen=True)
class Row:
    """One row. ``kind`` is how it is measured, see ``runners``."""

    name: str
    title: Callable[[Sizes], str]
    unit: Unit
    targets: Targets
    kind: Literal["rounds", "memory", "import"] = "rounds"
    style: str = ""
    serve: Serve | None = None
    # Units of work in one round, and how many of them are one request, for the CPU time.
    units: Callable[[Sizes], int] = lambda sizes: 1
    units_per_request: int = 1
    # Whether slow clients may do fewer units.
    divisible: bool = False
    # Bytes of an object, or keys of a listing.
    size: Callable[[Sizes], int] = lambda sizes: SMALL
    clients: tuple[str, ...] = CLIENTS
    threads: int = 1
    limit: int = 32


def _times(*targets: Target) -> Targets:
    return lambda sizes: targets


def _batch(name: str, what: str, serve: Serve, *targets: Target, style: str = "get_many") -> Row:
    """Many small objects by one call."""
    return Row(
        name,
        lambda sizes: f"{what}, {sizes.keys:,} keys, one {style}",
        REQUESTS,
        _times(*targets),
        style=style,
        serve=serve,
        units=lambda sizes: sizes.keys,
        divisible=True,
    )


def _callers(name: str, what: str, threads: int, factor: float) -> Row:
    """Small objects, one ``get`` each."""
    return Row(
        name,
        lambda sizes: f"4 KB GET by {what}",
        REQUESTS,
        _times(Times(factor)),
        style="get",
        serve=serving.small_objects,
        units=lambda sizes: sizes.keys,
        divisible=True,
        threads=threads,
    )


def _large(name: str, style: str, what: str, serve: Serve, factor: float) -> Row:
    """One large object, again and again."""
    put = style == "put_large"

    def size(sizes: Sizes) -> int:
        return sizes.put_large if put else sizes.large

    return Row(
        name,
        lambda sizes: f"{size(sizes) // MB} MB {what}",
        THROUGHPUT,
        _times(Times(factor)),
        style=style,
        serve=serve,
        size=size,
    )


def _latency(limit: int, share: float) -> Row:
    """As many requests in flight as allowed, all the time: their number is given by the latency."""
    possible = limit / (serving.DELAY_MS / 1000)
    target = Bound(share * possible, f"{share:.0%} of {limit} / {serving.DELAY_MS} ms = {possible:,.0f}/s")
    return Row(
        f"latency-{limit}",
        lambda sizes: f"4 KB GET, {serving.DELAY_MS} ms added latency, limit {limit}",
        REQUESTS,
        _times(target),
        style="get_many_limited",
        serve=serving.delayed,
        units=lambda sizes: int(possible * sizes.latency_seconds),
        divisible=True,
        clients=("s3kv", "tensorstore", "obstore"),
        limit=limit,
    )


def _signed() -> Row:
    """A server that looks at the signatures, which all clients send to all servers."""
    return Row(
        "gets-signed",
        lambda sizes: (
            f"4 KB GET from {serving.signed_server().name}, signed, {sizes.signed:,} keys, one get_many"
        ),
        REQUESTS,
        _times(),
        style="get_many",
        serve=serving.signed,
        units=lambda sizes: sizes.signed,
        divisible=True,
    )


def _list() -> Row:
    return Row(
        "list",
        lambda sizes: f"list of {sizes.listed:,} keys, {serving.PAGE:,} a page",
        KEYS,
        _times(Times(1.5)),
        style="list",
        serve=serving.listing,
        units_per_request=serving.PAGE,
        size=lambda sizes: sizes.listed,
    )


def _import() -> Row:
    return Row(
        "import",
        lambda sizes: "import in a fresh interpreter",
        MILLISECONDS,
        _times(Bound(80, "80 ms"), Beside("obstore")),
        kind="import",
    )


def _memory_get() -> Row:
    def targets(sizes: Sizes) -> tuple[Target, ...]:
        return (Bound(sizes.large / MB + 64, f"{sizes.large // MB} MB + 64 MB"),)

    return Row(
        "memory-get",
        lambda sizes: f"memory that a get of {sizes.large // MB} MB takes at its peak",
        MEMORY,
        targets,
        kind="memory",
        style="get_large",
        serve=serving.large_object,
        size=lambda sizes: sizes.large,
    )


def _memory_iter() -> Row:
    return Row(
        "memory-iter",
        lambda sizes: f"memory that iter_many over {sizes.iterated:,} keys of 4 KB takes at its peak",
        MEMORY,
        _times(Bound(30, "30 MB")),
        kind="memory",
        style="iter_many",
        serve=serving.small_objects,
        units=lambda sizes: sizes.iterated,
        clients=("s3kv",),
    )


_NGINX, _TLS = serving.small_objects, serving.small_objects_tls
_LARGE, _LARGE_TLS = serving.large_object, serving.large_object_tls

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        _batch("gets", "4 KB GET", _NGINX, Times(1.5), Times(30, "boto3")),
        _batch("gets-tls", "4 KB GET over TLS", _TLS, Times(1.25)),
        _signed(),
        _callers("threads", "32 user threads", 32, 0.75),
        _callers("one-caller", "one sequential caller", 1, 1.0),
        _batch("puts", "4 KB PUT", serving.sink, Times(1.25), style="put_many"),
        _large("get-large", "get_large", "get -> bytes", _LARGE, 1.15),
        _large("get-large-tls", "get_large", "get -> bytes over TLS", _LARGE_TLS, 1.15),
        _large("get-into", "get_into", "get_into a reused buffer", _LARGE, 1.5),
        _large("get-into-tls", "get_into", "get_into a reused buffer over TLS", _LARGE_TLS, 1.5),
        _large("put-large", "put_large", "put, payload hash included", serving.large_sink, 1.0),
        _list(),
        _latency(32, 0.95),
        _latency(256, 0.85),
        _import(),
        _memory_get(),
        _memory_iter(),
    )
}
