"""What the log is told of requests: at level DEBUG, one line an attempt, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..call import Call
from ..errors import S3KVError
from ..messages import Request, Response

if TYPE_CHECKING:
    from logging import Logger

_DEBUG = 10


def logger() -> Logger:
    """The logger ``s3kv``."""
    import logging

    return logging.getLogger("s3kv")


def listening(log: Logger) -> Logger | None:
    """The logger if somebody listens, else None."""
    return log if log.isEnabledFor(_DEBUG) else None


def answered(log: Logger, request: Request, call: Call, response: Response, seconds: float) -> None:
    """Tell of an answer.

    Args:
        seconds: How long it took.
    """
    headers = response.headers
    log.debug(
        "%s %s: %d in %.1f ms, %s bytes, attempt %d, request id %s",
        request.operation,
        _about(request),
        response.status,
        seconds * 1000.0,
        headers.get("content-length", "?"),
        call.attempts,
        headers.get("x-amz-request-id", "none"),
    )


def trying_again(log: Logger, request: Request, error: S3KVError | None, delay: float) -> None:
    """Tell of an attempt that failed, after which there is another.

    Args:
        delay: Seconds until then.
    """
    log.debug("%s %s: again in %.2f s: %s", request.operation, _about(request), delay, error)


def gave_up(log: Logger, request: Request, error: S3KVError) -> None:
    """Tell of the error that ends a request."""
    log.debug("%s %s: %s: %s", request.operation, _about(request), type(error).__name__, error)


def _about(request: Request) -> str:
    """The key, as no line end in it can be taken for the end of the line."""
    if request.key is not None:
        return ascii(request.key)
    return " ".join(f"{name}={value!a}" for name, value in request.query if name in _TOLD) or "bucket"


# Of a request about the bucket: what says which part of it.
_TOLD = frozenset({"prefix", "start-after", "delete"})
