"""Which certificates are trusted."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

from ..errors import SpecError

_CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class _ClientSocket(ssl.SSLSocket):
    """A TLS socket that is closed when its peer has gone before the handshake.

    Before 3.12, ssl leaves such a socket open with nobody to close it (a reset peer), or hands it out
    without TLS. Its first question to the socket is for the peer's name.
    """

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError as error:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "the peer closed the connection") from error


def ca_bundle(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """(path, variable) of the certificates that the environment names, a file or a directory; or None.

    Raises:
        SpecError: the variable names something that does not exist.
    """
    for name in _CA_VARIABLES:
        path = environ.get(name)
        if path:
            if not os.path.exists(path):
                raise SpecError(f"{name} names {path!r}, which does not exist", member=name)
            return path, name
    return None


def tls_context(bundle: tuple[str, str] | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names.

    Args:
        bundle: A file or directory of trusted certificates, and the variable that names it; None for
            the system's, or certifi's where Python finds none on the system.

    Raises:
        SpecError: the bundle cannot be read.
    """
    context: ssl.SSLContext = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.check_hostname = True
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = _ClientSocket
    if bundle is None:
        paths = ssl.get_default_verify_paths()
        if paths.cafile or (paths.capath and os.listdir(paths.capath)) or os.name == "nt":
            context.load_default_certs()
        else:
            import certifi

            context.load_verify_locations(certifi.where())
        return context
    path, variable = bundle
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(path)
    except OSError as error:
        raise SpecError(
            f"{variable} names {path!r}, which holds no certificates that can be read: {error}",
            member=variable,
        ) from error
    return context
