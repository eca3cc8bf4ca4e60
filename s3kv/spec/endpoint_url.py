"""The URL of an S3-compatible store, as the ``endpoint`` member gives it."""

from __future__ import annotations

import re

from ..errors import SpecError

_URL = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/?#\[\]@:]+)(?::([0-9]{1,5}))?(/[^?#]*)?", re.IGNORECASE
).fullmatch


def split_endpoint(url: str, *, member: str = "endpoint") -> tuple[str, str, int | None, str]:
    """(scheme, host, port or None, path as it goes on the wire) of an endpoint URL.

    Raises:
        SpecError: see :func:`custom_endpoint`.
    """
    match = _URL(url)
    port = int(match[3]) if match and match[3] else None
    if (
        match is None
        or not url.isascii()
        or any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url)
        or (port is not None and not 0 < port < 65536)
        or not _possible(match[2])
    ):
        raise SpecError(
            f"{member} is {masked_url(url)!r}: allowed is an http:// or https:// URL of a host, with a "
            "port and a path if need be, but no user information, query or fragment",
            member=member,
        )
    return match[1].lower(), match[2].lower(), port, match[4] or ""


def _possible(host: str) -> bool:
    """Whether the name system can hold a host name: labels of 1 to 63 characters, 253 in all."""
    if host.startswith("["):
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(0 < len(label) <= 63 for label in labels)


def masked_url(url: str, limit: int = 120) -> str:
    """The URL as an error may show it: without what could be a password or a signature.

    A password may hold a slash, as secret keys do, so all before the last ``@`` goes; of a query or a
    fragment, which could be a presigned URL's, nothing is left but its sign.
    """
    text = re.sub(r"(?s)^([a-z0-9]+://)?.*@", r"\1…@", url)
    text = re.sub(r"(?s)([?#]).*", r"\1…", text)
    return text if len(text) <= limit else f"{text[:limit]}…"
