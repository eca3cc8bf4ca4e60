"""pytest finds the fixtures by itself; each test has a place of its own, and pays for what it asks for."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import pytest

import s3kv
from s3kv.testing import Answer, CutBody, DropResponse, FaultProxy, LocalServer

pytest_plugins = ["pytester"]

# What a test must not pay for unless it asks for a server; s3kv itself needs none of them.
HEAVY = ("moto", "boto3", "botocore", "flask", "werkzeug", "asyncio", "requests", "urllib3")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest in an interpreter of its own, with warnings as errors and no plugin but ours."""
    others = [entry.name for entry in entry_points(group="pytest11") if entry.name != "s3kv"]
    return pytester.runpytest_subprocess("-Werror", *(f"-pno:{name}" for name in others), *arguments)


def test_pytest_finds_the_plugin() -> None:
    """By the entry point of the installed package."""
    found = {entry.name: entry.value for entry in entry_points(group="pytest11")}
    assert found["s3kv"] == "s3kv.testing.plugin"


def test_each_test_has_an_empty_place_of_its_own(pytester: pytest.Pytester) -> None:
    """Whatever those before have left, and however they ended; one server serves all of them."""
    pytester.makepyfile(
        """
        import pytest, s3kv, s3kv.testing

        seen = []

        def test_one(s3kv_store, s3kv_server):
            assert isinstance(s3kv_store, s3kv.Store)
            assert isinstance(s3kv_server, s3kv.testing.LocalServer)
            assert s3kv_store.list() == []
            s3kv_store.put_many({"a": b"1", "b": b"2"})
            seen.append((s3kv_server, s3kv_store))

        def test_two(s3kv_store, s3kv_server):
            assert s3kv_store.list() == []
            server, store = seen[0]
            assert server is s3kv_server
            assert s3kv_store.path != store.path
            with pytest.raises(s3kv.StoreClosed):
                store.list()
            with s3kv_server.store() as everything:
                assert everything.list() == []
            s3kv_store["a"] = b"3"
            s3kv_store.close()

        def test_that_fails(s3kv_store):
            s3kv_store["a"] = b"1"
            raise ZeroDivisionError

        def test_three(s3kv_server):
            with s3kv_server.store() as everything:
                assert everything.list() == []

        @pytest.fixture
        def mine(s3kv_store):
            return s3kv_store / "mine/"

        def test_four(mine, s3kv_store):
            mine["a"] = b"4"
            assert s3kv_store.list() == ["mine/a"]
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["E  *ZeroDivisionError*"])


def test_a_test_without_the_fixtures_loads_and_starts_nothing(pytester: pytest.Pytester) -> None:
    """Neither the server's libraries nor asyncio; no thread."""
    pytester.makepyfile(
        f"""
        import sys, threading

        def test_plain():
            assert "s3kv.testing.plugin" in sys.modules
            assert not set({HEAVY!r}) & set(sys.modules)
            assert threading.enumerate() == [threading.main_thread()]
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_missing_extra_is_named(pytester: pytest.Pytester) -> None:
    """By the error of a test that wants the server; the others run."""
    pytester.makepyfile(
        """
        import sys

        sys.modules["moto"] = sys.modules["moto.server"] = None

        def test_server(s3kv_store):
            pass

        def test_other():
            pass
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*S3KVError*pip install 's3kv[[]server[]]'*"])


def test_the_fixtures_say_what_they_are(pytester: pytest.Pytester) -> None:
    """pytest --fixtures shows the first sentence of each."""
    result = run(pytester, "--fixtures")
    for line in ("s3kv_server*session scope*", "s3kv_store*", "s3kv_faults*"):
        result.stdout.fnmatch_lines([line, "    A*s3kv.*"])


def test_faults_are_injected_between_two_stores_of_one_place(
    s3kv_faults: FaultProxy, s3kv_store: s3kv.Store
) -> None:
    """The one through the proxy is broken, the other shows what is really there."""
    store = s3kv_faults.store()
    lost = s3kv_faults.inject(DropResponse(), operation="PutObject")
    cut = s3kv_faults.inject(CutBody(at=3), operation="GetObject", key="*/a")
    store["a"] = b"12345"
    assert s3kv_store["a"] == b"12345"
    assert store["a"] == b"12345"
    assert (lost.hits, cut.hits) == (1, 1)
    assert {seen.key for seen in s3kv_faults.requests} == {s3kv_store.path + "a"}


def test_retries_through_the_proxy_are_quick_unless_told_otherwise(s3kv_faults: FaultProxy) -> None:
    """A store that has no time at first keeps no test for long."""
    busy = s3kv_faults.inject(Answer.error(503, "SlowDown"), times=8)
    store = s3kv_faults.store(timeout=2)
    assert store.get("a", None) is None
    assert busy.hits == 8
    assert store.spec()["s3_request_retries"] == {"initial_delay": "10ms", "max_delay": "100ms"}


def test_the_server_is_one_for_all(s3kv_server: LocalServer, s3kv_store: s3kv.Store) -> None:
    """The stores of tests are in its bucket."""
    assert "s3kv.testing.plugin" in sys.modules
    assert (s3kv_store.bucket, s3kv_store.spec()["endpoint"]) == (s3kv_server.bucket, s3kv_server.endpoint)
