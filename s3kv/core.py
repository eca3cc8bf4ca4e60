"""What a store and its children share: endpoint, credentials, transport, executor."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from . import forksafe
from ._version import __version__
from .call import Call
from .callers import Callers
from .clock import Clock
from .context import Context, resolve
from .credentials.value import CredentialsSource
from .endpoint import Endpoint, aws_endpoint, custom_endpoint
from .errors import StoreClosed
from .executor import RequestExecutor
from .limits.adaptive import AdaptiveLimit
from .limits.rate_limiter import RateLimiter
from .limits.rates import Rates
from .messages import Pairs, Response, Settings
from .metrics import Recorder
from .operations.read import whole_object
from .operations.write import PLAIN_PUT
from .pipeline.batch import Batch, Collector, Entry
from .pipeline.driver import Timer
from .pipeline.express import Asked, Express, Kind
from .pipeline.life import Effect, Memory, Reach
from .pipeline.operation import Operation
from .pipeline.place import Place
from .pipeline.trace import logger
from .retry import RetryPolicy
from .spec.aws_credentials import AwsCredentials
from .spec.deciding import deciding
from .spec.members import region as check_region
from .spec.resources import RESOURCES
from .spec.spec import Spec
from .transport.protocol import Transport

if TYPE_CHECKING:
    from concurrent.futures import Future

    import requests

T = TypeVar("T")
Item = TypeVar("Item")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
_REQUESTER_PAYS = (("x-amz-request-payer", "requester"),)

# What this process knows of each endpoint, by its URL, or by the bucket where Amazon's is implied; grows
# by single steps of the interpreter.
_reaches: dict[str, Reach] = {}


class Core:
    """One opened bucket; what requests need to know of it (``pipeline.life.Resources``).

    Everything is settled at construction but the executor, which is made when it is first needed.

    Attributes:
        gets: Sends the first attempts of plain reads of whole objects; None where a rate is to be kept.
        puts: The same for plain writes.

    Mutable state: ``memory``, shared by the bucket's requests; ``_calls`` and ``_batches``, what is under
    way, sets changed by single steps of the interpreter; ``closed``.

    Args:
        spec: What to open; its path is left to the stores.
        context: Where the resources are that the spec refers to.
        session: A ``requests.Session`` to send through, or None for the built-in transport.

    The other arguments stand in for what is made of these by default, for tests.
    """

    def __init__(
        self,
        spec: Spec,
        context: Context,
        *,
        session: requests.Session | None = None,
        settings: Settings | None = None,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        timer: Timer | None = None,
        transport: Transport | None = None,
        executor: RequestExecutor | None = None,
        credentials: CredentialsSource | None = None,
    ) -> None:
        forksafe.arm()
        self.spec = spec
        self.session = session
        self.settings = settings or Settings(user_agent=f"s3kv/{__version__}")
        self.context = context
        self.resolved = resolved = resolve({name: getattr(spec, name) for name in RESOURCES}, context)
        self.policy = policy or resolved.s3_request_retries
        self.rates: Rates = resolved.experimental_s3_rate_limiter
        self.copies = resolved.data_copy_concurrency
        self.extra_headers: Pairs = _REQUESTER_PAYS if spec.requester_pays else ()
        self.clock = clock or Clock()
        self.credentials: CredentialsSource = credentials or resolved.aws_credentials
        self._place = _make_place(
            spec, self._anonymous, os.environ, self.settings.user_agent, self.extra_headers
        )
        where = self._place.url or spec.bucket
        self.memory = Memory(_reaches.setdefault(where, Reach()))
        self.deciding = deciding(spec.use_conditional_write, aws=self._place.aws)
        concurrency = resolved.s3_request_concurrency
        # Without a reference to this core, which is to go when the last store has gone.
        self.adaptive = AdaptiveLimit(lambda: (executor or concurrency.executor(os.environ)).limit)
        adaptive, configured = self.adaptive, concurrency.executor
        self.recorder = Recorder(
            lambda: len(adaptive.flying),
            lambda: adaptive.allowed or (executor or configured(os.environ)).limit,
        )
        self.log = logger()
        self.closed = False
        self._calls: set[Call] = set()
        self._batches: set[Batch[Any]] = set()
        self._timer = timer
        self._executor = executor
        self.callers = Callers()
        self._transport = transport or _make_transport(session, self.settings)
        self.gets = None if self.rates.reads else self._make_express(whole_object(self.copies))
        self.puts = None if self.rates.writes else self._make_express(PLAIN_PUT)

    def _make_express(self, kind: Kind) -> Express:
        return Express(
            kind,
            transport=self._transport,
            place=self._place,
            credentials=self.credentials,
            adaptive=self.adaptive,
            memory=self.memory,
            clock=self.clock,
            recorder=self.recorder,
            log=self.log,
            user_agent=self.settings.user_agent,
            extra=self.extra_headers,
        )

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes two stores the same, their paths aside: all that their specs say, resolved."""
        spec = self.spec
        return (
            spec.bucket,
            spec.requester_pays,
            spec.aws_region,
            spec.endpoint,
            spec.host_header,
            spec.use_conditional_write,
            self.resolved.specs,
        )

    def referred(self, *, include_defaults: bool) -> dict[str, Any]:
        """The JSON object of the context's resources that the spec refers to."""
        references = [value for name in RESOURCES if isinstance(value := getattr(self.spec, name), str)]
        return self.context.referred(references, include_defaults=include_defaults)

    @property
    def _anonymous(self) -> bool:
        spec = self.resolved.specs[0]
        return isinstance(spec, AwsCredentials) and spec.type == "anonymous"

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the bucket is, as far as that is known."""
        return self._place.peek()

    def locate(self, call: Call) -> Endpoint:
        """Where the bucket is; asks it for its region if need be."""
        return self._place.locate(self._transport, call)

    def relocate(self, response: Response, asked: Endpoint) -> bool:
        """Take the region that a refusal names; False when it names no other."""
        return self._place.correct(response, asked)

    def run(
        self,
        operation: Callable[..., Generator[Effect, Any, T]],
        key: str | None,
        timeout: float | None,
        *arguments: Any,
        since: float | None = None,
        express: Express | None = None,
        asked: Asked | None = None,
    ) -> T:
        """Run an operation on the executor and return its result.

        Args:
            operation: Called with this core, the call, and ``arguments``.
            key: The key relative to the store, for messages.
            timeout: Seconds for the whole operation, or None.
            since: Monotonic time at which it began; default: now.
            express: What may send its first attempt.
            asked: What that asks for.

        Raises:
            StoreClosed: the store was closed.
            S3KVError: whatever the operation raises.
        """
        executor = self._executor or self._find_executor()
        call = Call(key, self.clock.monotonic() if since is None else since, timeout)
        task = Operation(operation(self, call, *arguments), call, self._transport, self._timer)
        task.express = express
        task.asked = asked
        try:
            self._calls.add(call)
            # Only now: whoever closes the store meanwhile ends the calls that it knows of.
            if self.closed:
                raise StoreClosed("the store is closed", key=key)
            result: T = executor.run(task)
        finally:
            self._calls.discard(call)
        return result

    def entry(
        self,
        item: Item,
        operation: Callable[..., Generator[Effect, Any, Any]],
        key: str | None,
        timeout: float | None,
        *arguments: Any,
        since: float | None = None,
        express: Express | None = None,
        asked: Asked | None = None,
    ) -> Entry[Item]:
        """An operation of a batch; see :meth:`run`.

        Args:
            since: Monotonic time from which ``timeout`` counts; default: when it starts.
            express: What may send its first attempt.
            asked: What that asks for.
        """
        if since is None:
            call = Call(key, self.clock.monotonic())
        else:
            call = Call(key, since, timeout)
        steps = operation(self, call, *arguments)
        entry = Entry(item, steps, call, self._transport, self._timer)
        if timeout is not None and since is None:
            entry.steps = self._timed(steps, call, timeout)
            entry.timeout = timeout
        entry.express = express
        entry.asked = asked
        return entry

    def _timed(
        self, steps: Generator[Effect, Any, T], call: Call, timeout: float
    ) -> Generator[Effect, Any, T]:
        """The same steps, with a deadline from when they start, not from when they are queued."""
        if call.deadline is None:
            call.started = self.clock.monotonic()
            call.deadline = call.started + timeout
        return (yield from steps)

    def batch(
        self,
        begin: Callable[[Item], Entry[Item] | None],
        items: Iterable[Item],
        timeout: float | None,
        *,
        in_order: bool = False,
        window: int | None = None,
        stale: list[Entry[Item]] | None = None,
        weigh: Callable[[Entry[Item]], int] | None = None,
        limiter: RateLimiter | None = None,
    ) -> Generator[Entry[Item], None, None]:
        """Carry out many operations, and hand out each when it has ended.

        Args:
            begin: Makes the operation of an item, by :meth:`entry`; None for "not now".
            items: Taken as there is room.
            timeout: What the operations were made with.
            in_order: Hand them out in the order of the items, not in that in which they end.
            window: How many may be begun and not handed out; default: so many that one that is ready takes
                the place of each that ends.
            stale: See :class:`Batch`.
            weigh: See there.
            limiter: What each operation waits for first, if anything.

        Raises:
            StoreClosed: the store was closed.
        """
        executor = self._find_executor()
        window = window or 2 * executor.limit
        if limiter is not None and timeout is not None:
            # An operation's time counts while it waits for a token, so it is begun when one is near.
            window = max(1, min(window, int(limiter.within(timeout / 4))))
        batch = Batch(executor, begin, items, window, timeout, stale, weigh)
        try:
            self._batches.add(batch)
            # See run().
            if self.closed:
                raise StoreClosed("the store is closed")
            yield from batch.in_order() if in_order else batch
        finally:
            self._batches.discard(batch)

    def begin(self, entry: Entry[Any], collector: Collector) -> None:
        """Begin an operation made by :meth:`entry`, whose end ``collector`` is told of.

        The collector then says that it is over: ``end(entry)``.

        Raises:
            StoreClosed: the store was closed.
        """
        entry.collector = collector
        self._calls.add(entry.call)
        # See run(). Whoever has the entry says in any case that it is over.
        if self.closed:
            raise StoreClosed("the store is closed", key=entry.call.key)
        self._find_executor().begin(entry)

    def end(self, entry: Entry[Any]) -> None:
        """Say that nobody waits for an operation any more."""
        self._calls.discard(entry.call)
        if not entry.ended:
            entry.call.cancel()

    def start(
        self,
        operation: Callable[..., Generator[Effect, Any, Any]],
        key: str | None,
        timeout: float | None,
        *arguments: Any,
    ) -> Operation:
        """Begin what :meth:`run` runs; to be waited for by :meth:`finish`, or given up by :meth:`drop`.

        Raises:
            StoreClosed: the store was closed.
        """
        call = Call(key, self.clock.monotonic(), timeout)
        task = Operation(operation(self, call, *arguments), call, self._transport, self._timer)
        try:
            self._calls.add(call)
            # See run().
            if self.closed:
                raise StoreClosed("the store is closed", key=key)
            self._find_executor().begin(task)
        except BaseException:
            # Ctrl-C, above all: nobody else knows of it.
            self.drop(task)
            raise
        return task

    def finish(self, task: Operation) -> Any:
        """The result of an operation that was begun by :meth:`start`; its exception is raised."""
        try:
            return self._find_executor().wait(task)
        finally:
            self._calls.discard(task.call)

    def drop(self, task: Operation) -> None:
        """Give up an operation that was begun by :meth:`start`."""
        self._calls.discard(task.call)
        task.call.cancel()

    def aside(
        self,
        operation: Callable[..., Generator[Effect, Any, Any]],
        key: str | None,
        timeout: float,
        *arguments: Any,
    ) -> Operation:
        """Begin an operation for which nobody has to wait, on a closed store too.

        Returns:
            Its ``done`` is released when it has ended, well or not.
        """
        call = Call(key, self.clock.monotonic(), timeout)
        task = Operation(operation(self, call, *arguments), call, self._transport, self._timer)
        self._find_executor().begin(task)
        return task

    def later(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        """Have ``function``, which may wait for operations, called in another thread."""
        return self.callers.submit(self._find_executor().limit, function, *arguments, **options)

    def _find_executor(self) -> RequestExecutor:
        if self._executor is None:
            self._executor = self.resolved.s3_request_concurrency.executor(os.environ)
        return self._executor

    def close(self) -> None:
        """Refuse further operations, end those under way with StoreClosed, and close connections."""
        self.closed = True
        for call in list(self._calls):
            call.interrupt(StoreClosed("the store was closed meanwhile", key=call.key))
        for batch in list(self._batches):
            batch.interrupt(StoreClosed("the store was closed meanwhile"))
        self._transport.close()
        self.callers.close()

    def __del__(self) -> None:
        # A store that is forgotten, not closed, must not leave its sockets to the collector.
        transport = getattr(self, "_transport", None)
        if transport is not None and not self.closed:
            transport.close()


def _make_transport(session: requests.Session | None, settings: Settings) -> Transport:
    if session is not None:
        from .transport.session import SessionTransport

        return SessionTransport(session, settings)
    from .transport.sockets import SocketTransport

    return SocketTransport(settings)


def _region_of(environ: Mapping[str, str]) -> str:
    """The region to sign for where nobody tells it."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        found = check_region(name, environ.get(name, ""))
        if found is not None:
            return found
    return "us-east-1"


def _make_place(
    spec: Spec, anonymous: bool, environ: Mapping[str, str], user_agent: str, extra: Pairs
) -> Place:
    """Where the bucket is, with the environment standing in for what the spec leaves out."""
    url, member = spec.endpoint, "endpoint"
    if url is None and environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
            if environ.get(name):
                url, member = environ[name], name
                break
    fallback = "us-east-1" if spec.aws_region is not None else _region_of(environ)
    bucket, region = spec.bucket, spec.aws_region

    def build(region: str) -> Endpoint:
        return (
            aws_endpoint(bucket, region)
            if url is None
            else custom_endpoint(url, bucket, region, member=member, host_header=spec.host_header)
        )

    # What is wrong with the URL is to be said now, not at the first request.
    endpoint = build(region or "us-east-1")
    if region is None and anonymous and not endpoint.aws:
        # Nothing is signed, and the endpoint is known: no need to ask.
        region = fallback
    # An endpoint that names one of Amazon's regions is no good for another; any other stays.
    amazon = endpoint.aws and bucket != "" and spec.host_header is None
    return Place(
        build,
        (lambda region: aws_endpoint(bucket, region)) if amazon else build,
        region,
        fallback,
        user_agent,
        extra,
        aws=endpoint.aws,
        url=url,
    )
