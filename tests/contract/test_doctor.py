"""The doctor on real servers: it says of their conditions what the table of departures says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import s3kv
from s3kv.doctor import Check
from tests.contract.behind import Behind
from tests.contract.conftest import RecordingSession
from tests.servers import LocalProcessServer, departure

OpenStore = Callable[..., s3kv.Store]

CONDITIONS = {
    "put if_absent": "put-if-none-match",
    "put if_equal": "put-if-match",
    "delete if_equal": "delete-if-match",
    "read if_equal": "read-if-match",
    "read if_not_equal": "read-if-none-match",
}


@pytest.mark.parametrize("trusted", [None, True, False])
def test_conditions_are_found_to_be_what_they_are_known_to_be(
    server: LocalProcessServer,
    open_store: OpenStore,
    credentials: None,
    behind: Behind,
    trusted: bool | None,
) -> None:
    """By trying them on a key of its own, which is gone afterwards."""
    store = open_store() if trusted is None else open_store(use_conditional_write=trusted)
    behind.put(store, "key", b"value")
    report = store.doctor(write=True)
    for name, feature in CONDITIONS.items():
        known = departure(server.name, feature)
        assert report[name].outcome == ("ok" if known is None else "warning"), known
        assert bool(report[name].advice) == (known is not None)
        assert ("ignores" in report[name].detail) == (known is not None)
    tried = ("credentials", "endpoint", "addressing", "region", "connection", "list", "write", "read")
    for name in (*tried, "delete", "put if_equal that holds", "clock", "latency"):
        assert report[name].outcome == "ok", report[name]
    atomic = all(
        departure(server.name, CONDITIONS[name]) is None for name in ("put if_absent", "put if_equal")
    )
    expected = "ok" if atomic and trusted is not False else "warning"
    assert report["conditional writes"].outcome == expected
    assert report.ok
    assert behind.keys(store) == ["key"]
    assert behind.get(store, "key") == b"value"


def test_nothing_is_written_unless_that_is_asked_for(
    open_store: OpenStore, credentials: None, session: RecordingSession
) -> None:
    """Not even tried."""
    report = open_store(session=session).doctor()
    assert report.ok
    assert report["list"].outcome == report["read"].outcome == "ok"
    assert report["write"].outcome == "warning"
    assert {sent.method for sent in session.sent} <= {"GET", "HEAD"}


def test_an_object_that_there_is_is_read(store: s3kv.Store, behind: Behind) -> None:
    """Be it empty."""
    for value in (b"", b"value"):
        behind.put(store, "key", value)
        assert store.doctor()["read"] == Check("read", "ok", "works")
    assert behind.get(store, "key") == b"value"


@pytest.mark.feature("missing-bucket-404-list")
@pytest.mark.parametrize("write", [True, False])
def test_a_missing_bucket_is_a_finding(open_store: OpenStore, credentials: None, write: bool) -> None:
    """Nothing is raised."""
    report = open_store(bucket="no-such-bucket").doctor(write=write)
    assert not report.ok
    assert report["list"].outcome == "failure"
    assert "NoSuchBucket" in report["list"].detail


@pytest.mark.feature("wrong-secret-refused")
def test_a_wrong_secret_is_a_finding(
    open_store: OpenStore, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not shown."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-key")
    report = open_store().doctor(write=True)
    assert report["list"].outcome == report["read"].outcome == report["write"].outcome == "failure"
    assert "secret access key" in report["list"].advice
    assert "SignatureDoesNotMatch" in report["list"].detail
    shown: Any = f"{report} {report._repr_html_()} {report.to_json()}"
    assert "not-the-secret-key" not in shown
