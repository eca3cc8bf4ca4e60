"""Byte ranges: what is wholly inside the object comes back, anything else is an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3kv

TEN = b"0123456789"


@pytest.fixture
def ten(store_by: s3kv.Store) -> s3kv.Store:
    """Return a store in which ``"key"`` has ten bytes."""
    store_by.put("key", TEN)
    return store_by


@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        (slice(2, 5), b"234"),
        (slice(0, 1), b"0"),
        (slice(9, 10), b"9"),
        (slice(0, 10), TEN),
        (slice(None, 5), b"01234"),
        (slice(None, 10), TEN),
        (slice(7, None), b"789"),
        (slice(9, None), b"9"),
        (slice(0, None), TEN),
        (slice(None, None), TEN),
        (slice(None), TEN),
        (slice(-1, None), b"9"),
        (slice(-3, None), b"789"),
        (slice(-10, None), TEN),
    ],
    ids=str,
)
def test_a_range_inside_the_object_is_what_python_would_cut_out(
    ten: s3kv.Store, byte_range: slice, expected: bytes
) -> None:
    """From the start, from the end, to the end, or the whole."""
    assert TEN[byte_range] == expected
    value = ten.get("key", byte_range=byte_range)
    assert (value, type(value)) == (expected, bytes)


@pytest.mark.parametrize(
    "byte_range",
    [
        slice(5, 11),
        slice(5, 100),
        slice(10, None),
        slice(11, None),
        slice(10, 11),
        slice(20, 30),
        slice(0, 11),
        slice(None, 11),
        slice(-11, None),
        slice(-100, None),
    ],
    ids=str,
)
def test_a_range_not_wholly_inside_the_object_is_an_error(ten: s3kv.Store, byte_range: slice) -> None:
    """Never a shorter answer, as Python's would be; the error says how long the object is, if known."""
    with pytest.raises(s3kv.ByteRangeError) as caught:
        ten.get("key", byte_range=byte_range)
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.operation, error.key, error.attempts) == ("GetObject", "key", 1)
    assert error.status in (200, 206, 416)
    # A default is for a missing key, not for a missing range.
    with pytest.raises(s3kv.ByteRangeError):
        ten.get("key", b"default", byte_range=byte_range)


@pytest.mark.parametrize(
    "byte_range", [slice(0, 0), slice(3, 3), slice(None, 0), slice(10, 10), slice(99, 99)], ids=str
)
def test_a_range_of_no_bytes_is_empty_whenever_the_object_exists(
    ten: s3kv.Store, byte_range: slice
) -> None:
    """Wherever it is; of a missing object it is the missing object that counts."""
    assert ten.get("key", byte_range=byte_range) == b""
    with pytest.raises(s3kv.KeyNotFound):
        ten.get("missing", byte_range=byte_range)
    assert ten.get("missing", None, byte_range=byte_range) is None


@pytest.mark.parametrize("byte_range", [slice(0, None), slice(None, None), slice(0, 0)], ids=str)
def test_all_of_an_empty_object_is_empty(store_by: s3kv.Store, byte_range: slice) -> None:
    """Though no server can say so with a range."""
    store_by.put("empty", b"")
    assert store_by.get("empty", byte_range=byte_range) == b""


@pytest.mark.parametrize(
    "byte_range", [slice(0, 1), slice(1, None), slice(-1, None), slice(-3, None)], ids=str
)
def test_no_byte_of_an_empty_object_can_be_had(store_by: s3kv.Store, byte_range: slice) -> None:
    """Whatever a server answers to that."""
    store_by.put("empty", b"")
    with pytest.raises(s3kv.ByteRangeError):
        store_by.get("empty", byte_range=byte_range)


@pytest.mark.parametrize(
    "byte_range", [slice(2, 5), slice(2, None), slice(None, 5), slice(-3, None), slice(None)], ids=str
)
def test_a_range_of_a_missing_object_is_the_missing_object(store_by: s3kv.Store, byte_range: slice) -> None:
    """Or the default that was given for it."""
    with pytest.raises(s3kv.KeyNotFound) as caught:
        store_by.get("missing", byte_range=byte_range)
    assert (caught.value.status, caught.value.code) == (404, "NoSuchKey")
    assert store_by.get("missing", "default", byte_range=byte_range) == "default"


@pytest.mark.parametrize(
    "byte_range",
    [
        slice(-3, -1),
        slice(None, -1),
        slice(0, -1),
        slice(-3, 10),
        slice(5, 4),
        slice(0, 5, 1),
        slice(None, None, 2),
        slice(None, None, -1),
    ],
    ids=str,
)
def test_a_range_that_s3_cannot_say_is_refused_before_anything_is_sent(
    open_store: Any, session: Any, byte_range: slice
) -> None:
    """With ByteRangeError, which is a ValueError."""
    store = open_store(session=session)
    with pytest.raises(s3kv.ByteRangeError):
        store.get("key", byte_range=byte_range)
    assert session.sent == []


@pytest.mark.parametrize(
    "byte_range", [(0, 5), 5, "0-5", range(5), slice("0", "5"), slice(0.0, 5.0)], ids=str
)
def test_a_range_that_is_no_slice_of_integers_is_a_type_error(
    open_store: Any, session: Any, byte_range: Any
) -> None:
    """Nothing is sent."""
    store = open_store(session=session)
    with pytest.raises(TypeError):
        store.get("key", byte_range=byte_range)
    assert session.sent == []


def test_a_range_far_into_a_large_object_is_read_alone(store_by: s3kv.Store) -> None:
    """To the byte, on both sides of every power of two."""
    value = bytes(range(251)) * 14_000
    store_by.put("key", value)
    for start in (0, 65_535, 65_536, 1_048_575, 1_048_576, 2_999_999):
        for length in (1, 65_536, 11_001):
            cut = slice(start, start + length)
            assert store_by.get("key", byte_range=cut) == value[cut]
    assert store_by.get("key", byte_range=slice(-1_500_000, None)) == value[-1_500_000:]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 20),
    start=st.none() | st.integers(-25, 25),
    stop=st.none() | st.integers(0, 25),
)
def test_a_range_is_all_of_its_bytes_or_an_error(
    store: s3kv.Store, size: int, start: int | None, stop: int | None
) -> None:
    """For every size, start and stop."""
    value = bytes(range(size))
    store.put("key", value)
    cut = slice(start, stop)
    if inside(cut, size):
        assert store.get("key", byte_range=cut) == value[cut]
    else:
        with pytest.raises(s3kv.ByteRangeError):
            store.get("key", byte_range=cut)


def inside(cut: slice, size: int) -> bool:
    """Tell whether a slice is one that S3 can say, and wholly inside ``size`` bytes."""
    first = cut.start or 0
    if first < 0:
        return cut.stop is None and -first <= size
    if cut.stop is None:
        return first < size or first == 0
    return bool(cut.stop == first or first < cut.stop <= size)
