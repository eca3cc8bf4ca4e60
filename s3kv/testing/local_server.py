"""A local S3 server, for tests and first steps. No AWS account, no network."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from ..errors import S3KVError
from ..store import Store

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer


class LocalServer:
    """A context manager: an S3 server (moto) on a free port of this machine, with one empty bucket.

    The bucket may be read and written without credentials. All servers of one process share moto's
    memory, so each has a bucket of its own name unless one is given.

    Args:
        bucket: The name of the bucket; default: a new one.

    Raises:
        S3KVError: the ``server`` extra is not installed.

    Example:
        >>> from s3kv.testing import LocalServer
        >>> with LocalServer() as server, server.store(path="a/") as store:
        ...     _ = store.put("greeting", b"hello")
        ...     store["greeting"]
        b'hello'
    """

    def __init__(self, bucket: str | None = None) -> None:
        self._bucket = bucket or f"local-{secrets.token_hex(4)}"
        self._server: ThreadedMotoServer | None = None
        self._endpoint = ""
        self._log_level = logging.NOTSET

    def __enter__(self) -> LocalServer:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise S3KVError(
                "the local server needs the 'server' extra: pip install 's3kv[server]'"
            ) from error
        log = logging.getLogger("werkzeug")
        # A line for every request would bury what the user prints.
        self._log_level = log.level
        log.setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self._server = server
        host, port = server.get_host_and_port()
        self._endpoint = f"http://{host}:{port}"
        try:
            self._create_bucket()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _create_bucket(self) -> None:
        from http.client import HTTPConnection

        connection = HTTPConnection(self._endpoint.removeprefix("http://"), timeout=60)
        try:
            # Public, so that neither reading nor writing needs credentials.
            headers = {"x-amz-acl": "public-read-write", "Content-Length": "0"}
            connection.request("PUT", f"/{self._bucket}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise S3KVError(
                f"the local server did not create the bucket {self._bucket!r}: {answer.status} "
                f"{body.decode('utf-8', 'replace')[:300]}"
            )

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        logging.getLogger("werkzeug").setLevel(self._log_level)

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._bucket

    @property
    def endpoint(self) -> str:
        """The server's URL, for instance ``http://127.0.0.1:41287``."""
        return self._endpoint

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON spec that opens the bucket."""
        return {
            "driver": "s3",
            "bucket": self._bucket,
            "endpoint": self._endpoint,
            "aws_region": "us-east-1",
            "aws_credentials": {"type": "anonymous"},
        }

    def store(self, **members: Any) -> Store:
        """A new store on the bucket; ``members`` override :attr:`spec`. Close it when done."""
        return Store(self.spec, **members)
