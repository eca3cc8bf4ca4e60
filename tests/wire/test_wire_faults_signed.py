"""Every operation while its credentials expire, and with a clock that is an hour off."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from tests.wire.every_s3 import EveryS3
from tests.wire.jobs import Bench, Job, benching, each_job, places
from tests.wire.scripted import Peer, Recorded, answer, error

HOUR = 3600.0


class Strict(EveryS3):
    """Refuses what is signed with a token that has expired, or for another time than its own.

    Attributes:
        expires: The token expires before so many more requests; None: never.
        token: The number of the token that is good.
        refused: How many requests were refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expires: int | None = None
        self.token = 1
        self.ahead = 0.0
        self.refused = 0
        self._counting = threading.Lock()

    def run(self, peer: Peer) -> None:
        """Look at the signature first."""
        refusal = self._judge(peer.requests[-1])
        if refusal is None:
            super().run(peer)
        else:
            peer.send(refusal)

    def _judge(self, request: Recorded) -> bytes | None:
        served = f"Date: {email.utils.formatdate(time.time() + self.ahead, usegmt=True)}"
        with self._counting:
            if self.expires is not None:
                self.expires -= 1
                if self.expires < 0:
                    self.expires, self.token = None, self.token + 1
            code = ""
            if f"Credential=AKID{self.token}/" not in (request.header("authorization") or ""):
                status, code = 400, "ExpiredToken"
            signed = time.strptime(request.header("x-amz-date") or "", "%Y%m%dT%H%M%SZ")
            if abs(time.mktime(signed) - time.mktime(time.gmtime(time.time() + self.ahead))) > 900:
                status, code = 403, "RequestTimeTooSkewed"
            if not code:
                return None
            self.refused += 1
        # HEAD tells no more than the status.
        return answer(status, b"", served) if request.method == "HEAD" else error(status, code, served)


@pytest.fixture
def bucket() -> Strict:
    """Return a bucket that looks at signatures."""
    return Strict()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Strict) -> Iterator[Bench]:
    """Return what jobs are done on, with credentials that are renewed when they are asked for."""

    def fetch() -> Credentials:
        # Whoever hands them out has the new token as soon as the old one has expired.
        return Credentials(f"AKID{bucket.token}", "secret", f"token-{bucket.token}")

    with benching(tmp_path, monkeypatch, bucket, aws_credentials=fetch) as ready:
        yield ready


@each_job
def test_a_token_may_expire_in_the_middle(job: Job, bench: Bench, bucket: Strict) -> None:
    """Before any request: the credentials are fetched again, and nobody notices."""
    for place in places(bench.count(job)):
        bucket.expires = place
        assert bench.run(job) == job.result, place
        assert bucket.refused >= 1 or bucket.expires is not None
        assert bucket.values == (job.before if job.after is None else job.after), place
        bucket.expires, bucket.refused = None, 0


@each_job
def test_a_clock_that_is_an_hour_off_is_corrected(job: Job, bench: Bench, bucket: Strict) -> None:
    """By the first refusal, whatever that was for; ahead, and behind."""
    bench.count(job)
    for bucket.ahead in (HOUR, -HOUR):
        bucket.refused = 0
        assert bench.run(job) == job.result
        assert bucket.values == (job.before if job.after is None else job.after)
        assert bucket.refused >= 1
        bucket.refused = 0
        assert bench.run(job) == job.result
        assert bucket.refused == 0


def test_a_hundred_at_once_may_be_an_hour_off(bench: Bench, bucket: Strict) -> None:
    """Each is refused once at most, and all get their answer."""
    bucket.hold(**{str(number): b"%d" % number for number in range(100)})
    bucket.ahead = HOUR
    barrier = threading.Barrier(100)

    def read(number: int) -> bytes:
        barrier.wait(10)
        return bench.store[str(number)]

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(read, range(100))) == [b"%d" % number for number in range(100)]
    assert bucket.refused <= 100
    assert len(bench.store.get_many([str(number) for number in range(100)])) == 100


def test_a_hundred_at_once_may_lose_their_token(bench: Bench, bucket: Strict) -> None:
    """Which is fetched again for all of them."""
    bucket.hold(**{str(number): b"%d" % number for number in range(100)})
    for place in (0, 50, 100):
        bucket.expires = place
        found = bench.store.get_many([str(number) for number in range(100)])
        assert found == {str(number): b"%d" % number for number in range(100)}
