"""Listing a range from many places at once: every key once, in order, wherever the cuts are."""

from __future__ import annotations

import bisect
import hashlib
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.listing_xml import Columns
from s3kv.survey import Job, OutOfOrder, Survey

KEYS = st.text(alphabet="ab/01é\x01", min_size=1, max_size=6)


def _columns(keys: list[str], prefixes: Iterable[str] = (), token: str | None = None) -> Columns:
    count = len(keys)
    return Columns(keys, ["1"] * count, ["e"] * count, ["t"] * count, list(prefixes), token)


def _answer(keys: list[str], job: Job, size: int) -> Columns:
    """What a store answers that has these keys, which are in order."""
    place = max(bisect.bisect_right(keys, job.last), bisect.bisect_left(keys, job.prefix))
    found: list[str] = []
    folders: list[str] = []
    while place < len(keys) and keys[place].startswith(job.prefix) and len(found) + len(folders) < size:
        key = keys[place]
        slash = key.find("/", len(job.prefix)) if job.segment is None else -1
        if slash < 0:
            found.append(key)
            place += 1
        else:
            folders.append(key[: slash + 1])
            while place < len(keys) and keys[place].startswith(folders[-1]):
                place += 1
    more = place < len(keys) and keys[place].startswith(job.prefix)
    return _columns(found, folders, "more" if more else None)


def _list(
    keys: list[str],
    *,
    width: int = 32,
    size: int = 1000,
    prefix: str = "",
    last: str = "",
    end: str | None = None,
    seed: int | None = None,
) -> tuple[list[str], int, int]:
    """List by a survey, with so many requests at a time: the keys, how many rounds and requests it took.

    ``seed``: answers come in random order; else in that of the requests, all of a round together.
    """
    survey = Survey(prefix, last, end)
    flying: list[tuple[int, Job]] = []
    order = random.Random(seed)
    result: list[str] = []
    requests = now = 0
    while True:
        while len(flying) < width and (job := survey.job()) is not None:
            flying.append((now + 1, job))
            requests += 1
        for page in survey.ready():
            result += page.keys
            assert len(page.keys) == len(page.sizes) == len(page.etags) == len(page.times)
        if survey.finished:
            return result, now, requests
        assert flying, "nothing is under way, and nothing is complete"
        now, job = flying.pop(0 if seed is None else order.randrange(len(flying)))
        survey.take(job, _answer(keys, job, size))


@given(
    st.sets(KEYS, max_size=60),
    st.integers(1, 9),
    st.integers(1, 7),
    st.sampled_from(["", "a", "a/", "0"]),
    st.none() | KEYS,
    st.none() | KEYS,
    st.integers(0, 3),
)
def test_every_key_is_found_once_and_in_order(
    keys: set[str], width: int, size: int, prefix: str, last: str | None, end: str | None, seed: int
) -> None:
    """However many requests there are at a time, however long the pages, in whatever order they come."""
    after = prefix + last if last else ""
    found, _, _ = _list(
        sorted(keys), width=width, size=size, prefix=prefix, last=after, end=end, seed=seed or None
    )
    wanted = [key for key in sorted(keys) if key.startswith(prefix) and key > after]
    assert found == [key for key in wanted if end is None or key <= end]


SHAPES = {
    "folders": [f"data/{number // 1000:04}/part-{number:07}.bin" for number in range(100_000)],
    "flat": [f"k{number:06}" for number in range(100_000)],
    "digests": [hashlib.sha256(b"%d" % number).hexdigest() for number in range(100_000)],
    "a chunked array": [f"a.zarr/c/{n % 50}/{n // 50 % 50}/{n // 2500}" for n in range(100_000)],
    "dates": [
        f"logs/{year}/{month:02}/{day:02}/{hour:02}-{part}"
        for year in range(2020, 2024)
        for month in range(1, 13)
        for day in range(1, 29)
        for hour in range(24)
        for part in range(3)
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_many_keys_take_few_rounds(shape: str) -> None:
    """A fifth of the rounds of a listing page by page at most, and not many more requests."""
    keys = sorted(SHAPES[shape])
    found, rounds, requests = _list(keys)
    pages = -(-len(keys) // 1000)
    assert found == keys
    assert rounds <= pages / 5
    assert requests <= 3 * pages


def test_pages_that_wait_are_bounded() -> None:
    """What is far ahead is not fetched while the front is slow."""
    keys = [f"{number:07}" for number in range(2_000_000)]
    survey = Survey("", "", None)
    first = survey.job()
    assert first is not None
    survey.take(first, _answer(keys, first, 1000))
    slow = survey.job()
    fetched = 0
    while (job := survey.job()) is not None:
        survey.take(job, _answer(keys, job, 1000))
        fetched += 1
    assert slow is not None
    assert 200 <= fetched <= 300


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"]])
def test_a_page_out_of_order_ends_it(keys: list[str]) -> None:
    """Its keys would be found twice, or not at all."""
    survey = Survey("", "", None)
    job = survey.job()
    assert job is not None
    with pytest.raises(OutOfOrder):
        survey.take(job, _columns(keys))


def test_a_page_that_does_not_follow_ends_it() -> None:
    """The store does not know where to begin."""
    survey = Survey("", "m", None)
    job = survey.job()
    assert job is not None
    with pytest.raises(OutOfOrder):
        survey.take(job, _columns(["a", "z"]))


def test_a_page_without_keys_is_continued_by_its_token() -> None:
    """Some stores have such pages in the middle."""
    survey = Survey("", "", None)
    first = survey.job()
    assert first is not None
    survey.take(first, _columns([], token="t1"))
    second = survey.job()
    assert second is not None
    assert (second.last, second.token) == ("", "t1")
    survey.take(second, _columns(["a"]))
    assert [page.keys for page in survey.ready()] == [["a"]]
    assert survey.finished
