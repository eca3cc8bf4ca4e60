"""The multipart uploads that this process knows of, so that none of them is taken for a lost one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Wanted(Protocol):
    """An upload that is being begun.

    Attributes:
        given_up: Nobody waits for that any more: as soon as it is there, it is a lost one.
    """

    given_up: bool


class KnownUploads:
    """Uploads under way, and keys for which one is being begun.

    Mutable state: ``_uploads``, a set of ids, and ``_asking``, for each request under way a full key and
    what is wanted; both changed by single steps of the interpreter, without a lock.
    """

    __slots__ = ("_asking", "_uploads")

    def __init__(self) -> None:
        self._uploads: set[str] = set()
        self._asking: list[tuple[str, Wanted]] = []

    @contextmanager
    def asking(self, key: str, wanted: Wanted) -> Iterator[None]:
        """Say for a while that an upload for ``key`` is being begun, the id of which nobody knows yet."""
        asked = key, wanted
        self._asking.append(asked)
        try:
            yield
        finally:
            self._asking.remove(asked)

    def asked(self, key: str) -> bool:
        """Whether an upload for ``key`` is being begun, and somebody waits for that."""
        return any(asked == key and not wanted.given_up for asked, wanted in list(self._asking))

    def add(self, upload: str) -> None:
        """Say that an upload was begun."""
        self._uploads.add(upload)

    def discard(self, upload: str) -> None:
        """Say that an upload is over."""
        self._uploads.discard(upload)

    def __contains__(self, upload: object) -> bool:
        return upload in self._uploads


#: Those of all stores: ids are unique enough, and to take two keys of the same name for one does no harm.
KNOWN = KnownUploads()
