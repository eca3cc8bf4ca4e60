"""Credentials that are fetched once for everybody, and renewed ahead of their expiry by one thread."""

from __future__ import annotations

import math
import threading
from typing import Any, Protocol

from .. import forksafe
from ..clock import Clock
from ..errors import CredentialsError
from .messages import failure_of
from .value import ANONYMOUS, Credentials

# botocore's windows: from 15 minutes before the expiry credentials should be renewed, and everybody goes
# on with the old ones meanwhile; from 10 minutes before, nobody does.
ADVISORY_SECONDS = 15 * 60
MANDATORY_SECONDS = 10 * 60

# How often the clock is compared with the expiry, in seconds.
_LOOK_EVERY = 1.0
# Seconds to wait after a renewal that gave nothing better; a provider that is down is not hammered.
_AGAIN_AFTER = 30.0


class Provider(Protocol):
    """Where credentials come from, over botocore.

    Attributes:
        what: What it is, for messages: ``"profile 'x'"``.
    """

    what: str

    def load(self) -> Any:
        """botocore's credentials object; None when the provider has nothing, which is then remembered.

        Raises:
            Exception: whatever botocore raises.
        """

    def reload(self, holder: Any) -> Any:
        """Another credentials object than ``holder``, whose credentials the store refused."""


class _Held:
    """Credentials in use.

    Written by the thread that fetched them; ``look_at`` also by whoever looks at the expiry.

    Attributes:
        credentials: What requests are signed with.
        holder: botocore's object that they are from, which can renew them; None where there is none.
        look_at: Monotonic time at which the expiry is to be looked at again; infinity for never.
        renew_from: Monotonic time before which no renewal is tried.
    """

    __slots__ = ("credentials", "holder", "look_at", "renew_from")

    def __init__(self, credentials: Credentials, holder: Any, look_at: float, renew_from: float) -> None:
        self.credentials = credentials
        self.holder = holder
        self.look_at = look_at
        self.renew_from = renew_from


class _Fetch:
    """A fetch under way, which any number of threads wait for.

    Attributes:
        done: Set when it is over.
        credentials: What it gave.
        error: Why it gave nothing.
    """

    __slots__ = ("credentials", "done", "error")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.credentials: Credentials | None = None
        self.error: CredentialsError | None = None


class CachedSource:
    """The credentials of one provider, for any number of threads.

    Mutable state: ``_held``, replaced as a whole and read by every request without the lock; ``_fetch``,
    the fetch under way, and ``_refused``, the object that gave credentials which the store refused, both
    guarded by ``_lock``. Fetching happens outside the lock.

    Args:
        provider: Where they come from.
        clock: Tells the monotonic time.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.provider = provider
        self._monotonic = clock.monotonic
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._fetch: _Fetch | None = None
        self._refused: Any = None
        forksafe.register(self)

    def peek(self) -> Credentials | None:
        held = self._held
        if held is None:
            return None
        if held.look_at == math.inf or self._monotonic() < held.look_at:
            return held.credentials
        return self._due(held)

    def _due(self, held: _Held) -> Credentials | None:
        """The credentials as long as they need not be renewed, or somebody else is at it."""
        now = self._monotonic()
        if now < held.renew_from or not held.holder.refresh_needed(ADVISORY_SECONDS):
            held.look_at = now + _LOOK_EVERY
            return held.credentials
        if self._fetch is not None and not held.holder.refresh_needed(MANDATORY_SECONDS):
            return held.credentials
        return None

    def fetch(self) -> Credentials:
        with self._lock:
            held = self._held
            if held is not None:
                current = self.peek()
                if current is not None:
                    return current
            fetch = self._fetch
            first = fetch is None
            if fetch is None:
                fetch = self._fetch = _Fetch()
            refused, self._refused = self._refused, None
        if first:
            self._carry_out(fetch, held, refused)
        else:
            fetch.done.wait()
        if fetch.credentials is not None:
            return fetch.credentials
        assert fetch.error is not None
        # Each waiter gets an error of its own, to which its request's facts are added.
        raise CredentialsError(fetch.error.message) from fetch.error.__cause__

    def _carry_out(self, fetch: _Fetch, held: _Held | None, refused: Any) -> None:
        result: _Held | None = None
        try:
            result = self._obtain(held, refused)
            fetch.credentials = result.credentials
        except CredentialsError as error:
            fetch.error = error
        except Exception as error:
            fetch.error = failure_of(self.provider.what, error)
        finally:
            if fetch.credentials is None and fetch.error is None:
                fetch.error = CredentialsError(f"{self.provider.what}: the fetch was interrupted")
            with self._lock:
                if self._fetch is fetch:
                    self._fetch = None
                    if result is not None:
                        self._held = result
                    elif refused is not None:
                        self._refused = refused
            fetch.done.set()

    def _obtain(self, held: _Held | None, refused: Any) -> _Held:
        """New credentials, from the object that has them already if there is one."""
        if refused is not None:
            holder = self.provider.reload(refused)
        elif held is not None:
            holder = held.holder
        else:
            holder = self.provider.load()
        if holder is None:
            return _Held(ANONYMOUS, None, math.inf, 0.0)
        # Renews them first, where that is due.
        frozen = holder.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise CredentialsError(f"{self.provider.what} gave credentials without a key")
        credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)
        if not hasattr(holder, "refresh_needed"):
            return _Held(credentials, holder, math.inf, 0.0)
        now = self._monotonic()
        renew_from = now + _AGAIN_AFTER if holder.refresh_needed(ADVISORY_SECONDS) else 0.0
        return _Held(credentials, holder, now + _LOOK_EVERY, renew_from)

    def reject(self, credentials: Credentials) -> bool:
        with self._lock:
            held = self._held
            if held is not None and held.credentials == credentials:
                self._refused = held.holder
                self._held = None
        return True

    def after_fork(self) -> None:
        """Forget the parent's fetch, whose thread may have held botocore's lock too."""
        self._lock = threading.Lock()
        fetching, self._fetch = self._fetch, None
        if fetching is not None and self._held is not None and hasattr(self._held.holder, "_refresh_lock"):
            self._held.holder._refresh_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<credentials from {self.provider.what}>"
