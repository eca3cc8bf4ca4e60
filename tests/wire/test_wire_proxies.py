"""Proxies that the environment names: forwarding for http, CONNECT for https, and what they may see."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
import requests

import s3kv
from tests.wire import sigv4
from tests.wire.authority import Authority
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, TOKEN, OpenStore, RecordingTimer
from tests.wire.helpers import Stopwatch
from tests.wire.scripted import (
    CLOSE,
    HOLD,
    READ,
    RESET,
    Flood,
    Recorded,
    ScriptedServer,
    Send,
    Step,
    Tunnel,
    answer,
    exchanges,
    ok,
)

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"
BASIC = "Basic " + base64.b64encode(b"us er:p@ss:w/rd").decode()
LOGIN = "us%20er:p%40ss%3Aw%2Frd@"


def _tunnel(to: ScriptedServer) -> list[Step]:
    return [READ, Send(ESTABLISHED), Tunnel(to.address)]


@pytest.fixture(params=["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def http_variable(request: pytest.FixtureRequest) -> str:
    """Return a variable that names a proxy for http."""
    return str(request.param)


@pytest.fixture(params=["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def https_variable(request: pytest.FixtureRequest) -> str:
    """Return a variable that names a proxy for https."""
    return str(request.param)


def test_plain_http_is_forwarded(
    http_variable: str, keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request line has the whole URL; Host and signature are the store's, not the proxy's.

    The store's host is not looked up: the proxy does that.
    """
    with ScriptedServer(exchanges(ok(b"v"), ok(), ok(b"v"))) as proxy:
        monkeypatch.setenv(http_variable, proxy.url)
        store = open_store("http://s3.invalid", credentials="environment")
        assert store.get("key") == b"v"
        store.put("key", b"value")
        assert store.get("key", byte_range=slice(0, 1)) == b"v"
        assert [request.line for request in proxy.requests] == [
            "GET http://s3.invalid/bucket/key HTTP/1.1",
            "PUT http://s3.invalid/bucket/key HTTP/1.1",
            "GET http://s3.invalid/bucket/key HTTP/1.1",
        ]
        for request in proxy.requests:
            assert request.header("host") == "s3.invalid"
            assert request.header("proxy-authorization") is None
            _check_forwarded(request)


def test_the_port_of_the_store_is_told_to_the_proxy(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the URL and in the Host header; a port that goes without saying in neither."""
    with ScriptedServer(exchanges(ok())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        open_store("http://s3.invalid:9000/base").get("key")
        request = proxy.requests[0]
        assert request.target == "http://s3.invalid:9000/base/bucket/key"
        assert request.header("host") == "s3.invalid:9000"
    with ScriptedServer(exchanges(ok())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        open_store("http://s3.invalid:80").get("key")
        assert proxy.requests[0].target == "http://s3.invalid/bucket/key"
        assert proxy.requests[0].header("host") == "s3.invalid"


@pytest.mark.parametrize("key", ["a//b", "//lead", "./x", "../x", "a/../b", "é+%2F?#", "x/"])
def test_a_forwarded_path_is_the_keys(
    key: str, keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded once and not normalised, with a bucket or without."""
    with ScriptedServer(exchanges(ok(), ok()), then=exchanges(ok(), ok())) as direct:
        for bucket in ("bucket", ""):
            store = open_store(direct, bucket=bucket, credentials="environment")
            store.get(key)
            store.get(key)
        expected = [request.target for request in direct.requests]
    with ScriptedServer(then=exchanges(ok(), ok())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for bucket in ("bucket", ""):
            store = open_store("http://s3.invalid", bucket=bucket, credentials="environment")
            store.get(key)
            store.get(key)
        assert [request.target for request in proxy.requests] == [
            f"http://s3.invalid{target}" for target in expected
        ]


def test_the_proxys_password_goes_to_the_proxy(
    open_store: OpenStore, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Percent-decoded, as Basic, with every forwarded request."""
    with ScriptedServer(exchanges(ok(), ok(), ok())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", f"://{LOGIN}"))
        store = open_store("http://s3.invalid", credentials="environment")
        for _ in range(3):
            store.get("key")
        for request in proxy.requests:
            assert request.header("proxy-authorization") == BASIC
            _check_forwarded(request)


def test_a_proxy_may_be_named_without_a_scheme(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``host:port`` is an http proxy."""
    with ScriptedServer(exchanges(ok(b"v"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        assert open_store("http://s3.invalid").get("key") == b"v"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("*", True),
        ("other.invalid, 127.0.0.1", True),
        ("127.0.0.1:{port}", True),
        ("", False),
        ("other.invalid", False),
        ("127.0.0.2", False),
        ("127.0.0.1:1", False),
    ],
)
def test_no_proxy_names_the_hosts_that_need_none(
    no_proxy: str, direct: bool, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By address, by name, with a port or without."""
    one = exchanges(ok(b"direct")) if direct else exchanges(ok(b"proxy"))
    with (
        ScriptedServer(*[one] if direct else []) as server,
        ScriptedServer(*[] if direct else [one]) as proxy,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy.format(port=server.port))
        assert open_store(server).get("key") == (b"direct" if direct else b"proxy")


def test_a_domain_and_all_below_it_may_need_no_proxy(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``.invalid`` means every name there; the connection is tried directly, where it is unknown."""
    with ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", ".invalid")
        store = open_store("http://never-behind-one.invalid", policy=FAST._replace(unreachable_for=0))
        with pytest.raises(s3kv.EndpointUnreachable):
            store.get("key")


def test_a_proxy_for_https_is_none_for_http(
    trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other way round."""
    tls = trusted.server_context("127.0.0.1")
    with (
        ScriptedServer(exchanges(ok(b"plain"))) as plain,
        ScriptedServer(exchanges(ok(b"tls")), tls=tls) as secure,
        ScriptedServer() as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert open_store(plain).get("key") == b"plain"
        monkeypatch.delenv("HTTPS_PROXY")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert open_store(secure).get("key") == b"tls"


def test_https_goes_through_a_tunnel(
    https_variable: str,
    session_keys: None,
    trusted: Authority,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy sees a host and a port; what is said inside is between the client and the store."""
    tls = trusted.server_context("s3.invalid")
    with (
        ScriptedServer(exchanges(ok(b"v"), ok(), ok(b"v")), tls=tls) as server,
        ScriptedServer(_tunnel(server)) as proxy,
    ):
        monkeypatch.setenv(https_variable, proxy.url)
        store = open_store("https://s3.invalid", credentials="environment")
        assert store.get("key") == b"v"
        store.put("key", b"value")
        assert store.get("key") == b"v"
        connect = proxy.requests[0]
        assert len(proxy.requests) == 1
        assert connect.line.startswith("CONNECT s3.invalid:443 HTTP/1.")
        assert connect.names <= {"host", "user-agent", "proxy-connection"}
        for request in server.requests:
            assert request.target == "/bucket/key"
            assert request.header("host") == "s3.invalid"
            assert not any(name.startswith("proxy-") for name in request.names)
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")


def test_the_password_of_a_tunnel_goes_to_the_proxy_alone(
    session_keys: None, trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the store's proof to the store alone."""
    tls = trusted.server_context("s3.invalid")
    with (
        ScriptedServer(exchanges(ok(b"v")), tls=tls) as server,
        ScriptedServer(_tunnel(server)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", f"://{LOGIN}"))
        assert open_store("https://s3.invalid:9000", credentials="environment").get("key") == b"v"
        connect = proxy.requests[0]
        assert connect.target == "s3.invalid:9000"
        assert connect.header("proxy-authorization") == BASIC
        for secret in (b"AWS4-HMAC-SHA256", b"Signature", ACCESS_KEY.encode(), TOKEN.encode(), b"bucket"):
            assert secret not in connect.raw
        assert server.requests[0].header("proxy-authorization") is None
        assert server.requests[0].header("host") == "s3.invalid:9000"


@pytest.mark.parametrize("names", [("other.invalid",), ("127.0.0.1",), ("localhost",)])
def test_the_certificate_in_a_tunnel_is_the_stores(
    names: tuple[str, ...],
    keys: None,
    trusted: Authority,
    open_store: OpenStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One for the proxy, or for anybody else, is refused, and nothing is sent."""
    with (
        ScriptedServer([READ], tls=trusted.server_context(*names)) as server,
        ScriptedServer(_tunnel(server)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        store = open_store("https://s3.invalid", credentials="environment", policy=FAST)
        with pytest.raises(s3kv.TransportError, match=r"mismatch|doesn't match") as caught:
            store.get("key")
        assert caught.value.reason == "tls"
        assert server.requests == []


REFUSALS = {
    "407": answer(407, b"log in", 'Proxy-Authenticate: Basic realm="x"', "Connection: close"),
    "403": answer(403, b"<html>no</html>", "Connection: close"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_tunnel_that_is_refused_is_an_error_of_the_proxy(
    status: str, trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the proxy's status, without its password, and not tried again."""
    timer = RecordingTimer()
    with ScriptedServer([READ, Send(REFUSALS[status])]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://joe:opensesame@"))
        store = open_store("https://s3.invalid", policy=FAST, timer=timer)
        with pytest.raises(s3kv.TransportError, match=status) as caught:
            store.get("key")
        assert caught.value.reason == "proxy"
        assert caught.value.attempts == 1
        assert "opensesame" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert str(proxy.port) in str(caught.value)
    assert timer.waits == []


@pytest.mark.parametrize(
    "steps",
    [
        [READ, CLOSE],
        [READ, RESET],
        [READ, Send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), CLOSE],
        [READ, Send(b"HTTP/1.1 banana\r\n\r\n"), CLOSE],
        [READ, Send(b"HTTP/1.1 200 OK"), CLOSE],
        [READ, Send(b"\r\n\r\n"), CLOSE],
        [READ, Send(b"\x00\xff\xfe"), CLOSE],
        [READ, Send(b"HTTP/1.1 200 OK\r\n"), Flood(b"x" * 65536)],
        [READ, Flood(b"x" * 65536)],
        [READ, Send(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), CLOSE],
    ],
    ids=[
        "closed",
        "reset",
        "ssh",
        "no status",
        "cut",
        "empty",
        "binary",
        "endless header",
        "endless line",
        "502",
    ],
)
def test_a_proxy_that_talks_nonsense_is_an_error_of_ours(
    steps: list[Step], trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of http.client's, whatever came instead of an answer to CONNECT; and soon."""
    with ScriptedServer(then=steps, lenient=True) as proxy, Stopwatch() as watch:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        store = open_store("https://s3.invalid", policy=FAST._replace(max_retries=2))
        with pytest.raises(s3kv.S3KVError):
            store.get("key")
        for peer in proxy.connections:
            assert peer.gone.wait(2)
    assert watch.seconds < 3


def test_a_proxy_whose_headers_do_not_end_is_an_error_of_ours(
    trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some kilobytes, not some megabytes: the answer to CONNECT is a head like any other."""
    flood: list[Step] = [READ, Send(b"HTTP/1.1 200 OK\r\n"), Flood(b"X-A: b\r\n" * 8000, limit=20_000_000)]
    with ScriptedServer(then=flood, lenient=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        store = open_store("https://s3.invalid", policy=FAST._replace(max_retries=1))
        with pytest.raises(s3kv.S3KVError):
            store.get("key")
        peer = proxy.connections[0]
        assert peer.gone.wait(2)
    assert peer.sent < 16 * 1024 * 1024


def test_the_timeout_bounds_a_proxy(
    trusted: Authority, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes CONNECT and says nothing."""
    with ScriptedServer(then=[READ, HOLD]) as proxy, Stopwatch() as watch:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        store = open_store("https://s3.invalid", timeout=0.2)
        with pytest.raises(s3kv.DeadlineExceeded):
            store.get("key")
    assert 0.2 <= watch.seconds < 1


def test_a_proxys_own_answer_is_an_error_in_its_words(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """407 for a forwarded request has no S3 error code, but a page."""
    page = answer(407, b"<html><h1>Please log in</h1></html>", "Content-Type: text/html")
    with ScriptedServer(exchanges(page)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://joe:opensesame@"))
        store = open_store("http://s3.invalid")
        with pytest.raises(s3kv.ServiceError, match="Please log in") as caught:
            store.get("key")
        assert caught.value.status == 407
        assert "opensesame" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["https", "socks5", "socks5h", "socks4", "ftp"])
def test_a_proxy_of_another_kind_is_an_error_that_says_what_to_do(
    scheme: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions can do more; a password in the URL is not shown."""
    monkeypatch.setenv("HTTP_PROXY", f"{scheme}://joe:opensesame@127.0.0.1:9")
    store = open_store("http://s3.invalid", policy=FAST)
    with pytest.raises(s3kv.TransportError, match="session=") as caught:
        store.get("key")
    assert caught.value.reason == "proxy"
    assert caught.value.attempts == 1
    assert "opensesame" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:99999", "http://", "://", "http://a b:80"]
)
def test_a_proxy_that_is_no_url_is_an_error_of_ours(
    url: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of urllib3's."""
    monkeypatch.setenv("HTTP_PROXY", url)
    store = open_store("http://s3.invalid", policy=FAST._replace(max_retries=1))
    with pytest.raises(s3kv.S3KVError):
        store.get("key")


def test_a_session_forwards_through_the_environments_proxy(
    keys: None, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As requests does, and as the built-in transport does."""
    with requests.Session() as session, ScriptedServer(exchanges(ok(b"v"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", f"://{LOGIN}"))
        store = open_store("http://s3.invalid", credentials="environment", session=session)
        assert store.get("a b/é") == b"v"
        request = proxy.requests[0]
        assert request.target == "http://s3.invalid/bucket/a%20b/%C3%A9"
        assert request.header("proxy-authorization") == BASIC
        _check_forwarded(request)


@pytest.mark.parametrize("key", ["./x", "../x", "a/../b"])
def test_a_session_that_would_rewrite_a_forwarded_path_is_refused(
    key: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that says so, rather than another object."""
    with requests.Session() as session, ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        store = open_store("http://s3.invalid", session=session)
        with pytest.raises(s3kv.TransportError, match="rewrite"):
            store.get(key)


def test_a_session_tunnels_through_its_own_proxy(
    session_keys: None, authority: Authority, open_store: OpenStore
) -> None:
    """What the session was set up with counts: proxy and certificates."""
    tls = authority.server_context("s3.invalid")
    with (
        requests.Session() as session,
        ScriptedServer(exchanges(ok(b"v")), tls=tls) as server,
        ScriptedServer(_tunnel(server)) as proxy,
    ):
        session.proxies = {"https": proxy.url}
        session.verify = str(authority.bundle)
        store = open_store("https://s3.invalid", credentials="environment", session=session)
        assert store.get("../x") == b"v"
        assert proxy.requests[0].target == "s3.invalid:443"
        assert b"AWS4" not in proxy.requests[0].raw
        assert server.requests[0].target == "/bucket/../x"
        sigv4.check(server.requests[0], ACCESS_KEY, SECRET_KEY, "us-east-1")


def _check_forwarded(request: Recorded) -> None:
    """Assert that the signature is that of the path, not of the URL in the request line."""
    head = request.head.replace(b" http://s3.invalid/", b" /", 1)
    sigv4.check(replace(request, head=head), ACCESS_KEY, SECRET_KEY, "us-east-1")
