"""What the credentials may do: list, read, write, delete."""

from __future__ import annotations

from ..operations.conditions import is_rgw
from ..operations.listing import Fetched, PageRequest, read_listing
from .probe import Answer, NotTried, Probe
from .report import Check

_ONE_BYTE = (("range", "bytes=0-0"),)
# What an archived object answers to whoever may read it.
_ARCHIVED = "InvalidObjectState"


class Listed:
    """What came of the listing; for one thread.

    Attributes:
        answer: The answer to it, or None if there was none.
        allowed: It was a listing.
        key: The first key that it had, in full; None for none.
    """

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.allowed = False
        self.key: str | None = None


def ask_for_one_key(probe: Probe) -> Answer:
    """The answer to a listing of one key."""
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1")]
    if probe.store._path:
        query.append(("prefix", probe.store._path))
    return probe.ask("ListObjectsV2", "GET", query=tuple(query))


def try_listing(probe: Probe, listed: Listed) -> Check:
    """List one key; ``listed`` gets what others want to know of it."""

    def look() -> Check:
        listed.answer = answer = ask_for_one_key(probe)
        if answer.response.status != 200:
            raise answer.error
        page = PageRequest(probe.store._path, most=1)
        keys = read_listing(probe.core, Fetched(page, answer.response, answer.call)).keys
        listed.allowed = True
        listed.key = keys[0] if keys else None
        return Check("list", "ok", "works" if keys else "works; nothing is there yet")

    return probe.check("list", look, "s3:ListBucket")


def try_reading(probe: Probe, listed: Listed) -> Check:
    """Read a byte of an object that there is; where none is known, of one that there is not."""

    def look() -> Check:
        key = probe.key if listed.key is None else listed.key
        answer = probe.ask("GetObject", "GET", key, headers=_ONE_BYTE)
        response = answer.response
        status = response.status
        if listed.key is not None:
            # There is not one byte in an empty object, and that is said only to who may read it.
            if status in (200, 206, 416):
                return Check("read", "ok", "works")
            if response.code == _ARCHIVED:
                return Check("read", "ok", "works; the first object is archived, to be restored first")
            raise answer.error
        if response.code == "NoSuchKey":
            return Check(
                "read",
                "ok",
                "works, as far as that shows: of a missing key the store says that it is missing",
            )
        if status == 403 and not listed.allowed and response.code in ("", "AccessDenied"):
            return Check(
                "read",
                "warning",
                "not known: who may not list is refused all keys that are not there",
                "get an object that there is: it may well work",
            )
        raise answer.error

    return probe.check("read", look, "s3:GetObject")


def try_writing(probe: Probe) -> Check:
    """Write the doctor's own key."""

    def look() -> Check:
        put(probe, b"s3kv")
        return Check("write", "ok", "works")

    return probe.check("write", look, "s3:PutObject")


def try_reading_back(probe: Probe) -> Check:
    """Read what was written."""

    def look() -> Check:
        answer = probe.ask("GetObject", "GET", probe.key)
        status, body = answer.response.status, answer.response.body
        if status != 200:
            raise answer.error
        if body != b"s3kv":
            return Check(
                "read",
                "failure",
                f"what was written is answered with {len(body)} other bytes",
                "do not trust the store, or what is on the way to it",
            )
        return Check("read", "ok", "works")

    return probe.check("read", look, "s3:GetObject")


def try_deleting(probe: Probe) -> Check:
    """Remove the doctor's own key, whatever has come of writing it."""

    def look() -> Check:
        answer = probe.ask("DeleteObject", "DELETE", probe.key, last=True)
        if answer.response.status not in (200, 202, 204, 404):
            raise answer.error
        return Check("delete", "ok", "works")

    found = probe.check("delete", look, "s3:DeleteObject")
    if found.outcome == "ok":
        return found
    return found._replace(advice=f"remove {probe.key!r} by hand; {found.advice}")


def put(probe: Probe, value: bytes) -> str:
    """Write the doctor's own key, and return its ETag as it was told.

    Raises:
        S3KVError: the store refuses.
    """
    before, probe.written = probe.written, True
    try:
        answer = probe.ask("PutObject", "PUT", probe.key, body=value)
    except NotTried:
        probe.written = before
        raise
    status = answer.response.status
    if status not in (200, 201, 204):
        # A refusal is certain; a server's trouble may have come after the write.
        probe.written = before or status >= 500
        raise answer.error
    if is_rgw(answer.response):
        probe.core.memory.rgw = True
    return answer.response.headers.get("etag", "")
