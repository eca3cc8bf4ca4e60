"""The servers that the other tests run against start, serve, and leave nothing behind."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.servers import (
    ALL,
    DEPARTURES,
    FEATURES,
    KEY_SHAPES,
    LISTING_BUCKET,
    SINK_BUCKET,
    SINK_ETAG,
    LocalProcess,
    LocalProcessServer,
    MotoServer,
    ServerStartError,
    StaticServer,
    departure,
)

REPOSITORY = Path(__file__).resolve().parents[2]
LINUX = sys.platform == "linux"

Answer = tuple[int, str, bytes]


@pytest.fixture(params=ALL, ids=lambda server_class: server_class.name)
def s3_server(request: pytest.FixtureRequest) -> LocalProcessServer:
    """Return a server of each kind, not started; skip with the reason where it cannot run."""
    server_class: type[LocalProcessServer] = request.param
    reason = server_class.available()
    if reason is not None:
        pytest.skip(reason=reason)
    return server_class()


@pytest.fixture
def bucket_root(tmp_path: Path) -> Path:
    """Return a directory with one bucket, which holds one object of ten bytes."""
    reason = StaticServer.available()
    if reason is not None:
        pytest.skip(reason=reason)
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "key").write_bytes(b"0123456789")
    return tmp_path


class Script(LocalProcess):
    """A server whose program is a line of Python, and which is ready when it says so."""

    name: ClassVar[str] = "script"
    stop_patience: ClassVar[float] = 0.3

    def __init__(self, code: str, *, ready: Callable[[str], bool], seconds: float = 20.0) -> None:
        super().__init__(ready_seconds=seconds)
        self.launches = 0
        self.all_pids: list[int] = []
        self._code = code
        self._ready = ready

    @classmethod
    def available(cls) -> str | None:
        """Return None: the interpreter is there."""
        return None

    def _launch(self) -> None:
        self.launches += 1
        self._spawn("script", [sys.executable, "-c", self._code, str(self.launches)])
        self.all_pids += self.pids

    def _not_ready(self) -> str | None:
        return None if self._ready(self.log_tail()) else "it has not said so"


def test_a_server_stores_objects_and_after_stop_nothing_of_it_is_left(
    s3_server: LocalProcessServer,
) -> None:
    """Put, get, list and delete work; then every process, the port and the directory are gone."""
    with s3_server as server:
        address, directory, pids = ("127.0.0.1", server.ports[0]), server.directory, server.pids
        server.create_bucket("bucket")
        client = server.client()
        put = client.put_object(Bucket="bucket", Key="dir/key", Body=b"value")
        assert put["ETag"] == f'"{hashlib.md5(b"value").hexdigest()}"'
        assert client.get_object(Bucket="bucket", Key="dir/key")["Body"].read() == b"value"
        listed = client.list_objects_v2(Bucket="bucket")["Contents"]
        assert [(entry["Key"], entry["Size"]) for entry in listed] == [("dir/key", 5)]
        client.delete_object(Bucket="bucket", Key="dir/key")
        assert "Contents" not in client.list_objects_v2(Bucket="bucket")
        if LINUX:
            listening = list(listening_addresses(set(pids)))
            assert f"127.0.0.1:{address[1]}" in listening
            assert all(place.startswith("127.0.0.1:") for place in listening), listening
    assert_gone(pids)
    assert not directory.exists()
    with socket.socket() as client_socket:
        assert client_socket.connect_ex(address) != 0


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_static_server_serves_files_swallows_uploads_and_pages_listings(
    bucket_root: Path, tls: bool
) -> None:
    """Files come with ETag and ranges, PUT bodies vanish, tokens choose pages."""
    pages = {"": b"<first/>", "two": b"<second/>"}
    with StaticServer(bucket_root, tls=tls, pages=pages) as server:
        trust = ssl.create_default_context(cafile=str(server.ca_file)) if tls else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )

        def send(method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
            url = f"{server.endpoint}/{path}"
            request = urllib.request.Request(url, body, headers, method=method)
            with opener.open(request, timeout=30) as response:
                return response.status, response.headers["ETag"], response.read()

        status, etag, body = send("GET", "bucket/key")
        assert (status, etag[:1] + etag[-1:], body) == (200, '""', b"0123456789")
        assert send("GET", "bucket/key", Range="bytes=2-4") == (206, etag, b"234")
        assert send("PUT", f"{SINK_BUCKET}/any/key", b"x" * 3_000_000) == (200, SINK_ETAG, b"")
        assert send("GET", f"{LISTING_BUCKET}?list-type=2")[2] == b"<first/>"
        token = "continuation-token=two"
        assert send("GET", f"{LISTING_BUCKET}/?{token}&list-type=2")[2] == b"<second/>"
        with pytest.raises(urllib.error.HTTPError, match="400"):
            send("GET", f"{LISTING_BUCKET}?continuation-token=three")
        pids = server.pids
    assert_gone(pids)


def test_a_server_that_dies_while_starting_is_an_error_that_quotes_its_log() -> None:
    """The developer sees why, and the process group and directory are gone."""
    server = Script("print('no licence found'); raise SystemExit(3)", ready=never)
    with pytest.raises(ServerStartError, match=r"(?s)status 3 .*no licence found"):
        server.start()
    assert server.launches == 1
    assert_gone(server.all_pids)


def test_a_server_that_never_gets_ready_is_killed_when_its_time_is_up() -> None:
    """Also when it ignores the request to end, and its own child does so too."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.fork(); print('deaf', flush=True); time.sleep(600)"
    )
    server = Script(code, ready=never, seconds=1.0)
    with pytest.raises(ServerStartError, match=r"(?s)not ready after 1 s.*deaf"):
        server.start()
    assert_gone(server.all_pids)


def test_a_port_that_was_taken_meanwhile_leads_to_another_try() -> None:
    """Only the second launch gets its port."""
    code = (
        "import sys, time\n"
        "if sys.argv[1] == '1': raise SystemExit('bind: Address already in use')\n"
        "print('serving', flush=True); time.sleep(600)"
    )
    with Script(code, ready=lambda log: "serving" in log) as server:
        assert server.launches == 2
    assert_gone(server.all_pids)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_cannot_stop_the_servers_of_its_parent() -> None:
    """Whatever a child's exit handlers do, the parent's server runs on."""
    with Script(
        "import time; print('up', flush=True); time.sleep(600)", ready=lambda log: "up" in log
    ) as server:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os.killpg(server.pids[0], 0)
        assert server.directory.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_do_not_outlive_a_test_run_that_is_interrupted_or_killed(
    how: signal.Signals,
) -> None:
    """Ctrl-C goes through the context manager; what Python cannot handle, through the guard."""
    reason = MotoServer.available()
    if reason is not None:
        pytest.skip(reason=reason)
    code = (
        "from tests.servers import MotoServer; import time\n"
        "with MotoServer() as server:\n"
        "    print(server.pids[0], server.directory, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdout is not None
        pid, directory = run.stdout.readline().split()
        os.killpg(int(pid), 0)
        run.send_signal(how)
    assert_gone([int(pid)])
    assert wait_until(lambda: not Path(directory).exists())


def test_the_table_of_departures_names_servers_and_features_that_exist() -> None:
    """A misspelt name would hide a test's expectations."""
    assert list(DEPARTURES) == [server_class.name for server_class in ALL]
    for features in DEPARTURES.values():
        assert features.keys() <= FEATURES
    assert all(0 < len(key.encode()) <= 1024 for key in KEY_SHAPES.values())
    assert departure("moto", "keep-alive")
    assert departure("ceph", "keep-alive") is None
    with pytest.raises(KeyError, match="keepalive"):
        departure("ceph", "keepalive")


def never(_log: str) -> bool:
    """Be the readiness of a server that does not get ready."""
    return False


def wait_until(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    """Return whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def assert_gone(pids: tuple[int, ...] | list[int]) -> None:
    """Fail if a process is left in any of these groups; give the dying a moment."""
    assert pids
    assert wait_until(lambda: not any(group_exists(pid) for pid in pids)), pids


def group_exists(group: int) -> bool:
    """Tell whether any process runs in a group."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    # In a container whose first process does not reap orphans, they stay in the group as zombies.
    return not LINUX or any(state != "Z" for state in states_in_group(group))


def states_in_group(group: int) -> Iterator[str]:
    """Yield the one-letter state of each process of a group (Linux only)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the program's name, which may itself have parentheses and spaces in it.
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It ended while we looked.
        if int(fields[2]) == group:
            yield fields[0]


def listening_addresses(groups: set[int]) -> Iterator[str]:
    """Yield the TCP addresses that processes of these groups listen on (Linux only)."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) in groups:
                inodes |= {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:
            continue  # It ended while we looked, or its table of files is not ours to read.
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                host, _, port = fields[1].partition(":")
                ipv4 = ".".join(str(byte) for byte in reversed(bytes.fromhex(host)))
                yield f"{ipv4 if table == 'tcp' else host}:{int(port, 16)}"
