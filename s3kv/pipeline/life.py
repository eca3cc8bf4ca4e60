"""The life of one request as a state machine: sign, send, classify, back off, try again.

A generator that does no I/O. It yields what it needs done and is resumed with the outcome:

==============================  ==============================================================
it yields                       and is resumed with
==============================  ==============================================================
:class:`WireRequest`            the :class:`Response`; a :class:`TransportError` or
                                :class:`MalformedResponse` is thrown in
:class:`Pause`                  None, when the time has passed
:class:`Await`                  None, when it is settled
:class:`Obtain`                 what its function returned; its exception is thrown in
==============================  ==============================================================

Whoever drives it, one blocking thread a request or one thread for many, there is no other retry loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..call import Call
from ..clock import Clock
from ..credentials.value import Credentials, CredentialsSource
from ..endpoint import Endpoint
from ..errors import (
    DeadlineExceeded,
    EndpointUnreachable,
    RetriesExhausted,
    S3KVError,
    TransportError,
)
from ..limits.adaptive import AdaptiveLimit
from ..limits.copying import CopyLimit
from ..limits.rate_limiter import RateLimiter
from ..limits.rates import Rates
from ..messages import Await, Pairs, Pause, Request, Response, Settings, WireRequest
from ..metrics import Recorder
from ..retry import (
    ANSWERED_EARLY,
    End,
    RetryPolicy,
    Verdict,
    decide,
    late_status,
    may_have_acted,
    wants_less,
)
from ..spec.deciding import Deciding
from ..timestamps import parse_http_date
from ..xml import parse_error
from .outcome import describe, given_up, service_error
from .prepare import prepare
from .redact import mask_answer, mask_error, secrets_of
from .resume import Resumption
from .trace import answered, gave_up, listening, trying_again

if TYPE_CHECKING:
    from logging import Logger

# Seconds that one pause may last.
_LONGEST = 1e6
_READS = frozenset({"GET", "HEAD"})


#: What a first attempt was sent with ahead of its request's life: credentials, endpoint, the store's time,
#: the adaptive limit's epoch, and the monotonic and the local time. Plain, for there is one for each.
Begun = tuple[Credentials, Endpoint, float, int, float, float]


class Obtain(NamedTuple):
    """Ask the driver to run a function that may wait, and is no request of ours.

    Attributes:
        function: Takes nothing; its result or exception comes back.
    """

    function: Callable[[], Any]


Effect = WireRequest | Pause | Await | Obtain
Life = Generator[Effect, Any, Response]


class Memory:
    """What one bucket's requests have taught: shared by all of them, no lock.

    Each attribute is replaced as a whole, and a lost update costs one more try at most.

    Args:
        reach: What is known of the endpoint, shared with other buckets there; default: nothing.

    Attributes:
        clock_offset: Seconds to add to the local clock to get the store's.
        found: Some request was answered in a way that shows that the bucket exists.
        rgw: The store is a Ceph RADOS Gateway, which has ways of its own.
        unordered: The store lists keys in another order than that of their bytes.
        no_multi_delete: The store does not delete several objects in one request.
    """

    __slots__ = ("_reach", "clock_offset", "found", "no_multi_delete", "rgw", "unordered")

    def __init__(self, reach: Reach | None = None) -> None:
        self._reach = reach or Reach()
        self.clock_offset = 0.0
        self.found = False
        self.rgw = False
        self.unordered = False
        self.no_multi_delete = False

    @property
    def answered(self) -> bool:
        """Some request of this process got an answer from the endpoint."""
        return self._reach.answered

    @answered.setter
    def answered(self, value: bool) -> None:
        self._reach.answered = value


class Reach:
    """Whether an endpoint has ever answered this process."""

    __slots__ = ("answered",)

    def __init__(self) -> None:
        self.answered = False


class Resources(Protocol):
    """What a request's life needs to know of the store it belongs to."""

    @property
    def endpoint(self) -> Endpoint | None: ...
    def locate(self, call: Call) -> Endpoint: ...
    def relocate(self, response: Response, asked: Endpoint) -> bool: ...
    @property
    def credentials(self) -> CredentialsSource: ...
    @property
    def policy(self) -> RetryPolicy: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def extra_headers(self) -> Pairs: ...
    @property
    def rates(self) -> Rates: ...
    @property
    def deciding(self) -> Deciding: ...
    @property
    def copies(self) -> CopyLimit: ...
    @property
    def adaptive(self) -> AdaptiveLimit: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def recorder(self) -> Recorder: ...
    @property
    def log(self) -> Logger: ...


def live(request: Request, resources: Resources, call: Call, tries: int = 0) -> Life:
    """Send a request until it is answered for good, and return the answer.

    Every status that trying again would not change is an answer, 404 and 412 included: what it means
    is for the operation to say.

    Where the call says that the first attempt has been sent already (``Call.begun``), the first request
    yielded is that one, and not to be sent again.

    Args:
        tries: How many of the policy's attempts are used up already.

    Raises:
        RetriesExhausted: every attempt failed in a way that another might not.
        DeadlineExceeded: the call's deadline passed.
        TransportError: a failure that another attempt would not mend.
        MalformedResponse: the answer breaks HTTP.
        CredentialsError: there are no credentials.
    """
    policy, clock, memory = resources.policy, resources.clock, resources.memory
    adaptive = resources.adaptive
    flying = adaptive.flying
    call.operation = request.operation
    limiter = resources.rates.reads if request.method in _READS else resources.rates.writes
    fresh = renewed = moved = False
    began: float | None = None
    refused: tuple[Credentials, Response] | None = None
    asked = request
    resumption: Resumption | None = None
    # A store whose object cannot be read on from where it broke off is not asked that twice.
    resumable = request.data
    error: S3KVError | None = None
    outcome: Response | None = None
    log = listening(resources.log)
    begun: Begun | None = call.begun
    call.begun = None
    start = clock.monotonic() if begun is None else begun[4]
    before = call.attempts
    try:
        while True:
            if begun is None:
                if adaptive.active:
                    yield from _wait_for_turn(adaptive)
                # A request that a dead connection did not carry has not been one.
                if limiter is not None and not fresh:
                    yield from _admitted(limiter, call, clock)
                credentials = resources.credentials.peek()
            else:
                credentials = begun[0]
            if credentials is None:
                fetch = resources.credentials.fetch()
                yield Await(fetch)
                try:
                    credentials = fetch.result()
                except S3KVError as failure:
                    raise describe(failure, call, clock.monotonic()) from failure.__cause__
            if refused is not None:
                if credentials == refused[0]:
                    # There is no other token.
                    outcome = refused[1]
                    return outcome
                refused = None
            tries += 1
            wire: WireRequest | None = None
            try:
                if begun is None:
                    endpoint = resources.endpoint
                    if endpoint is None:
                        endpoint = yield Obtain(partial(resources.locate, call))
                    now = clock.time() + memory.clock_offset
                    epoch = adaptive.epoch
                else:
                    _, endpoint, now, epoch, _, _ = begun
                    begun = None
                wire = prepare(
                    asked,
                    endpoint,
                    credentials,
                    now,
                    resources.settings.user_agent,
                    extra=resources.extra_headers,
                    fresh=fresh,
                )
                call.attempts += 1
                flying.add(call)
                try:
                    response: Response = yield wire
                finally:
                    flying.discard(call)
                    if adaptive.active:
                        adaptive.pass_on()
            except TransportError as failure:
                if failure.sent:
                    call.uncertain += 1
                if failure.reason == "connect" and began is None:
                    began = clock.monotonic()
                decision = decide(
                    policy,
                    request.operation,
                    failure=failure,
                    attempt=tries,
                    draw=clock.draw(),
                    left=_left(call, clock),
                    unreachable=None if began is None or memory.answered else clock.monotonic() - began,
                )
                if decision.verdict is Verdict.STALE and not fresh:
                    # Nothing is wrong with the store: its idle time ran out. Costs no attempt.
                    fresh = True
                    tries -= 1
                    if wire is not None:
                        call.attempts -= 1
                    continue
                if resumable:
                    resumption = _cut_off(request, resumption, failure)
                    asked = request if resumption is None else resumption.request
                    failure.partial = None
                error = describe(failure, call, clock.monotonic())
                mask_error(error, secrets_of(credentials, wire))
                if decision.verdict is Verdict.FAIL:
                    raise error from failure.__cause__
            except S3KVError as failure:
                mask_error(failure, secrets_of(credentials, wire))
                raise describe(failure, call, clock.monotonic()) from failure.__cause__
            else:
                if log is not None:
                    answered(log, request, call, response, clock.monotonic() - start)
                memory.answered = True
                status = response.status
                if status < 300 and not (request.operation in ANSWERED_EARLY and _failed_late(response)):
                    outcome = response if resumption is None else resumption.complete(response)
                    if outcome is not None:
                        if adaptive.active:
                            adaptive.accepted()
                        return outcome
                    # As if the store had seen for itself that this is not the version that was begun.
                    response = Response(412, response.headers, b"")
                status = response.status
                response.error = parse_error(response.body)
                less = wants_less(status, response.error.code)
                if adaptive.active and status < 500 and not less:
                    adaptive.accepted()
                mask_answer(response, secrets_of(credentials, wire))
                if not moved and resources.relocate(response, endpoint):
                    moved = True
                    fresh = False
                    tries -= 1
                    continue
                decision = decide(
                    policy,
                    request.operation,
                    status=status,
                    code=response.error.code,
                    headers=response.headers,
                    attempt=tries,
                    draw=clock.draw(),
                    now=now,
                    left=_left(call, clock),
                )
                verdict = decision.verdict
                if verdict is Verdict.SKEW:
                    verdict = Verdict.RETRY if _learn_skew(response, now, clock, memory) else verdict
                elif (
                    verdict is Verdict.EXPIRED and not renewed and resources.credentials.reject(credentials)
                ):
                    renewed = True
                    if credentials.token is not None:
                        refused = credentials, response
                    verdict = Verdict.RETRY
                    if tries < policy.max_retries:
                        # Nothing is wrong with the store, so nothing is to be waited for.
                        fresh = False
                        continue
                if resumption is not None and verdict is not Verdict.RETRY:
                    # What is there now is not what was begun, or is not to be had in parts.
                    resumption, resumable, asked = None, False, request
                    if tries < policy.max_retries:
                        fresh = False
                        continue
                    assert error is not None
                    raise _end(RetriesExhausted, error, call, clock) from error
                if verdict is not Verdict.RETRY:
                    outcome = response
                    return response
                if less:
                    adaptive.refused(epoch)
                if may_have_acted(status, response.error.code):
                    call.uncertain += 1
                error = service_error(response, request, call, clock.monotonic())
            fresh = False
            if decision.end is not None:
                raise _end(_ENDS[decision.end], error, call, clock) from error
            if log is not None:
                trying_again(log, request, error, decision.delay)
            yield Pause(decision.delay)
    except S3KVError as failure:
        if log is not None:
            gave_up(log, request, failure)
        raise
    finally:
        resources.recorder.record(
            (
                request.operation,
                clock.monotonic() - start,
                call.attempts - before,
                max(0, len(outcome.body) - outcome.rest)
                if request.data and outcome is not None and outcome.status < 300
                else 0,
                len(request.body) if outcome is not None and outcome.status < 300 else 0,
                outcome is None,
            )
        )
        # Its traceback keeps this frame, and what that holds.
        error = None


_ENDS: dict[End, type[S3KVError]] = {
    End.EXHAUSTED: RetriesExhausted,
    End.UNREACHABLE: EndpointUnreachable,
    End.DEADLINE: DeadlineExceeded,
}


def _left(call: Call, clock: Clock) -> float:
    """Seconds until the deadline."""
    return math.inf if call.deadline is None else call.deadline - clock.monotonic()


def _cut_off(request: Request, resumption: Resumption | None, failure: TransportError) -> Resumption | None:
    """How to go on after a failure that may have come in the middle of the object's bytes."""
    if resumption is None:
        return Resumption.of(request, failure.partial)
    return resumption if resumption.extend(failure.partial) else None


def _wait_for_turn(adaptive: AdaptiveLimit) -> Generator[Effect, Any, None]:
    """Wait among those whom the store has asked to be fewer."""
    while (turn := adaptive.turn()) is not None:
        try:
            yield Await(turn)
        except BaseException:
            adaptive.leave(turn)
            raise


def _failed_late(response: Response) -> bool:
    """Whether an answer that began as a success is an error after all; then with the status it deserves."""
    error = parse_error(response.body)
    if not error.code and not error.message:
        return False
    response.status = late_status(error.code)
    return True


def _admitted(limiter: RateLimiter, call: Call, clock: Clock) -> Generator[Effect, Any, None]:
    """Wait for a token of the limiter."""
    now = clock.monotonic()
    wait = limiter.reserve(now, math.inf if call.deadline is None else call.deadline)
    if wait == math.inf:
        raise DeadlineExceeded(
            f"the store's timeout passes before its rate limit ({limiter}) allows the request",
            operation=call.operation,
            key=call.key,
            attempts=call.attempts,
            elapsed=now - call.started,
        )
    until = now + wait
    try:
        while wait > 0:
            yield Pause(min(wait, _LONGEST))
            wait = until - clock.monotonic()
    except BaseException:
        # Nobody waits any more.
        limiter.give_back()
        raise


def _learn_skew(response: Response, now: float, clock: Clock, memory: Memory) -> bool:
    """Take the store's clock from its answer; False when that would not change anything."""
    date = parse_http_date(response.headers.get("date"))
    # A clock that has no time says some first or last day there can be, with which nothing can be signed.
    if date is None or not 1970 <= date.year < 9999:
        return False
    offset = date.timestamp() - clock.time()
    if abs(offset - memory.clock_offset) < 1.0 and abs(date.timestamp() - now) < 60.0:
        # Already applied, and refused all the same.
        return False
    memory.clock_offset = offset
    return True


def _end(kind: type[S3KVError], last: S3KVError, call: Call, clock: Clock) -> S3KVError:
    error = given_up(kind, last, call.attempts, clock.monotonic() - call.started)
    error.attempts = call.attempts
    return error
