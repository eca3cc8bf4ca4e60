"""Conditions: what is one, how it is sent, who decides, and what a transient answer leaves open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3kv
from s3kv.messages import Response
from s3kv.operations.conditions import check_condition, condition_headers, is_rgw, new_write_id
from s3kv.retry import RETRIED_CODES, RETRIED_STATUSES, Verdict, classify_answer, may_have_acted
from s3kv.spec.deciding import Deciding, deciding
from s3kv.values import StorageGeneration

NO_VALUE = StorageGeneration.NO_VALUE
UNKNOWN = StorageGeneration.UNKNOWN

# Every method that takes a condition, with the names that it has there.
TAKERS = {
    "put": lambda store, value: store.put("key", b"value", if_equal=value),
    "delete": lambda store, value: store.delete("key", if_equal=value),
    "write": lambda store, value: store.write("key", b"value", if_equal=value),
    "write None": lambda store, value: store.write("key", None, if_equal=value),
    "read if_equal": lambda store, value: store.read("key", if_equal=value),
    "read if_not_equal": lambda store, value: store.read("key", if_not_equal=value),
}


# ------------------------------------------------------------------------------- what a condition is


def _short(value: object) -> str:
    """What names a test: the same in every process."""
    return repr(value)[:12]


@pytest.mark.parametrize(
    "etag",
    [
        '"9b2cf535f27731c974343645a3985328"',
        '"9b2cf535f27731c974343645a3985328-17"',
        '"a"',
        '""',
        '"!#$%&\'()*+,-./:;<=>?@[]^_`{|}~"',
        '"\x80\xe9\xff"',
        'W/"weak"',
    ],
)
def test_a_quoted_etag_is_a_condition_as_text_and_as_a_generation(etag: str) -> None:
    """Nothing about it is changed, and what comes out is a generation."""
    for given_as in (etag, StorageGeneration(etag)):
        condition = check_condition("if_equal", given_as)
        assert condition == etag
        assert type(condition) is StorageGeneration


def test_the_generation_of_nothing_is_a_condition() -> None:
    """As the constant, and as the text that it is."""
    for given_as in (NO_VALUE, str(NO_VALUE), "\x00"):
        assert check_condition("if_equal", given_as) == NO_VALUE


def test_none_is_no_condition() -> None:
    """It stays None, which is not the generation of nothing."""
    assert check_condition("if_equal", None) is None


NOT_CONDITIONS = {
    "unknown": UNKNOWN,
    "empty": "",
    "unquoted": "9b2cf535f27731c974343645a3985328",
    "a quote at the start": '"abc',
    "a quote at the end": 'abc"',
    "one quote": '"',
    "a quote inside": '"a"b"',
    "two in a list": '"a", "b"',
    "any": "*",
    "entities": "&quot;abc&quot;",
    "spaces around": ' "abc" ',
    "a space inside": '"a b"',
    "a line after": '"abc"\n',
    "CR and LF inside": '"a\r\nx-amz-acl: public-read"',
    "NUL inside": '"a\x00b"',
    "DEL inside": '"a\x7fb"',
    "NUL and more": "\x00\x00",
    "beyond latin-1": '"\u0100"',
    "weak and unquoted": "W/abc",
    "small w": 'w/"abc"',
}


@pytest.mark.parametrize("value", NOT_CONDITIONS.values(), ids=NOT_CONDITIONS)
def test_text_that_no_generation_can_be_is_refused(value: str) -> None:
    """A typo must not become a condition that never holds, nor a header of its own."""
    with pytest.raises(ValueError, match=r"if_equal is .*: allowed are a quoted ETag and"):
        check_condition("if_equal", value)


def test_the_unknown_generation_is_refused_by_name() -> None:
    """It is what a write returns whose condition did not hold: taken on, it would read as an empty text."""
    with pytest.raises(ValueError, match=r"^if_not_equal is StorageGeneration\.UNKNOWN: "):
        check_condition("if_not_equal", UNKNOWN)


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    """A whole document given by mistake is not the message."""
    with pytest.raises(ValueError) as caught:
        check_condition("if_equal", "x" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value",
    [b'"abc"', 7, True, False, 1.5, ["a"], object(), ('"a"', 1.0)],
    ids=lambda value: repr(value)[:12],
)
def test_what_is_no_text_is_a_type_error(value: object) -> None:
    """The stamp in place of its generation too; False does not mean "no condition"."""
    with pytest.raises(TypeError, match=f"not {type(value).__name__}$"):
        check_condition("if_equal", value)


@given(st.text(max_size=12) | st.text('"W/a*\x00', max_size=5))
def test_a_text_is_a_condition_or_refused_with_a_value_error(text: str) -> None:
    """Whatever is let through can be sent in one header of HTTP, and is in quotes."""
    try:
        condition = check_condition("if_equal", text)
    except ValueError:
        return
    assert condition == text
    if condition != NO_VALUE:
        assert condition.endswith('"')
        assert condition.count('"') == 2
        assert not set(condition.encode("latin-1")) & {*range(0x21), 0x7F}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
def test_every_method_refuses_what_no_condition_can_be(take: object) -> None:
    """Before anything is sent: the endpoint of this store does not even exist."""
    assert callable(take)
    with s3kv.Store(bucket="bucket", endpoint="http://127.0.0.1:1", aws_region="us-east-1") as store:
        for value in (UNKNOWN, "unquoted"):
            with pytest.raises(ValueError, match="a quoted ETag"):
                take(store, value)
        with pytest.raises(TypeError, match="not int"):
            take(store, 7)


def test_both_conditions_at_once_are_refused() -> None:
    """Also where they mean the same."""
    with s3kv.Store(bucket="bucket", endpoint="http://127.0.0.1:1", aws_region="us-east-1") as store:
        for condition in ('"abc"', NO_VALUE):
            with pytest.raises(ValueError, match="if_equal or if_absent, not both"):
                store.put("key", b"value", if_equal=condition, if_absent=True)


@pytest.mark.parametrize("name", ["s3kv-write-id", "S3KV-Write-Id"])
def test_the_name_of_the_write_id_is_not_the_users(name: str) -> None:
    """Whatever its case: a metadata of that name would pass for the trace of a write."""
    members = {"bucket": "bucket", "endpoint": "http://127.0.0.1:1", "aws_region": "us-east-1"}
    with s3kv.Store(members) as store, pytest.raises(ValueError, match="reserved"):
        store.put("key", b"value", metadata={name: "mine"})


# ------------------------------------------------------------------------------------- how it is sent


@pytest.mark.parametrize("rgw", [False, True])
def test_a_key_that_must_not_exist_is_told_by_if_none_match(rgw: bool) -> None:
    """The same on every store."""
    assert condition_headers(NO_VALUE, rgw=rgw) == (("if-none-match", "*"),)


def test_a_generation_is_told_by_if_match() -> None:
    """With its quotes; without them to a RADOS Gateway."""
    condition = StorageGeneration('"abc-2"')
    assert condition_headers(condition) == (("if-match", '"abc-2"'),)
    assert condition_headers(condition, rgw=True) == (("if-match", "abc-2"),)


@pytest.mark.parametrize(
    "request_id",
    [
        "tx00000000000000000002a-0063d2b5a1-1134-default",
        "tx0-0-0-eu",
        "tx000001c9bb2d7ab3b4e31-0066a1b2c3-abcdef-zone-with-hyphens",
    ],
)
def test_a_rados_gateway_is_known_by_its_request_ids(request_id: str) -> None:
    """They start with tx, and end with the name of a zone."""
    assert is_rgw(Response(412, {"x-amz-request-id": request_id}, b""))


@pytest.mark.parametrize(
    "request_id",
    [
        "",
        "0A49CE4060975EAC",
        "tx",
        "tx-",
        "txn-0-0-default",
        "tx0-0-default",
        "tx0-0-0-",
        "xtx0-0-0-default",
        "TX0-0-0-default",
        "1778A2C7D3B0E9F1",
    ],
)
def test_other_stores_are_not_taken_for_a_rados_gateway(request_id: str) -> None:
    """An ETag without its quotes matches nothing there."""
    assert not is_rgw(Response(412, {"x-amz-request-id": request_id}, b""))


def test_an_answer_without_a_request_id_is_not_a_rados_gateways() -> None:
    """Nothing tells."""
    assert not is_rgw(Response(412, {}, b""))


def test_no_two_writes_have_the_same_id() -> None:
    """And each can be sent in a header as it is."""
    ids = {new_write_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(id_.isascii() and id_.isalnum() and len(id_) >= 16 for id_ in ids)


# ---------------------------------------------------------------------------------------- who decides


@pytest.mark.parametrize(
    ("member", "aws", "who"),
    [
        (None, True, Deciding.HEADERS),
        (None, False, Deciding.BOTH),
        (True, True, Deciding.HEADERS),
        (True, False, Deciding.HEADERS),
        (False, True, Deciding.LOOK),
        (False, False, Deciding.LOOK),
    ],
)
def test_the_spec_and_the_endpoint_settle_who_decides(
    member: bool | None, aws: bool, who: Deciding
) -> None:
    """What the spec says goes; where it is silent, only Amazon is known to honour the headers."""
    assert deciding(member, aws=aws) is who


CUSTOM = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("members", "environment", "who"),
    [
        ({}, None, Deciding.HEADERS),
        ({"endpoint": "https://s3.eu-west-1.amazonaws.com"}, None, Deciding.HEADERS),
        ({"endpoint": "https://bucket.s3.eu-west-1.amazonaws.com", "bucket": ""}, None, Deciding.HEADERS),
        ({"endpoint": "https://s3.cn-north-1.amazonaws.com.cn"}, None, Deciding.HEADERS),
        ({"endpoint": CUSTOM}, None, Deciding.BOTH),
        ({"endpoint": "https://s3.amazonaws.com.example.org"}, None, Deciding.BOTH),
        ({"endpoint": "https://notamazonaws.com"}, None, Deciding.BOTH),
        ({}, CUSTOM, Deciding.BOTH),
        ({"use_conditional_write": True, "endpoint": CUSTOM}, None, Deciding.HEADERS),
        ({"use_conditional_write": True}, CUSTOM, Deciding.HEADERS),
        ({"use_conditional_write": False}, None, Deciding.LOOK),
        ({"use_conditional_write": False, "endpoint": CUSTOM}, None, Deciding.LOOK),
    ],
)
def test_a_store_decides_by_its_spec_and_by_where_it_is(
    members: dict[str, object],
    environment: str | None,
    who: Deciding,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endpoint from the environment counts like one of the spec."""
    if environment is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", environment)
    with s3kv.Store({"bucket": "bucket", "aws_region": "eu-west-1", **members}) as store:
        assert store._core.deciding is who
        assert (store / "sub")._core.deciding is who


# ------------------------------------------------------------------------- what an answer leaves open


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, ""),
        (500, "InternalError"),
        (400, "InternalError"),
        (503, "InternalError"),
        (500, "SomethingNew"),
        (502, ""),
        (504, ""),
        (504, "GatewayTimeout"),
    ],
)
def test_a_store_that_broke_down_may_have_acted(status: int, code: str) -> None:
    """It, or what is behind a gateway, had the request."""
    assert may_have_acted(status, code)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "SlowDown"),
        (503, "ServiceUnavailable"),
        (503, ""),
        (509, "BandwidthLimitExceeded"),
        (500, "SlowDown"),
        (500, "UnknownError"),
        (409, "ConditionalRequestConflict"),
        (408, ""),
        (429, ""),
        (429, "TooManyRequests"),
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
    ],
)
def test_a_store_that_would_not_take_it_on_has_not_acted(status: int, code: str) -> None:
    """A refusal is certain, and asking what became of the request would be a request for nothing."""
    assert not may_have_acted(status, code)


@given(st.sampled_from(sorted(RETRIED_STATUSES)), st.sampled_from(["", "Other", *sorted(RETRIED_CODES)]))
def test_what_may_have_acted_is_always_tried_again(status: int, code: str) -> None:
    """Otherwise the doubt would be forgotten."""
    if may_have_acted(status, code):
        assert classify_answer(status, code) is Verdict.RETRY


def test_two_conditional_writes_that_met_are_tried_again() -> None:
    """The store wants one of them to come again; other conflicts stay conflicts."""
    assert classify_answer(409, "ConditionalRequestConflict") is Verdict.RETRY
    assert classify_answer(409, "OperationAborted") is Verdict.ANSWER
    assert classify_answer(412, "PreconditionFailed") is Verdict.ANSWER
