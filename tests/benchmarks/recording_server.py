"""A server that takes PUTs of any size as fast as they come, and keeps those meant to be looked at.

    python recording_server.py PORT

Bodies whose keys start with ``k`` or ``verify`` are kept, others are read and forgotten. It knows
multipart uploads, refuses requests without a signature and PUTs without a hash, and gives back by GET what
it kept. Run as a script, by path, so that nothing else is imported.
"""

from __future__ import annotations

import socket
import sys
import threading
from urllib.parse import parse_qs

_ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'
_PIECE = 1 << 20
_SHA256_DIGITS = 64
_XML = '<?xml version="1.0" encoding="UTF-8"?>'


class Recorder:
    """What was put, shared by the threads of all connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}

    def handle(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[str, bytes]:
        """(status, body) of the answer to a request."""
        with self._lock:
            if method == "PUT" and "partNumber" in query:
                self._parts.setdefault(path, {})[int(query["partNumber"][0])] = body
            elif method == "PUT":
                self._objects[path] = body
            elif method == "POST" and "uploads" in query:
                self._parts.pop(path, None)
                return "200 OK", _multipart("InitiateMultipartUploadResult", path, "<UploadId>u</UploadId>")
            elif method == "POST":
                parts = self._parts.pop(path, {})
                self._objects[path] = b"".join(parts[number] for number in sorted(parts))
                return "200 OK", _multipart("CompleteMultipartUploadResult", path, f"<ETag>{_ETAG}</ETag>")
            elif method == "GET":
                found = self._objects.get(path)
                return ("404 Not Found", b"") if found is None else ("200 OK", found)
        return "200 OK", b""


def _multipart(tag: str, path: str, inner: str) -> bytes:
    """The answer to the beginning or the end of a multipart upload."""
    _, bucket, key = path.split("/", 2)
    return f"{_XML}<{tag}><Bucket>{bucket}</Bucket><Key>{key}</Key>{inner}</{tag}>".encode()


def _kept(path: str) -> bool:
    """Whether an object is wanted back."""
    return path.rpartition("/")[2].startswith(("k", "verify"))


class Connection:
    """One client, served by one thread."""

    def __init__(self, peer: socket.socket, recorder: Recorder) -> None:
        self._peer, self._recorder = peer, recorder
        self._pending = b""
        self._scratch = memoryview(bytearray(_PIECE))

    def serve(self) -> None:
        """Answer requests until the client hangs up."""
        with self._peer:
            try:
                while self._one():
                    pass
            except OSError:
                return  # The client has gone in the middle.

    def _one(self) -> bool:
        """Answer one request; False when there are no more."""
        while b"\r\n\r\n" not in self._pending:
            data = self._peer.recv(65536)
            if not data:
                return False
            self._pending += data
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        method, target, _ = start.split(" ", 2)
        path, _, text = target.partition("?")
        if headers.get("expect", "").lower() == "100-continue":
            self._peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(int(headers.get("content-length", 0)), keep=method != "PUT" or _kept(path))
        if "transfer-encoding" in headers or "aws-chunked" in headers.get("content-encoding", ""):
            status, answer = "501 Not Implemented", b""
        elif not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
            status, answer = "403 Forbidden", b""
        elif method == "PUT" and len(headers.get("x-amz-content-sha256", "")) != _SHA256_DIGITS:
            # Not hashed is not the same work.
            status, answer = "403 Forbidden", b""
        else:
            query = parse_qs(text, keep_blank_values=True)
            status, answer = self._recorder.handle(method, path, query, body)
        top = f"HTTP/1.1 {status}\r\nETag: {_ETAG}\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._peer.sendall(top.encode() + answer)
        return True

    def _body(self, length: int, *, keep: bool) -> bytes:
        """Read a body; what is not kept is overwritten by what follows."""
        kept = bytearray(self._pending[:length]) if keep else bytearray()
        left = length - len(self._pending[:length])
        self._pending = self._pending[length:]
        while left:
            count = self._peer.recv_into(self._scratch, min(left, _PIECE))
            if not count:
                raise ConnectionResetError("cut off in the middle of a body")
            left -= count
            if keep:
                kept += self._scratch[:count]
        return bytes(kept)


def main(port: int) -> None:
    """Serve for ever, a thread a connection."""
    recorder = Recorder()
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(peer, recorder).serve, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
