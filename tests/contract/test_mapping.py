"""The store is a mapping: what holds for a dict from text to bytes holds for it, order aside."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3kv


@pytest.fixture
def three(store: s3kv.Store) -> s3kv.Store:
    """Return a store of three objects."""
    store.update({"a": b"1", "b/c": b"2", "d": b"3"})
    return store


def test_a_store_is_a_mutable_mapping(store_by: s3kv.Store) -> None:
    """With everything that the abstract class promises."""
    assert isinstance(store_by, MutableMapping)
    store_by["a"] = b"1"
    assert store_by["a"] == b"1"
    assert "a" in store_by
    assert len(store_by) == 1
    del store_by["a"]
    assert "a" not in store_by
    assert len(store_by) == 0


def test_a_missing_key_is_a_key_error(three: s3kv.Store) -> None:
    """On reading, on deleting and on popping, each naming the key."""
    for operation in (
        lambda: three["missing"],
        lambda: three.__delitem__("missing"),
        lambda: three.pop("missing"),
    ):
        with pytest.raises(KeyError) as caught:
            operation()
        assert isinstance(caught.value, s3kv.KeyNotFound)
        assert caught.value.key == "missing"
    assert len(three) == 3


def test_deleting_twice_is_a_key_error_the_second_time(three: s3kv.Store) -> None:
    """As it is for a dict, though not for the method delete."""
    del three["a"]
    with pytest.raises(KeyError):
        del three["a"]
    three.delete("a")


def test_get_raises_where_a_dict_would_return_none(three: s3kv.Store) -> None:
    """Unless a default is given: a typo should not read as None."""
    with pytest.raises(KeyError):
        three.get("missing")
    assert three.get("missing", None) is None
    assert three.get("a", None) == b"1"


def test_setdefault_keeps_what_is_there_and_adds_what_is_not(three: s3kv.Store) -> None:
    """And returns what is there in the end."""
    assert three.setdefault("a", b"new") == b"1"
    assert three.setdefault("e", b"new") == b"new"
    assert (three["a"], three["e"]) == (b"1", b"new")


def test_pop_returns_the_value_and_deletes_the_object(three: s3kv.Store) -> None:
    """With a default it does not mind a missing key."""
    assert three.pop("b/c") == b"2"
    assert three.pop("b/c", b"default") == b"default"
    assert three.pop("b/c", None) is None
    assert three.list() == ["a", "d"]


def test_popitem_takes_objects_out_until_there_are_none(three: s3kv.Store) -> None:
    """Then it is a KeyError."""
    items = {}
    for _ in range(3):
        key, value = three.popitem()
        items[key] = value
    assert items == {"a": b"1", "b/c": b"2", "d": b"3"}
    with pytest.raises(KeyError):
        three.popitem()


def test_update_takes_what_a_dict_takes(store: s3kv.Store) -> None:
    """A mapping, pairs, keyword arguments, another store."""
    store.update({"a": b"1", "b": b"1"})
    store.update([("b", b"2"), ("c", b"2")])
    store.update(iter([("d", b"3")]), e=b"3", self=b"4")
    expected = {"a": b"1", "b": b"2", "c": b"2", "d": b"3", "e": b"3", "self": b"4"}
    assert dict(store.items()) == expected
    copy = store / "copy/"
    copy.update({key: store[key] for key in ("a", "b")})
    assert dict(copy) == {"a": b"1", "b": b"2"}


@pytest.mark.feature("delete-many-folder")
def test_clear_deletes_everything_below_the_path_and_nothing_else(store: s3kv.Store) -> None:
    """A neighbour whose path only starts the same way is spared, and so is what is above."""
    store.update({"in/a": b"1", "in/b/c": b"2", "input/d": b"4", "zoo": b"5"})
    (store + "in/").clear()
    assert store.list() == ["input/d", "zoo"]
    (store + "in").clear()
    assert store.list() == ["zoo"]
    store.clear()
    assert store.list() == []
    store.clear()


def test_views_show_the_store_as_it_is(three: s3kv.Store) -> None:
    """Keys, values and items, in order, with membership and the operations of sets."""
    assert list(three.keys()) == ["a", "b/c", "d"]
    assert list(three.values()) == [b"1", b"2", b"3"]
    assert list(three.items()) == [("a", b"1"), ("b/c", b"2"), ("d", b"3")]
    assert "a" in three.keys()  # noqa: SIM118 (the view is what is tested)
    assert b"2" in three.values()
    assert ("b/c", b"2") in three.items()
    assert ("b/c", b"1") not in three.items()
    assert ("missing", b"1") not in three.items()
    assert three.keys() & {"a", "z"} == {"a"}
    keys = three.keys()
    three["e"] = b"4"
    assert (len(keys), "e" in keys) == (4, True)


def test_a_store_becomes_a_dict_and_the_other_way_round(three: s3kv.Store) -> None:
    """By the constructor of dict, by unpacking and by update."""
    contents = {"a": b"1", "b/c": b"2", "d": b"3"}
    assert dict(three) == dict(three.items()) == {**three} == contents


def test_a_store_is_true_even_when_it_is_empty_and_sends_nothing(open_store: Any, session: Any) -> None:
    """It is a place, not its contents."""
    assert open_store(session=session)
    assert session.sent == []


def test_equality_is_about_the_place_and_not_the_contents(
    open_store: Any, session: Any, credentials: None
) -> None:
    """Equal stores have equal hashes, and nothing is sent to compare them."""
    one, two = open_store(session=session), open_store(session=session)
    assert (one == two, one != two) == (True, False)
    assert hash(one) == hash(two)
    assert len({one, two}) == 1
    assert one / "a" == two / "a"
    assert one.with_timeout(5) == two.with_timeout(5.0)
    for other in (one / "a", one.with_timeout(5), open_store(), open_store(path="other/", session=session)):
        assert (one == other, one != other) == (False, True)
    strangers: tuple[object, ...] = ({}, None, one.spec(), one.path, 1)
    for stranger in strangers:
        assert one != stranger
    assert session.sent == []


KEYS = st.sampled_from(["a", "b", "c-d"])
VALUES = st.binary(max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, VALUES),
        st.tuples(st.just("setdefault"), KEYS, VALUES),
        st.tuples(st.just("get"), KEYS, st.none() | VALUES),
        st.tuples(st.just("pop"), KEYS, st.none() | VALUES),
        st.tuples(st.just("subscript"), KEYS),
        st.tuples(st.just("del"), KEYS),
        st.tuples(st.just("pop or raise"), KEYS),
        st.tuples(st.just("in"), KEYS),
        st.tuples(st.just("len")),
        st.tuples(st.just("items")),
        st.tuples(st.just("update"), st.dictionaries(KEYS, VALUES)),
        st.tuples(st.just("clear")),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_done_to_a_store_and_to_a_dict_comes_out_the_same(
    store: s3kv.Store, steps: list[tuple[Any, ...]]
) -> None:
    """Results, KeyErrors and what is there in the end."""
    store.clear()
    model: dict[str, bytes] = {}
    for step in steps:
        assert outcome(store, *step) == outcome(model, *step), step
    assert dict(store.items()) == model


def outcome(mapping: MutableMapping[str, bytes], name: str, *arguments: Any) -> Any:
    """Do one step to a mapping; return what came of it."""
    steps: dict[str, Any] = {
        "set": mapping.__setitem__,
        "setdefault": mapping.setdefault,
        "get": mapping.get,
        "pop": mapping.pop,
        "subscript": mapping.__getitem__,
        "del": mapping.__delitem__,
        "pop or raise": mapping.pop,
        "in": mapping.__contains__,
        "len": mapping.__len__,
        "items": lambda: sorted(mapping.items()),
        "update": mapping.update,
        "clear": mapping.clear,
    }
    try:
        return steps[name](*arguments)
    except KeyError:
        return KeyError
