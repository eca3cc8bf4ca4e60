"""The limit on copies: who needs a turn, how many have one, and that a digest is right at every size."""

from __future__ import annotations

import array
import ctypes
import hashlib
import mmap
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.limits.copying import LARGE, CopyLimit
from s3kv.sigv4 import EMPTY_SHA256

MIB = 1024 * 1024
# What is hashed in one go; not public, but its borders are where a digest could go wrong.
PIECE = 32 * MIB

SIZES = [1, 2, LARGE - 1, LARGE, LARGE + 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1]


@pytest.fixture(scope="module")
def noise() -> memoryview:
    """Return more bytes than two pieces, no two pieces of them alike."""
    block = os.urandom(MIB)
    whole = bytearray(2 * PIECE + 2)
    for number in range(0, len(whole), MIB):
        end = min(number + MIB, len(whole))
        whole[number:end] = block[: end - number]
        whole[number : number + 2] = (number // MIB).to_bytes(2, "big")
    return memoryview(whole)


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_right_around_the_borders_of_pieces(size: int, noise: memoryview) -> None:
    """Where a body becomes large, and where one piece ends and the next begins."""
    body = noise[:size]
    assert CopyLimit(1).sha256(body) == hashlib.sha256(body).hexdigest()


@given(st.integers(LARGE - 5, LARGE + 5) | st.integers(0, 3 * MIB), st.integers(0, 1000))
def test_the_digest_is_right_at_every_size(noise: memoryview, size: int, start: int) -> None:
    """And wherever in the memory the body begins."""
    body = noise[start : start + size]
    assert CopyLimit(1).sha256(body) == hashlib.sha256(body).hexdigest()


def test_every_byte_of_a_body_counts(noise: memoryview) -> None:
    """The first and the last of each piece, among others."""
    body = bytearray(noise[: 2 * PIECE + 1])
    limit = CopyLimit(1)
    digests = {limit.sha256(body)}
    places = [0, PIECE - 1, PIECE, 2 * PIECE]
    for place in places:
        body[place] ^= 1
        digests.add(limit.sha256(body))
    assert len(digests) == 1 + len(places)


def test_a_body_of_nothing_has_the_digest_of_nothing() -> None:
    """Whatever it is made of."""
    assert hashlib.sha256().hexdigest() == EMPTY_SHA256
    for body in (b"", bytearray(), memoryview(b"")):
        assert CopyLimit(1).sha256(body) == EMPTY_SHA256


@pytest.mark.parametrize("size", [3, LARGE + 3])
def test_a_body_may_be_of_any_kind(size: int) -> None:
    """Bytes, an array, a view, a mapped file; and it is as usable afterwards as it was before."""
    data = os.urandom(size)
    expected = hashlib.sha256(data).hexdigest()
    limit = CopyLimit(1)
    assert limit.sha256(data) == expected
    assert limit.sha256(memoryview(array.array("B", data))) == expected
    assert limit.sha256(memoryview((ctypes.c_char * size).from_buffer_copy(data)).cast("B")) == expected
    growing = bytearray(data)
    assert limit.sha256(growing) == expected
    # Were it still held, this would be a BufferError.
    growing.append(0)
    with mmap.mmap(-1, size) as mapped:
        mapped[:] = data
        view = memoryview(mapped)
        assert limit.sha256(view) == expected
        assert view[:2] == data[:2]
        view.release()


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_large_bodies_are_hashed_at_once_than_the_limit(limit: int) -> None:
    """Whoever comes when all turns are taken waits until one ends; and each turn goes to one."""
    copies = CopyLimit(limit)
    body = os.urandom(LARGE)
    expected = hashlib.sha256(body).hexdigest()
    held = [copies.slot(LARGE) for _ in range(limit)]
    for slot in held:
        slot.__enter__()
    with ThreadPoolExecutor(6) as pool:
        digests = [pool.submit(copies.sha256, body) for _ in range(6)]
        try:
            time.sleep(0.05)
            assert not any(digest.done() for digest in digests)
        finally:
            held.pop().__exit__(None, None, None)
        # One turn is enough for all of them, one after the other.
        assert [digest.result(5) for digest in digests] == [expected] * 6
    for slot in held:
        slot.__exit__(None, None, None)


@pytest.mark.parametrize("limit", [1, 4])
def test_as_many_work_at_once_as_the_limit_says(limit: int) -> None:
    """No more, and no fewer; counted in a crowd."""
    copies = CopyLimit(limit)
    full = threading.Barrier(limit)
    lock = threading.Lock()
    now, peak = 0, 0

    def work(number: int) -> None:
        nonlocal now, peak
        with copies.slot(LARGE + number):
            with lock:
                now += 1
                peak = max(peak, now)
            # As many as the limit must be here together, or this fails.
            full.wait(5)
            time.sleep(0.002)
            with lock:
                now -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert peak == limit


@pytest.mark.parametrize("size", [0, 1, LARGE - 1])
def test_a_small_body_needs_no_turn(size: int) -> None:
    """It is hashed while others wait."""
    copies = CopyLimit(1)
    body = os.urandom(size)
    with copies.slot(LARGE):
        assert _in_time(lambda: copies.sha256(body)) == hashlib.sha256(body).hexdigest()
        assert _in_time(lambda: _taken(copies, size)) == "taken"


def test_a_turn_ends_however_it_ends() -> None:
    """With an exception, too; otherwise the next would wait for ever."""
    body = bytearray(LARGE)
    for error in (ValueError, KeyboardInterrupt):
        copies = CopyLimit(1)
        with pytest.raises(error), copies.slot(LARGE):
            raise error
        assert _in_time(lambda: copies.sha256(body)) == hashlib.sha256(body).hexdigest()  # noqa: B023


def test_who_cannot_wait_gets_no_turn_and_takes_none() -> None:
    """After the seconds that there are; none are needed for a small body, or where there is a turn."""
    copies = CopyLimit(1)
    body = bytes(LARGE)
    with copies.slot(LARGE):
        for seconds in (0.05, 0.0):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                copies.sha256(body, seconds)
            assert seconds <= time.monotonic() - start < seconds + 0.2
        assert copies.sha256(b"small", 0.0) == hashlib.sha256(b"small").hexdigest()
    for _ in range(2):
        assert copies.sha256(body, 0.0) == hashlib.sha256(body).hexdigest()


def test_without_a_limit_there_is_a_turn_for_each_processor() -> None:
    """Hashing does nothing but compute, so more would only get into each other's way."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert CopyLimit().limit == processors
    assert CopyLimit(None).limit == processors
    assert CopyLimit(7).limit == 7


def test_a_forked_child_has_all_turns() -> None:
    """Those that threads of the parent hold would never end there."""
    copies = CopyLimit(2)
    with copies.slot(LARGE), copies.slot(LARGE):
        copies.after_fork()
        assert _in_time(lambda: copies.sha256(bytes(LARGE))) == hashlib.sha256(bytes(LARGE)).hexdigest()


def _taken(copies: CopyLimit, size: int) -> str:
    with copies.slot(size):
        return "taken"


def _in_time(function: Callable[[], str]) -> str:
    """What a function returns, in a thread that is given up when it does not return."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()
    thread.join(5)
    assert found, "it still waits"
    return found[0]
