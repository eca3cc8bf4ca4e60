"""Beginning a multipart upload, and having the store forget what an attempt began whose answer was lost.

Whoever does not get the answer to CreateMultipartUpload does not know the id of the upload that the store
may have begun, and will keep. S3 tells of an upload its key, who began it and when, and nothing that they
have chosen. So one is taken for a lost one only if it can hardly be anybody else's: of the same key and the
same initiator, begun while it was asked for, without a part, unknown to this process; and only if there are
no more of them than answers were lost.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from ..call import Call
from ..messages import Pairs, Pause, Request
from ..multipart_xml import UnderWay, has_parts, parse_uploads
from ..pipeline.life import Effect, Resources, live
from ..timestamps import parse_http_date
from .known_uploads import KNOWN
from .multipart import abort_upload, create_upload

# Seconds by which two of a store's times may be off: some cut off fractions, and Date always does.
_BLUR = 1.0
# Seconds before another look: a store may act on a request whose client has hung up already.
_LATER = (0.2, 0.6)


class Begun(NamedTuple):
    """An upload, and those that may have been begun besides.

    Attributes:
        upload: Its id; empty where no answer told one.
        lost: How many answers were lost at most.
        since: Monotonic time of the first attempt, in seconds.
        until: The same of the answer, or of when nobody waited for one any more.
    """

    upload: str
    lost: int
    since: float
    until: float


class Beginning:
    """An upload that is being begun, for whoever waits for that and may cease to.

    Mutable state: ``_begun``, set by the thread that carries the request, and ``given_up``, set by the
    one that waits. Each sets its own before it looks at the other's, so one of them knows of both.

    Attributes:
        since: Monotonic time from which it is waited for, in seconds.
        given_up: Nobody waits for it any more.
    """

    __slots__ = ("_begun", "given_up", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self._begun: Begun | None = None
        self.given_up = False

    def settle(self, begun: Begun) -> None:
        """Say that the answer has come; what nobody waits for any more is as good as lost."""
        self._begun = begun
        if not self.given_up:
            KNOWN.add(begun.upload)

    def give_up(self) -> Begun | None:
        """Wait no more; what has been begun by now, though nobody may have been told."""
        self.given_up = True
        return self._begun


def begin_upload(
    resources: Resources, call: Call, key: str, headers: Pairs, beginning: Beginning
) -> Generator[Effect, Any, Begun]:
    """Begin an upload.

    Args:
        key: The full key.
        headers: What the object is to be stored with.
        beginning: Is told of it, even if nobody takes the result.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    clock = resources.clock
    since = clock.monotonic()
    call.uncertain = 0
    with KNOWN.asking(key, beginning):
        upload: str = yield from create_upload(resources, call, key, headers)
        begun = Begun(upload, call.uncertain, since, clock.monotonic())
        beginning.settle(begun)
    return begun


def forget_lost(
    resources: Resources, call: Call, key: str, begun: Begun, again: bool = False
) -> Generator[Effect, Any, None]:
    """Abort the uploads that may have been begun, but of which no answer came.

    Args:
        key: The full key.
        begun: What is known of it.
        again: The store may not have acted on the last request yet: where there is nothing, look again.
            Default False.

    Raises:
        S3KVError: the store refused, or did not answer.
    """
    for seconds in (0.0, *_LATER) if again else (0.0,):
        if seconds:
            yield Pause(seconds)
            # It may have begun since.
            begun = begun._replace(until=resources.clock.monotonic())
        if (yield from _forget_what_is_there(resources, call, key, begun)):
            return


def _forget_what_is_there(
    resources: Resources, call: Call, key: str, begun: Begun
) -> Generator[Effect, Any, bool]:
    """One look at the uploads under way; whether another is of no use."""
    # Not url-encoded: SeaweedFS only says so, and RADOS Gateway does so without a word.
    query = (("prefix", key), ("uploads", ""))
    response = yield from live(Request("ListMultipartUploads", "GET", None, query), resources, call)
    if response.status != 200:
        return True
    uploads, truncated = parse_uploads(response.body)
    uploads = [found for found in uploads if found.key == key]
    own = next((found for found in uploads if found.upload == begun.upload), None)
    if own is not None and own.initiated is not None:
        latest = own.initiated
    elif (date := parse_http_date(response.headers.get("date"))) is not None:
        latest = date.timestamp() - (resources.clock.monotonic() - begun.until) + _BLUR
    else:
        return True
    earliest = latest - (begun.until - begun.since) - 2 * _BLUR
    lost = [found for found in uploads if found is not own and _may_be_lost(found, own, earliest, latest)]
    if truncated or len(lost) > begun.lost or KNOWN.asked(key):
        # Some of them are somebody's.
        return True
    for found in lost:
        parts = (("max-parts", "1"), ("uploadId", found.upload))
        response = yield from live(Request("ListParts", "GET", key, parts), resources, call)
        if response.status == 200 and not has_parts(response.body):
            yield from abort_upload(resources, call, key, found.upload)
    return bool(lost)


def _may_be_lost(found: UnderWay, own: UnderWay | None, earliest: float, latest: float) -> bool:
    if found.upload in KNOWN or found.initiated is None or not earliest <= found.initiated <= latest:
        return False
    return own is None or found.initiator == own.initiator
