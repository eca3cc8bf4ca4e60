"""What a :class:`FaultProxy` has seen of a request, and what S3 calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from .faults import Fault


class Seen(NamedTuple):
    """One request that came to the proxy, and what became of it.

    Attributes:
        connection: Which connection it came on, from 1 (int).
        method: For instance ``"GET"`` (str).
        target: Path and query exactly as they were sent (str).
        headers: Names in lower case; of a name that came twice, the values with a comma between (dict).
        operation: S3's name of what was asked for, for instance ``"UploadPart"`` (str).
        fault: What was done to it, None for nothing (a :class:`Fault`).
        status: The status of the server's answer; of the :class:`Answer` given instead, where the server
            was not asked; None as long as there is none (int).
        request_bytes: How many bytes of its body were passed on to the server (int).
        answer_bytes: How many bytes of the answer were passed on to the client, its head included (int).
        done: The proxy is done with it (bool).
    """

    connection: int
    method: str
    target: str
    headers: Mapping[str, str]
    operation: str
    fault: Fault | None = None
    status: int | None = None
    request_bytes: int = 0
    answer_bytes: int = 0
    done: bool = False

    @property
    def path(self) -> str:
        """The path, decoded: ``/bucket/key``."""
        return unquote(self.target.partition("?")[0], errors="surrogateescape")

    @property
    def bucket(self) -> str:
        """The bucket; empty if there is none in the path."""
        return self.path[1:].partition("/")[0]

    @property
    def key(self) -> str:
        """The key, the store's path included; empty if the request is not about one."""
        return self.path[1:].partition("/")[2]

    @property
    def query(self) -> dict[str, str]:
        """The parameters behind the question mark, decoded."""
        return query_of(self.target)


def query_of(target: str) -> dict[str, str]:
    """The parameters of a request's target, decoded; the last of several with one name."""
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True, errors="surrogateescape")
    return dict(pairs)


_UPLOADS = {
    "PUT": "UploadPart",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
    "GET": "ListParts",
}
_OBJECTS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_BUCKETS = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_OTHERS = (
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObjects",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectsV2",
    "UploadPartCopy",
)
#: All that :func:`operation_of` may return, HTTP methods aside.
OPERATIONS = frozenset({*_UPLOADS.values(), *_OBJECTS.values(), *_BUCKETS.values(), *_OTHERS})


def operation_of(method: str, target: str, headers: Mapping[str, str]) -> str:
    """S3's name of what a request asks for, path-style; the method where S3 has no name for it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html

    Args:
        target: Path and query as they were sent.
        headers: With names in lower case.
    """
    query = query_of(target)
    _, _, key = target.partition("?")[0][1:].partition("/")
    copied = "x-amz-copy-source" in headers
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        name = _UPLOADS.get(method, method)
        return "UploadPartCopy" if name == "UploadPart" and copied else name
    if "delete" in query and method == "POST":
        return "DeleteObjects"
    if "list-type" in query:
        return "ListObjectsV2"
    if key:
        return "CopyObject" if copied and method == "PUT" else _OBJECTS.get(method, method)
    if target.partition("?")[0] in ("", "/"):
        return "ListBuckets" if method == "GET" else method
    return _BUCKETS.get(method, method)
