"""Answers put together from their bytes, however those come: in new memory, in somebody's, or in part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3kv import buffers
from s3kv.buffers import Room
from s3kv.errors import MalformedResponse, TransportError
from s3kv.http1_reader import ResponseReader
from s3kv.messages import MAX_OBJECT_BYTES
from s3kv.xml import MAX_ERROR_BYTES

# From so many bytes on a body is large here.
LARGE = 64
BODY = bytes(range(33, 127)) * 4


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Have bodies be large early on: the code is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "LARGE", LARGE)
        patch.setattr(buffers, "FRESH", LARGE)
        yield


def answer(body: bytes, *headers: str, status: int = 200, length: int | None = None) -> bytes:
    """Return an answer with a length and a strong ETag."""
    said = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} OK", 'ETag: "e"', f"Content-Length: {said}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, step: int) -> bytes:
    """Return an answer without a length."""
    pieces = [body[i : i + step] for i in range(0, len(body), step)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def room(size: int) -> tuple[bytearray, Room]:
    """Return memory, and the room for a body in all of it but its ends."""
    memory = bytearray(b"." * (size + 2))
    return memory, Room(memoryview(memory)[1 : size + 1])


def receive(reader: ResponseReader, data: bytes, draw: Any) -> bytes:
    """Give a reader bytes as a socket would, as many at a time as ``draw`` says; what it did not take."""
    done = False
    while data and not done:
        place = reader.room()
        if place is not None:
            count = min(len(data), len(place), max(1, draw(len(place))))
            assert len(place) > 0
            place[:count] = data[:count]
            data = data[count:]
            done = reader.filled(count)
        else:
            most = reader.wanted or len(data)
            count = max(1, min(len(data), most, max(1, draw(most))))
            done = reader.feed(data[:count])
            data = data[count:]
    return data


def all_at_once(most: int) -> int:
    """Draw as much as there is."""
    return most


@st.composite
def draws(draw: st.DrawFn) -> Any:
    """Return what says how many bytes come at a time."""
    sizes = draw(st.lists(st.integers(1, 200), min_size=1, max_size=8))
    state = iter(range(1_000_000))
    return lambda most: sizes[next(state) % len(sizes)]


@settings(max_examples=300)
@given(st.integers(0, len(BODY)), draws(), st.sampled_from(["new", "into", "larger"]), st.booleans())
def test_a_body_is_whole_however_it_comes(size: int, draw: Any, where: str, chunks: bool) -> None:
    """In new memory, or in memory that is as long or longer; what is around it is left alone."""
    body = BODY[:size]
    memory, into = room(size + (5 if where == "larger" else 0))
    reader = ResponseReader("GET", True, None if where == "new" else into)
    data = chunked(body, 7) if chunks else answer(body)
    assert receive(reader, data, draw) == b""
    response = reader.response
    assert response is not None
    assert bytes(response.body) == body
    assert reader.clean
    assert response.rest == 0
    if where != "new" and not chunks:
        # In place, and nowhere else.
        assert isinstance(response.body, memoryview)
        assert memory[: size + 1] == b"." + body
        assert set(memory[size + 1 :]) == {ord(".")}
    elif where != "new":
        assert set(memory) == {ord(".")}
    else:
        assert type(response.body) is bytes


@settings(max_examples=300)
@given(st.integers(0, len(BODY)), st.integers(1, 150), draws(), st.booleans(), st.integers(0, 3))
def test_of_a_long_body_the_beginning_is_read(
    size: int, cut: int, draw: Any, into: bool, more: int
) -> None:
    """If it is at least twice as long as that, and a strong ETag tells versions apart; else all of it."""
    body = BODY[:size]
    memory, given_room = room(size)
    reader = ResponseReader("GET", True, given_room if into else None, cut)
    data = answer(body)
    left = receive(reader, data, draw)
    response = reader.response
    assert response is not None
    if response.rest:
        assert size >= 2 * cut
        assert size - response.rest == cut
        assert response.view is not None
        assert len(response.body) == len(response.view) == size
        assert bytes(response.body[:cut]) == body[:cut]
        # What comes on the connection now belongs to this body.
        assert not reader.clean
        assert len(left) <= response.rest
        response.view[cut:] = body[cut:]
        assert bytes(response.body) == body
    else:
        assert bytes(response.body) == body
        assert left == b""
        assert reader.clean
    if into:
        assert memory == b"." + body + b"."


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize(
    ("size", "rest"), [(127, 0), (128, 64), (129, 65), (300, 236)], ids=["-1", "2", "+1", "more"]
)
def test_a_body_is_cut_from_twice_the_length_on(size: int, rest: int, into: bool) -> None:
    """To the byte; as soon as the beginning is there."""
    reader = ResponseReader("GET", True, room(size)[1] if into else None, 64)
    head, _, body = answer(BODY[:size]).partition(b"\r\n\r\n")
    assert not reader.feed(head + b"\r\n\r\n")
    left = receive(reader, body, all_at_once)
    assert reader.response is not None
    assert (reader.response.rest, len(left)) == (rest, rest)
    assert bytes(reader.response.body)[: size - rest] == BODY[: size - rest]


@pytest.mark.parametrize(
    "data",
    [
        answer(BODY).replace(b'ETag: "e"\r\n', b""),
        answer(BODY).replace(b'"e"', b'W/"e"'),
        answer(BODY).replace(b'"e"', b""),
    ],
    ids=["none", "weak", "empty"],
)
@pytest.mark.parametrize("into", [False, True])
def test_a_body_whose_version_cannot_be_told_is_read_to_its_end(data: bytes, into: bool) -> None:
    """On its one connection, for parts of two versions could not be told apart."""
    reader = ResponseReader("GET", True, room(len(BODY))[1] if into else None, 64)
    assert receive(reader, data, lambda most: 20) == b""
    assert reader.response is not None
    assert reader.response.rest == 0
    assert bytes(reader.response.body) == BODY
    assert reader.clean


@pytest.mark.parametrize("small", [True, False])
def test_a_body_that_does_not_fit_is_not_read(small: bool) -> None:
    """The caller is told how long it is; the connection cannot be used again."""
    body = BODY[:10] if small else BODY
    memory, into = room(len(body) - 1)
    reader = ResponseReader("GET", True, into, 64)
    receive(reader, answer(body), all_at_once)
    response = reader.response
    assert response is not None
    assert (response.rest, response.body, response.view) == (len(body), b"", None)
    assert not reader.clean
    assert set(memory) == {ord(".")}


@pytest.mark.parametrize("status", [304, 404, 412, 416, 500, 503])
def test_an_error_does_not_get_into_the_buffer(status: int) -> None:
    """Whatever its length: those are no bytes of the object."""
    memory, into = room(10)
    for body in (b"<Error/>", BODY) if status != 304 else (b"",):
        reader = ResponseReader("GET", True, into, 64)
        receive(reader, answer(body, status=status), all_at_once)
        assert reader.response is not None
        assert reader.response.body == body
        assert type(reader.response.body) is bytes
        assert reader.clean
    assert set(memory) == {ord(".")}


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("size", [0, 1, 10, 64, 200])
def test_bytes_after_the_body_are_not_part_of_it(size: int, into: bool) -> None:
    """And what sent them is not to be believed again."""
    memory, given_room = room(size)
    reader = ResponseReader("GET", True, given_room if into else None)
    assert reader.feed(answer(BODY[:size]) + b"HTTP/1.1 200 OK")
    assert reader.response is not None
    assert bytes(reader.response.body) == BODY[:size]
    assert not reader.clean
    assert not into or memory == b"." + BODY[:size] + b"."


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("cut", [0, 64])
@pytest.mark.parametrize("size", [10, 63, 127, 376])
def test_a_body_cut_short_is_never_an_answer(size: int, cut: int, into: bool) -> None:
    """Wherever it ends: the memory was not filled."""
    data = answer(BODY[:size])
    head = data.index(b"\r\n\r\n") + 4
    needed = cut if cut and size >= 2 * cut else size
    for end in {head, head + 1, head + needed // 2, head + needed - 1}:
        reader = ResponseReader("GET", True, room(size)[1] if into else None, cut)
        assert receive(reader, data[:end], all_at_once) == b""
        assert reader.response is None
        with pytest.raises(TransportError, match="short"):
            reader.end()


def test_the_bytes_that_are_handed_out_are_nobody_elses() -> None:
    """The reader keeps no view through which they could change."""
    reader = ResponseReader("GET", True)
    receive(reader, answer(BODY), lambda most: 50)
    assert reader.room() is None
    assert reader.response is not None
    assert reader.response.view is None


def test_room_is_never_more_than_is_missing() -> None:
    """What follows on the connection is somebody else's."""
    for cut, total in ((0, len(BODY)), (100, 100)):
        reader = ResponseReader("GET", True, None, cut)
        reader.feed(answer(BODY)[: -len(BODY)])
        for have in range(0, total, 10):
            place = reader.room()
            assert place is not None
            assert len(place) == total - have
            place[:10] = BODY[have : have + 10]
            assert reader.filled(min(10, total - have)) == (have + 10 >= total)


def test_a_small_body_is_not_waited_for_longer_than_it_is() -> None:
    """What is asked for from the socket is what is missing, at most."""
    reader = ResponseReader("GET", True)
    reader.feed(answer(BODY[:20])[:-15])
    assert (reader.wanted, reader.missing, reader.large) == (15, 15, False)
    assert reader.feed(BODY[5:20])


@pytest.mark.parametrize("into", [False, True])
def test_an_answer_of_no_length_is_refused(into: bool) -> None:
    """Its end could be anywhere."""
    reader = ResponseReader("GET", True, room(10)[1] if into else None)
    with pytest.raises(MalformedResponse, match="how long"):
        reader.feed(b"HTTP/1.1 200 OK\r\n\r\n12345")


@pytest.mark.parametrize("into", [False, True])
def test_a_length_that_no_object_has_is_refused(into: bool) -> None:
    """Before any memory is made for it."""
    reader = ResponseReader("GET", True, room(10)[1] if into else None, 64)
    with pytest.raises(MalformedResponse, match="announces"):
        reader.feed(answer(b"", length=MAX_OBJECT_BYTES + 1))


def test_of_an_error_without_an_end_the_beginning_is_enough() -> None:
    """It is not put into the buffer, and not read for ever."""
    memory, into = room(100)
    reader = ResponseReader("GET", True, into, 64)
    reader.feed(b"HTTP/1.1 500 No\r\n\r\n")
    assert reader.feed(b"x" * (MAX_ERROR_BYTES + 1))
    assert reader.response is not None
    assert len(reader.response.body) == MAX_ERROR_BYTES
    assert not reader.clean
    assert set(memory) == {ord(".")}


def test_a_large_body_in_chunks_is_known_as_large() -> None:
    """When it has turned out to be, so that somebody else may wait for its end."""
    reader = ResponseReader("GET", True)
    data = chunked(BODY, 30)
    assert not reader.feed(data[:100])
    assert not reader.large
    assert not reader.feed(data[100:200])
    assert reader.large
    assert reader.feed(data[200:])
    assert reader.response is not None
    assert reader.response.body == BODY


def test_interim_answers_come_before_the_buffer_is_touched() -> None:
    """However they are cut."""
    memory, into = room(len(BODY))
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + answer(BODY)
    for step in (1, 5, 1000):
        reader = ResponseReader("GET", True, into)
        assert receive(reader, data, lambda most, step=step: step) == b""
        assert reader.response is not None
        assert bytes(reader.response.body) == BODY
    assert memory == b"." + BODY + b"."


@pytest.mark.parametrize(
    "data",
    [
        b"this is not http",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        b"HTTP/2 200\r\n",
    ],
)
def test_what_cannot_become_a_head_is_refused_at_once(data: bytes) -> None:
    """Whoever sent it may never send more."""
    with pytest.raises(MalformedResponse, match="start"):
        ResponseReader("GET", True).feed(data)


def test_what_may_become_a_head_is_waited_for() -> None:
    """However little there is of it."""
    whole = answer(b"fine")
    for end in range(1, whole.index(b"\r\n\r\n") + 3):
        assert not ResponseReader("GET", True).feed(whole[:end])


def test_a_range_in_chunks_is_no_longer_than_it_says() -> None:
    """A body that does not end is not taken into memory."""
    head = (
        b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-4/10\r\n\r\n"
    )
    reader = ResponseReader("GET", True)
    assert not reader.feed(head + b"5\r\n01234\r\n")
    with pytest.raises(MalformedResponse, match="longer than the 5 bytes"):
        reader.feed(b"1\r\n5\r\n")
