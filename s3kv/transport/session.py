"""A transport over a ``requests.Session`` of the user's: adapters, proxies, mocks.

The session contributes its adapters, headers, proxies, certificates and ``verify``; the request line,
the signed headers and the body are ours, to the byte. Redirects are not followed, cookies and
``.netrc`` are not used, and bodies are not decompressed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from time import monotonic
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy
from urllib3 import exceptions as urllib3_errors
from urllib3.util import parse_url, wait_for_read

from .. import forksafe, http1
from ..call import Call
from ..errors import MalformedResponse, TransportError
from ..http1_reader import Partial
from ..messages import Body, Origin, Response, Settings, WireRequest
from ..signals import Whole, start
from ..xml import MAX_DOCUMENT_BYTES, MAX_ERROR_BYTES

_PIECE = 256 * 1024


class SessionTransport:
    """Sends requests through a ``requests.Session``.

    Mutable state: the session, which belongs to the user and is never closed here (in a forked child its
    adapters get new pools), and ``_doubted``, see :func:`_check_whole`, changed by single steps of the
    interpreter.

    Args:
        session: The session.
        settings: The timeouts.
    """

    def __init__(self, session: requests.Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._doubted: dict[Origin, frozenset[str]] = {}
        forksafe.register(self)

    def exchange(self, request: WireRequest, call: Call) -> Response:
        """Send one request through the session's adapter for its URL."""
        attempt = _Attempt(self, request, call)
        call.attach(attempt)
        try:
            return attempt.answer()
        finally:
            call.detach()

    def send(
        self, request: WireRequest, call: Call, began: Callable[[requests.Response], object]
    ) -> Response:
        """Send one request in the current thread, which nothing can wake while it waits for the head.

        Args:
            began: Told of the answer whose body is about to be read.
        """
        url = f"{request.origin}{request.target}"
        prepared = _prepare(self._session, request, url)
        options = self._session.merge_environment_settings(url, {}, True, None, None)
        _refuse_rewriting(url, options["proxies"])
        try:
            answer = self._session.send(
                prepared, timeout=self._timeout(call), allow_redirects=False, **options
            )
        except requests.exceptions.SSLError as error:
            if _hung_up_on(error):
                raise TransportError(
                    f"{request.origin} closed the connection while it was opened", reason="closed"
                ) from error
            raise TransportError(f"no TLS with {request.origin}: {error}", reason="tls") from error
        except requests.exceptions.ProxyError as error:
            raise TransportError(f"the session's proxy failed: {error}", reason="proxy") from error
        except (requests.exceptions.ConnectTimeout, requests.exceptions.ReadTimeout) as error:
            sent = isinstance(error, requests.exceptions.ReadTimeout)
            raise TransportError(
                f"no answer from {request.origin} in time", reason="timeout", sent=sent
            ) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _connection_failure(request, error) from error
        except requests.exceptions.InvalidHeader as error:
            raise MalformedResponse(f"the answer breaks HTTP: {error}") from error
        except (requests.exceptions.RequestException, urllib3_errors.HTTPError, UnicodeError) as error:
            raise TransportError(f"the session could not send: {error}", reason="proxy") from error
        began(answer)
        try:
            return _read(answer, request, self._doubted)
        except (urllib3_errors.HTTPError, OSError) as error:
            if isinstance(error, TransportError):
                raise
            raise _broken_off(error) from error
        except ValueError as error:
            # http.client does not look at the sign of a chunk's size.
            raise MalformedResponse(f"the answer breaks HTTP: {error}") from error
        finally:
            answer.close()

    def begin(self, request: WireRequest, call: Call) -> None:
        """Sessions only know how to wait."""
        return None

    def launch(
        self, origin: Origin, head: bytes, body: Body, method: str, data: bool, cut: int, call: Call
    ) -> None:
        """Sessions only know how to wait."""
        return None

    def _timeout(self, call: Call) -> tuple[float, float]:
        connect, read = self._settings.connect_timeout, self._settings.read_timeout
        if call.deadline is not None:
            left = call.deadline - monotonic()
            if left <= 0:
                raise TransportError("the deadline has passed", reason="timeout")
            connect, read = min(connect, left), min(read, left)
        return connect, read

    def close(self) -> None:
        """Nothing to close: the session is the user's."""

    def after_fork(self) -> None:
        """Begin anew: two processes on one connection would get each other's answers."""
        for adapter in set(self._session.adapters.values()):
            if isinstance(adapter, HTTPAdapter):
                _begin_anew(adapter)

    def __repr__(self) -> str:
        return f"<SessionTransport over {type(self._session).__name__}>"


# Pools of a forked process's parent. To forget them would be to wait for locks that threads may have held
# which are no more.
_inherited: list[Any] = []


def _begin_anew(adapter: Any) -> None:
    """Give an adapter new pools, and close its idle connections, which says nothing to their peers."""
    managers = [adapter.poolmanager, *adapter.proxy_manager.values()]
    _inherited.append(managers)
    for manager in managers:
        for pool in list(getattr(manager.pools, "_container", {}).values()):
            for connection in list(getattr(pool.pool, "queue", ())):
                sock = getattr(connection, "sock", None)
                if isinstance(sock, socket.socket):
                    sock.close()
    adapter.init_poolmanager(adapter._pool_connections, adapter._pool_maxsize, block=adapter._pool_block)
    adapter.proxy_manager = {}


class _Attempt:
    """One request in a thread of its own, so that whoever waits for it can be told to stop.

    A session gives no hold on the socket it waits on before the answer's head is there. A thread that is
    left behind then ends with the read timeout, and keeps no interpreter from ending.
    """

    def __init__(self, transport: SessionTransport, request: WireRequest, call: Call) -> None:
        self._send = transport.send
        self._request = request
        self._call = call
        self._response: Response | None = None
        self._answer: requests.Response | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()

    def answer(self) -> Response:
        try:
            start(threading.Thread(target=self._run, name="s3kv-session", daemon=True))
        except RuntimeError:
            # Too late for threads: the interpreter is about to exit.
            self._run()
        self._done.wait()
        try:
            if self._error is not None:
                raise self._error
            if self._response is None:
                raise TransportError("the request was given up", reason="closed", sent=True)
            return self._response
        finally:
            self._error = None

    def _run(self) -> None:
        try:
            self._response = self._send(self._request, self._call, self._began)
        except BaseException as error:
            self._error = error
        self._done.set()

    def _began(self, answer: requests.Response) -> None:
        self._answer = answer
        if self._done.is_set():
            _hang_up(answer)

    def abort(self) -> None:
        with Whole():
            self._done.set()
        if self._answer is not None:
            _hang_up(self._answer)


def _hang_up(answer: requests.Response) -> None:
    """Wake the thread that reads a body, be it one that never ends."""
    raw: Any = answer.raw
    # The second is where http.client has it once the connection is to be closed.
    for path in ("connection.sock", "_fp.fp.raw._sock"):
        found = raw
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)


def _prepare(session: requests.Session, request: WireRequest, url: str) -> requests.PreparedRequest:
    """A prepared request whose URL and headers requests has had no chance to touch."""
    prepared = _ExactRequest()
    prepared.method = request.method
    prepared.url = url
    headers: Any = CaseInsensitiveDict(session.headers)
    for name, value in request.headers:
        headers[name] = value
    prepared.headers = headers
    prepared.body = bytes(request.body) if request.body else None
    prepared.hooks = default_hooks()
    # requests reads the jar of every answer; an empty one keeps cookies out of signed requests.
    setattr(prepared, "_cookies", RequestsCookieJar())  # noqa: B010 (no public name)
    return prepared


class _ExactTarget(str):
    """A request target. Older versions of requests drop the second of two leading slashes, lest urllib3
    take the path for a host; urllib3's connection pools never do, so those slashes are not shown."""

    __slots__ = ()

    def startswith(self, prefix: Any, *args: Any) -> bool:
        return prefix != "//" and super().startswith(prefix, *args)


class _ExactRequest(requests.PreparedRequest):
    """A prepared request whose path nothing touches."""

    @property
    def path_url(self) -> str:
        url = self.url or ""
        return _ExactTarget(url[url.index("/", url.index("://") + 3) :])


def _refuse_rewriting(url: str, proxies: Any) -> None:
    """Raise where urllib3 would normalise the path: plain http through a forwarding proxy."""
    if url.startswith("http:") and select_proxy(url, proxies) and parse_url(url).url != url:
        raise TransportError(
            "this key's path has dot segments or empty ones, which requests would rewrite on its way "
            "through an http proxy; use an https endpoint or no session=",
            reason="proxy",
        )


def _hung_up_on(error: BaseException) -> bool:
    """Whether TLS failed because the peer closed the connection, not for anything that it said."""
    cause: Any = error.args[0] if error.args else None
    cause = getattr(cause, "reason", cause)
    inner = cause.args[0] if isinstance(cause, urllib3_errors.SSLError) and cause.args else cause
    return isinstance(inner, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def _connection_failure(request: WireRequest, error: Exception) -> TransportError | MalformedResponse:
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    inner = cause.args[-1] if isinstance(cause, urllib3_errors.ProtocolError) and cause.args else None
    # To http.client it is one of these as well that the peer hung up, before or in its answer.
    hung_up = isinstance(inner, (RemoteDisconnected, IncompleteRead)) or (
        isinstance(inner, BadStatusLine) and not str(inner).endswith("\n")
    )
    if isinstance(inner, HTTPException) and not hung_up:
        return MalformedResponse(f"the answer breaks HTTP: {inner!r:.100}")
    if isinstance(cause, urllib3_errors.NewConnectionError):
        return TransportError(f"cannot connect to {request.origin}: {cause}", reason="connect")
    return TransportError(f"the connection to {request.origin} broke: {error}", reason="closed", sent=True)


def _read(
    answer: requests.Response, request: WireRequest, doubted: dict[Origin, frozenset[str]]
) -> Response:
    # http.client leaves the blanks at a value's end, which HTTP does not count as part of it.
    headers = {str(name).lower(): str(value).strip(" \t") for name, value in answer.headers.items()}
    status = answer.status_code
    if status < 200:
        # http.client passes over 100 only; the answer proper, which follows, is lost with the connection.
        raise _broken_off(None)
    # A mock has the headers as a plain mapping.
    lines = getattr(getattr(answer.raw, "headers", None), "getlist", None)
    for name in ("etag", "content-range"):
        if lines is not None and len(lines(name)) > 1:
            raise MalformedResponse(f"the answer has the field {name} twice")
    length = headers.get("content-length")
    # From a real connection (a mock has none) such a head may be one that was cut short.
    connection = getattr(answer.raw, "connection", None)
    real = connection is not None
    closing = _ends_by_closing(answer, headers)
    bare = length == "0" or not http1.has_body(request.method, status)
    if real and length == "":
        raise _broken_off(None)
    if bare and real and not closing and _has_ended(connection):
        _check_whole(request, status, headers, doubted)
    if length is not None and not (length.isascii() and length.isdigit()):
        raise MalformedResponse(f"the answer's Content-Length is no number: {length[:80]!r}")
    uncounted = length is None and headers.get("transfer-encoding", "").lower() != "chunked"
    doubtful = uncounted and real and not closing
    etag = headers.get("etag", "")
    if real and etag.startswith(('"', 'W/"')) and not etag.endswith('"'):
        raise _broken_off(None)
    if not http1.has_body(request.method, status):
        if doubtful and status == 200:
            raise _broken_off(None)
        # Reading the nothing that is there gives the connection back to the session's pool.
        answer.raw.read(decode_content=False)
        return Response(status, headers, b"")
    success = status < 300
    if request.data and success and uncounted and real:
        raise TransportError(
            "the answer does not say how long the object's bytes are", reason="short", sent=True
        )
    limit: float = MAX_DOCUMENT_BYTES if success else MAX_ERROR_BYTES
    if request.data and success:
        limit = float("inf")
    pieces: list[bytes] = []
    size = 0
    cause: Exception | None = None
    try:
        while size <= limit:
            piece = answer.raw.read(_PIECE, decode_content=False)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        else:
            if success:
                raise MalformedResponse(f"the answer is a document of over {limit:,.0f} bytes")
    except (urllib3_errors.HTTPError, OSError) as error:
        cause = error
    total = None if length is None else int(length)
    if cause is None and not (doubtful and not size) and (total in (None, size) or size > limit):
        return Response(status, headers, b"".join(pieces))
    failure = _broken_off(cause)
    if request.data and success:
        failure.partial = Partial(status, headers, b"".join(pieces), None, size, total, 0)
    raise failure from cause


def _ends_by_closing(answer: requests.Response, headers: dict[str, str]) -> bool:
    """Whether an answer says that it ends where its connection does."""
    return getattr(answer.raw, "version", 11) == 10 or "close" in headers.get("connection", "").lower()


def _check_whole(
    request: WireRequest, status: int, headers: dict[str, str], doubted: dict[Origin, frozenset[str]]
) -> None:
    """Have it be tried again where the end of a connection may have cut off some of the headers.

    Args:
        doubted: The names in the last head that may have been cut, by origin. The same twice is a store
            that closes connections without saying so, which is believed.

    Raises:
        TransportError: that may be.
    """
    if request.method == "HEAD":
        names = frozenset(headers)
        before = doubted.get(request.origin)
        doubted[request.origin] = names
        if before != names:
            raise _broken_off(None)
    elif request.method == "PUT" and status < 300 and "etag" not in headers:
        raise _broken_off(None)


def _has_ended(connection: Any) -> bool:
    """Whether the peer has closed a connection that was to live on, and there is nothing more to read.

    To http.client, that ends a head like an empty line; where no body follows, nothing else tells of a cut.
    """
    sock = getattr(connection, "sock", None)
    if not isinstance(sock, socket.socket):
        return False
    try:
        # Below TLS, which cannot be asked. A socket with a timeout waits whatever its flags say.
        return wait_for_read(sock, 0) and not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


def _broken_off(error: Exception | None) -> TransportError:
    """The failure that ended an answer in its middle."""
    if isinstance(error, urllib3_errors.ReadTimeoutError):
        return TransportError(
            "the store fell silent in the middle of an answer", reason="timeout", sent=True
        )
    return TransportError("the answer was cut short", reason="short", sent=True)
