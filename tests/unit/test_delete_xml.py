"""The XML of deletions: what is asked is what was meant, what is answered is what was said."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.delete_xml import delete_body, parse_deleted
from s3kv.errors import MalformedResponse

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# What XML 1.0 can carry.
KEYS = st.text(
    st.one_of(
        st.sampled_from("\t\n\r &<>\"'];\u0085\u2028"),
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    ),
    min_size=1,
    max_size=20,
)


@given(st.lists(KEYS, max_size=8))
def test_every_key_is_read_as_it_was_meant(keys: list[str]) -> None:
    """By a parser that is not ours, in order, line ends and all."""
    root = ElementTree.fromstring(delete_body(keys))
    assert root.tag == f"{{{NAMESPACE}}}Delete"
    assert [child.tag for child in root] == [f"{{{NAMESPACE}}}Object"] * len(keys)
    assert [child.findtext(f"{{{NAMESPACE}}}Key") for child in root] == keys


def test_the_body_is_utf8_and_says_so() -> None:
    """With the escapes that S3's documentation shows, and nothing that asks to be told less."""
    body = delete_body(["a&<>\"'\r", "é"])
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert b"<Key>a&amp;&lt;&gt;\"'&#13;</Key>" in body
    assert "<Key>é</Key>".encode() in body
    assert not re.search(rb"Quiet|VersionId|\r", body)


def result(content: str, *, names: str = f' xmlns="{NAMESPACE}"') -> bytes:
    """Return an answer."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult{names}>{content}</DeleteResult>'.encode()


@pytest.mark.parametrize("names", [f' xmlns="{NAMESPACE}"', ""], ids=["namespace", "none"])
def test_an_answer_says_what_is_deleted_and_what_is_not(names: str) -> None:
    """With the code and the words for each that is not, whatever else it says, in whatever order."""
    told = parse_deleted(
        result(
            "<Error><Message>No &amp; never</Message><Code> AccessDenied </Code><Key>b</Key></Error>\n"
            "<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><VersionId>1</VersionId></Deleted>"
            "<Other><Key>z</Key></Other>"
            "<Deleted><DeleteMarkerVersionId>2</DeleteMarkerVersionId><Key> c&#13;&lt;</Key></Deleted>",
            names=names,
        )
    )
    assert told.deleted == ["a", " c\r<"]
    assert told.errors.keys() == {"b"}
    assert (told.errors["b"].code, told.errors["b"].message) == ("AccessDenied", "No & never")


@given(st.lists(KEYS, unique=True, max_size=8))
def test_keys_come_back_as_they_were_sent(keys: list[str]) -> None:
    """Through a store that repeats them."""
    asked = ElementTree.fromstring(delete_body(keys))
    answer = ElementTree.Element("DeleteResult")
    for child in asked:
        key = ElementTree.SubElement(ElementTree.SubElement(answer, "Deleted"), "Key")
        key.text = child.findtext(f"{{{NAMESPACE}}}Key")
    told = ElementTree.tostring(answer, encoding="utf-8").replace(b"\r", b"&#13;")
    assert parse_deleted(told).deleted == keys


def test_an_answer_may_say_nothing() -> None:
    """As it does where only errors are told."""
    for body in (result(""), b"<DeleteResult/>"):
        assert parse_deleted(body) == ([], {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"deleted",
        b"<html>deleted</html>",
        b"<Error><Code>InternalError</Code></Error>",
        result("<Deleted><Key>a</Key></Deleted>")[:-5],
        result("<Deleted><Key>a\x01</Key></Deleted>"),
        b'<!DOCTYPE x [<!ENTITY a "b">]><DeleteResult><Deleted><Key>&a;</Key></Deleted></DeleteResult>',
        b"<DeleteResult><Deleted><Key>\xff</Key></Deleted></DeleteResult>",
    ],
)
def test_what_is_no_answer_to_a_deletion_is_malformed(body: bytes) -> None:
    """Nothing is taken for deleted then."""
    with pytest.raises(MalformedResponse):
        parse_deleted(body)
