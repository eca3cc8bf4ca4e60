"""What the pipeline asks of a transport."""

from __future__ import annotations

from typing import Protocol

from ..call import Call
from ..errors import TransportError
from ..messages import Body, Origin, Response, WireRequest
from .connection import Connection


class Exchange(Protocol):
    """A request that was sent and an answer that is on its way."""

    @property
    def connection(self) -> Connection:
        """The connection it is on."""

    def advance(self) -> Response | None:
        """Take what has arrived, without waiting: the answer, or None as long as it is not whole.

        Raises:
            TransportError: no whole answer came.
            MalformedResponse: the answer breaks HTTP.
        """

    @property
    def expires(self) -> float:
        """Monotonic time at which the peer has been silent for too long."""

    @property
    def large(self) -> bool:
        """The rest of the answer is so long that a thread of its own should wait for it."""

    def finish(self) -> Response:
        """Wait for the rest of the answer."""

    def expire(self) -> TransportError:
        """Give up the answer, which took too long: the failure that this is."""


class Transport(Protocol):
    """Sends one request and reads its whole answer. Methods may be called from any thread."""

    def exchange(self, request: WireRequest, call: Call) -> Response:
        """The answer to one request, sent once.

        Raises:
            TransportError: no whole answer came; ``reason`` and ``sent`` say how far it got.
            MalformedResponse: the answer breaks HTTP.
        """

    def begin(self, request: WireRequest, call: Call) -> Exchange | None:
        """Send a request without waiting for anything; None when that cannot be done just now.

        Raises:
            TransportError: the connection broke.
        """

    def launch(
        self, origin: Origin, head: bytes, body: Body, method: str, data: bool, cut: int, call: Call
    ) -> Exchange | None:
        """As :meth:`begin`, for a request whose head is written out already.

        Args:
            method: The method of the request.
            data: See :class:`~s3kv.messages.Request`.
            cut: See there.

        Raises:
            TransportError: the connection broke.
        """

    def close(self) -> None:
        """Close idle connections now, and those in use as soon as their exchange is over."""
