"""One connection through a :class:`FaultProxy`: request after request, answer after answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .faults import Answer, CutRequest, Fault, RawAnswer, Reset
from .framing import Endless, Framing, answer_framing, headers_of, request_framing, status_of
from .injection import Note, Script
from .outlet import Cut, Outlet, paced
from .peers import Peer, welcome
from .seen import Seen, operation_of


class _ClientGone(Exception):
    """The client has closed the connection."""


class Link:
    """A client's connection, and the one to the server that belongs to it.

    Whatever ends the one ends the other. A client that closes its sending direction has gone.

    Args:
        number: Which connection it is, from 1.
        dial: Connects to the server.
        script: What is to go wrong.
    """

    def __init__(self, number: int, dial: Callable[[], Awaitable[Peer]], script: Script) -> None:
        self._number = number
        self._dial = dial
        self._script = script
        self._client: Peer
        self._server: Peer | None = None
        # The server closes its connection behind the answer that came last.
        self._last = False

    async def run(self, sock: socket.socket) -> None:
        """Serve a connection that was accepted to its end."""
        try:
            self._client = await welcome(sock)
        except OSError:
            return
        try:
            while await self._exchange():
                pass
        except Cut as cut:
            if cut.reset:
                self.reset()
        except (OSError, EOFError, _ClientGone):
            # Somebody broke off; so does the proxy, towards both.
            self.reset()
        finally:
            for peer in self._peers():
                peer.close()
            for peer in self._peers():
                await peer.closed()

    def reset(self) -> None:
        """Break off both connections."""
        for peer in self._peers():
            peer.reset()

    def _peers(self) -> list[Peer]:
        return [self._client] if self._server is None else [self._client, self._server]

    async def _exchange(self) -> bool:
        """One request and its answer; False when there is no further one."""
        head = await self._next()
        if not head:
            return False
        method, target = _request_line(head)
        headers = headers_of(head)
        operation = operation_of(method, target, headers)
        note, injection = self._script.begin(Seen(self._number, method, target, headers, operation))
        fault = note.seen.fault
        framing = request_framing(headers)
        try:
            if fault == Reset():
                raise Cut(True)
            if isinstance(fault, RawAnswer) or (isinstance(fault, Answer) and not fault.went_through):
                return await self._instead(fault, method, headers, framing, note)
            if self._server is None:
                self._server = await self._dial()
            outlet = Outlet(self._client, method, note, injection)
            await self._both(
                self._pass_request(self._server, head, framing, fault, note),
                self._pass_answer(self._server, method, outlet, note),
            )
            if self._last and isinstance(fault, Answer):
                # The client has not been told that this was the last answer.
                self._server.close()
                await self._server.closed()
                self._server = None
            return True
        finally:
            note.seen = note.seen._replace(done=True)

    async def _next(self) -> bytes:
        """The head of the next request; empty when the client or the server has gone."""
        request = asyncio.ensure_future(self._client.head())
        ended = [] if self._server is None else [asyncio.ensure_future(self._server.gone())]
        await _first(request, *ended)
        if request.cancelled():
            return b""
        head, whole = request.result()
        return head if whole else b""

    async def _both(self, request: Coroutine[Any, Any, None], answer: Coroutine[Any, Any, None]) -> None:
        """Pass on a request and its answer at the same time, for an answer may come early."""
        sending, answering = asyncio.ensure_future(request), asyncio.ensure_future(answer)
        try:
            await _first(answering, asyncio.ensure_future(self._client.gone()))
            if answering.cancelled():
                raise _ClientGone
            answering.result()
            await sending
        except (OSError, EOFError) as error:
            # The server wants no more of the request than it has.
            raise Cut(False) from error
        finally:
            await _drop(sending)

    async def _pass_request(
        self, server: Peer, head: bytes, framing: Framing, fault: Fault | None, note: Note
    ) -> None:
        left = fault.at if isinstance(fault, CutRequest) else None

        async def send(piece: bytes) -> None:
            passed = note.seen.request_bytes
            data = piece if left is None else piece[: left - passed]
            note.seen = note.seen._replace(request_bytes=passed + len(data))
            await paced(server.send, data, fault)
            if len(data) < len(piece):
                # Whoever waits for the answer finds that out, too.
                self.reset()
                raise Cut(True)

        await paced(server.send, head, fault)
        await self._client.body(framing, send)

    async def _pass_answer(self, server: Peer, method: str, outlet: Outlet, note: Note) -> None:
        while True:
            head, whole = await server.head()
            status = status_of(head)
            if not (whole and 100 <= status < 200) or status == 101:
                break
            await self._client.send(head)
        if not head:
            raise Cut(False)
        note.seen = note.seen._replace(status=status or None)
        headers = headers_of(head)
        self._last = "close" in headers.get("connection", "").lower() or head.startswith(b"HTTP/1.0")
        framing = answer_framing(method, status, headers) if whole and status else Endless()
        await outlet.head(head)
        try:
            await server.body(framing, outlet.body)
        except EOFError:
            # That is how such an answer ends, and any other is cut short.
            await outlet.end()
            raise Cut(False) from None
        await outlet.end()

    async def _instead(
        self,
        fault: Answer | RawAnswer,
        method: str,
        headers: dict[str, str],
        framing: Framing,
        note: Note,
    ) -> bool:
        """Answer without asking the server."""
        waiting = "100-continue" in headers.get("expect", "").lower()
        if not waiting:
            await self._client.body(framing, _forget)
        if isinstance(fault, RawAnswer):
            data = fault.data
        else:
            data = fault.encoded(without_body=method == "HEAD")
        note.seen = note.seen._replace(status=status_of(data) or None, answer_bytes=len(data))
        await self._client.send(data)
        if isinstance(fault, RawAnswer) or waiting:
            raise Cut(False)
        wishes = headers.get("connection", ""), headers_of(data).get("connection", "")
        return not any("close" in wish.lower() for wish in wishes)


async def _forget(piece: bytes) -> None:
    """Take a piece of a body that nobody wants."""


async def _first(*tasks: asyncio.Future[Any]) -> None:
    """Wait for one of several, and cancel those that are not done by then."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            if not task.done():
                await _drop(task)
            elif not task.cancelled():
                # Whoever waits here may have been cancelled this moment, and never ask.
                task.exception()


async def _drop(task: asyncio.Future[Any]) -> None:
    """Cancel a task, and let nobody miss what it ended with."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _request_line(head: bytes) -> tuple[str, str]:
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    return words[0], words[1] if len(words) > 1 else ""
