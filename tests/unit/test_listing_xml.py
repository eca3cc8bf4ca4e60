"""Listing pages by columns: the same answer as the exact parser on every input, and columns where servers
write what they write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3kv import listing_xml
from s3kv.errors import MalformedResponse
from s3kv.listing_xml import Columns, read_page
from s3kv.xml import MAX_DOCUMENT_BYTES, Page, parse_page

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
PLAIN = "<Key>k</Key><Size>1</Size>"
TIME = "<LastModified>t</LastModified>"
FALSE = "<IsTruncated>false</IsTruncated>"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def listing(*entries: str, head: str = FALSE, tail: str = "", root: str = "") -> str:
    """Return a listing with these entries, each given by what is in it."""
    inside = "".join(f"<Contents>{entry}</Contents>" for entry in entries)
    return f"<ListBucketResult{root}>{head}{inside}{tail}</ListBucketResult>"


def exact(data: bytes) -> Page | None:
    """Return what the XML parser says of a page; None when it is no listing."""
    try:
        return parse_page(data)
    except MalformedResponse:
        return None


def quick(data: bytes) -> Page | None:
    """Return what the reader of columns says of a page; None when it is no listing."""
    try:
        columns = read_page(data)
    except MalformedResponse:
        with pytest.raises(MalformedResponse):
            read_page(data, keys_only=True)
        return None
    alone = read_page(data, keys_only=True)
    assert (alone.keys, alone.next_token) == (columns.keys, columns.next_token)
    # All of them are as long as the keys, or the page is worth nothing.
    return columns.page()


def by_columns(data: str | bytes) -> Columns | None:
    """Return the columns of a page that is read fast, None for one that the parser reads."""
    return listing_xml._read_alike(data.encode() if isinstance(data, str) else data)


# ------------------------------------------------------------------ what servers write


def _amazon(key: str, etag: str = "&quot;9e107d9d372bb6826bd81d3542a419d6&quot;", size: int = 3) -> str:
    return (
        f"<Key>{key}</Key><LastModified>2026-01-31T23:59:59.000Z</LastModified><ETag>{etag}</ETag>"
        f"<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
        f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass>"
    )


def _indented(key: str, size: int = 3) -> str:
    fields = {"Key": key, "LastModified": "2026-01-31T23:59:59.000Z", "ETag": "&#34;e1&#34;", "Size": size}
    owner = "\n   <Owner>\n    <DisplayName>x</DisplayName>\n    <ID></ID>\n   </Owner>"
    return "".join(f"\n   <{name}>{text}</{name}>" for name, text in fields.items()) + owner + "\n  "


def _minio(key: str) -> str:
    return (
        f'<Key>{key}</Key><LastModified>2026-01-31T23:59:59.000Z</LastModified><ETag>"e1"</ETag>'
        "<Size>3</Size><Owner><ID>02d6</ID><DisplayName>minio</DisplayName></Owner>"
        "<StorageClass>STANDARD</StorageClass><UserMetadata></UserMetadata><UserTags/>"
    )


KEYS = ("a", "b%2Fc", "d+e", "%F0%9F%98%80", "%2B%25")
PAGES = {
    "Amazon's": DECLARATION
    + listing(
        *map(_amazon, KEYS),
        head=f"<Name>b</Name><Prefix/><KeyCount>5</KeyCount><EncodingType>url</EncodingType>{FALSE}",
        root=f' xmlns="{NAMESPACE}"',
    ),
    "indented": DECLARATION
    + listing(*map(_indented, KEYS), head=f"\n {FALSE}\n ", tail="\n", root=f' xmlns="{NAMESPACE}"'),
    "MinIO's": DECLARATION + listing(*map(_minio, KEYS), tail="<EncodingType>url</EncodingType>"),
    "the least": listing(PLAIN, PLAIN),
    "size first": listing("<Size>1</Size><Key>a</Key>", "<Size>22</Size><Key>b</Key>"),
    "one entry": DECLARATION + listing(_amazon("only")),
    "folders too": listing(
        _amazon("a/b"),
        head=f"<CommonPrefixes><Prefix>a/c/</Prefix></CommonPrefixes>{FALSE}",
        tail="<CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes>",
    ),
    "to be continued": listing(
        *map(_amazon, KEYS),
        head="<IsTruncated>true</IsTruncated><NextContinuationToken>t=/+&amp;</NextContinuationToken>",
    ),
    "single quotes": f"<?xml version='1.0' encoding='utf-8'?>{listing(PLAIN)}",
    "lines between entries": listing(PLAIN).replace("<Contents>", "\r\n\t<Contents>") + "\r\n",
    "nested names": listing(f"{PLAIN}<Owner><Key>x</Key><Size>big</Size></Owner>"),
}


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_what_servers_write_is_read_by_columns(text: str) -> None:
    """And as the parser reads it."""
    columns = by_columns(text)
    assert columns is not None
    assert columns.page() == exact(text.encode()) == quick(text.encode())


def test_columns_are_what_is_written() -> None:
    """Keys decoded, ETags without references, sizes in digits, times as they are."""
    columns = by_columns(
        listing(
            _amazon("a%2Bb+c", size=12, etag="&#34;9e107d9d372bb6826bd81d3542a419d6&#34;"),
            _amazon("d", etag=" &#34;x-2&#34; ", size=5368709121),
            head=f"<EncodingType>url</EncodingType>{FALSE}",
            tail="<CommonPrefixes><Prefix>e%2F</Prefix></CommonPrefixes>",
        )
    )
    times = ["2026-01-31T23:59:59.000Z"] * 2
    etags = ['"9e107d9d372bb6826bd81d3542a419d6"', '"x-2"']
    assert columns == Columns(["a+b c", "d"], ["12", "5368709121"], etags, times, ["e/"], None)


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_keys_alone_are_those_of_the_whole_page(text: str) -> None:
    """With prefixes and token; the other columns may be anything."""
    alone, whole = read_page(text.encode(), keys_only=True), read_page(text.encode())
    assert (alone.keys, alone.prefixes, alone.next_token) == (whole.keys, whole.prefixes, whole.next_token)


@pytest.mark.parametrize(
    "entry",
    [
        "<Key>k</Key><Size>1</Size><ETag>&quot;a&quot;</ETag><Owner>&quot;</Owner>",
        "<Key>&quot;k</Key><Size>1</Size><ETag>&quot;a&quot;</ETag>",
        "<Key>k</Key><Size>1</Size><ETag>&quot;a&quot;b&quot;</ETag>",
        "<Key>k</Key><Size>1</Size><ETag>&quot;</ETag>",
        "<Key>k</Key><Size>1</Size><ETag>a</ETag>",
        "<Key>k</Key><Size>1</Size><ETag>&quot;&amp;&quot;</ETag>",
        "<Key>k</Key><Size>1</Size><Owner><ETag>&quot;a&quot;</ETag></Owner>",
    ],
)
@pytest.mark.parametrize("keys_only", [False, True])
def test_references_elsewhere_than_around_etags_are_for_the_parser(entry: str, keys_only: bool) -> None:
    """Whether the first entry is like that, or another."""
    usual = "<Key>k</Key><Size>1</Size><ETag>&quot;a&quot;</ETag>"
    for text in (listing(entry, entry), listing(usual, entry), listing(entry, usual)):
        whole, page = exact(text.encode()), read_page(text.encode(), keys_only=keys_only)
        assert page.keys == [each.key for each in whole.entries]
        assert keys_only or page.page() == whole


@pytest.mark.parametrize("keys_only", [False, True])
def test_an_unknown_reference_is_an_error_wherever_it_is(keys_only: bool) -> None:
    """Also where only the keys are wanted, and it is in another column."""
    for column in ("Owner", "LastModified", "ETag"):
        entry = f"<Key>k</Key><Size>1</Size><{column}>&bogus;</{column}>"
        with pytest.raises(MalformedResponse):
            read_page(listing(entry, entry).encode(), keys_only=keys_only)


def test_a_page_without_etags_and_times_has_none() -> None:
    """Empty strings stand for them, one for each entry, whichever way it is read."""
    for text in (listing(PLAIN, PLAIN), listing(PLAIN, PLAIN + "<!-- -->")):
        columns = read_page(text.encode())
        assert columns == Columns(["k", "k"], ["1", "1"], ["", ""], ["", ""], [], None)


# ------------------------------------------------------------------ what is written to deceive

# What is in an entry, besides its key and its size.
ODD_ENTRIES = {
    "an empty key after the key": f"{PLAIN}<Key/>",
    "an empty key before the key": f"<Key/>{PLAIN}",
    "an empty size after the size": f"{PLAIN}<Size/>",
    "a key of white space after the key": f"{PLAIN}<Key> </Key>",
    "a key of a line end after the key": f"{PLAIN}<Key>\n</Key>",
    "a key with an element after the key": f"{PLAIN}<Key><b>x</b></Key>",
    "a size with an element after the size": f"{PLAIN}<Size><b>2</b></Size>",
    "two keys": "<Key>a</Key><Key>b</Key><Size>1</Size>",
    "two sizes": f"{PLAIN}<Size>2</Size>",
    "two ETags": f"{PLAIN}<ETag>x</ETag><ETag>y</ETag>",
    "an empty ETag after the ETag": f"{PLAIN}<ETag>x</ETag><ETag/>",
    "an empty ETag before the ETag": f"{PLAIN}<ETag/><ETag>x</ETag>",
    "an ETag with an element after the ETag": f"{PLAIN}<ETag>x</ETag><ETag><a>b</a></ETag>",
    "a time of white space after the time": f"{PLAIN}{TIME}<LastModified> </LastModified>",
    "an ETag of nothing": f"{PLAIN}<ETag></ETag>",
    "an ETag of white space": f"{PLAIN}<ETag> \t</ETag>",
    "an ETag of a non-breaking space": f"{PLAIN}<ETag>\u00a0</ETag>",
    "an ETag in non-breaking spaces": f"{PLAIN}<ETag>\u00a0x\u2003</ETag>",
    "an ETag in next-line characters": f"{PLAIN}<ETag>\x85x\x85</ETag>",
    "an ETag of two lines": f"{PLAIN}<ETag>x\ny</ETag>",
    "an ETag with CR": f"{PLAIN}<ETag>x\r\ny</ETag>",
    "an ETag with references to references": f"{PLAIN}<ETag>&amp;quot;</ETag>",
    "an ETag with a bare ampersand": f"{PLAIN}<ETag>&&quot;quot;</ETag>",
    "an ETag with an unknown entity": f"{PLAIN}<ETag>&quot;&x;</ETag>",
    "an ETag with half a reference": f"{PLAIN}<ETag>&quot</ETag>",
    "an ETag with a hexadecimal reference": f"{PLAIN}<ETag>&#x22;x</ETag>",
    "a reference in a key": "<Key>a&amp;b</Key><Size>1</Size><ETag>&quot;x&quot;</ETag>",
    "a reference in a size": "<Key>k</Key><Size>&#49;</Size>",
    "a reference elsewhere": f"{PLAIN}<ETag>x</ETag><Owner>a&lt;b</Owner>",
    "a broken reference elsewhere": f"{PLAIN}<ETag>&quot;x</ETag><Owner>a&b</Owner>",
    "an element closed by another's end": f"{PLAIN}<Owner></Foo>",
    "an end without a beginning": f"{PLAIN}</Foo>",
    "a beginning without an end": f"{PLAIN}<Owner>",
    "ends in the wrong order": f"{PLAIN}<A><B></A></B>",
    "an end that closes itself": f"{PLAIN}</Foo/>",
    "an empty element that is ended": f"{PLAIN}<a/></a/>",
    "a name that begins with a digit": f"{PLAIN}<1a>x</1a>",
    "an entry closed inside another element": f"{PLAIN}<Owner><ID>x</ID>",
    "an entry in the entry": f"{PLAIN}<Contents><Key>x</Key><Size>2</Size></Contents>",
    "an empty entry in the entry": f"{PLAIN}<Contents></Contents>",
    "text after the elements": f"{PLAIN}text",
    "text between the elements": "<Key>k</Key>text<Size>1</Size>",
    "a non-breaking space between the elements": "<Key>k</Key>\u00a0<Size>1</Size>",
    "a file separator between the elements": "<Key>k</Key>\x1c<Size>1</Size>",
    "a vertical tab between the elements": "<Key>k</Key>\x0b<Size>1</Size>",
    "attributes": '<Key a="b">k</Key><Size>1</Size>',
    "white space in tags": "<Key >k</Key ><Size\n>1</Size>",
    "an empty tag with a space": f"{PLAIN}<ETag />",
    "prefixes": f"<s:Key>k</s:Key><Size>1</Size>{PLAIN}",
    "a key with a prefix after the key": f"{PLAIN}<s:Key>other</s:Key>",
    "names in another case": "<key>k</key><SIZE>1</SIZE>",
    "a key in the owner only": "<Owner><Key>k</Key></Owner><Size>1</Size>",
    "CDATA": "<Key><![CDATA[<k>]]></Key><Size>1</Size>",
    "a comment": f"{PLAIN}<!-- <Key>x</Key> -->",
    "an instruction": f"{PLAIN}<?x <Key>x</Key>?>",
    "the end of CDATA": "<Key>k]]></Key><Size>1</Size>",
    "the end of CDATA, cut in two": "<Key>k]]</Key><Size>1</Size>",
    "a greater-than sign": "<Key>k></Key><Size>1</Size>",
    "a less-than sign": "<Key>k<</Key><Size>1</Size>",
    "U+FFFE": "<Key>\ufffe</Key><Size>1</Size>",
    "U+FFFF": "<Key>\uffff</Key><Size>1</Size>",
    "U+1FFFE": "<Key>\U0001fffe</Key><Size>1</Size>",
    "a control character in a key": "<Key>a\x01b</Key><Size>1</Size>",
    "NUL in a key": "<Key>a\x00b</Key><Size>1</Size>",
    "delete in a key": "<Key>a\x7fb</Key><Size>1</Size>",
    "a line separator in a key": "<Key>a\u2028b\x85c</Key><Size>1</Size>",
    "CR LF in a key": "<Key>a\r\nb\rc</Key><Size>1</Size>",
    "a tab in a key": "<Key>a\tb</Key><Size>1</Size>",
    "a key of spaces": "<Key>  </Key><Size>1</Size>",
    "a key of nothing": "<Key></Key><Size>1</Size>",
    "no key": "<Size>1</Size>",
    "no size": "<Key>k</Key>",
    "nothing": "",
    "a size in other digits": "<Key>k</Key><Size>١</Size>",
    "a size with a space": "<Key>k</Key><Size> 1</Size>",
    "a negative size": "<Key>k</Key><Size>-1</Size>",
    "the largest size": f"<Key>k</Key><Size>{'9' * 19}</Size>",
    "a size that is too large": f"<Key>k</Key><Size>{'9' * 20}</Size>",
    "zeroes before the size": "<Key>k</Key><Size>007</Size>",
    "a key that is not UTF-8": "<Key>%FF</Key><Size>1</Size>",
    "a key that looks encoded": "<Key>a%2Bb+c%</Key><Size>1</Size>",
    "many elements": PLAIN + "<a>x</a>" * 300,
    "deep elements": PLAIN + "<a>" * 10 + "</a>" * 10,
    "elements that are too deep": PLAIN + "<a>" * 20 + "</a>" * 20,
}

HEADS = {
    "plain": FALSE,
    "encoded": f"<EncodingType>url</EncodingType>{FALSE}",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("odd", ODD_ENTRIES.values(), ids=ODD_ENTRIES)
def test_an_odd_entry_is_read_as_the_parser_reads_it(odd: str, head: str) -> None:
    """Alone, twice, and as the first or the last among others."""
    for entries in ((odd,), (odd, odd), (odd, PLAIN), (PLAIN, odd), (_amazon("a"), odd, _amazon("b"))):
        data = listing(*entries, head=head).encode()
        assert quick(data) == exact(data)


ENTRY = f"<Contents>{PLAIN}</Contents>"
ODD_PAGES = {
    "an entry in another element": listing(tail=f"<Hidden>{ENTRY}</Hidden>"),
    "an entry in a common prefix": listing(PLAIN, tail=f"<CommonPrefixes>{ENTRY}</CommonPrefixes>"),
    "entries around an element with an entry": listing(PLAIN, tail=f"<H>{ENTRY}</H>{ENTRY}"),
    "the element of an entry is open": listing(tail=f"<Hidden>{ENTRY}").replace(
        "</List", "</Hidden></List"
    ),
    "an entry in a comment": listing(head=f"{FALSE}<!-- {ENTRY} -->"),
    "an entry in CDATA": listing(head=f"{FALSE}<X><![CDATA[{ENTRY}]]></X>"),
    "an entry in an instruction": listing(head=f"{FALSE}<?x {ENTRY}?>"),
    "an entry in an attribute": listing(head=f'{FALSE}<X a="{ENTRY}"/>'),
    "a comment between entries": listing(PLAIN, tail=f"<!-- -->{ENTRY}"),
    "a comment after the root": listing(PLAIN) + "<!-- -->",
    "an instruction before the root": f"<?x y?>{listing(PLAIN)}",
    "an entry after the root": listing(PLAIN) + ENTRY,
    "an entry before the root": ENTRY + listing(PLAIN),
    "entries alone": ENTRY,
    "an entry as the root": f"<Contents>{FALSE}{ENTRY}</Contents>",
    "text between entries": listing(PLAIN, tail=f"text{ENTRY}"),
    "elements between entries": listing(PLAIN, tail=f"<X/>{ENTRY}<CommonPrefixes/>{ENTRY}"),
    "a document type": f"<!DOCTYPE ListBucketResult>{listing(PLAIN)}",
    "an entity": f'<!DOCTYPE ListBucketResult [<!ENTITY x "y">]>{listing(PLAIN)}',
    "a prefixed root": listing(PLAIN).replace("ListBucketResult", "s:ListBucketResult"),
    "prefixed entries": listing(PLAIN, tail=ENTRY.replace("Contents", "s:Contents")),
    "entries with attributes": listing(PLAIN, tail=ENTRY.replace("<Contents>", '<Contents a="b">')),
    "entries with a space in the tag": listing(PLAIN, tail=ENTRY.replace("</Contents>", "</Contents >")),
    "an empty entry": listing(PLAIN, tail="<Contents/>"),
    "another root": listing(PLAIN).replace("ListBucketResult", "ListAllMyBucketsResult"),
    "no word on the end": listing(PLAIN, head=""),
    "two words on the end": listing(PLAIN, head=FALSE, tail="<IsTruncated>true</IsTruncated>"),
    "the token is missing": listing(PLAIN, head="<IsTruncated>true</IsTruncated>"),
    "the encoding is told twice": listing(
        "<Key>a+b</Key><Size>1</Size>", tail="<EncodingType>url</EncodingType><EncodingType/>"
    ),
    "the encoding is told in an entry": listing(f"{PLAIN}<EncodingType>url</EncodingType>"),
    "the encoding is told with spaces": listing(
        "<Key>a+b</Key><Size>1</Size>", tail="<EncodingType> URL </EncodingType>"
    ),
    "two shapes": listing(PLAIN, _amazon("a"), PLAIN),
    "another order": listing(PLAIN, "<Size>1</Size><Key>k</Key>"),
    "quotes in the declaration that differ": f"<?xml version=\"1.0' encoding='UTF-8\"?>{listing(PLAIN)}",
    "XML 1.1": f'<?xml version="1.1" encoding="UTF-8"?>{listing(PLAIN)}',
    "another encoding": '<?xml version="1.0" encoding="ISO-8859-1"?>'
    + listing("<Key>é</Key><Size>1</Size>"),
    "two declarations": DECLARATION * 2 + listing(PLAIN),
    "white space before the declaration": f" {DECLARATION}{listing(PLAIN)}",
    "no end": listing(PLAIN).removesuffix("</ListBucketResult>"),
    "another end": listing(PLAIN).removesuffix("ListBucketResult>") + "Other>",
    "an end of an entry too many": listing(PLAIN, tail="</Contents>"),
    "ends before beginnings": f"</Contents>{listing()}<Contents>",
    "half a reference on each side": listing(PLAIN, head=f"{FALSE}<X>&am", tail="p;</X>"),
    "half an element on each side": listing(PLAIN, head=f"{FALSE}<X>", tail="</X>"),
    "half an end of CDATA on each side": listing(PLAIN, head=f"{FALSE}]]", tail=">"),
    "no entries": listing(),
    "words": "try again later",
    "nothing": "",
}


@pytest.mark.parametrize("text", ODD_PAGES.values(), ids=ODD_PAGES)
def test_an_odd_page_is_read_as_the_parser_reads_it(text: str) -> None:
    """In UTF-8, with a byte order mark, and in other encodings."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "iso-8859-1"):
        data = text.encode(encoding, "replace")
        assert quick(data) == exact(data)


@pytest.mark.parametrize(
    "spoilt",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xef\xbf\xbe", b"\xf4\x90\x80\x80", b"\xc3", b"\x00"],
    ids=bytes.hex,
)
def test_bytes_that_are_no_text_are_refused(spoilt: bytes) -> None:
    """In a key or anywhere else, as the parser refuses them."""
    data = listing(_amazon("a?b")).encode()
    for mark in (b"?", b"<Contents>", b"STANDARD", b"FULL"):
        assert quick(data.replace(mark, mark + spoilt)) is None


@pytest.mark.parametrize("text", [PAGES["Amazon's"], PAGES["indented"]], ids=["Amazon's", "indented"])
def test_a_page_that_is_cut_short_is_refused_wherever_that_is(text: str) -> None:
    """Half a page must not pass for a whole one."""
    data = text.encode()
    whole = exact(data)
    for end in range(len(data)):
        found = quick(data[:end])
        assert found is None or (found == whole and not data[end:].strip())


def test_a_page_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much its entries look alike."""
    data = listing(PLAIN).encode()
    assert MAX_DOCUMENT_BYTES == 64 * 1024**2
    padded = data + b" " * (MAX_DOCUMENT_BYTES - len(data))
    assert quick(padded) == exact(data)
    assert quick(padded + b" ") is None


def test_what_is_learnt_of_shapes_is_bounded() -> None:
    """A server that writes every page in another way fills no memory."""
    for number in range(200):
        assert by_columns(listing(f"{PLAIN}<a{number}>x</a{number}>")) is not None
    assert listing_xml._learn.cache_info().currsize <= 64


# ------------------------------------------------------------------ what nobody has thought of

_SPACE = st.sampled_from(["", "", "", "\n", "\r\n  ", "\t", " "])
_KEY_TEXT = st.one_of(
    st.sampled_from(
        ["k", "a%2Fb", "a+b", "%", "%FF", "a&amp;b", "", " ", "é", "]]>", "]]", "\x85", "\u2028"]
    ),
    st.text("ab/%+2F &;<>]\r\n\t\x01\x7fé\u00a0\ufffe😀", max_size=6),
)
_ETAGS = st.sampled_from(
    [
        "&quot;e&quot;",
        "&#34;e&#34;",
        '"e"',
        "",
        " e ",
        "&amp;quot;",
        "&&quot;",
        "e&x;",
        "&#x22;",
        "a\nb",
        "\u00a0e",
    ]
)
_SIZES = st.sampled_from(["0", "1", "12345", "9" * 19, "9" * 20, "", " 1", "-1", "x", "007", "&#49;"])
_TIMES = st.sampled_from(["2026-01-31T23:59:59.000Z", "", " t\n", "\u2003t"])
_FIELDS: dict[str, st.SearchStrategy[str]] = {
    "Key": _KEY_TEXT,
    "Size": _SIZES,
    "ETag": _ETAGS,
    "LastModified": _TIMES,
    "StorageClass": st.sampled_from(["STANDARD", "", "a&amp;b"]),
    "Owner": st.sampled_from(
        ["<ID>x</ID>", "<Key>x</Key>", "", "<ID/>", "\n<ID>y</ID>\n", "<ID>", "</ID>"]
    ),
}
_FORMS: dict[str, Callable[[str, str], str]] = {
    "plain": lambda name, text: f"<{name}>{text}</{name}>",
    "self-closing": lambda name, text: f"<{name}/>",
    "attribute": lambda name, text: f'<{name} a="b">{text}</{name}>',
    "prefix": lambda name, text: f"<s:{name}>{text}</s:{name}>",
    "nested": lambda name, text: f"<{name}><{name}>{text}</{name}></{name}>",
    "CDATA": lambda name, text: f"<{name}><![CDATA[{text}]]></{name}>",
    "comment": lambda name, text: f"<{name}>{text}<!-- c --></{name}>",
    "wrong end": lambda name, text: f"<{name}>{text}</{name}x>",
    "no end": lambda name, text: f"<{name}>{text}",
}
_ORDINARY = ["plain"] * 12
_NOISE = st.sampled_from(
    [
        "<!-- c -->",
        "<?p i?>",
        "<![CDATA[x]]>",
        "text",
        ENTRY,
        "<Contents/>",
        "<Contents>",
        "</Contents>",
        "]]>",
        "<X>",
        "</X>",
        "<X/>",
        "&amp;",
        "&",
        "<!DOCTYPE a>",
        "\x00",
        "\ufeff",
        f"<Hidden>{ENTRY}</Hidden>",
        "<EncodingType>url</EncodingType>",
        "<IsTruncated>true</IsTruncated>",
        "<Prefix>p</Prefix>",
    ]
)


@st.composite
def _shape(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """The elements of an entry: name, form, and the white space before each."""
    names = draw(st.permutations(["Key", "Size"])) + draw(
        st.lists(st.sampled_from(["ETag", "LastModified", "StorageClass", "Owner"]), max_size=4)
    )
    if draw(st.integers(0, 9)) == 0:
        names.append(draw(st.sampled_from(["Key", "Size"])))
    shape = []
    for name in draw(st.permutations(names)):
        form = draw(st.sampled_from(_ORDINARY + list(_FORMS)))
        shape.append((name, form, draw(_SPACE)))
    return shape


@st.composite
def _page(draw: st.DrawFn) -> bytes:
    """A listing, of entries that look alike or not, with something odd in it or not."""
    shapes = [draw(_shape())]
    if draw(st.integers(0, 3)) == 0:
        shapes.append(draw(_shape()))
    tame = draw(st.booleans())
    entries = []
    for _ in range(draw(st.integers(0, 4))):
        pieces = []
        for name, form, space in draw(st.sampled_from(shapes)):
            text = {"Key": "k%2B", "Size": "1", "ETag": "&quot;e&quot;"}.get(name, "")
            if not tame or draw(st.integers(0, 7)) == 0:
                text = draw(_FIELDS[name])
            pieces.append(space + _FORMS[form](name, text))
        entries.append("<Contents>" + "".join(pieces) + draw(_SPACE) + "</Contents>" + draw(_SPACE))
    fields = [
        draw(st.sampled_from([FALSE, FALSE, FALSE, "", "<IsTruncated>true</IsTruncated>"])),
        draw(st.sampled_from(["", "<EncodingType>url</EncodingType>", "<EncodingType/>"])),
        draw(st.sampled_from(["", "<NextContinuationToken>t</NextContinuationToken>"])),
        draw(st.sampled_from(["", "<CommonPrefixes><Prefix>a%2F</Prefix></CommonPrefixes>"])),
    ]
    cut = draw(st.integers(0, len(fields)))
    fields = draw(st.permutations(fields))
    body = [*fields[:cut], *entries, *fields[cut:]]
    if draw(st.integers(0, 2)) == 0:
        body.insert(draw(st.integers(0, len(body))), draw(_NOISE))
    root = draw(st.sampled_from(["", f' xmlns="{NAMESPACE}"', ' xmlns:s="x"']))
    opening = draw(st.sampled_from(["", DECLARATION, DECLARATION.replace("UTF-8", "utf-8"), "\n"]))
    text = f"{opening}<ListBucketResult{root}>{''.join(body)}</ListBucketResult>"
    return text.encode("utf-8", "replace")


@settings(max_examples=400)
@given(_page())
@example(listing(f"{PLAIN}<Key/>").encode())
def test_both_ways_agree_on_every_page(data: bytes) -> None:
    """On what is on it, and on whether it is a listing at all."""
    assert quick(data) == exact(data)


@settings(max_examples=400)
@given(
    st.one_of(st.sampled_from([text.encode() for text in PAGES.values()]), _page()),
    st.lists(
        st.tuples(
            st.sampled_from(["delete", "repeat", "replace", "insert", "move"]),
            st.floats(0, 1),
            st.integers(0, 30),
            st.one_of(st.binary(max_size=3), _NOISE.map(str.encode)),
            st.floats(0, 1),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_both_ways_agree_on_pages_that_are_spoilt(
    data: bytes, changes: list[tuple[str, float, int, bytes, float]]
) -> None:
    """Bytes taken away, doubled, replaced, put in or moved, anywhere."""
    for kind, place, length, new, target in changes:
        start = int(place * len(data))
        piece = data[start : start + length]
        if kind == "delete":
            data = data[:start] + data[start + length :]
        elif kind == "repeat":
            data = data[:start] + piece + data[start:]
        elif kind == "replace":
            data = data[:start] + new + data[start + len(new) :]
        elif kind == "insert":
            data = data[:start] + new + data[start:]
        else:
            data = data[:start] + data[start + length :]
            end = int(target * len(data))
            data = data[:end] + piece + data[end:]
    assert quick(data) == exact(data)


_TAGS = ["Contents", "Key", "Size", "ETag", "Owner", "ListBucketResult"]


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(_TAGS),
            st.sampled_from(["<%s>", "</%s>", "<%s/>"]),
            st.sampled_from(["", "1", " "]),
        ),
        max_size=8,
    ),
    st.integers(0, 8),
)
def test_both_ways_agree_on_any_row_of_tags(tags: list[tuple[str, str, str]], place: int) -> None:
    """Put into an entry, balanced or not."""
    inside = "".join(form % name + text for name, form, text in tags)
    for entry in (f"{PLAIN}{inside}", f"{inside}{PLAIN}"):
        data = listing(entry, PLAIN).encode()
        assert quick(data) == exact(data)
        data = listing(entry, entry).encode()
        assert quick(data) == exact(data)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.text(
                st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<&]\ufffe\uffff"),
                min_size=1,
            ),
            st.integers(0, 10**19 - 1),
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
@example([(" ", 0)], False)
@example([(" ", 0)], True)
def test_pages_of_entries_that_look_alike_are_read_by_columns(
    objects: list[tuple[str, int]], encoded: bool
) -> None:
    """Whatever is in them: this is what listings are fast for."""
    head = f"<EncodingType>url</EncodingType>{FALSE}" if encoded else FALSE
    data = listing(*(_amazon(key, size=size) for key, size in objects), head=head).encode()
    columns = by_columns(data)
    if columns is None and objects[0][0].isspace():
        # It might be white space between elements.
        assert quick(data) == exact(data)
    elif columns is None:
        # Only keys that are not UTF-8 when they are decoded.
        assert encoded
        assert exact(data) is None
    else:
        assert columns.page() == exact(data)
        assert encoded or columns.keys == [key for key, _ in objects]
