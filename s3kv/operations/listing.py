"""Listing keys, a page at a time.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from operator import gt
from typing import Any, NamedTuple

from ..call import Call
from ..errors import MalformedResponse, S3KVError
from ..etag import quoted
from ..listing_xml import Columns, read_page
from ..messages import Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe_answer, service_error
from ..timestamps import parse_iso_date
from ..values import ListEntry

# What a store calls itself that lists one directory after the other.
_UNORDERED = "SeaweedFS"


class PageRequest(NamedTuple):
    """One page to ask for.

    Attributes:
        prefix: Full keys start with this.
        delimiter: Keys that have this after the prefix are rolled up; empty for none.
        start_after: Only full keys after this one; empty for all.
        token: What the page before gave to continue; None for the first page.
        most: So many keys at most; 0 for as many as the store sends at once.
    """

    prefix: str
    delimiter: str = ""
    start_after: str = ""
    token: str | None = None
    most: int = 0


class Fetched(NamedTuple):
    """A page as the store sent it.

    Attributes:
        page: What was asked for.
        response: The answer.
        call: The call that fetched it.
    """

    page: PageRequest
    response: Response
    call: Call


def fetch_page(resources: Resources, call: Call, page: PageRequest) -> Generator[Effect, Any, Fetched]:
    """Get one page of a listing, to be read by :func:`read_listing`, and not by a worker.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    query = [("list-type", "2"), ("encoding-type", "url")]
    if page.prefix:
        query.append(("prefix", page.prefix))
    if page.delimiter:
        query.append(("delimiter", page.delimiter))
    if page.start_after:
        query.append(("start-after", page.start_after))
    if page.token is not None:
        query.append(("continuation-token", page.token))
    if page.most:
        query.append(("max-keys", str(page.most)))
    request = Request("ListObjectsV2", "GET", None, tuple(query))
    response = yield from live(request, resources, call)
    if response.status != 200:
        raise service_error(response, request, call, resources.clock.monotonic())
    return Fetched(page, response, call)


def read_listing(resources: Resources, fetched: Fetched, *, keys_only: bool = False) -> Columns:
    """What is on a page.

    Args:
        keys_only: See :func:`~s3kv.listing_xml.read_page`.

    Raises:
        MalformedResponse: the answer is no listing, or not of the keys that were asked for.
    """
    page, response, call = fetched
    memory = resources.memory
    try:
        result = read_page(response.body, keys_only=keys_only)
        keys = result.keys
        ordered = not any(map(gt, keys, keys[1:]))
        # In order, what is between two keys with a prefix has it too.
        suspects = [keys[0], keys[-1]] if ordered and keys else keys
        for key in suspects + result.prefixes:
            if not key.startswith(page.prefix):
                raise MalformedResponse(f"the listing of {page.prefix[:80]!r} has the key {key[:80]!r}")
    except S3KVError as error:
        raise describe_answer(error, response, call, resources.clock.monotonic()) from error.__cause__
    memory.found = True
    if not ordered or response.headers.get("server", "").startswith(_UNORDERED):
        memory.unordered = True
    return result


def pages(first: PageRequest, fetch: Callable[[PageRequest], Columns]) -> Iterator[Columns]:
    """Every page from ``first`` on, each fetched when it is asked for.

    Args:
        fetch: Gets one page.

    Raises:
        MalformedResponse: a continuation token came back, or keys did, so the listing would never end.
    """
    request = first
    # What is kept of a page whose number is a power of two meets any cycle, in constant memory.
    kept: str | None = None
    kept_keys: list[str] = []
    number = 0
    milestone = 1
    while True:
        page = fetch(request)
        yield page
        token = page.next_token
        if token is None:
            return
        number += 1
        if token == kept or token == request.token:
            raise _in_circles("a continuation token")
        if page.keys and page.keys == kept_keys:
            raise _in_circles("the same keys")
        if number == milestone:
            kept, kept_keys = token, page.keys
            milestone *= 2
        request = following(request, token)


def _in_circles(what: str) -> MalformedResponse:
    return MalformedResponse(
        f"the listing goes round in circles: {what} came twice", operation="ListObjectsV2"
    )


def following(page: PageRequest, token: str) -> PageRequest:
    """The page after another."""
    return page._replace(token=token, start_after="")


def relative(page: Columns, path_length: int) -> Columns:
    """A page with keys relative to a store.

    Args:
        path_length: Characters of the store's path.
    """
    if not path_length:
        return page
    return page._replace(keys=[key[path_length:] for key in page.keys])


def pick(page: Columns, places: Sequence[int]) -> Columns:
    """A page of only some of the entries."""
    keys, sizes, etags, times = (
        [column[place] for place in places] for column in (page.keys, page.sizes, page.etags, page.times)
    )
    return Columns(keys, sizes, etags, times, page.prefixes, page.next_token)


def entries_of(page: Columns) -> Iterator[ListEntry]:
    """The objects of a page."""
    return map(
        ListEntry, page.keys, map(int, page.sizes), map(quoted, page.etags), map(parse_iso_date, page.times)
    )
