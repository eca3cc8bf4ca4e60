"""What the environment says of stores: read when it is first needed, and blamed by its name."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from s3kv.executor import parse_concurrency
from s3kv.limits.rates import parse_doubling_time

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = "TENSORSTORE_S3_REQUEST_CONCURRENCY"
DOUBLING = "TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME"
ENDPOINT = "AWS_ENDPOINT_URL_S3"
ANY_ENDPOINT = "AWS_ENDPOINT_URL"
IGNORE = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
SECOND = 10**9
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

RATE: dict[str, Any] = {"experimental_s3_rate_limiter": {"read_rate": 5}}


def _run(code: str, **environ: str) -> list[str]:
    """The lines that code prints in a fresh interpreter with these variables."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


_READ_LATE = """
import os
before = {name for name in os.environ if name.startswith(("TENSORSTORE_", "AWS_ENDPOINT", "AWS_IGNORE"))}
assert before == {"TENSORSTORE_S3_REQUEST_CONCURRENCY", "TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME",
                  "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, before
import s3kv
os.environ["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:1"
os.environ["TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME"] = "7"
context = s3kv.Context({"experimental_s3_rate_limiter": {"read_rate": 5}})
store = s3kv.Store("s3://bucket", aws_credentials={"type": "anonymous"}, context=context)
os.environ["TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME"] = "8"
print(store._core.endpoint.url, store._core.rates.reads.doubling_time)
try:
    store.get("key")
except s3kv.SpecError as error:
    print(error.member)
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "6"
print(store._core.resolved.s3_request_concurrency.executor(os.environ).limit)
os.environ["TENSORSTORE_S3_REQUEST_CONCURRENCY"] = "5"
other = s3kv.Store("s3://bucket", context={})
print(other._core.resolved.s3_request_concurrency.executor(os.environ).limit)
print(s3kv.Store("s3://bucket", context=context)._core.rates.reads.doubling_time)
"""


def test_the_environment_is_read_when_it_is_first_needed_and_never_at_import() -> None:
    """Later changes find what was made by then; what was wrong then may be corrected."""
    lines = _run(
        _READ_LATE,
        **{CONCURRENCY: "bad", DOUBLING: "bad", ENDPOINT: "bad", ANY_ENDPOINT: "http://127.0.0.1:2"},
    )
    assert lines == ["http://127.0.0.1:1/bucket 7.0", CONCURRENCY, "6", "6", "7.0"]


_FIRST_NEEDED = """
import s3kv
store = s3kv.Store("s3://bucket", endpoint="http://127.0.0.1:1", aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"}, s3_request_retries={"max_retries": 1})
for explicit in ({}, {"s3_request_concurrency": {"limit": 1}}):
    try:
        s3kv.Store(store.spec(), **explicit).get("key")
    except s3kv.SpecError as error:
        print(error.member, error)
    except s3kv.EndpointUnreachable:
        print("sent")
"""


def test_a_limit_on_requests_that_makes_no_sense_is_said_by_the_first_one_that_needs_it() -> None:
    """Before it is sent; a store with a limit of its own does not look."""
    refused, sent = _run(_FIRST_NEEDED, **{CONCURRENCY: "many"})
    assert refused.startswith(f"{CONCURRENCY} {CONCURRENCY} is 'many': allowed is a whole number")
    assert sent == "sent"
    assert _run(_FIRST_NEEDED, **{CONCURRENCY: "2"}) == ["sent", "sent"]


# ------------------------------------------------------------------------- numbers and durations


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, 32),
        ("", 32),
        ("  ", 32),
        ("1", 1),
        ("32", 32),
        ("64", 64),
        (" 8 ", 8),
        ("007", 7),
        ("100000", 100_000),
    ],
)
def test_the_limit_on_requests_is_a_whole_number(text: str | None, limit: int) -> None:
    """32 where nothing is said."""
    assert parse_concurrency({} if text is None else {CONCURRENCY: text}) == limit


@pytest.mark.parametrize(
    "text",
    [
        *("0", "00", "-1", "+5", "1.5", "5.0", "1e3", "0x10", "1_000", "1 000", "x", "shared"),
        *("٣", "²", "５", "9" * 5000),
    ],
    ids=lambda text: text[:10],
)
def test_another_limit_on_requests_is_refused_by_its_name(text: str) -> None:
    """In one line, that says what is allowed."""
    with pytest.raises(SpecError, match=f"{CONCURRENCY} is .*: allowed is a whole number") as caught:
        parse_concurrency({CONCURRENCY: text})
    assert caught.value.member == CONCURRENCY
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("", 0),
        (" ", 0),
        ("0", 0),
        ("10", 10),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        (" 20 ", 20),
        ("1200", 1200),
        ("2000000000", 2_000_000_000),
        ("1m", 60),
        ("1m30s", 90),
        ("+1h", 3600),
        ("100ms", 0.1),
        ("0s", 0),
    ],
)
def test_the_doubling_time_is_a_number_of_seconds_or_a_duration(text: str | None, seconds: float) -> None:
    """0, a constant rate, where nothing is said."""
    assert parse_doubling_time({} if text is None else {DOUBLING: text}) == seconds * SECOND


@given(st.integers(0, 10**12), st.integers(0, 10**9 - 1))
def test_every_number_of_seconds_is_a_doubling_time(whole: int, billionths: int) -> None:
    """To the nanosecond, as far as durations go."""
    assert parse_doubling_time({DOUBLING: f"{whole}.{billionths:09}"}) == whole * SECOND + billionths
    assert parse_doubling_time({DOUBLING: f"{whole}"}) == whole * SECOND


@pytest.mark.parametrize(
    "text",
    [
        *(
            "-1",
            "-1s",
            "inf",
            "nan",
            "1e3",
            "1,5",
            "1.2.3",
            ".",
            "+",
            "1 s",
            "10x",
            "soon",
            "٣",
            "²",
            "0x1",
        ),
        *("9" * 30, "9" * 5000, "1_0"),
    ],
    ids=lambda text: text[:10],
)
def test_another_doubling_time_is_refused_by_its_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the limiter is made, which is when the store is opened."""
    with pytest.raises(SpecError, match=f"{DOUBLING} is .*: allowed is a number of seconds") as caught:
        parse_doubling_time({DOUBLING: text})
    assert caught.value.member == DOUBLING
    assert len(str(caught.value)) < 250
    monkeypatch.setenv(DOUBLING, text)
    with pytest.raises(SpecError, match=DOUBLING):
        s3kv.Store("s3://bucket", **RATE)


def test_the_doubling_time_counts_where_there_is_a_rate_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A spec's own comes first, and nothing is read where there is no rate."""
    monkeypatch.setenv(DOUBLING, "90")
    rates = s3kv.Store("s3://bucket", **RATE)._core.rates
    assert rates.reads is not None
    assert rates.reads.doubling_time == 90.0
    own = {"write_rate": 5, "doubling_time": "0"}
    rates = s3kv.Store("s3://bucket", experimental_s3_rate_limiter=own)._core.rates
    assert rates.writes is not None
    assert rates.writes.doubling_time == 0.0
    monkeypatch.setenv(DOUBLING, "bad")
    for unlimited in ({}, {"doubling_time": "1m"}, {**own}):
        s3kv.Store("s3://bucket", experimental_s3_rate_limiter=unlimited)


def test_what_the_environment_says_is_not_part_of_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the store is what the environment there says."""
    before = s3kv.Store("s3://bucket", **RATE)
    for name, value in (
        (DOUBLING, "90"),
        (CONCURRENCY, "7"),
        (ENDPOINT, "http://localhost:9000"),
        ("AWS_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, value)
    after = s3kv.Store("s3://bucket", **RATE)
    assert after.spec(include_defaults=True) == before.spec(include_defaults=True)
    assert after == before
    assert hash(after) == hash(before)
    assert "localhost" not in repr(after)


# --------------------------------------------------------------------------------- endpoints


def _where(**members: Any) -> str:
    store = s3kv.Store("s3://bucket", aws_region="us-east-1", **members)
    assert store._core.endpoint is not None
    return store._core.endpoint.url


AMAZON = "https://bucket.s3.us-east-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, AMAZON),
        ({ENDPOINT: "http://localhost:1"}, "http://localhost:1/bucket"),
        ({ANY_ENDPOINT: "http://localhost:2/base/"}, "http://localhost:2/base/bucket"),
        ({ENDPOINT: "http://localhost:1", ANY_ENDPOINT: "http://localhost:2"}, "http://localhost:1/bucket"),
        ({ENDPOINT: "http://localhost:1", ANY_ENDPOINT: "bad"}, "http://localhost:1/bucket"),
        ({ENDPOINT: "", ANY_ENDPOINT: "http://localhost:2"}, "http://localhost:2/bucket"),
        ({ENDPOINT: "", ANY_ENDPOINT: ""}, AMAZON),
        ({ENDPOINT: "http://localhost:1", IGNORE: "true"}, AMAZON),
        ({ANY_ENDPOINT: "http://localhost:1", IGNORE: "TRUE"}, AMAZON),
        ({ENDPOINT: "bad", ANY_ENDPOINT: "bad", IGNORE: "true"}, AMAZON),
        ({ENDPOINT: "http://localhost:1", IGNORE: "false"}, "http://localhost:1/bucket"),
        ({ENDPOINT: "http://localhost:1", IGNORE: ""}, "http://localhost:1/bucket"),
    ],
    ids=str,
)
def test_the_environment_stands_in_for_an_endpoint(
    environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one for S3 before the one for all services; a spec's own before both."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert _where() == url
    assert _where(endpoint="http://localhost:3") == "http://localhost:3/bucket"


@pytest.mark.parametrize("name", [ENDPOINT, ANY_ENDPOINT])
@pytest.mark.parametrize(
    "url",
    [
        "bad",
        "localhost:9000",
        "ftp://localhost",
        "http://localhost?x",
        "http://localhost:0",
        f"http://user:{SECRET}@localhost",
        f"http://localhost/?X-Amz-Signature={SECRET}",
    ],
)
def test_an_endpoint_of_the_environment_is_refused_by_its_name(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store is opened, whether it has a region or not; no secret is shown."""
    monkeypatch.setenv(name, url)
    for region in (None, "us-east-1"):
        with pytest.raises(SpecError, match=f"{name} is .*https://") as caught:
            s3kv.Store("s3://bucket", aws_region=region)
        assert caught.value.member == name
        for part in SECRET.split("/"):
            assert part not in str(caught.value)
            assert part.encode() not in pickle.dumps(caught.value)
    assert _where(endpoint="http://localhost:3") == "http://localhost:3/bucket"


def test_a_bucket_and_a_host_header_need_an_endpoint_of_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's would make the same spec mean different things on different machines."""
    monkeypatch.setenv(ENDPOINT, "http://localhost:1")
    with pytest.raises(SpecError, match="bucket is missing"):
        s3kv.Store()
    with pytest.raises(SpecError, match="only together with an endpoint"):
        s3kv.Store("s3://bucket", host_header="h")


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "not a region"}, "eu-west-1"),
    ],
    ids=str,
)
def test_an_anonymous_store_elsewhere_is_in_the_environments_region(
    environ: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed, so nobody has to be asked; a region that is given comes first."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for told, expected in ((None, region), ("auto", "auto")):
        store = s3kv.Store(
            "s3://bucket",
            endpoint="http://localhost:1",
            aws_region=told,
            aws_credentials={"type": "anonymous"},
        )
        assert store._core.endpoint is not None
        assert store._core.endpoint.region == expected
    unknown = s3kv.Store("s3://bucket", endpoint="http://localhost:1")
    assert unknown._core.endpoint is None


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
@pytest.mark.parametrize("region", ["not a region", "x/../y", "us-east-1\n", "évry", "-"])
def test_a_region_of_the_environment_is_refused_by_its_name(
    name: str, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a store is opened that may need it; one that has a region does not look."""
    monkeypatch.setenv(name, region)
    for endpoint in (None, "http://localhost:1"):
        with pytest.raises(SpecError, match=f"{name} is .*: allowed are names such as") as caught:
            s3kv.Store("s3://bucket", endpoint=endpoint)
        assert caught.value.member == name
        assert s3kv.Store("s3://bucket", endpoint=endpoint, aws_region="us-east-1").spec()
