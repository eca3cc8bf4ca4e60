"""An object on a scripted server, whole or by ranges, with the faults that a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    ClientGone,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    error,
)

ONE = '"one"'


class Asked(NamedTuple):
    """What a GET asked for.

    Attributes:
        path: Of which object.
        range: Its Range header.
        match: Its If-Match header.
    """

    path: str
    range: str | None
    match: str | None


class Version(NamedTuple):
    """An object as it is for a while."""

    value: bytes
    etag: str = ONE
    headers: tuple[str, ...] = ()


Fault = Callable[[Peer, bytes], object]


class Shelf(Step):
    """Serves one object under every key, in whole or by ranges.

    Args:
        value: Its bytes.
        etag: Its ETag; empty for none.
        headers: More headers of whole answers and of parts.

    Attributes:
        asked: What was asked for.
        then: What it is from the so-and-so-manieth request on; None for deleted.
        conditions: If-Match is heeded.
        ranges: Range is heeded.
        status: What a part is answered with; rclone says 200.
        whole: Makes an answer of the whole object; for another kind of answer.
        faults: What goes wrong when bytes from an offset on are asked for, one after the other.
        always: What goes wrong each time.
    """

    def __init__(self, value: bytes = b"", etag: str = ONE, *headers: str) -> None:
        self.first = Version(value, etag, headers)
        self.asked: list[Asked] = []
        self.then: dict[int, Version | None] = {}
        self.conditions = True
        self.ranges = True
        self.status = 206
        self.whole: Callable[..., bytes] = lambda value, *lines: answer(200, value, *lines)
        self.faults: dict[int, list[Fault]] = {}
        self.always: dict[int, Fault] = {}
        self._lock = threading.Lock()

    def server(self, **options: Any) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)], lenient=True, **options)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges that were asked for, sorted."""
        told = [asked.range.removeprefix("bytes=").split("-") for asked in self.asked if asked.range]
        return sorted((int(first), int(last) + 1) for first, last in told)

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        request = peer.requests[-1]
        with self._lock:
            now: Version | None = self.first
            for number, version in self.then.items():
                if len(self.asked) >= number:
                    now = version
            self.asked.append(Asked(request.path, request.header("range"), request.header("if-match")))
        start, data = self._answer(request, now)
        fault = self.always.get(start)
        if fault is None and self.faults.get(start):
            fault = self.faults[start].pop(0)
        if fault is None:
            peer.send(data)
        else:
            fault(peer, data)

    def _answer(self, request: Recorded, now: Version | None) -> tuple[int, bytes]:
        if now is None:
            return 0, error(404, "NoSuchKey")
        value, etag, headers = now
        lines = [f"ETag: {etag}"] * bool(etag) + list(headers)
        match = request.header("if-match")
        if self.conditions and match is not None and (match != etag or etag.startswith("W/")):
            return 0, error(412, "PreconditionFailed")
        text = request.header("range")
        if request.method == "HEAD":
            return 0, answer(200, b"", *lines, length=len(value))
        if text is None:
            return 0, self.whole(value, *lines)
        first, _, last = text.removeprefix("bytes=").partition("-")
        start, stop = (
            (int(first), int(last or len(value))) if first else (len(value) - int(last), len(value))
        )
        start, stop = max(0, start), min(stop + bool(first and last), len(value))
        if not self.ranges:
            return start, self.whole(value, *lines)
        if start >= len(value):
            return start, error(416, "InvalidRange", f"Content-Range: bytes */{len(value)}")
        where = f"Content-Range: bytes {start}-{stop - 1}/{len(value)}"
        return start, answer(self.status, value[start:stop], *lines, where)


def refuse(*data: bytes) -> list[Fault]:
    """Return faults that answer something else."""
    return [lambda peer, truth, each=each: peer.send(each) for each in data]


def cut(count: int, end: Step = CLOSE) -> Fault:
    """Return a fault that sends so many bytes of the body, and breaks off."""

    def fault(peer: Peer, truth: bytes) -> None:
        peer.send(truth[: truth.index(b"\r\n\r\n") + 4 + count])
        end.run(peer)
        peer.close()
        raise ClientGone

    return fault


def silence(count: int) -> Fault:
    """Return a fault that sends so many bytes of the body, and then nothing more."""

    def fault(peer: Peer, truth: bytes) -> None:
        peer.send(truth[: truth.index(b"\r\n\r\n") + 4 + count])
        HOLD.run(peer)

    return fault
