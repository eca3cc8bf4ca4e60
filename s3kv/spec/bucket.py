"""Which bucket names are allowed.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

from __future__ import annotations

import re

from ..errors import SpecError

_STANDARD = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*").fullmatch
_LEGACY = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*"
).fullmatch
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}").fullmatch

_RESERVED_STARTS = ("xn--", "sthree-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3")
_ALLOWED = "3 to 63 characters of a-z, 0-9, - and ., in labels that start and end with a letter or digit"


def check_bucket(name: object, *, member: str = "bucket") -> bool:
    """Whether ``name`` is a standard bucket name; False for one that only us-east-1 allows.

    Names made before 2018 in us-east-1 may have up to 255 characters, upper case and underscores.

    Raises:
        SpecError: no bucket can have this name.
    """
    if not isinstance(name, str):
        raise SpecError(f"{member} is of type {type(name).__name__}: allowed is a str", member=member)

    def refuse(why: str) -> SpecError:
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        return SpecError(f"{member} is {shown!r}: {why}", member=member)

    if _ADDRESS(name):
        raise refuse("a bucket name is not shaped like an IP address")
    for start in _RESERVED_STARTS:
        if name.startswith(start):
            raise refuse(f"names that start with {start!r} are reserved")
    if name.endswith("--x-s3"):
        raise refuse("directory buckets (S3 Express One Zone, --x-s3) are not supported")
    for end in _RESERVED_ENDS:
        if name.endswith(end):
            raise refuse(f"names that end with {end!r} are reserved")
    if 3 <= len(name) <= 63 and _STANDARD(name):
        return True
    if 3 <= len(name) <= 255 and _LEGACY(name):
        return False
    raise refuse(f"allowed are {_ALLOWED} (before 2018, in us-east-1: up to 255, also A-Z and _)")
