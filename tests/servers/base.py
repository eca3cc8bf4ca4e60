"""What the S3 servers have in common: credentials, a boto3 client, and when one counts as ready."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .ports import LOOPBACK
from .process import LocalProcess

REGION = "us-east-1"


@dataclass(frozen=True)
class ServerInfo:
    """All that a client needs to know to talk to a running server."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = REGION


class LocalProcessServer(LocalProcess):
    """An S3 server on 127.0.0.1 with one administrator, whose keys are made up at each start."""

    def __init__(self, *, ready_seconds: float = 90.0) -> None:
        super().__init__(ready_seconds=ready_seconds)
        # Fresh keys: a signed answer then comes from this very server, not from another one that
        # took the port in between. Hex digits only, since some servers split lists at commas.
        self._access_key = "AK" + secrets.token_hex(9).upper()
        self._secret_key = secrets.token_hex(20)
        self._probe: Any = None

    @property
    def info(self) -> ServerInfo:
        """Where the running server is, and the keys it accepts."""
        return ServerInfo(
            name=self.name,
            endpoint=f"http://{LOOPBACK}:{self.ports[0]}",
            access_key=self._access_key,
            secret_key=self._secret_key,
        )

    def client(self) -> Any:
        """Return a new boto3 S3 client for the running server."""
        return s3_client(self.info)

    def create_bucket(self, name: str) -> None:
        """Create an empty bucket."""
        self.client().create_bucket(Bucket=name)

    def stop(self) -> None:
        """Stop the server; see ``LocalProcess.stop``."""
        self._probe = None
        super().stop()

    def _not_ready(self) -> str | None:
        if self._probe is None:
            self._probe = s3_client(self.info, timeout=5.0)
        try:
            self._probe.list_buckets()
        except (BotoCoreError, ClientError) as error:
            return f"{type(error).__name__}: {error}"
        return None


def s3_client(info: ServerInfo, *, timeout: float = 60.0) -> Any:
    """Return a boto3 S3 client that behaves the same whatever the developer has configured.

    It reads neither the AWS configuration files nor a profile, uses no proxy, never retries, and
    sends no checksum that an S3-compatible server might not know.
    """
    session = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        endpoint_url=info.endpoint,
        region_name=info.region,
        aws_access_key_id=info.access_key,
        aws_secret_access_key=info.secret_key,
        config=Config(
            s3={"addressing_style": "path"},
            proxies={},
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
