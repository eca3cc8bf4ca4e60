"""An object that is sent in parts as they come, and becomes visible when it is complete, or never."""

from __future__ import annotations

import atexit
import os
import weakref
from collections import deque
from itertools import pairwise
from time import monotonic
from typing import Any

from ..executor import GRACE, LISTEN, overdue
from ..keys import check_key
from ..messages import Body, Pairs
from ..operations.begin_upload import Begun, begin_upload
from ..operations.conditional_write import Refused
from ..operations.conditions import WRITE_ID_HEADER, new_write_id
from ..operations.copy import part_headers
from ..operations.multipart import (
    MAX_PARTS,
    abort_upload,
    complete_upload,
    copy_part,
    upload_part,
)
from ..parts import IN_FLIGHT, begun_or_forgotten, forget_lost_ones
from ..pipeline.operation import Operation
from ..single import demanded
from ..store import Store
from ..values import StorageGeneration, TimestampedStorageGeneration
from ..weak import living

# Seconds that a part may take if the store has no timeout.
_FOREVER = 1e9
# Seconds that the store has to forget an upload: when nobody waits for that, and otherwise.
_ABORT_SOON = 2.0
_ABORT = 10.0
# How much of an object the store copies as one part.
_COPIED_BYTES = 512 * 1024**2


# The uploads that somebody still has; changed by single steps of the interpreter.
_begun: weakref.WeakSet[Upload] = weakref.WeakSet()


class Upload:
    """Parts on their way, ten at a time, each with the store's timeout. Belongs to one thread.

    Mutable state: ``_under_way``, the parts that have not arrived yet, in order; ``_etags``, those of the
    parts before them; ``_over``, whether the upload was completed or aborted.

    Args:
        store: Where to.
        key: Under which key.
        headers: What the object is to be stored with.

    Raises:
        S3KVError: the store refused, or did not answer.
    """

    def __init__(self, store: Store, key: str, headers: Pairs) -> None:
        self._store = store
        self._key = key
        self._full = check_key(store.path, key)
        self._write_id = new_write_id()
        self._under_way: deque[Operation] = deque()
        self._etags: list[str] = []
        self._over = False
        self._process = os.getpid()
        told = (*headers, (WRITE_ID_HEADER, self._write_id))
        with begun_or_forgotten(store._core, key, self._full) as beginning:
            self._started: Begun = self._run(begin_upload, told, beginning)
        self._upload = self._started.upload
        _begun.add(self)

    @property
    def over(self) -> bool:
        """The upload was completed or aborted."""
        return self._over

    @property
    def next_number(self) -> int:
        """The number of the part that comes next, from 1."""
        return len(self._etags) + len(self._under_way) + 1

    def send(self, part: Body) -> None:
        """Begin to send the next part, which must not change any more; wait as long as ten are under way.

        Raises:
            ValueError: there are too many parts.
            S3KVError: one of those that were under way has failed.
        """
        digest = self._store._digest(self._key, part, monotonic())
        self._begin(upload_part, part, digest)

    def copy(self, source: str, etag: str, size: int) -> None:
        """Have the store copy the next parts from an object in the same bucket; see :meth:`send`.

        Args:
            source: The full key.
            etag: Its version.
            size: How many bytes it has, at least 5 MiB.
        """
        # No part but the object's last may be short.
        count = max(1, size // _COPIED_BYTES)
        limits = [number * size // count for number in range(count + 1)]
        for first, end in pairwise(limits):
            bucket = self._store.bucket
            self._begin(copy_part, part_headers(self._store._core, bucket, source, etag, first, end))

    def complete(self, condition: StorageGeneration | None) -> TimestampedStorageGeneration:
        """Wait for all parts, and make the object of them.

        Args:
            condition: The generation that there must be; None for any.

        Raises:
            ConditionFailed: there is another one; nothing was written.
            OutcomeUnknown: an answer was lost, and whether the object was written cannot be known.
            S3KVError: a part has failed, or the store refused, or did not answer.
        """
        while self._under_way:
            self._wait_for_the_first()
        self._forget_lost_ones(_ABORT_SOON)
        outcome: TimestampedStorageGeneration | Refused = self._run(
            complete_upload, self._upload, self._etags, condition, self._write_id
        )
        stamp = demanded(outcome)
        self._over = True
        return stamp

    def abort(self, *, wait: bool = True) -> None:
        """Stop the parts that are under way, and have the store forget the others.

        Nothing happens if the upload is over already, or if this is a forked child of its process.

        Args:
            wait: Wait until the store has. Default True.
        """
        task = self._begin_to_abort(_ABORT if wait else _ABORT_SOON)
        if task is not None and wait:
            task.done.acquire(timeout=_ABORT)

    def _begin_to_abort(self, patience: float) -> Operation | None:
        if self._over or self._process != os.getpid():
            return None
        self._over = True
        for part in self._under_way:
            part.call.cancel()
        self._forget_lost_ones(0)
        return self._store._core.aside(abort_upload, self._key, patience, self._full, self._upload)

    def _forget_lost_ones(self, patience: float) -> None:
        if self._started.lost:
            forget_lost_ones(self._store._core, self._key, self._full, self._started, patience)

    def _begin(self, operation: Any, *arguments: Any) -> None:
        number = self.next_number
        if number > MAX_PARTS:
            raise ValueError(f"the file is too long: it has more than {MAX_PARTS:,} parts")
        while len(self._under_way) >= IN_FLIGHT:
            self._wait_for_the_first()
        self._store._check_open(self._key)
        core = self._store._core
        timeout = self._store._timeout or _FOREVER
        part = core.aside(operation, self._key, timeout, self._full, self._upload, number, *arguments)
        self._under_way.append(part)

    def _wait_for_the_first(self) -> None:
        part = self._under_way[0]
        while not part.done.acquire(timeout=LISTEN):
            self._store._check_open(self._key)
            deadline = part.call.deadline
            if deadline is not None and monotonic() > deadline + GRACE:
                part.call.cancel()
                raise overdue(part.call)
        self._under_way.popleft()
        if part.error is not None:
            raise part.error
        self._etags.append(part.result)

    def _run(self, operation: Any, *arguments: Any) -> Any:
        return self._store._run(operation, self._key, self._full, *arguments)


@atexit.register
def _abort_what_is_left() -> None:
    """Have the stores forget, before the interpreter ends, what nobody has completed."""
    tasks = [upload._begin_to_abort(_ABORT_SOON) for upload in living(_begun)]
    until = monotonic() + _ABORT_SOON
    for task in tasks:
        if task is not None:
            task.done.acquire(timeout=max(0.0, until - monotonic()))
