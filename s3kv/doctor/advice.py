"""What to do about a failure."""

from __future__ import annotations

from ..errors import (
    CredentialsError,
    DeadlineExceeded,
    MalformedResponse,
    PermissionDenied,
    S3KVError,
    SpecError,
    TransportError,
)

_SET_REGION = "give the bucket's region as aws_region"
_RENEW = "get new credentials, and see that whatever renews them works"

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_BY_CODE = {
    "InvalidAccessKeyId": "the store does not know this access key id: see where the credentials are from",
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key id (see where the "
    "credentials are from), or something on the way changes requests",
    "ExpiredToken": _RENEW,
    "InvalidToken": _RENEW,
    "RequestTimeTooSkewed": "set the clock of this machine",
    "NoSuchBucket": "check the name of the bucket, and the endpoint",
    "InvalidBucketName": "check the name of the bucket",
    "AuthorizationHeaderMalformed": _SET_REGION,
    "IllegalLocationConstraintException": _SET_REGION,
    "PermanentRedirect": _SET_REGION,
    "SlowDown": "the store is busy: try again later, or with fewer requests at once",
    "ServiceUnavailable": "the store is busy: try again later",
    "NotImplemented": "the store cannot do this",
    "MethodNotAllowed": "the store does not allow this, or the endpoint is not that of its S3 interface",
}
_BY_REASON = {
    "connect": "check the endpoint's host and port, the network, and the proxy",
    "tls": "check that the endpoint speaks TLS, and that its authority is among those trusted "
    "(AWS_CA_BUNDLE names others)",
    "proxy": "check the proxy that the environment names, or make an exception with NO_PROXY",
    "timeout": "the store is silent: check the network, firewalls and the proxy",
    "closed": "check that this is the endpoint of an S3 store; try again",
    "short": "the connection breaks: check the network and the proxy; try again",
    "stale": "try again",
}


def advice_for(error: S3KVError, doing: str = "", anonymous: bool = False) -> str:
    """What to do about an error.

    Args:
        error: It.
        doing: S3's name of what the credentials must be allowed to do, for instance ``"s3:GetObject"``.
        anonymous: The request was not signed.
    """
    if isinstance(error, SpecError):
        return f"correct {error.member}" if error.member else "correct the store's description"
    if isinstance(error, CredentialsError):
        return "set up these credentials, or name others as aws_credentials"
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if isinstance(error, PermissionDenied):
        return _permission(doing, anonymous)
    failure = _transport(error)
    if failure is not None:
        return _BY_REASON[failure.reason]
    if isinstance(error, DeadlineExceeded):
        return _BY_REASON["timeout"]
    if isinstance(error, MalformedResponse):
        return "what answers is no S3 store: check the endpoint and the proxy"
    if error.status is not None and error.status >= 500:
        return "the store has a problem of its own: try again later"
    if error.status is not None and 300 <= error.status < 400:
        return "the store is elsewhere: check the endpoint and the region"
    return "check the endpoint; what it says above may tell more"


def _permission(doing: str, anonymous: bool) -> str:
    wanted = f"may do {doing}" if doing else "may do this"
    if anonymous:
        return f"requests are not signed: check that everybody {wanted}, or give credentials"
    return (
        f"check that these credentials {wanted}; of a bucket whose requester pays, say requester_pays=True"
    )


def _transport(error: BaseException) -> TransportError | None:
    """The failure to get an answer that an error came from, if any."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, TransportError):
            return seen
        seen = seen.__cause__
    return None
