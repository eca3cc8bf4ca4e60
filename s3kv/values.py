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
        >>> generation = StorageGeneration('"9e107d9d372bb6826bd81d3542a419d6"')
        >>> generation == '"9e107d9d372bb6826bd81d3542a419d6"'
        True
        >>> StorageGeneration.NO_VALUE.has_etag
        False
    """

    __slots__ = ()

    NO_VALUE: ClassVar[StorageGeneration]
    UNKNOWN: ClassVar[StorageGeneration]

    @property
    def has_etag(self) -> bool:
        """True when this generation names one version of an existing object."""
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
    """

    generation: StorageGeneration
    time: float


class ReadResult(NamedTuple):
    """What ``Store.read`` found.

    Attributes:
        state: ``"value"``, ``"missing"`` or ``"unspecified"`` (a condition did not hold).
        value: The bytes read; ``b""`` unless ``state`` is ``"value"``.
        stamp: The generation that was seen, and when.
    """

    state: Literal["value", "missing", "unspecified"]
    value: bytes
    stamp: TimestampedStorageGeneration


class ListEntry(NamedTuple):
    """One object of a listing.

    Attributes:
        key: The key relative to the store (str).
        size: Length in bytes (int).
        etag: The quoted ETag (str; empty where a store lists none).
        last_modified: Time of the last write, UTC (datetime, or None where a store lists none).
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None


class ObjectInfo(NamedTuple):
    """What a store says of one object without its bytes.

    Attributes:
        key: The key relative to the store (str).
        size: Length in bytes (int).
        etag: The quoted ETag (str).
        last_modified: Time of the last write, UTC (datetime, or None where a store does not say).
        content_type: The media type it was stored with (str, or None).
        metadata: The user's own metadata; names are lower-case (dict of str to str).
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    content_type: str | None
    metadata: dict[str, str]
