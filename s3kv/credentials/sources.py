"""The source of credentials that a spec describes."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock
from ..pending import Pending
from ..spec.aws_credentials import AwsCredentials, Given
from .cached import CachedSource, Provider
from .providers import (
    ContainerProvider,
    DefaultProvider,
    EnvironmentProvider,
    GivenProvider,
    MetadataProvider,
    ProfileProvider,
)
from .value import ANONYMOUS, Credentials, CredentialsSource


class Anonymous:
    """Unsigned requests, for public buckets."""

    def peek(self) -> Credentials:
        return ANONYMOUS

    def fetch(self) -> Pending[Credentials]:
        pending: Pending[Credentials] = Pending()
        pending.settle(ANONYMOUS, None)
        return pending

    def reject(self, credentials: Credentials) -> bool:
        return False

    def __repr__(self) -> str:
        return "<anonymous credentials>"


_PROVIDERS: dict[str, Callable[[AwsCredentials], Provider]] = {
    "environment": lambda spec: EnvironmentProvider(),
    "profile": lambda spec: ProfileProvider(spec.profile, spec.config_file, spec.credentials_file),
    "ecs": lambda spec: ContainerProvider(spec.endpoint, spec.auth_token_file),
    "imds": lambda spec: MetadataProvider(),
    "default": lambda spec: DefaultProvider(spec.profile),
}


def make_source(spec: AwsCredentials | Given, clock: Clock) -> CredentialsSource:
    """The source of the credentials that a spec describes; nothing is fetched yet."""
    if isinstance(spec, Given):
        return CachedSource(GivenProvider(spec.source, spec.is_callable), clock)
    if spec.type == "anonymous":
        return Anonymous()
    return CachedSource(_PROVIDERS[spec.type](spec), clock)
