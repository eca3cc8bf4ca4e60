"""Where URLs lead: the stores of a command, opened as its options say."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

from ..spec.url import parse_url
from ..store import Store
from .failures import UsageError

# A person at a terminal does not wait for 32 attempts.
_ATTEMPTS = 3

# What a URL cannot have in it, and what a shell would take apart.
_ENCODED = frozenset("%?#|\"'\\` ")


class Place(NamedTuple):
    """What a URL names.

    Attributes:
        store: Its bucket.
        key: The key, or the prefix; perhaps empty.
    """

    store: Store
    key: str

    @property
    def folder(self) -> str:
        """The prefix of everything under the URL: with a slash at its end, unless it is the bucket."""
        return f"{self.key}/" if self.key and not self.key.endswith("/") else self.key

    @property
    def last(self) -> str:
        """The part of the key after the last slash."""
        return self.key.rpartition("/")[2]

    def url(self, key: str | None = None) -> str:
        """The URL of a key in the same bucket; default: of this one."""
        writable = getattr(sys.stdout, "encoding", None) or "utf-8"
        return f"s3://{self.store.bucket}/{encoded(self.key if key is None else key, writable)}"


class Places:
    """Opens what URLs name, each bucket once, and closes it all.

    Args:
        options: What the command was called with.
        **members: Members of the spec that override those of the options.
    """

    def __init__(self, options: Namespace, **members: Any) -> None:
        self._members = {**options.members, **members}
        self._timeout: float | None = options.timeout
        self._stores: dict[str, Store] = {}
        self._closing = ExitStack()
        retries = self._members.get("s3_request_retries")
        if retries is None and "s3_request_retries" not in (self._members.get("context") or {}):
            self._members["s3_request_retries"] = {"max_retries": _ATTEMPTS}
        elif isinstance(retries, dict):
            self._members["s3_request_retries"] = {"max_retries": _ATTEMPTS, **retries}

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    def find(self, url: str) -> Place:
        """What a URL names.

        Raises:
            SpecError: it is no URL of an object, or an option is wrong.
        """
        bucket, key = parse_url(url)
        if bucket not in self._stores:
            store = Store(bucket=bucket, timeout=self._timeout, **self._members)
            self._stores[bucket] = self._closing.enter_context(store)
        return Place(self._stores[bucket], key)

    def find_object(self, url: str) -> Place:
        """As :meth:`find`, where a key is needed.

        Raises:
            UsageError: the URL has none.
        """
        place = self.find(url)
        if not place.key:
            raise UsageError(f"{place.url()} names a bucket and no object")
        return place

    def find_target(self, url: str, name: str) -> Place:
        """As :meth:`find`, where something is to be written: in a folder, under its own name.

        Args:
            name: What it is called; empty where nobody knows.

        Raises:
            UsageError: the URL is that of a folder, and there is no name.
        """
        place = self.find(url)
        if not place.key or place.key.endswith("/"):
            if not name:
                raise UsageError(f"{place.url()} is a folder: say what the object in it is to be called")
            return place._replace(key=place.key + name)
        return place


def encoded(key: str, writable: str = "utf-8") -> str:
    """A key as URLs have it: as readable as may be, and one word for a shell.

    Args:
        writable: The encoding that it is written in. What that does not have must be ASCII, too: what would
            be written in its place leads elsewhere.
    """
    readable = _can_encode(key, writable)
    return "".join(
        character
        if character.isprintable() and character not in _ENCODED and (readable or character.isascii())
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in key
    )


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
