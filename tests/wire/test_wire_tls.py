"""TLS: verified by default, against the bundle that the environment names, never half."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

import s3kv
from s3kv.transport.tls import tls_context
from tests.wire.authority import Authority
from tests.wire.conftest import FAST, OpenStore, RecordingTimer
from tests.wire.helpers import Stopwatch
from tests.wire.scripted import (
    CLOSE,
    FIN,
    LOOPBACK,
    READ,
    RESET,
    ScriptedServer,
    Send,
    Step,
    Trickle,
    answer,
    chunked,
    every_byte,
    exchanges,
    ok,
)

VARIABLES = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"]


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    """Return the context of a server whose certificate is for 127.0.0.1 and localhost."""
    return authority.server_context("127.0.0.1", "localhost")


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bundle_that_the_environment_names_is_trusted(
    variable: str,
    authority: Authority,
    tls: ssl.SSLContext,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And everything goes over one connection, as without TLS."""
    monkeypatch.setenv(variable, str(authority.bundle))
    answers = [ok(b"v"), ok(), answer(200, b"", 'ETag: "e"', length=7), chunked(b"in ", b"chunks")]
    with ScriptedServer(exchanges(*answers), tls=tls) as server:
        store = open_store(server)
        assert store.get("key") == b"v"
        store.put("key", b"v")
        assert store.stat("key").size == 7
        assert store.get("key") == b"in chunks"
        assert isinstance(server.connections[0].sock, ssl.SSLSocket)
        assert server.connections[0].sock.version() in ("TLSv1.2", "TLSv1.3")


def test_a_directory_of_certificates_is_trusted(
    authority: Authority,
    tls: ssl.SSLContext,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Named by their hashes, as OpenSSL wants them."""
    try:
        command = ["openssl", "x509", "-hash", "-noout", "-in", str(authority.bundle)]
        name = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no openssl program to compute the name of the certificate's file")
    (tmp_path / f"{name}.0").write_bytes(authority.certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path))
    with ScriptedServer(exchanges(ok(b"v")), tls=tls) as server:
        assert open_store(server).get("key") == b"v"


def test_the_aws_variable_goes_before_the_other(
    authority: Authority,
    tls: ssl.SSLContext,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """AWS_CA_BUNDLE is trusted, and what REQUESTS_CA_BUNDLE says does not matter."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with ScriptedServer(exchanges(ok(b"v")), tls=tls) as server:
        assert open_store(server).get("key") == b"v"


def test_an_empty_variable_is_no_bundle(
    authority: Authority, tls: ssl.SSLContext, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is asked."""
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with ScriptedServer(exchanges(ok(b"v")), tls=tls) as server:
        assert open_store(server).get("key") == b"v"


def test_a_name_is_verified_as_well_as_an_address(
    authority: Authority, tls: ssl.SSLContext, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is for both."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    with ScriptedServer(exchanges(ok(b"v")), tls=tls) as server:
        assert open_store(f"https://localhost:{server.port}").get("key") == b"v"


def _unknown_authority(tmp_path: Path, authority: Authority) -> tuple[Authority | None, ssl.SSLContext]:
    return None, authority.server_context("127.0.0.1")


def _another_authority(tmp_path: Path, authority: Authority) -> tuple[Authority | None, ssl.SSLContext]:
    return Authority(tmp_path, "another authority"), authority.server_context("127.0.0.1")


def _another_name(tmp_path: Path, authority: Authority) -> tuple[Authority | None, ssl.SSLContext]:
    return authority, authority.server_context("other.invalid", "127.0.0.2")


def _expired(tmp_path: Path, authority: Authority) -> tuple[Authority | None, ssl.SSLContext]:
    return authority, authority.server_context("127.0.0.1", expired=True)


BAD = {
    "nobody vouches for it": (_unknown_authority, "issuer|self.signed|unable to get"),
    "another authority vouches for it": (_another_authority, "issuer|self.signed|unable to get|signature"),
    "it is for another host": (_another_name, "mismatch|doesn't match"),
    "it has expired": (_expired, "expired"),
}


@pytest.mark.parametrize("session", [False, True], ids=["built-in", "session"])
@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
def test_a_certificate_that_is_not_good_is_refused(
    make: Callable[[Path, Authority], tuple[Authority | None, ssl.SSLContext]],
    words: str,
    session: bool,
    authority: Authority,
    open_store: OpenStore,
    keys: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """At once, not tried again, and no byte of the request leaves before."""
    trusted, context = make(tmp_path, authority)
    if trusted is not None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted.bundle))
    timer = RecordingTimer()
    with requests.Session() as made, ScriptedServer([READ], tls=context) as server:
        store = open_store(
            server, credentials="environment", policy=FAST, timer=timer, session=made if session else None
        )
        with pytest.raises(s3kv.TransportError, match=f"(?i){words}") as caught:
            store.get("key")
        assert caught.value.reason == "tls"
        assert caught.value.attempts == 1
        assert (caught.value.operation, caught.value.key) == ("GetObject", "key")
        assert server.connections[0].gone.wait(2)
        assert server.requests == []
        assert timer.waits == []


def test_a_certificate_that_is_not_trusted_names_the_remedy(
    authority: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Whoever runs a store of their own needs AWS_CA_BUNDLE."""
    with ScriptedServer([READ], tls=tls) as server:
        store = open_store(server)
        with pytest.raises(s3kv.TransportError, match="AWS_CA_BUNDLE"):
            store.get("key")


def test_a_plain_server_is_no_tls_server(trusted: Authority, open_store: OpenStore) -> None:
    """It answers the handshake in words of its own: an error that is not tried again."""
    timer = RecordingTimer()
    with ScriptedServer([Send(answer(400, b"what?")), FIN], lenient=True) as server, Stopwatch() as watch:
        store = open_store(server.url.replace("http:", "https:"), policy=FAST, timer=timer)
        with pytest.raises(s3kv.TransportError, match="plain http") as caught:
            store.get("key")
        assert caught.value.reason == "tls"
        assert caught.value.attempts == 1
        assert len(server.connections) == 1
    assert timer.waits == []
    assert watch.seconds < 2


def test_a_tls_server_is_no_plain_server(tls: ssl.SSLContext, open_store: OpenStore) -> None:
    """The request breaks its handshake; what comes back is no HTTP, or nothing."""
    with ScriptedServer(then=[READ], tls=tls) as server:
        store = open_store(server.url.replace("https:", "http:"), policy=FAST)
        with pytest.raises(s3kv.S3KVError) as caught:
            store.get("key")
        assert isinstance(caught.value, (s3kv.MalformedResponse, s3kv.RetriesExhausted))


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bundle_that_does_not_exist_is_an_error_that_names_the_variable(
    variable: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not silently the system's certificates instead."""
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv(variable, str(missing))
    with ScriptedServer() as server:
        with pytest.raises(s3kv.SpecError, match=variable) as caught:
            open_store(server.url.replace("http:", "https:")).get("key")
        assert str(missing) in str(caught.value)
        assert caught.value.member == variable


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bundle_that_is_none_is_an_error_that_names_it(
    content: bytes, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable too, for that is what has to be changed."""
    bundle = tmp_path / "broken.pem"
    bundle.write_bytes(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with ScriptedServer() as server:
        with pytest.raises(s3kv.SpecError, match="AWS_CA_BUNDLE") as caught:
            open_store(server.url.replace("http:", "https:")).get("key")
        assert str(bundle) in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_bundle_that_may_not_be_read_is_an_error_that_names_it(
    authority: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And not an unverified connection."""
    bundle = tmp_path / "secret.pem"
    bundle.write_bytes(authority.certificate)
    bundle.chmod(0)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with ScriptedServer() as server:
        store = open_store(server.url.replace("http:", "https:"))
        with pytest.raises(s3kv.SpecError, match=r"secret\.pem"):
            store.get("key")


def test_answers_may_come_in_any_pieces_over_tls(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Records of one byte, and records that hold more than is read at once."""
    large = bytes(range(256)) * 8192
    script = [
        READ,
        Trickle(every_byte(ok(b"small"))),
        READ,
        Send(ok(large)),
        READ,
        Send(chunked(large, large)),
    ]
    with ScriptedServer(script, tls=tls) as server:
        store = open_store(server)
        assert store.get("key") == b"small"
        assert store.get("key") == large
        assert store.get("key") == large * 2


def test_large_values_are_sent_over_tls(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """To the byte."""
    value = bytes(range(256)) * 12_000
    with ScriptedServer(exchanges(ok(), ok()), tls=tls) as server:
        store = open_store(server)
        store.put("key", value)
        store.put("key", b"small")
        assert [request.body for request in server.requests] == [value, b"small"]


@pytest.mark.parametrize("end", [FIN, CLOSE, RESET], ids=["FIN", "FIN, then RST", "RST"])
def test_a_dead_tls_connection_is_replaced_for_free(
    end: Step, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Like a plain one: no attempt, no wait."""
    timer = RecordingTimer()
    script = [[READ, Send(ok()), READ, end], exchanges(ok(b"fine"))]
    with ScriptedServer(*script, tls=tls, lenient=True) as server:
        store = open_store(server, policy=FAST._replace(max_retries=1), timer=timer)
        store.put("key", b"")
        assert store.get("key") == b"fine"
        assert timer.waits == []


@pytest.mark.parametrize("end", [FIN, CLOSE, RESET], ids=["FIN", "FIN, then RST", "RST"])
@pytest.mark.parametrize(
    "data",
    [ok(b"0123456789")[:-1], chunked(b"0123456789")[:-5], ok(b"x" * 2_000_000)[:-1]],
    ids=["length", "chunks", "large"],
)
def test_a_body_cut_short_over_tls_is_asked_for_again(
    data: bytes, end: Step, trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """An end without TLS's own goodbye is an end all the same."""
    script = [[READ, Send(data), end], exchanges(ok(b"whole"))]
    with ScriptedServer(*script, tls=tls, lenient=True) as server:
        assert open_store(server, policy=FAST).get("key") == b"whole"


def test_a_server_that_breaks_off_the_handshake_is_a_transient_failure(
    trusted: Authority, open_store: OpenStore
) -> None:
    """It may be restarting."""
    with ScriptedServer([CLOSE], [RESET], then=[CLOSE]) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(s3kv.RetriesExhausted) as caught:
            open_store(url, policy=FAST).get("key")
        assert caught.value.attempts == FAST.max_retries
        assert len(server.connections) == FAST.max_retries


def test_closing_a_store_closes_its_tls_connections(
    trusted: Authority, tls: ssl.SSLContext, open_store: OpenStore
) -> None:
    """Without waiting for a goodbye."""
    with ScriptedServer(exchanges(ok()), tls=tls) as server:
        store = open_store(server)
        store.put("key", b"")
        with Stopwatch() as watch:
            store.close()
        assert watch.seconds < 0.5
        assert server.connections[0].gone.wait(1)


def test_a_peer_that_resets_before_the_handshake_leaves_no_socket_open() -> None:
    """Not even where Python's ssl would: its half-made socket has no owner."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        select.select([sock], [], [], 5)
        with pytest.raises(ConnectionError):
            tls_context(None).wrap_socket(sock, server_hostname="localhost")
        assert sock.fileno() == -1
