"""The values that operations return: generations, read results, listing entries, object facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime


class StorageGeneration(str):
    """What version of an object was seen: its ETag, with the double quotes.

    Two special generations are no ETags: :attr:`NO_VALUE` ("the key does not exist") and
    :attr:`UNKNOWN` ("not known", or "the condition did not hold").

    Example:
        >>> stamp = store.put("a.txt", b"hello")
        >>> stamp.generation
        StorageGeneration('"5d41402abc4b2a76b9719d911017c592"')
        >>> stamp.generation == store.stat("a.txt").etag
        True
        >>> store.read("missing").stamp.generation
        StorageGeneration.NO_VALUE
    """

    __slots__ = ()

    NO_VALUE: ClassVar[StorageGeneration]
    UNKNOWN: ClassVar[StorageGeneration]

    @property
    def has_etag(self) -> bool:
        """True when this generation names one version of an existing object.

        Example:
            >>> stamp = store.put("a.txt", b"hello")
            >>> stamp.generation.has_etag, store.delete("a.txt").generation.has_etag
            (True, False)
        """
        return self.startswith(('"', 'W/"'))

    def __repr__(self) -> str:
        if self == StorageGeneration.UNKNOWN:
            return "StorageGeneration.UNKNOWN"
        if self == StorageGeneration.NO_VALUE:
            return "StorageGeneration.NO_VALUE"
        return f"StorageGeneration({str(self)!r})"


# Neither can be mistaken for an ETag: one is empty, the other a control character that HTTP forbids.
StorageGeneration.UNKNOWN = StorageGeneration("")
StorageGeneration.NO_VALUE = StorageGeneration("\x00")


class TimestampedStorageGeneration(NamedTuple):
    """A generation and when it was known to be current.

    Attributes:
        generation: The :class:`StorageGeneration`.
        time: Local time, seconds since the epoch, taken before the request was sent (float).

    Example:
        >>> generation, time = store.put("a.txt", b"hello")
        >>> stamp = store.put("a.txt", b"bye", if_equal=generation)
        >>> stamp.time >= time
        True
    """

    generation: StorageGeneration
    time: float

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .tables import facts

        return facts("generation", _stamp_rows(self))


class ReadResult(NamedTuple):
    """What ``Store.read`` found.

    Attributes:
        state: ``"value"``, ``"missing"`` or ``"unspecified"`` (a condition did not hold).
        value: The bytes read; ``b""`` unless ``state`` is ``"value"``.
        stamp: The generation that was seen, and when (a :class:`TimestampedStorageGeneration`).

    Example:
        >>> store["a.txt"] = b"hello"
        >>> result = store.read("a.txt", byte_range=slice(0, 2))
        >>> result.state, result.value, result.stamp.generation == store.stat("a.txt").etag
        ('value', b'he', True)
    """

    state: Literal["value", "missing", "unspecified"]
    value: bytes
    stamp: TimestampedStorageGeneration

    def _repr_html_(self) -> str:
        """A table, for notebooks, with the beginning of the value."""
        from .tables import bytes_text, facts, size_text

        there = self.state == "value"
        rows: list[tuple[str, object]] = [
            ("state", self.state),
            ("size", size_text(len(self.value)) if there else None),
            *_stamp_rows(self.stamp),
            ("value", bytes_text(self.value) if there else None),
        ]
        return facts("read", rows)


class ListEntry(NamedTuple):
    """One object of a listing.

    Attributes:
        key: The key relative to the store (str).
        size: Length in bytes (int).
        etag: The quoted ETag (str; empty where a store lists none).
        last_modified: Time of the last write, UTC (datetime, or None where a store lists none).

    Example:
        >>> store["a.txt"] = b"hello"
        >>> [(entry.key, entry.size, entry.last_modified.tzname()) for entry in store.scan()]
        [('a.txt', 5, 'UTC')]
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .tables import facts

        return facts("object", _object_rows(self))


class ObjectInfo(NamedTuple):
    """What a store says of one object without its bytes.

    Attributes:
        key: The key relative to the store (str).
        size: Length in bytes (int).
        etag: The quoted ETag (str).
        last_modified: Time of the last write, UTC (datetime, or None where a store does not say).
        content_type: The media type it was stored with (str, or None).
        metadata: The user's own metadata; names are lower-case (dict of str to str).

    Example:
        >>> stamp = store.put("a.txt", b"hello", content_type="text/plain", metadata={"Run": "1"})
        >>> info = store.stat("a.txt")
        >>> info.key, info.size, info.content_type, info.metadata
        ('a.txt', 5, 'text/plain', {'run': '1'})
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    content_type: str | None
    metadata: dict[str, str]

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .tables import facts

        rows = [*_object_rows(self), ("content type", self.content_type)]
        rows += [(f"metadata: {name}", value) for name, value in self.metadata.items()]
        return facts("object", rows)


def _stamp_rows(stamp: TimestampedStorageGeneration) -> list[tuple[str, object]]:
    """What a stamp says, as rows of a table."""
    from .tables import time_text

    generation = stamp.generation
    shown = str(generation) if generation.has_etag else repr(generation)
    return [("generation", shown), ("time", time_text(stamp.time))]


def _object_rows(found: ListEntry | ObjectInfo) -> list[tuple[str, object]]:
    """What there is to say of any object, as rows of a table."""
    from .tables import size_text

    return [
        ("key", found.key),
        ("size", size_text(found.size)),
        ("etag", found.etag or None),
        ("last modified", found.last_modified),
    ]
