"""The thread of a :class:`FaultProxy`, and the connections in it."""

from __future__ import annotations

import asyncio
import socket
import threading
from functools import partial

from .exchange import Link
from .injection import Script
from .peers import dial


class ProxyLoop:
    """An event loop in a thread of its own that serves all connections.

    Mutable state: what is in the loop belongs to its thread. ``accepted`` is only written there;
    ``_failure`` too, and read after its end.

    Args:
        listener: Where clients connect; closed at the end.
        upstream: Host and port of the server.
        script: What is to go wrong.

    Attributes:
        accepted: How many connections there were so far.
    """

    def __init__(self, listener: socket.socket, upstream: tuple[str, int], script: Script) -> None:
        self.accepted = 0
        self._listener = listener
        self._upstream = upstream
        self._script = script
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()
        self._links: dict[asyncio.Task[None], Link] = {}
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="fault-proxy", daemon=True)

    def start(self) -> None:
        """Start the thread; connections are accepted as soon as it runs."""
        self._thread.start()

    def stop(self) -> BaseException | None:
        """Close everything and end the thread; what went wrong in it, if anything did."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()
        return self._failure

    def sever(self) -> int:
        """Break off all connections; how many that were."""
        return asyncio.run_coroutine_threadsafe(self._sever(), self._loop).result()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            asyncio.set_event_loop(None)

    async def _serve(self) -> None:
        # Not asyncio's own server, which may accept a connection while it is being closed.
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)
        try:
            await self._stopping.wait()
        finally:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        await self._end(list(self._links))

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            # It was gone before it was accepted, or there is no room for it.
            return
        sock.setblocking(False)
        self.accepted += 1
        link = Link(self.accepted, partial(dial, *self._upstream), self._script)
        task = self._loop.create_task(link.run(sock))
        self._links[task] = link
        task.add_done_callback(partial(self._ended, sock))

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        # It is open still if the task was cancelled before it had begun.
        sock.close()
        del self._links[task]
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()

    async def _sever(self) -> int:
        links = dict(self._links)
        for link in links.values():
            link.reset()
        await self._end(list(links))
        return len(links)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
