"""Deleting many keys: a thousand a request, every answer checked, what failed tried again on its own."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

import s3kv
from s3kv.retry import RetryPolicy
from tests.wire.conftest import FAST, FixedClock, OpenStore
from tests.wire.helpers import Stopwatch
from tests.wire.scripted import READ, Answer, Forever, Recorded, ScriptedServer, answer, error, listing

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"


def asked(request: Recorded) -> list[str]:
    """Return the keys that a DeleteObjects request names."""
    root = ElementTree.fromstring(request.body)
    assert root.tag == f"{NAMESPACE}Delete"
    keys = []
    for child in root.iterfind(f"{NAMESPACE}Object"):
        (key,) = child
        assert key.tag == f"{NAMESPACE}Key"
        keys.append(key.text or "")
    return keys


def xml(text: str) -> str:
    """Return text as an element's content has it."""
    return escape(text, {"\r": "&#13;"})


def deleted(keys: Sequence[str], **errors: str) -> bytes:
    """Return an answer that says that keys are deleted, and others are not, with the code of each."""
    parts = [f"<Deleted><Key>{xml(key)}</Key></Deleted>" for key in keys]
    parts += [
        f"<Error><Key>{xml(key)}</Key><Code>{code}</Code><Message>no {code}</Message></Error>"
        for key, code in errors.items()
    ]
    body = f'<?xml version="1.0"?><DeleteResult xmlns="{NAMESPACE[1:-1]}">{"".join(parts)}</DeleteResult>'
    return answer(200, body.encode(), "Content-Type: application/xml")


class Deleting:
    """Answers DeleteObjects and DeleteObject; a function may put in its own word.

    Attributes:
        server: What carries it.
        told: Asked for the answer to each DeleteObjects; None for the truth.
        posts: The keys of each DeleteObjects request, in order.
        singles: The path of each DELETE request, in order.
        listed: The keys of the bucket, for listings of ten keys a page.
    """

    def __init__(self, told: Callable[[list[str]], bytes | None] = lambda keys: None) -> None:
        self.told = told
        self.posts: list[list[str]] = []
        self.singles: list[str] = []
        self.single: Callable[[str], bytes] = lambda path: GONE
        self.events: list[str] = []
        self.pages: list[list[str]] = []
        self._lock = threading.Lock()
        self.server = ScriptedServer(then=[Forever(READ, Answer(self._answer))])

    def _answer(self, request: Recorded) -> bytes:
        if request.method == "DELETE":
            with self._lock:
                self.singles.append(request.path)
            return self.single(request.path)
        if request.method == "POST":
            keys = asked(request)
            with self._lock:
                self.posts.append(keys)
                self.events.append("delete")
            told = self.told(keys)
            return deleted(keys) if told is None else told
        assert "list-type=2" in request.query
        number = int(request.query.partition("token=p")[2].partition("&")[0] or 0)
        with self._lock:
            self.events.append(f"page {number}")
        more = number + 1 < len(self.pages)
        page = self.pages[number] if self.pages else []
        return listing(*page, token=f"p{number + 1}" if more else None)


def names(count: int) -> list[str]:
    """Return so many keys."""
    return [f"k{number}" for number in range(count)]


# ------------------------------------------------------------------------ the request


def test_a_thousand_keys_are_deleted_in_one_request(open_store: OpenStore) -> None:
    """2,500 keys are three requests, taken lazily; each key is asked for once."""
    bucket = Deleting()
    with bucket.server as server:
        assert open_store(server, path="p/").delete_many(iter(names(2500))) == 2500
    assert sorted(map(len, bucket.posts)) == [500, 1000, 1000]
    assert sorted(chain(*bucket.posts)) == sorted(f"p/{key}" for key in names(2500))


def test_nothing_is_sent_for_no_keys(open_store: OpenStore) -> None:
    """The results are empty then."""
    with ScriptedServer() as server:
        store = open_store(server)
        assert (store.get_many([]), list(store.iter_many(iter(()))), store.put_many({})) == ({}, [], {})
        assert store.delete_many([]) == 0
        assert server.requests == []


def test_the_request_is_a_post_with_the_digest_of_its_body(open_store: OpenStore) -> None:
    """Some stores refuse it without; the body says which keys, and asks for all of them to be answered."""
    with Deleting().server as server:
        open_store(server).delete_many(["a", "b"])
        (request,) = server.requests
    assert (request.method, request.path, request.query) == ("POST", "/bucket", "delete=")
    assert request.header("content-md5") == base64.b64encode(hashlib.md5(request.body).digest()).decode()
    assert request.header("content-length") == str(len(request.body))
    assert asked(request) == ["a", "b"]
    assert b"Quiet" not in request.body


def test_the_request_is_signed_with_the_digest_of_its_body(open_store: OpenStore, keys: None) -> None:
    """As every other body is."""
    with Deleting().server as server:
        assert open_store(server, credentials="environment").delete_many(["a", "b"]) == 2
        (request,) = server.requests
    assert request.header("x-amz-content-sha256") == hashlib.sha256(request.body).hexdigest()
    assert "content-md5" in (request.header("authorization") or "")


ODD = [
    "<&>\"'",
    "]]>",
    " lead",
    "trail ",
    "a\rb",
    "a\r\nb",
    "tab\t",
    "new\nline",
    "é",
    "\U0001f600",
    "&amp;",
    "+%20",
]


def test_keys_survive_the_xml(open_store: OpenStore) -> None:
    """Escaped, and a carriage return as a reference, which would be a newline otherwise."""
    bucket = Deleting()
    with bucket.server as server:
        assert open_store(server).delete_many(ODD) == len(ODD)
        (request,) = server.requests
    assert bucket.posts == [ODD]
    assert b"\r" not in request.body
    assert b"a&#13;b" in request.body


def test_a_carriage_return_that_the_store_writes_as_it_is_is_understood(open_store: OpenStore) -> None:
    """XML makes a newline of it."""
    told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in ("a\rb", "c\r\nd"))
    bucket = Deleting(lambda keys: answer(200, f"<DeleteResult>{told}</DeleteResult>".encode()))
    with bucket.server as server:
        assert open_store(server).delete_many(["a\rb", "c\r\nd"]) == 2
    assert len(bucket.posts) == 1


UNWRITABLE = ["\x01", "a\x1fb", "\ufffe", "\uffff", "zero\0"]


def test_keys_that_xml_cannot_carry_are_deleted_one_by_one(open_store: OpenStore) -> None:
    """Beside the others, which are still deleted together."""
    bucket = Deleting()
    with bucket.server as server:
        assert open_store(server).delete_many(["a", *UNWRITABLE, "b"]) == 7
    assert bucket.posts == [["a", "b"]]
    assert bucket.singles == [
        "/bucket/%01",
        "/bucket/a%1Fb",
        "/bucket/%EF%BF%BE",
        "/bucket/%EF%BF%BF",
        "/bucket/zero%00",
    ]


def test_a_key_that_comes_twice_is_deleted_and_counted_once(open_store: OpenStore) -> None:
    """As text or as bytes; within one request, not beyond: the keys of all are not kept."""
    bucket = Deleting()
    with bucket.server as server:
        assert open_store(server).delete_many(["a", b"a", "b", "a"]) == 2
        assert bucket.posts == [["a", "b"]]


# ------------------------------------------------------------------------ the answer


def test_keys_that_are_refused_are_errors_of_their_own(open_store: OpenStore) -> None:
    """Each with its code and words, its key relative to the store, and what the answer says."""
    bucket = Deleting(lambda keys: deleted(["p/a"], **{"p/b": "AccessDenied", "p/c": "InvalidArgument"}))
    with bucket.server as server:
        store = open_store(server, path="p/")
        with pytest.raises(s3kv.BatchError) as caught:
            store.delete_many(["a", "b", "c"])
    errors: dict[str, Any] = caught.value.errors
    assert (errors.keys(), errors["b"].code, errors["c"].code) == (
        {"b", "c"},
        "AccessDenied",
        "InvalidArgument",
    )
    assert isinstance(errors["b"], s3kv.PermissionDenied)
    assert errors["c"].message == "no InvalidArgument"
    assert {key: error.key for key, error in errors.items()} == {"b": "b", "c": "c"}
    assert {error.operation for error in errors.values()} == {"DeleteObjects"}
    assert len(bucket.posts) == 1


def test_a_key_that_is_not_there_is_deleted(open_store: OpenStore) -> None:
    """Whichever way the store says so, and in whichever request."""
    bucket = Deleting(lambda keys: deleted(["a"], b="NoSuchKey"))
    bucket.single = lambda path: error(404, "NoSuchKey")
    with bucket.server as server:
        assert open_store(server).delete_many(["a", "b", "c\1"]) == 3


def test_only_what_failed_for_a_moment_is_tried_again(open_store: OpenStore) -> None:
    """After a pause that grows; what was refused for good is not."""
    answers = iter(
        [
            deleted(["a"], b="InternalError", c="SlowDown", d="AccessDenied", e="NoSuchKey"),
            deleted(["b"], c="ServiceUnavailable"),
            deleted(["c"]),
        ]
    )
    bucket = Deleting(lambda keys: next(answers))
    policy = RetryPolicy(max_retries=5, initial_delay=0.02, max_delay=1.0)
    with bucket.server as server, Stopwatch() as watch:
        store = open_store(server, policy=policy, clock=FixedClock(1.0))
        with pytest.raises(s3kv.BatchError) as caught:
            store.delete_many(["a", "b", "c", "d", "e"])
    assert caught.value.errors.keys() == {"d"}
    assert [sorted(keys) for keys in bucket.posts] == [["a", "b", "c", "d", "e"], ["b", "c"], ["c"]]
    assert 0.06 <= watch.seconds < 1


def test_what_goes_on_failing_is_given_up(open_store: OpenStore) -> None:
    """After as many attempts as any request has; the last reason is told, and its cause."""
    bucket = Deleting(lambda keys: deleted(["a"] if "a" in keys else [], b="SlowDown"))
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=FAST).delete_many(["a", "b"])
    (failure,) = caught.value.errors.values()
    assert isinstance(failure, s3kv.RetriesExhausted)
    assert (failure.code, failure.attempts) == ("SlowDown", FAST.max_retries)
    assert failure.__cause__ is not None
    assert bucket.posts == [["a", "b"], *[["b"]] * (FAST.max_retries - 1)]


def test_attempts_are_counted_whether_requests_fail_or_keys(open_store: OpenStore) -> None:
    """Not so many for each of them."""
    answers = chain.from_iterable(
        [error(500, "InternalError"), deleted([], a="InternalError")] for _ in range(9)
    )
    bucket = Deleting(lambda keys: next(answers))
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=FAST).delete_many(["a"])
    assert len(bucket.posts) == FAST.max_retries
    (failure,) = caught.value.errors.values()
    assert isinstance(failure, s3kv.RetriesExhausted)
    assert failure.attempts == FAST.max_retries


def test_an_error_in_the_body_of_a_success_is_one_of_the_whole_request(open_store: OpenStore) -> None:
    """It says so of no key, and may pass."""
    late = answer(200, b"<Error><Code>InternalError</Code><Message>We broke</Message></Error>")
    answers = iter([late, None])
    bucket = Deleting(lambda keys: next(answers))
    with bucket.server as server:
        assert open_store(server, policy=FAST).delete_many(["a", "b"]) == 2
    assert bucket.posts == [["a", "b"], ["a", "b"]]


def test_a_request_that_fails_as_a_whole_is_tried_again_as_a_whole(open_store: OpenStore) -> None:
    """As every other request is."""
    answers = iter([error(503, "SlowDown"), error(500, "InternalError"), None])
    bucket = Deleting(lambda keys: next(answers))
    with bucket.server as server:
        assert open_store(server, policy=FAST).delete_many(["a", "b"]) == 2
    assert bucket.posts == [["a", "b"]] * 3


def test_a_request_that_is_refused_is_an_error_of_each_of_its_keys(open_store: OpenStore) -> None:
    """And of no other's."""
    bucket = Deleting(lambda keys: error(403, "AccessDenied") if "k0" in keys else None)
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server).delete_many(names(1500))
    assert caught.value.errors.keys() == set(names(1000))
    assert {type(failure) for failure in caught.value.errors.values()} == {s3kv.PermissionDenied}
    assert "1,000 keys failed to delete" in str(caught.value)


STRANGE = {
    "a key that nobody asked for": deleted(["a", "b", "c"]),
    "an error for a key that nobody asked for": deleted(["a", "b"], c="AccessDenied"),
    "a key left out": deleted(["a"]),
    "no key at all": deleted([]),
    "another document": answer(200, b"<ListBucketResult/>"),
    "no document": answer(200, b"deleted"),
    "an empty body": answer(200),
    "a key without a name": answer(200, b"<DeleteResult><Deleted/></DeleteResult>"),
    "too many keys without a name": answer(
        200, b"<DeleteResult><Deleted/><Deleted/><Deleted/></DeleteResult>"
    ),
}


@pytest.mark.parametrize("told", STRANGE.values(), ids=STRANGE)
def test_an_answer_about_other_keys_is_not_believed(told: bytes, open_store: OpenStore) -> None:
    """None of the request's keys is taken for deleted; the other requests are nothing to it."""
    bucket = Deleting(lambda keys: told if "a" in keys else None)
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=FAST).delete_many([f"n{number}" for number in range(1000)] + ["a", "b"])
    assert caught.value.errors.keys() == {"a", "b"}
    for failure in caught.value.errors.values():
        assert isinstance(failure, s3kv.MalformedResponse)
        assert (failure.operation, failure.status) == ("DeleteObjects", 200)


def test_keys_that_are_deleted_may_go_without_their_names(open_store: OpenStore) -> None:
    """As JuiceFS has it, which names only those that it did not delete."""
    told = "<Deleted/><Error><Key>b</Key><Code>AccessDenied</Code></Error><Deleted><Key></Key></Deleted>"
    bucket = Deleting(lambda keys: answer(200, f"<DeleteResult>{told}</DeleteResult>".encode()))
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server).delete_many(["a", "b", "c"])
    assert caught.value.errors.keys() == {"b"}


def test_what_an_earlier_answer_said_stands(open_store: OpenStore) -> None:
    """A later one that fails is about the keys that were asked for again, and about no others."""
    answers = iter([deleted(["a"], b="SlowDown", c="AccessDenied"), error(403, "AccountProblem")])
    bucket = Deleting(lambda keys: next(answers))
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=FAST).delete_many(["a", "b", "c"])
    codes = {key: getattr(failure, "code", None) for key, failure in caught.value.errors.items()}
    assert codes == {"b": "AccountProblem", "c": "AccessDenied"}


# ------------------------------------------------------------------------ stores without it


REFUSALS = {
    "not implemented": error(501, "NotImplemented"),
    "not implemented, without a code": answer(501),
    "not allowed": error(405, "MethodNotAllowed"),
    "not implemented, by its code": error(400, "NotImplemented"),
}


@pytest.mark.parametrize("told", REFUSALS.values(), ids=REFUSALS)
def test_a_store_that_cannot_delete_many_at_once_is_asked_one_by_one(
    told: bytes, open_store: OpenStore
) -> None:
    """From then on; nobody notices but by the time it takes."""
    bucket = Deleting(lambda keys: told)
    with bucket.server as server:
        store = open_store(server, policy=FAST)
        assert store.delete_many(["a", "b"]) == 2
        assert sorted(bucket.singles) == ["/bucket/a", "/bucket/b"]
        assert store.delete_many(["c"]) == 1
        assert (store / "sub").delete_many(["d"]) == 1
    assert len(bucket.posts) == 1
    assert len(bucket.singles) == 4


def test_errors_of_keys_deleted_one_by_one_are_their_own(open_store: OpenStore) -> None:
    """The others are deleted and counted."""
    bucket = Deleting(lambda keys: error(501, "NotImplemented"))
    bucket.single = lambda path: error(403, "AccessDenied") if path.endswith("/b") else GONE
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server).delete_many(["a", "b", "c"])
    (failure,) = caught.value.errors.values()
    assert isinstance(failure, s3kv.PermissionDenied)
    assert (failure.key, failure.operation) == ("b", "DeleteObject")
    assert len(bucket.singles) == 3


# ------------------------------------------------------------------------ time


def test_attempts_of_keys_deleted_one_by_one_are_their_own(open_store: OpenStore) -> None:
    """Neither those of the other keys nor those of the request for many."""
    bucket = Deleting(lambda keys: error(501, "NotImplemented"))
    bucket.single = lambda path: error(500, "InternalError")
    with bucket.server as server, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=FAST).delete_many(["a", "b"])
    attempts = {getattr(failure, "attempts", None) for failure in caught.value.errors.values()}
    assert attempts == {FAST.max_retries}


@pytest.mark.parametrize("whole", [True, False], ids=["the request", "one key"])
def test_the_timeout_ends_the_tries(whole: bool, open_store: OpenStore) -> None:
    """The keys that are left have it as their error."""
    told = error(503, "SlowDown") if whole else None
    bucket = Deleting(lambda keys: told or deleted(["a"] if "a" in keys else [], b="SlowDown"))
    policy = RetryPolicy(max_retries=1000, initial_delay=0.02, max_delay=0.02)
    with bucket.server as server, Stopwatch() as watch, pytest.raises(s3kv.BatchError) as caught:
        open_store(server, policy=policy, timeout=0.3).delete_many(["a", "b"])
    assert watch.seconds < 1
    assert caught.value.errors.keys() == ({"a", "b"} if whole else {"b"})
    assert {type(failure) for failure in caught.value.errors.values()} == {s3kv.DeadlineExceeded}


# ------------------------------------------------------------------------ ranges


def test_an_empty_range_sends_nothing(open_store: OpenStore) -> None:
    """There is nothing to delete, and no need to look."""
    with ScriptedServer() as server:
        store = open_store(server)
        assert store.delete_range(s3kv.KeyRange("b", "a")) == 0
        assert store.delete_range(s3kv.KeyRange.prefix("x") & s3kv.KeyRange.prefix("y")) == 0
        assert server.requests == []


@pytest.mark.parametrize("wrong", ["a", None, ("a", "b"), slice("a", "b")], ids=repr)
def test_a_range_is_a_key_range(wrong: Any, open_store: OpenStore) -> None:
    """A prefix given for one would delete something else than was meant."""
    with ScriptedServer() as server:
        with pytest.raises(TypeError, match="KeyRange"):
            open_store(server).delete_range(wrong)
        assert server.requests == []


def test_a_prefix_is_text(open_store: OpenStore) -> None:
    """None of the whole store by mistake."""
    with ScriptedServer() as server:
        for wrong in (None, 5, s3kv.KeyRange("a", "b")):
            with pytest.raises(TypeError):
                open_store(server).delete_prefix(wrong)  # type: ignore[arg-type]
        assert server.requests == []


def test_a_range_that_has_no_keys_is_listed_and_nothing_deleted(open_store: OpenStore) -> None:
    """No empty request is sent, which S3 would refuse."""
    bucket = Deleting()
    with bucket.server as server:
        assert open_store(server).delete_prefix("none") == 0
    assert bucket.events == ["page 0"]


def test_every_page_of_a_range_is_deleted(open_store: OpenStore) -> None:
    """Keys are those of the range only, whatever else the pages have."""
    bucket = Deleting()
    bucket.pages = [[f"p/a{page}-{number:03}" for number in range(700)] for page in range(4)]
    with bucket.server as server:
        assert open_store(server, path="p/").delete_range(s3kv.KeyRange("a0-100", "a3-500")) == 2500
    wanted = [key for page in bucket.pages for key in page if "p/a0-100" <= key < "p/a3-500"]
    assert sorted(chain(*bucket.posts)) == wanted
    assert sorted(map(len, bucket.posts)) == [500, 1000, 1000]


def test_keys_are_deleted_while_the_range_is_listed(open_store: OpenStore) -> None:
    """The first go before the last page has come; it need not fit into memory."""
    bucket = Deleting()
    bucket.pages = [[f"{page:03}-{number:03}" for number in range(1000)] for page in range(6)]
    with bucket.server as server:
        assert open_store(server).delete_prefix("") == 6000
    assert bucket.events.index("delete") < bucket.events.index("page 5"), bucket.events


def test_a_listing_that_fails_ends_the_deletion_with_its_error(open_store: OpenStore) -> None:
    """Nobody knows what else there is to be deleted."""
    with ScriptedServer(then=[Forever(READ, Answer(lambda request: error(403, "AccessDenied")))]) as server:
        with pytest.raises(s3kv.PermissionDenied):
            open_store(server).delete_prefix("x")
        assert {request.method for request in server.requests} == {"GET"}
