"""For testing code that uses s3kv: a local S3 server in the same process, and faults on the way to it.

:class:`LocalServer` needs the ``server`` extra: ``pip install 's3kv[server]'``. With it come the fixtures
of pytest in :mod:`s3kv.testing.plugin`, which pytest finds by itself.
"""

from .fault_proxy import FaultProxy
from .faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutBody,
    CutRequest,
    Delay,
    DropResponse,
    Fault,
    RawAnswer,
    Reset,
    Stall,
    Throttle,
)
from .injection import Injection
from .local_server import LocalServer
from .seen import Seen

__all__ = [
    "Answer",
    "Corrupt",
    "CutAnswer",
    "CutBody",
    "CutRequest",
    "Delay",
    "DropResponse",
    "Fault",
    "FaultProxy",
    "Injection",
    "LocalServer",
    "RawAnswer",
    "Reset",
    "Seen",
    "Stall",
    "Throttle",
]
