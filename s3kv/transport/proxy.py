"""Proxies that the environment names: which one, and the tunnel through it.

https://www.rfc-editor.org/rfc/rfc9110#name-connect
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import NamedTuple
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3.exceptions import LocationParseError
from urllib3.util import make_headers, parse_url

from ..errors import MalformedResponse, TransportError
from ..http1 import request_head
from ..http1_reader import ResponseReader
from ..messages import Origin, header_lines
from .connection import Connection


class Proxy(NamedTuple):
    """An http proxy.

    Attributes:
        host: Its host name or address.
        port: Its port.
        headers: What it is to be told: its user and password, if any.
    """

    host: str
    port: int
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def find_proxy(origin: Origin) -> Proxy | None:
    """The proxy that the environment names for an origin (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).

    Raises:
        TransportError: the variable holds no URL, or that of a kind of proxy that is not supported.
    """
    proxies = getproxies()
    url = proxies.get(origin.scheme) or proxies.get("all")
    if not url or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    return _parse(url if "://" in url else f"http://{url}")


def _parse(text: str) -> Proxy:
    # The URL may hold a password, so it is not shown.
    try:
        url = parse_url(text)
    except LocationParseError as error:
        raise TransportError("the environment names a proxy that is no URL", reason="proxy") from error
    if " " in (url.host or "") or not (url.host or "").isprintable():
        raise TransportError("the environment names a proxy that is no URL", reason="proxy")
    if url.scheme != "http" or not url.host:
        raise TransportError(
            f"the environment names a proxy of a kind not supported ({url.scheme or 'no scheme'}): "
            "http is; for others pass session=requests.Session() set up with that proxy",
            reason="proxy",
        )
    headers = make_headers(proxy_basic_auth=unquote(url.auth)) if url.auth else {}
    return Proxy(url.host.strip("[]"), url.port or 80, dict(headers))


def open_tunnel(sock: socket.socket, proxy: Proxy, origin: Origin, timeout: float) -> None:
    """Have the proxy at the other end of ``sock`` pass everything on to ``origin``.

    Raises:
        TransportError: it does not, or not in time.
    """
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    name = f"{host}:{origin.port}"
    head = request_head("CONNECT", name, header_lines([("Host", name), *proxy.headers.items()]))
    reader = ResponseReader("CONNECT", data=False)
    # Kernel timeouts would stay on the socket and disturb TLS, so this is not marked as plain.
    connection = Connection(sock, tls=True, timeout=timeout)
    try:
        response = connection.exchange(head, b"", reader, monotonic() + timeout)
    except MalformedResponse as error:
        raise TransportError(
            f"the proxy {proxy} does not speak HTTP: {error.message}", reason="proxy"
        ) from error
    except TransportError as error:
        raise TransportError(
            f"the proxy {proxy} opened no tunnel to {origin}: {error.message}", reason=error.reason
        ) from error
    if not 200 <= response.status < 300:
        raise TransportError(
            f"the proxy {proxy} refuses a tunnel to {origin}: it answered {response.status}", reason="proxy"
        )
