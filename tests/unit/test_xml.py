"""Listings and errors in XML: what is understood, what is refused, and xml.etree as the oracle."""

from __future__ import annotations

import contextlib
import random
import xml.etree.ElementTree as ET
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import MalformedResponse
from s3kv.xml import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_ELEMENTS,
    MAX_ERROR_BYTES,
    Element,
    ErrorBody,
    Listed,
    Page,
    parse,
    parse_error,
    parse_page,
)

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ENTRY = "<Contents><Key>k</Key><Size>1</Size></Contents>"


def _listing(inside: str, *, truncated: str = "false", root: str = "ListBucketResult") -> bytes:
    return f"<{root}><IsTruncated>{truncated}</IsTruncated>{inside}</{root}>".encode()


def _keys(listed: str, encoding: str = "") -> list[str]:
    """The keys of a listing with one key, written as ``listed``."""
    page = parse_page(_listing(f"{encoding}<Contents><Key>{listed}</Key><Size>1</Size></Contents>"))
    return [entry.key for entry in page.entries]


URL = "<EncodingType>url</EncodingType>"

# A whole answer as Amazon sends it.
AMAZONS = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="{NAMESPACE}"><Name>bucket</Name><Prefix>a%2F</Prefix>
  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
  <KeyCount>3</KeyCount><MaxKeys>3</MaxKeys><Delimiter>%2F</Delimiter><EncodingType>url</EncodingType>
  <IsTruncated>true</IsTruncated>
  <Contents><Key>a%2F%E4%B8%AD+b%2B</Key><LastModified>2026-01-31T23:59:59.000Z</LastModified>
    <ETag>&quot;9e107d9d372bb6826bd81d3542a419d6&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
    <Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner>
    <Size>5368709121</Size><StorageClass>STANDARD</StorageClass></Contents>
  <CommonPrefixes><Prefix>a%2Fb%2F</Prefix></CommonPrefixes>
  <CommonPrefixes><Prefix>a%2F%2F</Prefix></CommonPrefixes>
</ListBucketResult>""".encode()


def test_a_listing_of_amazons_is_understood() -> None:
    """Entries, prefixes and token; unknown elements are passed over, and keys are decoded once."""
    assert parse_page(AMAZONS) == Page(
        [Listed("a/中 b+", 5368709121, '"9e107d9d372bb6826bd81d3542a419d6"', "2026-01-31T23:59:59.000Z")],
        ["a/b/", "a//"],
        "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=",
    )


def test_an_empty_listing_is_a_page_without_entries() -> None:
    """The end of every scan."""
    assert parse_page(_listing("")) == Page([], [], None)


@pytest.mark.parametrize(
    ("listed", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%2bb", "a+b"),
        ("a%20b", "a b"),
        ("%00%01%0D%0A%1F%7F", "\x00\x01\r\n\x1f\x7f"),
        ("%EF%BF%BE", "\ufffe"),
        ("%F0%9F%98%80", "😀"),
        ("😀+é", "😀 é"),
        ("%252F", "%2F"),
        ("a%26amp;b", "a&amp;b"),
        ("a&amp;b", "a&b"),
        ("100%", "100%"),
        ("%zz", "%zz"),
    ],
)
def test_a_key_is_decoded_where_the_answer_says_it_is_encoded(listed: str, key: str) -> None:
    """Percent-encoding over UTF-8, where a plus sign is a space."""
    assert _keys(listed, URL) == [key]
    assert _keys(listed, "<EncodingType> URL </EncodingType>") == [key]


@pytest.mark.parametrize("listed", ["a+b", "a%2Bb", "a%20b", "%00", "%zz", "100%", "%FF"])
@pytest.mark.parametrize("encoding", ["", "<EncodingType/>", "<EncodingType>none</EncodingType>"])
def test_a_key_is_left_alone_where_the_answer_does_not_say_so(listed: str, encoding: str) -> None:
    """Some stores ignore the parameter: their keys would be changed by decoding."""
    assert _keys(listed, encoding) == [listed]


def test_common_prefixes_are_decoded_like_keys() -> None:
    """With and without the encoding, in the order of the answer."""
    listed = ("b+%2B/", "a/")
    inside = "".join(f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in listed)
    assert parse_page(_listing(URL + inside)).prefixes == ["b +/", "a/"]
    assert parse_page(_listing(inside)).prefixes == ["b+%2B/", "a/"]


@pytest.mark.parametrize("listed", ["%FF", "a%C3", "%ED%A0%80", "%C0%AF"])
def test_a_key_that_is_not_utf8_is_refused(listed: str) -> None:
    """Replacing its bytes would name another object."""
    with pytest.raises(MalformedResponse, match="UTF-8"):
        _keys(listed, URL)


def test_the_encoding_may_be_told_after_the_keys() -> None:
    """The order of elements means nothing."""
    page = parse_page(_listing(f"<Contents><Size>1</Size><Key>a+b</Key></Contents>{URL}"))
    assert page.entries == [Listed("a b", 1, "", "")]


@pytest.mark.parametrize(
    "text",
    [
        "<s3:ListBucketResult xmlns:s3='x'><s3:IsTruncated>false</s3:IsTruncated><s3:Contents>"
        "<s3:Key>k</s3:Key><s3:Size>1</s3:Size></s3:Contents></s3:ListBucketResult>",
        f"<ListBucketResult xmlns='{NAMESPACE}'><IsTruncated>false</IsTruncated>{ENTRY}</ListBucketResult>",
        "<ListBucketResult xmlns='http://obs.example.com/doc/'><IsTruncated>false</IsTruncated>"
        f"{ENTRY}</ListBucketResult>",
        f"<ListBucketResult><IsTruncated>false</IsTruncated>{ENTRY}</ListBucketResult>",
    ],
    ids=["prefixed", "Amazon's", "another", "none"],
)
def test_namespaces_make_no_difference(text: str) -> None:
    """Prefixed names, default namespaces of any kind, and none."""
    assert parse_page(text.encode()) == Page([Listed("k", 1, "", "")], [], None)


@pytest.mark.parametrize(
    ("listed", "etag"),
    [
        ("&quot;abc&quot;", '"abc"'),
        ("&#34;abc&#x22;", '"abc"'),
        ('"abc"', '"abc"'),
        ("abc", "abc"),
        ('<![CDATA["abc"]]>', '"abc"'),
        (' "abc-2" ', '"abc-2"'),
        ("", ""),
    ],
)
def test_an_etag_is_what_the_xml_says(listed: str, etag: str) -> None:
    """Entities resolved, white space around dropped; quoting is for the caller."""
    page = parse_page(_listing(f"<Contents><Key>k</Key><Size>1</Size><ETag>{listed}</ETag></Contents>"))
    assert page.entries[0].etag == etag


def test_white_space_around_a_time_is_dropped() -> None:
    """Around a key it is part of the key."""
    entry = "<Contents><Key> k </Key><Size>1</Size><LastModified>\n t </LastModified></Contents>"
    assert parse_page(_listing(entry)).entries == [Listed(" k ", 1, "", "t")]


def test_an_entry_may_lack_etag_and_time() -> None:
    """Compatible stores leave them out."""
    assert parse_page(_listing(ENTRY)).entries == [Listed("k", 1, "", "")]


@pytest.mark.parametrize(
    "entry",
    [
        "<Contents/>",
        "<Contents><Size>1</Size></Contents>",
        "<Contents><Key/><Size>1</Size></Contents>",
        "<Contents><Key>k</Key></Contents>",
        "<Contents><Key>k</Key><Size/></Contents>",
        "<Contents><Key>k</Key><Size>-1</Size></Contents>",
        "<Contents><Key>k</Key><Size>+1</Size></Contents>",
        "<Contents><Key>k</Key><Size>1.0</Size></Contents>",
        "<Contents><Key>k</Key><Size>1_0</Size></Contents>",
        "<Contents><Key>k</Key><Size>x</Size></Contents>",
        "<Contents><Key>k</Key><Size>²</Size></Contents>",
        "<Contents><Key>k</Key><Size>١</Size></Contents>",
        f"<Contents><Key>k</Key><Size>{'9' * 20}</Size></Contents>",
        f"<Contents><Key>k</Key><Size>{'9' * 5000}</Size></Contents>",
    ],
)
def test_an_entry_without_a_key_or_a_size_is_refused(entry: str) -> None:
    """Leaving it out would hide an object; guessing a size could cut one short."""
    with pytest.raises(MalformedResponse):
        parse_page(_listing(entry))


@pytest.mark.parametrize(
    ("inside", "truncated"),
    [("", "true"), ("<NextContinuationToken/>", "true"), ("<NextMarker>k</NextMarker>", "true")],
)
def test_a_listing_that_is_cut_off_without_a_token_is_refused(inside: str, truncated: str) -> None:
    """Taking it for the whole would hide every later key."""
    with pytest.raises(MalformedResponse, match="token"):
        parse_page(_listing(inside + ENTRY, truncated=truncated))


@pytest.mark.parametrize("truncated", ["", "maybe", "1", "yes"])
def test_a_listing_that_does_not_say_whether_it_is_cut_off_is_refused(truncated: str) -> None:
    """Neither answer can be guessed."""
    with pytest.raises(MalformedResponse, match="IsTruncated"):
        parse_page(_listing(ENTRY, truncated=truncated))
    with pytest.raises(MalformedResponse, match="IsTruncated"):
        parse_page(f"<ListBucketResult>{ENTRY}</ListBucketResult>".encode())


def test_a_token_counts_only_where_the_listing_goes_on() -> None:
    """Some stores send one on the last page too, which would make a scan go round."""
    inside = "<NextContinuationToken>t</NextContinuationToken>"
    assert parse_page(_listing(inside)).next_token is None
    assert parse_page(_listing(inside, truncated="true")).next_token == "t"
    assert parse_page(_listing(inside, truncated=" TRUE ")).next_token == "t"


@pytest.mark.parametrize("root", ["Error", "ListAllMyBucketsResult", "html", "LocationConstraint"])
def test_an_answer_that_is_no_listing_is_refused_by_name(root: str) -> None:
    """The message says what came instead."""
    with pytest.raises(MalformedResponse, match=root):
        parse_page(_listing(ENTRY, root=root))


BOMBS = {
    "a document type": b"<!DOCTYPE a><a/>",
    "an external document type": b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>',
    "an entity": b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    "an external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "a parameter entity": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]><a/>',
    "a billion laughs": b'<!DOCTYPE a [<!ENTITY b "aaaaaaaa"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;&c;</a>',
    "an attribute default": b'<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>',
    "an entity that is not declared": b"<a>&x;</a>",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_document_types_and_entities_are_refused(data: bytes) -> None:
    """Whatever they could do, S3 does not send them."""
    with pytest.raises(MalformedResponse):
        parse(data)
    with pytest.raises(MalformedResponse):
        parse_page(data.replace(b"<a>", b"<ListBucketResult>").replace(b"</a>", b"</ListBucketResult>"))
    assert parse_error(data.replace(b"<a", b"<Error").replace(b"</a", b"</Error")) == ErrorBody()


def test_depth_is_bounded() -> None:
    """The deepest that is allowed is, and one more is not."""

    def nested(depth: int) -> bytes:
        return b"<a>" * depth + b"</a>" * depth

    element = parse(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH - 1):
        element = element.children[0]
    assert element.children == []
    with pytest.raises(MalformedResponse, match="deep"):
        parse(nested(MAX_DEPTH + 1))


def test_the_number_of_elements_is_bounded() -> None:
    """Each takes many times the memory of the four bytes that it may be in the document."""
    assert len(parse(b"<a>" + b"<a/>" * 1000 + b"</a>").children) == 1000
    with pytest.raises(MalformedResponse, match="more than"):
        parse(b"<a>" + b"<a/>" * MAX_ELEMENTS + b"</a>")
    with pytest.raises(MalformedResponse, match="deep"):
        parse(b"<a>" * 1_000_000)


def test_size_is_bounded() -> None:
    """Before anything is parsed."""
    assert parse(b"<a></a>", limit=7).name == "a"
    with pytest.raises(MalformedResponse, match="larger"):
        parse(b"<a> </a>", limit=7)
    with pytest.raises(MalformedResponse, match="larger"):
        parse_page(bytes(MAX_DOCUMENT_BYTES + 1))


MALFORMED = {
    "nothing": b"",
    "white space": b"  \n",
    "words": b"try again later",
    "cut short": b"<ListBucketResult><IsTruncated>false</IsTruncated>",
    "HTML": b"<!DOCTYPE html><html><body><br>504 Gateway Time-out</body></html>",
    "two roots": b"<a/><b/>",
    "words after the root": b"<a/>x",
    "NUL": b"<a>\x00</a>",
    "a control character": b"<a>\x01</a>",
    "a reference to a control character": b"<a>&#1;</a>",
    "a reference to a surrogate": b"<a>&#xD800;</a>",
    "bytes that are not UTF-8": b"<a>\xff</a>",
    "overlong UTF-8": b"<a>\xc0\xaf</a>",
    "half a UTF-16 pair": b"\xff\xfe<\x00a\x00>\x00\x00\xd8<\x00/\x00a\x00>\x00",
    "an unknown encoding": b'<?xml version="1.0" encoding="no-such"?><a/>',
    "a codec that is no encoding": b'<?xml version="1.0" encoding="rot13"?><a/>',
    "an encoding of many bytes": b'<?xml version="1.0" encoding="shift_jis"?><a/>',
    "an encoding with shifts": b'<?xml version="1.0" encoding="utf-7"?><a/>',
    "tags that cross": b"<a><b></a></b>",
    "an attribute twice": b'<a b="1" b="2"/>',
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_xml_is_refused(data: bytes) -> None:
    """Always the same exception; an error answer of that kind is one without a code."""
    with pytest.raises(MalformedResponse):
        parse(data)
    with pytest.raises(MalformedResponse):
        parse_page(data)
    assert parse_error(data) == ErrorBody()
    assert parse_error(data.replace(b"<a", b"<Error").replace(b"</a", b"</Error")) == ErrorBody()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "us-ascii"])
def test_other_encodings_are_read_as_the_document_declares_them(encoding: str) -> None:
    """By byte order mark or declaration; listings and errors alike."""
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    accent = "&#233;" if encoding == "us-ascii" else "é"
    declaration = f'<?xml version="1.0" encoding="{name}"?>'
    listing = (
        f"{declaration}<ListBucketResult><IsTruncated>false</IsTruncated>"
        f"<Contents><Key>{accent}</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    assert parse_page(listing.encode(encoding)).entries == [Listed("é", 1, "", "")]
    error = f"{declaration}<Error><Code>SlowDown</Code><Message>{accent}</Message></Error>"
    assert parse_error(error.encode(encoding)) == ErrorBody("SlowDown", "é")


def test_text_is_whole_and_mixed_content_has_none() -> None:
    """Comments, CDATA, references and instructions do not break a text; line ends are LF, as XML says."""
    root = parse(b"<a>x<b>p<!-- c -->q<![CDATA[<r>]]>&lt;&#x73;<?t?>u\r\nv</b>y</a>")
    assert root.text == ""
    assert root.value("b") == "pq<r><su\nv"


def test_the_tree_is_searched_among_children_only() -> None:
    """First child, all children, and a default; a grandchild of the same name is not taken."""
    root = parse(b"<a><c><b>deep</b></c><b>1</b><b>2</b><e/></a>")
    assert [child.name for child in root.children] == ["c", "b", "b", "e"]
    first = root.find("b")
    assert first is not None
    assert first.text == "1"
    assert [child.text for child in root.find_all("b")] == ["1", "2"]
    assert root.value("b") == "1"
    assert root.value("e", "default") == ""
    assert root.value("x", "default") == "default"
    assert root.find("x") is None
    assert root.find_all("x") == []


ERRORS = {
    "Amazon's": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified '
        b"key does not exist.</Message>"
        b"<Key>a&amp;b</Key><RequestId>R1</RequestId><HostId>H/1=</HostId></Error>",
        ErrorBody("NoSuchKey", "The specified key does not exist.", "R1", "H/1="),
    ),
    "one that names a region": (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region></Error>",
        ErrorBody("AuthorizationHeaderMalformed", "m", region="eu-west-1"),
    ),
    "a redirect": (
        b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint></Error>",
        ErrorBody("PermanentRedirect", endpoint="b.s3.eu-west-1.amazonaws.com"),
    ),
    "one with a namespace": (
        b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>SlowDown</Code></Error>',
        ErrorBody("SlowDown"),
    ),
    "one with prefixes": (
        b'<s3:Error xmlns:s3="x"><s3:Code>SlowDown</s3:Code></s3:Error>',
        ErrorBody("SlowDown"),
    ),
    "one inside ErrorResponse": (
        b"<ErrorResponse><Error><Code>Throttling</Code><Message>m</Message></Error></ErrorResponse>",
        ErrorBody("Throttling", "m"),
    ),
    "ErrorResponse without Error": (
        b"<ErrorResponse><Code>Throttling</Code></ErrorResponse>",
        ErrorBody(),
    ),
    "white space around": (
        b"\n<Error>\n <Code>\n  X </Code><Message> m </Message><RequestId> r </RequestId><HostId>\th"
        b"</HostId><Region> g </Region><Endpoint> e\n</Endpoint></Error>\n",
        ErrorBody("X", "m", "r", "h", "g", "e"),
    ),
    "one without a code": (b"<Error><Message>m</Message></Error>", ErrorBody("", "m")),
    "an empty one": (b"<Error/>", ErrorBody()),
    "nothing": (b"", ErrorBody()),
    "words": (b"Service Unavailable", ErrorBody()),
    "HTML": (b"<html><head><title>Error 503</title></head><body><p>Error<br></body></html>", ErrorBody()),
    "XHTML": (b"<html><body><Error><Code>X</Code></Error></body></html>", ErrorBody()),
    "JSON": (b'{"Error": {"Code": "X"}}', ErrorBody()),
    "another document": (
        b"<ListBucketResult><Error><Code>X</Code></Error></ListBucketResult>",
        ErrorBody(),
    ),
    "one that is cut short": (b"<Error><Code>SlowDown</Code>", ErrorBody()),
    "zero bytes": (b"\0" * 100, ErrorBody()),
}


@pytest.mark.parametrize(("data", "expected"), ERRORS.values(), ids=ERRORS)
def test_an_error_answer_is_what_it_says_and_never_an_exception(data: bytes, expected: ErrorBody) -> None:
    """Proxies and servers answer with all kinds of bodies; only an S3 error has a code."""
    assert parse_error(data) == expected


def test_an_error_answer_that_is_too_large_has_no_code() -> None:
    """An error document has a few hundred bytes; a quarter of a megabyte is the bound."""
    head, tail = b"<Error><Code>X</Code><Message>", b"</Message></Error>"
    room = MAX_ERROR_BYTES - len(head) - len(tail)
    assert parse_error(head + b"m" * room + tail).code == "X"
    assert parse_error(head + b"m" * (room + 1) + tail) == ErrorBody()


def _same(ours: Element, theirs: ET.Element) -> bool:
    """Whether the two trees have the same names, children and texts of leaves."""
    return (
        ours.name == theirs.tag.rpartition("}")[2].rpartition(":")[2]
        and (len(theirs) > 0 or ours.text == (theirs.text or ""))
        and len(ours.children) == len(theirs)
        and all(_same(child, other) for child, other in zip(ours.children, theirs, strict=True))
    )


def _generated_listing(rng: random.Random) -> tuple[bytes, Page]:
    """A listing written by xml.etree, and what it must be understood as."""
    encoded = rng.random() < 0.6
    namespace = f"{{{NAMESPACE}}}" if rng.random() < 0.5 else ""
    root = ET.Element(f"{namespace}ListBucketResult")

    def add(parent: ET.Element, name: str, text: str) -> None:
        ET.SubElement(parent, f"{namespace}{name}").text = text

    def written(key: str) -> str:
        if not encoded:
            return key
        return quote_plus(key, safe="/") if rng.random() < 0.5 else quote(key, safe="/~")

    # XML itself can carry no control characters; the encoding is there for them.
    alphabet = "ab/%+ &<>\"'=éß中😀" + ("\x00\x01\r\n\x1f\x7f\ufffe" if encoded else "\n\t\x85\u2028")
    entries, prefixes = [], []
    for _ in range(rng.randint(0, 4)):
        key = "".join(rng.choices(alphabet, k=rng.randint(1, 12)))
        size, etag = rng.randrange(10**13), f'"{rng.getrandbits(64):x}"'
        entries.append(Listed(key, size, etag, "2026-01-31T23:59:59.000Z"))
        contents = ET.SubElement(root, f"{namespace}Contents")
        fields = [("Key", written(key)), ("Size", str(size)), ("ETag", etag), ("StorageClass", "STANDARD")]
        fields.append(("LastModified", "2026-01-31T23:59:59.000Z"))
        rng.shuffle(fields)
        for name, text in fields:
            add(contents, name, text)
    for _ in range(rng.randint(0, 2)):
        prefix = "".join(rng.choices(alphabet, k=rng.randint(1, 6))) + "/"
        prefixes.append(prefix)
        add(ET.SubElement(root, f"{namespace}CommonPrefixes"), "Prefix", written(prefix))
    token = "".join(rng.choices("abc+/=%", k=20)) if rng.random() < 0.5 else None
    add(root, "IsTruncated", "false" if token is None else "true")
    if token is not None:
        add(root, "NextContinuationToken", token)
    if encoded:
        add(root, "EncodingType", "url")
    # Without a default namespace the oracle writes prefixes.
    default = NAMESPACE if namespace and rng.random() < 0.5 else None
    encoding = rng.choice(("utf-8", "us-ascii", "utf-16"))
    data = ET.tostring(root, encoding=encoding, xml_declaration=True, default_namespace=default)
    return data, Page(entries, prefixes, token)


@pytest.mark.parametrize("seed", range(4))
def test_generated_listings_are_understood(seed: int) -> None:
    """Written by xml.etree in several encodings, with keys of every kind."""
    rng = random.Random(seed)
    for _ in range(150):
        data, page = _generated_listing(rng)
        assert parse_page(data) == page, data
        assert _same(parse(data), ET.fromstring(data)), data


@pytest.mark.parametrize("seed", range(4))
def test_damaged_listings_are_read_as_xml_etree_reads_them_or_refused(seed: int) -> None:
    """Random damage never gives another exception, nor another tree than the oracle's."""
    rng = random.Random(seed)
    survived = 0
    for _ in range(600):
        data = bytearray(_generated_listing(rng)[0] if rng.random() < 0.7 else AMAZONS)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            change = rng.choice(
                (b"", b"<", b">", b"&", b"/", b"%", b"\x00", b"\xff", b"a", b"9", data[at:])
            )
            data[at : at + rng.randint(0, 2)] = change
        broken = bytes(data)
        try:
            theirs = ET.fromstring(broken)
        except (ET.ParseError, LookupError, ValueError):
            theirs = None
        try:
            ours = parse(broken)
        except MalformedResponse:
            # The oracle knows no limit of depth, but these are shallow.
            assert theirs is None, broken
        else:
            survived += 1
            # Only the oracle minds a prefix that is not declared.
            assert theirs is None or _same(ours, theirs), broken
        with contextlib.suppress(MalformedResponse):
            parse_page(broken)
        parse_error(broken)
        parse_error(broken.replace(b"ListBucketResult", b"Error"))
    assert survived > 20


_SCRAPS = [
    b"<Error>", b"</Error>", b"<Code>", b"</Code>", b"<a", b"/>", b">", b"<", b"&", b"&lt;", b"&#0;", b"x",
    b" ", b"<?xml version='1.0' encoding='", b"utf-16", b"cp037", b"hex", b"idna", b"'?>", b"<!DOCTYPE a>",
    b"<![CDATA[", b"]]>", b"<!--", b"-->", b"\xff\xfe", b"\xfe\xff", b"\x00", b"\xef\xbb\xbf", b"\xc3",
    b"<?", b"a:b",
]  # fmt: skip


@given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_SCRAPS), max_size=12).map(b"".join)))
def test_any_bytes_give_a_value_or_are_refused(data: bytes) -> None:
    """Nothing but MalformedResponse comes out of bytes that a hostile peer chose."""
    for function in (parse, parse_page):
        with contextlib.suppress(MalformedResponse):
            function(data)
    assert isinstance(parse_error(data), ErrorBody)


@pytest.mark.parametrize("key", ["a\x01b", "a&#1;b", "a&#x1;b", "a&#x0001F;b", "\x00\x0b\x1f"])
def test_an_error_that_repeats_a_key_that_xml_cannot_have_is_understood(key: str) -> None:
    """As several stores do."""
    body = f"<Error><Code>NoSuchKey</Code><Message>none</Message><Key>{key}</Key></Error>"
    assert parse_error(body.encode())[:2] == ("NoSuchKey", "none")


def test_an_error_with_a_dtd_is_none_whatever_else_is_in_it() -> None:
    """It is refused twice."""
    body = b"<!DOCTYPE x [<!ENTITY e 'NoSuchKey'>]><Error>\x01<Code>&e;</Code></Error>"
    assert parse_error(body).code == ""
