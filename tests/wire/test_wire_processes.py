"""Stores in other processes, however those are started: each has connections and threads of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

import s3kv
from tests.wire.conftest import OpenStore
from tests.wire.scripted import READ, Forever, Peer, ScriptedServer, Step, ok

# What a user's script does. The store is open, and has connections, when the others start.
SCRIPT = """
import multiprocessing, sys, threading
import s3kv


def work(store, number):
    value = store.get(f"child-{number}")
    batch = store.get_many([f"batch-{number}-{n}" for n in range(5)])
    names = {thread.name for thread in threading.enumerate()}
    return value, len(batch), store.metrics["read"], any("s3kv" in name for name in names)


if __name__ == "__main__":
    method, url = sys.argv[1:]
    store = s3kv.Store(
        bucket="bucket", endpoint=url, aws_region="us-east-1", aws_credentials={"type": "anonymous"}
    )
    assert store.get("parent") == b"/bucket/parent"
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        for number, found in enumerate(pool.starmap(work, [(store, n) for n in range(4)])):
            assert found[0] == f"/bucket/child-{number}".encode(), found
            assert found[1] == 5, found
            # Its own count, not its parent's; a store that was pickled begins anew each time.
            assert found[2] == 6, found
            assert found[3], found
    assert store.get("parent") == b"/bucket/parent"
    assert store.metrics["read"] == 2
    store.close()
    print("fine")
"""


class Echo(Step):
    """Answers each request with its own path."""

    def run(self, peer: Peer) -> None:
        """Send it."""
        peer.send(ok(peer.requests[-1].path.encode()))


def server() -> ScriptedServer:
    """Return a server of every object, whose bytes are its path."""
    return ScriptedServer(then=[Forever(READ, Echo())], lenient=True)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_store_is_sent_to_other_processes(method: str, tmp_path: Path) -> None:
    """Their answers are their own, and the parent goes on."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with server() as running:
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-W",
                "ignore::DeprecationWarning",
                script,
                method,
                running.url,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_cloudpickle_takes_a_store_with_a_function_of_the_script(open_store: OpenStore) -> None:
    """As Dask, Ray and others send them."""
    with server() as running:
        store = open_store(running)

        def read(key: str) -> bytes:
            return store.get(key)

        copied = cloudpickle.loads(cloudpickle.dumps(read))
        assert copied("a") == store.get("a") == b"/bucket/a"
        other: s3kv.Store = copied.__closure__[0].cell_contents
        assert other == store
        assert other is not store
        other.close()
        assert store.get("b") == b"/bucket/b"
