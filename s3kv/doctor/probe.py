"""What the doctor sends: requests that give up soon, within a time for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, NamedTuple, TypeVar, cast

from ..call import Call
from ..core import Core
from ..errors import DeadlineExceeded, S3KVError, StoreClosed, TransportError
from ..handle import Handle
from ..messages import Pairs, Request, Response
from ..pipeline.life import Effect, Resources, live
from ..pipeline.outcome import service_error
from ..retry import RetryPolicy
from .advice import advice_for
from .report import Check

T = TypeVar("T")

# Seconds that one request may take, its few retries included.
SECONDS = 5.0
# Seconds after which nothing more is begun.
_IN_ALL = 10.0
# Seconds that the removal of the doctor's own key may take after Ctrl-C, which waits for nothing.
_REMOVE_SOON = 2.0

# Failures that may have to do with what was asked: somebody is there.
_ODD = frozenset({"closed", "short", "stale"})

_MOST_TRIES = 3
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 1.0


class Answer(NamedTuple):
    """A request and what came back.

    Attributes:
        request: What was asked.
        response: The answer, whatever its status.
        call: The record of the request.
        began: Local time before it was sent, seconds since the epoch.
        ended: Local time when the answer was there.
    """

    request: Request
    response: Response
    call: Call
    began: float
    ended: float

    @property
    def error(self) -> S3KVError:
        """What the answer is as an error."""
        return service_error(self.response, self.request, self.call, monotonic())


class NotTried(Exception):
    """There is no more time, or no use; says why."""


class Probe:
    """A store under examination, and a key of nobody's in it.

    Mutable state, of the one thread that examines: ``stopped``, ``written``, and ``_until``, the monotonic
    time at which nothing more is begun.

    Attributes:
        stopped: Why nothing more is to be sent; None as long as it may.
        written: There may be an object under the doctor's own key.
        name: The doctor's own key, relative to the store.
        key: The full key.
    """

    def __init__(self, store: Handle) -> None:
        self.store = store
        self.core: Core = store._core
        self.name = f".s3kv-doctor-{os.urandom(8).hex()}"
        self.key = store._path + self.name
        self.stopped: str | None = None
        self.written = False
        self.more_time()

    @property
    def anonymous(self) -> bool:
        """Requests are sent unsigned, as far as that is known."""
        found = self.core.credentials.peek()
        return found is not None and found.anonymous

    def more_time(self) -> None:
        """Begin another part of the examination, with as much time as the first."""
        self._until = monotonic() + _IN_ALL

    def check(self, name: str, attempt: Callable[[], Check], doing: str = "") -> Check:
        """What came of an attempt; a failure is a finding like any other.

        Args:
            name: What to call it.
            attempt: Tries it.
            doing: What the credentials must be allowed to do, for the advice.
        """
        try:
            return attempt()
        except StoreClosed:
            # Somebody has closed it meanwhile, as any other call would say.
            raise
        except NotTried as why:
            return Check(name, "warning", f"not tried: {why}")
        except S3KVError as error:
            if _silent(error):
                self.stopped = "the store does not answer"
            return Check(name, "failure", self._told(error), advice_for(error, doing, self.anonymous))

    def _told(self, error: S3KVError) -> str:
        told = str(error)
        if isinstance(error, DeadlineExceeded) and self.store._timeout is None:
            # It is the doctor who does not wait longer.
            told = told.replace("the store's timeout passed", f"{SECONDS:g} s passed")
        return told

    def run(
        self,
        operation: Callable[..., Generator[Effect, Any, T]],
        *arguments: Any,
        name: str | None = None,
        last: bool = False,
    ) -> T:
        """Run an operation, if there is time left for another one.

        Args:
            name: The key that it is about, for messages; None for none.
            last: Run it even if there is no time, or no use: it clears up.

        Raises:
            NotTried: it would be of no use.
            S3KVError: what the operation raises.
        """
        if not last:
            if self.stopped is not None:
                raise NotTried(self.stopped)
            if monotonic() >= self._until:
                raise NotTried(f"the examination has taken {_IN_ALL:g} s so far")
        timeout = min(SECONDS, self.store._timeout or SECONDS)
        return self.core.run(operation, name, timeout, *arguments)

    def ask(
        self,
        operation: str,
        method: str,
        key: str | None = None,
        *,
        query: Pairs = (),
        headers: Pairs = (),
        body: bytes = b"",
        last: bool = False,
    ) -> Answer:
        """The answer to one request, whatever its status.

        Raises:
            NotTried: it would be of no use.
            S3KVError: there was none.
        """
        digest = self.core.copies.sha256(body)
        request = Request(operation, method, key, query, headers, body, digest)
        return self.run(
            _ask, request, name=None if key is None else key[len(self.store._path) :], last=last
        )

    def remove(self) -> None:
        """Remove the doctor's own key without waiting for it."""
        self.core.aside(_ask, self.name, _REMOVE_SOON, Request("DeleteObject", "DELETE", self.key))


class _Hurried:
    """What requests need to know of a store, but with less patience."""

    def __init__(self, core: Core) -> None:
        self._core = core
        usual = core.policy
        self.policy = RetryPolicy(
            min(usual.max_retries, _MOST_TRIES),
            min(usual.initial_delay, _FIRST_DELAY),
            min(usual.max_delay, _LONGEST_DELAY),
            min(usual.unreachable_for, _LONGEST_DELAY),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def _ask(core: Core, call: Call, request: Request) -> Generator[Effect, Any, Answer]:
    began = core.clock.time()
    response = yield from live(request, cast("Resources", _Hurried(core)), call)
    return Answer(request, response, call, began, core.clock.time())


def _silent(error: S3KVError) -> bool:
    """Whether nobody is there, so that asking for something else is of no use either."""
    if isinstance(error, DeadlineExceeded):
        return error.status is None and error.attempts != 0
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, TransportError):
            return seen.reason not in _ODD
        seen = seen.__cause__
    return False
