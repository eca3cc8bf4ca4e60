"""Credentials as a value, and what the pipeline asks of their source."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..pending import Pending


class Credentials(NamedTuple):
    """One set of keys, as one request is signed with it.

    Attributes:
        access_key: The access key id; empty for unsigned requests.
        secret_key: The secret access key.
        token: The session token, or None.
    """

    access_key: str
    secret_key: str
    token: str | None = None

    @property
    def anonymous(self) -> bool:
        """Requests are sent unsigned."""
        return not self.access_key

    def __repr__(self) -> str:
        if self.anonymous:
            return "Credentials(anonymous)"
        # An access key id is no secret, but its end is enough to recognise it by.
        return f"Credentials(access_key='…{self.access_key[-4:]}', secret_key=…)"

    def __str__(self) -> str:
        return repr(self)


ANONYMOUS = Credentials("", "")


class CredentialsSource(Protocol):
    """Gives the pipeline credentials for each attempt. Methods may be called from any thread."""

    def peek(self) -> Credentials | None:
        """Credentials that can be used now, without I/O; None when they must be fetched."""

    def fetch(self) -> Pending[Credentials]:
        """Begin to fetch credentials, or join whoever does already.

        The result raises CredentialsError when there are none, or their provider failed.
        """

    def reject(self, credentials: Credentials) -> bool:
        """The store refused these as expired: forget them. False when there can be no others."""
