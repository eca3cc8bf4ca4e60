"""The guards that watch over all other tests see what they are there to see."""

from __future__ import annotations

import gc
import os
import socket
import threading
from typing import Any

import botocore.session
import pytest

import tests.leaks
from tests.leaks import Held
from tests.servers import departure


@pytest.fixture(autouse=True)
def _without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left behind on purpose here need not be waited for."""
    monkeypatch.setattr(tests.leaks, "SETTLE_SECONDS", 0.1)


def test_a_connection_that_a_test_leaves_open_is_found() -> None:
    """And told by its addresses; one that was there before, or is closed, is none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = Held.now()
        with socket.create_connection(server.getsockname()):
            (leak,) = before.leaks()
            assert str(server.getsockname()[1]) in leak
        assert before.leaks() == []


def test_a_connection_that_only_the_collector_can_reach_is_closed_by_it() -> None:
    """It is in nobody's way."""
    before = Held.now()
    with socket.create_server(("127.0.0.1", 0)) as server:
        gc.disable()
        try:
            cycle: list[Any] = [Closing(server.getsockname())]
            cycle.append(cycle)
            del cycle
            with_server = Held.now()
        finally:
            gc.enable()
    assert with_server.sockets > before.sockets
    assert before.leaks() == []


class Closing:
    """A connection that is closed, as a well-behaved client's is, when nobody wants it any more."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)

    def __del__(self) -> None:
        self._socket.close()


def test_a_thread_that_a_test_leaves_running_is_found() -> None:
    """Unless it belongs to the executor that all stores share."""
    before = Held.now()
    done = threading.Event()
    stray = threading.Thread(target=done.wait, name="stray")
    worker = threading.Thread(target=done.wait, name="s3kv_0")
    stray.start()
    worker.start()
    try:
        (leak,) = before.leaks()
        assert "stray" in leak
    finally:
        done.set()
        stray.join()
        worker.join()
    assert before.leaks() == []


def test_nothing_of_this_machine_is_configured() -> None:
    """botocore finds neither credentials nor a profile, and no proxy is set."""
    session = botocore.session.Session()
    assert session.get_credentials() is None
    assert session.available_profiles == []
    assert session.get_config_variable("region") is None
    assert not [name for name in os.environ if name.upper().endswith("_PROXY")]


def test_departures_are_expected_strictly_where_they_are_known_and_only_there(
    request: pytest.FixtureRequest,
) -> None:
    """For every test of this directory that was collected with this one."""
    for item in request.session.items:
        if item.path.parent != request.path.parent:
            continue
        features = [mark.args[0] for mark in item.iter_markers("feature")]
        server = item.callspec.params["server"].name if features else ""  # type: ignore[attr-defined]
        known = [departure(server, feature) for feature in features if departure(server, feature)]
        expected = [mark.kwargs for mark in item.iter_markers("xfail")]
        assert [mark["reason"] for mark in expected] == known
        assert all(mark["strict"] is True for mark in expected)
