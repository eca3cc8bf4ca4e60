"""Errors: what they derive from, what they say, and that they travel between processes."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import s3kv
from s3kv import errors
from s3kv.errors import S3KVError

CLASSES = [
    thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, S3KVError)
]
FIELDS: dict[str, Any] = {
    "operation": "GetObject",
    "key": "a/é\n",
    "status": 503,
    "code": "SlowDown",
    "request_id": "tx0",
    "host_id": "h/+=",
    "attempts": 3,
    "elapsed": 1.25,
}
# What some classes have besides.
EXTRAS: dict[type[S3KVError], dict[str, Any]] = {
    errors.SpecError: {"member": "bucket"},
    errors.TransportError: {"reason": "timeout", "sent": True},
    errors.BatchError: {"errors": {"k": errors.KeyNotFound("m", key="k")}, "results": {"l": b"v"}},
}

every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def _full(kind: type[S3KVError]) -> S3KVError:
    return kind("what went wrong", **FIELDS, **EXTRAS.get(kind, {}))


def _state(error: S3KVError) -> dict[str, Any]:
    """All that an error carries, in a form that can be compared."""
    state = dict(vars(error))
    if isinstance(error, errors.BatchError):
        state["errors"] = {key: (type(value), vars(value)) for key, value in error.errors.items()}
    return state


BUILT_IN = {
    errors.SpecError: ValueError,
    errors.InvalidKey: ValueError,
    errors.ByteRangeError: ValueError,
    errors.KeyNotFound: KeyError,
    errors.PermissionDenied: PermissionError,
    errors.TransportError: ConnectionError,
    errors.EndpointUnreachable: ConnectionError,
    errors.DeadlineExceeded: TimeoutError,
    errors.StoreClosed: ValueError,
}


@pytest.mark.parametrize(("kind", "base"), BUILT_IN.items(), ids=lambda kind: kind.__name__)
def test_an_error_is_also_what_plain_python_expects(kind: type[S3KVError], base: type[Exception]) -> None:
    """Code that knows nothing of this package catches it by the built-in class."""
    with pytest.raises(base) as caught:
        raise _full(kind)
    assert isinstance(caught.value, S3KVError)


def test_no_other_error_is_a_built_in_one() -> None:
    """So that an except clause for a built-in class does not catch what it does not mean."""
    meant = tuple(set(BUILT_IN.values()))
    for kind in CLASSES:
        if kind not in BUILT_IN:
            assert not issubclass(kind, meant), kind
    assert not issubclass(errors.BucketNotFound, errors.KeyNotFound)
    assert issubclass(errors.EndpointUnreachable, errors.RetriesExhausted)


@every_class
def test_every_error_is_exported(kind: type[S3KVError]) -> None:
    """Users catch them as attributes of the package."""
    assert kind.__name__ in s3kv.__all__
    assert getattr(s3kv, kind.__name__) is kind


def test_what_the_package_exports_exists_and_is_listed_once() -> None:
    """``from s3kv import *`` works."""
    assert len(set(s3kv.__all__)) == len(s3kv.__all__)
    for name in s3kv.__all__:
        assert hasattr(s3kv, name), name


def _through_pickle(protocol: int, error: S3KVError) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


COPIERS: dict[str, Callable[[Any], Any]] = {
    **{
        f"pickle {protocol}": functools.partial(_through_pickle, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
@every_class
def test_an_error_survives_being_copied(kind: type[S3KVError], copier: Callable[[Any], Any]) -> None:
    """Pickled or copied, full or bare: the same class, message, fields, words and args."""
    for error in (_full(kind), kind("m"), kind()):
        twin = copier(error)
        assert twin is not error
        assert type(twin) is kind
        assert _state(twin) == _state(error)
        assert str(twin) == str(error)
        assert repr(twin) == repr(error)
        assert twin.args == error.args


@every_class
def test_a_note_and_an_attribute_of_the_users_survive_too(kind: type[S3KVError]) -> None:
    """What a caller has added on the way is part of the error."""
    error = _full(kind)
    error.while_doing = "x"  # type: ignore[attr-defined]
    twin = pickle.loads(pickle.dumps(error))
    assert twin.while_doing == "x"


@every_class
def test_the_facts_are_in_the_words(kind: type[S3KVError]) -> None:
    """str() holds the message and every field; a key is escaped, so that it cannot break a line."""
    words = str(_full(kind))
    assert words.startswith("what went wrong (")
    for fact in (
        "operation=GetObject",
        "key='a/é\\n'",
        "status=503",
        "code=SlowDown",
        "request_id=tx0",
        "host_id=h/+=",
        "attempts=3",
        "elapsed=1.250s",
    ):
        assert fact in words
    assert "\n" not in words
    assert repr(_full(kind)) == f"{kind.__name__}({words!r})"


@every_class
def test_facts_that_are_not_known_are_not_in_the_words(kind: type[S3KVError]) -> None:
    """No ``key=None``; zero and the empty key are facts."""
    assert str(kind("m")) == "m"
    assert str(kind("m", attempts=0, key="", elapsed=0.0)) == "m (key='', attempts=0, elapsed=0.000s)"
    for name in FIELDS:
        assert getattr(kind("m"), name) is None
        assert getattr(_full(kind), name) == FIELDS[name]


def test_the_fields_of_some_classes() -> None:
    """And their defaults."""
    assert errors.SpecError("m", member="bucket").member == "bucket"
    assert errors.SpecError("m").member is None
    failure = errors.TransportError("m")
    assert (failure.reason, failure.sent) == ("closed", False)
    batch = errors.BatchError("m")
    assert (batch.errors, batch.results) == ({}, {})


class _Demanding(Exception):
    """Pickle cannot make it anew."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


class _Holding(Exception):
    """Pickle cannot take it apart."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (_Demanding("read error", "byte 7"), "_Demanding: read error at byte 7"),
        (_Holding("read error"), "_Holding: read error"),
    ],
    ids=["demanding", "holding"],
)
def test_a_batch_error_pickles_whatever_failed_in_it(foreign: Exception, words: str) -> None:
    """A file may raise anything; of what cannot travel, the words do. The error itself stays as it is."""
    own = {"l": errors.KeyNotFound("m", key="l"), "o": OSError(5, "disk")}
    error = errors.BatchError("m", errors={"k": foreign, **own}, results={"r": b"v"})
    for copier in COPIERS.values():
        twin = copier(error)
        assert type(twin) is errors.BatchError
        assert list(twin.errors) == ["k", "l", "o"]
        assert type(twin.errors["k"]) in (S3KVError, type(foreign))
        assert words.rpartition(": ")[2] in str(twin.errors["k"])
        assert type(twin.errors["l"]) is errors.KeyNotFound
        assert type(twin.errors["o"]) is OSError
        assert twin.results == {"r": b"v"}
    found = pickle.loads(pickle.dumps(error)).errors["k"]
    # Dask, where it has been imported, teaches pickle how to carry more of them.
    assert str(found) == (words if type(found) is S3KVError else words.rpartition(": ")[2])
    assert error.errors["k"] is copy.copy(error).errors["k"] is foreign


def test_a_batch_error_keeps_its_own_dicts() -> None:
    """What the caller goes on doing with his does not change the error."""
    failed: dict[str, Exception] = {"k": errors.KeyNotFound("m")}
    done = {"l": b"v"}
    error = errors.BatchError("m", errors=failed, results=done)
    failed.clear()
    done.clear()
    assert list(error.errors) == ["k"]
    assert error.results == {"l": b"v"}
