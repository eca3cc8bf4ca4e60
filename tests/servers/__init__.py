"""Real servers for the tests to run against, each started by one call, all on 127.0.0.1.

``ALL`` are the S3 servers. Ask ``available()`` first: it returns None, or why a server cannot run
here. Then, in a fixture of session scope::

    with server_class() as server:
        server.create_bucket("bucket")
        yield server

``server.info`` has the endpoint and the keys. What each server is known to get wrong is data in
``departures``. ``StaticServer`` is not an S3 server: it serves files at full speed, for benchmarks.
"""

from .base import LocalProcessServer, ServerInfo, s3_client
from .ceph import CephServer
from .departures import BEHAVIOURS, DEPARTURES, FEATURES, KEY_SHAPES, departure
from .juicefs import JuiceFSServer
from .moto import MotoServer
from .nginx import LISTING_BUCKET, SINK_BUCKET, SINK_ETAG, StaticServer
from .process import LocalProcess, ServerStartError
from .rclone import RcloneServer
from .seaweedfs import SeaweedFSServer

ALL: tuple[type[LocalProcessServer], ...] = (
    MotoServer,
    SeaweedFSServer,
    RcloneServer,
    JuiceFSServer,
    CephServer,
)

__all__ = [
    "ALL",
    "BEHAVIOURS",
    "DEPARTURES",
    "FEATURES",
    "KEY_SHAPES",
    "LISTING_BUCKET",
    "SINK_BUCKET",
    "SINK_ETAG",
    "CephServer",
    "JuiceFSServer",
    "LocalProcess",
    "LocalProcessServer",
    "MotoServer",
    "RcloneServer",
    "SeaweedFSServer",
    "ServerInfo",
    "ServerStartError",
    "StaticServer",
    "departure",
    "s3_client",
]
