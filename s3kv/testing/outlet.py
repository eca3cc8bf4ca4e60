"""The way of an answer to the client, with what a fault does to it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutBody,
    CutRequest,
    Delay,
    DropResponse,
    Fault,
    Reset,
    Stall,
    Throttle,
)
from .injection import Injection, Note
from .peers import Peer

# So often in a second comes a piece of what is throttled.
_PIECES_PER_SECOND = 20


class Cut(Exception):
    """The connection is to end here.

    Attributes:
        reset: With RST.
    """

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Outlet:
    """Passes one answer on, as far as a fault lets it.

    Args:
        client: Who gets it.
        method: That of the request.
        note: Gets how much of it was passed on.
        injection: The fault; None for none.
    """

    def __init__(self, client: Peer, method: str, note: Note, injection: Injection | None) -> None:
        self._client = client
        self._method = method
        self._note = note
        self._injection = injection
        self._fault: Fault | None = None if injection is None else injection.fault
        # How much of the body was passed on.
        self._body = 0
        # Nothing of what the server says is passed on.
        self._lost = isinstance(self._fault, (Answer, CutRequest, DropResponse, Reset))

    async def head(self, data: bytes) -> None:
        """The head of the answer, or as much of it as came.

        Raises:
            Cut: nothing more is to be sent.
        """
        fault = self._fault
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        elif isinstance(fault, Stall) and fault.at is None:
            await self._stall(fault)
        await self._send(data)
        await self._here()

    async def body(self, data: bytes) -> None:
        """The next piece of the body.

        Raises:
            Cut: nothing more is to be sent.
        """
        fault = self._fault
        if isinstance(fault, (CutBody, Stall)) and fault.at is not None:
            early = max(0, fault.at - self._body)
            if len(data) >= early > 0:
                await self._piece(data[:early])
                await self._here()
                data = data[early:]
        elif isinstance(fault, Corrupt) and self._body <= fault.at < self._body + len(data):
            at = fault.at - self._body
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        await self._piece(data)

    async def end(self) -> None:
        """There is no more of the answer.

        Raises:
            Cut: the connection is to end with it.
        """
        fault = self._fault
        if isinstance(fault, Answer):
            self._lost = False
            await self._send(fault.encoded(without_body=self._method == "HEAD"))
        elif isinstance(fault, (CutBody, CutAnswer)):
            raise Cut(fault.reset)
        elif self._lost:
            raise Cut(not isinstance(fault, DropResponse))

    async def _here(self) -> None:
        """Do what is to be done at this byte of the body."""
        fault = self._fault
        if isinstance(fault, CutBody) and fault.at == self._body:
            raise Cut(fault.reset)
        if isinstance(fault, Stall) and fault.at == self._body:
            await self._stall(fault)

    async def _stall(self, fault: Stall) -> None:
        assert self._injection is not None
        released = self._injection.released()
        if fault.seconds is None:
            await released
            return
        try:
            await asyncio.wait_for(released, fault.seconds)
        except asyncio.TimeoutError:
            # It stood still for as long as it was to.
            return

    async def _piece(self, data: bytes) -> None:
        self._body += len(data)
        if data:
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        fault = self._fault
        if self._lost:
            return
        cut = isinstance(fault, CutAnswer) and fault.at - self._note.seen.answer_bytes <= len(data)
        if isinstance(fault, CutAnswer):
            data = data[: fault.at - self._note.seen.answer_bytes]
        seen = self._note.seen
        self._note.seen = seen._replace(answer_bytes=seen.answer_bytes + len(data))
        await paced(self._client.send, data, fault)
        if cut:
            assert isinstance(fault, CutAnswer)
            raise Cut(fault.reset)


async def paced(send: Callable[[bytes], Awaitable[None]], data: bytes, fault: Fault | None) -> None:
    """Send bytes, no faster than a fault allows."""
    if not isinstance(fault, Throttle):
        await send(data)
        return
    size = max(1, int(fault.bytes_per_second / _PIECES_PER_SECOND))
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        await asyncio.sleep(len(piece) / fault.bytes_per_second)
        await send(piece)
