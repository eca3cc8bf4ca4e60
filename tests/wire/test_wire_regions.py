"""A store whose region is not given finds it out, and one whose region is wrong is put right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import s3kv
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, OpenStore, RecordingTimer
from tests.wire.helpers import Background
from tests.wire.scripted import (
    HOLD,
    READ,
    RESET,
    Answer,
    Forever,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    Wait,
    answer,
    exchanges,
    ok,
)

TELLS = "x-amz-bucket-region: eu-west-3"


def _signed(server: ScriptedServer, region: str) -> list[Recorded]:
    """The signed requests, each of them signed for a region."""
    signed = [request for request in server.requests if request.header("authorization")]
    for request in signed:
        sigv4.check(request, ACCESS_KEY, SECRET_KEY, region)
    return signed


@pytest.mark.parametrize("status", [200, 301, 400, 403, 404])
def test_the_region_is_asked_for_once(
    status: int, keys: None, transport: Any, open_store: OpenStore
) -> None:
    """By a HEAD of the bucket without a proof, whatever its status; everything else is signed for it."""
    head = answer(status, b"", TELLS)
    judge = Answer(lambda request: head if request.path == "/bucket" else ok(b"v"))
    with ScriptedServer(then=[Forever(READ, judge)]) as server:
        store = open_store(server, region=None, credentials="environment", session=transport)
        assert store.get("key") == b"v"
        store.put("key", b"v")
        assert (store / "child").get("key") == b"v"
        assert [request.method for request in server.requests] == ["HEAD", "GET", "PUT", "GET"]
        first = server.requests[0]
        assert first.target == "/bucket"
        assert not any(name.startswith(("x-amz-", "authorization")) for name in first.names)
        assert len(_signed(server, "eu-west-3")) == 3


def test_callers_share_one_question(keys: None, open_store: OpenStore) -> None:
    """Sixteen of them come at once; the bucket is asked once."""
    go = threading.Event()
    with ScriptedServer(
        [READ, Wait(go), Send(answer(403, b"", TELLS)), Forever(READ, Send(ok(b"v")))],
        then=[Forever(READ, Send(ok(b"v")))],
    ) as server:
        store = open_store(server, region=None, credentials="environment")
        with ThreadPoolExecutor(16) as pool:
            results = [pool.submit(store.get, str(number)) for number in range(16)]
            _until(lambda: len(server.requests) == 1)
            time.sleep(0.05)
            go.set()
            assert [result.result(5) for result in results] == [b"v"] * 16
        assert len(server.requests) == 17
        assert len(_signed(server, "eu-west-3")) == 16


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "sa-east-1"}, "ap-south-1"),
        ({"AWS_DEFAULT_REGION": "sa-east-1"}, "sa-east-1"),
        ({}, "us-east-1"),
    ],
)
def test_a_store_that_does_not_say_is_where_the_environment_says(
    variables: dict[str, str],
    region: str,
    keys: None,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compatible store seldom says."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ScriptedServer(exchanges(answer(200), ok(b"v"))) as server:
        assert open_store(server, region=None, credentials="environment").get("key") == b"v"
        assert len(_signed(server, region)) == 1


@pytest.mark.parametrize("name", ["../evil", "eu west", "EU-WEST-1", "x" * 5 + "\x80", "a,b", "-", ""])
def test_what_cannot_be_a_region_is_none(name: str, keys: None, open_store: OpenStore) -> None:
    """It would get into signatures and host names."""
    told = answer(200, b"", f"x-amz-bucket-region: {name}")
    with ScriptedServer(exchanges(told, ok(b"v"))) as server:
        assert open_store(server, region=None, credentials="environment").get("key") == b"v"
        assert len(_signed(server, "us-east-1")) == 1


def test_an_anonymous_store_of_its_own_endpoint_need_not_ask(open_store: OpenStore) -> None:
    """Nothing is signed, so the region is of no use."""
    with ScriptedServer(exchanges(ok(b"v"))) as server:
        assert open_store(server, region=None).get("key") == b"v"


@pytest.mark.parametrize(
    "failure",
    [RESET, Send(answer(503, b"", "Connection: close")), Send(answer(500, b"", "Connection: close"))],
)
def test_a_question_that_fails_is_asked_again(failure: Step, keys: None, open_store: OpenStore) -> None:
    """After a pause, as an attempt like any other; a failure is not remembered."""
    timer = RecordingTimer()
    fine = exchanges(answer(200, b"", TELLS), ok(b"v"))
    with ScriptedServer([READ, failure], fine) as server:
        store = open_store(server, region=None, credentials="environment", policy=FAST, timer=timer)
        assert store.get("key") == b"v"
        assert len(timer.waits) == 1
        assert len(_signed(server, "eu-west-3")) == 1


def test_a_question_that_always_fails_is_an_error_and_the_next_call_asks_again(
    keys: None, open_store: OpenStore
) -> None:
    """The error is that of the operation."""
    broken: list[Step] = [READ, RESET]
    script = [broken] * FAST.max_retries + [exchanges(answer(200, b"", TELLS), ok(b"v"))]
    with ScriptedServer(*script) as server:
        store = open_store(server, region=None, credentials="environment", policy=FAST)
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            store.get("key")
        assert caught.value.operation == "GetObject"
        assert caught.value.key == "key"
        assert store.get("key") == b"v"


def test_the_timeout_bounds_the_question(keys: None, transport: Any, open_store: OpenStore) -> None:
    """For everyone who waits for its answer."""
    with ScriptedServer(then=[READ, HOLD]) as server:
        store = open_store(server, region=None, credentials="environment", timeout=0.2, session=transport)
        calls = [Background(lambda: store.get("key")) for _ in range(4)]
        for call in calls:
            assert isinstance(call.error(3), s3kv.DeadlineExceeded)
            assert call.seconds < 1


REFUSALS: dict[str, Callable[[str], bytes]] = {
    "400 AuthorizationHeaderMalformed": lambda region: _refusal(
        400, "AuthorizationHeaderMalformed", region
    ),
    "400 with a header": lambda region: answer(400, b"", f"x-amz-bucket-region: {region}"),
    "400 IllegalLocationConstraint": lambda region: _refusal(
        400, "IllegalLocationConstraintException", region
    ),
    "301 PermanentRedirect": lambda region: _refusal(301, "PermanentRedirect", region),
    "301 with a header": lambda region: answer(301, b"", f"x-amz-bucket-region: {region}"),
    "307 with a header": lambda region: answer(307, b"", f"x-amz-bucket-region: {region}"),
}


def _refusal(status: int, code: str, region: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>Wrong.</Message><Region>{region}</Region></Error>"
    return answer(status, body.encode())


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_that_names_another_region_corrects_the_store(
    refusal: Callable[[str], bytes], keys: None, transport: Any, open_store: OpenStore
) -> None:
    """The request is repeated at once, signed for that region, and so is every one that follows."""
    timer = RecordingTimer()

    def judge(request: Recorded) -> bytes:
        if "/eu-west-3/" in (request.header("authorization") or ""):
            return ok(b"v")
        return refusal("eu-west-3")

    with ScriptedServer(then=[Forever(READ, Answer(judge))]) as server:
        store = open_store(
            server,
            region="us-east-1",
            credentials="environment",
            session=transport,
            timer=timer,
            policy=FAST._replace(max_retries=1),
        )
        assert store.get("key") == b"v"
        assert store.get("key") == b"v"
        assert len(server.requests) == 3
        for request in server.requests[1:]:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "eu-west-3")
        assert timer.waits == []


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_store_is_corrected_once_for_an_operation(
    refusal: Callable[[str], bytes], keys: None, open_store: OpenStore
) -> None:
    """One that names ever other regions is not followed round and round."""
    with ScriptedServer(exchanges(refusal("eu-west-3"), refusal("eu-west-1"))) as server:
        store = open_store(server, region="us-east-1", credentials="environment", policy=FAST)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert caught.value.status in (301, 307, 400)
        assert len(server.requests) == 2


def test_a_refusal_that_names_the_same_region_is_an_error(keys: None, open_store: OpenStore) -> None:
    """There is nothing to correct."""
    with ScriptedServer(exchanges(_refusal(400, "AuthorizationHeaderMalformed", "us-east-1"))) as server:
        store = open_store(server, region="us-east-1", credentials="environment", policy=FAST)
        with pytest.raises(s3kv.ServiceError, match="Wrong"):
            store.get("key")


def test_a_redirect_to_another_host_is_followed_nowhere(
    keys: None, transport: Any, open_store: OpenStore
) -> None:
    """Even where it names a region too: the request is repeated where it was sent, and nowhere else."""
    with ScriptedServer() as elsewhere:
        redirect = answer(307, b"", f"Location: {elsewhere.url}/bucket/key", TELLS)
        with ScriptedServer(exchanges(redirect, ok(b"v"))) as server:
            store = open_store(server, credentials="environment", session=transport)
            assert store.get("key") == b"v"
            sigv4.check(server.requests[1], ACCESS_KEY, SECRET_KEY, "eu-west-3")


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within 5 s"
        time.sleep(0.001)
