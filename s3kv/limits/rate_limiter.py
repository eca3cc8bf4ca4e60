"""How many requests a second: a token bucket whose rate may grow.

A request takes its place in the queue by reserving a token, possibly one that comes later, and then
waits until that token is there. So the places are given first come first served, nobody has to be
woken by anybody, and the rate is kept exactly, however late a waiting thread wakes.
"""

from __future__ import annotations

import math
import threading

from .. import forksafe

# Past so many doublings the rate is no limit any more, and the numbers would overflow.
_MAX_DOUBLINGS = 64.0
# Longer than anybody waits, in seconds.
_LONGEST = 1e15
_LN2 = math.log(2.0)


class RateLimiter:
    """Tokens for one kind of requests.

    The bucket is empty at first. It gains ``rate · 2^(t / doubling_time)`` tokens a second, ``t`` being
    the seconds since the first use, and holds at most what comes in 0.1 s, but at least one.

    Mutable state, guarded by ``_lock``: ``_start``, the time of the first use; ``_taken``, how many of
    all the tokens since then are reserved, used or were lost over the brim.

    Args:
        rate: Tokens a second at first; finite and positive.
        doubling_time: Seconds in which the rate doubles; 0 for a constant rate. Default 0.
    """

    def __init__(self, rate: float, doubling_time: float = 0.0) -> None:
        self.rate = rate
        self.doubling_time = doubling_time
        self._lock = threading.Lock()
        self._start: float | None = None
        self._taken = 0.0
        forksafe.register(self)

    def reserve(self, now: float, until: float = math.inf) -> float:
        """Reserve a token, and say how many seconds to wait for it; 0 for not at all.

        Args:
            now: Monotonic seconds.
            until: The time at which waiting ends; nothing is reserved that comes later. Default: any
                time will do.

        Returns:
            Seconds; infinity when the token would come too late, and none was reserved.
        """
        with self._lock:
            if self._start is None:
                self._start = now
            elapsed = now - self._start
            produced = self._produced(elapsed)
            # What the bucket cannot hold is lost.
            self._taken = max(self._taken, produced - self._capacity(elapsed))
            wanted = self._taken + 1.0
            wait = 0.0
            if wanted > produced:
                wait = min(max(0.0, self._time_of(wanted) - elapsed), _LONGEST)
                if now + wait >= until:
                    return math.inf
            self._taken = wanted
            return wait

    def give_back(self) -> None:
        """Return a reserved token that was not used: whoever comes next may have its place."""
        with self._lock:
            self._taken -= 1.0

    def within(self, seconds: float) -> float:
        """How many tokens come in so many seconds, at the least."""
        return self.rate * seconds

    def _capacity(self, elapsed: float) -> float:
        rate = self.rate
        if self.doubling_time:
            rate *= math.pow(2.0, min(elapsed / self.doubling_time, _MAX_DOUBLINGS))
        return max(1.0, 0.1 * rate)

    def _produced(self, elapsed: float) -> float:
        """Tokens that came in since the first use: the rate, integrated."""
        scale = self.doubling_time / _LN2
        if not scale:
            return self.rate * elapsed
        doublings = elapsed / self.doubling_time
        if doublings <= _MAX_DOUBLINGS:
            return self.rate * scale * math.expm1(doublings * _LN2)
        full = self.rate * scale * math.expm1(_MAX_DOUBLINGS * _LN2)
        late = (doublings - _MAX_DOUBLINGS) * self.doubling_time
        return full + self.rate * math.pow(2.0, _MAX_DOUBLINGS) * late

    def _time_of(self, tokens: float) -> float:
        """Seconds after the first use at which so many tokens have come in."""
        scale = self.doubling_time / _LN2
        if not scale:
            return tokens / self.rate
        return scale * math.log1p(tokens / (self.rate * scale))

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held, and whoever waited there."""
        self._lock = threading.Lock()
        self._start = None
        self._taken = 0.0

    def __repr__(self) -> str:
        doubling = f", doubling every {self.doubling_time:g} s" if self.doubling_time else ""
        return f"<RateLimiter {self.rate:g} a second{doubling}>"
