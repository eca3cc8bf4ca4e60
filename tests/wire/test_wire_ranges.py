"""Several ranges of one object."""

from __future__ import annotations

import re
import threading

import pytest

import s3kv
from tests.wire.conftest import FAST, OpenStore
from tests.wire.scripted import READ, Answer, Forever, Recorded, ScriptedServer, answer, error

DATA = bytes(range(256)) * 64
ETAG = '"one"'
OTHER = '"two"'


class Object:
    """An object that is served by ranges, and may be replaced after some of them.

    Args:
        replaced_after: After so many; None for never.
        gone: It is deleted then.
        tag: The header that tells the version, whichever it is; None for a good one.
    """

    def __init__(
        self, *, replaced_after: int | None = None, gone: bool = False, tag: str | None = None
    ) -> None:
        self.asked: list[str | None] = []
        self._tag = tag
        self._lock = threading.Lock()
        self._replaced_after = replaced_after
        self._gone = gone

    def __call__(self, request: Recorded) -> bytes:
        with self._lock:
            old = self._replaced_after is None or len(self.asked) < self._replaced_after
            self.asked.append(request.header("range"))
        if not old and self._gone:
            return error(404, "NoSuchKey")
        headers = [f"ETag: {ETAG if old else OTHER}"] if self._tag is None else [self._tag]
        data = DATA if old or self._tag is None else DATA[::-1]
        text = request.header("range")
        if text is None:
            return answer(200, b"" if request.method == "HEAD" else data, *headers)
        first, _, last = text.removeprefix("bytes=").partition("-")
        start, stop = (
            (int(first), int(last) + 1 if last else len(data))
            if first
            else (len(data) - int(last), len(data))
        )
        start = max(0, start)
        if start >= len(data):
            return error(416, "InvalidRange")
        stop = min(stop, len(data))
        return answer(
            206, data[start:stop], *headers, f"Content-Range: bytes {start}-{stop - 1}/{len(data)}"
        )


def served(thing: Object) -> ScriptedServer:
    """A server of the object."""
    return ScriptedServer(then=[Forever(READ, Answer(thing))], lenient=True)


def test_each_range_is_exact_and_close_ones_are_one_request(open_store: OpenStore) -> None:
    """In the order in which they were asked for, whatever order they are fetched in."""
    slices = [
        slice(12_000, 12_010),
        slice(0, 10),
        slice(5, 20),
        slice(100, 200),
        slice(-7, None),
        slice(16_380, None),
    ]
    thing = Object()
    with served(thing) as server:
        assert open_store(server).get_ranges("key", slices) == [DATA[each] for each in slices]
    assert sorted(map(str, thing.asked)) == ["bytes=-7", "bytes=0-199", "bytes=12000-12009", "bytes=16380-"]


def test_one_slice_is_not_taken_for_many(open_store: OpenStore) -> None:
    """That is said, and how one is got; nothing is sent."""
    thing = Object()
    with (
        served(thing) as server,
        pytest.raises(TypeError, match=r"many slices.* not one slice.*byte_range"),
    ):
        open_store(server).get_ranges("key", slice(0, 1))  # type: ignore[arg-type]
    assert thing.asked == []


def test_no_ranges_are_no_requests(open_store: OpenStore) -> None:
    """And no bytes; an empty range asks whether the object is there."""
    thing = Object()
    with served(thing) as server:
        store = open_store(server)
        assert store.get_ranges("key", []) == []
        assert thing.asked == []
        assert store.get_ranges("key", [slice(3, 3), slice(0, 1)]) == [b"", DATA[:1]]


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "deleted"])
def test_two_versions_are_never_mixed(gone: bool, open_store: OpenStore) -> None:
    """An object that is replaced or deleted meanwhile has changed."""
    with served(Object(replaced_after=1, gone=gone)) as server:
        store = open_store(server)
        with pytest.raises((s3kv.Changed, s3kv.KeyNotFound)) as caught:
            store.get_ranges("key", [slice(0, 10), slice(10_000, 10_010)])
        assert caught.value.key == "key"
    with served(Object(replaced_after=0)) as server:
        assert open_store(server).get_ranges("key", [slice(0, 10)]) == [DATA[:10]]


@pytest.mark.parametrize("tag", ["X-No: tag", "ETag: ", 'ETag: W/"weak"'], ids=["none", "empty", "weak"])
@pytest.mark.parametrize("last", [slice(12_000, 12_010), slice(-10, None)], ids=["bounded", "from the end"])
def test_versions_that_nothing_tells_apart_are_read_in_one_piece(
    last: slice, tag: str, open_store: OpenStore
) -> None:
    """As large objects are that have no ETag, or one that two versions may share."""
    slices = [last, slice(5, 5), slice(100, 110), slice(9_000, 9_010)]
    thing = Object(replaced_after=1, tag=tag)
    with served(thing) as server:
        store = open_store(server)
        found = store.get_ranges("key", slices)
        assert found in [[data[each] for each in slices] for data in (DATA, DATA[::-1])]
        with pytest.raises(s3kv.ByteRangeError, match=re.escape("[16000:17000]")) as caught:
            store.get_ranges("key", [slice(0, 10), slice(16_000, 17_000)])
        assert (caught.value.operation, caught.value.key) == ("GetObject", "key")
        with pytest.raises(s3kv.ByteRangeError) as caught:
            store.get_ranges("key", [slice(0, 10), slice(9_000, None), slice(-17_000, None)])
        assert (caught.value.operation, caught.value.key) == ("GetObject", "key")
    alone = Object(tag=tag)
    with served(alone) as server:
        assert open_store(server).get_ranges("key", slices[2:3]) == [DATA[100:110]]
    assert alone.asked == ["bytes=100-109"]


def test_a_range_that_is_not_inside_is_an_error(open_store: OpenStore) -> None:
    """Even when its neighbours are; a missing key is one too, and so is what is no range."""
    with served(Object()) as server:
        store = open_store(server)
        for outside in (slice(16_000, 17_000), slice(20_000, 20_001), slice(-17_000, None)):
            with pytest.raises(s3kv.ByteRangeError):
                store.get_ranges("key", [slice(0, 10), outside])
        with pytest.raises(s3kv.ByteRangeError):
            store.get_ranges("key", [slice(0, -1)])
        with pytest.raises(TypeError):
            store.get_ranges("key", [(0, 1)])  # type: ignore[list-item]
    with served(Object(replaced_after=0, gone=True)) as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.KeyNotFound):
            store.get_ranges("key", [slice(0, 10), slice(10_000, 10_010)])


def test_an_error_names_a_range_that_was_asked_for(open_store: OpenStore) -> None:
    """Not the one that was requested for it and its neighbours."""
    with served(Object()) as server:
        store = open_store(server)
        for asked, named in (
            ([slice(0, 10), slice(16_000, 16_385), slice(12_500, 16_100)], "[16000:16385]"),
            ([slice(16_384, 16_390), slice(16_400, 16_500)], "[16400:16500]"),
            ([slice(-16_385, None)], "[-16385:]"),
        ):
            with pytest.raises(s3kv.ByteRangeError) as caught:
                store.get_ranges("key", asked)
            assert f"byte range {named} is not" in str(caught.value)
