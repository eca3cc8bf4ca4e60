"""The contenders: for each client, the ways in which it can do each style of work.

One module a client, which imports the client only where it is used, so that listing the ways imports
nothing. Each has ``PACKAGE``, its distribution, and ``WAYS``: by style, the ways worth trying; the best
one counts. What a way is built to depends on the style:

================  ==============================================
get               ``(key) -> bytes``
get_large         ``(key) -> bytes``
get_into          ``(key, bytearray) -> None``
get_many          ``(keys) -> dict[key, bytes]``
get_many_limited  the same, ``task.limit`` in flight
iter_many         ``(keys) -> iterator of (key, bytes)``
list              ``() -> list of keys``
put_large         ``(key, bytes) -> anything``
put_many          ``(dict[key, bytes]) -> anything``
================  ==============================================
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from .ways import Way

CLIENTS = ("s3kv", "tensorstore", "obstore", "boto3", "minio", "s3fs")


def ways(client: str, style: str) -> list[Way]:
    """The ways in which a client does a style of work; none, if it cannot."""
    found: list[Way] = import_module(f"{__name__}.with_{client}").WAYS.get(style, [])
    return found


def client_version(client: str) -> str:
    """The version of an installed client."""
    try:
        return version(client)
    except PackageNotFoundError:  # Not installed, or used from a checkout.
        return ""
