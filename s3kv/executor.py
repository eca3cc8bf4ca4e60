"""The bounded executor that every request runs on.

``ThreadPoolExecutor.submit(…).result()`` makes a future, takes three locks and wakes a thread through
a condition variable; that costs a small request a third of its rate. Here the threads of a
``ThreadPoolExecutor`` run a loop that takes calls directly: a call is handed to the worker that went
idle last by releasing one lock, and the caller sleeps on another. A worker that has had nothing to do
for a moment goes back to the ``ThreadPoolExecutor``, which ends it properly with the interpreter.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import forksafe
from .call import Call
from .errors import DeadlineExceeded, S3KVError, SpecError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

CONCURRENCY_VARIABLE = "TENSORSTORE_S3_REQUEST_CONCURRENCY"
DEFAULT_CONCURRENCY = 32

# Seconds a worker waits for more before it goes back to the ThreadPoolExecutor. Short, because the
# interpreter waits for it at exit; long enough that steady traffic never submits.
_LINGER = 0.05
# Seconds past its deadline after which a call is abandoned; its worker knows the details, and
# normally reports them first.
_GRACE = 0.1

_allocate = threading.Lock


class _Ticket(Generic[T]):
    """One call on its way through the executor."""

    __slots__ = ("done", "error", "function", "result")

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = _allocate()
        self.done.acquire()

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error
        self.done.release()


class _Worker:
    """A parked thread: the ticket it is to run next, and the lock that wakes it."""

    __slots__ = ("ticket", "wake")

    def __init__(self) -> None:
        self.ticket: _Ticket[Any] | None = None
        self.wake = _allocate()
        self.wake.acquire()


class RequestExecutor:
    """Runs at most ``limit`` calls at once; more of them wait their turn, first come first served.

    Mutable state: ``_idle``, the parked workers, last in first out; ``_backlog``, the tickets that
    found no worker; both deques, changed by single steps of the interpreter. ``_workers``, how many
    threads run the loop, and ``_pool`` are guarded by ``_lock``. No call can be left behind: a worker
    parks before it looks at the backlog a last time, and a caller queues before it looks for a
    parked worker a last time, so one of the two sees the other.

    Args:
        limit: The number of threads, at least 1.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._reset()
        forksafe.register(self)

    def _reset(self) -> None:
        self._idle: deque[_Worker] = deque()
        self._backlog: deque[_Ticket[Any]] = deque()
        self._lock = threading.Lock()
        self._workers = 0
        self._pool: ThreadPoolExecutor | None = None

    def run(self, function: Callable[[], T], call: Call) -> T:
        """The result of ``function()``, run on a worker; its exception is raised here.

        KeyboardInterrupt cancels the call and comes through at once.
        """
        ticket = _Ticket(function)
        try:
            worker = self._idle.pop()
        except IndexError:
            self._enqueue(ticket)
        else:
            worker.ticket = ticket
            worker.wake.release()
        try:
            if call.deadline is None:
                ticket.done.acquire()
            elif not ticket.done.acquire(timeout=max(0.0, call.deadline + _GRACE - monotonic())):
                raise DeadlineExceeded(
                    "the store's timeout passed before the operation was done",
                    operation=call.operation or None,
                    key=call.key,
                    attempts=call.attempts,
                    elapsed=monotonic() - call.started,
                )
        except BaseException:
            call.cancel()
            raise
        error = ticket.error
        if error is not None:
            try:
                raise error
            finally:
                # The traceback refers to this frame; without this they would keep each other alive.
                del error, ticket
        return ticket.result  # type: ignore[return-value]

    def _enqueue(self, ticket: _Ticket[Any]) -> None:
        self._backlog.append(ticket)
        if self._workers < self.limit:
            with self._lock:
                if self._workers < self.limit:
                    self._start_worker(ticket)
                    return
        if self._idle:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the oldest waiting ticket to a parked worker, if there are both."""
        try:
            worker = self._idle.pop()
        except IndexError:
            return
        try:
            worker.ticket = self._backlog.popleft()
        except IndexError:
            worker.ticket = None
        worker.wake.release()

    def _start_worker(self, ticket: _Ticket[Any]) -> None:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.limit, thread_name_prefix="s3kv")
        try:
            self._pool.submit(self._work)
        except RuntimeError as error:
            self._backlog.remove(ticket)
            raise S3KVError("no request can be sent any more: the interpreter is shutting down") from error
        self._workers += 1

    def _work(self) -> None:
        """The loop of one worker: take tickets until there have been none for a moment."""
        backlog = self._backlog
        worker = _Worker()
        while True:
            try:
                ticket: _Ticket[Any] | None = backlog.popleft()
            except IndexError:
                if not self._park(worker):
                    return
                ticket = worker.ticket
                worker.ticket = None
                if ticket is None:
                    continue
            assert ticket is not None
            ticket.run()
            del ticket

    def _park(self, worker: _Worker) -> bool:
        """Wait to be handed a ticket; False when the worker is to retire."""
        self._idle.append(worker)
        if self._backlog:
            self._hand_over()
        if worker.wake.acquire(timeout=_LINGER):
            return True
        try:
            self._idle.remove(worker)
        except ValueError:
            # Somebody has taken it from the stack this moment, and is about to wake it.
            worker.wake.acquire()
            return True
        with self._lock:
            self._workers -= 1
            if not self._backlog:
                return False
            # Queued by a caller who still counted on this worker.
            self._workers += 1
        return True

    def after_fork(self) -> None:
        """Forget the parent's threads; the next call starts new ones."""
        self._reset()

    def __repr__(self) -> str:
        return (
            f"<RequestExecutor {self._workers} of {self.limit} workers, {len(self._idle)} idle, "
            f"{len(self._backlog)} waiting>"
        )


def parse_concurrency(environ: Mapping[str, str]) -> int:
    """The number of workers that the environment asks for, 32 by default.

    Raises:
        SpecError: the variable is not a positive integer.
    """
    text = environ.get(CONCURRENCY_VARIABLE)
    if text is None or not text.strip():
        return DEFAULT_CONCURRENCY
    if text.strip().isascii() and text.strip().isdigit() and int(text) > 0:
        return int(text)
    raise SpecError(
        f"{CONCURRENCY_VARIABLE} is {text!r}: allowed is a whole number of at least 1",
        member=CONCURRENCY_VARIABLE,
    )


class _Shared:
    """The one executor of this process for stores without a limit of their own.

    Mutable state: ``executor``, made under ``lock`` when the first request needs it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executor: RequestExecutor | None = None
        forksafe.register(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_shared = _Shared()


def shared_executor(environ: Mapping[str, str]) -> RequestExecutor:
    """The process-wide executor; ``environ`` is read when the first request needs it."""
    executor = _shared.executor
    if executor is None:
        with _shared.lock:
            executor = _shared.executor
            if executor is None:
                executor = _shared.executor = RequestExecutor(parse_concurrency(environ))
    return executor
