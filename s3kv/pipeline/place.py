"""Where a bucket is: told by the spec, found out by asking, corrected by the store's own answers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from .. import forksafe
from ..call import Call
from ..endpoint import Endpoint
from ..errors import TransportError
from ..messages import Pairs, Response, WireRequest, header_lines
from ..retry import Verdict, classify_answer
from ..transport.protocol import Transport
from ..xml import parse_error

REGION_HEADER = "x-amz-bucket-region"

_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch
# Answers that say, in their own ways, that the request belongs to another region.
_REDIRECTS = frozenset({301, 307, 400})
_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)


class Place:
    """The endpoint of one bucket.

    Mutable state: ``_endpoint``, replaced as a whole; ``_lock`` is held while the region is asked for,
    so that concurrent callers share one request. A failure is not remembered.

    Args:
        build: The endpoint for a region.
        elsewhere: The endpoint for a region that a refusal names.
        region: The region, or None to ask the bucket for it.
        fallback: The region to use where a store does not tell its own.
        user_agent: Value of the User-Agent header.
        extra: Headers of every request of the store.
        aws: The store is Amazon's, whatever the region.
        url: The endpoint that was given, by the spec or the environment; None for Amazon's own.
    """

    def __init__(
        self,
        build: Callable[[str], Endpoint],
        elsewhere: Callable[[str], Endpoint],
        region: str | None,
        fallback: str,
        user_agent: str,
        extra: Pairs = (),
        *,
        aws: bool = False,
        url: str | None = None,
    ) -> None:
        self.aws = aws
        self.url = url
        self._build = build
        self._elsewhere = elsewhere
        self._fallback = fallback
        self._headers = (*extra, ("User-Agent", user_agent))
        self._lock = threading.Lock()
        self._endpoint = None if region is None else build(region)
        forksafe.register(self)

    def peek(self) -> Endpoint | None:
        """The endpoint, or None when the region must be asked for first."""
        return self._endpoint

    def locate(self, transport: Transport, call: Call) -> Endpoint:
        """The endpoint, after asking the bucket for its region if need be: one unsigned HEAD.

        S3 tells the region whatever else it answers, even to strangers.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html

        Raises:
            TransportError: there was no answer, or one that another attempt may change.
        """
        with self._lock:
            if self._endpoint is not None:
                return self._endpoint
            # Nothing is signed, so any region that every bucket may be in will do.
            start = self._build("us-east-1")
            lines = header_lines([("Host", start.host), *self._headers])
            request = WireRequest(start.origin, "HEAD", start.bucket_target, lines)
            try:
                response = transport.exchange(request, call)
            except TransportError as error:
                if error.reason != "stale":
                    raise
                response = transport.exchange(request._replace(fresh=True), call)
            region = response.headers.get(REGION_HEADER, "")
            if not _REGION(region):
                if classify_answer(response.status, "") is Verdict.RETRY:
                    raise TransportError(
                        f"the bucket's region could not be asked for: {start.url} answered "
                        f"{response.status}",
                        reason="closed",
                    )
                region = self._fallback
            self._endpoint = self._build(region)
            return self._endpoint

    def correct(self, response: Response, asked: Endpoint) -> bool:
        """Take the region that a refusal names; False when it names no other.

        Args:
            asked: The endpoint that refused.
        """
        region = told_region(response)
        if region is None or region == asked.region:
            return False
        current = self._endpoint
        if current is None or current.region != region:
            self._endpoint = self._elsewhere(region)
        return True

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()


def told_region(response: Response) -> str | None:
    """The region that an answer says the bucket is in, if that is what it is about."""
    if response.status not in _REDIRECTS:
        return None
    error = response.error or parse_error(response.body)
    region = response.headers.get(REGION_HEADER, "")
    if not region and (error.code in _CODES or response.status in (301, 307)):
        region = error.region
    return region if _REGION(region) else None
