"""The life of one request, driven by hand: no sockets, no sleeping, time passes only when told to."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from s3kv.call import Call
from s3kv.clock import Clock
from s3kv.credentials.value import ANONYMOUS, Credentials
from s3kv.endpoint import Endpoint, custom_endpoint
from s3kv.errors import (
    CredentialsError,
    DeadlineExceeded,
    EndpointUnreachable,
    MalformedResponse,
    RetriesExhausted,
    S3KVError,
    ServiceError,
    TransportError,
)
from s3kv.limits.adaptive import AdaptiveLimit
from s3kv.limits.copying import CopyLimit
from s3kv.limits.rates import Rates
from s3kv.messages import Await, Pairs, Pause, Request, Response, Settings, WireRequest
from s3kv.metrics import Recorder
from s3kv.pending import Pending
from s3kv.pipeline.life import Memory, Obtain, Reach, live
from s3kv.retry import RetryPolicy
from s3kv.sigv4 import amz_date
from s3kv.spec.resources import RateLimiter

EPOCH = 1_769_900_000.0
GET = Request("GetObject", "GET", "path/key")
OLD = Credentials("AKIAOLDOLDOLDOLDOLD1", "old/secret/key/old/secret", "old+token=")
HERE = custom_endpoint("http://localhost:9000", "bucket", "us-east-1")
THERE = custom_endpoint("http://localhost:9001", "bucket", "eu-west-1")
NEW = Credentials("AKIANEWNEWNEWNEWNEW2", "new/secret/key/new/secret", "new+token=")


class FakeClock(Clock):
    """Seconds since the start are ``now``; every draw is the next of ``chances``."""

    __slots__ = ("chances", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.chances: Iterator[float] = itertools.repeat(1.0)

    def time(self) -> float:
        return EPOCH + self.now

    def monotonic(self) -> float:
        return 1000.0 + self.now

    def draw(self) -> float:
        return next(self.chances)


class Vault:
    """Credentials that are there at once, or must be fetched from ``store`` one after the other."""

    def __init__(self, current: Credentials | None, *store: Credentials | Exception) -> None:
        self.current = current
        self.store = list(store)
        self.rejected: list[Credentials] = []
        self.replaceable = True

    def peek(self) -> Credentials | None:
        return self.current

    def fetch(self) -> Pending[Credentials]:
        found = self.store.pop(0)
        pending: Pending[Credentials] = Pending()
        if isinstance(found, Exception):
            pending.settle(None, found)
        else:
            self.current = found
            pending.settle(found, None)
        return pending

    def reject(self, credentials: Credentials) -> bool:
        self.rejected.append(credentials)
        if self.replaceable:
            self.current = None
        return self.replaceable


@dataclass
class World:
    """What a request's life knows of its store."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    credentials: Vault = field(default_factory=lambda: Vault(OLD))
    clock: FakeClock = field(default_factory=FakeClock)
    memory: Memory = field(default_factory=Memory)
    settings: Settings = field(default_factory=Settings)
    extra_headers: Pairs = ()
    copies: CopyLimit = field(default_factory=CopyLimit)
    rates: Rates = field(default_factory=lambda: Rates(RateLimiter(), {}))
    adaptive: AdaptiveLimit = field(default_factory=lambda: AdaptiveLimit(lambda: 32))
    recorder: Recorder = field(default_factory=lambda: Recorder(lambda: 0, lambda: 32))
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("s3kv"))
    endpoint: Endpoint | None = HERE
    places: list[Endpoint | Exception] = field(default_factory=list)
    elsewhere: Endpoint | None = None
    refusals: list[tuple[int, Endpoint]] = field(default_factory=list)

    def locate(self, call: Call) -> Endpoint:
        """Find out what was not known: the next of ``places``."""
        found = self.places.pop(0)
        if isinstance(found, Exception):
            raise found
        self.endpoint = found
        return found

    def relocate(self, response: Response, asked: Endpoint) -> bool:
        """Go ``elsewhere``, if there is such a place and it is not where the answer came from."""
        self.refusals.append((response.status, asked))
        if self.elsewhere is None or self.elsewhere == asked:
            return False
        self.endpoint = self.elsewhere
        return True


Outcome = Response | S3KVError
Script = Iterable[Outcome | Callable[[], Outcome]]


@dataclass
class Trace:
    """What a life asked for, in order, and how it ended."""

    call: Call
    wires: list[WireRequest] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    obtained: int = 0
    response: Response | None = None
    error: S3KVError | None = None


def run(script: Script, world: World, timeout: float | None = None, request: Request = GET) -> Trace:
    """Drive a life to its end; every request that it sends takes the next outcome of the script.

    A script that is a list must be used up: neither more nor fewer requests may be sent.
    """
    clock = world.clock
    call = Call("key", clock.monotonic(), timeout)
    trace = Trace(call)
    outcomes = iter(script)
    steps = live(request, world, call)
    try:
        effect = next(steps)
        while True:
            if isinstance(effect, WireRequest):
                trace.wires.append(effect)
                trace.sent_at.append(clock.now)
                assert len(trace.wires) < 1000, "a life without end"
                outcome = next(outcomes, None)
                assert outcome is not None, f"a request too many: {trace}"
                if callable(outcome):
                    outcome = outcome()
                effect = steps.send(outcome) if isinstance(outcome, Response) else steps.throw(outcome)
            elif isinstance(effect, Pause):
                assert effect.seconds >= 0
                trace.pauses.append(effect.seconds)
                clock.now += effect.seconds
                effect = steps.send(None)
            elif isinstance(effect, Await):
                trace.obtained += 1
                assert effect.pending.settled
                effect = steps.send(None)
            else:
                assert isinstance(effect, Obtain)
                trace.obtained += 1
                try:
                    found = effect.function()
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(found)
    except StopIteration as end:
        trace.response = end.value
    except S3KVError as error:
        trace.error = error
    if isinstance(script, list):
        assert next(outcomes, None) is None, f"not all was asked for: {trace}"
    return trace


def answer(status: int = 200, code: str = "", message: str = "told", **headers: str) -> Response:
    """An answer, with S3's error document where it has a code."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"x-amz-request-id": "R1", "x-amz-id-2": "H1", **names}, body.encode())


def failure(reason: str) -> TransportError:
    return TransportError(f"it was {reason}", reason=reason)


def after(world: World, seconds: float, outcome: Outcome) -> Callable[[], Outcome]:
    """An outcome that takes its time."""

    def come() -> Outcome:
        world.clock.now += seconds
        return outcome

    return come


def _access_key(wire: WireRequest) -> str:
    return dict(wire.headers)["Authorization"].partition("Credential=")[2].partition("/")[0]


def _date(wire: WireRequest) -> str:
    return dict(wire.headers)["x-amz-date"]


# --------------------------------------------------------------------------------------- answers


def test_an_answer_at_the_first_try_is_the_answer() -> None:
    """One request, no pause, one attempt; the store is known to answer from then on."""
    world = World()
    told = answer()
    trace = run([told], world)
    assert trace.response is told
    assert told.error is None
    assert trace.pauses == []
    assert trace.call.attempts == 1
    assert trace.call.operation == "GetObject"
    assert world.memory.answered


@pytest.mark.parametrize("status", [200, 201, 204, 206, 300, 301, 304, 307])
def test_what_is_no_error_is_handed_over(status: int) -> None:
    """Redirects and 304 too; the body of a success is an object's and is not looked at."""
    trace = run([answer(status, "SlowDown")], World())
    assert trace.response is not None
    assert trace.response.status == status
    assert trace.pauses == []
    assert trace.response.code == ("" if status < 300 else "SlowDown")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ""),
        (400, "BadDigest"),
        (403, "AccessDenied"),
        (403, ""),
        (404, "NoSuchKey"),
        (404, "NoSuchBucket"),
        (404, ""),
        (409, "BucketNotEmpty"),
        (412, "PreconditionFailed"),
        (416, "InvalidRange"),
        (501, "NotImplemented"),
    ],
)
def test_an_error_that_would_not_change_is_handed_over_with_what_it_says(status: int, code: str) -> None:
    """What it means is for the operation to say."""
    trace = run([answer(status, code)], World())
    assert trace.response is not None
    assert trace.response.status == status
    assert trace.response.error is not None
    assert trace.response.code == code
    assert trace.pauses == []
    assert trace.call.attempts == 1


# --------------------------------------------------------------------------------------- retries

TRANSIENT: dict[str, Callable[[], Outcome]] = {
    "503": lambda: answer(503),
    "503 SlowDown": lambda: answer(503, "SlowDown"),
    "500 InternalError": lambda: answer(500, "InternalError"),
    "429": lambda: answer(429),
    "408": lambda: answer(408),
    "400 RequestTimeout": lambda: answer(400, "RequestTimeout"),
    "403 Throttling": lambda: answer(403, "Throttling"),
    "HTML from a proxy": lambda: Response(502, {"content-type": "text/html"}, b"<html>bad gateway"),
    "closed": lambda: failure("closed"),
    "timeout": lambda: failure("timeout"),
    "short": lambda: failure("short"),
    "connect": lambda: failure("connect"),
}

transient = pytest.mark.parametrize("make", TRANSIENT.values(), ids=TRANSIENT)


@transient
def test_a_transient_failure_is_tried_again_after_a_pause(make: Callable[[], Outcome]) -> None:
    """By status, by code in the body or by the failure of the connection; then it works."""
    trace = run([make(), answer()], World())
    assert trace.response is not None
    assert trace.response.status == 200
    assert trace.pauses == [1.0]
    assert trace.call.attempts == 2


def test_the_second_attempt_is_signed_anew() -> None:
    """With the date of its own time; everything else is the same request."""
    world = World()
    trace = run([answer(503), answer()], world)
    first, second = trace.wires
    assert _date(first) == amz_date(EPOCH)
    assert _date(second) == amz_date(EPOCH + 1)
    assert dict(first.headers)["Authorization"] != dict(second.headers)["Authorization"]
    assert first.target == second.target == "/bucket/path/key"
    assert not first.fresh
    assert not second.fresh


def test_pauses_double_up_to_the_most() -> None:
    """With the longest draw: 1, 2, 4 … 32, 32 seconds."""
    trace = run([*(answer(503) for _ in range(8)), answer()], World())
    assert trace.pauses == [1, 2, 4, 8, 16, 32, 32, 32]


def test_every_pause_is_drawn_anew() -> None:
    """From zero to its bound, so that many clients spread out."""
    world = World()
    world.clock.chances = iter([0.5, 0.0, 0.25, 1.0])
    trace = run([*(answer(503) for _ in range(4)), answer()], world)
    assert trace.pauses == [0.5, 0.0, 1.0, 8.0]


@transient
@pytest.mark.parametrize("most", [1, 2, 5])
def test_retries_end_after_so_many_attempts(make: Callable[[], Outcome], most: int) -> None:
    """Attempts in all, no pause after the last; the error has the facts of the last failure."""
    world = World(policy=RetryPolicy(max_retries=most, initial_delay=0.125))
    trace = run([make() for _ in range(most)], world)
    error = trace.error
    assert isinstance(error, RetriesExhausted)
    assert len(trace.pauses) == most - 1
    assert error.attempts == trace.call.attempts == most
    assert error.operation == "GetObject"
    assert error.key == "key"
    assert error.elapsed == world.clock.now == sum(trace.pauses)
    cause = error.__cause__
    assert isinstance(cause, S3KVError)
    assert cause.message in error.message
    assert (cause.status, cause.code, cause.request_id) == (error.status, error.code, error.request_id)


def test_the_error_at_the_end_says_how_often_it_was_tried() -> None:
    """In words, with the last failure's."""
    for most, words in ((1, "once"), (2, "2 times")):
        world = World(policy=RetryPolicy(max_retries=most))
        trace = run([failure("closed") for _ in range(most)], world)
        assert trace.error is not None
        assert trace.error.message == f"given up after trying {words}: it was closed"
    trace = run([answer(503, "SlowDown", "Wait.")], World(), timeout=0.5)
    assert trace.error is not None
    assert trace.error.message == "the store's timeout passed after trying once: Wait."


def test_the_error_at_the_end_is_chained_to_the_last_failure() -> None:
    """Not to the first, whatever kinds of failure came before."""
    world = World(policy=RetryPolicy(max_retries=3))
    last = failure("closed")
    trace = run([answer(503, "SlowDown"), answer(500), last], world)
    assert trace.error is not None
    assert trace.error.__cause__ is last
    assert trace.error.status is None
    assert last.attempts == 3

    trace = run(
        [failure("closed"), failure("timeout"), answer(503, "SlowDown", "Reduce your rate.")], world
    )
    assert trace.error is not None
    cause = trace.error.__cause__
    assert type(cause) is ServiceError
    assert (cause.status, cause.code, cause.message) == (503, "SlowDown", "Reduce your rate.")
    assert (trace.error.status, trace.error.code) == (503, "SlowDown")
    assert (trace.error.request_id, trace.error.host_id) == ("R1", "H1")
    assert "3 times" in str(trace.error)
    assert "Reduce your rate." in str(trace.error)


@pytest.mark.parametrize("reason", ["tls", "proxy"])
def test_a_failure_that_would_not_mend_itself_is_not_tried_again(reason: str) -> None:
    """A certificate stays wrong; the error is the transport's own, with what the call knows."""
    origin = OSError("certificate verify failed")
    refused = failure(reason)
    refused.__cause__ = origin
    trace = run([refused], World())
    assert trace.error is refused
    assert refused.__cause__ is origin
    assert trace.pauses == []
    assert (refused.operation, refused.key, refused.attempts) == ("GetObject", "key", 1)


def test_an_answer_that_breaks_http_is_not_tried_again() -> None:
    """It is no accident of the network; the error says for what it was an answer."""
    broken = MalformedResponse("two lengths")
    trace = run([answer(503), broken], World())
    assert trace.error is broken
    assert (broken.operation, broken.key, broken.attempts, broken.elapsed) == ("GetObject", "key", 2, 1.0)


# ------------------------------------------------------------------------------ what the store asks


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 1.0),
        ({"retry_after": "0.5"}, 1.0),
        ({"retry_after": "1000"}, 32.0),
        ({"retry_after": formatdate(EPOCH + 20, usegmt=True)}, 20.0),
        ({"retry_after": formatdate(EPOCH - 20, usegmt=True)}, 1.0),
        ({"x_amz_retry_after": "2500"}, 2.5),
        ({"retry_after": "soon"}, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_asks_for_time_gets_it_up_to_the_most(
    headers: dict[str, str], pause: float, status: int
) -> None:
    """Never less than the draw, never more than max_delay."""
    trace = run([answer(status, **headers), answer()], World())
    assert trace.pauses == [pause]


@pytest.mark.parametrize(
    "refusal",
    [(429, ""), (503, ""), (400, "ThrottlingException"), (200, "SlowDown")],
    ids=lambda refusal: f"{refusal[0]} {refusal[1]}".strip(),
)
def test_a_store_that_asks_for_less_is_not_sent_more(refusal: tuple[int, str]) -> None:
    """A refusal is no success, also not of a request that was under way when another was refused."""
    world = World(RetryPolicy(max_retries=1))
    adaptive = world.adaptive
    # And the one that is looked at, and the other one, which has just ended.
    adaptive.flying.update(range(14))

    def refused_after_another() -> Outcome:
        adaptive.refused(adaptive.epoch)
        return answer(*refusal)

    completion = Request("CompleteMultipartUpload", "POST", "key")
    trace = run([refused_after_another], world, request=completion)
    assert isinstance(trace.error, RetriesExhausted)
    adaptive.flying.clear()
    adaptive.flying.update(range(8))
    assert adaptive.allowed == 8
    assert adaptive.turn() is not None, "a little more is allowed"


def test_what_the_store_asked_for_is_forgotten_after_the_next_attempt() -> None:
    """Each answer asks for itself."""
    trace = run([answer(503, retry_after="30"), answer(503), failure("closed"), answer()], World())
    assert trace.pauses == [30, 2, 4]


# -------------------------------------------------------------------------------------- deadlines


def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    """The error comes at once, is a TimeoutError, and is chained to the last failure."""
    world = World()
    trace = run([answer(503, "SlowDown") for _ in range(3)], world, timeout=5.0)
    assert trace.pauses == [1, 2]
    error = trace.error
    assert type(error) is DeadlineExceeded
    assert isinstance(error, TimeoutError)
    assert type(error.__cause__) is ServiceError
    assert (error.status, error.code, error.attempts, error.elapsed) == (503, "SlowDown", 3, 3.0)
    assert (error.operation, error.key) == ("GetObject", "key")


def test_a_pause_that_would_end_at_the_deadline_is_not_begun() -> None:
    """Nothing could be sent after it."""
    trace = run([answer(503), answer(503)], World(), timeout=3.0)
    assert type(trace.error) is DeadlineExceeded
    assert trace.pauses == [1]


def test_a_pause_that_ends_before_the_deadline_is_taken() -> None:
    """One attempt more than a shorter deadline would allow."""
    trace = run([answer(503), answer(503), answer()], World(), timeout=3.5)
    assert trace.response is not None
    assert trace.pauses == [1, 2]


def test_the_deadline_counts_from_the_call_and_includes_the_requests_themselves() -> None:
    """Time spent in an exchange is spent."""
    world = World()
    trace = run([after(world, 4.5, failure("timeout"))], world, timeout=5.0)
    assert type(trace.error) is DeadlineExceeded
    assert trace.error.elapsed == 4.5
    assert trace.pauses == []


def test_a_store_that_asks_for_more_time_than_there_is_gets_none() -> None:
    """Waiting would be in vain."""
    trace = run([answer(503, retry_after="10")], World(), timeout=5.0)
    assert type(trace.error) is DeadlineExceeded
    assert trace.pauses == []


def test_an_answer_that_comes_late_is_still_the_answer() -> None:
    """It is there; throwing it away would help nobody."""
    world = World()
    trace = run([after(world, 60.0, answer())], world, timeout=5.0)
    assert trace.response is not None


def test_without_a_deadline_only_the_attempts_count() -> None:
    """All 32 of them, however long they take."""
    world = World()
    trace = run([after(world, 60.0, failure("timeout")) for _ in range(32)], world)
    assert type(trace.error) is RetriesExhausted
    assert len(trace.wires) == 32


# -------------------------------------------------------------------------------- dead connections


def test_a_dead_connection_is_replaced_at_once_and_costs_no_attempt() -> None:
    """No pause, no attempt; the second try insists on a new connection."""
    world = World(policy=RetryPolicy(max_retries=1))
    trace = run([failure("stale"), answer()], world)
    assert trace.response is not None
    assert [wire.fresh for wire in trace.wires] == [False, True]
    assert trace.pauses == []
    assert trace.call.attempts == 1


def test_each_attempt_may_meet_a_dead_connection() -> None:
    """Attempts and pauses are counted as if the dead ones had not been there."""
    trace = run([failure("stale"), answer(503), failure("stale"), answer()], World())
    assert trace.response is not None
    assert [wire.fresh for wire in trace.wires] == [False, True, False, True]
    assert trace.pauses == [1.0]
    assert trace.call.attempts == 2


def test_a_new_connection_that_is_dead_costs_an_attempt() -> None:
    """So that a server that closes every connection at once does not keep the client for ever."""
    world = World(policy=RetryPolicy(max_retries=2))
    trace = run([failure("stale") for _ in range(4)], world)
    assert type(trace.error) is RetriesExhausted
    assert trace.error.attempts == 2
    assert trace.pauses == [1.0]


# ------------------------------------------------------------------------------ nobody is listening


def test_an_endpoint_that_nobody_ever_reached_is_given_up_after_ten_seconds() -> None:
    """The pauses end with the ten seconds, then there is one last try."""
    world = World()
    trace = run((failure("connect") for _ in itertools.count()), world)
    error = trace.error
    assert type(error) is EndpointUnreachable
    assert isinstance(error, RetriesExhausted)
    assert isinstance(error, ConnectionError)
    assert trace.sent_at == [0, 1, 3, 7, 10]
    assert error.elapsed == 10.0
    assert error.attempts == 5
    assert isinstance(error.__cause__, TransportError)
    assert not world.memory.answered


def test_the_ten_seconds_include_the_attempts_themselves() -> None:
    """A name server that takes three seconds to say no is not asked ten times."""
    world = World()
    world.clock.chances = itertools.repeat(0.0)
    trace = run((after(world, 3.0, failure("connect")) for _ in itertools.count()), world)
    assert type(trace.error) is EndpointUnreachable
    assert len(trace.wires) <= 5
    assert world.clock.now <= 10.0 + 2 * 3.0


def test_an_endpoint_that_comes_up_within_ten_seconds_is_reached() -> None:
    """A server that is being started."""
    trace = run([failure("connect") for _ in range(4)] + [answer()], World())
    assert trace.response is not None
    assert trace.sent_at == [0, 1, 3, 7, 10]


def test_an_endpoint_that_has_answered_before_is_tried_for_as_long_as_anything_else() -> None:
    """A restart takes longer than ten seconds."""
    world = World()
    world.memory.answered = True
    trace = run([*(failure("connect") for _ in range(31)), answer()], world)
    assert trace.response is not None
    assert trace.pauses[:7] == [1, 2, 4, 8, 16, 32, 32]


def test_an_endpoint_that_answers_meanwhile_is_known_from_then_on() -> None:
    """Refused, then 503, then refused: the pauses grow as after any failure, beyond ten seconds too."""
    world = World()
    trace = run(
        [failure("connect"), answer(503), *(failure("connect") for _ in range(5)), answer()],
        world,
    )
    assert trace.response is not None
    assert trace.pauses == [1, 2, 4, 8, 16, 32, 32]


def test_an_answer_to_another_request_counts_too() -> None:
    """The memory is shared: what one request learns, the others know."""
    world = World()

    def refused_while_another_is_answered() -> Outcome:
        world.memory.answered = True
        return failure("connect")

    script: Script = [
        failure("connect"),
        refused_while_another_is_answered,
        *(failure("connect") for _ in range(5)),
        answer(),
    ]
    trace = run(script, world)
    assert trace.response is not None
    assert trace.pauses == [1, 2, 4, 8, 16, 32, 32]


def test_other_failures_of_an_endpoint_that_nobody_reached_are_not_hurried() -> None:
    """A connection that is refused once and then cut is a connection: its pauses go past ten seconds."""
    trace = run([failure("connect"), *(failure("closed") for _ in range(5)), answer()], World())
    assert trace.pauses == [1, 2, 4, 8, 16, 32]


def test_an_unreachable_endpoint_ends_with_the_deadline_or_the_attempts_where_they_are_nearer() -> None:
    """Ten seconds are the most, not the least."""
    trace = run([failure("connect") for _ in range(3)], World(), timeout=5.0)
    assert type(trace.error) is DeadlineExceeded
    assert trace.error.elapsed == 3.0
    trace = run([failure("connect") for _ in range(2)], World(policy=RetryPolicy(max_retries=2)))
    assert type(trace.error) is EndpointUnreachable
    assert trace.error.attempts == 2


def test_an_endpoint_that_was_reached_before_is_not_called_unreachable() -> None:
    """When the attempts run out; and another failure of one never reached is not called that either."""
    world = World(policy=RetryPolicy(max_retries=2))
    world.memory.answered = True
    assert type(run([failure("connect"), failure("connect")], world).error) is RetriesExhausted
    world = World(policy=RetryPolicy(max_retries=2))
    assert type(run([failure("connect"), failure("closed")], world).error) is RetriesExhausted


def test_what_is_known_of_an_endpoint_is_shared_by_its_buckets() -> None:
    """An answer about one of them shows that the endpoint is there; the clocks are each their own."""
    reach = Reach()
    one, other = World(memory=Memory(reach)), World(memory=Memory(reach))
    run([answer()], one)
    assert other.memory.answered
    one.memory.clock_offset = 5.0
    assert other.memory.clock_offset == 0.0
    assert not World().memory.answered
    assert not World().memory.found


# ------------------------------------------------------------------------------------------ clocks


def _skewed(shift: float) -> Response:
    """The store's refusal of a date that is off by ``shift``, with its own."""
    return answer(403, "RequestTimeTooSkewed", date=formatdate(EPOCH + shift, usegmt=True))


@pytest.mark.parametrize("shift", [3600.0, -3600.0, 86400.0 * 365, 901.0])
def test_a_clock_that_is_off_is_corrected_by_the_stores(shift: float) -> None:
    """The next attempt carries the store's time, and so does the first of every later request."""
    world = World()
    world.clock.chances = itertools.repeat(0.0)
    trace = run([_skewed(shift), answer()], world)
    assert trace.response is not None
    assert trace.response.status == 200
    assert [_date(wire) for wire in trace.wires] == [amz_date(EPOCH), amz_date(EPOCH + shift)]
    assert trace.call.attempts == 2
    later = run([answer()], world)
    assert _date(later.wires[0]) == amz_date(EPOCH + shift)


def test_a_correction_is_taken_back_when_the_clock_was_set_right() -> None:
    """The offset learnt is replaced, not added to."""
    world = World()
    world.clock.chances = itertools.repeat(0.0)
    world.memory.clock_offset = 3600.0
    trace = run([_skewed(0.0), answer()], world)
    assert trace.response is not None
    assert _date(trace.wires[1]) == amz_date(EPOCH)


def test_a_clock_that_cannot_be_corrected_makes_the_refusal_the_answer() -> None:
    """No date, or none that can be read: sending the same again would not help."""
    for refusal in (answer(403, "RequestTimeTooSkewed"), answer(403, "RequestTimeTooSkewed", date="now")):
        trace = run([refusal], World())
        assert trace.response is refusal
        assert trace.pauses == []


@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
def test_what_a_clock_without_a_time_says_is_not_learnt(year: str) -> None:
    """Nothing could be signed with it, that request or any later one."""
    world = World()
    refusal = answer(403, "RequestTimeTooSkewed", date=f"Fri, 31 Dec {year} 23:59:59 GMT")
    assert run([refusal], world).response is refusal
    later = run([answer()], world)
    assert _date(later.wires[0]) == amz_date(EPOCH)


def test_a_refusal_of_the_corrected_clock_is_the_answer() -> None:
    """A store whose date is wrong too does not keep the client going round."""
    world = World()
    world.clock.chances = itertools.repeat(0.0)
    trace = run([_skewed(3600.0), _skewed(3600.0)], world)
    assert trace.response is not None
    assert trace.response.code == "RequestTimeTooSkewed"
    assert trace.call.attempts == 2


def test_a_correction_that_another_request_made_meanwhile_is_used() -> None:
    """Two requests are refused at the same time; both must be tried again."""
    world = World()
    world.clock.chances = itertools.repeat(0.0)

    def refused_while_another_learns() -> Outcome:
        world.memory.clock_offset = 3600.0
        return _skewed(3600.0)

    trace = run([refused_while_another_learns, answer()], world)
    assert trace.response is not None
    assert trace.response.status == 200
    assert _date(trace.wires[1]) == amz_date(EPOCH + 3600)


# ------------------------------------------------------------------------------------- credentials


def test_credentials_that_are_at_hand_are_not_fetched() -> None:
    """Asked for before every attempt, without waiting."""
    trace = run([answer(503), answer()], World())
    assert trace.obtained == 0
    assert [_access_key(wire) for wire in trace.wires] == [OLD.access_key] * 2


def test_credentials_that_are_not_at_hand_are_fetched_once() -> None:
    """Then they are at hand for the next attempt."""
    trace = run([answer(503), answer()], World(credentials=Vault(None, NEW)))
    assert trace.obtained == 1
    assert [_access_key(wire) for wire in trace.wires] == [NEW.access_key] * 2


def test_each_attempt_uses_the_credentials_of_its_time() -> None:
    """They may be replaced during a backoff: nothing is frozen outside the loop."""
    world = World()

    def refused_while_they_are_replaced() -> Outcome:
        world.credentials.current = NEW
        return answer(503)

    trace = run([refused_while_they_are_replaced, answer()], world)
    assert [_access_key(wire) for wire in trace.wires] == [OLD.access_key, NEW.access_key]
    assert dict(trace.wires[1].headers)["x-amz-security-token"] == NEW.token


def test_credentials_that_cannot_be_had_end_it_before_anything_is_sent() -> None:
    """The provider's own error."""
    missing = CredentialsError("no provider has any")
    trace = run([], World(credentials=Vault(None, missing)))
    assert trace.error is missing
    assert trace.wires == []


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
@pytest.mark.parametrize("status", [400, 403])
def test_credentials_that_expired_are_rejected_and_fetched_again(code: str, status: int) -> None:
    """The source is told which ones; the next attempt has the new ones."""
    vault = Vault(OLD, NEW)
    trace = run([answer(status, code), answer()], World(credentials=vault))
    assert trace.response is not None
    assert trace.response.status == 200
    assert vault.rejected == [OLD]
    assert trace.obtained == 1
    assert [_access_key(wire) for wire in trace.wires] == [OLD.access_key, NEW.access_key]
    assert trace.call.attempts == 2


def test_a_second_rejection_is_the_answer() -> None:
    """Freshly fetched ones that are refused will not get better."""
    vault = Vault(OLD, NEW)
    trace = run([answer(400, "ExpiredToken"), answer(400, "ExpiredToken")], World(credentials=vault))
    assert trace.response is not None
    assert trace.response.code == "ExpiredToken"
    assert vault.rejected == [OLD]
    assert trace.obtained == 1


def test_a_rejection_is_the_answer_where_there_are_no_others() -> None:
    """Anonymous requests, for instance."""
    vault = Vault(ANONYMOUS)
    vault.replaceable = False
    trace = run([answer(400, "InvalidToken")], World(credentials=vault))
    assert trace.response is not None
    assert trace.response.code == "InvalidToken"
    assert trace.pauses == []


def test_other_failures_between_do_not_bring_back_the_one_renewal() -> None:
    """Once means once in the life of a request."""
    vault = Vault(OLD, NEW, OLD)
    script = [answer(400, "ExpiredToken"), answer(503), answer(400, "ExpiredToken")]
    trace = run(script, World(credentials=vault))
    assert trace.response is not None
    assert trace.response.code == "ExpiredToken"
    assert vault.rejected == [OLD]


def test_an_expired_token_at_the_last_attempt_ends_the_retries() -> None:
    """A renewal is an attempt like any other."""
    world = World(policy=RetryPolicy(max_retries=1), credentials=Vault(OLD, NEW))
    trace = run([answer(400, "ExpiredToken")], world)
    assert type(trace.error) is RetriesExhausted
    assert trace.error.code == "ExpiredToken"


# ------------------------------------------------------------------------------------------ places


def test_a_place_that_is_known_is_not_asked_for() -> None:
    """Nothing waits for what is there."""
    world = World(places=[])
    trace = run([answer(503), answer()], world)
    assert trace.obtained == 0
    assert [wire.origin for wire in trace.wires] == [HERE.origin] * 2


def test_a_place_that_is_not_known_is_found_out_once() -> None:
    """The driver waits for it, and the request is signed for its region."""
    world = World(endpoint=None, places=[THERE])
    trace = run([answer(503), answer()], world)
    assert trace.response is not None
    assert trace.obtained == 1
    assert [wire.origin for wire in trace.wires] == [THERE.origin] * 2
    assert "/eu-west-1/s3/" in dict(trace.wires[0].headers)["Authorization"]


def test_a_failure_to_find_it_out_is_tried_again_like_any_other() -> None:
    """And not remembered: the next attempt asks again."""
    world = World(endpoint=None, places=[failure("timeout"), failure("closed"), THERE])
    trace = run([answer()], world)
    assert trace.response is not None
    assert trace.obtained == 3
    assert trace.pauses == [1, 2]


def test_a_place_that_cannot_be_found_out_ends_with_the_attempts() -> None:
    """With the last failure as the cause; nothing was sent."""
    last = failure("timeout")
    world = World(endpoint=None, places=[failure("closed"), last], policy=RetryPolicy(max_retries=2))
    trace = run([], world)
    assert type(trace.error) is RetriesExhausted
    assert trace.error.__cause__ is last
    assert trace.wires == []


def test_a_host_that_nobody_can_reach_is_given_up_while_looking_for_the_place_too() -> None:
    """The ten seconds hold for this request like for any other."""
    world = World(endpoint=None, places=[failure("connect") for _ in range(5)])
    trace = run([], world)
    assert type(trace.error) is EndpointUnreachable
    assert world.clock.now == 10.0


@pytest.mark.parametrize("status", [301, 307, 400])
def test_an_answer_that_names_another_region_is_followed_at_once(status: int) -> None:
    """The same request, signed anew for the other place; no pause, and it costs no attempt."""
    world = World(elsewhere=THERE, policy=RetryPolicy(max_retries=1))
    trace = run([answer(status, "PermanentRedirect"), answer()], world)
    assert trace.response is not None
    assert trace.response.status == 200
    assert [wire.origin for wire in trace.wires] == [HERE.origin, THERE.origin]
    assert "/eu-west-1/s3/" in dict(trace.wires[1].headers)["Authorization"]
    assert trace.pauses == []
    assert world.refusals == [(status, HERE)]


def test_a_move_leaves_attempts_and_pauses_as_they_were() -> None:
    """After it two attempts are still two, and the first pause is still the first."""
    world = World(elsewhere=THERE, policy=RetryPolicy(max_retries=2))
    trace = run([answer(301, "PermanentRedirect"), answer(503), answer()], world)
    assert trace.response is not None
    assert trace.response.status == 200
    assert trace.pauses == [1.0]


def test_a_second_move_is_not_made() -> None:
    """Two places that name each other do not keep the client going round."""
    world = World(elsewhere=THERE)

    def refused_and_sent_back() -> Outcome:
        world.elsewhere = HERE
        return answer(301, "PermanentRedirect")

    trace = run([answer(301, "PermanentRedirect"), refused_and_sent_back], world)
    assert trace.response is not None
    assert trace.response.status == 301


def test_a_success_is_no_reason_to_move() -> None:
    """Whatever its headers say."""
    world = World(elsewhere=THERE)
    trace = run([answer(200)], world)
    assert trace.response is not None
    assert world.refusals == []


# ----------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_any_error_or_effect() -> None:
    """Not the key, not the token, not the signature, in words or in what is asked of the driver."""
    world = World(policy=RetryPolicy(max_retries=2))
    trace = run([answer(503, "SlowDown"), answer(503, "SlowDown")], world)
    assert trace.error is not None
    proofs = [dict(wire.headers)["Authorization"].partition("Signature=")[2] for wire in trace.wires]
    shown = f"{trace.error} {trace.error!r} {trace.error.__cause__!r} {trace.wires!r} {vars(trace.error)}"
    assert OLD.token is not None
    for secret in (OLD.secret_key, OLD.token, *proofs):
        assert secret not in shown
