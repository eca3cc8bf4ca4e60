"""Every operation against every fault that lasts: an error of the right class, soon, and no half-done work.

Also against silence: with a timeout every operation ends when its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import s3kv
from s3kv.testing import Answer, CutAnswer, DropResponse, Fault, RawAnswer, Reset, Stall
from tests.wire.jobs import BIG, FEW, JOBS, READS, Bench, Job, benching

Kinds = tuple[type[s3kv.S3KVError], ...]


class Lasting(NamedTuple):
    """A fault of every request.

    Attributes:
        fault: What goes wrong.
        kinds: What that is to the caller.
    """

    fault: Fault
    kinds: Kinds


# A 404 without a body, as HEAD has it, says that there is no such object.
BY_HEAD = ("stat", "in", "copy")

# Under a condition, or with an upload completed, nobody may claim that nothing was done.
GIVEN_UP = (s3kv.RetriesExhausted, s3kv.OutcomeUnknown)
PAGE = "<html><head><title>Sign in</title></head><body>Sign in to use this network.</body></html>"
LASTING = {
    "reset": Lasting(Reset(), GIVEN_UP),
    "answers dropped": Lasting(DropResponse(), GIVEN_UP),
    "answers cut": Lasting(CutAnswer(at=20, reset=True), GIVEN_UP),
    "nothing": Lasting(RawAnswer(b""), GIVEN_UP),
    "500": Lasting(Answer.error(500, "InternalError"), GIVEN_UP),
    "500, went through": Lasting(Answer.error(500, "InternalError", went_through=True), GIVEN_UP),
    "502 of a gateway": Lasting(Answer(502, {"Content-Type": "text/html"}, PAGE), GIVEN_UP),
    "503": Lasting(Answer.error(503, "SlowDown"), (s3kv.RetriesExhausted,)),
    "403": Lasting(Answer.error(403, "AccessDenied"), (s3kv.PermissionDenied,)),
    "no bucket": Lasting(Answer.error(404, "NoSuchBucket"), (s3kv.BucketNotFound,)),
    "400": Lasting(Answer.error(400, "InvalidRequest"), (s3kv.ServiceError,)),
    "501": Lasting(Answer.error(501, "NotImplemented"), (s3kv.ServiceError,)),
    "a redirect": Lasting(Answer(307, {"Location": "http://elsewhere.example/"}), (s3kv.ServiceError,)),
    "another protocol": Lasting(RawAnswer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), (s3kv.MalformedResponse,)),
    "two lengths": Lasting(
        RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (s3kv.MalformedResponse,),
    ),
    "a megabyte of head": Lasting(
        RawAnswer(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\n"), (s3kv.MalformedResponse,)
    ),
}
each_fault = pytest.mark.parametrize("lasting", LASTING.values(), ids=LASTING)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return what jobs are done on."""
    with benching(tmp_path, monkeypatch) as ready:
        yield ready


def errors_of(error: s3kv.S3KVError) -> list[Exception]:
    """An error, or those of a batch, each of its own key."""
    if not isinstance(error, s3kv.BatchError):
        return [error]
    assert error.errors
    assert all(getattr(one, "key", key) == key for key, one in error.errors.items())
    return list(error.errors.values())


@each_fault
def test_what_does_not_pass_is_an_error_of_its_class(lasting: Lasting, bench: Bench) -> None:
    """Of every operation, after a handful of requests; no value is made up, and none that was is lost."""
    wrong = []
    # The bucket is known to exist.
    bench.run(JOBS["list"])
    lasts = bench.proxy.inject(lasting.fault, times=None)
    for name, job in JOBS.items():
        if name in BY_HEAD and s3kv.BucketNotFound in lasting.kinds:
            continue
        started = time.monotonic()
        try:
            wrong.append((name, bench.run(job)))
        except s3kv.S3KVError as error:
            kinds = errors_of(error)
            if not all(isinstance(one, lasting.kinds) for one in kinds):
                wrong.append((name, kinds))
        allowed = allowed_after(job)
        if any(bench.bucket.values.get(key) not in allowed[key] for key in allowed):
            wrong.append((name, sorted(bench.bucket.values)))
        assert time.monotonic() - started < 5, name
    assert not wrong
    lasts.remove()
    for name in ("get", "put", "list", "delete_many"):
        assert bench.run(JOBS[name]) == JOBS[name].result


def allowed_after(job: Job) -> dict[str, tuple[bytes | None, bytes | None]]:
    """For each key what there was before, and what there is when all went well."""
    after = job.before if job.after is None else job.after
    return {key: (job.before.get(key), after.get(key)) for key in {*job.before, *after}}


@pytest.mark.parametrize("fault", [Answer.error(404, "Whatever"), Answer(405), Answer.error(409, "Other")])
def test_a_refusal_is_never_taken_for_a_missing_object(fault: Fault, bench: Bench) -> None:
    """No default is returned, no key left out, and no condition is said to have failed."""
    bench.run(JOBS["list"])
    bench.proxy.inject(fault, times=None)
    for name, job in JOBS.items():
        if name in BY_HEAD:
            continue
        with pytest.raises(s3kv.S3KVError) as caught:
            bench.run(job)
        for error in errors_of(caught.value):
            assert not isinstance(error, (s3kv.KeyNotFound, s3kv.ConditionFailed)), name


@pytest.mark.parametrize("at", [None, 0], ids=["before the answer", "before its body"])
def test_silence_ends_with_the_timeout(at: int | None, bench: Bench) -> None:
    """All operations at once, each after half a second; then the store works."""
    bench.bucket.hold(**{**BIG, **FEW})
    stall = bench.proxy.inject(Stall(at=at), times=None)
    hasty = bench.store.with_timeout(0.5)

    def wait(job: Job) -> tuple[float, list[Exception]]:
        started = time.monotonic()
        with pytest.raises(s3kv.S3KVError) as caught:
            job.act(hasty, bench.folder())
        return time.monotonic() - started, errors_of(caught.value)

    # Only the answers to GET have bodies to stand still before.
    jobs = JOBS if at is None else {name: job for name, job in READS.items() if name not in BY_HEAD}
    with ThreadPoolExecutor(len(jobs)) as pool:
        ends = dict(zip(jobs, pool.map(wait, jobs.values()), strict=True))
    stall.remove()
    for name, (seconds, errors) in ends.items():
        assert {type(error) for error in errors} <= {s3kv.DeadlineExceeded, s3kv.OutcomeUnknown}, name
        assert 0.4 < seconds < 2.5, name
    bench.store["key"] = b"0123456789"
    assert bench.store["key"] == b"0123456789"
