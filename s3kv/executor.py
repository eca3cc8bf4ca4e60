"""The bounded executor that every request runs on.

``ThreadPoolExecutor.submit(…).result()`` makes a future, takes three locks and wakes a thread through
a condition variable; that costs a small request a third of its rate. Here the threads of a
``ThreadPoolExecutor`` run a loop that takes tasks directly: the caller puts its task into a queue and
sleeps on a lock of its own. One worker at a time *leads*: it starts whatever is queued and carries
many tasks at once (see :class:`Leader`), so that a crowd of small requests needs one thread, not one
each. What would make the leader wait is handed to a worker of its own. A worker that has had nothing
to do for a moment goes back to the ``ThreadPoolExecutor``, which ends it properly with the
interpreter.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from . import exitsafe, forksafe
from .alarm import Alarm
from .call import Call
from .errors import DeadlineExceeded, SpecError, StoreClosed
from .pending import Pending
from .signals import Whole, start

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

CONCURRENCY_VARIABLE = "TENSORSTORE_S3_REQUEST_CONCURRENCY"
DEFAULT_CONCURRENCY = 32

# Seconds a worker waits for more before it goes back to the ThreadPoolExecutor. Short, because the
# interpreter waits for it at exit; long enough that steady traffic never submits.
_LINGER = 0.05
# Seconds past its deadline after which whoever waits for an operation gives it up. Normally it ends by
# itself first, with an error that tells more.
GRACE = 0.1
# Seconds for which a wait may go without a look at signals: one that comes just before the system call is
# seen, but does not end it.
LISTEN = 0.25
# No system has connections for more.
_MOST = 65_536

allocate_lock = threading.Lock
identify = threading.get_ident


class Bell(Protocol):
    """Wakes somebody who waits for the outcomes of many tasks."""

    def ring(self) -> None:
        """Wake them, if they wait; any thread may."""


class Task(ABC):
    """One operation on its way through the executor.

    Belongs to the worker that has taken it; the caller waits for ``done`` and then reads ``result``
    or ``error``.

    Attributes:
        caller: The identifier of the thread that waits for it.
        call: What the operation is, when it must be over, and whether anybody still waits.
        done: Locked until the task is complete.
        result: What the operation returned.
        error: What it raised, or None.
        pause: Seconds after which it is to go on, or what is to be settled first; None when it does not
            pause.
    """

    __slots__ = ("call", "caller", "done", "error", "pause", "result")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.caller = identify()
        self.result: Any = None
        self.error: BaseException | None = None
        self.pause: float | Pending[Any] | None = None
        self.done = allocate_lock()
        self.done.acquire()

    @abstractmethod
    def run(self) -> None:
        """Bring the task from where it stands to its end or its next pause. Never raises."""

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Let the caller have the outcome."""
        self.result = result
        self.error = error
        self.ring()

    def ring(self) -> None:
        """Wake the caller of a task that has an outcome."""
        # Whoever cancelled no longer waits, or is a daemon thread that is about to be stopped for good.
        if not self.call.cancelled:
            self.done.release()

    def settle(self, result: Any, error: BaseException | None) -> Bell | None:
        """As :meth:`finish`, but whoever has many may be told of all at once: by the bell returned."""
        self.result = result
        self.error = error
        return self


class _Parking:
    """A task that waits for something that another thread does, as what its call waits on.

    Mutable state: ``_over``, guarded by ``_lock``: the task goes on.
    """

    __slots__ = ("_lock", "_over", "_resume", "_task")

    def __init__(self, task: Task, resume: Callable[[Task], None]) -> None:
        self._task = task
        self._resume = resume
        self._lock = threading.Lock()
        self._over = False

    def until(self, pending: Pending[Any]) -> None:
        """Have the task go on when ``pending`` is settled, or its call is stopped."""
        self._task.call.attach(self)
        pending.watch(self.abort)

    def abort(self) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        self._task.call.detach()
        self._resume(self._task)


class Leader(Protocol):
    """Carries many tasks in one thread.

    Attributes:
        active: Some worker leads, and will look at the queue before it stops.
        sleeping: That worker waits, and has to be woken to see what is new in the queue.
    """

    active: bool
    sleeping: bool

    def lead(self) -> None:
        """Start and carry queued tasks until none of its own is left."""

    def wake(self) -> None:
        """Wake the worker that leads."""

    def carried(self) -> list[Task]:
        """The tasks it carries at the moment."""

    def close(self) -> None:
        """Release what the operating system holds for it."""


class _Worker:
    """A parked thread and the lock that wakes it."""

    __slots__ = ("wake",)

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget who was about to wake it."""
        self.wake = allocate_lock()
        self.wake.acquire()


class RequestExecutor:
    """Runs at most ``limit`` tasks at once; more of them wait their turn, first come first served.

    Mutable state: ``queue``, tasks to be started; ``_slow``, tasks that need a worker of their own;
    ``permits``, one for each task that may yet run (a task that pauses gives its own back); ``_idle``,
    parked workers, last in first out. All are deques, changed by single steps of the interpreter, as are
    the sets ``_running``, the tasks that have a worker of their own, and ``_parked``, those that wait for
    something that another thread does. ``_workers``, how many threads run the loop, and ``_pool`` are
    guarded by ``_lock``; ``_leading`` is held by the worker that leads.

    Nothing is left behind, because everyone announces before looking: a caller queues its task and
    then looks whether somebody leads; a leader says that it stops and then looks at the queue; a worker
    parks and then looks for work.

    Args:
        limit: How many tasks may run at once, at least 1.
        make_leader: Makes what carries many tasks; gets this executor.
    """

    def __init__(self, limit: int, make_leader: Callable[[RequestExecutor], Leader]) -> None:
        self.limit = min(limit, _MOST)
        self._make_leader = make_leader
        self._reset()
        forksafe.register(self)

    def _reset(self) -> None:
        self.queue: deque[Task] = deque()
        self.permits: deque[None] = deque([None] * self.limit)
        self._slow: deque[Task] = deque()
        self._running: set[Task] = set()
        self._parked: set[Task] = set()
        self._idle: deque[_Worker] = deque()
        self._lock = threading.Lock()
        self._leading = threading.Lock()
        self._workers = 0
        self._pool: ThreadPoolExecutor | None = None
        self._leader = self._make_leader(self)
        self._alarm = Alarm(self._resume)
        # At exit, the only threads whose tasks are still carried out.
        self._callers: set[int | None] | None = None
        # Later at exit, why none is carried out any more.
        self._over: Exception | None = None

    # ---------------------------------------------------------------- callers

    def run(self, task: Task) -> Any:
        """The result of ``task``; its exception is raised here.

        KeyboardInterrupt cancels the task and comes through at once.
        """
        try:
            self.begin(task)
        except BaseException:
            task.call.cancel()
            raise
        return self.wait(task)

    def wait(self, task: Task) -> Any:
        """As :meth:`run`, for a task that was begun; once for each."""
        call = task.call
        try:
            if call.deadline is None:
                while not task.done.acquire(True, LISTEN):
                    pass
            elif not _wait_until(task.done, call.deadline + GRACE):
                raise overdue(call)
        except BaseException:
            call.cancel()
            raise
        error = task.error
        if error is not None:
            try:
                raise error
            finally:
                # The traceback refers to this frame; without this they would keep each other alive.
                del error, task
        return task.result

    def begin(self, task: Task) -> None:
        """Queue a task without waiting for it."""
        self.enqueue(task)
        self.announce()

    def enqueue(self, task: Task) -> None:
        """Queue a task that is to be announced with others."""
        if self._callers is not None:
            if self._over is not None:
                task.call.interrupt(self._over)
            elif task.caller not in self._callers:
                task.call.cancel()
        self.queue.append(task)

    def announce(self) -> None:
        """Make sure that somebody sees what is new in the queue."""
        leader = self._leader
        if not leader.active:
            self.rouse()
        elif leader.sleeping:
            leader.wake()

    def _resume(self, task: Task) -> None:
        """Queue a task again whose pause is over, before those that have not begun."""
        self.queue.appendleft(task)
        self.announce()

    # ---------------------------------------------------------------- the leader

    def release(self, task: Task) -> None:
        """Take back the permit of a task that is complete or pauses; see to it that it goes on."""
        self.permits.append(None)
        pause = task.pause
        if pause is not None:
            task.pause = None
            if isinstance(pause, Pending):
                self._parked.add(task)
                _Parking(task, self._unpark_task).until(pause)
            else:
                self._alarm.set(task, pause)

    def _unpark_task(self, task: Task) -> None:
        self._parked.discard(task)
        self._resume(task)

    def hand_off(self, task: Task, *, alone: bool) -> None:
        """Give a started task to a worker of its own.

        Args:
            alone: The leader carries nothing else, and is about to stop and take it itself.
        """
        self._slow.append(task)
        if not alone:
            self.rouse()

    def rouse_for_slow(self) -> None:
        """Make sure that somebody takes the tasks that wait for a worker of their own."""
        if self._slow:
            self.rouse()

    def rouse(self) -> None:
        """Wake a parked worker, or start one if there may be more.

        Where no thread can be started any more, the calling thread does the work of one.
        """
        try:
            self._idle.pop().wake.release()
        except IndexError:
            if self._workers >= self.limit:
                return
            with Whole(), self._lock:
                started = self._workers >= self.limit or self._start_worker()
            if not started:
                self._work()

    def _start_worker(self) -> bool:
        """Start a thread for one more worker; False when it is too late for threads."""
        self._workers += 1
        try:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self.limit, thread_name_prefix="s3kv")
                exitsafe.register(self)
            self._pool.submit(self._work)
        except RuntimeError:
            # The main thread has ended, and with it all ThreadPoolExecutors, but the interpreter waits
            # for other threads of the user's, and those may go on. It does not wait for this one.
            try:
                start(threading.Thread(target=self._work, name="s3kv-late", daemon=True))
            except RuntimeError:
                return False
        return True

    # ---------------------------------------------------------------- workers

    def _work(self) -> None:
        """The loop of one worker: take what there is until there has been nothing for a moment."""
        queue, slow, permits = self.queue, self._slow, self.permits
        worker = _Worker()
        while True:
            if slow:
                try:
                    task = slow.popleft()
                except IndexError:
                    continue
                self._running.add(task)
                task.run()
                self._running.discard(task)
                self.release(task)
                del task
                if queue and self._leader.sleeping:
                    # It may have been waiting for a permit.
                    self._leader.wake()
            elif queue and permits and self._leading.acquire(False):
                try:
                    self._leader.lead()
                finally:
                    self._leading.release()
            elif not self._park(worker):
                return

    def _park(self, worker: _Worker) -> bool:
        """Wait for work; False when the worker is to retire."""
        idle = self._idle
        idle.append(worker)
        if self._needed() and self._unpark(worker):
            return True
        if worker.wake.acquire(timeout=_LINGER):
            return True
        if not self._unpark(worker):
            # Somebody has taken it from the stack this moment, and is about to wake it, if Ctrl-C does not
            # come between the two.
            if not worker.wake.acquire(timeout=_LINGER):
                worker.renew()
            return True
        with self._lock:
            self._workers -= 1
            if not self._needed():
                return False
            # Announced by somebody who still counted on this worker.
            self._workers += 1
        return True

    def _needed(self) -> bool:
        """Whether there is work that nobody has taken on."""
        return bool(self._slow) or bool(self.queue and self.permits and not self._leading.locked())

    def _unpark(self, worker: _Worker) -> bool:
        """Take a worker off the stack; False when somebody else just did."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        return True

    def keep_only(self, callers: set[int | None]) -> None:
        """Cancel the tasks that no thread among ``callers`` waits for, now and from now on.

        Their callers are daemon threads, and wait until the interpreter stops them for good.
        """
        self._callers = callers
        for task in self._tasks():
            if task.caller not in callers:
                task.call.cancel()

    def moved(self) -> int:
        """A number that changes when bytes go over the wire for some task."""
        return sum(task.call.moved() for task in self._tasks())

    def give_up(self, why: str) -> None:
        """Have all tasks end with an error that says why, now and from now on."""
        self._callers = self._callers or set()
        self._over = error = StoreClosed(f"given up: {why}")
        for task in self._tasks():
            task.call.interrupt(error)

    def _tasks(self) -> list[Task]:
        """All there are; those in the queue first, so that none takes the place of one that ends."""
        carried = [*self._running, *self._leader.carried(), *self._alarm.tasks(), *self._parked]
        return [*self.queue, *self._slow, *carried]

    def after_fork(self) -> None:
        """Forget the parent's threads; the next task starts new ones."""
        self._leader.close()
        self._reset()

    def __repr__(self) -> str:
        return (
            f"<RequestExecutor {self.limit - len(self.permits)} of {self.limit} running, "
            f"{len(self.queue)} waiting, {self._workers} workers>"
        )


def overdue(call: Call) -> DeadlineExceeded:
    """The error for an operation that should have ended by itself at its deadline, and has not."""
    return DeadlineExceeded(
        "the store's timeout passed before the operation was done",
        operation=call.operation or None,
        key=call.key,
        attempts=call.attempts,
        elapsed=monotonic() - call.started,
    )


def _wait_until(lock: threading.Lock, until: float) -> bool:
    """Take a lock; False when it was not to be had by a monotonic time."""
    while True:
        left = until - monotonic()
        if lock.acquire(True, min(LISTEN, max(0.0, left))):
            return True
        if left <= 0:
            return False


def parse_concurrency(environ: Mapping[str, str]) -> int:
    """The number of requests at once that the environment asks for, 32 by default.

    Raises:
        SpecError: the variable is not a positive integer.
    """
    text = environ.get(CONCURRENCY_VARIABLE)
    if text is None or not text.strip():
        return DEFAULT_CONCURRENCY
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 19 and int(digits) > 0:
        return int(digits)
    raise SpecError(
        f"{CONCURRENCY_VARIABLE} is {text[:40]!r}: allowed is a whole number of at least 1",
        member=CONCURRENCY_VARIABLE,
    )
