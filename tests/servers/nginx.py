"""nginx as a stand-in for an infinitely fast S3: for measuring the client, not for correctness.

It knows nothing of signatures, so it accepts all of them. To a path-style client it looks like:

- any bucket that is a directory under the root: GET and HEAD of its files, with ``ETag``,
  ``Last-Modified``, ranges and conditions, as S3 does them;
- the bucket ``sink``: a PUT of any key is read, thrown away and answered with an ETag;
- the bucket ``listing``: list requests are answered with pages written in advance, chosen by the
  request's continuation token.
"""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from .certificate import write_certificate
from .ports import LOOPBACK, missing_programs
from .process import LocalProcess

SINK_BUCKET = "sink"
LISTING_BUCKET = "listing"
SINK_ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'

# Tokens that no client percent-encodes, so that they can be compared with the query as sent, and
# that fit the buckets of nginx's hash.
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9._~-]{0,500}")

_CONFIG = """\
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr warn;
daemon off;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;

    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 0;
    default_type application/octet-stream;
    etag on;
    merge_slashes off;

    map_hash_max_size 65536;
    map_hash_bucket_size 1024;
    # First cut the token out of the query, then look it up: one hash probe for any number of pages.
    map $args $token {{
        default "";
        "~(?:^|&)continuation-token=(?<cut>[^&]*)" $cut;
    }}
    map $token $page {{
        default unknown;
{pages}
    }}

    server {{
        listen {address}{ssl};
        {certificate}
        root "{root}";

        location /{sink}/ {{
            add_header ETag '{etag}' always;
            return 200;
        }}
        location ~ ^/{listing}/?$ {{
            root "{directory}/pages";
            default_type application/xml;
            etag off;
            try_files /$page.xml =400;
        }}
    }}
}}
"""


class StaticServer(LocalProcess):
    """Serves the files under a directory over HTTP or HTTPS until the ``with`` block ends."""

    name: ClassVar[str] = "nginx"

    def __init__(
        self,
        root: Path,
        *,
        tls: bool = False,
        workers: int | Literal["auto"] = 1,
        pages: Mapping[str, bytes] | None = None,
        ready_seconds: float = 60.0,
    ) -> None:
        """Serve the files under ``root``, whose subdirectories are the buckets.

        ``tls``: serve HTTPS with a certificate made for the occasion, see ``ca_file``.
        ``workers``: the number of nginx processes; ``"auto"`` is one a core.
        ``pages``: the answers to list requests, by continuation token; ``""`` is the first page.
        Tokens are limited to 500 letters, digits and ``._~-``.
        """
        super().__init__(ready_seconds=ready_seconds)
        self._root = root.resolve()
        self._tls = tls
        self._workers = workers
        self._pages = dict(pages or {})
        if any(character in str(self._root) for character in '"$\\'):
            raise ValueError(f"nginx cannot be told of a directory with this name: {self._root}")
        for token in self._pages:
            if not _PLAIN_TOKEN.fullmatch(token):
                raise ValueError(f"not a token this server can look up: {token!r}")

    @classmethod
    def available(cls) -> str | None:
        """Return None when the program is found."""
        return missing_programs(("nginx",), install="apt-get install nginx")

    @property
    def endpoint(self) -> str:
        """The URL that clients are given as the endpoint."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.ports[0]}"

    @property
    def ca_file(self) -> Path:
        """The certificate that makes clients trust the server; only with ``tls``."""
        if not self._tls:
            raise RuntimeError("the server was not asked to use TLS")
        return self.directory / "certificate.pem"

    def _launch(self) -> None:
        directory = self.directory
        config = directory / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                user=_user_directive(),
                workers=self._workers,
                directory=directory,
                address=f"{LOOPBACK}:{self.ports[0]}",
                ssl=" ssl" if self._tls else "",
                certificate=self._certificate(),
                root=self._root,
                pages=self._write_pages(),
                sink=SINK_BUCKET,
                etag=SINK_ETAG,
                listing=LISTING_BUCKET,
            )
        )
        self._spawn("nginx", ["nginx", "-e", "stderr", "-p", str(directory), "-c", str(config)])

    def _write_pages(self) -> str:
        """Write each page to a numbered file; return the lines that map tokens to them."""
        (self.directory / "pages").mkdir()
        lines = []
        for number, (token, body) in enumerate(self._pages.items()):
            (self.directory / "pages" / f"{number}.xml").write_bytes(body)
            lines.append(f'        "{_map_key(token)}" {number};')
        return "\n".join(lines)

    def _certificate(self) -> str:
        if not self._tls:
            return ""
        certificate, key = write_certificate(self.directory)
        return f"ssl_certificate {certificate}; ssl_certificate_key {key};"

    def _not_ready(self) -> str | None:
        try:
            status = self._ask()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        return None if status == 200 else f"it answered {status}"

    def _ask(self) -> int:
        host, port, seconds = LOOPBACK, self.ports[0], 5.0
        connection = (
            http.client.HTTPSConnection(host, port, timeout=seconds, context=self._trust())
            if self._tls
            else http.client.HTTPConnection(host, port, timeout=seconds)
        )
        try:
            connection.request("GET", f"/{SINK_BUCKET}/ready")
            return connection.getresponse().status
        finally:
            connection.close()

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


def _map_key(token: str) -> str:
    """Escape the words and the first character that the ``map`` directive treats specially."""
    special = token.startswith("~") or token in ("default", "hostnames", "include", "volatile")
    return "\\" + token if special else token


def _user_directive() -> str:
    # Started by root, nginx would hand the work to a user who may not enter the private directory.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
