"""What a store counts, and what it tells the log."""

from __future__ import annotations

import gc
import logging
import os
import threading
from typing import Any

import pytest

import s3kv
from s3kv.errors import S3KVError
from s3kv.metrics import BOUNDS, Histogram, Metrics, process_metrics
from tests.wire.conftest import ACCESS_KEY, FAST, SECRET_KEY, TOKEN, OpenStore
from tests.wire.scripted import CLOSE, READ, Forever, ScriptedServer, Send, error, listing, ok
from tests.wire.shelf import Shelf, cut

NAMES = ("read", "write", "delete_range", "list", "bytes_read", "bytes_written", "retries")


def _forever(*answers: bytes) -> ScriptedServer:
    steps = [step for each in answers for step in (READ, Send(each))]
    return ScriptedServer(then=[Forever(*steps)], lenient=True)


def _counts(metrics: Metrics) -> dict[str, Any]:
    return {name: metrics[f"/tensorstore/kvstore/s3/{name}"] for name in NAMES}


def test_a_new_store_has_done_nothing(open_store: OpenStore) -> None:
    """And says so under every name."""
    with _forever(ok()) as server:
        metrics = open_store(server).metrics
    assert set(_counts(metrics).values()) == {0}
    assert metrics["read_latency_ms"].count == metrics["write_latency_ms"].count == 0
    assert metrics["in_flight"] == 0
    assert metrics["in_flight_limit"] == 32


def test_reads_and_writes_are_counted_with_their_bytes(open_store: OpenStore) -> None:
    """One by one and in batches."""
    with _forever(ok(b"12345")) as server:
        store = open_store(server)
        store.get("key")
        store.put("key", b"123")
        store.get_many(["a", "b", "c"])
        store.delete("key")
        metrics = store.metrics
    assert _counts(metrics) == {
        "read": 4,
        "write": 2,
        "delete_range": 0,
        "list": 0,
        "bytes_read": 20,
        "bytes_written": 3,
        "retries": 0,
    }
    reads = metrics["read_latency_ms"]
    assert isinstance(reads, Histogram)
    assert reads.count == sum(reads.buckets) == 4
    assert 0 < reads.sum < 4 * 10_000
    assert metrics["write_latency_ms"].count == 2
    assert metrics["requests"] == 6


def test_listings_are_counted_not_their_pages(open_store: OpenStore) -> None:
    """As TensorStore does."""
    with _forever(listing("a", "b", token="t"), listing("c")) as server:
        store = open_store(server)
        store.list()
        assert store.metrics["list"] == 1
        list(store.scan())
        assert store.metrics["list"] == 2
        store.list_dir()
        assert store.metrics["list"] == 3
    with _forever(listing()) as server:
        store = open_store(server)
        store.delete_prefix("a")
        assert store.metrics["delete_range"] == 1


def test_keys_that_are_deleted_together_are_each_a_write(open_store: OpenStore) -> None:
    """To TensorStore, which has no such request, each is one; what was not deleted is none."""
    told = b"<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key></Deleted>"
    told += b"<Error><Key>c</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    with _forever(ok(told)) as server:
        store = open_store(server, path="")
        with pytest.raises(s3kv.BatchError):
            store.delete_many(["a", "b", "c"])
        metrics = store.metrics
    assert (metrics["write"], metrics["delete_range"], metrics["requests"]) == (2, 0, 1)


def test_a_copy_is_a_write(open_store: OpenStore) -> None:
    """Of no bytes, for the store makes it."""
    copied = ok(b'<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>')
    with ScriptedServer([READ, Send(ok()), READ, Send(copied)], lenient=True) as server:
        store = open_store(server)
        store.copy("a", "b")
        metrics = store.metrics
    assert (metrics["write"], metrics["bytes_written"], metrics["read"]) == (1, 0, 0)
    assert metrics["write_latency_ms"].count == 1


def test_retries_and_failures_are_counted(open_store: OpenStore) -> None:
    """A request that is answered with an error is no failure; one that is given up is."""
    with _forever(error(503, "SlowDown"), error(500, "InternalError"), ok(b"fine")) as server:
        store = open_store(server, policy=FAST)
        assert store.get("key") == b"fine"
        assert store.metrics["retries"] == 2
        assert store.metrics["failures"] == 0
        assert store.metrics["bytes_read"] == 4
    with _forever(error(500, "InternalError")) as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.RetriesExhausted):
            store.put("key", b"value")
        metrics = store.metrics
        assert (metrics["retries"], metrics["failures"], metrics["bytes_written"]) == (3, 1, 0)
    with _forever(error(403, "AccessDenied")) as server:
        store = open_store(server, policy=FAST)
        with pytest.raises(s3kv.PermissionDenied):
            store.get("key")
        assert (store.metrics["failures"], store.metrics["read"]) == (0, 1)


def test_a_body_that_was_resumed_counts_once(open_store: OpenStore) -> None:
    """With all its bytes."""
    shelf = Shelf(b"x" * 1000)
    shelf.faults = {0: [cut(400)]}
    with shelf.server() as server:
        store = open_store(server, policy=FAST)
        store.get("key")
        metrics = store.metrics
    assert (metrics["read"], metrics["retries"], metrics["bytes_read"]) == (1, 1, 1000)


def test_stores_that_share_connections_share_their_counts(open_store: OpenStore) -> None:
    """Others have their own; the process has all, those that are gone included."""
    before = process_metrics()["read"]
    with _forever(ok(b"1")) as server:
        one, other = open_store(server), open_store(server)
        one.get("key")
        (one / "sub").get("key")
        one.with_timeout(5).get("key")
        assert ((one / "sub").metrics["read"], other.metrics["read"]) == (3, 0)
        other.get("key")
        one.close()
        other.close()
    del one, other
    gc.collect()
    now = process_metrics()["read"]
    assert isinstance(before, int)
    assert now == before + 4


def test_nothing_is_lost_between_threads(open_store: OpenStore) -> None:
    """However many count at once."""
    with _forever(ok(b"1")) as server:
        store = open_store(server)

        def work() -> None:
            for _ in range(100):
                store.get("key")
                assert store.metrics["read"]

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.metrics["read"] == 800
        assert store.metrics["read_latency_ms"].count == 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_counts_from_nothing(open_store: OpenStore) -> None:
    """What its parent did is the parent's."""
    with _forever(ok(b"1")) as server:
        store = open_store(server)
        store.get("key")
        child = os.fork()
        if not child:
            try:
                counts = (store.metrics["read"], process_metrics()["read"])
                os._exit(0 if counts == (0, 0) else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert store.metrics["read"] == 1


def test_metrics_are_a_mapping_of_a_moment(open_store: OpenStore) -> None:
    """By whole names and by their last parts; what there is not is named."""
    with _forever(ok(b"1")) as server:
        store = open_store(server)
        metrics = store.metrics
        store.get("key")
    assert metrics["read"] == 0
    assert dict(metrics)["/tensorstore/kvstore/s3/read"] == 0
    assert len(metrics) == len(list(metrics))
    with pytest.raises(KeyError, match="latency"):
        metrics["latency"]
    assert "bytes_read" in repr(metrics)
    assert "<table>" in store.metrics._repr_html_()


def test_prometheus_gets_its_text(open_store: OpenStore) -> None:
    """Counters, gauges, and histograms whose buckets add up."""
    with _forever(ok(b"12345")) as server:
        store = open_store(server)
        store.get("key")
        text = store.metrics.prometheus()
    lines = text.splitlines()
    assert "tensorstore_kvstore_s3_read 1" in lines
    assert "tensorstore_kvstore_s3_bytes_read 5" in lines
    assert "# TYPE tensorstore_kvstore_s3_read counter" in lines
    assert "# TYPE s3kv_in_flight_limit gauge" in lines
    assert "# TYPE tensorstore_kvstore_s3_read_latency_ms histogram" in lines
    name = "tensorstore_kvstore_s3_read_latency_ms"
    buckets = [line for line in lines if line.startswith(f"{name}_bucket")]
    counts = [int(line.split()[1]) for line in buckets]
    assert len(buckets) == len(BOUNDS) + 1
    assert counts == sorted(counts)
    assert f'{name}_bucket{{le="+Inf"}} 1' == buckets[-1]
    assert f"{name}_count 1" in lines
    assert text.endswith("\n")


def test_a_share_of_the_values_is_below_a_bound() -> None:
    """None of it, all of it, and what is beyond all bounds."""
    buckets = [0] * (len(BOUNDS) + 1)
    assert Histogram(0.0, buckets).quantile(0.5) == Histogram(0.0, buckets).mean == 0.0
    buckets[0], buckets[3], buckets[-1] = 5, 4, 1
    found = Histogram(100.0, buckets)
    assert (found.count, found.mean) == (10, 10.0)
    assert (found.quantile(0.5), found.quantile(0.9)) == (1.0, 8.0)
    assert found.quantile(1.0) == float("inf")


def test_the_log_tells_of_requests_and_retries(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """With the request id; and of nothing at all unless somebody listens."""
    refusal = error(503, "SlowDown", "x-amz-request-id: REFUSED")
    with _forever(refusal, ok(b"fine", "x-amz-request-id: GRANTED")) as server:
        store = open_store(server, policy=FAST)
        with caplog.at_level(logging.DEBUG, "s3kv"):
            store.get("a key\n")
        told = caplog.text
        assert "GetObject 'path/a key\\n': 503" in told or "GetObject 'a key\\n': 503" in told
        assert "REFUSED" in told
        assert "GRANTED" in told
        assert "again in" in told
        caplog.clear()
        store.get("key")
        assert caplog.text == ""


def test_the_log_has_no_secret(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the store answers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    echo = f"{SECRET_KEY} {TOKEN} {ACCESS_KEY}"
    with _forever(
        error(500, "InternalError", message=echo), error(403, "AccessDenied", message=echo)
    ) as server:
        store = open_store(server, policy=FAST, credentials="environment")
        with caplog.at_level(logging.DEBUG, "s3kv"), pytest.raises(S3KVError):
            store.get("key")
    assert "again in" in caplog.text
    assert SECRET_KEY not in caplog.text
    assert TOKEN not in caplog.text


def test_a_failed_connection_is_in_the_log(open_store: OpenStore, caplog: pytest.LogCaptureFixture) -> None:
    """With what went wrong."""
    with ScriptedServer([READ, CLOSE], [READ, Send(ok(b"1"))]) as server:
        store = open_store(server, policy=FAST)
        with caplog.at_level(logging.DEBUG, "s3kv"):
            store.get("key")
    assert "closed the connection" in caplog.text


@pytest.mark.parametrize("end", [CLOSE, Send(b"220 mail.example.com\r\n\r\n")])
def test_the_error_that_ends_a_request_is_in_the_log(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture, end: Any
) -> None:
    """Though the last attempt had no answer that could be told of."""
    with ScriptedServer([READ, end], lenient=True) as server:
        store = open_store(server, policy=FAST._replace(max_retries=1))
        with caplog.at_level(logging.DEBUG, "s3kv"), pytest.raises(S3KVError) as caught:
            store.get("key")
    assert f"{type(caught.value).__name__}: {caught.value}" in caplog.text
