"""Other clients go through the proxy as s3kv does, and signatures stay right on their way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from s3kv.testing import Answer, CutBody, DropResponse, FaultProxy, LocalServer, Reset
from tests.wire import sigv4
from tests.wire.conftest import ACCESS_KEY, SECRET_KEY, OpenStore
from tests.wire.scripted import READ, Forever, ScriptedServer, Send, ok


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """Return a server that runs."""
    with LocalServer() as running:
        yield running


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultProxy]:
    """Return a proxy in front of it."""
    with FaultProxy(server) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Any]:
    """Return a boto3 client that goes through the proxy, and tries three times."""
    made = boto3.client(
        "s3",
        endpoint_url=proxy.endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
    )
    yield made
    made.close()


def test_what_boto3_makes_up_for_is_made_up_for(
    client: Any, proxy: FaultProxy, server: LocalServer
) -> None:
    """It waits for the leave to send a body, too, which the proxy passes on."""
    faults = [
        proxy.inject(Reset(), operation="PutObject"),
        proxy.inject(DropResponse(), operation="PutObject"),
        proxy.inject(Answer.error(503, "SlowDown"), operation="GetObject"),
    ]
    client.put_object(Bucket=server.bucket, Key="key", Body=b"0123456789")
    assert client.get_object(Bucket=server.bucket, Key="key")["Body"].read() == b"0123456789"
    assert [fault.hits for fault in faults] == [1, 1, 1]
    assert any("100-continue" in seen.headers.get("expect", "") for seen in proxy.requests)


def test_what_boto3_does_not_make_up_for_is_its_error(
    client: Any, proxy: FaultProxy, server: LocalServer
) -> None:
    """The body of an answer is cut."""
    client.put_object(Bucket=server.bucket, Key="key", Body=b"0123456789")
    proxy.inject(CutBody(at=4), operation="GetObject")
    body = client.get_object(Bucket=server.bucket, Key="key")["Body"]
    with pytest.raises(Exception, match=r"4 bytes read|IncompleteRead|Connection broken"):
        body.read()
    body.close()


def test_a_file_is_sent_in_parts_through_the_proxy(
    client: Any, proxy: FaultProxy, server: LocalServer, tmp_path: Path
) -> None:
    """And comes back whole."""
    value = bytes(range(256)) * 48 * 1024
    (tmp_path / "file").write_bytes(value)
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    lost = proxy.inject(DropResponse(), operation="UploadPart", skip=1)
    client.upload_file(str(tmp_path / "file"), server.bucket, "large", Config=parts)
    assert lost.hits == 1
    client.download_file(server.bucket, "large", str(tmp_path / "copy"), Config=parts)
    assert (tmp_path / "copy").read_bytes() == value
    assert {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} <= {
        seen.operation for seen in proxy.requests
    }


def test_a_signature_holds_behind_the_proxy(keys: None, open_store: OpenStore) -> None:
    """The server gets the Host that was signed: the proxy's."""
    with ScriptedServer(then=[Forever(READ, Send(ok(b"value")))]) as upstream:
        with FaultProxy(upstream.url) as proxy:
            store = open_store(proxy.endpoint, credentials="environment")
            store.put("a key/é", b"value")
            assert store.get("a key/é") == b"value"
            store.close()
        for request in upstream.requests:
            sigv4.check(request, ACCESS_KEY, SECRET_KEY, "us-east-1")
            assert request.header("host") != upstream.url.removeprefix("http://")
        assert len(upstream.requests) == 2
