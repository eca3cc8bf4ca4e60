"""Credentials are fetched once for everybody, and renewed ahead of their end.

From 15 minutes before their end credentials are renewed while everybody goes on with the old ones; from
10 minutes before, everybody waits for the new ones.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.credentials import Credentials
from requests.adapters import HTTPAdapter

import s3kv
from tests.servers.metadata import NOT_CREDENTIALS, Aging, FakeContainer, FakeS3, Reply, keys
from tests.wire.helpers import Background, Stopwatch

ADVISORY = 12 * 60
MANDATORY = 5 * 60


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    """Return a store's server."""
    with FakeS3() as server:
        yield server


def at_once(store: s3kv.Store, count: int) -> list[Background[bytes]]:
    """Begin so many reads, each in a thread of its own."""
    return [Background(lambda key=str(number): store.get(key)) for number in range(count)]  # type: ignore[misc]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.005)


# ------------------------------------------------------------------------ the first fetch


def test_callers_that_come_at_once_share_the_first_fetch(s3: FakeS3) -> None:
    """All of them wait for the one that is under way."""
    with FakeContainer() as container, s3.store(container.spec) as store:
        container.gate.clear()
        calls = at_once(store, 32)
        container.until(1)
        assert not any(call.done(0) for call in calls)
        time.sleep(0.1)
        container.gate.set()
        assert [call.result() for call in calls] == [b"value"] * 32
        assert len(container.requests) == 1
    assert len(s3.requests) == 32
    s3.check(keys())


def test_callers_that_come_while_a_fetch_ends_do_not_begin_another(s3: FakeS3) -> None:
    """However fast it is, and however late they look; with a session each looks in a thread of its own."""
    calls: list[int] = []
    count = 45
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool, requests.Session() as session:
            session.mount("http://", HTTPAdapter(pool_maxsize=32))
            for number in range(count):

                def find(number: int = number) -> Credentials:
                    calls.append(number)
                    return keys().object

                with s3.store(find, session=session if number % 3 else None) as store:
                    barrier = threading.Barrier(16)

                    def read(store: s3kv.Store = store, barrier: threading.Barrier = barrier) -> bytes:
                        barrier.wait(5)
                        return store.get("key")

                    reads = [pool.submit(read) for _ in range(16)]
                    assert [each.result(5) for each in reads] == [b"value"] * 16
    finally:
        sys.setswitchinterval(before)
    assert calls == list(range(count))


def test_callers_that_come_at_once_share_a_failure(s3: FakeS3) -> None:
    """Which takes as long as one look-up; each gets an error of its own, with its own key."""
    with FakeContainer(Reply(body=NOT_CREDENTIALS, seconds=0.4)) as container:
        with s3.store(container.spec) as store, Stopwatch() as watch:
            calls = at_once(store, 32)
            errors = [call.error() for call in calls]
        assert watch.seconds < 2
        assert len(container.requests) <= 2
    assert s3.requests == []
    assert {type(error) for error in errors} == {s3kv.CredentialsError}
    assert [getattr(error, "key", None) for error in errors] == [str(number) for number in range(32)]


def test_a_failure_is_not_remembered(s3: FakeS3) -> None:
    """The next request looks again."""
    with FakeContainer(NOT_CREDENTIALS) as container, s3.store(container.spec) as store:
        for count in (1, 2, 3):
            with pytest.raises(s3kv.CredentialsError):
                store.get("key")
            assert len(container.requests) == count
        container.script(keys())
        assert store.get("key") == b"value"
    s3.check(keys())


def test_stores_of_one_context_share_a_fetch(s3: FakeS3) -> None:
    """And children share that of their store; the context may give the credentials a name."""
    with FakeContainer(keys(1), keys(2)) as container:
        context = s3kv.Context(
            {"aws_credentials": container.spec, "aws_credentials#mine": "aws_credentials"}
        )
        options: list[dict[str, Any]] = [{}, {}, {"aws_credentials": "aws_credentials#mine"}]
        for more in options:
            with s3.store(context=context, **more) as store:
                store.get("key")
                (store / "child").get("key")
        assert len(container.requests) == 1
    assert len(s3.requests) == 6
    s3.check(keys(1))


def test_stores_that_describe_their_credentials_themselves_share_nothing(s3: FakeS3) -> None:
    """Each fetches its own."""
    with FakeContainer(keys(1), keys(2)) as container:
        with s3.store(container.spec) as one, s3.store(container.spec) as other:
            one.get("key")
            other.get("key")
            one.get("key")
        assert len(container.requests) == 2
    assert s3.signers == [keys(1).signer, keys(2).signer, keys(1).signer]


# -------------------------------------------------------------------------- ahead of time


def test_credentials_that_last_are_not_renewed(s3: FakeS3) -> None:
    """With 16 minutes to go there is no need."""
    with FakeContainer(keys(1, expires=16 * 60), keys(2)) as container, s3.store(container.spec) as store:
        for _ in range(20):
            store.get("key")
        assert len(container.requests) == 1
    s3.check(keys(1))


@pytest.fixture
def aging() -> Iterator[Aging]:
    """Return credentials whose time the test rules."""
    made = Aging()
    yield made
    made.gate.set()


@pytest.fixture(params=["object", "callable"])
def given(request: pytest.FixtureRequest, aging: Aging) -> Any:
    """Return the way in which they are passed to a store."""
    return aging.object if request.param == "object" else lambda: aging.object


def until_renewal(store: s3kv.Store, aging: Aging) -> list[Background[bytes]]:
    """Read until somebody notices that it is time; the reads that are not done then."""
    calls: list[Background[bytes]] = []

    def noticed() -> bool:
        calls.extend(at_once(store, 1))
        return aging.calls > 0

    until(noticed)
    end = time.monotonic() + 0.5
    return [call for call in calls if not call.done(max(0.0, end - time.monotonic()))]


def test_everybody_goes_on_while_credentials_that_are_about_to_end_are_renewed(
    s3: FakeS3, aging: Aging, given: Any
) -> None:
    """By one fetch; whoever does not make it signs with the old ones, and with the new ones after it."""
    with s3.store(given) as store:
        store.get("key")
        aging.gate.clear()
        aging.leave(ADVISORY)
        waiting = until_renewal(store, aging)
        calls = [call for _ in range(3) for call in at_once(store, 32)]
        waiting += [call for call in calls if not call.done(2)]
        # At most one of them is the one who renews.
        assert len(waiting) <= 1
        assert set(s3.signers) == {keys(1).signer}
        aging.gate.set()
        for call in waiting:
            assert call.result() == b"value"
        until(lambda: store.get("key") == b"value" and s3.signers[-1] == keys(2).signer)
        assert aging.calls == 1
        sent = len(s3.requests)
        for call in at_once(store, 8):
            call.result()
        assert s3.signers[sent:] == [keys(2).signer] * 8


def test_nobody_waits_while_credentials_that_are_about_to_end_are_renewed(s3: FakeS3, aging: Aging) -> None:
    """Not even whoever comes first when it is time."""
    with s3.store(aging.object) as store:
        store.get("key")
        aging.gate.clear()
        aging.leave(ADVISORY)
        waiting = until_renewal(store, aging)
        aging.gate.set()
        for call in waiting:
            call.result()
        assert waiting == []


def test_credentials_that_are_about_to_end_when_they_are_passed_are_renewed_soon(
    s3: FakeS3, aging: Aging, given: Any
) -> None:
    """Nobody waits for that either; unlike a provider's answer, they need not be the newest there are."""
    aging.leave(ADVISORY)
    with s3.store(given) as store:
        with Stopwatch() as watch:
            store.get("key")
        assert watch.seconds < 0.5
        assert s3.signers == [keys(1).signer]
        until(lambda: store.get("key") == b"value" and s3.signers[-1] == keys(2).signer)
        assert aging.calls == 1


def test_nobody_waits_for_better_credentials_than_those_just_fetched(s3: FakeS3) -> None:
    """They have minutes to go; that a provider has no better ones yet is no reason to wait."""
    with FakeContainer(keys(1, ADVISORY), Reply(body=keys(2), seconds=0.6)) as container:
        with s3.store(container.spec) as store, Stopwatch() as watch:
            store.get("key")
        assert watch.seconds < 0.5
    assert s3.signers == [keys(1).signer]


def test_everybody_waits_for_credentials_that_must_be_renewed(s3: FakeS3, aging: Aging, given: Any) -> None:
    """For one fetch; nothing is sent with the old ones while it goes on."""
    with s3.store(given) as store:
        store.get("key")
        aging.gate.clear()
        aging.leave(MANDATORY)
        calls = until_renewal(store, aging)
        sent = len(s3.requests)
        calls += at_once(store, 16)
        assert not any(call.done(0.01) for call in calls)
        assert len(s3.requests) == sent
        aging.gate.set()
        assert [call.result() for call in calls] == [b"value"] * len(calls)
    assert aging.calls == 1
    assert aging.at_once.peak == 1
    assert s3.signers[sent:] == [keys(2).signer] * len(calls)


@pytest.mark.parametrize("failure", [OSError("no network"), None], ids=["no network", "expired ones"])
def test_a_renewal_that_fails_ahead_of_time_is_not_tried_at_every_request(
    failure: Exception | None, s3: FakeS3, aging: Aging
) -> None:
    """Nor every second; all requests go on with the old ones."""
    with s3.store(aging.object) as store:
        store.get("key")
        aging.failure = failure
        aging.lasts = timedelta(seconds=-60)
        aging.leave(ADVISORY)
        for call in until_renewal(store, aging):
            call.result()
        end = time.monotonic() + 1.3
        while time.monotonic() < end:
            assert store.get("key") == b"value"
            time.sleep(0.01)
        assert aging.calls == 1
    assert set(s3.signers) == {keys(1).signer}


def test_a_renewal_that_must_be_and_fails_is_an_error_until_it_succeeds(s3: FakeS3, aging: Aging) -> None:
    """Everybody who waits for it is told; it is tried again for the next request."""
    with s3.store(aging.object) as store:
        store.get("key")
        aging.failure = OSError("no network")
        aging.gate.clear()
        aging.leave(0)
        calls = until_renewal(store, aging)
        calls += at_once(store, 8)
        sent = len(s3.requests)
        aging.gate.set()
        for call in calls:
            error = call.error()
            assert isinstance(error, s3kv.CredentialsError)
            assert "no network" in str(error)
        assert len(s3.requests) == sent
        aging.failure = None
        assert store.get("key") == b"value"
    assert s3.signers[sent:] == [keys(1 + aging.calls).signer]


def test_a_provider_that_has_no_better_credentials_yet_is_left_alone(
    s3: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are about to end go on being used; no log has a secret."""
    caplog.set_level(logging.INFO)
    with FakeContainer(keys(1, ADVISORY), NOT_CREDENTIALS) as container:
        with s3.store(container.spec) as store:
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                assert store.get("key") == b"value"
                time.sleep(0.005)
        assert len(container.requests) <= 2
    s3.check(keys(1))
    for secret in (keys(1).secret_key, keys(1).token):
        assert secret[:12] not in caplog.text


def test_an_answer_without_an_end_is_good_for_ever(s3: FakeS3, tmp_path: Path) -> None:
    """Long-term keys of a file are read once, however many requests there are."""
    file = tmp_path / "credentials"
    found = keys(expires=None)
    file.write_text(
        f"[default]\naws_access_key_id = {found.access_key}\naws_secret_access_key = {found.secret_key}\n"
        f"aws_session_token = {found.token}\n"
    )
    with s3.store({"type": "profile", "credentials_file": str(file)}) as store:
        store.get("key")
        file.unlink()
        for _ in range(10):
            store.get("key")
    s3.check(keys())
