"""Opening a connection: name look-up, proxies and TLS, through urllib3's connection classes.

urllib3 is imported here, at the first connection, and nowhere else in the built-in transport.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import SpecError, TransportError
from ..messages import Origin, Settings
from .connection import Connection

if TYPE_CHECKING:
    import ssl

_CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def ca_bundle(environ: Mapping[str, str]) -> str | None:
    """The certificate bundle that the environment names, a file or a directory, or None.

    Raises:
        SpecError: the variable names something that does not exist.
    """
    for name in _CA_VARIABLES:
        path = environ.get(name)
        if path:
            if not os.path.exists(path):
                raise SpecError(f"{name} names {path!r}, which does not exist", member=name)
            return path
    return None


def tls_context(bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names.

    Args:
        bundle: A file or directory of trusted certificates; None for the system's, or certifi's
            where Python finds none on the system.
    """
    import ssl

    from urllib3.util.ssl_ import create_urllib3_context

    context: ssl.SSLContext = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    if bundle is None:
        paths = ssl.get_default_verify_paths()
        if paths.cafile or (paths.capath and os.listdir(paths.capath)) or os.name == "nt":
            context.load_default_certs()
        else:
            import certifi

            context.load_verify_locations(certifi.where())
        return context
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(bundle)
    except (OSError, ssl.SSLError) as error:
        raise SpecError(f"the certificate bundle {bundle!r} cannot be read: {error}") from error
    return context


def find_proxy(origin: Origin) -> str | None:
    """The proxy that the environment names for an origin (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    url = proxies.get(origin.scheme) or proxies.get("all")
    if not url or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    return url if "://" in url else f"http://{url}"


def open_connection(
    origin: Origin, settings: Settings, context: ssl.SSLContext | None, timeout: float
) -> Connection:
    """A new connection to ``origin``, straight or through the environment's proxy.

    Args:
        context: The TLS context; needed for https origins.
        timeout: Seconds that connecting may take, for each address that the name has.

    Raises:
        TransportError: ``reason`` tells a refused connection from a timeout and from TLS.
    """
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    tls = origin.scheme == "https"
    host, port, where = origin.host, origin.port, str(origin)
    proxy = find_proxy(origin)
    if proxy is not None:
        host, port, authorization = _split_proxy(proxy)
        where = f"{where} through the proxy {host}:{port}"
    opener: HTTPConnection
    if tls:
        opener = HTTPSConnection(host, port, timeout=timeout, ssl_context=context)
        if proxy is not None:
            opener.set_tunnel(origin.host, origin.port, headers=authorization)
    else:
        opener = HTTPConnection(host, port, timeout=timeout)
    try:
        opener.connect()
        sock = opener.sock
        assert sock is not None
    # In urllib3 a refused connection is a kind of ConnectTimeoutError, so it comes first.
    except NewConnectionError as error:
        opener.close()
        raise TransportError(
            f"cannot connect to {where}: {_root_cause(error)}", reason="connect"
        ) from error
    except (ConnectTimeoutError, TimeoutError) as error:
        opener.close()
        raise TransportError(f"no connection to {where} within {timeout:g} s", reason="timeout") from error
    except OSError as error:
        opener.close()
        raise _handshake_failure(where, error, proxied=proxy is not None) from error
    except BaseException:
        opener.close()
        raise
    # The socket is ours now; urllib3's object must not close it when it is collected.
    opener.sock = None
    return Connection(
        sock,
        tls=tls,
        timeout=settings.read_timeout,
        forwarding=authorization if proxy is not None and not tls else None,
    )


def _split_proxy(proxy: str) -> tuple[str, int, dict[str, str]]:
    """Host, port and authorization header of an http proxy's URL."""
    from urllib.parse import unquote

    from urllib3.util import make_headers, parse_url

    url = parse_url(proxy)
    if url.scheme != "http" or not url.host:
        raise TransportError(
            f"the environment names a proxy of a kind not supported ({url.scheme or 'no scheme'}): "
            "http is; for others pass session=requests.Session() set up with that proxy",
            reason="proxy",
        )
    headers = make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else {}
    return url.host.strip("[]"), url.port or 80, dict(headers)


def _handshake_failure(where: str, error: OSError, *, proxied: bool) -> TransportError:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportError(
            f"the certificate of {where} is not trusted: {error.verify_message}; a private "
            "authority's certificate is trusted through AWS_CA_BUNDLE",
            reason="tls",
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
        return TransportError(f"{where} closed the connection while it was opened", reason="closed")
    if isinstance(error, ssl.SSLError):
        return TransportError(
            f"no TLS with {where}: {error.reason or error}; is it a plain http endpoint?",
            reason="tls",
        )
    if isinstance(error, socket.gaierror):
        return TransportError(f"cannot connect to {where}: {error}", reason="connect")
    return TransportError(f"cannot connect to {where}: {error}", reason="proxy" if proxied else "connect")


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
