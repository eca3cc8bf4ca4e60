"""A store beside a dict: the same is done to both, at random, and both are the same after each step."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import s3kv
from tests.contract.conftest import OpenStore
from tests.servers import LocalProcessServer, departure

# So many sequences for each kind of keys, fewer where each request takes long: a few seconds a server.
EXAMPLES, FEWER = 20, {"moto": 6}
STEPS = 12

# A key that the server refuses is refused again.
FEW_RETRIES = {"max_retries": 4, "initial_delay": "1ms", "max_delay": "10ms"}

# SeaweedFS loses 'b' now and then when 'b/d' is written at the same moment, whoever writes: with boto3, 9
# times of 150.
ONE_BY_ONE: dict[tuple[str, str | None], dict[str, Any]] = {
    ("seaweedfs", "prefix-key"): {"s3_request_concurrency": {"limit": 1}}
}

VALUES = st.sampled_from([b"", b"1", b"22"])


def machine(parent: s3kv.Store, names: list[str]) -> type[RuleBasedStateMachine]:
    """Return a machine that works with these keys, each time below the parent in a folder of its own."""
    numbers = itertools.count()
    keys = st.sampled_from(names)
    prefixes = st.sampled_from([*names, "b", "b/", "e é", "x"])

    class Same(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store = parent / f"{next(numbers)}/"
            self.model: dict[str, bytes] = {}

        @rule(key=keys, value=VALUES)
        def put(self, key: str, value: bytes) -> None:
            self.store[key] = value
            self.model[key] = value

        @rule(key=keys)
        def delete(self, key: str) -> None:
            there = key in self.model
            assert (key in self.store) == there
            try:
                del self.store[key]
            except KeyError:
                assert not there
            else:
                del self.model[key]

        @rule(items=st.lists(st.tuples(keys, VALUES), max_size=6))
        def put_many(self, items: list[tuple[str, bytes]]) -> None:
            assert self.store.put_many(items).keys() == dict(items).keys()
            self.model.update(items)

        @rule(items=st.dictionaries(keys, VALUES), more=st.dictionaries(st.just("keyword"), VALUES))
        def update(self, items: dict[str, bytes], more: dict[str, bytes]) -> None:
            self.store.update(items, **more)
            self.model.update(items, **more)

        @rule(chosen=st.lists(keys, max_size=6))
        def get_many(self, chosen: list[str]) -> None:
            there = {key: self.model[key] for key in chosen if key in self.model}
            assert self.store.get_many(chosen, on_missing="skip") == there
            try:
                found = self.store.get_many(chosen)
                missing = set()
            except s3kv.BatchError as error:
                found, missing = error.results, set(error.errors)
            assert (found, missing) == (there, set(chosen) - self.model.keys())

        @rule(chosen=st.lists(keys, max_size=6))
        def delete_many(self, chosen: list[str]) -> None:
            assert self.store.delete_many(chosen) == len(set(chosen))
            for key in chosen:
                self.model.pop(key, None)

        @rule(first=keys, end=keys)
        def delete_range(self, first: str, end: str) -> None:
            chosen = [key for key in self.model if first <= key < end]
            assert self.store.delete_range(s3kv.KeyRange(first, end)) == len(chosen)
            for key in chosen:
                del self.model[key]

        @rule(prefix=prefixes)
        def delete_prefix(self, prefix: str) -> None:
            chosen = [key for key in self.model if key.startswith(prefix)]
            assert self.store.delete_prefix(prefix) == len(chosen)
            for key in chosen:
                del self.model[key]

        @rule(key=keys, default=st.none() | VALUES)
        def pop(self, key: str, default: bytes | None) -> None:
            assert self.store.pop(key, default) == self.model.pop(key, default)

        @rule(key=keys, default=VALUES)
        def setdefault(self, key: str, default: bytes) -> None:
            assert self.store.setdefault(key, default) == self.model.setdefault(key, default)

        @rule()
        def popitem(self) -> None:
            try:
                key, found = self.store.popitem()
            except KeyError:
                assert self.model == {}
            else:
                assert self.model.pop(key) == found

        @rule()
        def clear(self) -> None:
            self.store.clear()
            self.model.clear()

        @invariant()
        def same(self) -> None:
            assert list(self.store.items()) == sorted(self.model.items())
            # An item whose object cannot be got is left out; a key that is listed is not.
            assert self.store.list() == sorted(self.model)

    return Same


# Kinds of keys, and what a server needs to have them all.
KINDS = {
    "flat": (["a", "b", "b c", "bd", "e é+%"], None),
    "folders": (["a", "b/c", "b/d", "b/d-", "e é/+%"], "delete-many-folder"),
    "objects and folders": (["a", "b", "b/c", "b/d", "e é+%"], "prefix-key"),
}


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        pytest.param(*kind, id=name, marks=[] if kind[1] is None else pytest.mark.feature(kind[1]))
        for name, kind in KINDS.items()
    ],
)
def test_a_store_does_what_a_dict_does(
    server: LocalProcessServer,
    open_store: OpenStore,
    credentials: None,
    names: list[str],
    needed: str | None,
) -> None:
    """Whatever is done, one by one and in batches, in whatever order."""
    # Twelve steps can be read as they are; looking for fewer takes minutes over HTTP.
    phases = [Phase.reuse, Phase.generate]
    chosen = settings(
        max_examples=FEWER.get(server.name, EXAMPLES), stateful_step_count=STEPS, phases=phases
    )
    if needed is not None and departure(server.name, needed) is not None:
        # It is expected to fail: always in the same way, and that is not worth remembering.
        chosen = settings(chosen, derandomize=True, database=None, report_multiple_bugs=False)
    options = ONE_BY_ONE.get((server.name, needed), {})
    parent = open_store(s3_request_retries=FEW_RETRIES, **options)
    run_state_machine_as_test(machine(parent, names), settings=chosen)
