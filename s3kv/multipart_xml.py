"""The XML of multipart uploads and copies, both ways."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import MalformedResponse
from .etag import quoted
from .xml import parse

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_RESULTS = frozenset({"CompleteMultipartUploadResult", "CopyObjectResult", "CopyPartResult"})


def complete_body(etags: Sequence[str]) -> bytes:
    """The document that names the parts of an upload, in order.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.translate(_ESCAPES)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{parts}</CompleteMultipartUpload>"
    ).encode()


def parse_upload_id(data: bytes) -> str:
    """The id in the answer to CreateMultipartUpload.

    Raises:
        MalformedResponse: there is none.
    """
    root = parse(data)
    upload = root.value("UploadId").strip()
    if root.name != "InitiateMultipartUploadResult" or not upload:
        raise MalformedResponse(f"the answer that begins an upload is <{root.name[:60]}> and has no id")
    return upload


def parse_etag(data: bytes) -> str:
    """The quoted ETag in the answer to a copy, or to the completion of an upload.

    Raises:
        MalformedResponse: there is none.
    """
    root = parse(data)
    etag = quoted(root.value("ETag").strip())
    if root.name not in _RESULTS or not etag:
        raise MalformedResponse(f"the answer is <{root.name[:60]}> and has no ETag")
    return etag
