"""A scripted server for zarr: objects in memory, ranges as S3 answers them, and keys that go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import s3kv
from s3kv.zarr import ZarrStore
from tests.wire.scripted import READ, Answer, Forever, Recorded, ScriptedServer, answer, error

_RANGE = re.compile(r"bytes=(\d*)-(\d*)").fullmatch
_ETAG = 'ETag: "9b2cf535f27731c974343645a3985328"'


def respond(request: Recorded, objects: Mapping[str, bytes]) -> bytes:
    """Answer a GET or a HEAD from ``objects``; a value that is an answer already is given as it is."""
    key = unquote(request.path).removeprefix("/bucket/")
    value = objects.get(key)
    if value is None:
        return answer(404) if request.method == "HEAD" else error(404, "NoSuchKey")
    if value.startswith(b"HTTP/1.1 "):
        return value
    size = len(value)
    if request.method == "HEAD":
        return answer(200, b"", _ETAG, length=size)
    asked = request.header("range")
    if asked is None:
        return answer(200, value, _ETAG)
    match = _RANGE(asked)
    assert match is not None
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        return answer(416, b"", f"Content-Range: bytes */{size}")
    return answer(206, value[first : last + 1], _ETAG, f"Content-Range: bytes {first}-{last}/{size}")


@contextmanager
def serving(objects: Mapping[str, bytes], **options: Any) -> Iterator[tuple[ZarrStore, ScriptedServer]]:
    """A store of zarr's on a scripted server with these objects."""
    with answering(lambda request: respond(request, objects)) as server, opened(server, **options) as store:
        yield ZarrStore(store), server


def answering(make: Callable[[Recorded], bytes]) -> ScriptedServer:
    """A server that answers every request with what a function makes of it."""
    return ScriptedServer(then=[Forever(READ, Answer(make))])


def opened(server: ScriptedServer | str, **options: Any) -> s3kv.Store:
    """A store that tries twice, with hardly a pause."""
    members: dict[str, Any] = {
        "bucket": "bucket",
        "endpoint": server if isinstance(server, str) else server.url,
        "aws_region": "us-east-1",
        "aws_credentials": {"type": "anonymous"},
        "s3_request_retries": {"max_retries": 2, "initial_delay": "1ms", "max_delay": "2ms"},
    }
    return s3kv.Store(members, **options)
