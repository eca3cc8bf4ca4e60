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

from . import forksafe
from .errors import DataLoss
from .messages import Body

PREFIX = "x-amz-checksum-"


class _Crc:
    """A cyclic redundancy check as the standard library has its hashes.

    Args:
        function: Takes bytes and the value so far, and returns the next.
        size: Bytes of the value.
    """

    def __init__(self, function: Callable[[Any, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Body) -> None:
        """Take more bytes."""
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        """The checksum of all so far."""
        return self._value.to_bytes(self._size, "big")


def _crt(name: str, size: int) -> _Crc | None:
    """One of those that only the AWS Common Runtime computes; None where it is not installed."""
    with forksafe.importing:
        try:
            from awscrt import checksums  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError:
            return None
    function = getattr(checksums, name, None)
    return None if function is None else _Crc(function, size)


# What makes each; it makes None where the ``checksums`` extra is not installed, and needed.
_ALGORITHMS: dict[str, Callable[[], Any]] = {
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "crc32": partial(_Crc, zlib.crc32, 4),
    "crc32c": partial(_crt, "crc32c", 4),
    "crc64nvme": partial(_crt, "crc64nvme", 8),
}


def missing() -> list[str]:
    """The algorithms that cannot be checked here, for want of the ``checksums`` extra."""
    return [name for name, make in _ALGORITHMS.items() if make() is None]


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
            if told is not None and "-" not in told and (computed := make()) is not None:
                self._sums.append((name, told, computed))

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
