"""Opening a connection, as requests do, and how long its parts take."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from .. import forksafe
from ..call import Abortable, Call
from ..core import Core
from ..messages import Origin
from ..pipeline.life import Effect, Obtain
from .probe import SECONDS, Probe
from .report import Check


class Times(NamedTuple):
    """How long a connection took.

    Attributes:
        tcp: Seconds for the name look-up and TCP.
        rest: Seconds for what came after it: a proxy's tunnel, TLS; 0 for nothing.
        proxy: The proxy that it goes through, or None.
    """

    tcp: float
    rest: float
    proxy: str | None


def look_at_connection(probe: Probe, origin: Origin) -> Check:
    """Open a connection of its own, and close it."""
    name = "connection"
    if probe.core.session is not None:
        return Check(name, "ok", "not tried: the session= opens its own")

    def look() -> Check:
        tcp, rest, proxy = probe.run(_connect, origin)
        text = f"opened in {(tcp + rest) * 1000:.1f} ms: TCP {tcp * 1000:.1f} ms"
        if proxy is not None:
            text += f" to the proxy {proxy}"
        if origin.scheme == "https":
            text += f", {'TLS' if proxy is None else 'its tunnel and TLS'} {rest * 1000:.1f} ms"
        return Check(name, "ok", text)

    found = probe.check(name, look)
    if found.outcome == "failure":
        probe.stopped = "no connection can be opened"
    return found


class _Timed(Call):
    """The call of a connection that nobody can stop, and when it had TCP."""

    connected = 0.0

    def attach(self, waiting: Abortable) -> None:
        # What a connection waits on first is the handshakes that come after TCP.
        self.connected = monotonic()


def _connect(core: Core, call: Call, origin: Origin) -> Generator[Effect, Any, Times]:
    return (yield Obtain(partial(_measure, core, call, origin)))  # type: ignore[no-any-return]


def _measure(core: Core, call: Call, origin: Origin) -> Times:
    with forksafe.importing:
        import os

        from ..transport.connect import open_connection
        from ..transport.proxy import find_proxy
        from ..transport.tls import ca_bundle, tls_context

        context = tls_context(ca_bundle(os.environ)) if origin.scheme == "https" else None
    proxy = find_proxy(origin)
    timed = _Timed(call.key, call.started)
    began = monotonic()
    left = SECONDS if call.deadline is None else max(0.1, round(call.deadline - began, 1))
    open_connection(origin, core.settings, context, left, timed).close()
    ended = monotonic()
    connected = timed.connected or ended
    return Times(connected - began, ended - connected, None if proxy is None else str(proxy))
