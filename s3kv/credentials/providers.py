"""The kinds of credentials, each a few lines over botocore's provider for it.

botocore is imported when the first request needs credentials, and never for anonymous stores.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from typing import Any

from .. import forksafe
from ..errors import CredentialsError


class _Kind(ABC):
    """What the kinds have in common: another object is had by asking again."""

    what = ""
    asks = True

    @abstractmethod
    def load(self) -> Any:
        """botocore's credentials object; see :class:`.cached.Provider`."""

    def reload(self, holder: Any) -> Any:
        return self.load()

    def secrets(self) -> list[str]:
        return []


def _region(session: Any) -> str:
    """Where to ask for a role; a profile that does not say it is no error, for any region will do."""
    return session.get_config_variable("region") or os.environ.get("AWS_REGION") or "us-east-1"


class EnvironmentProvider(_Kind):
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."""

    what = "the environment"

    def load(self) -> Any:
        with forksafe.importing:
            from botocore.credentials import EnvProvider

        holder = EnvProvider().load()
        if holder is None:
            raise CredentialsError("no credentials from the environment: AWS_ACCESS_KEY_ID is not set")
        return holder


class ProfileProvider(_Kind):
    """A profile of the config and credentials files, with all that a profile may say.

    Args:
        profile: Its name; None for AWS_PROFILE's, or ``"default"``.
        config_file: The path of the config file; None for AWS_CONFIG_FILE's, or the usual one.
        credentials_file: The path of the credentials file; None for AWS_SHARED_CREDENTIALS_FILE's, or
            the usual one.
    """

    # Links of botocore's chain that are no part of a profile.
    _OTHERS = ("env", "ec2-credentials-file", "boto-config", "container-role", "iam-role")

    def __init__(self, profile: str | None, config_file: str | None, credentials_file: str | None) -> None:
        self._profile = profile
        self._files = {"config_file": config_file, "credentials_file": credentials_file}
        self.what = "a profile" if profile is None else f"the profile {profile!r}"

    def load(self) -> Any:
        with forksafe.importing:
            import botocore.credentials
            import botocore.session

        profile = self._profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
        name = profile or "default"
        self.what = f"the profile {name!r}"
        # Named, even if by default, so that the environment's keys do not come before it.
        session = botocore.session.Session(profile=name)
        for variable, path in self._files.items():
            if path is not None:
                if not os.path.isfile(os.path.expanduser(path)):
                    raise CredentialsError(
                        f"no credentials from {self.what}: {variable} {path!r} is no file"
                    )
                session.set_config_variable(variable, path)
        # Says so when there is no such profile.
        session.get_scoped_config()
        resolver = botocore.credentials.create_credential_resolver(session, region_name=_region(session))
        for link in self._OTHERS:
            resolver.remove(link)
        holder = resolver.load_credentials()
        if holder is None:
            raise CredentialsError(f"no credentials from {self.what}: it is there, but holds none")
        return holder


class ContainerProvider(_Kind):
    """The endpoint that containers get their credentials from.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html

    Args:
        endpoint: Its URL; None for what AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI says.
        auth_token_file: The path of a file with the token to send; read at every fetch.
    """

    def __init__(self, endpoint: str | None, auth_token_file: str | None) -> None:
        self._endpoint = endpoint
        self._auth_token_file = auth_token_file
        self.what = "the container's endpoint"

    def load(self) -> Any:
        with forksafe.importing:
            from botocore.credentials import ContainerProvider as Botocores

        if self._endpoint is None:
            holder = Botocores().load()
        else:
            # Only this: the environment's token belongs to the environment's endpoint.
            environ = {Botocores.ENV_VAR_FULL: self._endpoint}
            if self._auth_token_file is not None:
                environ[Botocores.ENV_VAR_AUTH_TOKEN_FILE] = self._auth_token_file
            holder = Botocores(environ).load()
        if holder is None:
            raise CredentialsError(
                f"no credentials from {self.what}: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor "
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
            )
        return holder

    def secrets(self) -> list[str]:
        """The token, which a service that fails may repeat in its answer."""
        path = self._auth_token_file
        tokens = []
        if self._endpoint is None:
            path = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            tokens.append(os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
        if path:
            with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as file:
                tokens.append(file.read().strip())
        return tokens


class MetadataProvider(_Kind):
    """The metadata service of EC2 instances.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
    """

    what = "the EC2 metadata service"

    def load(self) -> Any:
        with forksafe.importing:
            import botocore.exceptions
            import botocore.session

            from .metadata import metadata_provider

        try:
            provider = metadata_provider(botocore.session.Session())
        except botocore.exceptions.ProfileNotFound:
            # AWS_PROFILE's could have said how to ask; what it names is none of this kind's business.
            provider = metadata_provider(botocore.session.Session({"profile": (None, None, None, None)}))
        holder = provider.load()
        if holder is None:
            raise CredentialsError(f"no credentials from {self.what}: {provider.told()}")
        return holder


class DefaultProvider(_Kind):
    """boto3's whole chain: environment, files, SSO, container and instance metadata.

    Has nothing, and requests are anonymous, only when no link of the chain has anything.

    Args:
        profile: The profile to use, which switches the environment's keys off; None for AWS_PROFILE's.
    """

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._container = ContainerProvider(None, None)
        named = "" if profile is None else f" with the profile {profile!r}"
        self.what = f"the default chain{named}"

    def load(self) -> Any:
        with forksafe.importing:
            import botocore.credentials
            import botocore.session

            from .metadata import metadata_provider

        # An empty variable is an unset one, not the name of a profile that cannot be found.
        named = [name for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if os.environ.get(name)]
        variables = {"profile": (None, named or None, None, None)}
        session = botocore.session.Session(variables, profile=self._profile)
        session.get_scoped_config()
        resolver = botocore.credentials.create_credential_resolver(session, region_name=_region(session))
        metadata = metadata_provider(session)
        # botocore's own takes an answer that makes no sense for no answer.
        resolver.insert_after(metadata.METHOD, metadata)
        resolver.remove(metadata.METHOD)
        holder = resolver.load_credentials()
        if holder is None and metadata.failed:
            raise CredentialsError(f"no credentials from the EC2 metadata service: {metadata.told()}")
        return holder

    def secrets(self) -> list[str]:
        return self._container.secrets()


class GivenProvider(_Kind):
    """What a Python caller passed: botocore's object, or a callable that returns one.

    Args:
        source: The object or callable.
        is_callable: It is to be called.
    """

    # Who passes it may have had it for long.
    asks = False

    def __init__(self, source: Any, is_callable: bool) -> None:
        self._source = source
        self._is_callable = is_callable
        name = getattr(source, "__qualname__", type(source).__name__)
        self.what = f"the callable {name}" if is_callable else f"the {name} object"

    def load(self) -> Any:
        if not self._is_callable:
            return self._source
        holder = self._source()
        if not hasattr(holder, "get_frozen_credentials"):
            raise CredentialsError(
                f"no credentials from {self.what}: it returned {type(holder).__name__}, not a botocore "
                "Credentials object"
            )
        return holder

    def reload(self, holder: Any) -> Any:
        if self._is_callable:
            return self.load()
        # botocore has no public way to renew ahead of time; an object without this one is asked again.
        renew = getattr(holder, "_protected_refresh", None)
        if renew is not None:
            with holder._refresh_lock:
                renew(is_mandatory=True)
        return holder
