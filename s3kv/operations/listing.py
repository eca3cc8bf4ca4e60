"""Listing keys, a page at a time.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from operator import gt
from typing import Any, NamedTuple

from ..call import Call
from ..errors import MalformedResponse, S3KVError
from ..etag import quoted
from ..messages import Request
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import describe, service_error
from ..timestamps import parse_iso_date
from ..values import ListEntry
from ..xml import Page, parse_page

# What a store calls itself that lists one directory after the other.
_UNORDERED = "SeaweedFS"


class PageRequest(NamedTuple):
    """One page to ask for.

    Attributes:
        prefix: Full keys start with this.
        delimiter: Keys that have this after the prefix are rolled up; empty for none.
        start_after: Only full keys after this one; empty for all.
        token: What the page before gave to continue; None for the first page.
    """

    prefix: str
    delimiter: str = ""
    start_after: str = ""
    token: str | None = None


def list_page(resources: Resources, call: Call, page: PageRequest) -> Generator[Effect, Any, Page]:
    """One page of a listing.

    Raises:
        MalformedResponse: the answer is no listing, or not of these keys.
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
    request = Request("ListObjectsV2", "GET", None, tuple(query))
    response = yield from live(request, resources, call)
    if response.status != 200:
        raise service_error(response, request, call, resources.clock.monotonic())
    try:
        result = parse_page(response.body)
        for key in [entry.key for entry in result.entries] + result.prefixes:
            if not key.startswith(page.prefix):
                raise MalformedResponse(f"the listing of {page.prefix[:80]!r} has the key {key[:80]!r}")
    except S3KVError as error:
        error.status = response.status
        error.request_id = response.headers.get("x-amz-request-id")
        raise describe(error, call, resources.clock.monotonic()) from error.__cause__
    resources.memory.found = True
    if not resources.memory.unordered:
        keys = [entry.key for entry in result.entries]
        named = response.headers.get("server", "").startswith(_UNORDERED)
        resources.memory.unordered = named or any(map(gt, keys, keys[1:]))
    return result


def pages(first: PageRequest, fetch: Callable[[PageRequest], Page]) -> Iterator[Page]:
    """Every page from ``first`` on, each fetched when it is asked for.

    Args:
        fetch: Gets one page.

    Raises:
        MalformedResponse: a continuation token came back, so the listing would never end.
    """
    request = first
    # A token kept from a page whose number is a power of two meets any cycle, in constant memory.
    kept: str | None = None
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
            raise MalformedResponse("the listing goes round in circles: a continuation token came twice")
        if number == milestone:
            kept = token
            milestone *= 2
        request = request._replace(token=token, start_after="")


def entries_of(page: Page, path_length: int) -> list[ListEntry]:
    """The objects of a page, with keys relative to a store.

    Args:
        path_length: Characters of the store's path.
    """
    return [
        ListEntry(
            listed.key[path_length:],
            listed.size,
            quoted(listed.etag),
            parse_iso_date(listed.last_modified),
        )
        for listed in page.entries
    ]
