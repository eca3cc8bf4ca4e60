"""moto, the S3 server behind :class:`LocalServer`: in a thread, or in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Protocol

from ..errors import S3KVError
from .quiet import QUIET

_LOOPBACK = "127.0.0.1"
_MISSING = "the local server needs the 'server' extra: pip install 's3kv[server]'"
# Seconds that a process may take to end when it is asked to.
_PATIENCE = 5.0

# It ends with its standard input, so with whoever started it, however that ends.
_PROGRAM = f"""
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
try:
    from moto.server import ThreadedMotoServer
except ImportError:
    print("missing", flush=True)
    sys.exit()
server = ThreadedMotoServer(ip_address="{_LOOPBACK}", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class Moto(Protocol):
    """A server that runs."""

    @property
    def endpoint(self) -> str:
        """Its URL."""

    def stop(self) -> None:
        """End it."""


class MotoThread:
    """moto in a thread of this process.

    Raises:
        S3KVError: it is not installed.
    """

    def __init__(self) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise S3KVError(_MISSING) from error
        # A line for every request would bury what the user prints.
        QUIET.begin()
        try:
            self._server = ThreadedMotoServer(ip_address=_LOOPBACK, port=0, verbose=False)
            self._server.start()
        except BaseException:
            QUIET.end()
            raise
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"

    def stop(self) -> None:
        """End it; its memory stays."""
        try:
            self._server.stop()
        finally:
            QUIET.end()


class MotoProcess:
    """moto in a process of its own.

    Raises:
        S3KVError: it is not installed, or does not start.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # A Ctrl-C at the terminal is for the program, which then ends the server.
                start_new_session=True,
            )
            assert self._process.stdout is not None
            try:
                told = self._process.stdout.readline().decode().strip()
                if told == "missing":
                    raise S3KVError(_MISSING)
                if not told.isdigit():
                    errors.seek(0)
                    said = errors.read()[-500:].decode("utf-8", "replace").strip()
                    raise S3KVError(f"the local server did not start: {said or 'it ended'}")
            except BaseException:
                self.stop()
                raise
        self.endpoint = f"http://{_LOOPBACK}:{told}"

    def stop(self) -> None:
        """End it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            process.stdin.close()
            process.stdout.close()
