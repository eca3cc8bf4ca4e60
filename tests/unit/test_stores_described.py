"""Stores as descriptions: opened, compared, copied, pickled, written as specs. No request is sent."""

from __future__ import annotations

import copy
import json
import pickle
from enum import Enum
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import s3kv
from s3kv.errors import SpecError
from tests.unit.specs import RESOURCES, contexts, openable, texts

LOCAL = "http://localhost:9000"


def supply() -> Any:
    """Return credentials; a callable that another process finds by its name."""
    raise NotImplementedError


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


# ------------------------------------------------------------------------------- round trips


@given(openable())
def test_a_store_goes_through_its_spec_and_comes_back(members: dict[str, Any]) -> None:
    """Equal and of equal hash, with its context or without, with defaults or without."""
    store = s3kv.Store(members)
    for include_defaults in (False, True):
        told = store.spec(include_defaults=include_defaults)
        again = s3kv.Store(json.loads(json.dumps(told)))
        assert again == store
        assert hash(again) == hash(store)
        assert again.spec(include_defaults=include_defaults) == told
        assert s3kv.Store(**told) == store
        assert s3kv.Store(s3kv.Spec(told)) == store
        bare = store.spec(include_defaults=include_defaults, include_context=False)
        assert bare == {name: value for name, value in told.items() if name != "context"}
        within = s3kv.Store(bare, context=store.context)
        assert within == store
        assert within.spec(include_defaults=include_defaults) == told


@given(openable(), st.none() | st.floats(0.001, 10**6))
def test_a_store_is_copied_and_pickled(members: dict[str, Any], timeout: float | None) -> None:
    """Equal, whatever it is described by; a pickle knows the same spec and context."""
    store = s3kv.Store(members, timeout=timeout)
    for again in (_pickled(store), copy.copy(store), copy.deepcopy(store)):
        assert again == store
        assert hash(again) == hash(store)
        assert again is not store
        assert again.spec(include_defaults=True) == store.spec(include_defaults=True)
        assert again.context.spec() == store.context.spec()
    assert copy.copy(store)._core is copy.deepcopy(store)._core is store._core
    assert repr(_pickled(store)) == repr(store)


@given(contexts(), st.data())
def test_a_spec_tells_what_its_references_lead_to(context: dict[str, Any], data: st.DataObject) -> None:
    """Wherever that is defined, and no more than that: the spec opens the same without the context."""
    members: dict[str, Any] = {}
    for name in RESOURCES:
        defined = [key for key in context if key.partition("#")[0] == name]
        members[name] = data.draw(st.sampled_from([name, *defined]))
    given_context = s3kv.Context(parent=s3kv.Context(context))
    store = s3kv.Store("s3://bucket", context=given_context, **members)
    told = store.spec()
    assert s3kv.Store(told) == store
    assert s3kv.Store(told).spec() == told
    assert set(told.get("context", {})) <= set(members.values())
    for name, reference in members.items():
        assert told.get(name, name) == reference
        # A name of its own is nothing without the resource; a bare one is left out as a default.
        assert ("#" not in reference) or reference in told["context"]
        if reference not in context:
            assert reference not in told.get("context", {})
    whole = store.spec(include_defaults=True)
    assert set(whole["context"]) == set(members.values())
    assert s3kv.Store(whole) == store


def test_a_spec_says_what_is_not_a_default_and_the_rest_if_asked() -> None:
    """The context too, in which every resource is then described."""
    store = s3kv.Store("s3://bucket/a", context={"s3_request_concurrency": {"limit": 5}})
    assert store.spec() == {
        "driver": "s3",
        "bucket": "bucket",
        "path": "a",
        "context": {"s3_request_concurrency": {"limit": 5}},
    }
    assert store.spec(include_context=False) == {"driver": "s3", "bucket": "bucket", "path": "a"}
    assert store.spec(include_defaults=True) == {
        "driver": "s3",
        "bucket": "bucket",
        "path": "a",
        "requester_pays": False,
        **{name: name for name in RESOURCES},
        "context": {
            "aws_credentials": {"type": "default"},
            "s3_request_concurrency": {"limit": 5},
            "s3_request_retries": {"max_retries": 32, "initial_delay": "1s", "max_delay": "32s"},
            "experimental_s3_rate_limiter": {},
            "data_copy_concurrency": {"limit": "shared"},
        },
    }
    assert s3kv.Store("s3://bucket").spec() == {"driver": "s3", "bucket": "bucket"}


def test_a_spec_is_a_new_dict_at_each_call() -> None:
    """Changing it changes no store."""
    store = s3kv.Store("s3://bucket", aws_credentials={"type": "anonymous"})
    store.spec()["bucket"] = "other"
    store.spec()["aws_credentials"]["type"] = "default"
    assert store.spec() == {"driver": "s3", "bucket": "bucket", "aws_credentials": {"type": "anonymous"}}


# -------------------------------------------------------------------------------- what is told


@pytest.mark.parametrize(
    ("url", "bucket", "path", "canonical"),
    [
        ("s3://bucket", "bucket", "", "s3://bucket/"),
        ("S3://bucket/a b/é%2F", "bucket", "a b/é/", "s3://bucket/a%20b/%C3%A9/"),
        ("s3://My_Bucket//", "My_Bucket", "/", "s3://My_Bucket//"),
    ],
)
def test_a_store_tells_where_it_is(url: str, bucket: str, path: str, canonical: str) -> None:
    """Bucket, path and URL; the URL opens the same store."""
    store = s3kv.Store(url)
    assert (store.bucket, store.path, store.url) == (bucket, path, canonical)
    assert s3kv.Store(store.url) == store


@given(texts)
def test_the_url_of_a_store_opens_the_same_store(path: str) -> None:
    """Whatever its path."""
    store = s3kv.Store(bucket="bucket", path=path)
    assert s3kv.Store(store.url) == store
    assert s3kv.Store(store.url).path == path


def test_a_store_is_described_by_a_url_a_mapping_a_spec_or_members() -> None:
    """They are equal when they say the same; members override the rest."""
    store = s3kv.Store("s3://bucket/a", requester_pays=True)
    spec = store.spec()
    for other in (
        s3kv.Store(spec),
        s3kv.Store(s3kv.Spec(spec)),
        s3kv.Store(**spec),
        s3kv.Store({**spec, "path": "b"}, path="a"),
        s3kv.Store(s3kv.Spec(spec, bucket="other"), bucket="bucket"),
        s3kv.Store(spec, aws_region=None, endpoint=None, context=None),
    ):
        assert other == store
        assert other.spec() == spec
    for wrong in (5, b"s3://bucket", ["s3://bucket"], ("bucket", "path")):
        with pytest.raises(TypeError, match="s3:// URL, a mapping or a Spec"):
            s3kv.Store(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        s3kv.Store("s3://bucket", s3kv.Context())  # type: ignore[call-arg]


class Places(str, Enum):
    """Text that shows itself as something else."""

    BUCKET = "my-bucket"
    FOLDER = "folder/"
    HERE = LOCAL
    REGION = "eu-west-1"


def test_text_may_be_of_any_class_that_is_text() -> None:
    """It is what it says, not what its class makes of it; so are the parts of a child's path."""
    store = s3kv.Store(
        bucket=Places.BUCKET, path=Places.FOLDER, endpoint=Places.HERE, aws_region=Places.REGION
    )
    same = s3kv.Store(bucket="my-bucket", path="folder/", endpoint=LOCAL, aws_region="eu-west-1")
    assert store == same
    assert repr(store) == repr(same)
    for value in store.spec().values():
        assert type(value) is str
    for child in (
        store / Places.FOLDER,
        store + Places.FOLDER,
        s3kv.Store("s3://my-bucket/") / Places.FOLDER,
    ):
        assert child.path.endswith("folder/")
        assert type(child.path) is str


def test_a_store_is_not_described_by_a_store() -> None:
    """A store is a mapping too; to read a description out of it would send requests."""
    store = s3kv.Store("s3://bucket", endpoint="http://127.0.0.1:1", s3_request_retries={"max_retries": 1})
    for open_it in (
        lambda: s3kv.Store(store),
        lambda: s3kv.Spec(store),
        lambda: s3kv.Store("s3://bucket", context=store),
        lambda: s3kv.Store("s3://bucket", aws_credentials=store),
        lambda: s3kv.Store("s3://bucket", s3_request_retries=store),
        lambda: s3kv.Context(store),
        lambda: s3kv.Context({"aws_credentials": store}),
    ):
        with pytest.raises((TypeError, SpecError)):
            open_it()
    assert s3kv.Store(store.spec()) == store


def test_opening_loads_no_credentials_and_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callable is not called, files are not read, the executor is not made."""

    def fail() -> None:
        raise AssertionError("called")

    monkeypatch.setenv("AWS_PROFILE", "missing")
    for credentials in (fail, {"type": "profile", "config_file": "/missing"}, {"type": "default"}):
        store = s3kv.Store("s3://bucket", aws_credentials=credentials)
        assert repr(store)
        assert store._core._executor is None


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        (s3kv.Store("s3://bucket"), "<s3kv.Store('s3://bucket/')>"),
        (s3kv.Store("s3://bucket/a b"), "<s3kv.Store('s3://bucket/a%20b')>"),
        (
            s3kv.Store("s3://bucket", aws_region="eu-west-1", requester_pays=True, timeout=2.5),
            "<s3kv.Store('s3://bucket/', requester_pays=True, aws_region='eu-west-1', timeout=2.5)>",
        ),
        (
            s3kv.Store(bucket="bucket", path="a b", endpoint=LOCAL, host_header="h"),
            f"<s3kv.Store(bucket='bucket', path='a b', endpoint='{LOCAL}', host_header='h')>",
        ),
        (s3kv.Store(endpoint=LOCAL), f"<s3kv.Store(endpoint='{LOCAL}')>"),
        (
            s3kv.Store("s3://bucket", s3_request_retries={"max_retries": 3, "max_delay": "1000ms"}),
            "<s3kv.Store('s3://bucket/', s3_request_retries={'max_retries': 3, 'max_delay': '1s'})>",
        ),
        (
            s3kv.Store("s3://bucket", aws_credentials=supply),
            "<s3kv.Store('s3://bucket/', aws_credentials=<callable supply>)>",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_repr_of_a_store_is_how_it_was_opened(store: s3kv.Store, shown: str) -> None:
    """What is not a default, and no secret."""
    assert repr(store) == str(store) == shown


@given(openable())
def test_the_repr_of_a_store_is_one_line_of_plain_text(members: dict[str, Any]) -> None:
    """Whatever is in it."""
    shown = repr(s3kv.Store(members))
    assert shown.startswith("<s3kv.Store(")
    assert shown.endswith(")>")
    assert shown.isprintable()


# --------------------------------------------------------------------------- equality and hash


def test_stores_differ_when_anything_of_their_description_does() -> None:
    """And compare with nothing else."""
    base: dict[str, Any] = {"bucket": "bucket", "path": "a", "endpoint": LOCAL}
    changes: list[dict[str, Any]] = [
        {},
        {"bucket": "other"},
        {"path": "b"},
        {"requester_pays": True},
        {"aws_region": "us-east-1"},
        {"endpoint": "http://localhost:9001"},
        {"host_header": "h"},
        {"use_conditional_write": True},
        {"use_conditional_write": False},
        {"aws_credentials": {"type": "anonymous"}},
        {"aws_credentials": {"type": "default", "profile": "default"}},
        {"aws_credentials": supply},
        {"aws_credentials": lambda: supply()},
        {"s3_request_concurrency": {"limit": 32}},
        {"s3_request_retries": {"max_retries": 3}},
        {"s3_request_retries": {"initial_delay": "2s"}},
        {"experimental_s3_rate_limiter": {"read_rate": 5}},
        {"experimental_s3_rate_limiter": {"doubling_time": "0"}},
        {"data_copy_concurrency": {"limit": 3}},
        {"context": {"data_copy_concurrency": {"limit": 4}}},
        {"timeout": 5},
        {"session": requests.Session()},
        {"session": requests.Session()},
    ]
    stores = [s3kv.Store(base, **change) for change in changes]
    assert len(set(stores)) == len(stores)
    for index, one in enumerate(stores):
        assert one == s3kv.Store(base, **changes[index])
        assert hash(one) == hash(s3kv.Store(base, **changes[index]))
        for other in stores[index + 1 :]:
            assert one != other
    for other_thing in (None, "s3://bucket/a", stores[0].spec(), s3kv.Spec(base), 5):
        assert stores[0] != other_thing


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("aws_credentials", {"type": "imds"}),
        ("s3_request_concurrency", {"limit": 3}),
        ("s3_request_retries", {"max_retries": 3}),
        ("experimental_s3_rate_limiter", {"write_rate": 3}),
        ("data_copy_concurrency", {"limit": 3}),
    ],
)
def test_it_does_not_matter_to_equality_how_a_resource_is_referred_to(
    name: str, described: dict[str, Any]
) -> None:
    """Inline, by a name, by another name, or by default: it is what it comes to that is compared."""
    context = {name: described, f"{name}#a": described, f"{name}#b": f"{name}#a"}
    inline: dict[str, Any] = {name: described}
    other: dict[str, Any] = {name: f"{name}#b"}
    alike = [
        s3kv.Store("s3://bucket", **inline),
        s3kv.Store("s3://bucket", context=context),
        s3kv.Store({"bucket": "bucket", "context": context}),
        s3kv.Store({"bucket": "bucket", name: f"{name}#a", "context": context}),
        s3kv.Store("s3://bucket", context=context, **other),
    ]
    assert len(set(alike)) == 1
    assert s3kv.Store("s3://bucket") not in alike


def test_contents_never_matter_and_a_store_is_always_true() -> None:
    """A store is a place; neither is anything asked of it."""
    store = s3kv.Store("s3://bucket", endpoint="http://127.0.0.1:1")
    assert bool(store) is True
    assert store == s3kv.Store("s3://bucket", endpoint="http://127.0.0.1:1")
    assert {store: 1}[copy.copy(store)] == 1


# ------------------------------------------------------------------------------------ children


def test_children_share_everything_but_the_path() -> None:
    """Resources, connections, context and timeout; their specs open the same."""
    store = s3kv.Store("s3://bucket/a", timeout=5, context={"s3_request_concurrency": {"limit": 5}})
    for child, path in (
        (store / "x", "a/x"),
        (store / "x/", "a/x/"),
        (store + "x", "ax"),
        (store + "", "a"),
    ):
        assert child.path == path
        assert child._core is store._core
        assert child.context is store.context
        assert child == s3kv.Store({**store.spec(), "path": path}, timeout=5)
        assert child.spec() == {**store.spec(), "path": path}
        assert _pickled(child) == child
        assert child.url == f"s3://bucket/{path}"
    assert store.path == "a"


@given(texts, texts, texts)
def test_a_child_is_the_store_at_its_path(path: str, one: str, other: str) -> None:
    """However it was come by."""
    store = s3kv.Store(bucket="bucket", path=path)
    assert store + one + other == s3kv.Store(bucket="bucket", path=path + one + other)
    child = store / one
    assert child.path.startswith(path.removesuffix("/"))
    assert child == s3kv.Store(bucket="bucket", path=child.path)
    assert (store + one).spec() == s3kv.Store(bucket="bucket", path=path + one).spec()


@pytest.mark.parametrize(("path", "name"), [("a/", "x" * 1023), ("", "é" * 513), ("x" * 1024, "x")])
def test_a_child_has_no_longer_path_than_any_store(path: str, name: str) -> None:
    """No key could start with it, and its spec could not be opened."""
    store = s3kv.Store(bucket="bucket", path=path)
    for make in (store.__add__, store.__truediv__):
        with pytest.raises(SpecError, match="1,024") as caught:
            make(name)
        assert caught.value.member == "path"
    longest = s3kv.Store("s3://bucket/a/") + "x" * 1022
    assert s3kv.Store(longest.spec()) == longest


def test_the_same_store_with_another_timeout_shares_everything_else() -> None:
    """Only the timeout tells them apart, in repr and pickle too; the spec does not know it."""
    store = s3kv.Store("s3://bucket")
    hasty = store.with_timeout(2)
    assert hasty._core is store._core
    assert hasty != store
    assert hasty == s3kv.Store("s3://bucket", timeout=2.0) == _pickled(hasty) == copy.deepcopy(hasty)
    assert hasty.with_timeout(None) == store
    assert hasty.spec() == store.spec()
    assert (hasty / "x").path == "x"
    assert "timeout=2" in repr(hasty / "x")


@pytest.mark.parametrize(
    "timeout",
    [0, -1, 0.0, float("inf"), float("nan"), -float("inf"), 10**400, 1e300],
    ids=lambda value: f"{value:.20}" if isinstance(value, float) else f"{value.bit_length()} bits",
)
def test_a_timeout_is_a_positive_number_of_seconds(timeout: float) -> None:
    """That a system can wait for."""
    with pytest.raises(ValueError, match="timeout"):
        s3kv.Store("s3://bucket", timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        s3kv.Store("s3://bucket").with_timeout(timeout)


@pytest.mark.parametrize("timeout", [0.001, 1, 2.5, 10**9, 1e9])
def test_a_timeout_is_kept_as_it_is(timeout: float) -> None:
    """From less than a blink to longer than anybody waits."""
    store = s3kv.Store("s3://bucket", timeout=timeout)
    assert store == s3kv.Store("s3://bucket").with_timeout(float(timeout))
    assert f"timeout={timeout:g}" in repr(store)


@pytest.mark.parametrize("session", [7, "session", requests, requests.Session, object()])
def test_a_session_is_one_of_requests(session: Any) -> None:
    """The class is none; and it is told when the store is opened, not by its first request."""
    with pytest.raises(TypeError, match=r"session is a requests\.Session or None"):
        s3kv.Store("s3://bucket/", session=session)


@pytest.mark.parametrize("timeout", ["5", True, [5], "5s"])
def test_a_timeout_is_a_number(timeout: Any) -> None:
    """And nothing that merely counts as one."""
    with pytest.raises(TypeError, match="timeout is a number of seconds or None"):
        s3kv.Store("s3://bucket", timeout=timeout)
