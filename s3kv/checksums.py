"""Whole-object checksums that a store sends along with the bytes.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping

from .errors import DataLoss
from .messages import Body

PREFIX = "x-amz-checksum-"


def _crc32(data: Body) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


# What the standard library can compute. CRC32C and CRC64NVME need a package of their own.
_ALGORITHMS: dict[str, Callable[[Body], bytes]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "crc32": _crc32,
}


def verify(headers: Mapping[str, str], body: Body) -> None:
    """Check a whole object's bytes against the checksums in its answer.

    A checksum of checksums (``COMPOSITE``, or a value that ends in ``-`` and a number of parts) says
    nothing about the bytes as a whole and is passed over, as are algorithms not available here.

    Args:
        headers: The answer's, names in lower case.

    Raises:
        DataLoss: a checksum does not match.
    """
    if headers.get(PREFIX + "type", "FULL_OBJECT").upper() != "FULL_OBJECT":
        return
    for name, compute in _ALGORITHMS.items():
        told = headers.get(PREFIX + name)
        if told is None or "-" in told:
            continue
        found = base64.b64encode(compute(body)).decode("ascii")
        if found != told:
            raise DataLoss(
                f"the bytes received do not match their {name.upper()} checksum: {found} instead of "
                f"{told[:80]}"
            )
