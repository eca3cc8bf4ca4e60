"""The first attempt of a plain request, without the state machine that the rest of its life needs.

Nearly all requests are answered well at the first attempt, and what is ready to wait, to try again and to
explain is then made for nothing. So a plain request is signed and sent straight away, by the same rules as
in :func:`~s3kv.pipeline.life.live`. Its life begins only when something else happens than the plain
success, as if it had sent the attempt itself (``Call.begun``): there is still but one place where it is
decided what comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import Clock
from ..credentials.value import Credentials, CredentialsSource
from ..endpoint import Endpoint
from ..keys import encode_path
from ..limits.adaptive import AdaptiveLimit
from ..messages import Body, Pairs, Response
from ..metrics import Recorder
from ..sigv4 import PrefixedKey
from ..transport.connection import COALESCE
from ..transport.protocol import Exchange, Transport
from .life import Memory
from .place import Place
from .prepare import mould_of

if TYPE_CHECKING:
    from logging import Logger

    from .operation import Operation

_DEBUG = 10


#: What a plain request asks for: the full key, the payload, its SHA-256 in hexadecimal, and where to cut
#: the answer (see :class:`~s3kv.messages.Request`). No class, for there is one for each.
Asked = tuple[str, Body, str, int]


class Kind(NamedTuple):
    """What all requests of an express have in common.

    Attributes:
        operation: S3's name for it.
        method: The HTTP method.
        headers: Headers to send and sign, names in lower case.
        data: As in :class:`~s3kv.messages.Request`.
        accept: The operation's result from a first answer and the time before it was asked for; None where
            the operation itself has to say.
    """

    operation: str
    method: str
    headers: Pairs
    data: bool
    accept: Callable[[Response, float], Any]


class _Form(NamedTuple):
    """What the requests of a second have in common; for whom and when that is."""

    second: int
    credentials: Credentials
    endpoint: Endpoint
    key: PrefixedKey | None
    signed: tuple[str, str]
    sent: tuple[str, str, str]

    def __repr__(self) -> str:
        # It may hold a session token.
        return "_Form(…)"


class Express:
    """Sends the first attempts of one kind of plain request to one bucket.

    Mutable state: ``_form``, replaced as a whole: threads that make it at the same time make the same.

    It has no reference to the bucket's core, which is to go when the last store has gone.
    """

    __slots__ = (
        "_adaptive",
        "_clock",
        "_credentials",
        "_extra",
        "_form",
        "_log",
        "_memory",
        "_place",
        "_recorder",
        "_transport",
        "_user_agent",
        "kind",
    )

    def __init__(
        self,
        kind: Kind,
        *,
        transport: Transport,
        place: Place,
        credentials: CredentialsSource,
        adaptive: AdaptiveLimit,
        memory: Memory,
        clock: Clock,
        recorder: Recorder,
        log: Logger,
        user_agent: str,
        extra: Pairs,
    ) -> None:
        self.kind = kind
        self._transport = transport
        self._place = place
        self._credentials = credentials
        self._adaptive = adaptive
        self._memory = memory
        self._clock = clock
        self._recorder = recorder
        self._log = log
        self._user_agent = user_agent
        self._extra = extra
        self._form: _Form | None = None

    def begin(self, operation: Operation, asked: Asked) -> Exchange | None:
        """Send an operation's first attempt; None where that takes more than sending.

        Raises:
            TransportError: the connection broke; the operation's life has to be told.
        """
        adaptive = self._adaptive
        if adaptive.active or len(asked[1]) > COALESCE or self._log.isEnabledFor(_DEBUG):
            return None
        credentials = self._credentials.peek()
        endpoint = self._place.peek()
        if credentials is None or endpoint is None:
            return None
        clock = self._clock
        time = clock.time()
        now = time + self._memory.clock_offset
        form = self._form
        if form is None or form[0] != int(now) or form[1] is not credentials or form[2] is not endpoint:
            form = self._make_form(int(now), credentials, endpoint)
        kind = self.kind
        call = operation.call
        started = clock.monotonic()
        if operation.timeout is not None:
            call.started = started
            call.deadline = started + operation.timeout
        call.operation = kind[0]
        call.begun = credentials, endpoint, now, adaptive.epoch, started, time
        exchange = self._transport.launch(
            endpoint[0], _head(form, kind[1], asked), asked[1], kind[1], kind[3], asked[3], call
        )
        if exchange is None:
            call.begun = None
        else:
            adaptive.flying.add(call)
        return exchange

    def end(self, operation: Operation, asked: Asked, response: Response) -> Any:
        """The result of an operation by its first answer; None where its life has to decide."""
        call = operation.call
        begun = call.begun
        memory = self._memory
        result = self.kind[4](response, begun[5])
        if result is None:
            return None
        adaptive = self._adaptive
        adaptive.flying.discard(call)
        if adaptive.active:
            adaptive.accepted()
        if not memory.found or not memory.answered:
            memory.found = memory.answered = True
        call.attempts += 1
        call.begun = None
        kind = self.kind
        self._recorder.record(
            (
                kind[0],
                self._clock.monotonic() - begun[4],
                1,
                len(response.body) if kind[3] else 0,
                len(asked[1]),
                False,
            )
        )
        return result

    def _make_form(self, second: int, credentials: Credentials, endpoint: Endpoint) -> _Form:
        kind = self.kind
        signed, key, sent = mould_of(
            kind.headers, self._extra, endpoint, credentials, second, self._user_agent
        )
        form = self._form = _Form(second, credentials, endpoint, key, signed, sent)
        return form


def _head(form: _Form, method: str, asked: Asked) -> bytes:
    """The head of a request; see :func:`~s3kv.pipeline.prepare.prepare`, which makes the same."""
    _, _, endpoint, signing, (before, between), (first, second, last) = form
    key, body, digest, _ = asked
    path = endpoint[2] + encode_path(key)
    if signing is None:
        lines = first
    else:
        canonical = f"{method}\n{path}\n\n{before}{digest}{between}{digest}"
        signature = signing.sign(sha256(canonical.encode("latin-1")).hexdigest())
        lines = f"{first}{digest}{second}{signature}{last}"
    if body or method == "PUT":
        lines = f"{lines}Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
