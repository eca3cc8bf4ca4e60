"""Byte ranges: slices on the way in, headers on the way out, Python's own slicing as the oracle."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.byterange import ByteRange, parse_content_range, parse_slice, parse_unsatisfied
from s3kv.errors import ByteRangeError

BOUNDS = [None, *range(-6, 7)]
SIZES = range(6)


def _allowed(start: int | None, stop: int | None) -> bool:
    """Whether a slice is a byte range at all: no negative stop, no mixture, no reversal."""
    if stop is None:
        return True
    return stop >= 0 and (start or 0) >= 0 and stop >= (start or 0)


def _inside(start: int | None, stop: int | None, size: int) -> bool:
    """Whether an allowed slice is wholly inside an object: the contract's rules, case by case."""
    first = start or 0
    if stop is not None:
        # slice(n, n) is empty whatever the size.
        return first == stop or stop <= size
    if first == 0:
        return True
    return -first <= size if first < 0 else first < size


@pytest.mark.parametrize(("start", "stop"), list(itertools.product(BOUNDS, BOUNDS)))
def test_a_slice_means_what_python_means_by_it_or_is_refused(start: int | None, stop: int | None) -> None:
    """Every small slice of every small object: the same bytes as Python's, or an error, never fewer."""
    wanted = slice(start, stop)
    if not _allowed(start, stop):
        with pytest.raises(ByteRangeError):
            parse_slice(wanted)
        return
    byte_range = parse_slice(wanted)
    for size in SIZES:
        content = bytes(range(size))
        if not _inside(start, stop, size):
            with pytest.raises(ByteRangeError, match=f"{size} bytes"):
                byte_range.resolve(size)
            continue
        first, end = byte_range.resolve(size)
        assert content[first:end] == content[wanted]
        assert end - first == len(content[wanted])


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        (slice(5, 100), 10),
        (slice(-100, None), 10),
        (slice(10, None), 10),
        (slice(0, 11), 10),
        (slice(-1, None), 0),
        (slice(0, 1), 0),
        (slice(11, None), 10),
    ],
)
def test_a_range_that_is_not_wholly_inside_is_an_error(wanted: slice, size: int) -> None:
    """The contract's examples, and the edges; a ValueError that names range and size."""
    with pytest.raises(ByteRangeError) as caught:
        parse_slice(wanted).resolve(size)
    assert isinstance(caught.value, ValueError)
    assert f"{size} bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "size", "expected"),
    [
        (slice(0, None), 0, (0, 0)),
        (slice(None, None), 0, (0, 0)),
        (slice(0, 0), 0, (0, 0)),
        (slice(7, 7), 3, (7, 7)),
        (slice(-10, None), 10, (0, 10)),
        (slice(-1, None), 10, (9, 10)),
        (slice(9, None), 10, (9, 10)),
        (slice(9, 10), 10, (9, 10)),
    ],
)
def test_the_edges_that_are_inside(wanted: slice, size: int, expected: tuple[int, int]) -> None:
    """The whole of an empty object, an empty range beyond the end, the first and the last byte."""
    assert parse_slice(wanted).resolve(size) == expected


@pytest.mark.parametrize("wanted", [slice(0, 4, 1), slice(0, 4, 2), slice(None, None, -1), slice(0, 4, 0)])
def test_a_step_is_refused(wanted: slice) -> None:
    """Even one that changes nothing: only None is no step."""
    with pytest.raises(ByteRangeError, match="step"):
        parse_slice(wanted)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (slice(None, -1), "negative stop"),
        (slice(2, -1), "negative stop"),
        (slice(-3, -1), "negative stop"),
        (slice(-3, 5), r"slice\(-3, None\)"),
        (slice(5, 3), "before it starts"),
    ],
)
def test_a_slice_that_no_range_can_say_is_refused_with_the_reason(wanted: slice, why: str) -> None:
    """In words that say what to write instead."""
    with pytest.raises(ByteRangeError, match=why):
        parse_slice(wanted)


@pytest.mark.parametrize("wanted", [(0, 4), 5, "0-4", [0, 4], range(4), b""])
def test_what_is_no_slice_is_a_type_error(wanted: object) -> None:
    """The message names the type and shows a slice."""
    with pytest.raises(TypeError, match=type(wanted).__name__):
        parse_slice(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [slice("a", None), slice(0, 1.5), slice(b"", 1), slice(1.0, None)])
def test_a_bound_that_is_no_integer_is_a_type_error(wanted: slice) -> None:
    """A float is not rounded. The message shows the slice, and says which type is wrong."""
    wrong = next(bound for bound in (wanted.start, wanted.stop) if type(bound) not in (int, type(None)))
    with pytest.raises(TypeError) as caught:
        parse_slice(wanted)
    assert str(caught.value) == (
        f"byte_range {wanted} has a bound of type {type(wrong).__name__}: "
        "allowed are whole numbers and None"
    )


def test_a_bound_may_be_anything_that_is_an_integer() -> None:
    """NumPy's integers are no int; what has __index__ is one."""

    class Seven:
        def __index__(self) -> int:
            return 7

    byte_range = parse_slice(slice(Seven(), Seven()))
    assert byte_range == ByteRange(7, 7)
    assert type(byte_range.start) is int


def test_no_slice_is_the_whole() -> None:
    """None, slice(None) and slice(0, None) are one and the same; other ranges are not the whole."""
    assert (
        parse_slice(None) == parse_slice(slice(None)) == parse_slice(slice(0, None)) == ByteRange(0, None)
    )
    assert parse_slice(None).whole
    for other in (slice(0, 5), slice(1, None), slice(-1, None), slice(0, 0)):
        assert not parse_slice(other).whole


@pytest.mark.parametrize(
    ("wanted", "header"),
    [
        (slice(0, 1), "bytes=0-0"),
        (slice(None, 10), "bytes=0-9"),
        (slice(5, 10), "bytes=5-9"),
        (slice(5, None), "bytes=5-"),
        (slice(-3, None), "bytes=-3"),
        (slice(0, 2**63), "bytes=0-9223372036854775807"),
    ],
)
def test_a_range_is_written_as_a_header(wanted: slice, header: str) -> None:
    """Inclusive ends, open ends, and a suffix."""
    assert parse_slice(wanted).header() == header


def test_only_an_empty_range_is_empty() -> None:
    """Those need no request for bytes, and have no header."""
    assert parse_slice(slice(0, 0)).empty
    assert parse_slice(slice(5, 5)).empty
    for other in (slice(0, 1), slice(0, None), slice(5, None), slice(-5, None), None):
        assert not parse_slice(other).empty


@pytest.mark.parametrize(
    ("byte_range", "text"),
    [
        (ByteRange(0, None), "[0:]"),
        (ByteRange(0, 5), "[:5]"),
        (ByteRange(2, 5), "[2:5]"),
        (ByteRange(2, None), "[2:]"),
        (ByteRange(-2, None), "[-2:]"),
    ],
)
def test_a_range_is_shown_as_python_writes_it(byte_range: ByteRange, text: str) -> None:
    """In error messages."""
    assert str(byte_range) == text


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.integers(0, 10**15))
def test_the_answer_to_a_header_names_the_range(start: int, length: int, more: int) -> None:
    """What a server answers to a range is parsed back into the range that was asked for."""
    stop, size = start + length, start + length + more
    asked = parse_slice(slice(start, stop))
    first, last = asked.header().removeprefix("bytes=").split("-")
    assert parse_content_range(f"bytes {first}-{last}/{size}") == (*asked.resolve(size), size)
    suffix = parse_slice(slice(-length, None))
    assert suffix.resolve(size) == (size - length, size)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-0/1", (0, 1, 1)),
        ("bytes 5-9/10", (5, 10, 10)),
        ("bytes 5-9/*", (5, 10, None)),
        ("bytes 0-9223372036854775806/9223372036854775807", (0, 2**63 - 1, 2**63 - 1)),
    ],
)
def test_a_content_range_is_understood(value: str, expected: tuple[int, int, int | None]) -> None:
    """First byte, one past the last, size or None."""
    assert parse_content_range(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes 0-9",
        "bytes */10",
        "bytes 9-5/10",
        "bytes 0-10/10",
        "bytes 5-9/9",
        "bytes -5/10",
        "bytes 5-/10",
        "bytes=5-9/10",
        "bytes  5-9/10",
        "bytes 5-9/10 ",
        "bytes 5 - 9 / 10",
        "bytes +5-9/10",
        "bytes 5-9/10, 11-12/13",
        "bytes 0x5-9/10",
        "bytes ٥-9/10",
        "items 5-9/10",
        "bytes 5-9/10\n",
        "bytes 5-" + "9" * 5000 + "/*",
    ],
)
def test_a_content_range_that_makes_no_sense_is_none(value: str) -> None:
    """The caller refuses the answer; nothing is guessed."""
    assert parse_content_range(value) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes */10", 10),
        ("bytes */0", 0),
        ("bytes */*", None),
        ("bytes 0-9/10", None),
        ("", None),
        ("*/10", None),
        ("bytes */-1", None),
        ("bytes */10\n", None),
    ],
)
def test_the_size_in_a_416_answer_is_understood(value: str, size: int | None) -> None:
    """Only in the one form that says it."""
    assert parse_unsatisfied(value) == size
