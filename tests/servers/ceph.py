"""Ceph's RADOS Gateway over the smallest cluster there can be: one monitor, one OSD in memory.

Nothing of it is meant to survive, so durability is traded for speed everywhere: one copy of each
object, no journal, and a monitor that commits at once instead of gathering changes for a second,
which is most of the difference between starting in fifteen seconds and in two.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from .base import LocalProcessServer
from .ports import LOOPBACK, missing_programs

_PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
_PACKAGES = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"

_CONFIG = """\
[global]
fsid = {fsid}
mon host = {mon_address}
public addr = 127.0.0.1
cluster addr = 127.0.0.1

# No authentication between the daemons, hence no keyrings; the "crc" modes because without keys
# nothing can be encrypted, and radosgw waits for ever for a monitor that prefers to.
auth cluster required = none
auth service required = none
auth client required = none
keyring = {directory}/no-keyring
ms bind msgr1 = false
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc

# Everything to standard error, nothing under /var.
run dir = {directory}
crash dir = {directory}
admin socket =
log file =
log to stderr = true
err to stderr = true
mon cluster log to file = false
debug rocksdb = 0/0
debug memstore = 0/0
debug rgw = 0/0

# A pool of one copy on one host would otherwise be refused, or stay incomplete.
mon allow pool size one = true
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw rados pool pg num min = 4

[mon]
mon data = {directory}/mon
paxos propose interval = 0.01
paxos min wait = 0.01
# A monitor stops when the disk is nearly full, which says nothing about a test.
mon data avail crit = 0

[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 8589934592

[client]
rgw data = {directory}/rgw
# Without tcp_nodelay each answer waits 40 ms for the acknowledgement of its first half.
rgw frontends = beast endpoint=127.0.0.1:{s3_port} tcp_nodelay=1
rgw dynamic resharding = false
"""


class CephServer(LocalProcessServer):
    """``radosgw`` with its own monitor and object store daemon."""

    name: ClassVar[str] = "ceph"
    port_count: ClassVar[int] = 2  # The object store daemon finds its own, also on the loopback.

    @classmethod
    def available(cls) -> str | None:
        """Return None when all programs are found."""
        return missing_programs(_PROGRAMS, install=_PACKAGES)

    def _launch(self) -> None:
        directory = self.directory
        s3_port, mon_port = self.ports
        fsid, osd_uuid = str(uuid.uuid4()), str(uuid.uuid4())
        mon_address = f"[v2:{LOOPBACK}:{mon_port}]"
        config = directory / "ceph.conf"
        config.write_text(
            _CONFIG.format(fsid=fsid, mon_address=mon_address, directory=directory, s3_port=s3_port)
        )
        for part in ("mon", "osd", "rgw"):
            (directory / part).mkdir()
        monmap = str(directory / "monmap")
        conf = ["-c", str(config)]

        new_monmap = ["monmaptool", "--create", "--fsid", fsid, "--addv", "a", mon_address, monmap]
        self._run("prepare", new_monmap)
        self._run("prepare", ["ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", monmap])
        self._spawn("mon", ["ceph-mon", *conf, "-f", "-i", "a"])
        self._run("prepare", ["ceph", *conf, "osd", "new", osd_uuid])
        self._run("prepare", ["ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid])
        self._spawn("osd", ["ceph-osd", *conf, "-f", "-i", "0"])
        # Before the gateway starts: both create the zone's pools, and would race.
        user = ["--uid=tests", "--display-name=tests"]
        keys = [f"--access-key={self._access_key}", f"--secret-key={self._secret_key}"]
        self._run("user", ["radosgw-admin", *conf, "user", "create", *user, *keys])
        self._spawn("radosgw", ["radosgw", *conf, "-f", "-n", "client.rgw.a"])
