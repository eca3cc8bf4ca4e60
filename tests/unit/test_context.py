"""Contexts: what references lead to, and which stores share which resources. No request is sent."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given

import s3kv
from s3kv.context import default_context
from s3kv.errors import SpecError
from tests.unit.specs import INLINE, RESOURCES, contexts

URL = "s3://bucket/"

# For each kind of resource a description that is not the default, and another.
ONE: dict[str, dict[str, Any]] = {
    "aws_credentials": {"type": "anonymous"},
    "s3_request_concurrency": {"limit": 3},
    "s3_request_retries": {"max_retries": 3},
    "experimental_s3_rate_limiter": {"read_rate": 3.0},
    "data_copy_concurrency": {"limit": 3},
}
OTHER: dict[str, dict[str, Any]] = {
    "aws_credentials": {"type": "environment"},
    "s3_request_concurrency": {"limit": 4},
    "s3_request_retries": {"max_retries": 4},
    "experimental_s3_rate_limiter": {"write_rate": 4.0},
    "data_copy_concurrency": {"limit": 4},
}
# As specs describe what nobody described.
DEFAULT: dict[str, dict[str, Any]] = {name: {} for name in RESOURCES} | {
    "aws_credentials": {"type": "default"}
}

# A retry policy is a value; equal ones are as good as the same one.
SHARED = tuple(name for name in RESOURCES if name != "s3_request_retries")


def _open(context: Any = None, **members: Any) -> s3kv.Store:
    return s3kv.Store(URL, context=context, **members)


def _resource(store: s3kv.Store, name: str) -> Any:
    return getattr(store._core.resolved, name)


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def _described(store: s3kv.Store, name: str) -> Any:
    """What the store's resource is described by, whatever the store refers to it by."""
    whole = store.spec(include_defaults=True)
    found = whole[name]
    return whole["context"][found] if isinstance(found, str) else found


# ------------------------------------------------------------------- what references lead to


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_is_given_inline_or_by_reference(name: str) -> None:
    """Without a name, with one, by a reference to another, or as null, which is a new default."""
    context = s3kv.Context(
        {
            name: ONE[name],
            f"{name}#other": OTHER[name],
            f"{name}#alias": f"{name}#other",
            f"{name}#alias of alias": f"{name}#alias",
            f"{name}#bare": name,
            f"{name}#": OTHER[name],
            f"{name}#new": None,
        }
    )
    for reference, described in (
        (name, ONE[name]),
        (f"{name}#other", OTHER[name]),
        (f"{name}#alias", OTHER[name]),
        (f"{name}#alias of alias", OTHER[name]),
        (f"{name}#bare", ONE[name]),
        (f"{name}#", OTHER[name]),
        (f"{name}#new", DEFAULT[name]),
    ):
        store = _open(context, **{name: reference})
        assert store.spec()["context"] == {reference: described}
    assert _open(context, **{name: OTHER[name]}).spec()[name] == OTHER[name]
    assert _open(context).spec()["context"] == {name: ONE[name]}


@pytest.mark.parametrize("name", RESOURCES)
def test_what_a_context_lacks_its_parents_have(name: str) -> None:
    """The nearest one that defines it, however far away; parents know nothing of their children."""
    top = s3kv.Context({name: ONE[name], f"{name}#top": OTHER[name]})
    middle = s3kv.Context({"s3_request_retries#unrelated": {}}, parent=top)
    bottom = s3kv.Context({name: OTHER[name], f"{name}#up": f"{name}#top"}, parent=middle)
    assert (top.parent, middle.parent, bottom.parent) == (None, top, middle)
    assert _open(middle).spec()["context"] == {name: ONE[name]}
    assert _open(bottom).spec()["context"] == {name: OTHER[name]}
    for context in (top, middle, bottom):
        assert _open(context, **{name: f"{name}#top"}).spec()["context"] == {f"{name}#top": OTHER[name]}
    assert _open(bottom, **{name: f"{name}#up"}).spec()["context"] == {f"{name}#up": OTHER[name]}
    with pytest.raises(SpecError):
        _open(top, **{name: f"{name}#up"})


@pytest.mark.parametrize("name", RESOURCES)
def test_a_reference_is_looked_up_from_where_it_stands(name: str) -> None:
    """A child that redefines a name does not change what its parent's references mean."""
    parent = s3kv.Context({name: ONE[name], f"{name}#alias": name})
    child = s3kv.Context({name: OTHER[name]}, parent=parent)
    assert _open(child, **{name: f"{name}#alias"}).spec()["context"] == {f"{name}#alias": ONE[name]}


@pytest.mark.parametrize("parent", [None, s3kv.Context(), s3kv.Context({"s3_request_retries": {}})])
@pytest.mark.parametrize("name", RESOURCES)
def test_a_bare_name_that_nobody_defines_is_the_default(name: str, parent: s3kv.Context | None) -> None:
    """Also where another name refers to it."""
    context = s3kv.Context({f"{name}#alias": name}, parent=parent)
    assert _described(_open(context), name) == _described(_open(), name)
    assert _open(context).spec() == {"driver": "s3", "bucket": "bucket"}
    assert _open(context, **{name: f"{name}#alias"}).spec()["context"] == {f"{name}#alias": DEFAULT[name]}


@pytest.mark.parametrize("name", RESOURCES)
def test_a_name_that_nobody_defines_is_refused_by_the_store(name: str) -> None:
    """When it is opened: by its reference, in whatever context."""
    reference = f"{name}#x"
    elsewhere = s3kv.Context({f"{name}#X": {**ONE[name]}, f"{name}": {**ONE[name]}, f"{name}#x#": None})
    lacking: list[Any] = [None, {}, elsewhere, s3kv.Context(parent=elsewhere)]
    for context in lacking:
        with pytest.raises(SpecError, match=f"no resource '{reference}'") as caught:
            _open(context, **{name: reference})
        assert caught.value.member == f"context.{reference}"
    with pytest.raises(SpecError, match=f"no resource '{reference}'"):
        s3kv.Store({"bucket": "bucket", name: reference, "context": {name: {**ONE[name]}}})


@pytest.mark.parametrize("name", RESOURCES)
def test_a_name_that_nobody_defines_is_refused_by_the_context(name: str) -> None:
    """When it is made, before any store refers to it; in a spec, when the store is opened."""
    for spec in (
        {name: f"{name}#x"},
        {f"{name}#y": f"{name}#x"},
        {name: f"{name}#y", f"{name}#y": f"{name}#x"},
    ):
        for parent in (None, s3kv.Context({name: None})):
            with pytest.raises(SpecError, match=f"no resource '{name}#x'") as caught:
                s3kv.Context(spec, parent=parent)
            assert caught.value.member == f"context.{name}#x"
        with pytest.raises(SpecError, match=f"no resource '{name}#x'"):
            s3kv.Store({"bucket": "bucket", "context": spec})
    parent = s3kv.Context({f"{name}#x": None})
    assert s3kv.Context({name: f"{name}#x"}, parent=parent).spec() == {name: f"{name}#x"}


@pytest.mark.parametrize("name", RESOURCES)
@pytest.mark.parametrize(
    "cycle",
    [
        {"": ""},
        {"#a": "#a"},
        {"": "#a", "#a": ""},
        {"#a": "#b", "#b": "#c", "#c": "#a"},
        {"": "#a", "#a": "#b", "#b": "#a"},
    ],
    ids=str,
)
def test_references_that_lead_back_to_themselves_are_refused(name: str, cycle: dict[str, str]) -> None:
    """By a line that names one of them, whatever a parent has under those names."""
    spec = {name + key: name + value for key, value in cycle.items()}
    for parent in (None, s3kv.Context({name: ONE[name], f"{name}#a": ONE[name]})):
        with pytest.raises(SpecError, match="leads back to itself") as caught:
            s3kv.Context(spec, parent=parent)
        assert caught.value.member in {f"context.{key}" for key in spec}


@pytest.mark.parametrize(
    ("spec", "member"),
    [
        (5, "context"),
        ("aws_credentials", "context"),
        ([], "context"),
        ({"colour": {}}, "context.colour"),
        ({"aws_credentials": "s3_request_retries"}, "context.aws_credentials"),
        ({"aws_credentials": {"type": "x"}}, "context.aws_credentials.type"),
        ({"s3_request_retries#a": {"max_retries": 0}}, "context.s3_request_retries#a.max_retries"),
        ({"aws_credentials": ["aws_credentials"]}, "context.aws_credentials"),
    ],
    ids=str,
)
def test_a_context_that_is_described_wrongly_is_refused(spec: Any, member: str) -> None:
    """As it is in a spec; the member is named from the context on."""
    with pytest.raises(SpecError) as caught:
        s3kv.Context(spec)
    assert caught.value.member == member


@pytest.mark.parametrize("other", [5, "s3://bucket", {}, {"aws_credentials": None}, []])
def test_a_parent_is_a_context(other: Any) -> None:
    """Nothing else; and only by its name."""
    with pytest.raises(TypeError, match="parent"):
        s3kv.Context({}, parent=other)
    with pytest.raises(TypeError):
        s3kv.Context({}, s3kv.Context())  # type: ignore[call-arg]


@pytest.mark.parametrize("other", [5, "aws_credentials", [], s3kv.Store])
def test_the_context_of_a_store_is_a_context_or_describes_one(other: Any) -> None:
    """A mapping is as good as a context made of it."""
    with pytest.raises(TypeError, match="a context is a Context, a mapping or None"):
        _open(other)
    store = _open({"s3_request_retries": ONE["s3_request_retries"]})
    assert store.context.spec() == {"s3_request_retries": ONE["s3_request_retries"]}


# ----------------------------------------------------------------------------------- sharing


@pytest.mark.parametrize("name", SHARED)
def test_stores_without_a_context_share_one(name: str) -> None:
    """The process-wide default, whatever else distinguishes them."""
    one, other = _open(), s3kv.Store("s3://other/path", requester_pays=True)
    assert one.context is other.context is default_context()
    assert _resource(one, name) is _resource(other, name)


@pytest.mark.parametrize("name", SHARED)
def test_stores_that_refer_to_one_resource_share_it(name: str) -> None:
    """By whatever name, from whatever bucket or child context, children of stores included."""
    context = s3kv.Context({name: f"{name}#a", f"{name}#a": ONE[name], f"{name}#b": OTHER[name]})
    below = s3kv.Context({f"{name}#mine": name}, parent=context)
    one = _resource(_open(context), name)
    assert _resource(_open(context), name) is one
    assert _resource(s3kv.Store("s3://other", context=context), name) is one
    assert _resource(_open(context, **{name: f"{name}#a"}), name) is one
    assert _resource(_open(below), name) is one
    assert _resource(_open(below, **{name: f"{name}#mine"}), name) is one
    assert _resource(_open(s3kv.Context(parent=below)) / "child", name) is one
    assert _resource(_open(context).with_timeout(1), name) is one
    assert _resource(_open(context, **{name: f"{name}#b"}), name) is not one
    own = {"bucket": "bucket", "context": {f"{name}#mine": f"{name}#a"}, name: f"{name}#mine"}
    assert _resource(s3kv.Store(own, context=context), name) is one


@pytest.mark.parametrize("name", SHARED)
def test_stores_that_do_not_share_a_context_share_nothing_of_their_own(name: str) -> None:
    """However alike the descriptions: two contexts, two names, two inline descriptions."""
    first = s3kv.Context({name: ONE[name], f"{name}#a": ONE[name]})
    resources = [
        _resource(store, name)
        for store in (
            _open(first),
            _open(first, **{name: f"{name}#a"}),
            _open(s3kv.Context({name: ONE[name]})),
            _open({name: ONE[name]}),
            _open({name: ONE[name]}),
            _open(first, **{name: ONE[name]}),
            _open(first, **{name: ONE[name]}),
            _open(s3kv.Context({name: ONE[name]}, parent=first)),
            s3kv.Store({"bucket": "bucket", "context": {name: ONE[name]}}, context=first),
        )
    ]
    assert len(set(map(id, resources))) == len(resources)


def test_null_is_a_new_resource() -> None:
    """Not the parent's, nor the process's default; the others of the context are still the parent's."""
    parent = s3kv.Context({"aws_credentials": None, "experimental_s3_rate_limiter": None})
    child = s3kv.Context({"aws_credentials": None}, parent=parent)
    sources = {id(_resource(_open(context), "aws_credentials")) for context in (None, parent, child)}
    assert len(sources) == 3
    limiter = "experimental_s3_rate_limiter"
    assert _resource(_open(parent), limiter) is _resource(_open(child), limiter)
    assert _resource(_open(parent), limiter) is not _resource(_open(), limiter)


def test_what_nobody_defines_is_shared_by_all_below_the_outermost_context() -> None:
    """And by nobody else."""
    top = s3kv.Context()
    left, right = s3kv.Context(parent=top), s3kv.Context({"aws_credentials#x": None}, parent=top)
    stores = [_open(left), _open(right), _open(top), _open(s3kv.Context(parent=left))]
    for name in SHARED:
        assert len({id(_resource(store, name)) for store in stores}) == 1
    for name in ("aws_credentials", "experimental_s3_rate_limiter"):
        assert _resource(_open(s3kv.Context()), name) is not _resource(stores[0], name)


def test_a_shared_limit_is_the_processs_whatever_the_context() -> None:
    """One executor and one limit on copying for all that have no explicit limit."""
    shared: list[dict[str, Any] | None] = [
        None,
        {},
        {"s3_request_concurrency": None, "data_copy_concurrency": None},
        {"s3_request_concurrency": {"limit": "shared"}, "data_copy_concurrency": {"limit": "shared"}},
    ]
    stores = [_open(context) for context in shared]
    stores.append(_open(s3kv.Context(shared[3], parent=s3kv.Context(ONE))))
    stores.append(_open(s3kv.Context(ONE), **(shared[3] or {})))
    assert len({id(_resource(store, "data_copy_concurrency")) for store in stores}) == 1
    executors = {id(_resource(s, "s3_request_concurrency").executor(os.environ)) for s in stores}
    assert len(executors) == 1
    assert _resource(stores[0], "s3_request_concurrency").executor(os.environ).limit == 32


def test_an_explicit_limit_is_the_contexts_own() -> None:
    """One executor for all its stores, and not the process's."""
    context = s3kv.Context({"s3_request_concurrency": {"limit": 5}, "data_copy_concurrency": {"limit": 6}})
    one, other = _open(context), _open(context)
    executor = _resource(one, "s3_request_concurrency").executor(os.environ)
    assert executor.limit == 5
    assert _resource(other, "s3_request_concurrency").executor(os.environ) is executor
    assert _resource(_open(), "s3_request_concurrency").executor(os.environ) is not executor
    assert _resource(one, "data_copy_concurrency").limit == 6
    assert _resource(one, "data_copy_concurrency") is not _resource(_open(), "data_copy_concurrency")


def test_descriptions_make_the_resources_they_describe() -> None:
    """Seconds for durations, attempts in all for retries, a limiter for each rate that is given."""
    store = _open(
        s3_request_retries={"max_retries": 7, "initial_delay": "250ms", "max_delay": "1m"},
        experimental_s3_rate_limiter={"read_rate": 5, "doubling_time": "1m30s"},
        aws_credentials={"type": "anonymous"},
    )
    assert _resource(store, "s3_request_retries")[:3] == (7, 0.25, 60.0)
    rates = _resource(store, "experimental_s3_rate_limiter")
    assert (rates.reads.rate, rates.reads.doubling_time) == (5.0, 90.0)
    assert rates.writes is None
    assert repr(_resource(store, "aws_credentials")) == "<anonymous credentials>"
    assert _resource(_open(), "s3_request_retries")[:3] == (32, 1.0, 32.0)
    unlimited = _resource(_open(), "experimental_s3_rate_limiter")
    assert (unlimited.reads, unlimited.writes) == (None, None)


def test_threads_that_open_stores_at_once_share_what_they_refer_to() -> None:
    """Each resource is made once, whoever comes first."""
    context = s3kv.Context(ONE)
    barrier = Barrier(8)

    def resources(_: int) -> tuple[int, ...]:
        barrier.wait(10)
        return tuple(id(_resource(_open(context), name)) for name in SHARED)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert len(set(pool.map(resources, range(8)))) == 1
            context = s3kv.Context(ONE)


# --------------------------------------------------------------- contexts of specs, and pickles


def test_a_specs_own_context_is_a_child_of_the_one_given() -> None:
    """Its resources come first; the rest is looked up in the given one, or in the process's default."""
    spec = {"bucket": "bucket", "context": {"s3_request_retries": {"max_retries": 3}}}
    given_context = s3kv.Context(
        {"s3_request_retries": {"max_retries": 4}, "aws_credentials": {"type": "imds"}}
    )
    store = s3kv.Store(spec, context=given_context)
    assert store.context.parent is given_context
    assert store.context.spec() == spec["context"]
    assert _described(store, "s3_request_retries")["max_retries"] == 3
    assert _resource(store, "aws_credentials") is _resource(_open(given_context), "aws_credentials")
    alone = s3kv.Store(spec)
    assert alone.context.parent is default_context()
    assert _resource(alone, "aws_credentials") is _resource(_open(), "aws_credentials")
    assert s3kv.Store({"bucket": "bucket", "context": {}}, context=given_context).context is given_context
    own = {"s3_request_retries#x": "s3_request_retries"}
    through = s3kv.Store(
        {"bucket": "bucket", "s3_request_retries": "s3_request_retries#x", "context": own},
        context=given_context,
    )
    assert through.spec()["context"]["s3_request_retries#x"] == {"max_retries": 4}


@given(contexts())
def test_a_context_goes_through_json_and_comes_back(members: dict[str, Any]) -> None:
    """Written the same again, with its defaults or without; null is written as what it means."""
    context = s3kv.Context(members)
    for include_defaults in (False, True):
        told = context.spec(include_defaults=include_defaults)
        assert told.keys() == members.keys()
        again = s3kv.Context(json.loads(json.dumps(told)))
        assert again.spec(include_defaults=include_defaults) == told
        assert again.spec() == context.spec()
    for key, value in members.items():
        name = key.partition("#")[0]
        if value is None:
            assert context.spec()[key] == DEFAULT[name]
        if isinstance(value, str):
            assert context.spec()[key] == value
    assert pickle.loads(pickle.dumps(context)).spec() == context.spec()


def test_a_context_tells_its_own_resources_only() -> None:
    """Not its parents', nor what nobody defines."""
    parent = s3kv.Context(ONE)
    assert parent.spec() == ONE
    assert s3kv.Context(parent=parent).spec(include_defaults=True) == {}
    whole = s3kv.Context({"s3_request_concurrency": None, "data_copy_concurrency": {"limit": 2}})
    assert whole.spec(include_defaults=True) == {
        "s3_request_concurrency": {"limit": "shared"},
        "data_copy_concurrency": {"limit": 2},
    }


def test_a_context_shows_what_it_was_made_of() -> None:
    """In its repr, with its parents, and without what could be a secret."""
    parent = s3kv.Context({"s3_request_retries": {"max_retries": 3}})
    child = s3kv.Context({"aws_credentials#x": {"type": "profile", "profile": "p"}}, parent=parent)
    assert repr(parent) == "Context({'s3_request_retries': {'max_retries': 3}})"
    assert repr(child) == (
        f"Context({{'aws_credentials#x': {{'type': 'profile', 'profile': 'p'}}}}, parent={parent!r})"
    )
    token = s3kv.Context({"aws_credentials": {"type": "ecs", "endpoint": "http://localhost/?token=hush"}})
    assert "hush" not in repr(token)
    assert "localhost" in repr(token)


def test_credentials_of_python_are_shared_through_a_context() -> None:
    """It has no JSON form then, and neither has a store that refers to them."""

    def supply() -> Any:
        raise NotImplementedError

    context = s3kv.Context({"aws_credentials#x": supply})
    one = _open(context, aws_credentials="aws_credentials#x")
    other = _open(context, aws_credentials="aws_credentials#x")
    assert _resource(one, "aws_credentials") is _resource(other, "aws_credentials")
    assert one == other
    for tell in (context.spec, one.spec):
        with pytest.raises(SpecError, match="no JSON form") as caught:
            tell()
        assert caught.value.member == "aws_credentials"
    assert one.spec(include_context=False)["aws_credentials"] == "aws_credentials#x"
    assert "supply" in repr(context)
    assert _open(context).spec() == {"driver": "s3", "bucket": "bucket"}


def test_stores_of_one_context_share_it_again_when_they_are_unpickled_together() -> None:
    """The context is a new one; pickled apart, each brings its own."""
    context = s3kv.Context(
        {name: ONE[name] for name in ONE}, parent=s3kv.Context({"aws_credentials#p": None})
    )
    one, other = (
        _open(context),
        s3kv.Store("s3://other", context=context, aws_credentials="aws_credentials#p"),
    )
    new_one, new_other, new_context = _pickled((one, other, context))
    assert (new_one, new_other) == (one, other)
    assert new_one.context is new_other.context is new_context is not context
    assert new_context.parent is not None
    for name in SHARED[1:]:
        assert _resource(new_one, name) is _resource(new_other, name) is not _resource(one, name)
    assert _pickled(one).context is not _pickled(one).context


def test_the_default_context_pickles_to_the_default_context() -> None:
    """The other process has one of its own; it is never carried along."""
    assert pickle.loads(pickle.dumps(default_context())) is default_context()
    assert pickle.loads(pickle.dumps(_open())).context is default_context()
    child = s3kv.Context(ONE, parent=default_context())
    assert pickle.loads(pickle.dumps(child)).parent is default_context()


def test_every_kind_of_resource_is_tried() -> None:
    """The tables of these tests are complete."""
    assert set(ONE) == set(OTHER) == set(INLINE) == set(RESOURCES)
