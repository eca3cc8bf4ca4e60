"""Object keys: which S3 can hold, and how they are written into URLs."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv.errors import InvalidKey
from s3kv.keys import check_key, encode_path, encode_query, key_text


@given(st.text())
def test_a_path_is_encoded_as_quote_encodes_it(text: str) -> None:
    """Every byte but unreserved ones and the slash; urllib is the oracle."""
    assert encode_path(text) == quote(text.encode("utf-8"), safe="/-._~")
    assert unquote_to_bytes(encode_path(text)) == text.encode("utf-8")


@given(st.text())
def test_a_query_part_is_encoded_as_quote_encodes_it(text: str) -> None:
    """Every byte but unreserved ones, the slash too; urllib is the oracle."""
    assert encode_query(text) == quote(text.encode("utf-8"), safe="-._~")
    assert unquote_to_bytes(encode_query(text)) == text.encode("utf-8")


def test_every_character_of_a_byte_is_encoded_as_quote_encodes_it() -> None:
    """All 256, each alone, so that no fast path lets one slip."""
    for number in range(256):
        character = chr(number)
        assert encode_path(character) == quote(character, safe="/-._~"), number
        assert encode_query(character) == quote(character, safe="-._~"), number
        assert encode_path(f"plain{character}") == "plain" + quote(character, safe="/-._~")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a//b", "a//b"),
        ("/a", "/a"),
        ("./x", "./x"),
        ("../x", "../x"),
        ("a/../b/.", "a/../b/."),
        ("a%2Fb", "a%252Fb"),
        ("a b+c", "a%20b%2Bc"),
        ("a?b#c", "a%3Fb%23c"),
        ("~x", "~x"),
        ("\r\n\x00", "%0D%0A%00"),
        ("é😀", "%C3%A9%F0%9F%98%80"),
        ("", ""),
    ],
)
def test_a_path_is_encoded_once_and_never_normalised(key: str, path: str) -> None:
    """Dot segments and double slashes are keys like any other; a percent sign is encoded again."""
    assert encode_path(key) == path


# One, two, three and four bytes of UTF-8.
CHARACTERS = ["a", "é", "中", "😀"]


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("size", [1, 2, 1022, 1023, 1024])
def test_a_key_may_have_up_to_1024_bytes(character: str, size: int) -> None:
    """Counted in bytes of UTF-8, the store's path included, wherever path and key meet."""
    width = len(character.encode("utf-8"))
    key = character * (size // width) + "x" * (size % width)
    assert len(key.encode("utf-8")) == size
    for cut in {0, 1, len(key) // 2, len(key)}:
        assert check_key(key[:cut], key[cut:]) == key


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("size", [1025, 1026, 5000])
def test_a_key_of_more_than_1024_bytes_is_refused(character: str, size: int) -> None:
    """Also where path and key are each short enough; the message counts and stays short."""
    width = len(character.encode("utf-8"))
    key = character * (size // width) + "x" * (size % width)
    for cut in {0, 1, len(key) // 2, len(key)}:
        with pytest.raises(InvalidKey, match=f"{size:,} bytes") as caught:
            check_key(key[:cut], key[cut:])
        assert character * 20 in str(caught.value)
        assert len(str(caught.value)) < 400


def test_an_empty_key_is_refused_only_without_a_path() -> None:
    """With a path it names the object at the path itself."""
    with pytest.raises(InvalidKey, match="empty") as caught:
        check_key("", "")
    assert caught.value.key == ""
    assert check_key("path/", "") == "path/"


def test_path_and_key_are_joined_without_a_separator() -> None:
    """Nothing is added, removed or normalised."""
    assert check_key("a", "b") == "ab"
    assert check_key("a/", "/b") == "a//b"
    assert check_key("", "../\x00") == "../\x00"


@pytest.mark.parametrize(
    ("path", "key"),
    [("", "a\ud800b"), ("", "\udcff"), ("\ud83d", "\ude00"), ("\udc00/", "b"), ("é", "\udfff")],
)
def test_a_key_with_a_lone_surrogate_is_refused(path: str, key: str) -> None:
    """It has no UTF-8; the error can itself be printed and encoded."""
    with pytest.raises(InvalidKey, match="surrogate") as caught:
        check_key(path, key)
    assert isinstance(caught.value, ValueError)
    str(caught.value).encode("utf-8")
    assert caught.value.key is not None
    caught.value.key.encode("utf-8")


@pytest.mark.parametrize(
    ("key", "text"),
    [("a", "a"), (b"a", "a"), ("é", "é"), ("é".encode(), "é"), (b"", ""), (b"\x00", "\x00")],
)
def test_a_key_is_text_or_utf8(key: str | bytes, text: str) -> None:
    """Both name the same object."""
    assert key_text(key) == text


class Cautious(str):
    """Text that changes what it is joined to, as markup does that escapes it."""

    def __radd__(self, other: str) -> str:
        return f"escaped {other}"

    def __str__(self) -> str:
        return "shown"


def test_a_key_that_is_more_than_text_is_its_text() -> None:
    """Nothing that its class does with text is done to the store's path."""
    key = key_text(Cautious("a"))
    assert type(key) is str
    assert check_key("path/", key) == "path/a"


@pytest.mark.parametrize("key", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"a" * 2000 + b"\xff"])
def test_bytes_that_are_not_utf8_are_no_key(key: bytes) -> None:
    """The message shows their start only."""
    with pytest.raises(InvalidKey, match="UTF-8") as caught:
        key_text(key)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", [None, 1, 1.5, ["a"], ("a",), bytearray(b"a"), memoryview(b"a")])
def test_other_types_are_no_keys(key: object) -> None:
    """A TypeError that names the type."""
    with pytest.raises(TypeError, match=type(key).__name__):
        key_text(key)  # type: ignore[arg-type]
