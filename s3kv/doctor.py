"""What works between a store's owner and the store, and what does not: tried, and told with what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from .core import Core
from .errors import S3KVError
from .etag import quoted
from .handle import Handle
from .messages import Pairs, Request
from .operations.ask import ask
from .operations.conditions import condition_headers, is_rgw
from .operations.listing import PageRequest, fetch_page, read_listing
from .spec.deciding import Deciding
from .values import StorageGeneration

Outcome = Literal["ok", "warning", "failure"]

# Nothing has this generation: no object's MD5 is known to be all zeros.
_OTHER = StorageGeneration('"00000000000000000000000000000000"')

_NOT_ATOMIC = (
    "s3kv then looks at the object first, so one writer is safe; but of two at the same moment both may "
    "win: do not let several writers change a key"
)


class Check(NamedTuple):
    """One thing that was looked at or tried.

    Attributes:
        name: What (str).
        outcome: ``"ok"``, ``"warning"`` or ``"failure"``.
        detail: What was found (str).
        advice: What to do about it (str; empty when nothing).
    """

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""


class Report(tuple[Check, ...]):
    """What :meth:`Store.doctor` found: a tuple of :class:`Check`, readable as text, JSON and HTML."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Nothing failed; there may be warnings."""
        return all(check.outcome != "failure" for check in self)

    def __getitem__(self, name: Any) -> Any:
        """The check of this name, or at this position."""
        if isinstance(name, str):
            for check in self:
                if check.name == name:
                    return check
            raise KeyError(name)
        return super().__getitem__(name)

    def to_json(self) -> list[dict[str, str]]:
        """The checks as JSON-like objects."""
        return [check._asdict() for check in self]

    def __str__(self) -> str:
        width = max((len(check.name) for check in self), default=0)
        lines = []
        for name, outcome, detail, advice in self:
            lines.append(f"{outcome:<7}  {name:<{width}}  {detail}")
            if advice:
                lines.append(f"{'':<7}  {'':<{width}}  -> {advice}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from .tables import table

        return table(Check._fields, self)


def examine(store: Handle, *, write: bool) -> Report:
    """Look at a store, and try what may be done with it.

    Args:
        write: Also write, under a key of its own, which is removed again.
    """
    found: list[Check] = []
    patient = _Patient(store)
    found.append(
        _try("list", patient.try_listing, "check the credentials, and that they may list the bucket")
    )
    core = patient.core
    place = core.endpoint
    if place is None:
        where, outcome = "not found out", "warning"
    else:
        where, outcome = f"{place.url}, signed for the region {place.region}", "ok"
    found.insert(0, Check("endpoint", outcome, where))  # type: ignore[arg-type]
    if not write:
        found.append(
            Check("write", "warning", "not tried", "doctor(write=True) tries it with a key of its own")
        )
        return Report(found)
    found += patient.try_writing()
    return Report(found)


class _Patient:
    """A store under examination, and a key of nobody's in it."""

    def __init__(self, store: Handle) -> None:
        self.store = store
        self.core: Core = store._core
        self.name = f".s3kv-doctor-{os.urandom(8).hex()}"
        self.key = store._path + self.name

    def try_listing(self) -> str:
        """Try to list."""
        fetched = self.store._run(fetch_page, None, PageRequest(self.store._path))
        return "works" if read_listing(self.core, fetched).keys else "works; nothing is there yet"

    def try_writing(self) -> list[Check]:
        """Try to write, with and without conditions, and remove what was written."""
        found = []
        try:
            found.append(_try("write", self._write, "check that the credentials may put objects"))
            if found[0].outcome == "ok":
                found.append(_try("read", self._read, "check that the credentials may get objects"))
                try:
                    self._try_conditions(found)
                except S3KVError as error:
                    found.append(Check("conditions", "failure", str(error), "try again"))
        finally:
            found.append(
                _try(
                    "delete",
                    self._delete,
                    f"remove {self.key!r} by hand; check that objects may be deleted",
                )
            )
        return found

    def _write(self) -> str:
        self._put(b"s3kv")
        return "works"

    def _read(self) -> str:
        status, _, body = self._ask("GetObject", "GET")
        if status != 200 or body != b"s3kv":
            raise S3KVError(f"what was written is answered with status {status}, {len(body)} bytes")
        return "works"

    def _delete(self) -> str:
        status, _, _ = self._ask("DeleteObject", "DELETE")
        if status not in (200, 202, 204, 404):
            raise S3KVError(f"answered with status {status}")
        return "works"

    def _try_conditions(self, found: list[Check]) -> None:
        """Ask for things that a store which honours conditions must refuse."""
        etag = self._put(b"s3kv")
        absent = condition_headers(StorageGeneration.NO_VALUE)
        other = condition_headers(_OTHER)
        for name, operation, method, told, body in (
            ("put if_absent", "PutObject", "PUT", absent, b"if-none-match"),
            ("put if_equal", "PutObject", "PUT", other, b"if-match"),
            ("read if_equal", "GetObject", "GET", other, b""),
            ("read if_not_equal", "GetObject", "GET", (("if-none-match", etag),), b""),
            ("delete if_equal", "DeleteObject", "DELETE", other, b""),
        ):
            found.append(self._try_condition(name, operation, method, told, body))
            if found[-1].outcome != "ok":
                # It may have been carried out.
                etag = self._put(b"s3kv")
        found.append(_try("put if_equal that holds", lambda: self._match(etag), self._not_atomic))

    def _try_condition(self, name: str, operation: str, method: str, told: Pairs, body: bytes) -> Check:
        header = told[0][0]
        try:
            status, _, _ = self._ask(operation, method, told, body)
        except S3KVError as error:
            return Check(name, "failure", str(error), f"find out what the store has against {header}")
        if status in (304, 409, 412):
            return Check(name, "ok", f"the store honours {header} ({status})")
        if status < 300:
            advice = self._not_atomic if method != "GET" else "s3kv compares the generations itself"
            return Check(name, "warning", f"the store ignores {header} ({status})", advice)
        advice = f"open it with use_conditional_write=False: {header} is not sent then, and {_NOT_ATOMIC}"
        if method == "GET":
            advice = "do without this condition"
        return Check(name, "failure", f"the store refuses {header} with status {status}", advice)

    @property
    def _not_atomic(self) -> str:
        """What to do about a store that does not decide on conditions."""
        trusted = self.core.deciding is Deciding.HEADERS
        return f"open it without use_conditional_write: {_NOT_ATOMIC}" if trusted else _NOT_ATOMIC

    def _match(self, etag: str) -> str:
        generation = StorageGeneration(etag)
        told = condition_headers(generation, rgw=self.core.memory.rgw)
        status, _, _ = self._ask("PutObject", "PUT", told, b"again")
        if status not in (200, 201, 204):
            raise S3KVError(f"the store refuses a condition that holds, with status {status}")
        return "works"

    def _put(self, value: bytes) -> str:
        status, etag, _ = self._ask("PutObject", "PUT", (), value)
        if status not in (200, 201, 204):
            raise S3KVError(f"answered with status {status}")
        return etag

    def _ask(
        self, operation: str, method: str, headers: Pairs = (), body: bytes = b""
    ) -> tuple[int, str, bytes]:
        """Status, ETag and body of the answer to one request about the key."""
        digest = self.core.copies.sha256(body)
        request = Request(operation, method, self.key, (), headers, body, digest)
        response = self.store._run(ask, self.name, request)
        if is_rgw(response):
            self.core.memory.rgw = True
        return response.status, quoted(response.headers.get("etag", "")), response.body


def _try(name: str, attempt: Callable[[], str], advice: str) -> Check:
    """What came of an attempt; a failure is a finding like any other."""
    try:
        return Check(name, "ok", attempt())
    except S3KVError as error:
        return Check(name, "failure", str(error), advice)
