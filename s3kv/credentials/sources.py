"""The kinds of credentials, each over botocore's provider for it.

botocore is imported when the first request needs credentials, and never for anonymous stores.
"""

from __future__ import annotations

import threading
from typing import Any

from .. import forksafe
from ..errors import CredentialsError
from .value import ANONYMOUS, Credentials

_FRESH_FOR = 30.0


class Anonymous:
    """Unsigned requests, for public buckets."""

    def peek(self) -> Credentials:
        return ANONYMOUS

    def fetch(self) -> Credentials:
        return ANONYMOUS

    def reject(self, credentials: Credentials) -> bool:
        return False

    def __repr__(self) -> str:
        return "<anonymous credentials>"


class _BotocoreSource:
    """Credentials that a botocore provider holds.

    Mutable state, all under ``_lock``: ``_holder``, botocore's credentials object (it refreshes
    itself), and ``_frozen``, the keys it gave last with the time until which they are used without
    asking again. The hot path reads ``_frozen`` without the lock: it is replaced whole.
    """

    kind = ""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._holder: Any = None
        self._frozen: tuple[Credentials, float] | None = None
        forksafe.register(self)

    def load(self) -> Any:
        """botocore's credentials object, or None when the provider has nothing."""
        raise NotImplementedError

    def absent(self) -> Credentials:
        """What to use when the provider has nothing."""
        raise NotImplementedError

    def peek(self) -> Credentials | None:
        frozen = self._frozen
        if frozen is None or self._clock.monotonic() >= frozen[1]:
            return None
        return frozen[0]

    def fetch(self) -> Credentials:
        with self._lock:
            current = self.peek()
            if current is not None:
                return current
            try:
                if self._holder is None:
                    self._holder = self.load()
                holder = self._holder
                found = None if holder is None else holder.get_frozen_credentials()
            except CredentialsError:
                raise
            except Exception as error:
                raise CredentialsError(
                    f"the {self.kind} credentials could not be loaded: {type(error).__name__}: {error}"
                ) from error
            if found is None or not found.access_key or not found.secret_key:
                credentials, until = self.absent(), float("inf")
            else:
                credentials = Credentials(found.access_key, found.secret_key, found.token or None)
                # Static keys never change; refreshing ones are asked for again now and then.
                refreshing = hasattr(self._holder, "refresh_needed")
                until = self._clock.monotonic() + _FRESH_FOR if refreshing else float("inf")
            self._frozen = (credentials, until)
            return credentials

    def reject(self, credentials: Credentials) -> bool:
        with self._lock:
            if self._frozen is not None and self._frozen[0] == credentials:
                self._frozen = None
                self._holder = None
        return True

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{self.kind} credentials>"


class Environment(_BotocoreSource):
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."""

    kind = "environment"

    def load(self) -> Any:
        with forksafe.importing:
            from botocore.credentials import EnvProvider

        return EnvProvider().load()

    def absent(self) -> Credentials:
        raise CredentialsError(
            "the environment has no credentials: AWS_ACCESS_KEY_ID is not set (and the store asks for "
            "credentials of type 'environment')"
        )


class Default(_BotocoreSource):
    """boto3's whole chain: environment, files, SSO, container and instance metadata.

    Anonymous only when no provider has anything.
    """

    kind = "default"

    def load(self) -> Any:
        with forksafe.importing:
            import botocore.session

        return botocore.session.Session().get_credentials()

    def absent(self) -> Credentials:
        return ANONYMOUS
