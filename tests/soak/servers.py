"""The servers behind the proxy of a soak."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.servers import ALL
from tests.wire.every_s3 import EveryS3
from tests.wire.jobs import small_parts
from tests.wire.scripted import ScriptedServer

_REAL = {server.name: server for server in ALL if server.name in ("moto", "seaweedfs", "ceph")}
#: Those that decide on conditions; "memory" is the little S3 of the wire tests, in this process.
NAMES = ("memory", *_REAL)


class Running(NamedTuple):
    """A server that runs.

    Attributes:
        endpoint: Its URL.
        members: How a store on it is opened.
        forget: Called now and then, so that it holds no more than it must.
        atomic: It decides on conditions and writes in one step.
    """

    endpoint: str
    members: dict[str, Any]
    forget: Callable[[], None]
    atomic: bool


class _Memory(EveryS3):
    """The little S3 in memory, which forgets what it was asked."""

    page = 50

    def forget(self, server: ScriptedServer) -> None:
        """Let go of requests that were answered, and of connections that are closed."""
        self.applied.clear()
        self.aborted.clear()
        with server.lock:
            server.requests.clear()
            server.connections[:] = [peer for peer in server.connections if not peer.gone.is_set()]
            for peer in server.connections:
                del peer.requests[:-1]
            server._threads[:] = [thread for thread in server._threads if thread.is_alive()]


@contextlib.contextmanager
def serving(name: str) -> Iterator[Running]:
    """Run a server of this name."""
    members: dict[str, Any] = {
        "bucket": "soak",
        "aws_region": "us-east-1",
        "s3_request_retries": {"initial_delay": "5ms", "max_delay": "50ms"},
    }
    if name == "memory":
        bucket = _Memory()
        with pytest.MonkeyPatch.context() as patch, bucket.server() as server:
            small_parts(patch)
            anonymous = {"aws_credentials": {"type": "anonymous"}, "use_conditional_write": True}
            members = {**members, **anonymous, "bucket": "bucket"}
            yield Running(server.url, members, lambda: bucket.forget(server), True)
        return
    with _REAL[name]() as process:
        process.create_bucket("soak")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", process.info.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", process.info.secret_key)
            members["aws_credentials"] = {"type": "environment"}
            yield Running(process.info.endpoint, members, lambda: None, name != "moto")
