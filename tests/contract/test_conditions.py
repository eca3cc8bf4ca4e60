"""Conditions on real servers: what holds is done, and what does not is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from tests.contract.behind import Behind
from tests.contract.direct import Direct
from tests.contract.test_servers import marks_of
from tests.servers.departures import CONDITIONS

feature = pytest.mark.feature

NO_VALUE, UNKNOWN = StorageGeneration.NO_VALUE, StorageGeneration.UNKNOWN
OLD, NEW = b"old", b"new"
ANOTHER = StorageGeneration('"00000000000000000000000000000000"')

OpenStore = Callable[..., s3kv.Store]


# ------------------------------------------------------------------- what servers do, without s3kv


@feature("put-if-none-match")
def test_a_server_creates_no_object_that_exists(direct: Direct, path: str) -> None:
    """If-None-Match: * is honoured."""
    created = direct.send("PUT", path + "key", OLD, headers={"If-None-Match": "*"})
    assert created.status == 200
    refused = direct.send("PUT", path + "key", NEW, headers={"If-None-Match": "*"})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert direct.send("GET", path + "key").body == OLD


@feature("put-if-match")
def test_a_server_replaces_no_other_version(direct: Direct, path: str) -> None:
    """If-Match is honoured on PUT, for a key that is not there too."""
    direct.put(path + "key", OLD)
    refused = direct.send("PUT", path + "key", NEW, headers={"If-Match": ANOTHER})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert direct.send("GET", path + "key").body == OLD
    assert direct.send("PUT", path + "missing", NEW, headers={"If-Match": ANOTHER}).status in (404, 412)
    assert direct.keys(prefix=path) == [path + "key"]


@feature("delete-if-match")
def test_a_server_deletes_no_other_version(direct: Direct, path: str) -> None:
    """If-Match is honoured on DELETE."""
    direct.put(path + "key", OLD)
    assert direct.send("DELETE", path + "key", headers={"If-Match": ANOTHER}).status == 412
    assert direct.send("GET", path + "key").body == OLD


def test_every_feature_of_conditions_is_looked_at_here() -> None:
    """A departure that no test looks at could be wrong for years; races are no matter of one request."""
    tested = {
        mark.args[0]
        for name, function in vars(sys.modules[__name__]).items()
        if name.startswith("test_a_server_")
        for mark in marks_of(function)
    }
    assert tested | {"atomic-writes"} == CONDITIONS.keys()


# ---------------------------------------------------------------------------------------------- reads


def test_a_read_tells_what_is_there_and_whether_it_was_wanted(store_by: s3kv.Store) -> None:
    """Whatever the server makes of the conditions."""
    assert store_by.read("key").state == "missing"
    before = store_by.put("key", OLD)
    g = before.generation
    table: list[tuple[dict[str, Any], str, bytes, str]] = [
        ({}, "value", OLD, g),
        ({"if_equal": g}, "value", OLD, g),
        ({"if_equal": ANOTHER}, "unspecified", b"", UNKNOWN),
        ({"if_equal": NO_VALUE}, "unspecified", b"", UNKNOWN),
        ({"if_not_equal": g}, "unspecified", b"", g),
        ({"if_not_equal": ANOTHER}, "value", OLD, g),
        ({"if_not_equal": NO_VALUE}, "value", OLD, g),
        ({"if_equal": g, "if_not_equal": ANOTHER}, "value", OLD, g),
    ]
    for conditions, state, value, generation in table:
        found = store_by.read("key", **conditions)
        assert (found.state, found.value, found.stamp.generation) == (state, value, generation), conditions
        assert found.stamp.time >= before.time
    missing: list[dict[str, Any]] = [{"if_equal": g}, {"if_not_equal": g}, {"if_equal": NO_VALUE}]
    for conditions in missing:
        found = store_by.read("missing", **conditions)
        assert (found.state, found.value, found.stamp.generation) == ("missing", b"", NO_VALUE)


@pytest.mark.parametrize("part", [slice(2, 4), slice(2, None), slice(-3, None), slice(1, 1)], ids=str)
def test_a_part_is_read_on_conditions_too(store_by: s3kv.Store, part: slice) -> None:
    """The generation is the whole object's."""
    g = store_by.put("key", b"0123456789").generation
    table: list[tuple[dict[str, Any], str]] = [
        ({"if_equal": g}, "value"),
        ({"if_equal": ANOTHER}, "unspecified"),
        ({"if_not_equal": g}, "unspecified"),
        ({"if_not_equal": ANOTHER}, "value"),
    ]
    for conditions, state in table:
        found = store_by.read("key", byte_range=part, **conditions)
        assert (found.state, found.value) == (state, b"0123456789"[part] if state == "value" else b"")
        known = found.state == "value" or "if_not_equal" in conditions
        assert found.stamp.generation == (g if known else UNKNOWN)


# --------------------------------------------------------------------------------------------- writes


class Row:
    """One row of the table of conditional writes.

    Attributes:
        value: What is written; None deletes.
        there: What is there before; None for nothing.
        wanted: The condition, given the generation of what is there.
        holds: Whether it does.
    """

    def __init__(
        self, value: bytes | None, there: bytes | None, wanted: Callable[[Any], Any], holds: bool
    ) -> None:
        self.value, self.there, self.wanted, self.holds = value, there, wanted, holds

    def check(self, store: s3kv.Store, behind: Behind) -> None:
        """Do it on a store, and see what is there afterwards."""
        generation = NO_VALUE if self.there is None else store.put("key", self.there).generation
        condition = self.wanted(generation)
        stamp = store.write("key", self.value, if_equal=condition)
        expected = self.value if self.holds else self.there
        assert behind.keys(store) == ([] if expected is None else ["key"])
        if expected is not None:
            assert behind.get(store, "key") == expected
        if not self.holds:
            assert stamp.generation == UNKNOWN
            with pytest.raises(s3kv.ConditionFailed):
                self._strictly(store, condition)
            assert behind.keys(store) == ([] if expected is None else ["key"])
        elif self.value is None:
            assert stamp.generation == NO_VALUE
        else:
            assert stamp.generation == behind.head(store, "key")["ETag"]

    def _strictly(self, store: s3kv.Store, condition: Any) -> None:
        if self.value is None:
            store.delete("key", if_equal=condition)
        else:
            store.put("key", self.value, if_equal=condition)


def same(generation: Any) -> Any:
    """Return the condition that holds."""
    return generation


ROWS = {
    "replace": (Row(NEW, OLD, same, True), "put-if-match"),
    "replace another": (Row(NEW, OLD, lambda _: ANOTHER, False), "put-if-match"),
    "replace nothing": (Row(NEW, None, lambda _: ANOTHER, False), "put-if-match"),
    "create": (Row(NEW, None, same, True), "put-if-none-match"),
    "create what exists": (Row(NEW, OLD, lambda _: NO_VALUE, False), "put-if-none-match"),
    "delete": (Row(None, OLD, same, True), "delete-if-match"),
    "delete another": (Row(None, OLD, lambda _: ANOTHER, False), "delete-if-match"),
    "delete nothing": (Row(None, None, lambda _: ANOTHER, False), "delete-if-match"),
    "delete what must not exist": (Row(None, OLD, lambda _: NO_VALUE, False), None),
    "leave nothing": (Row(None, None, same, True), None),
}


@pytest.mark.parametrize("row", [row for row, _ in ROWS.values()], ids=ROWS)
@pytest.mark.parametrize("mode", [{}, {"use_conditional_write": False}], ids=["default", "look"])
def test_a_write_is_done_if_its_condition_holds_and_only_then(
    open_store: OpenStore, credentials: None, behind: Behind, row: Row, mode: dict[str, Any]
) -> None:
    """Also where the server ignores conditions: s3kv looks at the object first."""
    row.check(open_store(**mode), behind)


@pytest.mark.parametrize(
    "row",
    [
        # What holds is done by a server that ignores conditions as well.
        pytest.param(row, id=name, marks=[] if row.holds or need is None else [feature(need)])
        for name, (row, need) in ROWS.items()
    ],
)
def test_a_write_can_be_left_to_the_server_alone(
    open_store: OpenStore, credentials: None, behind: Behind, row: Row, transport: dict[str, Any]
) -> None:
    """Where it honours the headers, which is what ``use_conditional_write`` promises."""
    row.check(open_store(use_conditional_write=True, **transport), behind)


def test_a_write_that_changes_nothing_is_a_write_all_the_same(store: s3kv.Store) -> None:
    """The same bytes have the same generation, so the condition holds again and again."""
    g = store.put("key", OLD, if_absent=True).generation
    for _ in range(3):
        assert store.put("key", OLD, if_equal=g).generation == g
    assert store.get("key") == OLD


def test_the_id_of_a_conditional_write_is_nobodys_metadata(store: s3kv.Store, behind: Behind) -> None:
    """It is stored with the object, and goes with the next write."""
    g = store.put("key", OLD, if_absent=True, metadata={"colour": "red"}).generation
    assert store.stat("key").metadata == {"colour": "red"}
    first = behind.head(store, "key")["Metadata"]
    assert first.keys() == {"colour", "s3kv-write-id"}
    store.put("key", NEW, if_equal=g)
    second = behind.head(store, "key")["Metadata"]
    assert second.keys() == {"s3kv-write-id"}
    assert second["s3kv-write-id"] != first["s3kv-write-id"]
    store.put("key", OLD)
    assert behind.head(store, "key")["Metadata"] == {}


@pytest.mark.feature("missing-bucket-404-put")
@pytest.mark.parametrize("mode", [None, True, False])
def test_a_missing_bucket_is_no_condition_that_failed(
    open_store: OpenStore, credentials: None, mode: bool | None
) -> None:
    """Though both are 404."""
    options = {} if mode is None else {"use_conditional_write": mode}
    store = open_store(bucket="no-such-bucket", **options)
    with pytest.raises(s3kv.BucketNotFound):
        store.put("key", NEW, if_absent=True)
