"""Ranges of keys, in the order in which S3 lists them: that of their UTF-8 bytes.

Python compares text by code points, which is the same order.
"""

from __future__ import annotations

from typing import NoReturn

from .errors import InvalidKey
from .keys import key_text

_LAST = "\U0010ffff"


class KeyRange:
    """The keys from ``inclusive_min`` up to, but not including, ``exclusive_max``. Immutable.

    Args:
        inclusive_min: The first key that may be in the range (str, or UTF-8 bytes). Default: the empty one,
            which is before every other.
        exclusive_max: The first key behind the range. Default: the empty one, which here means that the
            range has no end.

    Raises:
        TypeError, InvalidKey: an end is no text, or cannot be written as UTF-8.

    Example:
        >>> months = s3kv.KeyRange("2026-01", "2026-04")
        >>> "2026-03-31" in months, "2026-04" in months
        (True, False)
        >>> months & s3kv.KeyRange.prefix("2026-03")
        KeyRange('2026-03', '2026-04')
    """

    __slots__ = ("exclusive_max", "inclusive_min")

    inclusive_min: str
    exclusive_max: str

    def __init__(self, inclusive_min: str | bytes = "", exclusive_max: str | bytes = "") -> None:
        object.__setattr__(self, "inclusive_min", _end(inclusive_min))
        object.__setattr__(self, "exclusive_max", _end(exclusive_max))

    @staticmethod
    def prefix(prefix: str | bytes) -> KeyRange:
        """All keys that start with ``prefix``.

        Args:
            prefix: Text, or UTF-8 bytes.

        Returns:
            The range.

        Raises:
            TypeError, InvalidKey: ``prefix`` is no text, or cannot be written as UTF-8.

        Example:
            >>> s3kv.KeyRange.prefix("a/")
            KeyRange('a/', 'a0')
        """
        text = _end(prefix)
        return KeyRange(text, _behind_prefix(text))

    @property
    def empty(self) -> bool:
        """No key is in the range (bool).

        Example:
            >>> s3kv.KeyRange("b", "a").empty
            True
        """
        return self.exclusive_max != "" and self.inclusive_min >= self.exclusive_max

    @property
    def common_prefix(self) -> str:
        """The longest text that every key of the range starts with (str).

        Example:
            >>> s3kv.KeyRange("2026-01", "2026-04").common_prefix
            '2026-0'
        """
        low, high = self.inclusive_min, self.exclusive_max
        length = 0
        for one, other in zip(low, high, strict=False):
            if one != other:
                break
            length += 1
        # Up to the end of a prefix: one character more, and all that nothing can come after.
        if not high or _behind_prefix(low[: length + 1]) == high:
            length += bool(high) and length < len(low)
            while low[length : length + 1] == _LAST:
                length += 1
        return low[:length]

    def __contains__(self, key: object) -> bool:
        text = key_text(key)  # type: ignore[arg-type]
        return text >= self.inclusive_min and (self.exclusive_max == "" or text < self.exclusive_max)

    def __and__(self, other: KeyRange) -> KeyRange:
        """The keys that are in both ranges."""
        if not isinstance(other, KeyRange):
            return NotImplemented
        highs = [high for high in (self.exclusive_max, other.exclusive_max) if high]
        return KeyRange(max(self.inclusive_min, other.inclusive_min), min(highs, default=""))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a KeyRange cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a KeyRange cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeyRange):
            return NotImplemented
        return (self.inclusive_min, self.exclusive_max) == (other.inclusive_min, other.exclusive_max)

    def __hash__(self) -> int:
        return hash((KeyRange, self.inclusive_min, self.exclusive_max))

    def __reduce__(self) -> tuple[type[KeyRange], tuple[str, str]]:
        return KeyRange, (self.inclusive_min, self.exclusive_max)

    def __repr__(self) -> str:
        if not self.exclusive_max:
            return f"KeyRange({self.inclusive_min!r})" if self.inclusive_min else "KeyRange()"
        return f"KeyRange({self.inclusive_min!r}, {self.exclusive_max!r})"


def _end(key: str | bytes) -> str:
    """One end of a range, which UTF-8 must be able to hold: it becomes part of requests."""
    text = key_text(key)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKey(f"{ascii(text)[:80]} cannot be written as UTF-8") from error
    return text


def _behind_prefix(prefix: str) -> str:
    """The first key behind all that start with ``prefix``; empty where there is none."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return ""
    # No key holds a surrogate.
    following = 0xE000 if kept[-1] == "\ud7ff" else ord(kept[-1]) + 1
    return kept[:-1] + chr(following)


def just_before(key: str) -> str:
    """A key that hardly any other comes between it and ``key``; empty where there is none.

    For stores that can be told after which key to start, but not at which.
    """
    before = ord(key[-1]) - 1
    # What is written here goes into XML unescaped on some stores: no control characters, no surrogates.
    if before < 0x20 or before == 0x7F or 0xD800 <= before <= 0xDFFF:
        return key[:-1]
    return key[:-1] + chr(before) + _LAST
