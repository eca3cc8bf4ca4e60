"""Every exception that s3kv raises on purpose.

One root, :class:`S3KVError`; the subclasses also derive from the built-in exception that plain Python
code would expect (``KeyError`` for a missing key, ``PermissionError`` for a refused one), so both
``except s3kv.KeyNotFound`` and ``except KeyError`` work.
"""

from __future__ import annotations

from typing import Any

_FIELDS = (
    "operation",
    "key",
    "status",
    "code",
    "request_id",
    "host_id",
    "attempts",
    "elapsed",
)


class S3KVError(Exception):
    """The root of all errors of this package.

    Attributes:
        message: What went wrong, in words (str).
        operation: The S3 operation, for instance ``"GetObject"`` (str or None).
        key: The key relative to the store (str or None).
        status: The HTTP status of the last answer (int or None when there was none).
        code: S3's error code, for instance ``"AccessDenied"`` (str or None).
        request_id: ``x-amz-request-id`` of the last answer (str or None).
        host_id: ``x-amz-id-2`` of the last answer (str or None).
        attempts: How many times the request was sent (int or None).
        elapsed: Seconds from the call to the error (float or None).

    All of them are part of ``str(error)``; none ever holds a secret. Every error pickles.
    """

    message: str
    operation: str | None
    key: str | None
    status: int | None
    code: str | None
    request_id: str | None
    host_id: str | None
    attempts: int | None
    elapsed: float | None

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        key: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        host_id: str | None = None,
        attempts: int | None = None,
        elapsed: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.key = key
        self.status = status
        self.code = code
        self.request_id = request_id
        self.host_id = host_id
        self.attempts = attempts
        self.elapsed = elapsed

    def __str__(self) -> str:
        facts = []
        for name in _FIELDS:
            value = getattr(self, name)
            if value is None:
                continue
            if name == "elapsed":
                facts.append(f"elapsed={value:.3f}s")
            elif name == "key":
                facts.append(f"key={value!r}")
            else:
                facts.append(f"{name}={value}")
        if not facts:
            return self.message
        return f"{self.message} ({', '.join(facts)})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self._state())

    def _state(self) -> dict[str, Any]:
        """Everything but the message, for pickling and copying."""
        return {name: value for name, value in self.__dict__.items() if name != "message"}


def _rebuild(cls: type[S3KVError], message: str, state: dict[str, Any]) -> S3KVError:
    error = cls.__new__(cls)
    S3KVError.__init__(error, message)
    error.__dict__.update(state)
    return error


class SpecError(S3KVError, ValueError):
    """A store was described wrongly: names the member, what was given and what is allowed.

    Attributes:
        member: The member of the spec, argument or environment variable (str or None).
    """

    member: str | None

    def __init__(self, message: str = "", *, member: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.member = member


class InvalidKey(S3KVError, ValueError):
    """The key cannot be an S3 key: empty, longer than 1,024 bytes of UTF-8, or not UTF-8."""


class ByteRangeError(S3KVError, ValueError):
    """The byte range is not wholly inside the object, or is not a range that S3 can express."""


class KeyNotFound(S3KVError, KeyError):
    """The store says that no object has this key (404 ``NoSuchKey``)."""


class BucketNotFound(S3KVError):
    """The store says that the bucket does not exist (404 ``NoSuchBucket``)."""


class ConditionFailed(S3KVError):
    """The object was not in the state that ``if_equal`` or ``if_absent`` asked for; nothing changed."""


class PermissionDenied(S3KVError, PermissionError):
    """The store refused the request (401 or 403)."""


class CredentialsError(S3KVError):
    """No usable credentials: names the provider that was asked and what it said."""


class ServiceError(S3KVError):
    """The store refused the request for a reason that has no class of its own; see ``code``."""


class TransportError(S3KVError, ConnectionError):
    """No answer could be had: connection, TLS or proxy failure.

    Attributes:
        reason: ``"connect"`` (no connection could be opened), ``"tls"`` (the certificate or the
            handshake was refused), ``"proxy"``, ``"stale"`` (a kept-alive connection was dead),
            ``"timeout"``, ``"closed"`` (the peer closed it before answering) or ``"short"`` (the
            peer closed it in the middle of an answer).
        sent: Whether the store may have received the request (bool).
    """

    reason: str
    sent: bool
    # What came of an object's bytes before the answer broke off; the pipeline takes it away.
    partial: Any

    def __init__(
        self, message: str = "", *, reason: str = "closed", sent: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.reason = reason
        self.sent = sent
        self.partial = None


class MalformedResponse(S3KVError):
    """The answer breaks HTTP, or its body is not the XML that S3 promises."""


class DataLoss(S3KVError):
    """A checksum or a length does not match the bytes received."""


class Changed(S3KVError):
    """The object was replaced while its parts were being read."""


class OutcomeUnknown(S3KVError):
    """The answer to a write was lost, and whether the write took effect cannot be known."""


class RetriesExhausted(S3KVError):
    """A transient failure went on through every attempt; ``__cause__`` is the last failure."""


class EndpointUnreachable(RetriesExhausted, ConnectionError):
    """No connection to the endpoint could be opened: unknown host, refused or no route."""


class DeadlineExceeded(S3KVError, TimeoutError):
    """The store's ``timeout`` passed before the operation was done."""


class StoreClosed(S3KVError, ValueError):
    """The store was closed with ``close()``; open a new one."""


class BatchError(S3KVError):
    """Some keys of a batch failed.

    Attributes:
        errors: The exception for each key that failed (dict of str to Exception).
        results: What succeeded (dict of str to the operation's result).
    """

    errors: dict[str, Exception]
    results: dict[str, Any]

    def __init__(
        self,
        message: str = "",
        *,
        errors: dict[str, Exception] | None = None,
        results: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.errors = dict(errors or {})
        self.results = dict(results or {})
