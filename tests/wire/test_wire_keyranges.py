"""What is asked of a store to list a range of keys."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import s3kv
from s3kv import KeyRange
from tests.wire.conftest import OpenStore
from tests.wire.scripted import READ, Answer, Recorded, ScriptedServer, exchanges, listing


def query(request: Recorded) -> dict[str, str]:
    """The query of a listing, without what every listing has."""
    pairs = parse_qs(urlsplit(request.target).query)
    return {name: values[0] for name, values in pairs.items() if name not in ("list-type", "encoding-type")}


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (KeyRange(), {"prefix": "p/"}),
        (KeyRange.prefix("a/"), {"prefix": "p/a/"}),
        (KeyRange("a/1", "a/3"), {"prefix": "p/a/", "start-after": "p/a/0\U0010ffff"}),
        (KeyRange("b"), {"prefix": "p/", "start-after": "p/a\U0010ffff"}),
        (KeyRange("", "b"), {"prefix": "p/"}),
        (KeyRange("\x01"), {"prefix": "p/"}),
    ],
)
def test_a_range_is_asked_for_by_what_its_keys_have_in_common(
    wanted: KeyRange, asked: dict[str, str], open_store: OpenStore
) -> None:
    """And from just before its start on, where that helps."""
    with ScriptedServer(exchanges(listing())) as server:
        assert open_store(server, path="p/").list(range=wanted) == []
        assert [query(request) for request in server.requests] == [asked]


def test_an_empty_range_asks_nothing(open_store: OpenStore) -> None:
    """Nor does one that ends before the start that is asked for."""
    with ScriptedServer() as server:
        store = open_store(server)
        assert store.list(range=KeyRange("b", "a")) == []
        assert store.list("b", range=KeyRange("c")) == []
        assert list(store.scan(range=KeyRange("a", "b"), start_after="b")) == []
        assert server.requests == []


@pytest.mark.parametrize("seconds", [0, 0.02])
def test_nothing_is_fetched_behind_the_end_of_a_range(seconds: float, open_store: OpenStore) -> None:
    """The first page that reaches it is the last, also where pages are slow and many asked for."""

    def answer(request: Recorded) -> bytes:
        time.sleep(seconds)
        first = "continuation-token" not in query(request)
        return listing("a", "b", token="2") if first else listing("c", "d", token="3")

    with ScriptedServer([READ, Answer(answer)] * 2) as server:
        assert open_store(server).list(range=KeyRange("", "d")) == ["a", "b", "c"]
        assert len(server.requests) == 2


def test_a_store_that_lists_in_another_order_is_listed_to_its_end(open_store: OpenStore) -> None:
    """What is behind the range's end may come before what is in it, or after."""
    script = exchanges(listing("d", "a", token="2"), listing("z", token="3"), listing("b", "c"))
    with ScriptedServer(script) as server:
        assert open_store(server).list(range=KeyRange("", "d")) == ["a", "b", "c"]
        assert len(server.requests) == 3


def test_a_store_that_turns_out_to_have_another_order_is_asked_again_from_its_start(
    open_store: OpenStore,
) -> None:
    """What it takes for the keys behind a start may be too few; later listings know that at once."""
    unsorted = listing("b/2", "b/1")
    with ScriptedServer(exchanges(unsorted, listing("b/2", "b/1", "b-"), listing("b/3"))) as server:
        store = open_store(server)
        assert [entry.key for entry in store.scan("b", start_after="b-")] == ["b/2", "b/1"]
        assert store.list(range=KeyRange("b/2", "b/9")) == ["b/3"]
        assert [query(request) for request in server.requests] == [
            {"prefix": "b", "start-after": "b-"},
            {"prefix": "b"},
            {"prefix": "b/"},
        ]


@pytest.mark.parametrize("second", [("b/6", "b/5"), ("b/1", "b/2")], ids=["in a page", "between pages"])
def test_a_store_whose_order_shows_late_gives_no_key_twice(
    second: tuple[str, str], open_store: OpenStore
) -> None:
    """Some of its keys are handed out, and which, nobody remembers; the next listing is complete."""
    again = listing("b/3", "b/4", token="2"), listing(*second)
    script = exchanges(listing("b/3", "b/4", token="2"), listing(*second), *again)
    with ScriptedServer(script) as server:
        store = open_store(server)
        scan = store.scan("b", start_after="b/")
        assert [next(scan).key, next(scan).key] == ["b/3", "b/4"]
        with pytest.raises(s3kv.MalformedResponse, match="order"):
            next(scan)
        found = [entry.key for entry in store.scan("b", start_after="b/")]
        assert found == ["b/3", "b/4", *second]


@pytest.mark.parametrize("wrong", ["a", ("a", "b"), slice(1, 2), 5])
def test_what_is_no_range_is_a_type_error(wrong: Any, open_store: OpenStore) -> None:
    """As is what is no number of characters; a negative one is a ValueError."""
    with ScriptedServer() as server:
        store = open_store(server)
        with pytest.raises(TypeError, match="KeyRange"):
            store.list(range=wrong)
        for cut in (True, "1", 1.0, None):
            with pytest.raises(TypeError, match="strip_prefix_length"):
                store.list(strip_prefix_length=cut)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="strip_prefix_length"):
            store.list(strip_prefix_length=-1)
        assert isinstance(store, s3kv.Store)
