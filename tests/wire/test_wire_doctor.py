"""What the doctor asks of a store, what it makes of the answers, and that it leaves nothing behind."""

from __future__ import annotations

import _thread
import json
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import s3kv
from s3kv.doctor import Check, Report
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY, TOKEN
from tests.wire.helpers import Background
from tests.wire.memory_s3 import MemoryS3, Turn, operation_of
from tests.wire.scripted import CLOSE, HOLD, READ, Forever, ScriptedServer, Send, Step, answer, error

Open = Callable[..., s3kv.Store]

BEFORE = [
    "versions",
    "limits",
    "credentials",
    "endpoint",
    "addressing",
    "region",
    "proxy",
    "TLS",
    "connection",
    "list",
]
AFTER = ["clock", "latency", "checksums"]
CONDITIONS = [
    "put if_absent",
    "put if_equal",
    "read if_equal",
    "read if_not_equal",
    "delete if_equal",
    "put if_equal that holds",
]
ALL = [*BEFORE, "write", "read", "conditional writes", *CONDITIONS, "delete", *AFTER]
LOOKING = [*BEFORE, "read", "write", "conditional writes", *AFTER]
# One to see whether that is allowed, the others for the latency.
LISTINGS = 6


@pytest.fixture
def open_() -> Iterator[Open]:
    """Return a function that opens a store which tries twice, with short pauses."""
    opened: list[s3kv.Store] = []

    def open_store(server: ScriptedServer, **options: Any) -> s3kv.Store:
        members: dict[str, Any] = {
            "bucket": "bucket",
            "endpoint": server.url,
            "aws_region": "us-east-1",
            "aws_credentials": {"type": "anonymous"},
            "s3_request_retries": {"max_retries": 2, "initial_delay": "1ms", "max_delay": "2ms"},
        }
        timeout = options.pop("timeout", None)
        members.update(options)
        opened.append(s3kv.Store({k: v for k, v in members.items() if v is not None}, timeout=timeout))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def names(report: Report) -> list[str]:
    """Return what was looked at, in order."""
    return [check.name for check in report]


def outcomes(report: Report) -> dict[str, str]:
    """Return what came of each check."""
    return {check.name: check.outcome for check in report}


# -------------------------------------------------------------------------------------- what is asked


def test_a_look_changes_nothing(open_: Open) -> None:
    """Nothing is written unless that is asked for, and the report says so."""
    bucket = MemoryS3(key=b"value")
    with bucket.server() as server:
        report = open_(server).doctor()
        assert names(report) == LOOKING
        assert report["write"].outcome == report["conditional writes"].outcome == "warning"
        assert "doctor(write=True)" in report["write"].advice
        assert {request.method for request in server.requests} <= {"GET", "HEAD"}
        assert report.ok


def test_a_store_that_does_as_amazon_does_has_nothing_to_be_said_against(open_: Open) -> None:
    """Each condition is tried on a key of its own, which is gone afterwards."""
    bucket = MemoryS3(key=b"value")
    with bucket.server() as server:
        report = open_(server, path="a path/").doctor(write=True)
        assert names(report) == ALL
        assert set(outcomes(report).values()) == {"ok"}
        assert report.ok
        assert server.url in report["endpoint"].detail
        assert "us-east-1" in report["region"].detail
        touched = {key for _, key, _ in bucket.applied}
        assert len(touched) == 1
        assert touched.pop().startswith("a path/.s3kv-doctor-")
        assert bucket.objects.keys() == {"key"}


def test_two_examinations_do_not_meet(open_: Open) -> None:
    """Each has a key that nobody else has."""
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        calls = [Background(lambda: store.doctor(write=True)) for _ in range(8)]
        for call in calls:
            assert set(outcomes(call.result()).values()) == {"ok"}
        assert len({key for _, key, _ in bucket.applied}) == 8
        assert bucket.objects == {}


@pytest.mark.parametrize("trusted", [True, False, None])
def test_a_store_that_ignores_conditions_is_found_out(trusted: bool | None, open_: Open) -> None:
    """And what follows from that is said; whoever relies on the store alone is told to stop that."""
    bucket = MemoryS3()
    bucket.ignores = True
    members = {} if trusted is None else {"use_conditional_write": trusted}
    with bucket.server() as server:
        report = open_(server, **members).doctor(write=True)
        assert names(report) == ALL
        for name in CONDITIONS[:5]:
            assert report[name].outcome == "warning"
            assert "ignores" in report[name].detail
            assert report[name].advice
        assert ("use_conditional_write" in report["put if_absent"].advice) == bool(trusted)
        assert report["conditional writes"].outcome == "warning"
        assert report["conditional writes"].advice == report["put if_absent"].advice
        assert report["put if_equal that holds"].outcome == "ok"
        assert report.ok
        assert bucket.objects == {}


def test_who_asked_to_write_and_may_not_is_not_told_to_ask(open_: Open) -> None:
    """Conditions cannot be tried then, and what helps is another thing."""
    refuse = Turn(acts=False, told=error(403, "AccessDenied"))
    bucket = MemoryS3()
    bucket.choose = lambda: refuse
    with bucket.server() as server:
        store = open_(server, use_conditional_write=None)
        assert "doctor(write=True)" in store.doctor()["conditional writes"].advice
        report = store.doctor(write=True)
        assert report["write"].outcome == "failure"
        assert report["conditional writes"].outcome == "warning"
        assert "can be written" in report["conditional writes"].advice


def test_a_store_that_refuses_conditions_that_hold_is_found_out(open_: Open) -> None:
    """It would never let anybody write."""
    bucket = MemoryS3()
    bucket.unquoted = True
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert report["put if_equal"].outcome == "ok"
        assert report["put if_equal that holds"].outcome == "failure"
        assert report["delete if_equal"].outcome == "warning"
        assert not report.ok
        assert bucket.objects == {}


def test_a_gateway_is_asked_as_it_understands(open_: Open) -> None:
    """RADOS Gateway wants the ETags of writes without their quotes, and s3kv knows that."""
    bucket = MemoryS3()
    bucket.unquoted = True
    bucket.extra = ("x-amz-request-id: tx00000a-0063-1037-default",)
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert report["put if_equal that holds"].outcome == "ok"
        assert report["delete if_equal"].outcome == "warning"
        assert bucket.objects == {}


@pytest.mark.parametrize("status", [400, 403, 501])
def test_a_store_that_chokes_on_a_condition_does_not_ignore_it(status: int, open_: Open) -> None:
    """It refuses the header, which is another matter: s3kv's own conditional writes fail there, too."""
    bucket = MemoryS3()
    choke = Turn(acts=False, told=error(status, "NotImplemented"))
    bucket.writes = [Turn(), Turn(), choke, Turn(), choke]
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        for name in ("put if_absent", "put if_equal"):
            assert report[name].outcome != "ok"
            assert "ignores" not in report[name].detail
            assert str(status) in report[name].detail
        assert bucket.objects == {}


# --------------------------------------------------------------------------------- what goes wrong

TROUBLES: dict[str, bytes | Step] = {
    "403": error(403, "AccessDenied"),
    "404": error(404, "NoSuchBucket"),
    "503": error(503, "SlowDown"),
    "closed": CLOSE,
    "not HTTP": b"SMTP ready\r\n\r\n",
}
each_trouble = pytest.mark.parametrize("told", TROUBLES.values(), ids=TROUBLES)


@each_trouble
@pytest.mark.parametrize("write", [True, False])
def test_a_store_that_answers_nothing_well_is_a_report_of_failures(
    write: bool, told: bytes | Step, open_: Open
) -> None:
    """Nothing is raised; each failure says what to do."""
    steps = [READ, told, CLOSE] if isinstance(told, Step) else [READ, Send(told), CLOSE]
    with ScriptedServer(then=[Forever(*steps)], lenient=True) as server:
        report = open_(server).doctor(write=write)
        assert report["list"].outcome == "failure"
        assert report["list"].advice
        assert not report.ok
        assert names(report)[: len(BEFORE)] == BEFORE
        assert report["read"].outcome != "ok"
        if write:
            assert report["write"].outcome == "failure"
            assert report["write"].advice


@each_trouble
@pytest.mark.parametrize("at", range(12))
def test_whatever_fails_in_between_is_in_the_report_and_the_key_is_removed(
    at: int, told: bytes | Step, open_: Open
) -> None:
    """At any write; the examination ends well, though it may end early."""
    # What is tried again fails again; a dead connection that was kept costs no attempt.
    times = {TROUBLES["503"]: 2, CLOSE: 3}.get(told, 1)
    bucket = MemoryS3()
    bucket.writes = [Turn()] * at + [Turn(acts=False, told=told)] * times
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert isinstance(report, Report)
        assert names(report)[: len(BEFORE)] == BEFORE
        assert names(report)[-len(AFTER) :] == AFTER
        asked = [operation_of(request) for request in server.requests]
        if at == 0 and told in (TROUBLES["403"], TROUBLES["404"]):
            # What was certainly not written need not be removed.
            assert "DeleteObject" not in asked
            return
        assert "delete" in names(report)
        assert "DeleteObject" in asked
        if not bucket.writes and report["delete"].outcome == "ok" and asked[-1] == "DeleteObject":
            # A DELETE that was answered with 404 did nothing.
            assert told is TROUBLES["404"] or bucket.objects == {}
        found = {key for _, key, _ in bucket.applied}
        assert len(found) <= 1


def test_what_was_found_out_before_a_failure_is_in_the_report(open_: Open) -> None:
    """The one says nothing against the other."""
    refused = Turn(acts=False, told=error(403, "AccessDenied"))
    bucket = MemoryS3()
    bucket.ignores = True
    bucket.writes = [Turn()] * 3 + [refused]
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert report["put if_absent"].outcome == "warning"
        assert not report.ok
        assert bucket.objects == {}


def test_a_key_that_vanishes_is_no_condition_that_was_honoured(open_: Open) -> None:
    """The key is there, so 404 is no answer to a condition."""
    missing = Turn(acts=False, told=error(404, "NoSuchKey"))
    bucket = MemoryS3()
    bucket.writes = [Turn()] * 3 + [missing]
    bucket.looks = [Turn()] * (LISTINGS + 1) + [missing] * 2
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        for name in ("put if_equal", "read if_equal", "read if_not_equal"):
            assert report[name].outcome != "ok"


@each_trouble
@pytest.mark.parametrize("at", [0, 1, LISTINGS, LISTINGS + 1, LISTINGS + 2])
def test_a_read_that_fails_is_in_the_report_and_the_key_is_removed(
    at: int, told: bytes | Step, open_: Open
) -> None:
    """The listing, those that tell the latency, the read, and those under conditions."""
    bucket = MemoryS3()
    bucket.looks = [Turn()] * at + [Turn(acts=False, told=told)] * 3
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert not set(outcomes(report).values()) <= {"ok"}
        assert bucket.objects == {}


def test_a_key_that_cannot_be_removed_is_named(open_: Open) -> None:
    """So that somebody can do it by hand."""
    refused = error(403, "AccessDenied")

    class NoDeletions(MemoryS3):
        def _answer(self, request: Any) -> bytes:
            return refused if request.method == "DELETE" else super()._answer(request)

    bucket = NoDeletions()
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert report["delete"].outcome == "failure"
        (key,) = bucket.objects
        assert key in report["delete"].advice
        assert not report.ok


def test_what_was_written_is_read_back_and_compared(open_: Open) -> None:
    """A store that gives other bytes is not to be trusted with any."""

    class Garbled(MemoryS3):
        def _answer(self, request: Any) -> bytes:
            told = super()._answer(request)
            return told.replace(b"s3kv", b"S3KV") if request.method == "GET" else told

    bucket = Garbled()
    with bucket.server() as server:
        report = open_(server).doctor(write=True)
        assert report["read"].outcome == "failure"
        assert bucket.objects == {}


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_ctrl_c_gives_the_prompt_back_at_once_and_removes_the_key(method: str, open_: Open) -> None:
    """The store is silent; the removal is sent, and nobody waits for it."""
    sent = threading.Event()
    removed = threading.Event()

    class Silent(MemoryS3):
        def run(self, peer: Any) -> None:
            request = peer.requests[-1]
            if sent.is_set() or request.method != method or ".s3kv-doctor-" not in request.path:
                super().run(peer)
                if request.method == "DELETE":
                    removed.set()
                return
            # It is carried out, and never answered.
            with self._lock:
                self._answer(request)
            sent.set()
            HOLD.run(peer)

    bucket = Silent()
    with bucket.server() as server:
        store = open_(server)
        interrupter = Background(lambda: sent.wait(10) and _thread.interrupt_main())
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            store.doctor(write=True)
        interrupter.result()
        assert time.monotonic() - started < 3
        assert removed.wait(5)
        assert bucket.objects == {}
        store.doctor()


def test_a_timeout_bounds_each_request(open_: Open) -> None:
    """A silent store does not keep the doctor for ever."""
    with ScriptedServer(then=[READ, HOLD]) as server:
        call = Background(lambda: open_(server, timeout=0.2).doctor(write=True))
        report = call.result()
        assert not report.ok
        assert call.seconds < 1.5


def test_a_closed_store_is_no_patient(open_: Open) -> None:
    """Any use of it is an error, and nothing is sent."""
    with MemoryS3().server() as server:
        store = open_(server)
        store.close()
        with pytest.raises(s3kv.S3KVError, match="closed"):
            store.doctor(write=True)
        assert server.requests == []


def test_an_unknown_region_is_found_out_by_looking(open_: Open) -> None:
    """The bucket is asked, and the report has what it says."""
    first = answer(200, b"", "x-amz-bucket-region: eu-west-1")
    bucket = MemoryS3()
    bucket.looks = [Turn(acts=False, told=first)]
    with bucket.server() as server:
        store = open_(server, aws_region=None, aws_credentials={"type": "environment"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            report = store.doctor()
        assert "eu-west-1" in report["region"].detail


def test_missing_credentials_are_a_finding(open_: Open) -> None:
    """As is all else that keeps a store from working."""
    with MemoryS3().server() as server:
        store = open_(server, aws_credentials={"type": "environment"})
        report = store.doctor(write=True)
        assert report["credentials"].outcome == "failure"
        assert "AWS_ACCESS_KEY_ID" in report["credentials"].detail
        assert report["connection"].outcome == "ok"
        for name in ("list", "read", "write"):
            assert report[name] == Check(
                name, "warning", "not tried: there are no credentials to sign with"
            )
        assert server.requests == []


def test_no_secret_is_shown(session_keys: None, open_: Open) -> None:
    """Not even one that the store itself repeats."""
    told = error(403, "AccessDenied", message=f"{SECRET_KEY} {TOKEN}")
    with ScriptedServer(then=[Forever(READ, Send(told))]) as server:
        report = open_(server, aws_credentials={"type": "environment"}).doctor(write=True)
        shown = f"{report} {report!r} {report._repr_html_()} {report.to_json()} {pickle.dumps(report)!r}"
        for secret in (SECRET_KEY, TOKEN):
            assert secret not in shown
        for request in server.requests:
            signed = re.search("Signature=([0-9a-f]{64})", request.header("authorization") or "")
            assert signed is not None
            assert signed[1] not in shown


# -------------------------------------------------------------------------------------- the report


REPORT = Report(
    [
        Check("list", "ok", "works"),
        Check("a longer name", "warning", "<b>'&\"</b>", "do <this> & that"),
        Check("write", "failure", "no"),
    ]
)


def test_a_report_is_read_as_text() -> None:
    """A line for each check, and one for what to do about it."""
    assert str(REPORT) == repr(REPORT)
    assert str(REPORT).splitlines() == [
        "ok       list           works",
        "warning  a longer name  <b>'&\"</b>",
        "                        -> do <this> & that",
        "failure  write          no",
    ]
    assert str(Report()) == ""


def test_a_report_is_read_as_json() -> None:
    """The same facts, by their names."""
    assert json.loads(json.dumps(REPORT.to_json())) == [
        {"name": "list", "outcome": "ok", "detail": "works", "advice": ""},
        {
            "name": "a longer name",
            "outcome": "warning",
            "detail": "<b>'&\"</b>",
            "advice": "do <this> & that",
        },
        {"name": "write", "outcome": "failure", "detail": "no", "advice": ""},
    ]


def test_a_report_is_shown_in_notebooks() -> None:
    """What a store says is text there, never markup."""
    shown = REPORT._repr_html_()
    assert "<b>" not in shown
    assert "<this>" not in shown
    assert "&lt;b&gt;" in shown
    assert "do &lt;this&gt; &amp; that" in shown
    assert shown.count("<tr>") == 4
    assert shown.startswith("<table>")


def test_a_check_is_found_by_its_name_and_its_place() -> None:
    """A name that is not there is a KeyError."""
    assert REPORT["write"] is REPORT[2] is REPORT[-1]
    assert [check.name for check in REPORT] == ["list", "a longer name", "write"]
    assert list(REPORT[:1]) == [REPORT[0]]
    assert len(REPORT) == 3
    with pytest.raises(KeyError, match="'nothing' is no check; there are list, a longer name, write"):
        REPORT["nothing"]
    with pytest.raises(IndexError):
        REPORT[len(REPORT)]


def test_only_a_failure_makes_a_report_bad() -> None:
    """A warning is something to know."""
    assert not REPORT.ok
    assert Report(REPORT[:2]).ok
    assert Report().ok


def test_a_report_pickles() -> None:
    """To be looked at elsewhere."""
    again = pickle.loads(pickle.dumps(REPORT))
    assert (again, type(again)) == (REPORT, Report)
    assert again["write"].outcome == "failure"


def test_two_threads_may_look_at_once(open_: Open) -> None:
    """A report belongs to whoever asked."""
    bucket = MemoryS3()
    start = threading.Barrier(2)

    def look(store: s3kv.Store) -> Report:
        start.wait(5)
        return store.doctor()

    with bucket.server() as server:
        store = open_(server)
        calls = [Background(partial(look, store)) for _ in range(2)]
        first, second = (call.result() for call in calls)
        assert outcomes(first) == outcomes(second)
        assert names(first) == LOOKING
