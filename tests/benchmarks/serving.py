"""The servers of the rows: each a context manager that starts one, fills it and tells where it is."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.servers import (
    LISTING_BUCKET,
    SINK_BUCKET,
    LocalProcess,
    LocalProcessServer,
    MotoServer,
    SeaweedFSServer,
    StaticServer,
)
from tests.servers.children import Guard
from tests.servers.ports import LOOPBACK
from tests.wire.authority import Authority

from .sizes import Sizes
from .task import LARGE_KEY, Place, content, large_block, listed_key, small_key

BUCKET = "bench"
PAGE = 1000
DELAY_MS = 30
_DELAYED_KEYS = 100_000


class TrustedServer(StaticServer):
    """nginx with a certificate that all clients can be told to trust.

    It comes from an authority, which ``ca_file`` has. The plain server's certificate is its own
    authority, which rustls, and so obstore, does not take.
    """

    def _certificate(self) -> str:
        if not self._tls:
            return ""
        authority = Authority(self.directory)
        self.ca_file.write_bytes(authority.certificate)
        authority.server_context(LOOPBACK)
        (pair,) = self.directory.glob("server-*.pem")
        return f"ssl_certificate {pair}; ssl_certificate_key {pair};"


class Script(LocalProcess):
    """One of the servers of this folder, as a process of its own."""

    script: ClassVar[str]

    @classmethod
    def available(cls) -> str | None:
        """It needs Python only."""
        return None

    @property
    def endpoint(self) -> str:
        """The URL that clients are given as the endpoint."""
        return f"http://{LOOPBACK}:{self.ports[0]}"

    def _arguments(self) -> list[str]:
        return []

    def _launch(self) -> None:
        path = str(Path(__file__).with_name(self.script))
        # By path and isolated: it starts in milliseconds.
        command = [sys.executable, "-I", "-S", path, str(self.ports[0]), *self._arguments()]
        self._spawn(self.name, command)

    def _not_ready(self) -> str | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.ports[0], timeout=5.0)
        try:
            connection.request("GET", f"/{BUCKET}/ready")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return None


class Recorder(Script):
    """Takes PUTs, and can give them back."""

    name = "recorder"
    script = "recording_server.py"


class Delayed(Script):
    """Answers every GET ``DELAY_MS`` after it came."""

    name = "delayed"
    script = "delayed_server.py"

    @classmethod
    def available(cls) -> str | None:
        """It waits by epoll."""
        return None if sys.platform == "linux" else "needs Linux"

    def _arguments(self) -> list[str]:
        body = self.directory / "body"
        body.write_bytes(content(small_key(0)))
        return [str(DELAY_MS), str(body)]


def _write_small(folder: Path, count: int) -> None:
    """Write the small objects as files."""
    for number in range(count):
        key = small_key(number)
        (folder / key).write_bytes(content(key))


def _write_large(path: Path, size: int) -> str:
    """Write the large object as a file; return its SHA-256."""
    block, digest = large_block(), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _nginx(
    *, small: int = 0, large: int = 0, tls: bool = False, pages: Mapping[str, bytes] | None = None
) -> Iterator[Place]:
    """Serve files by nginx."""
    with tempfile.TemporaryDirectory(prefix="s3kv-bench-") as name:
        os.chmod(name, 0o755)
        # Removes the files if this process is killed.
        guard = Guard([Path(name)])
        try:
            folder = Path(name) / BUCKET
            folder.mkdir()
            _write_small(folder, small)
            digest = _write_large(folder / LARGE_KEY, large) if large else None
            with TrustedServer(Path(name), tls=tls, pages=pages) as server:
                ca_file = str(server.ca_file) if tls else None
                yield Place(server.endpoint, BUCKET, ca_file=ca_file, keys=small, digest=digest)
        finally:
            guard.release()


@contextmanager
def small_objects(sizes: Sizes) -> Iterator[Place]:
    """Many objects of 4 KB."""
    with _nginx(small=sizes.keys) as place:
        yield place


@contextmanager
def small_objects_tls(sizes: Sizes) -> Iterator[Place]:
    """The same, by HTTPS."""
    with _nginx(small=sizes.keys, tls=True) as place:
        yield place


@contextmanager
def large_object(sizes: Sizes) -> Iterator[Place]:
    """One large object, and a small one to begin with."""
    with _nginx(small=8, large=sizes.large) as place:
        yield place


@contextmanager
def large_object_tls(sizes: Sizes) -> Iterator[Place]:
    """The same, by HTTPS."""
    with _nginx(small=8, large=sizes.large, tls=True) as place:
        yield place


@contextmanager
def sink(sizes: Sizes) -> Iterator[Place]:
    """Small PUTs are thrown away by nginx, which is the faster; what they are is seen by the recorder."""
    with _nginx() as place, Recorder() as recorder:
        yield replace(place, bucket=SINK_BUCKET, keys=sizes.keys, recorder=recorder.endpoint)


@contextmanager
def large_sink(sizes: Sizes) -> Iterator[Place]:
    """Large PUTs: nginx would answer them before it has read them."""
    with Recorder() as recorder:
        yield Place(recorder.endpoint, SINK_BUCKET, recorder=recorder.endpoint)


@contextmanager
def delayed(sizes: Sizes) -> Iterator[Place]:
    """Objects that are far away."""
    with Delayed() as server:
        yield Place(server.endpoint, BUCKET, keys=_DELAYED_KEYS, content_of=small_key(0))


@contextmanager
def listing(sizes: Sizes) -> Iterator[Place]:
    """A bucket that can be listed only, from pages written in advance."""
    with _nginx(pages=dict(_pages(sizes.listed))) as place:
        yield replace(place, bucket=LISTING_BUCKET)


def _pages(count: int) -> Iterator[tuple[str, bytes]]:
    """(continuation token, answer) of each page."""
    last = (count - 1) // PAGE
    for page in range(last + 1):
        keys = map(listed_key, range(page * PAGE, min((page + 1) * PAGE, count)))
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(key.encode()).hexdigest()}&quot;</ETag><Size>4096</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        )
        following = "" if page == last else f"<NextContinuationToken>t{page + 1}</NextContinuationToken>"
        yield (
            f"t{page}" if page else "",
            (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<Name>{LISTING_BUCKET}</Name><Prefix></Prefix><MaxKeys>{PAGE}</MaxKeys>"
                "<EncodingType>url</EncodingType>"
                f"<KeyCount>{min(PAGE, count - page * PAGE)}</KeyCount>"
                f"<IsTruncated>{'true' if following else 'false'}</IsTruncated>{following}{contents}"
                "</ListBucketResult>"
            ).encode(),
        )


def signed_server() -> LocalProcessServer:
    """The server for the row of signed requests: SeaweedFS checks them, moto only takes them."""
    return MotoServer() if SeaweedFSServer.available() else SeaweedFSServer()


@contextmanager
def signed(sizes: Sizes) -> Iterator[Place]:
    """A real S3 server with credentials of its own."""
    with signed_server() as server:
        server.create_bucket(BUCKET)
        client, keys = server.client(), [small_key(number) for number in range(sizes.signed)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=content(key)), keys))
        info = server.info
        yield Place(info.endpoint, BUCKET, info.access_key, info.secret_key, keys=len(keys))
