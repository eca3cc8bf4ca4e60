"""The XML of multipart uploads and copies, both ways."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from .errors import MalformedResponse
from .etag import quoted
from .timestamps import parse_iso_date
from .xml import parse

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MD5 = re.compile(r'"?([0-9a-f]{32})"?').fullmatch


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
    # The name of the root is not the same everywhere.
    root = parse(data)
    upload = root.value("UploadId").strip()
    if not upload:
        raise MalformedResponse(f"the answer that begins an upload, <{root.name[:60]}>, has no UploadId")
    return upload


def parse_etag(data: bytes) -> str:
    """The quoted ETag in the answer to a copy.

    Raises:
        MalformedResponse: there is none.
    """
    root = parse(data)
    etag = quoted(root.value("ETag").strip())
    if not etag:
        raise MalformedResponse(f"the answer is <{root.name[:60]}> and has no ETag")
    return etag


def parse_completed(data: bytes, parts: Sequence[str]) -> str:
    """The quoted ETag in the answer to the completion of an upload.

    Args:
        parts: The ETags of the parts, in order. RADOS Gateway may leave out the object's, which then is,
            as S3 makes it, the MD5 of their MD5s and their number.

    Raises:
        MalformedResponse: there is none.
    """
    try:
        return parse_etag(data)
    except MalformedResponse:
        digests = [_MD5(part) for part in parts]
        if b"<ETag" not in data or not all(digests):
            raise
    joined = bytes.fromhex("".join(digest[1] for digest in digests if digest))
    return f'"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"'


class UnderWay(NamedTuple):
    """An upload that is neither completed nor aborted.

    Attributes:
        key: The full key.
        upload: Its id.
        initiator: Whoever began it; empty where the store does not say.
        initiated: When, in seconds since the epoch by the store's clock; None where it does not say.
    """

    key: str
    upload: str
    initiator: str
    initiated: float | None


def parse_uploads(data: bytes) -> tuple[list[UnderWay], bool]:
    """The uploads in the answer to ListMultipartUploads, keys not encoded, and whether there are more.

    Raises:
        MalformedResponse: it is no such answer.
    """
    root = parse(data)
    if root.name != "ListMultipartUploadsResult":
        raise MalformedResponse(f"the answer is <{root.name[:60]}>, not a list of uploads")
    found = []
    for upload in root.find_all("Upload"):
        initiator = upload.find("Initiator")
        initiated = parse_iso_date(upload.value("Initiated").strip())
        found.append(
            UnderWay(
                upload.value("Key"),
                upload.value("UploadId").strip(),
                "" if initiator is None else initiator.value("ID").strip(),
                None if initiated is None else initiated.timestamp(),
            )
        )
    return found, root.value("IsTruncated").strip() == "true"


def has_parts(data: bytes) -> bool:
    """Whether there is a part in the answer to ListParts.

    Raises:
        MalformedResponse: it is no such answer.
    """
    root = parse(data)
    # moto's is a ListPartsResponse.
    if not root.name.startswith("ListParts"):
        raise MalformedResponse(f"the answer is <{root.name[:60]}>, not a list of parts")
    return root.find("Part") is not None
