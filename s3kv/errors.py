"""Every exception that s3kv raises on purpose.

One root, :class:`S3KVError`; the subclasses also derive from the built-in exception that plain Python
code would expect (``KeyError`` for a missing key, ``PermissionError`` for a refused one), so both
``except s3kv.KeyNotFound`` and ``except KeyError`` work.

In the examples, ``s3kv_faults`` is the pytest fixture that makes things go wrong: a
:class:`s3kv.testing.FaultProxy`.
"""

from __future__ import annotations

from typing import Any

# What an error tells besides its message, in the order of ``str(error)``.
FIELDS = (
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

    Example:
        >>> try:
        ...     store["missing"]
        ... except s3kv.S3KVError as error:
        ...     print(type(error).__name__, error.operation, error.key, error.status, error.code)
        KeyNotFound GetObject missing 404 NoSuchKey
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
        for name in FIELDS:
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

    Example:
        >>> s3kv.Store("s3://my-bucket/", aws_regin="eu-central-1")
        Traceback (most recent call last):
            ...
        s3kv.errors.SpecError: a store has no member 'aws_regin'; did you mean 'aws_region'? ...
    """

    member: str | None

    def __init__(self, message: str = "", *, member: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.member = member


class InvalidKey(S3KVError, ValueError):
    """The key cannot be an S3 key: empty, longer than 1,024 bytes of UTF-8, or not UTF-8.

    Example:
        >>> store["x" * 1025]
        Traceback (most recent call last):
            ...
        s3kv.errors.InvalidKey: the key ... is ... bytes long: S3 keys are 1 to 1,024 bytes of UTF-8...
    """


class ByteRangeError(S3KVError, ValueError):
    """The byte range is not wholly inside the object, or is not a range that S3 can express.

    Example:
        >>> store["digits"] = b"0123456789"
        >>> store.get("digits", byte_range=slice(5, 100))
        Traceback (most recent call last):
            ...
        s3kv.errors.ByteRangeError: byte range [5:100] is not inside an object of 10 bytes (...)
    """


class KeyNotFound(S3KVError, KeyError):
    """The store says that no object has this key (404 ``NoSuchKey``).

    Example:
        >>> try:
        ...     store["missing"]
        ... except KeyError as error:
        ...     print(type(error).__name__, error.key)
        KeyNotFound missing
    """


class BucketNotFound(S3KVError):
    """The store says that the bucket does not exist (404 ``NoSuchBucket``).

    Example:
        >>> with s3kv.Store({**store.spec(), "bucket": "no-such-bucket"}) as other:
        ...     other.list()
        Traceback (most recent call last):
            ...
        s3kv.errors.BucketNotFound: The specified bucket does not exist (...)
    """


class ConditionFailed(S3KVError):
    """The object was not in the state that ``if_equal`` or ``if_absent`` asked for; nothing changed.

    Example:
        >>> mine = store.put("state", b"1")
        >>> theirs = store.put("state", b"2")
        >>> try:
        ...     store.put("state", b"3", if_equal=mine.generation)
        ... except s3kv.ConditionFailed:
        ...     print("somebody was faster:", store["state"])
        somebody was faster: b'2'
    """


class PermissionDenied(S3KVError, PermissionError):
    """The store refused the request (401 or 403).

    Example:
        >>> from s3kv.testing import Answer
        >>> fault = s3kv_faults.inject(Answer.error(403, "AccessDenied"))
        >>> try:
        ...     s3kv_faults.store().list()
        ... except PermissionError as error:
        ...     print(error.code)
        AccessDenied
    """


class CredentialsError(S3KVError):
    """No usable credentials: names the provider that was asked and what it said.

    Example:
        >>> nobody = {"type": "profile", "profile": "nobody"}
        >>> s3kv.Store("s3://my-bucket/", aws_region="eu-central-1", aws_credentials=nobody).get("key")
        Traceback (most recent call last):
            ...
        s3kv.errors.CredentialsError: no credentials from the profile 'nobody': ... could not be found (...)
    """


class ServiceError(S3KVError):
    """The store refused the request for a reason that has no class of its own; see ``code``.

    Example:
        >>> from s3kv.testing import Answer
        >>> fault = s3kv_faults.inject(Answer.error(405, "MethodNotAllowed"))
        >>> try:
        ...     s3kv_faults.store().put("a.txt", b"hello")
        ... except s3kv.ServiceError as error:
        ...     print(error.status, error.code)
        405 MethodNotAllowed
    """


class TransportError(S3KVError, ConnectionError):
    """No answer could be had: connection, TLS or proxy failure.

    Attributes:
        reason: ``"connect"`` (no connection could be opened), ``"tls"`` (the certificate or the
            handshake was refused), ``"proxy"``, ``"stale"`` (a kept-alive connection was dead),
            ``"timeout"``, ``"closed"`` (the peer closed it before answering) or ``"short"`` (the
            peer closed it in the middle of an answer) (str).
        sent: Whether the store may have received the request (bool).

    Example:
        >>> plain = store.spec()["endpoint"]
        >>> with s3kv.Store(store.spec(), endpoint=plain.replace("http:", "https:")) as other:
        ...     other.get("a.txt")
        Traceback (most recent call last):
            ...
        s3kv.errors.TransportError: no TLS with https://...; is it a plain http endpoint? (...)
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
    """The answer breaks HTTP, or its body is not the XML that S3 promises.

    Example:
        >>> from s3kv.testing import RawAnswer
        >>> fault = s3kv_faults.inject(RawAnswer(b"220 mail.example.com\\r\\n\\r\\n"))
        >>> s3kv_faults.store().get("a.txt")
        Traceback (most recent call last):
            ...
        s3kv.errors.MalformedResponse: the answer does not start like HTTP/1.1: b'220 mail...' (...)
    """


class DataLoss(S3KVError):
    """A checksum does not match the bytes received.

    Example:
        >>> from s3kv.testing import Answer
        >>> headers = {"ETag": '"1"', "x-amz-checksum-crc32": "AAAAAA=="}
        >>> fault = s3kv_faults.inject(Answer(200, headers, b"not what was stored"), times=None)
        >>> s3kv_faults.store(s3_request_retries={"max_retries": 1}).get("a.txt")
        Traceback (most recent call last):
            ...
        s3kv.errors.DataLoss: ...
    """


class Changed(S3KVError):
    """The object was replaced while it was read or copied in parts; or a file while it was uploaded.

    Reads and copies begin again by themselves, several ranges aside; this comes when it happens again and
    again.

    Example:
        >>> from s3kv.testing import Answer
        >>> store["data.bin"] = bytes(20_000)
        >>> other = Answer(206, {"ETag": '"2"', "Content-Range": "bytes 0-0/20000"}, b"1")
        >>> fault = s3kv_faults.inject(other, where=lambda seen: seen.headers["range"] == "bytes=0-0")
        >>> s3kv_faults.store().get_ranges("data.bin", [slice(0, 1), slice(10_000, 10_001)])
        Traceback (most recent call last):
            ...
        s3kv.errors.Changed: the object was replaced while its ranges were read: ...
    """


class OutcomeUnknown(S3KVError):
    """The answer to a write was lost, and whether the write took effect cannot be known.

    Only writes and deletions under a condition, copies, and what is written in parts raise it, after they
    have tried to find out.

    Example:
        >>> try:
        ...     stamp = store.put("lock", b"me", if_absent=True)
        ... except s3kv.ConditionFailed:
        ...     mine = False
        ... except s3kv.OutcomeUnknown:
        ...     mine = store.get("lock", None) == b"me"  # as far as can be seen now
        ... else:
        ...     mine = True
        >>> mine
        True
    """


class RetriesExhausted(S3KVError):
    """A transient failure went on through every attempt; ``__cause__`` is the last failure.

    Example:
        >>> from s3kv.testing import Answer
        >>> fault = s3kv_faults.inject(Answer.error(503, "ServiceUnavailable"), times=None)
        >>> try:
        ...     s3kv_faults.store(s3_request_retries={"max_retries": 3, "initial_delay": "1ms"}).list()
        ... except s3kv.RetriesExhausted as error:
        ...     print(error.attempts, error.code)
        3 ServiceUnavailable
    """


class EndpointUnreachable(RetriesExhausted, ConnectionError):
    """No connection to the endpoint could be opened: unknown host, refused or no route.

    Example:
        >>> once = {"max_retries": 1}
        >>> with s3kv.Store(store.spec(), endpoint="http://127.0.0.1:9", s3_request_retries=once) as other:
        ...     other.get("a.txt")
        Traceback (most recent call last):
            ...
        s3kv.errors.EndpointUnreachable: ... cannot connect to http://127.0.0.1:9: ...
    """


class DeadlineExceeded(S3KVError, TimeoutError):
    """The store's ``timeout`` passed before the operation was done.

    Example:
        >>> from s3kv.testing import Stall
        >>> fault = s3kv_faults.inject(Stall(), times=None)
        >>> try:
        ...     s3kv_faults.store(timeout=0.05).get("a.txt")
        ... except TimeoutError as error:
        ...     print(repr(error))
        DeadlineExceeded("the store's timeout passed...")
    """


class StoreClosed(S3KVError, ValueError):
    """The store was closed with ``close()``: open a new one. Or the interpreter exits, or has forked.

    Example:
        >>> store.close()
        >>> store["a.txt"]
        Traceback (most recent call last):
            ...
        s3kv.errors.StoreClosed: the store is closed (key='a.txt')
    """


class BatchError(S3KVError):
    """Some keys of a batch failed.

    Attributes:
        errors: The exception for each key that failed (dict of str to Exception).
        results: What succeeded (dict of str to the operation's result).

    Example:
        >>> store["a"] = b"1"
        >>> try:
        ...     store.get_many(["a", "b"])
        ... except s3kv.BatchError as error:
        ...     print(error.results, {key: type(why).__name__ for key, why in error.errors.items()})
        {'a': b'1'} {'b': 'KeyNotFound'}
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

    def __copy__(self) -> BatchError:
        again = _rebuild(type(self), self.message, self._state())
        assert isinstance(again, BatchError)
        return again

    def __reduce__(self) -> tuple[Any, ...]:
        # What a user's file raised may be something that cannot travel, unlike all that is raised here.
        errors = {key: _portable(error) for key, error in self.errors.items()}
        return _rebuild, (type(self), self.message, {**self._state(), "errors": errors})


def _portable(error: Exception) -> Exception:
    """An error that can be pickled: this one, or its words."""
    if isinstance(error, S3KVError):
        return error
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return S3KVError(f"{type(error).__name__}: {error}")
    return error
