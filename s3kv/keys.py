"""Object keys: what S3 accepts, and the one way they are written into a URL path.

S3 keys are 1 to 1,024 bytes of UTF-8, and the request path is the key percent-encoded exactly once:
nothing is normalised, so ``a//b``, ``./x`` and ``../x`` are keys like any other.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""

from __future__ import annotations

import re

from .errors import InvalidKey

MAX_KEY_BYTES = 1024

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_BYTES = [chr(b) if b in _UNRESERVED or b == 0x2F else f"%{b:02X}" for b in range(256)]
_QUERY_BYTES = [chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in range(256)]

# Most keys need no encoding at all; one regular expression finds that out faster than a loop.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch


def encode_path(text: str) -> str:
    """Percent-encode ``text`` for a request path: every byte but unreserved ones and ``/``."""
    if _PLAIN_PATH(text):
        return text
    return "".join([_PATH_BYTES[b] for b in text.encode("utf-8")])


def encode_query(text: str) -> str:
    """Percent-encode ``text`` for a query name or value: every byte but unreserved ones."""
    if _PLAIN_QUERY(text):
        return text
    return "".join([_QUERY_BYTES[b] for b in text.encode("utf-8")])


def plain(text: str) -> str:
    """Text as a ``str`` and nothing more: a subclass may join, compare or show it in ways of its own."""
    return text if type(text) is str else str.__str__(text)


def key_text(key: str | bytes) -> str:
    """The key as text. Raises ``TypeError`` for other types, ``InvalidKey`` for bytes not UTF-8."""
    if isinstance(key, str):
        return plain(key)
    if isinstance(key, bytes):
        try:
            return key.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidKey(f"the key {_shorten(repr(key))} is not valid UTF-8: {error}") from error
    raise TypeError(f"a key is a str or UTF-8 bytes, not {type(key).__name__}")


def check_key(path: str, key: str) -> str:
    """The full object key ``path + key``; ``InvalidKey`` when S3 cannot hold it.

    Args:
        path: The store's path, joined without a separator.
        key: The key relative to the store.
    """
    full = path + key
    if full.isascii():
        size = len(full)
    else:
        try:
            size = len(full.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise InvalidKey(
                f"the key {_shorten(ascii(full))} cannot be written as UTF-8 (a lone surrogate at "
                f"character {error.start})",
                key=ascii(key)[1:-1],
            ) from error
    if 0 < size <= MAX_KEY_BYTES:
        return full
    if not size:
        raise InvalidKey("the key is empty: S3 keys are 1 to 1,024 bytes of UTF-8", key=key)
    raise InvalidKey(
        f"the key {_shorten(repr(full))} is {size:,} bytes long: S3 keys are 1 to 1,024 bytes of "
        f"UTF-8, the store's path of {len(path.encode('utf-8')):,} bytes included"
    )


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
