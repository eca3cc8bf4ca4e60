"""Generations and results as values."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple

import pytest

from s3kv.credentials.value import ANONYMOUS, Credentials
from s3kv.messages import Origin, Response
from s3kv.values import (
    ListEntry,
    ObjectInfo,
    ReadResult,
    StorageGeneration,
    TimestampedStorageGeneration,
)
from s3kv.xml import ErrorBody

ETAG = '"9e107d9d372bb6826bd81d3542a419d6"'
GENERATIONS = [StorageGeneration(ETAG), StorageGeneration.NO_VALUE, StorageGeneration.UNKNOWN]


def test_a_generation_is_the_quoted_etag() -> None:
    """It is a str: equal to the ETag, and hashed like it."""
    generation = StorageGeneration(ETAG)
    assert generation == ETAG
    assert {generation} == {ETAG}
    assert str(generation) == ETAG


def test_the_special_generations_differ_from_each_other_and_from_every_etag() -> None:
    """Neither is quoted, so neither can be an ETag, and only those name a version."""
    assert len(set(GENERATIONS)) == 3
    assert StorageGeneration(ETAG).has_etag
    assert StorageGeneration('""').has_etag
    assert not StorageGeneration.NO_VALUE.has_etag
    assert not StorageGeneration.UNKNOWN.has_etag


def test_a_generation_is_shown_by_its_name() -> None:
    """The special ones as one writes them."""
    assert repr(StorageGeneration(ETAG)) == f"StorageGeneration({ETAG!r})"
    assert repr(StorageGeneration.NO_VALUE) == "StorageGeneration.NO_VALUE"
    assert repr(StorageGeneration.UNKNOWN) == "StorageGeneration.UNKNOWN"


@pytest.mark.parametrize("generation", GENERATIONS, ids=repr)
def test_a_generation_survives_being_copied(generation: StorageGeneration) -> None:
    """Pickled at every protocol, copied: the same value and class."""
    twins = [pickle.loads(pickle.dumps(generation, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in [*twins, copy.copy(generation), copy.deepcopy(generation)]:
        assert twin == generation
        assert type(twin) is StorageGeneration
        assert repr(twin) == repr(generation)


def test_results_are_named_tuples_in_the_documented_order() -> None:
    """They unpack, compare and pickle."""
    stamp = TimestampedStorageGeneration(StorageGeneration(ETAG), 1.5)
    results: list[tuple[NamedTuple, tuple[str, ...]]] = [
        (stamp, ("generation", "time")),
        (ReadResult("value", b"v", stamp), ("state", "value", "stamp")),
        (ListEntry("k", 1, ETAG, None), ("key", "size", "etag", "last_modified")),
        (
            ObjectInfo("k", 1, ETAG, None, "text/plain", {"a": "b"}),
            ("key", "size", "etag", "last_modified", "content_type", "metadata"),
        ),
    ]
    for result, names in results:
        assert result._fields == names
        assert pickle.loads(pickle.dumps(result)) == result


def test_credentials_without_an_access_key_are_anonymous() -> None:
    """Requests are then sent unsigned."""
    assert ANONYMOUS.anonymous
    assert not Credentials("AK", "secret").anonymous


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("https", "h", 443), "https://h"),
        (Origin("http", "h", 80), "http://h"),
        (Origin("https", "h", 80), "https://h:80"),
        (Origin("http", "h", 443), "http://h:443"),
        (Origin("http", "::1", 9000), "http://[::1]:9000"),
        (Origin("https", "::1", 443), "https://[::1]"),
    ],
)
def test_an_origin_is_written_without_its_default_port(origin: Origin, text: str) -> None:
    """And with the brackets that an IPv6 address needs."""
    assert str(origin) == text


def test_an_answer_knows_its_code_once_its_body_was_read() -> None:
    """Before that, and for an answer without an error, there is none; its repr shows no bytes."""
    response = Response(400, {}, b"top secret")
    assert response.code == ""
    assert repr(response) == "<Response 400 10 bytes>"
    response.error = ErrorBody("SlowDown")
    assert response.code == "SlowDown"
    assert repr(response) == "<Response 400 SlowDown>"
