"""Whole-object checksums that a store sends along with the bytes.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .errors import DataLoss
from .messages import Body

PREFIX = "x-amz-checksum-"


class _Crc32:
    """CRC32 as the standard library has its hashes."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Body) -> None:
        """Take more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """The checksum of all so far."""
        return self._value.to_bytes(4, "big")


# What the standard library can compute. CRC32C and CRC64NVME need a package of their own.
_ALGORITHMS: dict[str, Callable[[], Any]] = {
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "crc32": _Crc32,
}


class Running:
    """The checksums of a whole object that comes in pieces.

    A checksum of checksums (``COMPOSITE``, or a value that ends in ``-`` and a number of parts) says
    nothing about the bytes as a whole and is passed over, as are algorithms not available here.

    Args:
        headers: The answer's, names in lower case.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._sums: list[tuple[str, str, Any]] = []
        if headers.get(PREFIX + "type", "FULL_OBJECT").upper() != "FULL_OBJECT":
            return
        for name, make in _ALGORITHMS.items():
            told = headers.get(PREFIX + name)
            if told is not None and "-" not in told:
                self._sums.append((name, told, make()))

    def update(self, piece: Body) -> None:
        """Take the next bytes."""
        for _, _, computed in self._sums:
            computed.update(piece)

    def check(self) -> None:
        """Compare.

        Raises:
            DataLoss: a checksum does not match.
        """
        for name, told, computed in self._sums:
            found = base64.b64encode(computed.digest()).decode("ascii")
            if found != told:
                raise DataLoss(
                    f"the bytes received do not match their {name.upper()} checksum: {found} instead of "
                    f"{told[:80]}"
                )


def verify(headers: Mapping[str, str], body: Body) -> None:
    """Check a whole object's bytes against the checksums in its answer; see :class:`Running`.

    Args:
        headers: The answer's, names in lower case.

    Raises:
        DataLoss: a checksum does not match.
    """
    # Most answers have none at all.
    if not any(map(headers.__contains__, _HEADERS)):
        return
    running = Running(headers)
    running.update(body)
    running.check()


_HEADERS = tuple(PREFIX + name for name in _ALGORITHMS)
