"""S3's XML answers: listings and errors.

A thin tree over expat. Document types and entity declarations are refused; depth, size and the number of
elements are bounded; and what is not the XML that S3 promises is a
:class:`~s3kv.errors.MalformedResponse`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import MalformedResponse

MAX_DEPTH = 16
# More than there are in a page of 1,000 entries, by far.
MAX_ELEMENTS = 500_000
# Listings and error documents are small; what goes on past this is no S3 answer.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 256 * 1024

_SPACE = b" \t\r\n"
_SIZE = re.compile(r"[0-9]{1,19}").fullmatch


class Element:
    """One element: its name without namespace, its text, its children."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Element] = []

    def find(self, name: str) -> Element | None:
        """The first child of this name, or None."""
        for child in self.children:
            if child.name == name:
                return child
        return None

    def find_all(self, name: str) -> list[Element]:
        """Every child of this name, in order."""
        return [child for child in self.children if child.name == name]

    def value(self, name: str, default: str = "") -> str:
        """The text of the first child of this name, or ``default``."""
        child = self.find(name)
        return default if child is None else child.text


class _Refused(Exception):
    """Raised inside expat's callbacks to stop the parse."""


class _TreeBuilder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._text: list[str] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name.rpartition(":")[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise _Refused(f"it has more than {MAX_ELEMENTS:,} elements")
        if len(self._open) > MAX_DEPTH:
            raise _Refused(f"elements are nested more than {MAX_DEPTH} deep")
        self._text.clear()

    def end(self, name: str) -> None:
        element = self._open.pop()
        if not element.children:
            element.text = "".join(self._text)
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def refuse(self, *_: object) -> None:
        raise _Refused("a document type or entity declaration is not allowed")


def parse(data: bytes, *, limit: int = MAX_DOCUMENT_BYTES) -> Element:
    """The root element of an XML document.

    Raises:
        MalformedResponse: not well-formed, too large, too deep, too many elements, or with a document type.
    """
    from xml.parsers import expat

    if len(data) > limit:
        raise MalformedResponse(f"the XML answer is larger than {limit:,} bytes")
    builder = _TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        # Stores that work for long send white space meanwhile, some of them before the declaration.
        parser.Parse(data.lstrip(_SPACE), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The last two: an encoding that Python does not know, or that expat cannot use.
        raise MalformedResponse(f"the answer is not well-formed XML: {error}") from error
    except _Refused as error:
        raise MalformedResponse(f"the XML answer is refused: {error}") from error
    if builder.root is None:
        raise MalformedResponse("the XML answer is empty")
    return builder.root


# Control characters, as they are and as references to them.
# https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"
    rb"|&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));",
    re.IGNORECASE,
)


class ErrorBody(NamedTuple):
    """What an S3 error document says; empty strings where it says nothing.

    Attributes:
        code: S3's error code, for instance ``NoSuchKey``.
        message: S3's sentence about it.
        request_id: The id of the request.
        host_id: The extended id of the request.
        region: The region that some errors name.
        endpoint: The host that a redirect names.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""
    host_id: str = ""
    region: str = ""
    endpoint: str = ""


def parse_error(data: bytes) -> ErrorBody:
    """What an error answer's body says; an :class:`ErrorBody` without a code when it is no S3 error.

    Proxies and servers answer with HTML, plain text or nothing: that is understood as no code, never
    an exception of its own.
    """
    if b"Error" not in data and b"\0" not in data:
        # A quick way out for most of them; zero bytes may be UTF-16.
        return ErrorBody()
    try:
        root = parse(data, limit=MAX_ERROR_BYTES)
    except MalformedResponse:
        try:
            # Stores repeat the key, with characters that XML cannot have.
            root = parse(_NOT_XML.sub(b"", data), limit=MAX_ERROR_BYTES)
        except MalformedResponse:
            return ErrorBody()
    if root.name == "ErrorResponse":
        root = root.find("Error") or root
    if root.name != "Error":
        return ErrorBody()
    return ErrorBody(
        code=root.value("Code").strip(),
        message=root.value("Message").strip(),
        request_id=root.value("RequestId").strip(),
        host_id=root.value("HostId").strip(),
        region=root.value("Region").strip(),
        endpoint=root.value("Endpoint").strip(),
    )


class Listed(NamedTuple):
    """One object of a listing page, as the store wrote it.

    Attributes:
        key: The full key, decoded.
        size: Bytes.
        etag: The ETag as listed, quotes included if they were there.
        last_modified: The time as listed (ISO 8601).
    """

    key: str
    size: int
    etag: str
    last_modified: str


class Page(NamedTuple):
    """One page of a ListObjectsV2 answer.

    Attributes:
        entries: The objects, in the order of the answer.
        prefixes: The common prefixes, decoded.
        next_token: What asks for the next page; None at the end.
    """

    entries: list[Listed]
    prefixes: list[str]
    next_token: str | None


def parse_page(data: bytes) -> Page:
    """A ListObjectsV2 answer.

    Keys are decoded only when ``<EncodingType>url</EncodingType>`` came back (some stores ignore
    the parameter), and a plus sign is a space there.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

    Raises:
        MalformedResponse: not a listing, or one that says there is more but not how to get it.
    """
    return page_of(parse(data))


def is_encoded(root: Element) -> bool:
    """Whether the keys of a listing are percent-encoded."""
    return root.value("EncodingType").strip().lower() == "url"


def page_of(root: Element) -> Page:
    """The listing that is in a document; see :func:`parse_page`."""
    if root.name != "ListBucketResult":
        raise MalformedResponse(f"the answer to a listing is <{root.name[:60]}>, not ListBucketResult")
    encoded = is_encoded(root)
    entries = []
    prefixes = []
    for child in root.children:
        if child.name == "Contents":
            entries.append(_parse_entry(child, encoded))
        elif child.name == "CommonPrefixes":
            prefixes.append(decode_key(child.value("Prefix"), encoded))
    truncated = root.value("IsTruncated").strip().lower()
    if truncated not in ("true", "false"):
        raise MalformedResponse(f"the listing's IsTruncated is {truncated[:40]!r}")
    token = None
    if truncated == "true":
        token = root.value("NextContinuationToken")
        if not token:
            raise MalformedResponse("the listing is cut off but has no continuation token")
    return Page(entries, prefixes, token)


def _parse_entry(element: Element, encoded: bool) -> Listed:
    key = etag = modified = ""
    size = None
    for child in element.children:
        name = child.name
        if name == "Key":
            key = child.text
        elif name == "Size":
            size = child.text
        elif name == "ETag":
            etag = child.text
        elif name == "LastModified":
            modified = child.text
    if not key or size is None or not _SIZE(size):
        raise MalformedResponse(f"the listing has an entry without a key or a size: {key[:60]!r}")
    return Listed(decode_key(key, encoded), int(size), etag.strip(), modified.strip())


def decode_key(text: str, encoded: bool) -> str:
    """A key or prefix of a listing as it really is.

    Raises:
        MalformedResponse: it is not UTF-8.
    """
    if not encoded or ("%" not in text and "+" not in text):
        return text
    from urllib.parse import unquote_to_bytes

    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"the listing has a key that is not UTF-8: {text[:80]!r}") from error
