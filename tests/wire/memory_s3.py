"""A little S3 in memory for scripted servers: objects, conditions, copies, uploads in parts, and faults
at chosen requests.

What becomes of a request is settled here by a lock and a list, so that a test can count what the store
has really done, whatever the client was told::

    bucket = MemoryS3()
    bucket.writes = [Turn(told=CLOSE)]       # the first write is carried out, and its answer is lost
    with bucket.server() as server:
        …
    assert bucket.applied == [("PUT", "key", b"value")]
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import s3kv
from tests.wire.scripted import (
    READ,
    ClientGone,
    Forever,
    Peer,
    Recorded,
    ScriptedServer,
    Step,
    answer,
    error,
    listing,
)

WRITES = ("PUT", "DELETE")
READS = ("GET", "HEAD")

# What an object is stored with, besides its metadata.
KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)


def etag_of(value: bytes) -> s3kv.StorageGeneration:
    """Return the generation of an object with these bytes."""
    return s3kv.StorageGeneration(f'"{hashlib.md5(value).hexdigest()}"')


@dataclass(frozen=True)
class Turn:
    """What the store does with one request.

    Attributes:
        acts: It carries the request out.
        told: What it answers: the truth (None), these bytes, or a step that loses the answer.
        then: What somebody else does between the act and the answer.
    """

    acts: bool = True
    told: bytes | Step | None = None
    then: Callable[[], object] | None = None


HONEST = Turn()


@dataclass(frozen=True)
class Stored:
    """One object.

    Attributes:
        value: Its bytes.
        headers: What it was put with, as whole lines.
        tag: Its ETag; empty for that of its bytes.
        claims: Its size, for one that is too large to be there; None for the truth.
    """

    value: bytes
    headers: tuple[str, ...] = ()
    tag: str = ""
    claims: int | None = None

    @property
    def etag(self) -> str:
        """Its ETag."""
        return self.tag or etag_of(self.value)

    @property
    def size(self) -> int:
        """How long it says it is."""
        return len(self.value) if self.claims is None else self.claims


@dataclass
class Upload:
    """An upload in parts that has been begun.

    Attributes:
        key: The key of the object to be.
        headers: What that is to be stored with.
        parts: The bytes and the ETag of each part that has come.
        initiated: When it was begun, in seconds since the epoch.
        initiator: By whom.
    """

    key: str
    headers: tuple[str, ...]
    parts: dict[int, tuple[bytes, str]]
    initiated: float = field(default_factory=time.time)
    initiator: str = "we"


def operation_of(request: Recorded) -> str:
    """Return S3's name of what a request asks for."""
    query = parse_qs(request.query, keep_blank_values=True)
    copy = "Copy" if request.header("x-amz-copy-source") is not None else ""
    if "uploads" in query:
        return "CreateMultipartUpload" if request.method == "POST" else "ListMultipartUploads"
    if "uploadId" in query and request.method == "GET":
        return "ListParts"
    if "partNumber" in query:
        return f"UploadPart{copy}"
    if "uploadId" in query:
        return "AbortMultipartUpload" if request.method == "DELETE" else "CompleteMultipartUpload"
    if request.method == "PUT":
        return "CopyObject" if copy else "PutObject"
    names = {"DELETE": "DeleteObject", "HEAD": "HeadObject"}
    return "ListObjectsV2" if "list-type" in query else names.get(request.method, "GetObject")


def part_of(request: Recorded) -> int:
    """Return the number of the part that a request writes; 0 for none."""
    return int(parse_qs(request.query).get("partNumber", ["0"])[0])


def upload_of(request: Recorded) -> str:
    """Return the id of the upload that a request belongs to; empty for none."""
    return parse_qs(request.query).get("uploadId", [""])[0]


class MemoryS3(Step):
    """A step that answers the request that was read last, from a bucket in memory.

    Attributes:
        objects: What the bucket has, by key.
        applied: Every change that was carried out: method (COPY for a copy, POST for a completed
            upload), key, new bytes.
        uploads: The uploads that are neither completed nor aborted, by their ids.
        aborted: The ids of those that were aborted.
        writes: The turns of the next PUTs and DELETEs of objects, copies included; after them all are
            honest.
        looks: The turns of the next GETs and HEADs.
        turns: The turns of the next requests of an upload, by operation, such as "UploadPart"; or by
            operation and part, such as "UploadPart 3".
        choose: Asked for the turn of a write where ``writes`` has none left.
        ignores: The store takes no notice of conditions.
        unquoted: It compares the ETags of PUTs without quotes, and takes no notice of a DELETE's.
        extra: A line of header in every answer.
    """

    def __init__(self, **objects: bytes) -> None:
        self.objects = {key: Stored(value) for key, value in objects.items()}
        self.applied: list[tuple[str, str, bytes]] = []
        self.uploads: dict[str, Upload] = {}
        self.aborted: list[str] = []
        self.turns: dict[str, list[Turn]] = {}
        self.writes: list[Turn] = []
        self.looks: list[Turn] = []
        self.choose: Callable[[], Turn] = lambda: HONEST
        self.ignores = False
        self.unquoted = False
        self.extra: tuple[str, ...] = ()
        self._lock = threading.RLock()
        self._begun = 0

    def server(self) -> ScriptedServer:
        """Return a server that serves the bucket on every connection."""
        return ScriptedServer(then=[Forever(READ, self)])

    def set(self, key: str, value: bytes | None) -> None:
        """Write or delete as some other client would; not counted."""
        with self._lock:
            self.objects.pop(key, None)
            if value is not None:
                self.objects[key] = Stored(value)

    def run(self, peer: Peer) -> None:
        """Carry the request out, or not, and answer, or not, as its turn says."""
        request = peer.requests[-1]
        told: bytes | Step
        with self._lock:
            turn = self._turn(request)
            truth = self._answer(request) if turn.acts else b""
            told = truth if turn.told is None else turn.told
            if turn.then is not None:
                turn.then()
        if isinstance(told, Step):
            told.run(peer)
            peer.close()
            raise ClientGone
        peer.send(told)
        if b"\r\nConnection: close\r\n" in told:
            peer.close()
            raise ClientGone

    def _turn(self, request: Recorded) -> Turn:
        if request.method in READS:
            return self.looks.pop(0) if self.looks else HONEST
        operation = operation_of(request)
        for name in (f"{operation} {part_of(request)}", operation):
            if self.turns.get(name):
                return self.turns[name].pop(0)
        if upload_of(request) or operation == "CreateMultipartUpload":
            return HONEST
        return self.writes.pop(0) if self.writes else self.choose()

    def _answer(self, request: Recorded) -> bytes:
        operation = operation_of(request)
        if operation == "ListObjectsV2":
            return listing()
        bucket, _, key = unquote(request.path)[1:].partition("/")
        if bucket != "bucket":
            return self._refusal(request, 404, "NoSuchBucket")
        if operation == "CreateMultipartUpload":
            return self._begin(request, key)
        if operation == "ListMultipartUploads":
            return self._under_way(request)
        upload = self.uploads.get(upload_of(request))
        if upload_of(request) and upload is None:
            return self._refusal(request, 404, "NoSuchUpload")
        if operation == "AbortMultipartUpload":
            del self.uploads[upload_of(request)]
            self.aborted.append(upload_of(request))
            return answer(204)
        if operation == "ListParts" and upload is not None:
            shown = "".join(f"<Part><PartNumber>{number}</PartNumber></Part>" for number in upload.parts)
            return _document("ListPartsResult", shown, *self.extra)
        if upload is not None and part_of(request):
            return self._part(request, upload)
        found = self.objects.get(key)
        refused = None if self.ignores else self._condition(request, found)
        if refused is not None:
            return refused
        if upload is not None:
            return self._complete(request, upload)
        if operation == "CopyObject":
            return self._copy(request, key)
        if request.method == "PUT":
            self.objects[key] = stored = Stored(request.body, _kept(request))
            self.applied.append(("PUT", key, request.body))
            return answer(200, b"", f"ETag: {stored.etag}", *self.extra)
        if request.method == "DELETE":
            if self.objects.pop(key, None) is not None:
                self.applied.append(("DELETE", key, b""))
            return (
                "HTTP/1.1 204 No Content\r\n" + "".join(f"{line}\r\n" for line in self.extra)
            ).encode() + (b"\r\n")
        if found is None:
            return self._refusal(request, 404, "NoSuchKey")
        body = b"" if request.method == "HEAD" else found.value
        lines = (f"ETag: {found.etag}", *found.headers, *self.extra)
        return answer(200, body, *lines, length=found.size)

    def _begin(self, request: Recorded, key: str) -> bytes:
        self._begun += 1
        # An id may have anything in it.
        upload = f"upload {self._begun}&<+/=>"
        self.uploads[upload] = Upload(key, _kept(request), {})
        shown = escape(upload)
        return _document("InitiateMultipartUploadResult", f"<UploadId>{shown}</UploadId>", *self.extra)

    def _under_way(self, request: Recorded) -> bytes:
        query = parse_qs(request.query)
        prefix = query.get("prefix", [""])[0]
        shown = ""
        for number, upload in self.uploads.items():
            if upload.key.startswith(prefix):
                when = datetime.fromtimestamp(upload.initiated, timezone.utc)
                initiated = f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"
                shown += (
                    f"<Upload><Key>{escape(upload.key)}</Key>"
                    f"<UploadId>{escape(number)}</UploadId>"
                    f"<Initiator><ID>{upload.initiator}</ID></Initiator>"
                    f"<Initiated>{initiated}</Initiated></Upload>"
                )
        date = f"Date: {formatdate(time.time(), usegmt=True)}"
        return _document("ListMultipartUploadsResult", shown, date, *self.extra)

    def _part(self, request: Recorded, upload: Upload) -> bytes:
        number, value = part_of(request), request.body
        etag = etag_of(value)
        if request.header("x-amz-copy-source") is not None:
            source = self._source(request)
            if isinstance(source, bytes):
                return source
            said = request.header("x-amz-copy-source-range") or "bytes=0-"
            first, _, last = said.removeprefix("bytes=").partition("-")
            if int(last) >= source.size:
                return self._refusal(request, 400, "InvalidArgument")
            value = source.value[int(first) : int(last) + 1]
            # There is only so much of an object that claims to be larger.
            etag = etag_of(value if source.claims is None else said.encode())
        upload.parts[number] = (value, etag)
        if operation_of(request) == "UploadPart":
            return answer(200, b"", f"ETag: {etag}", *self.extra)
        return _document("CopyPartResult", _shown(etag), *self.extra)

    def _complete(self, request: Recorded, upload: Upload) -> bytes:
        told = [
            (int(part.findtext("{*}PartNumber") or 0), part.findtext("{*}ETag") or "")
            for part in ElementTree.fromstring(request.body).iterfind("{*}Part")
        ]
        if not told or [number for number, _ in told] != sorted({number for number, _ in told}):
            return self._refusal(request, 400, "InvalidPartOrder")
        if any(upload.parts.get(number, (b"", ""))[1] != etag for number, etag in told):
            return self._refusal(request, 400, "InvalidPart")
        value = b"".join(upload.parts[number][0] for number, _ in told)
        digests = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in told)
        tag = f'"{hashlib.md5(digests).hexdigest()}-{len(told)}"'
        self.objects[upload.key] = Stored(value, upload.headers, tag)
        self.applied.append(("POST", upload.key, value))
        del self.uploads[upload_of(request)]
        return _document("CompleteMultipartUploadResult", _shown(tag), *self.extra)

    def _copy(self, request: Recorded, key: str) -> bytes:
        source = self._source(request)
        if isinstance(source, bytes):
            return source
        replace = request.header("x-amz-metadata-directive") == "REPLACE"
        self.objects[key] = Stored(source.value, _kept(request) if replace else source.headers)
        self.applied.append(("COPY", key, source.value))
        return _document("CopyObjectResult", _shown(etag_of(source.value)), *self.extra)

    def _source(self, request: Recorded) -> Stored | bytes:
        """What is to be copied, or why it is not."""
        bucket, _, key = unquote(request.header("x-amz-copy-source") or "").lstrip("/").partition("/")
        if bucket != "bucket":
            return self._refusal(request, 404, "NoSuchBucket")
        found = self.objects.get(key)
        if found is None:
            return self._refusal(request, 404, "NoSuchKey")
        match = request.header("x-amz-copy-source-if-match")
        if match is not None and match != found.etag and not self.ignores:
            return self._refusal(request, 412, "PreconditionFailed")
        return found

    def _condition(self, request: Recorded, found: Stored | None) -> bytes | None:
        match, none_match = request.header("if-match"), request.header("if-none-match")
        changes = request.method not in READS
        if self.unquoted and request.method == "DELETE":
            return None
        if match is not None:
            if found is None:
                return self._refusal(request, 404, "NoSuchKey")
            wanted = found.etag.strip('"') if self.unquoted and changes else found.etag
            if match != wanted:
                return self._refusal(request, 412, "PreconditionFailed")
        if none_match is not None and found is not None:
            if changes and none_match == "*":
                return self._refusal(request, 412, "PreconditionFailed")
            if not changes and none_match == found.etag:
                return answer(304, b"", f"ETag: {found.etag}", *self.extra)
        return None

    def _refusal(self, request: Recorded, status: int, code: str) -> bytes:
        if request.method == "HEAD":
            return answer(status, b"", *self.extra)
        return error(status, code, *self.extra)


def _kept(request: Recorded) -> tuple[str, ...]:
    """The headers of a request that an object is stored with."""
    return tuple(
        f"{name}: {value}"
        for name, value in request.headers
        if name.startswith("x-amz-meta-") or name in KEPT
    )


def _shown(etag: str) -> str:
    return f"<ETag>{etag}</ETag>".replace('"', "&quot;")


def _document(root: str, content: str, *extra: str) -> bytes:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{space}">{content}</{root}>'
    return answer(200, body.encode(), "Content-Type: application/xml", *extra)


def operations(server: ScriptedServer) -> list[str]:
    """Return what was asked for so far, listings aside."""
    asked = [operation_of(request) for request in server.requests]
    return [operation for operation in asked if operation != "ListObjectsV2"]


def sent(server: ScriptedServer, operation: str) -> list[Recorded]:
    """Return the requests for an operation."""
    return [request for request in server.requests if operation_of(request) == operation]


def late(code: str) -> bytes:
    """Return an answer that begins as a success and is an error."""
    body = f"<Error><Code>{code}</Code><Message>Sorry.</Message></Error>"
    return answer(200, f'<?xml version="1.0" encoding="UTF-8"?>\n  {body}'.encode())
