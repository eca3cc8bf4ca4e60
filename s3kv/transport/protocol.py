"""What the pipeline asks of a transport."""

from __future__ import annotations

from typing import Protocol

from ..call import Call
from ..messages import Response, WireRequest


class Transport(Protocol):
    """Sends one request and reads its whole answer. Methods may be called from any thread."""

    def exchange(self, request: WireRequest, call: Call) -> Response:
        """The answer to one request, sent once.

        Raises:
            TransportError: no whole answer came; ``reason`` and ``sent`` say how far it got.
            MalformedResponse: the answer breaks HTTP.
        """

    def close(self) -> None:
        """Close every idle connection; exchanges that are under way end with an error."""
