"""How a value gets under a key: in one request or in parts, always or under a condition."""

from __future__ import annotations

from functools import partial
from typing import Any

from .errors import DeadlineExceeded
from .handle import Handle
from .keys import check_key, key_text
from .messages import Body, Pairs
from .operations.conditional_write import Refused, delete_if, put_if
from .operations.delete import delete_object
from .operations.multipart import upload_part
from .operations.write import MAX_PUT_BYTES, put_object
from .parts import Parts, Target, write_in_parts
from .payload import LARGE_VALUE, Source, cut, open_value
from .spec.deciding import Deciding
from .values import StorageGeneration, TimestampedStorageGeneration

Outcome = TimestampedStorageGeneration | Refused


class Writing(Handle):
    """What the writing methods of a store have in common."""

    __slots__ = ()

    def _put(
        self,
        key: str | bytes,
        value: Any,
        condition: StorageGeneration | None,
        headers: Pairs,
        *,
        since: float | None = None,
        certain: bool = False,
    ) -> Outcome:
        """Write a value.

        Args:
            condition: The generation that the object must have; None for any.
            headers: What the object is to be stored with.
            since: Monotonic time from which the store's timeout counts; default: now.
            certain: As for ``write_if``.
        """
        return self._put_opened(
            key_text(key), open_value(value), condition, headers, since=since, certain=certain
        )

    def _put_opened(
        self,
        name: str,
        opened: Body | Source,
        condition: StorageGeneration | None = None,
        headers: Pairs = (),
        *,
        since: float | None = None,
        certain: bool = False,
    ) -> Outcome:
        full = check_key(self._path, name)
        started = self._core.clock.monotonic() if since is None else since
        body = opened.whole if isinstance(opened, Source) else opened
        if body is not None and len(body) <= self._most_at_once(condition):
            if isinstance(opened, Source):
                opened.check()
            digest = self._digest(name, body, started)
            if condition is None:
                return self._run(
                    put_object,
                    name,
                    full,
                    body,
                    digest,
                    headers,
                    since=started,
                    express=None if headers else self._core.puts,
                    asked=(full, body, digest, 0),
                )
            return self._run(put_if, name, full, body, digest, headers, condition, certain, since=started)
        self._check_open(name)
        parts: Parts = Parts(
            opened.parts if isinstance(opened, Source) else partial(cut, opened),
            upload_part,
            lambda part: (part, self._digest(name, part, started)),
            not isinstance(opened, Source) or opened.repeatable,
            not isinstance(opened, Source) or opened.at_hand,
            opened.check if isinstance(opened, Source) else _nothing_to_check,
        )
        target = Target(self._core, name, full, self._timeout, started)
        return write_in_parts(target, parts, headers, condition, certain=certain)

    def _most_at_once(self, condition: StorageGeneration | None) -> int:
        """The longest value that is written in one request.

        More stores honour the condition of a PUT than that of an upload's completion.
        """
        if condition is None or self._core.deciding is Deciding.HEADERS:
            return LARGE_VALUE
        return MAX_PUT_BYTES

    def _digest(self, name: str, body: Body, started: float) -> str:
        """SHA-256, computed here and not on the executor, whose threads are for requests."""
        clock, left = self._core.clock, self._timeout
        if left is not None:
            left = max(0.0, started + left - clock.monotonic())
        try:
            return self._core.copies.sha256(body, left)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "the store's timeout passed while the put waited for its turn to be hashed",
                operation="PutObject",
                key=name,
                attempts=0,
                elapsed=clock.monotonic() - started,
            ) from error

    def _delete(
        self, key: str | bytes, condition: StorageGeneration | None, *, since: float | None = None
    ) -> Outcome:
        """Delete an object; see :meth:`_put`."""
        name = key_text(key)
        full = check_key(self._path, name)
        if condition is None:
            return self._run(delete_object, name, full, since=since)
        return self._run(delete_if, name, full, condition, since=since)


def _nothing_to_check() -> None:
    """Bytes in memory are as they are."""
