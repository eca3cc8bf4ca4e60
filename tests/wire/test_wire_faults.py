"""Every operation against every fault that passes: it is made up for, whichever request it hits.

Each operation is done once undisturbed, which tells its requests. Then each fault hits each of them, or of
many the first, one in the middle and the last. What the store really holds is compared in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import s3kv
from s3kv.testing import Answer, CutAnswer, CutBody, CutRequest, DropResponse, Fault, RawAnswer, Reset
from tests.wire.jobs import Bench, Job, benching, each_job, places

HTML = {"Content-Type": "text/html"}
# What passes if it is tried again.
PASSING: list[Fault] = [
    Reset(),
    Reset(went_through=True),
    DropResponse(),
    CutRequest(at=0),
    CutRequest(at=3),
    CutAnswer(at=1),
    CutAnswer(at=40, reset=True),
    CutBody(at=0),
    CutBody(at=1),
    CutBody(at=5, reset=True),
    RawAnswer(b""),
    Answer.error(500, "InternalError"),
    Answer.error(500, "InternalError", went_through=True),
    Answer(502, HTML, "<html><body>Bad gateway</body></html>", went_through=True),
    Answer(503),
    Answer.error(503, "SlowDown"),
    Answer.error(400, "RequestTimeout"),
]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return what jobs are done on."""
    with benching(tmp_path, monkeypatch) as ready:
        yield ready


@each_job
def test_what_goes_wrong_once_is_made_up_for(job: Job, bench: Bench) -> None:
    """Whichever request it hits: the same result, the same objects, and nothing is carried out twice."""
    after = job.before if job.after is None else job.after
    bench.count(job)
    missed, wrong = [], []
    for place in places(bench.count(job)):
        for fault in PASSING:
            # What goes on in parallel may need fewer requests than it did: then one before that is hit.
            for skip in range(place, -1, -1):
                hit = bench.proxy.inject(fault, skip=skip)
                try:
                    result = bench.run(job)
                except s3kv.S3KVError as error:
                    result = error
                bench.proxy.clear()
                if hit.hits:
                    break
                assert result == job.result
            else:
                missed.append((place, fault))
                continue
            if (
                result != job.result
                or bench.bucket.values != after
                or bench.bucket.uploads
                or (job.once and len(bench.bucket.applied) != 1)
            ):
                wrong.append((place, fault, result))
    assert not wrong
    assert not missed
