"""One suite, run unchanged against every real server: what a test gets, and what is known to differ.

A test asks for ``store``, or for the fixtures it is made of, and so runs once on each server. Where a
server is known to differ from Amazon S3 in a way that shows through s3kv, the test says which
feature it needs (``@pytest.mark.feature("dot-segment")``): on the servers that the table of departures
names for it, and only there, it is expected to fail, strictly, so that a difference that has gone
away fails the suite until the table is corrected. Where s3kv makes up for a difference, the
test is not marked: it has to hold.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest
import requests

import s3kv
from tests.contract.behind import Behind
from tests.contract.direct import Direct
from tests.contract.many import MANY
from tests.servers import ALL, LocalProcessServer, departure

# What a departure may look like: another result, another error, no error. Anything else, a TypeError
# or something left behind, is a failure on every server.
DEPARTED = (AssertionError, s3kv.S3KVError, pytest.fail.Exception)

_numbers = itertools.count(1)


# They start servers of their own, one after the other.
_ALONE = frozenset({"test_harness.py", "test_guards.py"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures that the table of departures promises; keep each server to one process."""
    for item in items:
        server = getattr(getattr(item, "callspec", None), "params", {}).get("server")
        if server in ALL:
            item.add_marker(pytest.mark.xdist_group(server.name))
        elif item.path.name in _ALONE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        for mark in item.iter_markers("feature"):
            callspec = getattr(item, "callspec", None)
            if callspec is None or "server" not in callspec.params:
                raise pytest.UsageError(f"{item.nodeid} is marked with a feature but uses no server")
            reason = departure(callspec.params["server"].name, *mark.args)
            if reason is not None:
                item.add_marker(pytest.mark.xfail(strict=True, raises=DEPARTED, reason=reason))


def pytest_report_collectionfinish() -> list[str]:
    """Say which servers the contract is checked on, and why not on the others."""
    reasons = {server.name: server.available() for server in ALL}
    present = [name for name, reason in reasons.items() if reason is None]
    absent = [f"absent server: {name}: {reason}" for name, reason in reasons.items() if reason is not None]
    return [f"servers: {', '.join(present) or 'none'}", *absent]


@pytest.fixture(scope="session", params=ALL, ids=lambda server_class: server_class.name)
def server(
    request: pytest.FixtureRequest, _no_configuration_of_this_machine: None
) -> Iterator[LocalProcessServer]:
    """Run a server of each kind, one after the other, each started once when a test first needs it."""
    reason = request.param.available()
    if reason is not None:
        pytest.skip(reason=f"no {request.param.name}: {reason}")
    with request.param() as running:
        yield running


@pytest.fixture(scope="session")
def _client(server: LocalProcessServer) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def raw(_client: Any) -> Iterator[Any]:
    """Return a boto3 client, to look at what s3kv did behind its back, and to do things behind it."""
    yield _client
    # It goes on working; its idle connections would pass for ones that the test left behind.
    _client.close()


@pytest.fixture
def behind(raw: Any) -> Behind:
    """Return what reads and writes the objects of a store with boto3."""
    return Behind(raw)


@pytest.fixture(scope="session")
def shared_bucket(server: LocalProcessServer, _client: Any) -> str:
    """Return the bucket in which most tests have a path of their own.

    Some servers take half a second for the first object of a bucket, and just after their start
    several: that object is written here, not in a test that has a timeout.
    """
    _client.create_bucket(Bucket="shared")
    _client.put_object(Bucket="shared", Key="first", Body=b"not empty: it is given a place on disk")
    _client.delete_object(Bucket="shared", Key="first")
    _client.close()
    return "shared"


@pytest.fixture
def new_bucket(raw: Any) -> str:
    """Return an empty bucket that only this test uses."""
    name = f"bucket-{next(_numbers)}"
    raw.create_bucket(Bucket=name)
    return name


@pytest.fixture
def path() -> str:
    """Return a path that only this test uses; itself one that has to be encoded."""
    return f"test {next(_numbers)} é+%/"


@pytest.fixture
def direct(server: LocalProcessServer, shared_bucket: str) -> Direct:
    """Return what sends requests to the shared bucket without s3kv and boto3."""
    return Direct(server.info, shared_bucket)


@pytest.fixture(scope="session")
def long_listing(server: LocalProcessServer, shared_bucket: str) -> str:
    """Return the path in the shared bucket below which the keys of ``MANY`` are; read them only.

    They are written without s3kv and in no order.
    """
    direct = Direct(server.info, shared_bucket)
    path = "long listing/"
    local = threading.local()
    connections: list[HTTPConnection] = []

    def write(key: str) -> None:
        if not hasattr(local, "connection"):
            local.connection = direct.connect()
            connections.append(local.connection)
        answer = direct.send("PUT", path + key, key.encode(), connection=local.connection)
        assert answer.status == 200, answer

    try:
        with ThreadPoolExecutor(8) as writers:
            for future in [writers.submit(write, key) for key in random.Random(0).sample(MANY, len(MANY))]:
                future.result()
    finally:
        for connection in connections:
            connection.close()
    return path


@pytest.fixture
def credentials(server: LocalProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the server's keys into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.info.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.info.secret_key)


@pytest.fixture
def members(server: LocalProcessServer, shared_bucket: str, path: str) -> dict[str, Any]:
    """Return the spec of a place in the shared bucket that only this test uses."""
    return {
        "bucket": shared_bucket,
        "path": path,
        "endpoint": server.info.endpoint,
        "aws_region": server.info.region,
        "aws_credentials": {"type": "environment"},
    }


OpenStore = Callable[..., s3kv.Store]


@pytest.fixture
def open_store(members: dict[str, Any]) -> Iterator[OpenStore]:
    """Return a function that opens a store at this test's place, or one that differs as told."""
    opened: list[s3kv.Store] = []

    def open_(**overrides: Any) -> s3kv.Store:
        opened.append(s3kv.Store(members, **overrides))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore, credentials: None) -> s3kv.Store:
    """Return a store with a path of its own whose requests are signed."""
    return open_store()


class Sent(NamedTuple):
    """One request that went through a session."""

    method: str
    url: str
    headers: dict[str, str]


class RecordingSession(requests.Session):
    """A session that remembers what was sent through it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Remember the request, and send it."""
        assert request.method is not None
        assert request.url is not None
        self.sent.append(Sent(request.method, request.url, dict(request.headers)))
        return super().send(request, **kwargs)


@pytest.fixture
def session() -> Iterator[RecordingSession]:
    """Return a session for ``Store(session=…)`` that remembers what was sent through it."""
    with RecordingSession() as recording:
        yield recording


@pytest.fixture(params=["built-in", "session"])
def transport(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Return the arguments of a store that sends in each of the ways in which a store can send."""
    if request.param == "built-in":
        yield {}
    else:
        with requests.Session() as session:
            yield {"session": session}


@pytest.fixture
def store_by(transport: dict[str, Any], open_store: OpenStore, credentials: None) -> s3kv.Store:
    """Return a store with a path of its own, for each transport."""
    return open_store(**transport)


@pytest.fixture
def store_at_root(
    transport: dict[str, Any], open_store: OpenStore, new_bucket: str, credentials: None
) -> s3kv.Store:
    """Return a store of a whole bucket, without a path, for each transport."""
    return open_store(bucket=new_bucket, path="", **transport)
