"""Time and chance, injected so that tests need neither patching nor waiting."""

from __future__ import annotations

import random
import time as _time
from collections.abc import Callable


class Clock:
    """The real clock; each method is the C function itself, for they are called for every request."""

    __slots__ = ()

    #: Seconds since the epoch.
    time: Callable[[], float] = staticmethod(_time.time)
    #: Seconds that only ever go forward.
    monotonic: Callable[[], float] = staticmethod(_time.monotonic)
    #: A random number from 0 to 1.
    draw: Callable[[], float] = staticmethod(random.random)
