"""s3kv: Amazon S3 and compatible stores as a key-value store.

>>> import s3kv
>>> with s3kv.Store("s3://my-bucket/results/") as store:  # sends no request yet
...     store.path
'results/'
"""

from ._version import __version__
from .context import Context
from .errors import (
    BatchError,
    BucketNotFound,
    ByteRangeError,
    Changed,
    ConditionFailed,
    CredentialsError,
    DataLoss,
    DeadlineExceeded,
    EndpointUnreachable,
    InvalidKey,
    KeyNotFound,
    MalformedResponse,
    OutcomeUnknown,
    PermissionDenied,
    RetriesExhausted,
    S3KVError,
    ServiceError,
    SpecError,
    StoreClosed,
    TransportError,
)
from .keyrange import KeyRange
from .spec.spec import Spec
from .store import Store
from .values import (
    ListEntry,
    ObjectInfo,
    ReadResult,
    StorageGeneration,
    TimestampedStorageGeneration,
)

__all__ = [
    "BatchError",
    "BucketNotFound",
    "ByteRangeError",
    "Changed",
    "ConditionFailed",
    "Context",
    "CredentialsError",
    "DataLoss",
    "DeadlineExceeded",
    "EndpointUnreachable",
    "InvalidKey",
    "KeyNotFound",
    "KeyRange",
    "ListEntry",
    "MalformedResponse",
    "ObjectInfo",
    "OutcomeUnknown",
    "PermissionDenied",
    "ReadResult",
    "RetriesExhausted",
    "S3KVError",
    "ServiceError",
    "Spec",
    "SpecError",
    "StorageGeneration",
    "Store",
    "StoreClosed",
    "TimestampedStorageGeneration",
    "TransportError",
    "__version__",
]
