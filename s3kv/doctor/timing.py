"""The store's clock, and how fast it answers."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from ..timestamps import parse_http_date
from .permissions import Listed, ask_for_one_key
from .probe import NotTried, Probe
from .report import Check

# Seconds that the clocks may differ. S3 refuses what is signed 15 minutes off.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_WARN = 60.0
_REFUSED = 15 * 60.0

# So many requests tell the time that one takes, if none takes long.
_REQUESTS = 5
# Milliseconds from which that is long: the other side of the Earth is 300 away.
_SLOW = 1000.0


def look_at_clock(probe: Probe, listed: Listed) -> Check:
    """The difference between the store's clock and this machine's."""
    name = "clock"
    answer = listed.answer
    if answer is None:
        return Check(name, "warning", "not known: the store has not answered")
    date = parse_http_date(answer.response.headers.get("date"))
    if date is None:
        return Check(name, "ok", "not known: the store does not tell its time")
    # The date is cut to whole seconds, so half a second is what it lacks on average.
    offset = date.timestamp() + 0.5 - (answer.began + answer.ended) / 2
    seconds = abs(offset)
    if seconds < _WARN:
        return Check(name, "ok", f"as the store's, to within {max(1.0, seconds):.0f} s")
    amount = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} minutes"
    detail = f"{amount} {'behind' if offset > 0 else 'ahead of'} the store's"
    advice = "set this machine's clock; S3 refuses what is signed more than 15 minutes off"
    if seconds < _REFUSED or probe.anonymous:
        return Check(name, "warning", detail, advice)
    if listed.allowed:
        return Check(name, "warning", f"{detail}, for which s3kv makes up after a first refusal", advice)
    return Check(name, "failure", detail, advice)


def look_at_latency(probe: Probe, listed: Listed) -> Check:
    """How long a small request takes, on connections that are open."""
    name = "latency"

    def look() -> Check:
        if listed.answer is None:
            raise NotTried("there is no answer to a listing")
        times: list[float] = []
        for _ in range(_REQUESTS):
            began = perf_counter()
            try:
                answer = ask_for_one_key(probe)
            except NotTried:
                if not times:
                    raise
                break
            times.append((perf_counter() - began) * 1000)
            if listed.allowed and answer.response.status != 200:
                # It was a listing a moment ago.
                raise answer.error
            if times[-1] > _SLOW:
                break
        middle = median(times)
        detail = (
            f"{middle:.1f} ms for a listing of one key (median of {len(times)}, "
            f"{min(times):.1f} to {max(times):.1f} ms)"
        )
        if middle < _SLOW:
            return Check(name, "ok", detail)
        return Check(
            name,
            "warning",
            detail,
            "the store is far away or busy: work in its region, or on many keys at once (get_many)",
        )

    return probe.check(name, look, "s3:ListBucket")
