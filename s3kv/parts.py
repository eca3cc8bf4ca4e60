"""Writing an object in parts: begun, sent in parallel, completed; forgotten by the store if that fails."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from .core import Core
from .errors import DeadlineExceeded, MalformedResponse, RetriesExhausted, ServiceError, StoreClosed
from .messages import Pairs
from .operations.begin_upload import Beginning, Begun, begin_upload, forget_lost
from .operations.conditional_write import Refused
from .operations.conditions import WRITE_ID_HEADER, new_write_id
from .operations.multipart import (
    MAX_PARTS,
    abort_upload,
    complete_upload,
)
from .operations.pause import pause
from .pipeline.batch import Entry
from .pipeline.life import Effect
from .signals import Whole
from .values import StorageGeneration, TimestampedStorageGeneration

# Parts in flight at once: beyond this, one object gets no faster, only others slower.
IN_FLIGHT = 10
# So many threads make parts ready meanwhile.
_HASHERS = 2

# Seconds that the store has to forget an upload: after Ctrl-C, which waits for nothing, and otherwise.
_ABORT_SOON = 2.0
_ABORT = 10.0
# Seconds to wait for that when the timeout passes.
_PATIENCE = 0.25


class Target(NamedTuple):
    """What is to be written.

    Attributes:
        core: The bucket.
        name: The key relative to the store.
        full: The full key.
        timeout: Seconds for all of it; None for no limit.
        started: Monotonic time from which they count.
    """

    core: Core
    name: str
    full: str
    timeout: float | None
    started: float

    def run(self, operation: Callable[..., Generator[Effect, Any, Any]], *arguments: Any) -> Any:
        """Run an operation on the object."""
        return self.core.run(operation, self.name, self.timeout, self.full, *arguments, since=self.started)

    @property
    def left(self) -> float:
        """Seconds until the timeout; infinite for none."""
        if self.timeout is None:
            return math.inf
        return max(0.0, self.started + self.timeout - self.core.clock.monotonic())


class Parts(NamedTuple):
    """What an object is made of.

    Attributes:
        every: The parts, in order, each time it is called.
        send: The operation that writes one: it gets the key, the upload's id, the part's number, and what
            ``arguments`` made.
        arguments: The rest of the operation's arguments, from a part.
        repeatable: ``every`` may be called more than once.
        at_hand: Nobody has to wait for a part.
        check: Called before the parts become an object; what it raises keeps them from it.
    """

    every: Callable[[], Iterable[Any]]
    send: Callable[..., Generator[Effect, Any, str]]
    arguments: Callable[[Any], tuple[Any, ...]]
    repeatable: bool = True
    at_hand: bool = True
    check: Callable[[], None] = lambda: None


def write_in_parts(
    target: Target,
    parts: Parts,
    headers: Pairs,
    condition: StorageGeneration | None = None,
    *,
    certain: bool = False,
) -> TimestampedStorageGeneration | Refused:
    """Write an object in parts if its generation is ``condition``.

    What is held in memory is eleven parts at most: ten in flight, one being hashed.

    Args:
        headers: What the object is to be stored with.
        condition: An ETag, or NO_VALUE; None for no condition.
        certain: As for ``write_if``.

    Raises:
        OutcomeUnknown: an answer was lost, and whether the object was written cannot be known.
        S3KVError: the store refused, or did not answer.
    """
    core = target.core
    tries = 0
    while True:
        try:
            return _write_once(target, parts, headers, condition, certain)
        except ServiceError as error:
            # Another write met the completion, and this one must be done again from its start.
            if error.code != "ConditionalRequestConflict" or not parts.repeatable:
                raise
            tries += 1
            if tries >= core.policy.max_retries:
                raise
        target.core.run(
            pause,
            target.name,
            target.timeout,
            core.policy.delay(tries - 1, core.clock.draw()),
            since=target.started,
        )


def _write_once(
    target: Target, parts: Parts, headers: Pairs, condition: StorageGeneration | None, certain: bool
) -> TimestampedStorageGeneration | Refused:
    write_id = new_write_id()
    core, name, full = target.core, target.name, target.full
    beginning = Beginning(core.clock.monotonic())
    # One block from before the beginning on: in front of a second one, Ctrl-C would leave an upload behind.
    try:
        begun: Begun = target.run(begin_upload, (*headers, (WRITE_ID_HEADER, write_id)), beginning)
        upload = begun.upload
        etags = _send(target, parts, upload)
        parts.check()
        if begun.lost:
            forget_lost_ones(core, name, full, begun, target.left)
        outcome: TimestampedStorageGeneration | Refused = target.run(
            complete_upload, upload, etags, condition, write_id, certain
        )
    except BaseException as error:
        given_up = give_up(core, name, full, beginning, error)
        if given_up is not None:
            _abort(target, given_up.upload, at_once=not isinstance(error, Exception))
        raise
    if isinstance(outcome, Refused):
        _abort(target, upload)
    return outcome


@contextmanager
def begun_or_forgotten(core: Core, name: str, full: str) -> Iterator[Beginning]:
    """Where an upload is begun: if the answer is not waited for to its end, have the store forget it.

    Args:
        core: The bucket.
        name: The key relative to the store.
        full: The full key.
    """
    beginning = Beginning(core.clock.monotonic())
    try:
        yield beginning
    except BaseException as error:
        given_up = give_up(core, name, full, beginning, error)
        if given_up is not None:
            core.aside(abort_upload, name, _ABORT_SOON, full, given_up.upload)
        raise


def give_up(core: Core, name: str, full: str, beginning: Beginning, error: BaseException) -> Begun | None:
    """Have the store forget what was begun, but of which no answer came.

    Args:
        core: The bucket.
        name: The key relative to the store.
        full: The full key.
        beginning: What is not waited for any more.
        error: Why.

    Returns:
        The upload of which an answer did come: that is still to be aborted.
    """
    begun = beginning.give_up()
    if begun is not None:
        if begun.lost:
            forget_lost_ones(core, name, full, begun, 0)
        return begun
    interrupted = not isinstance(error, Exception)
    # An answer came, though not one that says which upload it is: whatever was begun is there by now.
    told = isinstance(error, (MalformedResponse, RetriesExhausted))
    if interrupted or told or isinstance(error, (DeadlineExceeded, StoreClosed)):
        # Before each attempt, there may have been a free one, on a connection that was closed already.
        lost = 2 * (getattr(error, "attempts", None) or 1)
        unknown = Begun("", lost, beginning.since, core.clock.monotonic())
        forget_lost_ones(core, name, full, unknown, 0 if interrupted else _PATIENCE, again=not told)
    return None


def forget_lost_ones(
    core: Core, name: str, full: str, begun: Begun, patience: float, *, again: bool = False
) -> None:
    """Have the store forget what was begun, but of which no answer came; see :func:`forget_lost`.

    Args:
        core: The bucket.
        name: The key relative to the store.
        full: The full key.
        begun: What is known of it.
        patience: Seconds to wait for that at most.
        again: As for :func:`forget_lost`.
    """
    task = core.aside(forget_lost, name, _ABORT_SOON, full, begun, again)
    task.done.acquire(timeout=min(_ABORT_SOON, patience))


def _send(target: Target, parts: Parts, upload: str) -> list[str]:
    """Write every part, and return their ETags, in order."""
    core = target.core
    # Taken by the batch this moment; what is in flight holds its own part, and nobody else does.
    taken: dict[int, tuple[Any, ...]] = {}
    # A part of a source that is slow is not to be kept until there is another.
    ready = _made_ready(parts, min(_HASHERS, core.copies.limit) if parts.at_hand else 1)

    def numbers() -> Iterator[int]:
        for number, arguments in enumerate(ready, 1):
            if number > MAX_PARTS:
                raise ValueError(f"the value is too long: it has more than {MAX_PARTS:,} parts")
            taken[number] = arguments
            yield number

    def begin(number: int) -> Entry[int]:
        return core.entry(
            number,
            parts.send,
            target.name,
            target.timeout,
            target.full,
            upload,
            number,
            *taken.pop(number),
            since=target.started,
        )

    etags: dict[int, str] = {}
    with closing(ready):
        for entry in core.batch(begin, numbers(), target.timeout, window=IN_FLIGHT):
            if entry.error is not None:
                raise entry.error
            etags[entry.item] = entry.result
    return [etags[number] for number in sorted(etags)]


def _made_ready(parts: Parts, threads: int) -> Generator[tuple[Any, ...], None, None]:
    """The arguments of each part, in order; made by threads of their own, for it takes hashing.

    Not on the executor, whose threads are for requests, nor in a pool that whoever waits here may be in.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads, thread_name_prefix="s3kv-hash")
    pending: deque[Future[tuple[Any, ...]]] = deque()
    try:
        for part in parts.every():
            try:
                with Whole():
                    pending.append(pool.submit(parts.arguments, part))
            except RuntimeError:
                # The main thread has ended, so no thread can be started any more: this one goes on alone.
                while pending:
                    yield pending.popleft().result()
                yield parts.arguments(part)
                continue
            finally:
                del part
            if len(pending) == threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _abort(target: Target, upload: str, *, at_once: bool = False) -> None:
    """Have the store forget the upload, whatever else has gone wrong."""
    task = target.core.aside(
        abort_upload, target.name, _ABORT_SOON if at_once else _ABORT, target.full, upload
    )
    if not at_once:
        task.done.acquire(timeout=min(_ABORT, target.left + _PATIENCE))
