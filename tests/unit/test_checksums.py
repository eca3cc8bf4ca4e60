"""Whole-object checksums: verified where they cover the whole object, passed over where they do not."""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib

import pytest

from s3kv.checksums import missing, verify
from s3kv.errors import DataLoss

BODY = b"123456789"


def _b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


RIGHT = {
    # The published check value of CRC-32, for one that is not computed by the same function.
    "crc32": _b64(bytes.fromhex("cbf43926")),
    "sha1": _b64(hashlib.sha1(BODY, usedforsecurity=False).digest()),
    "sha256": _b64(hashlib.sha256(BODY).digest()),
    # https://reveng.sourceforge.io/crc-catalogue/all.htm: CRC-32/ISCSI and CRC-64/NVME.
    "crc32c": _b64(bytes.fromhex("e3069283")),
    "crc64nvme": _b64(bytes.fromhex("ae8b14860a799888")),
}
EMPTY = {"crc32": "AAAAAA==", "sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}


@pytest.mark.parametrize("kind", [None, "FULL_OBJECT", "full_object"])
@pytest.mark.parametrize("name", RIGHT)
def test_the_right_checksum_passes_and_any_other_is_data_loss(name: str, kind: str | None) -> None:
    """The right one passes; one bit of difference in the body or another checksum does not."""
    headers = {f"x-amz-checksum-{name}": RIGHT[name]}
    if kind is not None:
        headers["x-amz-checksum-type"] = kind
    verify(headers, BODY)
    verify(headers, memoryview(BODY))
    verify(headers, bytearray(BODY))
    for wrong in (b"", BODY[:-1], BODY + b"\0", b"023456789"):
        with pytest.raises(DataLoss, match=name.upper()):
            verify(headers, wrong)


@pytest.mark.parametrize("name", EMPTY)
def test_the_empty_object_has_a_checksum_too(name: str) -> None:
    """Known values."""
    verify({f"x-amz-checksum-{name}": EMPTY[name]}, b"")
    with pytest.raises(DataLoss):
        verify({f"x-amz-checksum-{name}": EMPTY[name]}, b"\0")


@pytest.mark.parametrize("name", RIGHT)
def test_a_checksum_of_checksums_is_not_mistaken_for_one_of_the_bytes(name: str) -> None:
    """COMPOSITE by name, or by the number of parts at the end of the value."""
    wrong = _b64(zlib.crc32(b"other").to_bytes(4, "big"))
    verify({f"x-amz-checksum-{name}": f"{wrong}-2"}, BODY)
    verify({f"x-amz-checksum-{name}": wrong, "x-amz-checksum-type": "COMPOSITE"}, BODY)
    with pytest.raises(DataLoss):
        verify({f"x-amz-checksum-{name}": wrong}, BODY)


def test_one_wrong_checksum_among_right_ones_is_data_loss() -> None:
    """All that can be checked are."""
    headers = {f"x-amz-checksum-{name}": value for name, value in RIGHT.items()}
    verify(headers, BODY)
    for name in RIGHT:
        with pytest.raises(DataLoss, match=name.upper()):
            verify({**headers, f"x-amz-checksum-{name}": RIGHT[name][:-2] + "A="}, BODY)


@pytest.mark.parametrize("name", ["crc32c", "crc64nvme"])
def test_without_the_extra_these_are_passed_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is known that they are; the others are checked all the same."""
    assert missing() == []
    monkeypatch.setitem(sys.modules, "awscrt", None)
    assert missing() == ["crc32c", "crc64nvme"]
    headers = {f"x-amz-checksum-{name}": "wrong"}
    verify(headers, BODY)
    with pytest.raises(DataLoss, match="CRC32"):
        verify({**headers, "x-amz-checksum-crc32": "wrong"}, BODY)


def test_algorithms_that_are_not_known_are_passed_over() -> None:
    """So are answers without any checksum."""
    verify({}, BODY)
    verify({"x-amz-checksum-newest": "AAAA", "x-amz-checksum-mode": "ENABLED"}, BODY)
