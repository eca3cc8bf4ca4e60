"""Opening a connection: name look-up, TCP and TLS, straight or through a proxy.

This module, and with it urllib3, is imported at the first connection.
"""

from __future__ import annotations

import contextlib

# Looking up a name loads this codec; it is loaded here because a fork waits for this module's imports.
import encodings.idna  # noqa: F401
import socket
import ssl
from time import monotonic

from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read, wait_for_write

from .. import forksafe
from ..call import Call
from ..errors import TransportError
from ..messages import Origin, Settings
from .connection import Connection
from .proxy import find_proxy, open_tunnel
from .tls_connection import TlsConnection


class _Openings:
    """The sockets on their way to become connections, so that a forked child can let go of them.

    Mutable state: ``sockets``, a set changed by single steps of the interpreter.
    """

    def __init__(self) -> None:
        self.sockets: set[socket.socket] = set()
        forksafe.register(self)

    def after_fork(self) -> None:
        """Close the child's copies, which says nothing to the peers."""
        inherited, self.sockets = self.sockets, set()
        for sock in inherited:
            sock.close()


_openings = _Openings()


class _Opening:
    """A connection that is being opened, as what its call waits on."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def open_connection(
    origin: Origin, settings: Settings, context: ssl.SSLContext | None, timeout: float, call: Call
) -> Connection:
    """A new connection to ``origin``, straight or through the environment's proxy.

    Args:
        context: The TLS context; needed for https origins.
        timeout: Seconds that connecting may take, and again the handshakes.
        call: What the connection is for; stopping it ends all but the look-up of the name.

    Raises:
        TransportError: ``reason`` tells a refused connection from a timeout and from TLS.
    """
    where = str(origin)
    proxy = find_proxy(origin)
    if proxy is None:
        host, port = origin.host, origin.port
    else:
        host, port = proxy.host, proxy.port
        where = f"{where} through the proxy {proxy}"
    sock = _open_socket(host, port, where, timeout, call)
    try:
        if origin.scheme == "https":
            assert context is not None
            until = monotonic() + timeout
            # A descriptor of its own, because TLS takes the first one away.
            watched = sock.dup()
            _openings.sockets.add(watched)
            call.attach(_Opening(watched))
            try:
                if proxy is not None:
                    open_tunnel(sock, proxy, origin, timeout)
                sock = _wrap(sock, origin.host, where, context, until - monotonic(), timeout)
            finally:
                call.detach()
                _openings.sockets.discard(watched)
                watched.close()
        if isinstance(sock, ssl.SSLSocket):
            return TlsConnection(sock, timeout=settings.read_timeout)
        return Connection(
            sock,
            tls=False,
            timeout=settings.read_timeout,
            forwarding=proxy.headers if proxy is not None and origin.scheme == "http" else None,
        )
    except BaseException:
        sock.close()
        raise
    finally:
        _openings.sockets.discard(sock)


def _open_socket(host: str, port: int, where: str, timeout: float, call: Call) -> socket.socket:
    """A connected socket, which is one of the openings."""
    until = monotonic() + timeout
    failure: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransportError(f"cannot connect to {where}: {error}", reason="connect") from error
    for number, (family, kind, protocol, _, address) in enumerate(found):
        left = until - monotonic()
        if left <= 0 or call.stop is not None:
            break
        share = left / (len(found) - number)
        try:
            return _reach(socket.socket(family, kind, protocol), address, share, call)
        except OSError as error:
            failure = error
    try:
        if failure is None or isinstance(failure, TimeoutError):
            raise TransportError(f"no connection to {where} within {timeout:g} s", reason="timeout")
        raise TransportError(f"cannot connect to {where}: {failure}", reason="connect") from failure
    finally:
        # Its traceback keeps this frame.
        del failure


def _reach(sock: socket.socket, address: tuple[object, ...], seconds: float, call: Call) -> socket.socket:
    """The same socket, connected.

    Raises:
        OSError: it could not be, and is closed.
    """
    _openings.sockets.add(sock)
    try:
        # A request must not wait for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds)
        call.attach(_Opening(sock))
        try:
            sock.connect(address)
        finally:
            call.detach()
        return sock
    except BaseException:
        _openings.sockets.discard(sock)
        sock.close()
        raise


def _shake_hands(sock: ssl.SSLSocket, seconds: float) -> None:
    """Do the handshake of a socket that does not block."""
    until = monotonic() + seconds
    while True:
        try:
            # OpenSSL takes locks meanwhile, which a child would inherit: a fork waits for this step.
            with forksafe.importing:
                sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            ready = wait_for_read(sock, max(0.0, until - monotonic()))
        except ssl.SSLWantWriteError:
            ready = wait_for_write(sock, max(0.0, until - monotonic()))
        if not ready:
            raise TimeoutError


def _wrap(
    sock: socket.socket,
    host: str,
    where: str,
    context: ssl.SSLContext,
    left: float,
    timeout: float,
) -> ssl.SSLSocket:
    """TLS over a connected socket, the certificate and the name in it verified by the context."""
    try:
        if left <= 0:
            raise TimeoutError
        sock.settimeout(0)
        wrapped = context.wrap_socket(sock, server_hostname=host.rstrip("."), do_handshake_on_connect=False)
        _openings.sockets.add(wrapped)
        try:
            _shake_hands(wrapped, left)
        except BaseException:
            wrapped.close()
            raise
        finally:
            _openings.sockets.discard(wrapped)
        return wrapped
    except TimeoutError as error:
        raise TransportError(f"no TLS with {where} within {timeout:g} s", reason="timeout") from error
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the certificate of {where} is not trusted: {error.verify_message}; a private authority's "
            "certificate is trusted through AWS_CA_BUNDLE",
            reason="tls",
        ) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
        raise TransportError(
            f"{where} closed the connection while it was opened", reason="closed"
        ) from error
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TransportError(
            f"no TLS with {where}: {reason}; is it a plain http endpoint?", reason="tls"
        ) from error
    except OSError as error:
        raise TransportError(f"the connection to {where} broke: {error}", reason="closed") from error
