"""What a store does with an object and its copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from .errors import Changed, ConditionFailed, KeyNotFound, MalformedResponse
from .etag import quoted
from .handle import Handle
from .keys import check_key, key_text
from .messages import Pairs
from .operations.conditional_write import Refused
from .operations.conditions import NO_VALUE
from .operations.copy import MAX_COPY_BYTES, copy_object, part_headers, stored_with
from .operations.multipart import MAX_PARTS, copy_part
from .operations.stat import Missing, head_object
from .parts import Parts, Target, write_in_parts
from .values import StorageGeneration, TimestampedStorageGeneration

# Nothing passes through this process, so parts may be large; but each must be copied within the time
# that a server may stay silent.
_PART_BYTES = 512 * 1024**2
# So often is a copy begun again because its source was replaced.
_MOST_CHANGES = 8


class Copies(Handle):
    """The methods of a store that copy objects on the server."""

    __slots__ = ()

    def copy(
        self, src: str | bytes, dst: str | bytes, *, if_absent: bool = False
    ) -> TimestampedStorageGeneration:
        """Have the store copy an object, with its content type and metadata; no bytes pass through here.

        An object of more than 5 GiB is copied in parts, ten at a time; its tags are not copied then. A copy
        onto itself changes nothing.

        Args:
            src: The key of what to copy.
            dst: The key of the copy.
            if_absent: Copy only if no object has the key ``dst``. Default False: replace what is there.

        Returns:
            The copy's generation, and the time before the request was sent.

        Raises:
            KeyNotFound: no object has the key ``src``.
            ConditionFailed: there is an object with the key ``dst``; nothing was copied.
            OutcomeUnknown: an answer was lost, and whether the copy was made cannot be known.
            Changed: the source was replaced again and again while it was copied.
            SpecError: the endpoint names the bucket, but not so that its name can be told.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamp = store.put("run-1/model", b"weights", metadata={"run": "1"})
            >>> stamp = store.copy("run-1/model", "best/model")
            >>> store.stat("best/model").metadata
            {'run': '1'}
        """
        return self._copy_from(self, src, dst, if_absent=if_absent)

    def _copy_from(
        self, origin: Handle, src: str | bytes, dst: str | bytes, *, if_absent: bool = False
    ) -> TimestampedStorageGeneration:
        """As :meth:`copy`, from a store at the same endpoint, which these credentials may read."""
        source_name = key_text(src)
        source = check_key(origin._path, source_name)
        name = key_text(dst)
        full = check_key(self._path, name)
        clock = self._core.clock
        started = clock.monotonic()
        target = Target(self._core, name, full, self._timeout, started)
        condition = NO_VALUE if if_absent else None
        refused: ConditionFailed | None = None
        seen = ""
        for _ in range(_MOST_CHANGES):
            time = clock.time()
            headers = origin._run(head_object, source_name, source, since=started)
            if isinstance(headers, Missing):
                raise headers.error
            etag = quoted(headers.get("etag", ""))
            if refused is not None and etag == seen:
                # So it was not the source that the store objected to.
                raise refused
            if source == full and origin.bucket == self.bucket:
                if if_absent:
                    raise ConditionFailed(
                        "an object with this key exists already", operation="CopyObject", key=name
                    )
                return TimestampedStorageGeneration(StorageGeneration(etag), time)
            seen = etag
            try:
                outcome = self._copy(target, origin, source_name, source, headers, etag, condition)
            except ConditionFailed as error:
                outcome = Refused(error, time)
            except KeyNotFound as error:
                # It is the source that is gone by now.
                error.key = source_name
                raise
            if not isinstance(outcome, Refused):
                return outcome
            refused = outcome.error
            if refused.status is None:
                # Found out by a look at the destination.
                raise refused
        raise Changed(
            "the object was replaced again and again while it was copied",
            operation="CopyObject",
            key=source_name,
            elapsed=clock.monotonic() - started,
        ) from refused

    def _copy(
        self,
        target: Target,
        origin: Handle,
        source_name: str,
        source: str,
        headers: Mapping[str, str],
        etag: str,
        condition: StorageGeneration | None,
    ) -> TimestampedStorageGeneration | Refused:
        core = self._core
        bucket = origin.bucket
        length = headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() else 0
        if size <= MAX_COPY_BYTES:
            found: TimestampedStorageGeneration | Refused = target.run(
                copy_object, bucket, source, headers, etag, condition
            )
            return found
        if not etag:
            raise MalformedResponse(
                "the store tells no ETag of the object, so parts of two versions could not be told apart",
                operation="HeadObject",
                key=source_name,
            )

        def arguments(part: tuple[int, int]) -> tuple[Pairs]:
            return (part_headers(core, bucket, source, etag, *part),)

        def check() -> None:
            # Some stores copy parts of whatever version there is.
            now = origin._run(head_object, source_name, source, since=target.started)
            if isinstance(now, Missing) or quoted(now.get("etag", "")) != etag:
                raise ConditionFailed(
                    "the source was replaced while it was copied",
                    operation="UploadPartCopy",
                    key=source_name,
                    status=412,
                )

        parts = Parts(partial(_cut, size), copy_part, arguments, check=check)
        return write_in_parts(target, parts, stored_with(headers), condition)


def _cut(size: int) -> Iterator[tuple[int, int]]:
    """The parts of an object, as (first byte, one past the last)."""
    step = max(_PART_BYTES, -(-size // MAX_PARTS))
    for first in range(0, size, step):
        yield first, min(first + step, size)
