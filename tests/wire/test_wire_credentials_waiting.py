"""Nobody waits longer for credentials than he wants to, whatever their provider does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

import s3kv
from tests.servers.metadata import HANG, FakeContainer, FakeImds, FakeS3, keys
from tests.wire.helpers import Background, Stopwatch

ROOT = Path(__file__).resolve().parents[2]


class Hanging:
    """A callable that is asked for credentials, and waits."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> Credentials:
        self.asked.set()
        assert self.go_on.wait(10)
        return keys().object


@pytest.fixture(params=["callable", "ecs", "imds"])
def hanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Yield credentials that never come."""
    if request.param == "callable":
        source = Hanging()
        yield source
        source.go_on.set()
    elif request.param == "ecs":
        with FakeContainer(HANG) as container:
            yield container.spec
    else:
        with FakeImds(token=HANG) as imds:
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
            yield {"type": "imds"}


def test_the_timeout_bounds_the_wait_for_credentials(hanging: Any) -> None:
    """For everyone who waits; nothing is sent."""
    with FakeS3() as s3, s3.store(hanging, timeout=0.3) as store:
        calls = [Background(lambda: store.get("key")) for _ in range(4)]
        for call in calls:
            assert isinstance(call.error(3), s3kv.DeadlineExceeded)
            assert call.seconds < 1
        assert s3.requests == []


def test_closing_the_store_ends_the_wait_for_credentials(hanging: Any) -> None:
    """At once."""
    with FakeS3() as s3:
        store = s3.store(hanging)
        call = Background(lambda: store.get("key"))
        assert not call.done(0.2)
        with Stopwatch() as watch:
            store.close()
            assert isinstance(call.error(3), s3kv.StoreClosed)
        assert watch.seconds < 0.5
        assert s3.requests == []


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_ctrl_c_ends_the_wait_for_credentials_and_the_next_call_works() -> None:
    """Within half a second."""
    source = Hanging()
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with FakeS3() as s3, s3.store(source) as store:

            def interrupt() -> None:
                assert source.asked.wait(5)
                signal.pthread_kill(main, signal.SIGINT)

            watch = Stopwatch()
            killer = Background(interrupt)
            with watch, pytest.raises(KeyboardInterrupt):
                store.get("key")
            killer.result()
            source.go_on.set()
            assert watch.seconds - killer.seconds < 0.5
            assert store.get("key") == b"value"
            assert len(s3.requests) == 1
    finally:
        source.go_on.set()
        signal.signal(signal.SIGINT, before)


def test_a_caller_whose_time_is_up_does_not_end_the_look_up_for_the_others() -> None:
    """They go on waiting for the one that is under way, and it is made once."""
    source = Hanging()
    asked: list[None] = []

    def find() -> Credentials:
        asked.append(None)
        return source()

    with FakeS3() as s3, s3.store(find) as patient:
        hasty = Background(lambda: patient.with_timeout(0.2).get("key"))
        assert source.asked.wait(5)
        call = Background(lambda: patient.get("key"))
        assert isinstance(hasty.error(3), s3kv.DeadlineExceeded)
        source.go_on.set()
        assert call.result() == b"value"
        assert len(asked) == 1
        assert len(s3.requests) == 1


def test_a_provider_that_hangs_does_not_keep_other_stores_from_their_requests() -> None:
    """However many callers it has kept waiting until their time was up."""
    source = Hanging()
    with FakeS3() as s3, s3.store(source, timeout=0.3) as stuck:
        calls = [Background(lambda: stuck.get("key")) for _ in range(40)]
        for call in calls:
            assert isinstance(call.error(), s3kv.DeadlineExceeded)
        try:
            with s3.store({"type": "anonymous"}, timeout=2) as free, Stopwatch() as watch:
                assert free.get("key") == b"value"
            assert watch.seconds < 1
        finally:
            source.go_on.set()


LEAVING = """
import sys, time
import s3kv

def find():
    time.sleep(5)

with s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1", aws_credentials=find,
                timeout=0.2) as store:
    try:
        store.get("key")
    except s3kv.DeadlineExceeded:
        print(time.monotonic())
"""


def test_a_provider_that_hangs_does_not_keep_the_interpreter_from_its_end() -> None:
    """A program that waits for somebody to sign in may never come to its own."""
    with FakeS3() as s3:
        command = [sys.executable, "-W", "error", "-c", LEAVING, s3.url]
        done = subprocess.run(command, check=True, timeout=12, capture_output=True, text=True)
        assert time.monotonic() - float(done.stdout) < 2.5
        assert done.stderr == ""
        assert s3.requests == []


ALONE = """
import sys, threading, time
import s3kv
from tests.servers.metadata import Aging

def refuse(thread):
    raise RuntimeError("can't start new thread")

aging = Aging()
with s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1", aws_credentials=aging.object,
                timeout=2) as store:
    store.get("key")
    aging.leave(12 * 60)
    threading.Thread.start = refuse
    end = time.monotonic() + 3
    while aging.calls == 0 and time.monotonic() < end:
        store.get("key")
        time.sleep(0.05)
print(aging.calls, flush=True)
"""


def test_credentials_are_renewed_where_no_thread_can_be_started() -> None:
    """Too many threads, or too late for them: whoever comes first renews them, then."""
    with FakeS3() as s3:
        command = [sys.executable, "-W", "error", "-c", ALONE, s3.url]
        # It cannot end by itself where a thread waits for itself.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as program:
            try:
                output, errors = program.communicate(timeout=6)
            finally:
                program.kill()
        assert (output.split(), errors) == (["1"], "")
        assert set(s3.signers) <= {keys(1).signer, keys(2).signer}
