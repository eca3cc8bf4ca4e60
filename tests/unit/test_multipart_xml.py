"""The XML of multipart uploads and copies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import MalformedResponse
from s3kv.multipart_xml import (
    complete_body,
    has_parts,
    parse_completed,
    parse_etag,
    parse_upload_id,
    parse_uploads,
)

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ETAG = '"9b2cf535f27731c974343645a3985328"'

# What XML can carry: an ETag comes from a header, and may be anything that one may be.
_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f\x85"))


# ---------------------------------------------------------------------------------------- completion


@given(st.lists(_TEXT, min_size=1, max_size=20))
def test_the_parts_are_named_in_order_with_their_etags(etags: list[str]) -> None:
    """From 1 on, whatever is in the ETags."""
    root = ElementTree.fromstring(complete_body(etags))
    assert root.tag == f"{{{NAMESPACE}}}CompleteMultipartUpload"
    parts = [[(child.tag, child.text or "") for child in part] for part in root]
    assert parts == [
        [(f"{{{NAMESPACE}}}PartNumber", str(number)), (f"{{{NAMESPACE}}}ETag", etag)]
        for number, etag in enumerate(etags, 1)
    ]


def test_the_quotes_of_an_etag_are_sent_as_they_are() -> None:
    """So that each store finds what it gave."""
    assert f"<ETag>{ETAG}</ETag>".encode() in complete_body([ETAG])


def test_ten_thousand_parts_are_a_document_of_a_megabyte() -> None:
    """The most that there can be is no more than S3 takes."""
    body = complete_body([ETAG] * 10_000)
    assert len(body) < 1024**2
    assert b"<PartNumber>10000</PartNumber>" in body


# --------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize("root", ["InitiateMultipartUploadResult", "Anything"])
@pytest.mark.parametrize("namespace", [f' xmlns="{NAMESPACE}"', ""])
def test_an_upload_has_an_id(root: str, namespace: str) -> None:
    """Its characters, but for spaces around it, are kept; what else is told is not looked at."""
    body = (
        f"<{root}{namespace}><Bucket>b</Bucket><Key>UploadId</Key>"
        f"<UploadId> a/b+c=&amp;&lt;~é </UploadId></{root}>"
    )
    assert parse_upload_id(body.encode()) == "a/b+c=&<~é"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no XML",
        "<a><b/>",
        "<InitiateMultipartUploadResult/>",
        "<r><UploadId/></r>",
        "<r><UploadId>  </UploadId></r>",
        "<r><s><UploadId>x</UploadId></s></r>",
        '<!DOCTYPE r [<!ENTITY e "x">]><r><UploadId>&e;</UploadId></r>',
    ],
)
def test_an_upload_without_an_id_is_malformed(body: str) -> None:
    """Nothing is made up."""
    with pytest.raises(MalformedResponse):
        parse_upload_id(body.encode())


@pytest.mark.parametrize(
    "text",
    [ETAG, ETAG.strip('"'), ETAG.replace('"', "&quot;"), ETAG.replace('"', "&#34;"), f"\n  {ETAG}\n"],
    ids=["quoted", "bare", "entities", "numbers", "spaces"],
)
@pytest.mark.parametrize("root", ["CopyObjectResult", "CopyPartResult", "CompleteMultipartUploadResult"])
def test_an_etag_comes_out_quoted(text: str, root: str) -> None:
    """However it was told."""
    body = f'<?xml version="1.0"?>\n<{root} xmlns="{NAMESPACE}"><ETag>{text}</ETag><X/></{root}>'.encode()
    assert parse_etag(body) == ETAG
    assert parse_completed(body, []) == ETAG


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "<CopyObjectResult/>",
        "<r><ETag/></r>",
        "<r><ETag> </ETag></r>",
        "<r><s><ETag>x</ETag></s></r>",
    ],
)
def test_an_answer_without_an_etag_is_malformed(body: str) -> None:
    """For a copy, there is nothing that it could be known from."""
    with pytest.raises(MalformedResponse):
        parse_etag(body.encode())


# ------------------------------------------------------------------ what RADOS Gateway leaves out

_VALUES = [b"a" * 5, b"b" * 5, b"c"]
_DIGESTS = [hashlib.md5(value) for value in _VALUES]
_MADE = f'"{hashlib.md5(b"".join(digest.digest() for digest in _DIGESTS)).hexdigest()}-3"'


@pytest.mark.parametrize("shape", ['"{}"', "{}"], ids=["quoted", "bare"])
@pytest.mark.parametrize("told", ["<ETag/>", "<ETag></ETag>", "<ETag> </ETag>"])
def test_an_empty_etag_of_a_completion_is_made_of_those_of_the_parts(told: str, shape: str) -> None:
    """It is the MD5 of their MD5s, and how many there are."""
    parts = [shape.format(digest.hexdigest()) for digest in _DIGESTS]
    assert parse_completed(f"<r>{told}</r>".encode(), parts) == _MADE


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"<r><Location/></r>", [ETAG]),
        (b"", [ETAG]),
        (b"<r><ETag/></r>", [ETAG, '"not an MD5"']),
        (b"<r><ETag/></r>", [ETAG, f'{ETAG[:-1]}-2"']),
        (b"<r><ETag/></r>", [ETAG.upper()]),
    ],
    ids=["no ETag", "empty", "another kind of part", "a composite part", "not as S3 writes it"],
)
def test_an_etag_is_not_made_up_otherwise(body: bytes, parts: list[str]) -> None:
    """A generation that the object does not have would lose the next conditional write."""
    with pytest.raises(MalformedResponse):
        parse_completed(body, parts)


# ------------------------------------------------------------------------------ uploads under way

_LISTED = """<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Bucket>b</Bucket><MaxUploads>1000</MaxUploads><IsTruncated>%s</IsTruncated>
  <Upload><Key>a &amp; b+%%20 </Key><UploadId> id&lt;1 </UploadId>
    <Initiator><ID>me</ID><DisplayName>I</DisplayName></Initiator><Owner><ID>you</ID></Owner>
    <Initiated>2026-11-28T19:27:26.050Z</Initiated></Upload>
  <Upload><Key>c</Key><UploadId>2</UploadId><Initiated>1970-01-01T00:00:01Z</Initiated></Upload>
  <Upload><Key>d</Key><UploadId>3</UploadId><Initiated>yesterday</Initiated></Upload>
</ListMultipartUploadsResult>"""


@pytest.mark.parametrize("more", [True, False])
def test_uploads_under_way_are_told_with_who_began_them_and_when(more: bool) -> None:
    """As far as the store says; keys are as they are."""
    uploads, truncated = parse_uploads((_LISTED % ("true" if more else "false")).encode())
    assert truncated is more
    assert uploads == [
        ("a & b+%20 ", "id<1", "me", 1795894046.05),
        ("c", "2", "", 1.0),
        ("d", "3", "", None),
    ]


@pytest.mark.parametrize("read", [parse_uploads, has_parts])
@pytest.mark.parametrize("body", ["", "<r/>", "<ListBucketResult/>", "<Error><Code>A</Code></Error>", "<"])
def test_another_answer_tells_nothing_of_uploads(read: Callable[[bytes], object], body: str) -> None:
    """Least of all that there are none."""
    with pytest.raises(MalformedResponse):
        read(body.encode())


@pytest.mark.parametrize("root", ["ListPartsResult", "ListPartsResponse"])
def test_an_upload_has_parts_or_not(root: str) -> None:
    """Of moto's answers the name is another."""
    assert not has_parts(f"<{root}><MaxParts>1</MaxParts></{root}>".encode())
    assert has_parts(f"<{root}><Part><PartNumber>7</PartNumber></Part></{root}>".encode())
