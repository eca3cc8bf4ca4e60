"""Whether the store honours the conditions of requests: asked for things that it must then refuse."""

from __future__ import annotations

from typing import NamedTuple

from ..etag import quoted
from ..messages import Pairs
from ..operations.conditions import condition_headers
from ..spec.deciding import Deciding
from ..values import StorageGeneration
from .permissions import put
from .probe import Probe
from .report import Check

SUMMARY = "conditional writes"

# Nothing has this generation: no object's MD5 is known to be all zeros.
_OTHER = StorageGeneration('"00000000000000000000000000000000"')

_NOT_ATOMIC = (
    "s3kv then looks at the object first, so one writer is safe; but of two at the same moment both may "
    "win: do not let several writers change a key"
)
_USE_THE_HEADERS = (
    "leave use_conditional_write out, unless the store refuses conditions (doctor(write=True) tells)"
)
_DECIDED = {
    Deciding.HEADERS: "the store alone decides",
    Deciding.BOTH: "the object is looked at first, then the store decides",
    Deciding.LOOK: "a look at the object alone decides (use_conditional_write=False), which is not atomic",
}


class _Question(NamedTuple):
    """A request that a store which honours its condition refuses.

    Attributes:
        name: What it is called in the report.
        operation: S3's name of it.
        method: The HTTP method.
        condition: The header.
        body: What to write.
    """

    name: str
    operation: str
    method: str
    condition: Pairs
    body: bytes = b""


def expect_conditions(probe: Probe, advice: str) -> Check:
    """What is known of conditional writes without trying them.

    Args:
        advice: What to do to know more.
    """
    deciding = probe.core.deciding
    how = _DECIDED[deciding]
    if deciding is Deciding.LOOK:
        return Check(SUMMARY, "warning", how, _USE_THE_HEADERS)
    if deciding is Deciding.HEADERS and probe.core._place.aws:
        return Check(SUMMARY, "ok", f"{how}, as Amazon S3 does")
    return Check(SUMMARY, "warning", f"{how}; whether it can was not tried", advice)


def try_conditions(probe: Probe) -> list[Check]:
    """Try the conditions on the doctor's own key, which is there; the first check sums them up."""
    found: list[Check] = []
    ended = probe.check("conditions", lambda: _ask_all(probe, found), "s3:PutObject")
    if ended.outcome != "ok":
        found.append(ended)
    return [_sum_up(probe, found), *found]


def _ask_all(probe: Probe, found: list[Check]) -> Check:
    etag = quoted(put(probe, b"s3kv"))
    absent, other = condition_headers(StorageGeneration.NO_VALUE), condition_headers(_OTHER)
    for question in (
        _Question("put if_absent", "PutObject", "PUT", absent, b"if-none-match"),
        _Question("put if_equal", "PutObject", "PUT", other, b"if-match"),
        _Question("read if_equal", "GetObject", "GET", other),
        _Question("read if_not_equal", "GetObject", "GET", (("if-none-match", etag),)),
        _Question("delete if_equal", "DeleteObject", "DELETE", other),
    ):
        check = probe.check(question.name, lambda question=question: _ask(probe, question))  # type: ignore[misc]
        found.append(check)
        if check.outcome != "ok":
            # It may have been carried out.
            etag = quoted(put(probe, b"s3kv"))
    found.append(probe.check("put if_equal that holds", lambda: _match(probe, etag), "s3:PutObject"))
    return Check("conditions", "ok", "")


def _ask(probe: Probe, question: _Question) -> Check:
    name, operation, method, condition, body = question
    header = condition[0][0]
    status = probe.ask(operation, method, probe.key, headers=condition, body=body).response.status
    if status in (304, 409, 412):
        return Check(name, "ok", f"the store honours {header} ({status})")
    if status < 300:
        advice = _not_atomic(probe) if method != "GET" else "s3kv compares the generations itself"
        return Check(name, "warning", f"the store ignores {header} ({status})", advice)
    advice = f"open it with use_conditional_write=False: {header} is not sent then, and {_NOT_ATOMIC}"
    if method == "GET":
        advice = "do without this condition"
    return Check(name, "failure", f"the store refuses {header} with status {status}", advice)


def _match(probe: Probe, etag: str) -> Check:
    name = "put if_equal that holds"
    condition = condition_headers(StorageGeneration(etag), rgw=probe.core.memory.rgw)
    answer = probe.ask("PutObject", "PUT", probe.key, headers=condition, body=b"again")
    status = answer.response.status
    if status in (200, 201, 204):
        return Check(name, "ok", "works")
    detail = f"the store refuses a condition that holds, with status {status}"
    return Check(name, "failure", detail, _not_atomic(probe))


def _sum_up(probe: Probe, found: list[Check]) -> Check:
    """What follows for those who write."""
    by_name = {check.name: check for check in found}
    deciding = probe.core.deciding
    how = _DECIDED[deciding]
    outcomes = {
        by_name[name].outcome if name in by_name else "unknown"
        for name in ("put if_absent", "put if_equal", "put if_equal that holds")
    }
    if not outcomes <= {"ok", "warning", "failure"} or "conditions" in by_name:
        return Check(SUMMARY, "warning", f"{how}; whether it can could not be tried", "see the line below")
    if outcomes != {"ok"}:
        return Check(
            SUMMARY, "warning", f"{how}, but does not honour the conditions: not atomic", _not_atomic(probe)
        )
    if deciding is Deciding.LOOK:
        return Check(
            SUMMARY, "warning", f"{how}; the store itself honours the conditions", _USE_THE_HEADERS
        )
    advice = ""
    if deciding is Deciding.BOTH:
        advice = "use_conditional_write=True leaves the look out, and a request with it"
    return Check(SUMMARY, "ok", f"{how}, and it honours the conditions", advice)


def _not_atomic(probe: Probe) -> str:
    """What to do about a store that does not decide on conditions."""
    trusted = probe.core.deciding is Deciding.HEADERS
    return f"open it without use_conditional_write: {_NOT_ATOMIC}" if trusted else _NOT_ATOMIC
