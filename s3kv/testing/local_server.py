"""A local S3 server, for tests and first steps. No AWS account, no network."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from types import TracebackType
from typing import Any

from ..errors import S3KVError
from ..spec.bucket import check_bucket
from ..store import Store
from .moto_server import Moto, MotoProcess, MotoThread
from .opened import Opened

_REGION = "us-east-1"


class LocalServer:
    """A context manager: an S3 server (moto) on a free port of this machine, with one empty bucket.

    The bucket may be read and written without credentials, and with any. Everything is kept in memory,
    and forgotten at the end of the block, which also closes the stores of :meth:`store`. Several servers
    may run at the same time; those in this process share moto's memory, so each needs a bucket of its own
    name, which it has unless one is given. A server may be started again, empty, after its block.

    Args:
        bucket: The name of the bucket; default: a new one.
        in_process: Run it in a thread of this process; False: in a process of its own, which takes no
            turns at this interpreter's lock, and starts in a second or two. Default True.

    Raises:
        SpecError: the name cannot be a bucket's.
        S3KVError: the ``server`` extra is not installed; the server is running already; there is a bucket
            of this name in moto's memory.

    Example:
        >>> from s3kv.testing import LocalServer
        >>> with LocalServer() as server, server.store(path="a/") as store:
        ...     _ = store.put("greeting", b"hello")
        ...     store["greeting"]
        b'hello'

        Any other client can use it, too::

            with LocalServer() as server:
                client = boto3.client(
                    "s3",
                    endpoint_url=server.endpoint,
                    region_name="us-east-1",
                    aws_access_key_id="any",
                    aws_secret_access_key="any",
                )
                client.put_object(Bucket=server.bucket, Key="a/greeting", Body=b"hello")
    """

    def __init__(self, bucket: str | None = None, *, in_process: bool = True) -> None:
        if bucket is not None:
            check_bucket(bucket)
        self._bucket = f"local-{secrets.token_hex(4)}" if bucket is None else bucket
        self._in_process = in_process
        self._opened = Opened()
        # Set while it runs; only the thread that enters and leaves the block changes them.
        self._server: Moto | None = None
        self._owner = 0

    def __enter__(self) -> LocalServer:
        if self._server is not None:
            raise S3KVError("the local server is running already: each block has a LocalServer of its own")
        self._server = MotoThread() if self._in_process else MotoProcess()
        self._owner = os.getpid()
        try:
            self._create_bucket()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is None or self._owner != os.getpid():
            # A forked child has no part in it.
            return
        self._opened.close()
        try:
            if self._in_process:
                self._forget_bucket()
        finally:
            self._stop()

    def _stop(self) -> None:
        server, self._server = self._server, None
        assert server is not None
        server.stop()

    def _create_bucket(self) -> None:
        status, _ = self._ask("HEAD")
        if status == 200:
            raise S3KVError(
                f"a bucket named {self._bucket!r} is in moto's memory already, which all local servers in "
                "this process share: give each another name, or none"
            )
        # Public, so that neither reading nor writing needs credentials.
        status, body = self._ask("PUT", headers={"x-amz-acl": "public-read-write", "Content-Length": "0"})
        if status != 200:
            raise S3KVError(
                f"the local server did not create the bucket {self._bucket!r}: {status} "
                f"{body.decode('utf-8', 'replace')[:300]}"
            )

    def _forget_bucket(self) -> None:
        """Give the memory back, as far as that can be done."""
        # Who deletes the bucket, or has it keep versions, is no error here.
        with suppress(S3KVError), Store(self.spec, timeout=60.0) as store:
            store.clear()
            self._ask("DELETE")

    def _ask(self, method: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Ask for something about the bucket."""
        from http.client import HTTPConnection

        connection = HTTPConnection(self.endpoint.removeprefix("http://"), timeout=60)
        try:
            connection.request(method, f"/{self._bucket}", headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._bucket

    @property
    def endpoint(self) -> str:
        """The server's URL, for instance ``http://127.0.0.1:41287``.

        Raises:
            S3KVError: the server is not running.
        """
        if self._server is None:
            raise S3KVError("the local server is not running: use it as `with LocalServer() as server:`")
        return self._server.endpoint

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON spec that opens the bucket, without credentials.

        Raises:
            S3KVError: the server is not running.
        """
        return {
            "driver": "s3",
            "bucket": self._bucket,
            "endpoint": self.endpoint,
            "aws_region": _REGION,
            "aws_credentials": {"type": "anonymous"},
        }

    def store(self, **members: Any) -> Store:
        """A new store on the bucket, which is closed with the server if not before.

        Args:
            **members: As for :class:`Store`; they override :attr:`spec`.

        Raises:
            S3KVError: the server is not running.
        """
        return self._opened.add(Store(self.spec, **members))

    def __repr__(self) -> str:
        where = "not running" if self._server is None else f"at {self._server.endpoint}"
        return f"<LocalServer {where}, bucket {self._bucket!r}>"
