"""The XML of DeleteObjects, both ways.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .errors import MalformedResponse
from .xml import ErrorBody, parse

# A bare carriage return would be read as a newline.
# https://www.w3.org/TR/xml/#sec-line-ends
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def delete_body(keys: Iterable[str]) -> bytes:
    """The document that asks to delete ``keys``, and to say so of each."""
    objects = "".join(f"<Object><Key>{key.translate(_ESCAPES)}</Key></Object>" for key in keys)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}</Delete>'
    ).encode()


class DeleteResult(NamedTuple):
    """What became of the keys.

    Attributes:
        deleted: The keys that are deleted.
        errors: What went wrong with others, by key.
    """

    deleted: list[str]
    errors: dict[str, ErrorBody]


def parse_deleted(data: bytes) -> DeleteResult:
    """A DeleteObjects answer.

    Raises:
        MalformedResponse: it is none.
    """
    root = parse(data)
    if root.name != "DeleteResult":
        raise MalformedResponse(f"the answer to a deletion is <{root.name[:60]}>, not DeleteResult")
    deleted = [child.value("Key") for child in root.find_all("Deleted")]
    errors = {
        child.value("Key"): ErrorBody(child.value("Code").strip(), child.value("Message").strip())
        for child in root.find_all("Error")
    }
    return DeleteResult(deleted, errors)
