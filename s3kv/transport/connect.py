"""Opening a connection: name look-up and TLS, through urllib3, straight or through a proxy.

This module, and with it urllib3, is imported at the first connection.
"""

from __future__ import annotations

import contextlib

# Looking up a name loads this codec; it is loaded here because a fork waits for this module's imports.
import encodings.idna  # noqa: F401
import socket
import ssl
from time import monotonic
from typing import cast

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.ssl_ import ssl_wrap_socket

from ..call import Call
from ..errors import TransportError
from ..messages import Origin, Settings
from .connection import Connection
from .proxy import find_proxy, open_tunnel
from .tls_connection import TlsConnection


class _Handshake:
    """A handshake under way, as what its call waits on.

    Has a descriptor of its own for the socket, because TLS takes the first one away.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock.dup()

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


def open_connection(
    origin: Origin, settings: Settings, context: ssl.SSLContext | None, timeout: float, call: Call
) -> Connection:
    """A new connection to ``origin``, straight or through the environment's proxy.

    Args:
        context: The TLS context; needed for https origins.
        timeout: Seconds that connecting may take, for each address that the name has, and again for the
            handshakes.
        call: What the connection is for; stopping it ends the handshakes.

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
    sock = _open_socket(host, port, where, timeout)
    try:
        if origin.scheme == "https":
            assert context is not None
            until = monotonic() + timeout
            handshake = _Handshake(sock)
            call.attach(handshake)
            try:
                if proxy is not None:
                    open_tunnel(sock, proxy, origin, timeout)
                sock = _wrap(sock, origin.host, where, context, until - monotonic(), timeout)
            finally:
                call.detach()
                handshake.close()
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


def _open_socket(host: str, port: int, where: str, timeout: float) -> socket.socket:
    opener = HTTPConnection(host, port, timeout=timeout)
    try:
        opener.connect()
    # In urllib3 a refused connection is a kind of ConnectTimeoutError, so it comes first.
    except NewConnectionError as error:
        raise TransportError(
            f"cannot connect to {where}: {_root_cause(error)}", reason="connect"
        ) from error
    except (ConnectTimeoutError, TimeoutError) as error:
        raise TransportError(f"no connection to {where} within {timeout:g} s", reason="timeout") from error
    except (HTTPError, OSError, UnicodeError) as error:
        raise TransportError(f"cannot connect to {where}: {error}", reason="connect") from error
    sock = opener.sock
    assert sock is not None
    # It is ours now; urllib3's object must not close it when it is collected.
    opener.sock = None
    return cast("socket.socket", sock)


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
        sock.settimeout(left)
        return ssl_wrap_socket(sock, server_hostname=host.rstrip("."), ssl_context=context)
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
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TransportError(
            f"no TLS with {where}: {reason}; is it a plain http endpoint?", reason="tls"
        ) from error


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
