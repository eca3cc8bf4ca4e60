"""What a store does with one key: get, put, delete, stat; read, write and modify with conditions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from .buffers import let_go
from .byterange import WHOLE, ByteRange, parse_slice
from .errors import ByteRangeError, S3KVError, ServiceError
from .keys import check_key, key_text
from .operations.conditional_read import read_if
from .operations.conditional_write import Refused
from .operations.conditions import NO_VALUE, UNKNOWN, check_condition
from .operations.pause import pause
from .operations.stat import Missing, stat_object
from .operations.write import object_headers
from .payload import writable
from .reading import Reading
from .values import ObjectInfo, ReadResult, StorageGeneration, TimestampedStorageGeneration
from .writing import Writing

T = TypeVar("T")

# Stands for no default at all.
RAISE: Any = object()

# The pauses of modify, in seconds: short, for whoever won is done already.
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
# So often may a store refuse to replace a version that it shows unchanged all the same.
_MOST_CONTRADICTIONS = 8


class SingleKey(Writing, Reading):
    """The methods of a store that are about one key each."""

    __slots__ = ()

    # ---------------------------------------------------------------- plain

    @overload
    def get(self, key: str | bytes, *, byte_range: slice | None = None) -> bytes: ...
    @overload
    def get(self, key: str | bytes, default: T, *, byte_range: slice | None = None) -> bytes | T: ...
    def get(self, key: str | bytes, default: Any = RAISE, *, byte_range: slice | None = None) -> Any:
        """The bytes of an object; of 32 MiB or more, in parts of 16 MiB, ten at a time.

        Unlike ``dict.get``, a missing key raises unless a default is given: a typo should not read as
        ``None``.

        Args:
            key: The key.
            default: What to return when no object has the key; by default ``KeyNotFound`` is raised.
            byte_range: A slice without a step: ``slice(0, 100)``, ``slice(100, None)``, or
                ``slice(-100, None)`` for the last 100 bytes. It must be wholly inside the object. Default
                None: all of it.

        Returns:
            The bytes asked for, all of them.

        Raises:
            KeyNotFound: no object has the key, and no default was given.
            ByteRangeError: the range is not wholly inside the object.
            Changed: the object was replaced again and again while it was read.
            BucketNotFound, PermissionDenied, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("a.txt", b"hello, S3")
            >>> store.get("a.txt")
            b'hello, S3'
            >>> store.get("a.txt", byte_range=slice(-2, None))
            b'S3'
            >>> store.get("b.txt", b"nothing")
            b'nothing'
        """
        name = key_text(key)
        full = check_key(self._path, name)
        wanted = WHOLE if byte_range is None else parse_slice(byte_range)
        found = self._read_object(name, full, wanted)
        if isinstance(found, Missing):
            if default is RAISE:
                raise found.error
            return default
        return found.value

    def get_into(self, key: str | bytes, buffer: Any, *, byte_range: slice | None = None) -> int:
        """Read an object into memory that there is already: nothing is copied on the way.

        Args:
            key: The key.
            buffer: Any writable, C-contiguous buffer (``bytearray``, ``mmap``, NumPy array), at least as
                long as what is read. What is after the bytes read, and all of it when an exception is
                raised, may have been written to.
            byte_range: As for :meth:`get`.

        Returns:
            How many bytes were read, from the beginning of the buffer on.

        Raises:
            KeyNotFound: no object has the key.
            ByteRangeError: the range is not wholly inside the object.
            TypeError: the buffer is not writable, or not contiguous.
            ValueError: the buffer is too small.
            Changed: the object was replaced again and again while it was read.
            BucketNotFound, PermissionDenied, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("data.bin", b"0123456789")
            >>> buffer = bytearray(100)
            >>> store.get_into("data.bin", buffer)
            10
        """
        name = key_text(key)
        full = check_key(self._path, name)
        wanted = WHOLE if byte_range is None else parse_slice(byte_range)
        view, outer = writable(buffer), sys.exc_info()[1]
        try:
            return self._fill(name, full, wanted, view)
        except (S3KVError, ValueError) as error:
            # Whoever handles the exception may close or resize the memory: its traceback is not to hold it.
            let_go(error, outer)
            raise error
        finally:
            del view, outer

    def _fill(self, name: str, full: str, wanted: ByteRange, view: memoryview) -> int:
        """As :meth:`get_into`, the arguments checked."""
        if wanted.length is not None:
            if wanted.length > len(view):
                self._check_inside(name, full, wanted)
                raise ValueError(
                    f"the buffer of {len(view):,} bytes is too small for the {wanted.length:,} asked for"
                )
            view = view[: wanted.length]
        found = self._read_object(name, full, wanted, view)
        if isinstance(found, Missing):
            raise found.error
        count = len(found.value)
        if not isinstance(found.value, memoryview):
            # Not every answer says how long it is before it is over.
            if count > len(view):
                raise ValueError(
                    f"the buffer of {len(view):,} bytes is too small for the {count:,} asked for"
                )
            view[:count] = found.value
        return count

    def _check_inside(self, name: str, full: str, wanted: ByteRange) -> None:
        """Raise what reading this range would, without reading it: the object is only looked at."""
        info = self._run(stat_object, name, full)
        if isinstance(info, Missing):
            raise info.error
        try:
            wanted.resolve(info.size)
        except ByteRangeError as error:
            error.operation, error.key = "GetObject", name
            raise

    def put(
        self,
        key: str | bytes,
        value: Any,
        *,
        if_equal: str | None = None,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> TimestampedStorageGeneration:
        """Write an object, whatever was there before, unless a condition is given.

        Warning:
            Amazon S3 decides on a condition in the moment of the write. Other stores need not, nor even
            replace an object atomically: they are looked at first as well (see ``use_conditional_write``),
            and of two writers at the same moment both may win. ``doctor(write=True)`` finds out those that
            ignore conditions.

        Args:
            key: The key.
            value: Any C-contiguous bytes-like object, which is sent without a copy and must not change
                meanwhile; or a binary file, which is read from where it stands to its end. More than 32 MiB
                (under a condition that the store itself does not decide: 5 GiB), or a file of unknown
                length from 8 MiB on, is sent in parts: each 8 MiB long, or longer where 10,000 of them
                would not do, and ten at a time; of a file, these and one more are in memory.
            if_equal: Write only if the object's generation is this one, a quoted ETag; or
                ``StorageGeneration.NO_VALUE``. Default None: no condition.
            if_absent: Write only if no object has the key. Default False.
            content_type: The media type to store; default: the store's own default.
            metadata: Names and values to store with the object: printable ASCII, names regardless of
                case, 2 KB in all. Default None: none.

        Returns:
            The new object's generation, and the time before the request was sent.

        Raises:
            ConditionFailed: the condition does not hold; nothing was written.
            OutcomeUnknown: an answer was lost, and whether a write under a condition, or in parts, was done
                cannot be known.
            TypeError: the value is neither bytes-like nor a binary file.
            ValueError: larger than 48.8 TiB, both conditions, a generation that cannot be one, or a header
                that cannot carry the content type or metadata as they are.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("a.txt", b"hello", content_type="text/plain", metadata={"run": "1"})
            >>> stamp = store.put("a.txt", b"bye", if_equal=stamp.generation)
            >>> store.put("a.txt", b"me first", if_absent=True)
            Traceback (most recent call last):
                ...
            s3kv.errors.ConditionFailed: an object with this key exists already (...)
        """
        condition = check_condition("if_equal", if_equal)
        if if_absent:
            if condition is not None:
                raise ValueError("put takes if_equal or if_absent, not both")
            condition = NO_VALUE
        return demanded(self._put(key, value, condition, object_headers(content_type, metadata)))

    def delete(self, key: str | bytes, *, if_equal: str | None = None) -> TimestampedStorageGeneration:
        """Delete an object. Without a condition, a key that does not exist is no error.

        Warning:
            A condition is worth less here than in :meth:`put`. TensorStore warns that on S3 a DELETE is not
            atomic with respect to one: Amazon S3 has compared ``if_equal`` in the DELETE itself since
            September 2025, while many other stores delete whatever is there after s3kv's look at it. So
            what is deleted instead of written, as zarr does with a chunk of nothing but its fill value, may
            take with it what another writer has just put there.

        Args:
            key: The key.
            if_equal: Delete only if the object's generation is this one, a quoted ETag. Default None: no
                condition.

        Returns:
            ``StorageGeneration.NO_VALUE`` and the time before the request was sent.

        Raises:
            ConditionFailed: the condition does not hold; nothing was deleted.
            OutcomeUnknown: an answer was lost, and whether the object was deleted cannot be known.
            ValueError: a generation that cannot be one.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("a.txt", b"hello")
            >>> store.delete("a.txt", if_equal=stamp.generation).generation
            StorageGeneration.NO_VALUE
            >>> "a.txt" in store
            False
        """
        return demanded(self._delete(key, check_condition("if_equal", if_equal)))

    def stat(self, key: str | bytes) -> ObjectInfo:
        """What the store says of an object without its bytes.

        Args:
            key: The key.

        Returns:
            Its size, ETag, time of the last write, content type and metadata.

        Raises:
            KeyNotFound: no object has the key.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("a.txt", b"hello", metadata={"run": "1"})
            >>> info = store.stat("a.txt")
            >>> info.size, info.metadata, info.etag == stamp.generation
            (5, {'run': '1'}, True)
        """
        name = key_text(key)
        info = self._run(stat_object, name, check_key(self._path, name))
        if isinstance(info, Missing):
            raise info.error
        return info

    # ---------------------------------------------------------------- TensorStore's semantics

    def read(
        self,
        key: str | bytes,
        *,
        byte_range: slice | None = None,
        if_equal: str | None = None,
        if_not_equal: str | None = None,
        staleness_bound: float | None = None,
    ) -> ReadResult:
        """What is there under a key: as TensorStore's ``read``, no outcome is an exception.

        Args:
            key: The key.
            byte_range: As for :meth:`get`.
            if_equal: Read only this generation, a quoted ETag. Default None: any.
            if_not_equal: Do not read this generation: the caller has it. Default None.
            staleness_bound: Seconds since the epoch up to which the result may be out of date. Every read
                asks the store, so any bound is kept. Default None.

        Returns:
            ``state`` is ``"value"``, ``"missing"`` (whatever the conditions), or ``"unspecified"``: a
            condition does not hold; then the generation is ``if_not_equal``'s where it is that one, else
            ``UNKNOWN``.

        Raises:
            ByteRangeError: the range is not wholly inside the object.
            ValueError: a generation that cannot be one.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("state", b"1")
            >>> store.read("state").value
            b'1'
            >>> store.read("state", if_not_equal=stamp.generation).state
            'unspecified'
            >>> store.read("nothing").state
            'missing'
        """
        name = key_text(key)
        full = check_key(self._path, name)
        wanted = WHOLE if byte_range is None else parse_slice(byte_range)
        if staleness_bound is not None and (
            isinstance(staleness_bound, bool) or not isinstance(staleness_bound, (int, float))
        ):
            raise TypeError(f"staleness_bound is seconds or None, not {type(staleness_bound).__name__}")
        equal = check_condition("if_equal", if_equal)
        unequal = check_condition("if_not_equal", if_not_equal)
        return self._run(read_if, name, full, wanted, equal, unequal)

    def write(
        self, key: str | bytes, value: Any, *, if_equal: str | None = None
    ) -> TimestampedStorageGeneration:
        """Write or delete an object: as TensorStore's ``write``.

        Warning:
            A condition is worth what the store makes of it; see :meth:`put`, and for None, a DELETE, which
            is not atomic with respect to a condition everywhere, :meth:`delete`.

        Args:
            key: The key.
            value: As for :meth:`put`; None deletes.
            if_equal: The generation that the object must have, a quoted ETag; or
                ``StorageGeneration.NO_VALUE`` for a key that must not exist. Default None: no condition.

        Returns:
            The new generation, ``NO_VALUE`` after a deletion; ``UNKNOWN`` when the condition does not hold
            and nothing was changed.

        Raises:
            OutcomeUnknown: an answer was lost, and whether the write was done cannot be known.
            TypeError, ValueError: as for :meth:`put`.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.write("state", b"1", if_equal=s3kv.StorageGeneration.NO_VALUE)
            >>> store.write("state", b"2", if_equal='"another"').generation
            StorageGeneration.UNKNOWN
            >>> store.write("state", None, if_equal=stamp.generation).generation
            StorageGeneration.NO_VALUE
        """
        condition = check_condition("if_equal", if_equal)
        if value is None:
            return _told(self._delete(key, condition))
        return _told(self._put(key, value, condition, ()))

    def modify(self, key: str | bytes, fn: Callable[[bytes | None], Any]) -> TimestampedStorageGeneration:
        """Replace an object by a function of what it was, atomically: nobody's update is lost.

        When somebody else writes in between, ``fn`` is called again with what is there then. The store's
        timeout bounds all of it.

        Warning:
            It is as atomic as the store's conditional writes are; see :meth:`put`. Where ``fn`` returns
            None it is a DELETE, and only as safe as :meth:`delete`: better write a value that stands for
            "nothing".

        Args:
            key: The key.
            fn: Gets the object's bytes, None for no object; returns the new ones, None to delete. What it
                raises comes through, and leaves the object alone.

        Returns:
            The new generation, ``NO_VALUE`` after a deletion.

        Raises:
            OutcomeUnknown: an answer was lost, and whether the write was done cannot be known.
            ServiceError: the store refuses to replace what it shows unchanged.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> for _ in range(3):
            ...     stamp = store.modify("counter", lambda old: b"%d" % (int(old or 0) + 1))
            >>> store["counter"]
            b'3'
        """
        name = key_text(key)
        full = check_key(self._path, name)
        clock = self._core.clock
        started = clock.monotonic()
        tries = contradictions = 0
        seen: StorageGeneration | None = None
        while True:
            found = self._run(read_if, name, full, WHOLE, None, None, since=started)
            generation = found.stamp.generation
            contradictions = contradictions + 1 if generation == seen else 0
            if contradictions > _MOST_CONTRADICTIONS:
                raise ServiceError(
                    f"the store refuses to replace the generation {generation!r}, which it shows unchanged",
                    operation="PutObject",
                    key=name,
                    attempts=tries,
                    elapsed=clock.monotonic() - started,
                )
            seen = generation
            value = fn(None if found.state == "missing" else found.value)
            if value is not None:
                outcome = self._put(key, value, generation, (), since=started, certain=True)
            elif found.state == "missing":
                return found.stamp
            else:
                outcome = self._delete(key, generation, since=started)
            if not isinstance(outcome, Refused):
                return outcome
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(tries, 10))
            self._run(pause, name, clock.draw() * longest, since=started)
            tries += 1


def demanded(outcome: TimestampedStorageGeneration | Refused) -> TimestampedStorageGeneration:
    """The stamp of a write that was done; ConditionFailed if it was refused."""
    if isinstance(outcome, Refused):
        raise outcome.error
    return outcome


def _told(outcome: TimestampedStorageGeneration | Refused) -> TimestampedStorageGeneration:
    """The stamp of a write, UNKNOWN if it was refused."""
    if isinstance(outcome, Refused):
        return TimestampedStorageGeneration(UNKNOWN, outcome.time)
    return outcome
