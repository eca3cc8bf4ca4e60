"""The multipart uploads that this process knows of, so that none of them is taken for a lost one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class KnownUploads:
    """Uploads under way, and keys for which one is being begun.

    Mutable state: ``_uploads``, a set of ids, and ``_asking``, full keys, one for each request under way;
    both changed by single steps of the interpreter, without a lock.
    """

    __slots__ = ("_asking", "_uploads")

    def __init__(self) -> None:
        self._uploads: set[str] = set()
        self._asking: list[str] = []

    @contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """Say for a while that an upload for ``key`` is being begun, the id of which nobody knows yet."""
        self._asking.append(key)
        try:
            yield
        finally:
            self._asking.remove(key)

    def asked(self, key: str) -> bool:
        """Whether an upload for ``key`` is being begun."""
        return key in self._asking

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
