"""The local server: its own bucket, its own memory, and no trace of it afterwards."""

from __future__ import annotations

import doctest
import errno
import logging
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

import s3kv
import s3kv.testing.fault_proxy
import s3kv.testing.faults
import s3kv.testing.local_server
from s3kv.testing import FaultProxy, LocalServer
from s3kv.testing.quiet import Quiet


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """Return a server that runs."""
    with LocalServer() as running:
        yield running


def client(server: LocalServer) -> Any:
    """A boto3 client, as the docstring has it."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def test_a_store_and_boto3_see_the_same_bucket(server: LocalServer) -> None:
    """Credentials or none."""
    s3 = client(server)
    with server.store(path="a/") as store:
        store["key"] = b"value"
        assert s3.get_object(Bucket=server.bucket, Key="a/key")["Body"].read() == b"value"
        s3.put_object(Bucket=server.bucket, Key="a/other", Body=b"2")
        assert store.list() == ["key", "other"]
    s3.close()


def test_members_go_before_the_spec(server: LocalServer) -> None:
    """Which opens the bucket by itself."""
    with s3kv.Store(server.spec) as plain, server.store(path="p/", timeout=5) as store:
        assert plain == server.store()
        assert (store.bucket, store.path) == (server.bucket, "p/")
        assert "timeout=5" in repr(store)
    assert server.spec["endpoint"] == server.endpoint


def test_a_store_goes_through_pickle(server: LocalServer) -> None:
    """As it must to get to a worker of Dask."""
    with server.store(path="pickled/") as store, pickle.loads(pickle.dumps(store)) as other:
        store["key"] = b"value"
        assert other["key"] == b"value"


def test_many_threads_may_use_it(server: LocalServer) -> None:
    """It serves them at the same time."""
    with server.store(path="many/") as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(str(number), b"x" * number), range(100)))
        assert sum(len(value) for value in store.values()) == sum(range(100))


def test_its_stores_are_closed_with_it() -> None:
    """Those that somebody has still; and its bucket is forgotten, so that it starts empty."""
    server = LocalServer("the-very-bucket")
    for _ in range(2):
        with server:
            store = server.store()
            assert store.list() == []
            store["key"] = b"value"
            server.store()
        with pytest.raises(s3kv.StoreClosed):
            store.get("key")


def test_a_bucket_that_somebody_deleted_is_no_trouble() -> None:
    """Nor one that keeps old versions."""
    with LocalServer() as server:
        s3 = client(server)
        s3.delete_bucket(Bucket=server.bucket)
        s3.close()
    with LocalServer() as server:
        s3 = client(server)
        s3.put_bucket_versioning(Bucket=server.bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=server.bucket, Key="k", Body=b"1")
        s3.close()


@pytest.mark.parametrize("name", ["endpoint", "spec", "store"])
def test_a_server_that_is_not_running_says_so(name: str) -> None:
    """And how to use it."""
    server = LocalServer()
    with pytest.raises(s3kv.S3KVError, match=r"not running: use it as `with LocalServer\(\) as server:`"):
        getattr(server, name)()
    assert repr(server) == f"<LocalServer not running, bucket {server.bucket!r}>"


def test_a_server_runs_once_at_a_time(server: LocalServer) -> None:
    """Starting it again is an error, and does it no harm."""
    with pytest.raises(s3kv.S3KVError, match="running already"):
        server.__enter__()
    with server.store() as store:
        store["key"] = b"value"


def test_servers_may_be_nested(server: LocalServer) -> None:
    """Each has a bucket of its own; two of one name would be one bucket."""
    with LocalServer() as other, server.store() as outer, other.store() as inner:
        assert other.bucket != server.bucket
        outer["key"], inner["key"] = b"outer", b"inner"
        assert (outer["key"], inner["key"]) == (b"outer", b"inner")
        with pytest.raises(s3kv.S3KVError, match="in moto's memory already"):
            LocalServer(server.bucket).__enter__()
    with server.store() as store:
        assert store["key"] == b"outer"


def test_a_bucket_that_cannot_be_is_refused() -> None:
    """Before anything is started."""
    for name in ("a b", "", "192.168.0.1"):
        with pytest.raises(s3kv.SpecError, match="bucket is"):
            LocalServer(name)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "moto.server", None)
    with pytest.raises(s3kv.S3KVError, match=r"pip install 's3kv\[server\]'"):
        LocalServer().__enter__()


def test_requests_are_not_logged(server: LocalServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed that the user has not printed."""
    with server.store() as store:
        store.get("missing", None)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("werkzeug").level == logging.ERROR


def test_what_was_logged_before_is_logged_afterwards() -> None:
    """Whatever the order in which servers end."""
    log = logging.getLogger("s3kv-test-of-quiet")
    log.setLevel(logging.INFO)
    quiet = Quiet(log.name)
    quiet.begin()
    quiet.begin()
    quiet.end()
    assert log.level == logging.ERROR
    quiet.end()
    assert log.level == logging.INFO


def refused(endpoint: str) -> bool:
    """Whether nobody is there any more."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == errno.ECONNREFUSED


def test_it_may_run_in_a_process_of_its_own(server: LocalServer) -> None:
    """Which shares nothing with this one, not even the names of buckets."""
    with LocalServer(server.bucket, in_process=False) as other, server.store() as here:
        store = other.store()
        here["key"], store["key"] = b"here", b"there"
        assert (here["key"], store["key"]) == (b"here", b"there")
        endpoint = other.endpoint
    assert refused(endpoint)


def test_a_process_of_its_own_ends_with_whoever_started_it() -> None:
    """However that ends."""
    code = """
import os
from s3kv.testing import LocalServer
print(LocalServer(in_process=False).__enter__().endpoint, flush=True)
os._exit(1)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    end = time.monotonic() + 10
    while not refused(run.stdout.strip()):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit('no room')", "the local server did not start: no room"),
        ("pass", "the local server did not start: it ended"),
        ("print('missing')", r"pip install 's3kv\[server\]'"),
    ],
)
def test_a_process_that_does_not_start_is_an_error(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it said."""
    monkeypatch.setattr("s3kv.testing.moto_server._PROGRAM", program)
    with pytest.raises(s3kv.S3KVError, match=message):
        LocalServer(in_process=False).__enter__()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_end_it(server: LocalServer) -> None:
    """Nor the proxy: they are its parent's, which it can use."""
    with FaultProxy(server) as proxy:
        child = os.fork()
        if not child:
            status = 1
            try:
                with server.store() as store, proxy.store() as through:
                    store["child"] = b"1"
                    status = 0 if through["child"] == b"1" else 2
                proxy.__exit__(None, None, None)
                server.__exit__(None, None, None)
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert proxy.store()["child"] == b"1"


@pytest.mark.parametrize(
    "module", [s3kv.testing.fault_proxy, s3kv.testing.faults, s3kv.testing.local_server]
)
def test_the_examples_do_what_they_say(module: Any) -> None:
    """As anybody would try them."""
    result = doctest.testmod(module, raise_on_error=True)
    assert result.attempted >= 1
