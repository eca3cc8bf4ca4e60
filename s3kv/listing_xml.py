"""A listing page by columns: fast where its entries all look alike, exact everywhere.

Listings are long and monotonous. What the first entry looks like is learnt from it, as a regular
expression for entries like it and no others; if that matches all of them without a gap, it reads their
columns. The rest of the document, which then holds no entry, is read by the XML parser. Wherever there is
the least doubt, the parser reads everything: both ways give the same answer on every input.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .errors import MalformedResponse
from .xml import MAX_DOCUMENT_BYTES, Listed, Page, decode_key, is_encoded, page_of, parse, parse_page

_FIRST = "<Contents>"
_LAST = "</Contents>"
_DECLARATION = re.compile(r"<\?xml version=[\"']1\.0[\"'] encoding=[\"'](?:UTF|utf)-8[\"']\?>").match

# Tags without attributes or prefixes, and text. It must hold no references, but for ETags, whose quotes
# some stores write so, and no control characters, not even line ends.
_TOKENS = re.compile(r"</?[A-Za-z0-9]+/?>|[^<]+").findall
_TEXT = r"[^<]*"
_STRICT_TEXT = r"[^<\x00-\x1f]*"
_COLUMNS = ("Key", "Size", "ETag", "LastModified")
_KEYS = ("Key",)
_QUOTE = "&quot;"
# Among tags: a text of an ETag in such quotes.
_QUOTED = "&"
_PIECE = 32 * 1024
_TOKEN = re.compile(rb"<NextContinuationToken>([!-%'-;=?-~]+)</").search
_CONTROLS = bytes(range(32))
_MOST_TOKENS = 200
_MOST_DEPTH = 8


class Columns(NamedTuple):
    """One page of a listing.

    Of one that was read for its keys alone, sizes, ETags and times may be anything.

    Attributes:
        keys: The full keys, decoded, in the order of the answer.
        sizes: Bytes of each, in digits.
        etags: The ETag of each as listed; empty for none.
        times: The time of each as listed (ISO 8601); empty for none.
        prefixes: The common prefixes, decoded.
        next_token: What asks for the next page; None at the end.
    """

    keys: list[str]
    sizes: list[str]
    etags: list[str]
    times: list[str]
    prefixes: list[str]
    next_token: str | None

    def page(self) -> Page:
        """The same, by entries."""
        rows = zip(self.keys, self.sizes, self.etags, self.times, strict=True)
        entries = [Listed(key, int(size), etag, time) for key, size, etag, time in rows]
        return Page(entries, self.prefixes, self.next_token)


class _Shape(NamedTuple):
    """What entries look like.

    Attributes:
        split: Cuts a text of entries that holds no control characters into gaps and columns.
        split_strictly: The same where there are some between the elements.
        order: The names of the columns, in the order in which they come.
        quoted: The ETags are in quotes, each of them an entity, which are not part of the column.
    """

    split: Callable[[str], list[str]]
    split_strictly: Callable[[str], list[str]]
    order: tuple[str, ...]
    quoted: bool


def guess_token(data: bytes) -> str | None:
    """What most likely asks for the next page, found at a glance; None for most likely nothing."""
    match = _TOKEN(data)
    return match[1].decode("ascii") if match else None


def read_page(data: bytes, *, keys_only: bool = False) -> Columns:
    """A ListObjectsV2 answer; see :func:`s3kv.xml.parse_page`.

    Args:
        keys_only: Nobody wants to know sizes, ETags and times.

    Raises:
        MalformedResponse: not a listing, or one that says there is more but not how to get it.
    """
    columns = _read_alike(data, _KEYS if keys_only else _COLUMNS)
    if columns is not None:
        return columns
    entries, prefixes, token = parse_page(data)
    return Columns(
        [entry.key for entry in entries],
        [str(entry.size) for entry in entries],
        [entry.etag for entry in entries],
        [entry.last_modified for entry in entries],
        prefixes,
        token,
    )


def _read_alike(data: bytes, wanted: tuple[str, ...] = _COLUMNS) -> Columns | None:
    """The columns of a page whose entries all look alike; None if in doubt."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    declaration = _DECLARATION(text)
    begin = text.find(_FIRST)
    if begin < 0 or _is_doubtful(text, declaration.end() if declaration else 0):
        return None
    shape = _shape_of(text[begin : text.find(_LAST, begin) + len(_LAST)], wanted)
    if shape is None:
        return None
    pieces = shape.split(text) if _is_plain(data) else shape.split_strictly(text)
    step = len(shape.order) + 1
    head, tail = pieces[0], pieces[-1]
    if len(pieces) == 1 or len(head) != begin or any(pieces[step:-1:step]):
        return None
    try:
        # What looks like entries is entries where only the root is open.
        parse(f"{head}</ListBucketResult>".encode())
        root = parse((head + tail).encode())
        rest = page_of(root)
        encoded = is_encoded(root)
        found = {name: pieces[place::step] for place, name in enumerate(shape.order, 1)}
        keys = _decoded(found["Key"]) if encoded else found["Key"]
    except MalformedResponse:
        return None
    if rest.entries or "" in keys:
        return None
    none = [""] * len(keys)
    references = text.count("&", begin, len(text) - len(tail))
    told = found.get("ETag", none)
    etags: list[str] | None
    # A reference in a key, say, is for the parser.
    if shape.quoted:
        etags = [f'"{etag}"' for etag in told] if references == 2 * len(keys) else None
    else:
        etags = _unquoted(told, references) if references else told
    if etags is None:
        return None
    etags = _stripped(etags)
    return Columns(
        keys,
        found.get("Size", none),
        etags,
        _stripped(found.get("LastModified", none)),
        rest.prefixes,
        rest.next_token,
    )


def _is_doubtful(text: str, start: int) -> bool:
    """Whether comments, sections or instructions could hide what looks like an entry, or it is no XML.

    Args:
        start: Where to begin to look.
    """
    # One character is searched for much faster than two.
    return (
        ("!" in text and "<!" in text)
        or (text.find("?", start) >= 0 and "<?" in text[start:])
        or ("]" in text and "]]>" in text)
        or (not text.isascii() and ("\ufffe" in text or "\uffff" in text))
    )


def _shape_of(entry: str, wanted: tuple[str, ...]) -> _Shape | None:
    """What an entry looks like, its texts aside; None when that is not simple."""
    tokens = _TOKENS(entry)
    if len(tokens) > _MOST_TOKENS or "".join(tokens) != entry:
        return None
    tags = []
    for before, token in zip(["", *tokens], tokens, strict=False):
        if token[0] == "<":
            if before == token.replace("/", "", 1):
                tags.append("")
            tags.append(token)
        elif not token.isspace():
            tags.append(_QUOTED if before == "<ETag>" and _is_quoted(token) else "")
        else:
            tags.append(token)
    # Of an element that is not empty, the text has been noted as one.
    return _learn(tuple(tags), wanted)


@lru_cache(maxsize=32)
def _learn(tags: tuple[str, ...], wanted: tuple[str, ...]) -> _Shape | None:
    """The expression for entries of these tags, with the empty string for every text.

    Args:
        wanted: The columns to read, and the ETag; of the others it is made sure that they can be read.
    """
    quoted = _QUOTED in tags
    tags = tuple("" if tag == _QUOTED else tag for tag in tags)
    pattern, strict = [], []
    order: list[str] = []
    depth = 0
    for place, tag in enumerate(tags):
        if tag[:2] == "</":
            depth -= 1
        elif tag[:1] == "<" and tag[-2:] != "/>":
            depth += 1
            if depth > _MOST_DEPTH:
                return None
        if tag:
            strict.append(r"[ \t\r\n]+" if tag.isspace() else re.escape(tag))
            pattern.append(strict[-1])
        else:
            before, after = tags[place - 1], tags[place + 1]
            name = before[1:-1]
            if after != f"</{name}>":
                # Text between elements; and two texts in a row cannot be.
                return None
            if depth == 2 and name in _COLUMNS:
                if name in order:
                    return None
                order.append(name)
                digits = r"[0-9]{1,19}" if name == "Size" else ""
                group = "(%s)" if name in wanted else "%s"
                if name == "ETag":
                    group = f"{_QUOTE}{group}{_QUOTE}" if quoted else "(%s)"
                pattern.append(group % (digits or _TEXT))
                strict.append(group % (digits or _STRICT_TEXT))
            else:
                pattern.append(_TEXT)
                strict.append(_STRICT_TEXT)
    if "Key" not in order or "Size" not in order or (quoted and "ETag" not in order):
        return None
    try:
        # What is no XML, or names a column otherwise than by a text, is for the parser.
        root = parse("".join(tag or "x" for tag in tags).encode())
    except MalformedResponse:
        return None
    if [child.name for child in root.children if child.name in _COLUMNS] != order:
        return None
    gap = r"[ \t\r\n]*"
    return _Shape(
        re.compile("".join(pattern) + gap).split,
        re.compile("".join(strict) + gap).split,
        tuple(name for name in order if name in wanted or (name == "ETag" and not quoted)),
        quoted,
    )


def _decoded(keys: list[str]) -> list[str]:
    joined = "\n".join(keys)
    if "%" not in joined and "+" not in joined:
        return keys
    return [decode_key(key, encoded=True) for key in keys]


def _is_quoted(etag: str) -> bool:
    return len(etag) >= 2 * len(_QUOTE) and etag.startswith(_QUOTE) and etag.endswith(_QUOTE)


def _is_plain(data: bytes) -> bool:
    """Whether there are no control characters, not even line ends."""
    # A piece at a time: memory that was never touched before takes longer than the work.
    pieces = (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
    return all(len(piece.translate(None, _CONTROLS)) == len(piece) for piece in pieces)


def _unquoted(etags: list[str], references: int) -> list[str] | None:
    """ETags without references; None if there are others.

    Args:
        references: How many there are in the entries, wherever.
    """
    joined = "\n".join(etags)
    if references != joined.count("&"):
        return None
    joined = joined.replace("&quot;", '"').replace("&#34;", '"')
    return None if "&" in joined else joined.split("\n")


def _stripped(texts: list[str]) -> list[str]:
    joined = "\n".join(texts)
    # Other white space than this is rare, and part of what strip() takes away.
    return texts if joined.isascii() and " " not in joined else [text.strip() for text in texts]
