"""A proxy on this machine in front of a store, through which everything goes wrong that can."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ..errors import S3KVError
from ..store import Store
from .faults import Fault
from .injection import Injection, Rule, Script
from .opened import Opened
from .seen import OPERATIONS, Seen

if TYPE_CHECKING:
    from .proxy_loop import ProxyLoop

_LOOPBACK = "127.0.0.1"
# What a store through the proxy has unless it is told otherwise: a test has no time for long pauses.
_QUICK = {"s3_request_retries": {"initial_delay": "10ms", "max_delay": "100ms"}}


class _Server(Protocol):
    """What has a spec: a :class:`LocalServer`, or another proxy."""

    @property
    def spec(self) -> dict[str, Any]: ...


class FaultProxy:
    """A context manager: a TCP proxy on a free port of this machine that injects faults by script.

    It passes HTTP requests and answers on as they are, the Host header included, over connections that
    are kept alive as long as both sides keep them, until a fault is injected. Any client can be sent
    through it: its endpoint stands in for the server's.

    Args:
        upstream: The server: a :class:`LocalServer`, a :class:`Store` with an endpoint, another proxy; or
            ``http://host:port`` or ``host:port``. No https.
        remember: How many of the latest requests :attr:`requests` has. Default 10,000.

    Raises:
        TypeError, ValueError: the upstream is none of these, or ``remember`` no number of requests.
        S3KVError: the proxy is running already, or is asked for what it has only while it runs.

    Example:
        >>> from s3kv.testing import Answer, CutBody, FaultProxy, LocalServer
        >>> with LocalServer() as server, FaultProxy(server) as proxy:
        ...     store = proxy.store()
        ...     store["key"] = b"0123456789"
        ...     cut = proxy.inject(CutBody(at=4), operation="GetObject")
        ...     busy = proxy.inject(Answer.error(503, "SlowDown"), times=2)
        ...     store["key"], cut.hits, busy.hits
        (b'0123456789', 1, 2)
    """

    def __init__(self, upstream: _Server | Store | str, *, remember: int = 10_000) -> None:
        if type(remember) is not int or remember < 0:
            raise ValueError(f"remember is {remember!r:.40}: allowed is 0 or more")
        self._spec: dict[str, Any] | None = None
        if isinstance(upstream, str):
            self._address = _address(upstream)
        else:
            self._spec = _spec_of(upstream)
            self._address = _address(self._spec["endpoint"])
            self._prefix = urlsplit(self._spec["endpoint"]).path
        self._script = Script(remember)
        self._opened = Opened()
        # Set while it runs; only the thread that enters and leaves the block changes them.
        self._loop: ProxyLoop | None = None
        self._endpoint: str | None = None
        self._owner = 0

    def __enter__(self) -> FaultProxy:
        from .proxy_loop import ProxyLoop

        if self._loop is not None:
            raise S3KVError("the proxy is running already: each block has a FaultProxy of its own")
        listener = socket.create_server((_LOOPBACK, 0), backlog=128)
        self._endpoint = f"http://{_LOOPBACK}:{listener.getsockname()[1]}"
        self._owner = os.getpid()
        self._loop = ProxyLoop(listener, self._address, self._script)
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, self._loop = self._loop, None
        if loop is None or self._owner != os.getpid():
            # A forked child has no part in it.
            return
        self._opened.close()
        failure = loop.stop()
        self._endpoint = None
        if failure is not None and error is None:
            raise S3KVError(f"the proxy failed: {failure!r}") from failure

    @property
    def endpoint(self) -> str:
        """The proxy's URL, for instance ``http://127.0.0.1:41287``."""
        self._running()
        assert self._endpoint is not None
        return self._endpoint

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON spec that opens through the proxy what the upstream's opens without it.

        Raises:
            S3KVError: the upstream was given as an address only.
        """
        if self._spec is None:
            raise S3KVError(
                "the proxy knows its upstream's address only: open s3kv.Store(endpoint=proxy.endpoint, …)"
            )
        return {**self._spec, "endpoint": self.endpoint + self._prefix}

    def store(self, **members: Any) -> Store:
        """A new store through the proxy, which is closed with the proxy if not before.

        It tries failed requests again after pauses of at most 100 ms, unless it is told otherwise.

        Args:
            **members: As for :class:`Store`; they override :attr:`spec`.
        """
        return self._opened.add(Store({**_QUICK, **self.spec}, **members))

    def inject(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        operation: str | None = None,
        path: str | None = None,
        key: str | None = None,
        where: Callable[[Seen], bool] | None = None,
        skip: int = 0,
        times: int | None = 1,
        probability: float = 1.0,
        seed: int | None = None,
    ) -> Injection:
        """Have a fault hit requests from now on, those that meet all of the conditions given; default: any.

        A request is hit by one fault at most, the first that was injected of those that could; the
        others do not count it.

        Args:
            fault: What is to go wrong.
            method: For requests with this method only, for instance ``"GET"``.
            operation: For this S3 operation only, for instance ``"UploadPart"``; see :class:`Seen`.
            path: For paths that match this pattern only, with ``*``, ``?`` and ``[…]``; the path is
                decoded: ``/bucket/key``.
            key: For keys that match this pattern only; a key begins with its store's path.
            where: For requests only of which this function says True. It must not wait for anything.
            skip: Spare the first so many of these requests. Default 0.
            times: Hit so many of them. Default 1; None: all.
            probability: Hit each of them with this probability. Default 1.
            seed: Of the random numbers, needed for a probability below 1: the same requests in the same
                order are then hit again. Default None.

        Returns:
            What tells how many requests were hit, and can end it.

        Raises:
            TypeError, ValueError: an argument is not one of these.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"a fault is one of s3kv.testing.faults, not {fault!r:.60}")
        for name, value in {"method": method, "operation": operation, "path": path, "key": key}.items():
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} is a str, not {type(value).__name__}")
        if operation is not None and operation not in OPERATIONS and not operation.isupper():
            raise ValueError(
                f"operation is {operation!r:.40}: allowed are {', '.join(sorted(OPERATIONS))}, or an HTTP "
                "method where S3 has no name for what it asks"
            )
        if where is not None and not callable(where):
            raise TypeError(f"where is a function of a request, not {type(where).__name__}")
        if type(skip) is not int or skip < 0:
            raise ValueError(f"skip is {skip!r:.40}: allowed is 0 or more")
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError(f"times is {times!r:.40}: allowed is 1 or more, or None for all")
        if isinstance(probability, bool) or not isinstance(probability, (int, float)):
            raise TypeError(f"probability is a number, not {type(probability).__name__}")
        if not 0 < probability <= 1:
            raise ValueError(f"probability is {probability!r:.40}: allowed is above 0, up to 1")
        if probability < 1 and type(seed) is not int:
            raise ValueError("a probability below 1 needs a seed, a whole number")
        rule = Rule(None if method is None else method.upper(), operation, path, key, where)
        injection = Injection(fault, rule, skip, times, float(probability), seed)
        self._script.add(injection)
        return injection

    def clear(self) -> None:
        """Remove all injected faults, and end their stalls."""
        self._script.clear()

    def release(self) -> None:
        """End all stalls, those of later requests before they begin."""
        self._script.release()

    def sever(self) -> int:
        """Reset (RST) all open connections; how many that were. New ones are accepted."""
        return self._running().sever()

    @property
    def requests(self) -> list[Seen]:
        """The latest requests, oldest first: what was asked for, what was done to it, what was answered."""
        return self._script.requests()

    @property
    def connections(self) -> int:
        """How many connections clients have opened so far."""
        return self._running().accepted

    def __repr__(self) -> str:
        host, port = self._address
        return f"<FaultProxy {self._endpoint or 'not running'} in front of {host}:{port}>"

    def _running(self) -> ProxyLoop:
        if self._loop is None:
            raise S3KVError("the proxy is not running: use it as `with FaultProxy(…) as proxy:`")
        return self._loop


def _spec_of(upstream: _Server | Store) -> dict[str, Any]:
    """The spec of an upstream that has one, with its endpoint."""
    found: object = getattr(upstream, "spec", None)
    if isinstance(upstream, Store):
        found = upstream.spec()
    if not isinstance(found, Mapping):
        raise TypeError(
            f"an upstream is a server, a store, a URL or host:port, not {type(upstream).__name__}"
        )
    if not found.get("endpoint"):
        raise ValueError("the upstream has no endpoint of its own: allowed is a store with one")
    return dict(found)


def _address(upstream: str) -> tuple[str, int]:
    """Host and port of a URL, or of ``host:port``."""
    url = upstream if "://" in upstream else f"http://{upstream}"
    wrong = ValueError(f"the upstream is {upstream[:100]!r}: allowed is http://host:port, or host:port")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "http" or not host or "@" in parts.netloc:
        raise wrong
    return host, 80 if port is None else port
