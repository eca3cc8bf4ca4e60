"""Which credentials there are: from where, until when; never the secret."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import datetime, timezone
from typing import Any

from ..call import Call
from ..core import Core
from ..credentials.value import Credentials
from ..messages import Await
from ..pipeline.life import Effect
from ..spec.aws_credentials import AwsCredentials, Given
from .probe import Probe
from .report import Check, Outcome

_NAME = "credentials"
_MINUTE = 60.0
# Minutes to the expiry from which credentials should have been renewed: botocore's own.
_LATE = 10.0

_CREDENTIALS_FILE = ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
_CONFIG_FILE = ("config_file", "AWS_CONFIG_FILE", "~/.aws/config")

# What botocore calls the links of its chain that are not part of a profile.
_PLACES = {
    "env": "AWS_ACCESS_KEY_ID in the environment",
    "container-role": "the container's endpoint",
    "iam-role": "the EC2 metadata service",
    "boto-config": "a configuration file of boto 2",
    "ec2-credentials-file": "the file that AWS_CREDENTIAL_FILE names",
}
# And those that are.
_WAYS = {
    "assume-role": "a role taken on",
    "assume-role-with-web-identity": "a role taken on with a web identity",
    "sso": "SSO",
    "login": "a login of the AWS CLI",
    "custom-process": "a credential_process",
}


def look_at_credentials(probe: Probe) -> Check:
    """Get the credentials, as a request would, and say what they are."""
    return probe.check(_NAME, lambda: _look(probe))


def _look(probe: Probe) -> Check:
    spec = probe.core.resolved.specs[0]
    kind = _kind(spec)
    if kind == "anonymous":
        return Check(_NAME, "ok", "anonymous: requests are not signed")
    found = probe.run(_obtain)
    if found.anonymous:
        return Check(
            _NAME,
            "warning",
            f"{kind}: there are none anywhere, so requests are not signed",
            'if that is meant, say aws_credentials={"type": "anonymous"}; else set up credentials, or name '
            "where they are",
        )
    # Only botocore's object knows the way that they came and when they end.
    holder = getattr(probe.core.credentials, "holder", None)
    parts = [f"{kind}: from {_source(spec, holder)}", f"access key id {_shown_id(found.access_key)}"]
    outcome: Outcome = "ok"
    advice = ""
    expiry = getattr(holder, "_expiry_time", None)
    if isinstance(expiry, datetime):
        left = (expiry - datetime.now(timezone.utc)).total_seconds() / _MINUTE
        when = expiry.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        if left <= 0:
            parts.append(f"expired {_minutes(-left)} ago ({when})")
            outcome, advice = "failure", "get new ones: whatever renews them does not work"
        else:
            parts.append(f"expire in {_minutes(left)} ({when})")
            if left < _LATE:
                outcome, advice = (
                    "warning",
                    "they should have been renewed by now: look at what renews them",
                )
    elif found.token is not None:
        parts.append("temporary: they end at a time that nobody here is told")
    else:
        parts.append("without an end")
    return Check(_NAME, outcome, ", ".join(parts), advice)


def _obtain(core: Core, call: Call) -> Generator[Effect, Any, Credentials]:
    """The credentials, fetched if need be."""
    found = core.credentials.peek()
    if found is not None:
        return found
    fetch = core.credentials.fetch()
    yield Await(fetch)
    return fetch.result()


def _kind(spec: AwsCredentials | Given) -> str:
    if isinstance(spec, Given):
        return "passed by the program"
    return spec.type


def _source(spec: AwsCredentials | Given, holder: Any) -> str:
    """Where credentials are from, in words."""
    if isinstance(spec, Given):
        return repr(spec)[1:-1]
    method = str(getattr(holder, "method", ""))
    # What renews them knows the role; neither object has a public name for it.
    owner = getattr(getattr(holder, "_refresh_using", None), "__self__", None)
    role = str(getattr(owner, "_role_arn", None) or getattr(owner, "role", None) or "")
    place = _PLACES.get(method)
    if method == "assume-role-with-web-identity" and os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        place = f"{_WAYS[method]} (AWS_WEB_IDENTITY_TOKEN_FILE)"
    elif place is None:
        place = f"{_profile(spec)} of {_file(spec, method)}"
        if method in _WAYS:
            place = f"{_WAYS[method]}, {place}"
    elif method == "container-role" and spec.endpoint is not None:
        place += " that the store names"
    return f"{place}, role {role}" if role else place


def _profile(spec: AwsCredentials) -> str:
    if spec.profile is not None:
        return f"the profile {spec.profile!r}"
    # botocore's chain looks at the older name first.
    names = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    for variable in names if spec.type == "profile" else reversed(names):
        if os.environ.get(variable):
            return f"the profile {os.environ[variable]!r} ({variable})"
    return "the profile 'default'"


def _file(spec: AwsCredentials, method: str) -> str:
    member, variable, usual = _CREDENTIALS_FILE if method == "shared-credentials-file" else _CONFIG_FILE
    given: str | None = getattr(spec, member)
    if given is not None:
        return given
    named = os.environ.get(variable)
    return f"{named} ({variable})" if named else usual


def _shown_id(access_key: str) -> str:
    """An access key id, to recognise it by."""
    ends = 4 if len(access_key) >= 12 else 2 if len(access_key) >= 6 else 0
    return f"{access_key[:ends]}…{access_key[len(access_key) - ends :]}"


def _minutes(count: float) -> str:
    return f"{count:.0f} minutes" if count < 600 else f"{count / 60:.0f} hours"
