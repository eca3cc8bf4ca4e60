"""A little S3 in memory for scripted servers: objects, conditions, and faults at chosen requests.

What becomes of a request is settled here by a lock and a list, so that a test can count what the store
has really done, whatever the client was told::

    bucket = MemoryS3()
    bucket.writes = [Turn(told=CLOSE)]       # the first write is carried out, and its answer is lost
    with bucket.server() as server:
        …
    assert bucket.applied == [("PUT", "key", b"value")]
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

import s3kv
from tests.wire.scripted import (
    READ,
    ClientGone,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    error,
    listing,
)

WRITES = ("PUT", "DELETE")


def etag_of(value: bytes) -> s3kv.StorageGeneration:
    """Return the generation of an object with these bytes."""
    return s3kv.StorageGeneration(f'"{hashlib.md5(value).hexdigest()}"')


@dataclass(frozen=True)
class Turn:
    """What the store does with one request.

    Attributes:
        acts: It carries the request out.
        told: What it answers: the truth (None), these bytes, or a step that loses the answer.
        then: What somebody else does between the act and the answer.
    """

    acts: bool = True
    told: bytes | Step | None = None
    then: Callable[[], object] | None = None


HONEST = Turn()


@dataclass(frozen=True)
class Stored:
    """One object: its bytes, and the headers it was put with."""

    value: bytes
    headers: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """Its ETag."""
        return etag_of(self.value)


class MemoryS3(Step):
    """A step that answers the request that was read last, from a bucket in memory.

    Attributes:
        objects: What the bucket has, by key.
        applied: Every change that was carried out: method, key, new bytes.
        writes: The turns of the next PUTs and DELETEs; after them all are honest.
        looks: The turns of the next GETs and HEADs.
        choose: Asked for the turn of a write where ``writes`` has none left.
        ignores: The store takes no notice of conditions.
        unquoted: It compares the ETags of PUTs without quotes, and takes no notice of a DELETE's.
        extra: A line of header in every answer.
    """

    def __init__(self, **objects: bytes) -> None:
        self.objects = {key: Stored(value) for key, value in objects.items()}
        self.applied: list[tuple[str, str, bytes]] = []
        self.writes: list[Turn] = []
        self.looks: list[Turn] = []
        self.choose: Callable[[], Turn] = lambda: HONEST
        self.ignores = False
        self.unquoted = False
        self.extra: tuple[str, ...] = ()
        self._lock = threading.RLock()

    def server(self) -> ScriptedServer:
        """Return a server that serves the bucket on every connection."""
        return ScriptedServer(then=[Forever(READ, self)])

    def set(self, key: str, value: bytes | None) -> None:
        """Write or delete as some other client would; not counted."""
        with self._lock:
            self.objects.pop(key, None)
            if value is not None:
                self.objects[key] = Stored(value)

    def run(self, peer: Peer) -> None:
        """Carry the request out, or not, and answer, or not, as its turn says."""
        request = peer.requests[-1]
        told: bytes | Step
        with self._lock:
            turns = self.writes if request.method in WRITES else self.looks
            chosen = self.choose() if request.method in WRITES else HONEST
            turn = turns.pop(0) if turns else chosen
            truth = self._answer(request) if turn.acts else b""
            told = truth if turn.told is None else turn.told
            if turn.then is not None:
                turn.then()
        if isinstance(told, Step):
            told.run(peer)
            peer.close()
            raise ClientGone
        peer.send(told)
        if b"\r\nConnection: close\r\n" in told:
            peer.close()
            raise ClientGone

    def _answer(self, request: Recorded) -> bytes:
        if "list-type" in parse_qs(request.query):
            return listing()
        bucket, _, key = unquote(request.path)[1:].partition("/")
        if bucket != "bucket":
            return self._refusal(request, 404, "NoSuchBucket")
        found = self.objects.get(key)
        refused = None if self.ignores else self._condition(request, found)
        if refused is not None:
            return refused
        if request.method == "PUT":
            kept = tuple(
                f"{name}: {value}" for name, value in request.headers if name.startswith("x-amz-meta-")
            )
            self.objects[key] = stored = Stored(request.body, kept)
            self.applied.append(("PUT", key, request.body))
            return answer(200, b"", f"ETag: {stored.etag}", *self.extra)
        if request.method == "DELETE":
            if self.objects.pop(key, None) is not None:
                self.applied.append(("DELETE", key, b""))
            return (
                "HTTP/1.1 204 No Content\r\n" + "".join(f"{line}\r\n" for line in self.extra)
            ).encode() + (b"\r\n")
        if found is None:
            return self._refusal(request, 404, "NoSuchKey")
        body = b"" if request.method == "HEAD" else found.value
        lines = (f"ETag: {found.etag}", *found.headers, *self.extra)
        return answer(200, body, *lines, length=len(found.value))

    def _condition(self, request: Recorded, found: Stored | None) -> bytes | None:
        match, none_match = request.header("if-match"), request.header("if-none-match")
        changes = request.method in WRITES
        if self.unquoted and request.method == "DELETE":
            return None
        if match is not None:
            if found is None:
                return self._refusal(request, 404, "NoSuchKey")
            wanted = found.etag.strip('"') if self.unquoted and changes else found.etag
            if match != wanted:
                return self._refusal(request, 412, "PreconditionFailed")
        if none_match is not None and found is not None:
            if changes and none_match == "*":
                return self._refusal(request, 412, "PreconditionFailed")
            if not changes and none_match == found.etag:
                return answer(304, b"", f"ETag: {found.etag}", *self.extra)
        return None

    def _refusal(self, request: Recorded, status: int, code: str) -> bytes:
        if request.method == "HEAD":
            return answer(status, b"", *self.extra)
        return error(status, code, *self.extra)
