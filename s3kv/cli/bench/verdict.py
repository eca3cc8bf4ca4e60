"""What limits a store's speed, judged by what was measured."""

from __future__ import annotations

from typing import NamedTuple

from .results import Result

# From these shares on, something is taken for what limits the rest.
_BUSY = 0.8
_FULL = 0.6
_REFUSED = 0.01
# So many times longer than alone a request must take for the store to be what is slow.
_SLOWER = 3.0


class Verdict(NamedTuple):
    """What limits small reads.

    Attributes:
        limit: ``"throttling"``, ``"cpu"``, ``"bandwidth"``, ``"store"`` or ``"latency"``.
        text: The same in a sentence, and what to do about it.
    """

    limit: str
    text: str


def judge(result: Result) -> Verdict:
    """What limits small reads, as far as that can be told from here."""
    get, limit = result.get, result.concurrency
    retries = result.put.retries + get.retries
    alone = result.get_latency.percentile(50)
    loaded = get.latency or alone
    if result.reached < limit or retries > _REFUSED * (result.put.done + get.done):
        return Verdict(
            "throttling",
            f"The store throttles: {retries:,} attempts had to be made again, and {result.reached} of "
            f"{limit} requests are in flight at a time now. Spread keys over more prefixes, ask for a "
            "higher limit, or set experimental_s3_rate_limiter to what it takes.",
        )
    if get.cpu_share >= _BUSY:
        return Verdict(
            "cpu",
            f"This process's computing: it kept a processor {get.cpu_share:.0%} busy. Several processes do "
            "more, and larger objects cost less for each byte.",
        )
    if get.bytes_per_second >= _FULL * result.large.get_rate:
        return Verdict(
            "bandwidth",
            f"Bandwidth: small objects came at {get.bytes_per_second / 1e6:,.1f} MB/s, a large one at "
            f"{result.large.get_rate / 1e6:,.1f} MB/s. More at once would not help.",
        )
    if limit > 1 and loaded >= _SLOWER * alone:
        return Verdict(
            "store",
            f"The store, or the way to it: a read takes {alone * 1e3:,.1f} ms alone and "
            f"{loaded * 1e3:,.1f} ms while {limit} are in flight. More at once would not help.",
        )
    return Verdict(
        "latency",
        f"Latency: with {limit} in flight that take {loaded * 1e3:,.1f} ms each, more than "
        f"{limit / loaded:,.0f} a second are not possible. More at once would help: --concurrency "
        f"{2 * limit}, or TENSORSTORE_S3_REQUEST_CONCURRENCY.",
    )
