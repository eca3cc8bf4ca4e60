"""Contexts and descriptions: stores that share resources, and stores opened from other stores."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.credentials
import pytest

import s3kv
from tests.servers import LocalProcessServer, ServerInfo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def info(server: LocalProcessServer) -> ServerInfo:
    """Return the keys that the server accepts."""
    return server.info


@pytest.fixture
def place(members: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a place that only this test uses, which does not say whose credentials."""
    return {name: value for name, value in members.items() if name != "aws_credentials"}


@pytest.fixture
def context() -> s3kv.Context:
    """Return a context with a resource of each kind."""
    return s3kv.Context(
        {
            "aws_credentials": {"type": "environment"},
            "aws_credentials#nobody": {"type": "anonymous"},
            "s3_request_concurrency": {"limit": 3},
            "s3_request_retries": {"max_retries": 5, "initial_delay": "10ms"},
            "experimental_s3_rate_limiter": {"read_rate": 500, "write_rate": 500, "doubling_time": "1s"},
            "data_copy_concurrency": {"limit": 1},
        }
    )


Opener = Callable[..., s3kv.Store]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Return what opens stores as users do; all are closed at the end."""
    stores: list[s3kv.Store] = []

    def open_(*arguments: Any, **members: Any) -> s3kv.Store:
        stores.append(s3kv.Store(*arguments, **members))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def works(store: s3kv.Store, key: str = "works/key") -> None:
    """Assert that a store writes, reads, lists and deletes."""
    store.put(key, b"value")
    assert store.get(key) == b"value"
    assert key in store.list()
    store.delete(key)
    assert key not in store


# -------------------------------------------------------------------------------- shared by stores


def test_stores_of_one_context_see_the_same_objects(
    place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """Each with its own path; children too."""
    first, second = (
        opened(place, context=context),
        opened(place, context=context, path=place["path"] + "a/"),
    )
    assert first.context is second.context is context
    assert (first / "a/") == second
    works(first)
    works(second)
    first.put("a/key", b"value")
    assert dict(second) == {"key": b"value"}
    assert dict(first / "a/") == {"key": b"value"}
    # What they share is nobody's to close.
    first.close()
    works(second)


def test_stores_of_one_context_fetch_their_credentials_once(
    place: dict[str, Any], info: ServerInfo, opened: Opener
) -> None:
    """However many stores and threads there are; stores that do not share fetch their own."""
    fetched = []

    def fetch() -> botocore.credentials.Credentials:
        fetched.append(threading.get_ident())
        return botocore.credentials.Credentials(info.access_key, info.secret_key)

    context = s3kv.Context({"aws_credentials": fetch, "aws_credentials#again": "aws_credentials"})
    below = s3kv.Context({"s3_request_retries": None}, parent=context)
    stores = [
        opened(place, context=context),
        opened(place, context=context, aws_credentials="aws_credentials#again"),
        opened(place, context=below),
        opened(place, context=below) / "child",
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: works(stores[number % 4], f"key {number}"), range(16)))
    assert len(fetched) == 1
    for number in (2, 3):
        works(opened(place, aws_credentials=fetch))
        assert len(fetched) == number


def test_a_store_refers_to_the_credentials_it_wants(
    place: dict[str, Any],
    context: s3kv.Context,
    credentials: None,
    session: Any,
    opened: Opener,
) -> None:
    """By name; what one store signs with is not what another signs with."""
    signed = opened(place, context=context, session=session)
    unsigned = opened(place, context=context, session=session, aws_credentials="aws_credentials#nobody")
    assert signed != unsigned
    signed.put("key", b"value")
    count = len(session.sent)
    # Most of the servers refuse that, each in its own way, and some do not look.
    with contextlib.suppress(s3kv.S3KVError):
        unsigned.get("key")
    assert all("Authorization" in sent.headers for sent in session.sent[:count])
    assert not any("Authorization" in sent.headers for sent in session.sent[count:])
    assert len(session.sent) > count
    assert signed.get("key") == b"value"


def test_limits_of_a_context_hold_back_nothing_for_good(
    place: dict[str, Any], context: s3kv.Context, credentials: None, transport: Any, opened: Opener
) -> None:
    """A crowd of threads, more than may send at once, writes large and small objects and reads them."""
    stores = [opened(place, context=context, **transport) for _ in range(2)]

    def work(number: int) -> None:
        value = number.to_bytes(2, "big") * (600_000 if number % 5 == 0 else 100)
        stores[number % 2].put(f"{number}", value)
        assert stores[1 - number % 2].get(f"{number}") == value

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(24)))
    assert sorted(stores[0], key=int) == [f"{number}" for number in range(24)]


@pytest.mark.parametrize("limit", [1, "shared"])
@pytest.mark.parametrize("retries", [{"max_retries": 1}, {}], ids=["once", "as ever"])
def test_resources_may_be_described_where_they_are_used(
    limit: Any, retries: Any, place: dict[str, Any], credentials: None, opened: Opener
) -> None:
    """In the spec itself, for this store alone."""
    store = opened(
        place,
        aws_credentials={"type": "environment"},
        s3_request_concurrency={"limit": limit},
        s3_request_retries=retries,
        experimental_s3_rate_limiter={"read_rate": 200, "write_rate": 200},
        data_copy_concurrency={"limit": limit},
    )
    works(store)
    works(opened(store.spec()))


# ----------------------------------------------------------------------- opened from another store


def _stores(place: dict[str, Any], context: s3kv.Context, opened: Opener) -> dict[str, s3kv.Store]:
    """The same place in all the ways in which a store's resources can be given."""
    given = {
        "aws_credentials#mine": {"type": "environment"},
        "s3_request_concurrency#mine": "s3_request_concurrency#other",
        "s3_request_concurrency#other": {"limit": 2},
    }
    named = {
        "aws_credentials": "aws_credentials#mine",
        "s3_request_concurrency": "s3_request_concurrency#mine",
    }
    return {
        "inline": opened(place, aws_credentials={"type": "environment"}),
        "nothing said": opened(place, context=s3kv.Context()),
        "context": opened(place, context=context),
        "mapping": opened(place, context={"aws_credentials": {"type": "environment"}}),
        "in the spec": opened({**place, **named, "context": given}),
        "by name": opened(place, **named, context=s3kv.Context(given)),
        "of a parent": opened(place, **named, context=s3kv.Context({}, parent=s3kv.Context(given))),
        "a child": opened(place, context=context) / "child/",
    }


WAYS = ["inline", "nothing said", "context", "mapping", "in the spec", "by name", "of a parent", "a child"]


@pytest.mark.parametrize("way", WAYS)
def test_the_spec_of_a_store_opens_the_same_store(
    way: str, place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """As JSON, with its context and with its defaults; equal, and with the same objects."""
    store = _stores(place, context, opened)[way]
    store.put("a/key", b"value")
    for options in ({}, {"include_defaults": True}):
        spec = store.spec(**options)
        # Over a context that has nothing: all that is needed is in the spec.
        twin = opened(json.loads(json.dumps(spec)), context=s3kv.Context())
        assert twin == store
        assert hash(twin) == hash(store)
        assert twin.spec(**options) == spec
        assert dict(twin) == {"a/key": b"value"}
        works(twin)


@pytest.mark.parametrize("way", WAYS)
def test_a_pickled_store_is_the_same_store(
    way: str, place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """With its context, and without a secret."""
    store = _stores(place, context, opened)[way]
    store.put("a/key", b"value")
    data = pickle.dumps(store)
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in data
    with pickle.loads(data) as twin:
        assert twin is not store
        assert twin == store
        assert twin.spec() == store.spec()
        assert dict(twin) == {"a/key": b"value"}
        works(twin)


def test_a_spec_without_its_context_needs_the_context_again(
    place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """And opens the same store with it."""
    store = opened(place, context=context, aws_credentials="aws_credentials")
    named = opened(place, context=context, aws_credentials="aws_credentials#nobody")
    works(opened(store.spec(include_context=False), context=context))
    assert opened(named.spec(include_context=False), context=context) == named
    with pytest.raises(s3kv.SpecError, match="aws_credentials#nobody"):
        opened(named.spec(include_context=False))


def test_stores_that_are_pickled_together_share_as_before(
    place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """One context, not two alike."""
    stores = opened(place, context=context), opened(place, context=context, path=place["path"] + "a/")
    first, second = pickle.loads(pickle.dumps(stores))
    with first, second:
        assert first.context is second.context
        assert first.context is not context
        assert first.context.spec() == context.spec()
        works(first)
        works(second)


def server_keys() -> botocore.credentials.Credentials:
    """What a user's own module may have: a function that finds the keys somewhere."""
    return botocore.credentials.Credentials(os.environ["MY_ACCESS_KEY"], os.environ["MY_SECRET_KEY"])


def test_a_store_with_a_callable_is_pickled_by_its_name(
    place: dict[str, Any], info: ServerInfo, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are found anew; an object of botocore's would have to be pickled itself, and is not."""
    monkeypatch.setenv("MY_ACCESS_KEY", info.access_key)
    monkeypatch.setenv("MY_SECRET_KEY", info.secret_key)
    for options in (
        {"aws_credentials": server_keys},
        {"context": s3kv.Context({"aws_credentials": server_keys})},
    ):
        store = opened(place, **options)
        works(store)
        data = pickle.dumps(store)
        assert info.secret_key.encode() not in data
        with pickle.loads(data) as twin:
            assert twin == store
            works(twin)
        with pytest.raises(s3kv.SpecError):
            store.spec()
    for given in (
        {"aws_credentials": server_keys()},
        {"context": s3kv.Context({"aws_credentials": server_keys()})},
    ):
        store = opened(place, **given)
        works(store)
        with pytest.raises(TypeError, match=r"[Cc]redentials"):
            pickle.dumps(store)


WORKER = """
import pickle, sys
store, other = pickle.load(sys.stdin.buffer)
with store, other:
    assert store.context is other.context
    assert store.get("key") == b"from the parent"
    other.put("answer", store.get("key").upper())
"""


def test_another_process_opens_what_was_pickled_here(
    place: dict[str, Any], context: s3kv.Context, credentials: None, opened: Opener
) -> None:
    """It finds the credentials in its own environment, and leaves its answer for this one."""
    store, other = opened(place, context=context), opened(place, context=context) / "b/"
    store.put("key", b"from the parent")
    command = [sys.executable, "-W", "error", "-c", WORKER]
    done = subprocess.run(
        command, input=pickle.dumps((store, other)), cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert store.get("b/answer") == b"FROM THE PARENT"


# ------------------------------------------------------------------------------ members of the spec


def test_a_store_that_is_told_no_region_finds_it_out(
    members: dict[str, Any], transport: Any, credentials: None, opened: Opener
) -> None:
    """By asking the bucket, or by what is usual."""
    del members["aws_region"]
    works(opened(members, **transport))


def test_a_store_that_is_told_no_endpoint_takes_the_environments(
    members: dict[str, Any],
    transport: Any,
    credentials: None,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store then has an s3:// URL, which opens it as well."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", members.pop("endpoint"))
    store = opened(members, **transport)
    works(store)
    works(opened(store.url, context=s3kv.Context(), **transport))


def test_a_store_whose_requester_pays_works_where_nobody_pays(
    members: dict[str, Any], transport: Any, credentials: None, opened: Opener
) -> None:
    """A header that a server does not know is no harm, signed as it is."""
    works(opened(members, requester_pays=True, **transport))


def test_a_host_header_may_name_the_server_differently(
    members: dict[str, Any], transport: Any, credentials: None, opened: Opener
) -> None:
    """As those know it who come through a tunnel; the signature is for the name that was sent."""
    name = members["endpoint"].removeprefix("http://").replace("127.0.0.1", "localhost")
    works(opened(members, host_header=name, **transport))
