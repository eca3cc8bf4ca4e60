"""What a worker process is told, and what the objects contain: known to both sides, without any import."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

REGION = "us-east-1"
SMALL = 4096
LARGE_KEY = "large"
# What every client signs with where the server does not look at the signature.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "b" * 40


class Absent(Exception):
    """A contender cannot take part, which is no failure; says why."""


@dataclass(frozen=True)
class Place:
    """Where a server is, and what it has."""

    endpoint: str
    bucket: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    ca_file: str | None = None
    # How many small objects there are.
    keys: int = 0
    # Every key has the content of this one, if it is set.
    content_of: str | None = None
    # The SHA-256 of the large object.
    digest: str | None = None
    # A server that gives back what was put, if this one throws it away.
    recorder: str | None = None

    @property
    def tls(self) -> bool:
        """Whether the endpoint is HTTPS."""
        return self.endpoint.startswith("https:")

    @property
    def address(self) -> str:
        """Host and port."""
        return self.endpoint.partition("://")[2]


@dataclass(frozen=True)
class Task:
    """One contender: a client, the way in which it does the work, and the work."""

    client: str
    way: str
    style: str
    place: Place
    # Bytes of the object in the styles that move a large one.
    size: int = SMALL
    # How many of the user's threads call at the same time.
    threads: int = 1
    # How many requests may be in flight, where the row says so.
    limit: int = 32


def small_key(number: int) -> str:
    """The key of a small object."""
    return f"k{number:05d}"


def listed_key(number: int) -> str:
    """The key of an object in the listing."""
    return f"data/{number // 1000:04d}/part-{number:07d}.bin"


def content(key: str, size: int = SMALL) -> bytes:
    """The bytes of a small object: another one's would be noticed."""
    return hashlib.shake_128(key.encode()).digest(size)


def large_block() -> bytes:
    """A megabyte; large objects are repetitions of it."""
    return hashlib.shake_128(b"large").digest(1 << 20)


def large_content(size: int) -> bytes:
    """The bytes of a large object."""
    return large_block() * (size >> 20)
