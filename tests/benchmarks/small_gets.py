"""How many small objects a second each client reads from one local nginx.

    python -m tests.benchmarks.small_gets [--seconds 2] [--rounds 5] [--only s3kv,boto3]

Contenders that are not installed are left out. In each round every contender runs once with 32 user
threads and once with a single caller; the table shows the medians of the rounds, so that a machine that
is slow for a moment is slow for everybody. Needs nginx on the PATH.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers import StaticServer

SIZE = 4096
COUNT = 1000
BUCKET = "bench"
KEYS = [f"k{number:05d}" for number in range(COUNT)]

Get = Callable[[str], bytes]


def s3kv_get(endpoint: str) -> Get:
    import s3kv

    store = s3kv.Store(
        bucket=BUCKET,
        endpoint=endpoint,
        aws_region="us-east-1",
        aws_credentials={"type": "environment"},
    )
    return store.get


def boto3_get(endpoint: str) -> Get:
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=32)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
    return lambda key: bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def tensorstore_get(endpoint: str) -> Get:
    import tensorstore

    spec = {"driver": "s3", "bucket": BUCKET, "endpoint": endpoint, "aws_region": "us-east-1"}
    store = tensorstore.KvStore.open(spec).result()
    return lambda key: bytes(store.read(key).result().value)


def obstore_get(endpoint: str) -> Get:
    from obstore.store import S3Store

    store = S3Store(BUCKET, endpoint=endpoint, region="us-east-1", client_options={"allow_http": True})
    return lambda key: bytes(store.get(key).bytes())


CONTENDERS: dict[str, Callable[[str], Get]] = {
    "s3kv": s3kv_get,
    "tensorstore": tensorstore_get,
    "obstore": obstore_get,
    "boto3": boto3_get,
}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(get: Get, threads: int, seconds: float) -> tuple[float, float]:
    """(requests a second, CPU microseconds a request) of ``threads`` callers for about ``seconds``."""
    until = time.perf_counter() + seconds
    counts: list[int] = []

    def call(start: int) -> None:
        number = start
        while time.perf_counter() < until:
            for _ in range(8):
                if len(get(KEYS[number % COUNT])) != SIZE:
                    raise AssertionError("wrong length")
                number += 1
        counts.append(number - start)

    started, cpu = time.perf_counter(), cpu_seconds()
    workers = [threading.Thread(target=call, args=(index * 31,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    total = sum(counts)
    return total / (time.perf_counter() - started), (cpu_seconds() - cpu) / total * 1e6


def contenders(names: list[str], endpoint: str) -> Iterator[tuple[str, Get]]:
    for name in names:
        try:
            get = CONTENDERS[name](endpoint)
        except ImportError:
            print(f"{name} is not installed")
            continue
        get(KEYS[0])
        yield name, get


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(CONTENDERS))
    arguments = parser.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="b" * 40)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = Path(folder)
        (root / BUCKET).mkdir()
        for key in KEYS:
            (root / BUCKET / key).write_bytes(os.urandom(SIZE))
        with StaticServer(root) as server:
            gets = dict(contenders(arguments.only.split(","), server.endpoint))
            results: dict[tuple[str, int], list[tuple[float, float]]] = {}
            for _ in range(arguments.rounds):
                for name, get in gets.items():
                    for threads in (32, 1):
                        result = measure(get, threads, arguments.seconds)
                        results.setdefault((name, threads), []).append(result)
    print(f"\n{SIZE} byte GET, {arguments.rounds} rounds, {os.cpu_count()} cores\n")
    print("| client | 32 threads | CPU | one caller | CPU |\n|---|---|---|---|---|")
    for name in gets:
        cells = []
        for threads in (32, 1):
            rounds = results[name, threads]
            rate = statistics.median(rate for rate, _ in rounds)
            cpu = statistics.median(cpu for _, cpu in rounds)
            cells += [f"{rate:,.0f}/s", f"{cpu:,.0f} µs"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
