"""For testing code that uses s3kv: a local S3 server in the same process.

Needs the ``server`` extra: ``pip install 's3kv[server]'``.
"""

from .local_server import LocalServer

__all__ = ["LocalServer"]
