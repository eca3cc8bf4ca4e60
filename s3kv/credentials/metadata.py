"""botocore's client of the EC2 metadata service, made to tell what it was answered.

Imports botocore; itself imported at the first fetch.
"""

from __future__ import annotations

import os
from typing import Any

from botocore.credentials import InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher, resolve_imds_endpoint_mode

from .cached import ADVISORY_SECONDS

# Answers of a service that is switched off, has no role to give, or is no such service but a proxy.
_NOTHING_THERE = frozenset({403, 404, 405, 407, 502, 504})


class _Fetcher(InstanceMetadataFetcher):
    """Remembers the last answer that was of no use.

    botocore treats such an answer as if there had been none, and logs it in the method overridden here.
    """

    complaint = ""
    failed = False
    #: The role that the last credentials were of; empty for none.
    role = ""
    _has_role = False

    def _log_imds_response(self, response: Any, reason_to_log: str, log_body: bool = False) -> None:
        super()._log_imds_response(response, reason_to_log, log_body)  # type: ignore[misc]
        status = response.status_code
        self.failed = status not in _NOTHING_THERE
        self.complaint = f"it answered {status}" + (f", {reason_to_log}" if status == 200 else "")

    def retrieve_iam_role_credentials(self) -> Any:
        self.complaint, self.failed, self._has_role = "", False, False
        found = super().retrieve_iam_role_credentials()
        self.role = str(found.get("role_name", "")) if found else ""
        if not found and not self.complaint and self._has_role:
            self.complaint, self.failed = "its answer lacks a part of the credentials", True
        return found

    def _get_iam_role(self, token: str | None = None) -> Any:
        role = super()._get_iam_role(token)  # type: ignore[misc]
        self._has_role = True
        return role


class _Provider(InstanceMetadataProvider):
    """botocore's provider, with what went wrong.

    Args:
        fetcher: What asks.
    """

    def __init__(self, fetcher: _Fetcher) -> None:
        super().__init__(iam_role_fetcher=fetcher)
        self._fetcher = fetcher

    @property
    def failed(self) -> bool:
        """The service is there, but gave no credentials."""
        return self._fetcher.failed

    def told(self) -> str:
        """Why there were no credentials, in words."""
        if self._fetcher.complaint:
            return self._fetcher.complaint
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return "it is switched off by AWS_EC2_METADATA_DISABLED"
        return f"nothing answered at {self._fetcher.get_base_url()}"


def metadata_provider(session: Any) -> _Provider:
    """The provider that a botocore session's configuration describes."""
    return _Provider(
        _Fetcher(
            timeout=session.get_config_variable("metadata_service_timeout"),
            num_attempts=session.get_config_variable("metadata_service_num_attempts"),
            user_agent=session.user_agent(),
            config={
                "ec2_metadata_service_endpoint": session.get_config_variable(
                    "ec2_metadata_service_endpoint"
                ),
                "ec2_metadata_service_endpoint_mode": resolve_imds_endpoint_mode(session),
                "ec2_credential_refresh_window": ADVISORY_SECONDS,
                "ec2_metadata_v1_disabled": session.get_config_variable("ec2_metadata_v1_disabled"),
            },
        )
    )
