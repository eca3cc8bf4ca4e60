"""The rate limits of a store: one for reads, one for writes."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import SpecError
from ..spec import resources
from ..spec.durations import parse_duration
from .rate_limiter import RateLimiter

DOUBLING_VARIABLE = "TENSORSTORE_S3_RATE_LIMITER_DOUBLING_TIME"


class Rates:
    """The limiters that a spec describes.

    Args:
        spec: The rates.
        environ: Where the doubling time is looked up that the spec leaves open, if there is a rate.

    Attributes:
        reads: For reads, stats and listings; None for no limit.
        writes: For writes and deletions; None for no limit.

    Raises:
        SpecError: the environment's doubling time is no duration.
    """

    def __init__(self, spec: resources.RateLimiter, environ: Mapping[str, str]) -> None:
        doubling = spec.doubling_time
        if doubling is None and (spec.read_rate or spec.write_rate):
            doubling = parse_doubling_time(environ)
        seconds = (doubling or 0) / 1e9
        self.reads = RateLimiter(spec.read_rate, seconds) if spec.read_rate else None
        self.writes = RateLimiter(spec.write_rate, seconds) if spec.write_rate else None


def parse_doubling_time(environ: Mapping[str, str]) -> int:
    """Nanoseconds of the doubling time that the environment asks for; 0 when it does not.

    Raises:
        SpecError: neither a number of seconds nor a duration.
    """
    text = environ.get(DOUBLING_VARIABLE, "").strip()
    if not text:
        return 0
    # A number alone is seconds.
    number = text.replace(".", "", 1)
    try:
        return parse_duration(
            f"{text}s" if number.isascii() and number.isdigit() else text, DOUBLING_VARIABLE
        )
    except SpecError:
        raise SpecError(
            f"{DOUBLING_VARIABLE} is {text[:40]!r}: allowed is a number of seconds or a duration such as "
            "'1m30s'",
            member=DOUBLING_VARIABLE,
        ) from None
