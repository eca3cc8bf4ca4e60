"""Keeping secrets out of what a store or a proxy says back."""

from __future__ import annotations

from ..credentials.value import Credentials
from ..errors import S3KVError
from ..keys import encode_query
from ..messages import Response, WireRequest

_MASK = "…"
_SIGNATURE = "Signature="
_QUOTED = ("location", "x-amz-request-id", "x-amz-id-2")
# The beginning of a secret up to this many characters tells nothing.
_TELLING = 4


def secrets_of(credentials: Credentials, request: WireRequest | None) -> list[str]:
    """What must not be repeated: keys, token and signature, as they are and as a URL would hold them."""
    secrets = [credentials.secret_key, credentials.token or ""]
    for name, value in request.headers if request is not None else ():
        if name == "Authorization":
            secrets.append(value.rpartition(_SIGNATURE)[2])
    plain = [secret for secret in secrets if secret]
    return plain + [encode_query(secret) for secret in plain if encode_query(secret) != secret]


def mask_answer(response: Response, secrets: list[str]) -> None:
    """Mask secrets in what errors quote of an answer: its words, not the codes that decisions rest on.

    Args:
        response: An answer whose body has been parsed.
    """

    def mask(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, _MASK)
        return text

    told = response.error
    if told is not None:
        response.error = told._replace(
            message=mask(told.message),
            request_id=mask(told.request_id),
            host_id=mask(told.host_id),
            endpoint=mask(told.endpoint),
        )
    for name in _QUOTED:
        if name in response.headers:
            response.headers[name] = mask(response.headers[name])
    for secret in secrets:
        response.body = response.body.replace(secret.encode("utf-8"), _MASK.encode("utf-8"))


def mask_error(error: S3KVError, secrets: list[str]) -> None:
    """Mask secrets in the message of a failure, also those that an excerpt has cut short."""
    for secret in secrets:
        for length in range(len(secret), _TELLING, -1):
            if secret[:length] in error.message:
                error.message = error.message.replace(secret[:length], _MASK)
                error.args = (error.message,)
                break
