"""What every wire test gets: no network but 127.0.0.1, and a time limit."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import urllib3.connection  # noqa: F401 (imported at the first request otherwise, which tests time)

import s3kv
from s3kv.clock import Clock
from s3kv.context import default_context
from s3kv.core import Core
from s3kv.executor import RequestExecutor
from s3kv.messages import Settings
from s3kv.pipeline.driver import Timer
from s3kv.retry import RetryPolicy
from s3kv.spec.spec import Spec
from tests.wire.authority import Authority
from tests.wire.scripted import LOOPBACK, ScriptedServer

# Seconds that one test may take. A test that needs more is broken, or found a hang.
LIMIT = 40

ACCESS_KEY = "AKIDWIRETESTS"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYWIRETESTSK"
TOKEN = "FwoGZXIvYXdzEWIRETESTSsessionTOKEN//////////wEaDA=="

# As patient as the real one in the number of attempts that tests look at, but fast.
FAST = RetryPolicy(max_retries=4, initial_delay=0.001, max_delay=0.002)


@pytest.fixture(autouse=True)
def _time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that hangs, and go on with the next.

    A lock or a socket that the main thread waits for is given up; what cannot be, the project's own
    limit ends.
    """
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is None:
        yield
        return

    def fail(*_: object) -> None:
        pytest.fail(f"{request.node.name} was not done after {LIMIT} s")

    before = signal.signal(alarm, fail)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(alarm, before)


@pytest.fixture(scope="session", autouse=True)
def _cheap_collections() -> Iterator[None]:
    """Leave what exists already out of the collection after each test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Have a ResourceWarning, which is an error, hit the test that forgot the resource."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name but localhost is unknown, and no socket connects to any address but 127.0.0.1."""
    look_up = socket.getaddrinfo
    connect = socket.socket.connect

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in (LOOPBACK, "localhost"):
            return look_up(LOOPBACK, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def guarded(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] == LOOPBACK, f"a connection to {address}"
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put long-term credentials into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def session_keys(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put credentials with a session token into the environment."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return a certificate authority that no client trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return the authority, trusted through AWS_CA_BUNDLE."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    return authority


class FixedClock(Clock):
    """The real clock, with draws that always come out the same."""

    __slots__ = ("draw",)

    def __init__(self, draw: float) -> None:
        self.draw = lambda: draw


class RecordingTimer(Timer):
    """Waits not at all, and keeps what it was asked to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float, call: Any) -> None:
        self.waits.append(seconds)


OpenStore = Callable[..., s3kv.Store]


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    """Return a function that opens a store on a scripted server, or on any endpoint.

    Without ``policy``, ``settings``, ``clock``, ``timer`` and ``executor`` it is ``s3kv.Store(…)`` just
    as users call it. Every store is closed at the end of the test.
    """
    opened: list[s3kv.Store] = []

    def open_(
        where: ScriptedServer | str,
        *,
        bucket: str = "bucket",
        path: str = "",
        credentials: str = "anonymous",
        region: str | None = "us-east-1",
        session: Any = None,
        timeout: float | None = None,
        policy: RetryPolicy | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        timer: Timer | None = None,
        executor: RequestExecutor | None = None,
    ) -> s3kv.Store:
        members: dict[str, Any] = {
            "bucket": bucket,
            "path": path,
            "endpoint": where if isinstance(where, str) else where.url,
            "aws_credentials": {"type": credentials},
        }
        if region is not None:
            members["aws_region"] = region
        if not any((policy, settings, clock, timer, executor)):
            store = s3kv.Store(members, session=session, timeout=timeout)
            opened.append(store)
            return store
        core = Core(
            Spec(members),
            default_context(),
            session=session,
            policy=policy,
            settings=settings,
            clock=clock,
            timer=timer,
            executor=executor,
        )
        store = s3kv.Store._over(core, None, path, timeout)
        store._owner = True
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture(params=["built-in", "session"])
def transport(request: pytest.FixtureRequest) -> Iterator[requests.Session | None]:
    """Return what to give as ``session=``: None, or a session."""
    if request.param == "built-in":
        yield None
        return
    with requests.Session() as session:
        yield session


@contextmanager
def opening(**defaults: Any) -> Iterator[Callable[..., s3kv.Store]]:
    """Give a function that opens a store as users do; all are closed with the block.

    Args:
        **defaults: Members of each spec, besides the bucket and, where a server is given, the endpoint.
    """
    opened: list[s3kv.Store] = []

    def open_store(
        where: ScriptedServer | None = None,
        *,
        context: Any = None,
        session: Any = None,
        timeout: Any = None,
        **members: Any,
    ) -> s3kv.Store:
        if where is not None:
            members = {"endpoint": where.url, **members}
        members = {"bucket": "bucket", **defaults, **members}
        opened.append(s3kv.Store(members, context=context, session=session, timeout=timeout))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def open_() -> Iterator[Callable[..., s3kv.Store]]:
    """Return a function that opens a store which tries four times, with short pauses."""
    opened: list[s3kv.Store] = []

    def open_store(server: ScriptedServer, mode: bool | None = True, **options: Any) -> s3kv.Store:
        members: dict[str, Any] = {
            "bucket": "bucket",
            "endpoint": server.url,
            "aws_region": "us-east-1",
            "aws_credentials": {"type": "anonymous"},
            "s3_request_retries": {"max_retries": 4, "initial_delay": "1ms", "max_delay": "2ms"},
        }
        if mode is not None:
            members["use_conditional_write"] = mode
        opened.append(s3kv.Store(members, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()
