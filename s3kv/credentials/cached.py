"""Credentials that are fetched once for everybody, and renewed ahead of their expiry by one thread."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import Any, Protocol

from .. import forksafe
from ..clock import Clock
from ..errors import CredentialsError
from ..pending import Pending
from ..signals import start
from .messages import checked, failure_of
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
        asks: What it loads was fetched just then, so there are none that last longer.
    """

    what: str
    asks: bool

    def load(self) -> Any:
        """botocore's credentials object; None when the provider has nothing, which is then remembered.

        Raises:
            Exception: whatever botocore raises.
        """

    def reload(self, holder: Any) -> Any:
        """Another credentials object than ``holder``, whose credentials the store refused."""

    def secrets(self) -> list[str]:
        """What the provider is asked with, and nobody else is to see."""


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
        self._fetch: Pending[Credentials] | None = None
        self._refused: Any = None
        forksafe.register(self)

    @property
    def holder(self) -> Any:
        """botocore's object that the credentials in use are from; None where there is none."""
        held = self._held
        return None if held is None else held.holder

    def peek(self) -> Credentials | None:
        held = self._held
        if held is None:
            return None
        if held.look_at == math.inf or self._monotonic() < held.look_at:
            return held.credentials
        return self._due(held)

    def _due(self, held: _Held) -> Credentials | None:
        """The credentials, unless nothing may be sent with them any more; renewed behind if need be."""
        now = self._monotonic()
        if now < held.renew_from or not held.holder.refresh_needed(ADVISORY_SECONDS):
            held.look_at = now + _LOOK_EVERY
            return held.credentials
        if held.holder.refresh_needed(MANDATORY_SECONDS):
            return None
        if self._fetch is None:
            self._begin(held, behind=True)
        return held.credentials

    def fetch(self) -> Pending[Credentials]:
        held = self._held
        current = self.peek()
        if current is not None:
            settled: Pending[Credentials] = Pending()
            settled.settle(current, None)
            return settled
        return self._begin(held)

    def _begin(self, held: _Held | None, *, behind: bool = False) -> Pending[Credentials]:
        """Fetch in a thread of its own, or join whoever does already.

        Not on the executor: its threads are for requests, and a provider may take its time.

        Args:
            held: What is to be renewed; None for nothing yet.
            behind: Nobody waits for it.
        """
        with self._lock:
            fetch = self._fetch
            if fetch is not None:
                return fetch
            fetch = Pending(_renewed)
            current = self._held
            if current is not None and current is not held:
                # Somebody's fetch has ended this moment.
                fetch.settle(current.credentials, None)
                return fetch
            self._fetch = fetch
            refused, self._refused = self._refused, None
        work = partial(self._carry_out, fetch, held, refused, behind)
        try:
            start(threading.Thread(target=work, name="s3kv-credentials", daemon=True))
        except RuntimeError:
            # Too late for threads: the interpreter is about to exit.
            work()
        return fetch

    def _carry_out(
        self, fetch: Pending[Credentials], held: _Held | None, refused: Any, behind: bool
    ) -> None:
        result: _Held | None = None
        failure: CredentialsError | None = None
        try:
            result = self._obtain(held, refused)
        except CredentialsError as error:
            failure = error
        except Exception as error:
            failure = failure_of(self.provider.what, error, self.provider.secrets())
        except BaseException as error:
            # A callable of the user's may even exit; that is no answer for those who wait.
            failure = failure_of(self.provider.what, error, self.provider.secrets())
            raise
        finally:
            with self._lock:
                if self._fetch is fetch:
                    self._fetch = None
                    if result is not None:
                        self._held = result
                    elif refused is not None:
                        self._refused = refused
                    elif behind and held is not None:
                        held.renew_from = self._monotonic() + _AGAIN_AFTER
            fetch.settle(None if result is None else result.credentials, failure)

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
        frozen = self._freeze(holder, renewing=held is not None)
        credentials = checked(self.provider.what, frozen.access_key, frozen.secret_key, frozen.token)
        if not hasattr(holder, "refresh_needed"):
            return _Held(credentials, holder, math.inf, 0.0)
        now = self._monotonic()
        renew_from = 0.0
        fetched = self.provider.asks or held is not None or refused is not None
        if fetched and holder.refresh_needed(ADVISORY_SECONDS):
            # There are none that last longer. The less these do, the sooner others are asked for.
            short = holder.refresh_needed(4 * _AGAIN_AFTER)
            renew_from = now + (_LOOK_EVERY if short else _AGAIN_AFTER)
        return _Held(credentials, holder, now + _LOOK_EVERY, renew_from)

    def _freeze(self, holder: Any, *, renewing: bool) -> Any:
        """One consistent set of keys; botocore renews them first where that is due.

        Keys that have only just come are good for some minutes more, even where botocore would already
        ask for others.
        """
        if not renewing and hasattr(holder, "refresh_needed"):
            frozen = getattr(holder, "_frozen_credentials", None)
            if frozen is not None and not holder.refresh_needed(MANDATORY_SECONDS):
                return frozen
        return holder.get_frozen_credentials()

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


def _renewed(error: Exception) -> Exception:
    """The failure again, for one of those who wait: their requests' facts are added to it."""
    assert isinstance(error, CredentialsError)
    again = CredentialsError(error.message)
    again.__cause__ = error.__cause__
    again.__suppress_context__ = True
    return again
