"""How to test code that keeps things in S3, also where S3 misbehaves. No AWS account is needed.

    python examples/testing_your_code.py
    python -m pytest examples/testing_your_code.py

Needs pytest and the ``server`` extra. The fixtures ``s3kv_store`` and ``s3kv_faults`` come with s3kv, and
pytest finds them by itself. In a project of your own, the code is in one file and the tests are in another.
"""

from __future__ import annotations

import json
import sys

import pytest

import s3kv
from s3kv.testing import Answer, CutBody, DropResponse, FaultProxy, Reset, Stall

# ------------------------------------------------------------------------------------- the code


class Results:
    """The results of runs, a JSON object each, and how many runs there were."""

    def __init__(self, store: s3kv.Store) -> None:
        self._store = store

    def save(self, run: str, **numbers: float) -> None:
        """Keep the numbers of a run, once; what is there already stays."""
        self._store.put(f"runs/{run}.json", json.dumps(numbers).encode(), if_absent=True)
        self._store.modify("count", lambda old: b"%d" % (int(old or 0) + 1))

    def load(self, run: str) -> dict[str, float] | None:
        """The numbers of a run; None if there was no such run."""
        found = self._store.get(f"runs/{run}.json", None)
        return None if found is None else dict(json.loads(found))

    @property
    def count(self) -> int:
        """How many runs were saved."""
        return int(self._store.get("count", b"0"))


# ------------------------------------------------------------------------------------- its tests


def test_what_was_saved_is_loaded(s3kv_store: s3kv.Store) -> None:
    """The fixture is an empty store, for this test alone."""
    results = Results(s3kv_store)
    results.save("a", accuracy=0.5)
    assert results.load("a") == {"accuracy": 0.5}
    assert results.load("b") is None
    assert s3kv_store.list() == ["count", "runs/a.json"]


def test_a_run_is_saved_once(s3kv_store: s3kv.Store) -> None:
    """The second try changes nothing."""
    results = Results(s3kv_store)
    results.save("a", accuracy=0.5)
    with pytest.raises(s3kv.ConditionFailed):
        results.save("a", accuracy=0.9)
    assert results.load("a") == {"accuracy": 0.5}
    assert results.count == 1


def test_a_lost_answer_counts_nothing_twice(s3kv_faults: FaultProxy) -> None:
    """Both writes are carried out, and nobody says so: each is sent again, and found to be done."""
    lost = s3kv_faults.inject(DropResponse(), operation="PutObject", key="*/runs/*")
    reset = s3kv_faults.inject(Reset(went_through=True), operation="PutObject", key="*/count")
    results = Results(s3kv_faults.store())
    results.save("a", accuracy=0.5)
    assert (lost.hits, reset.hits) == (1, 1)
    assert results.count == 1


@pytest.mark.parametrize("at", [0, 1, 10])
def test_a_body_that_is_cut_is_read_to_its_end(
    at: int, s3kv_store: s3kv.Store, s3kv_faults: FaultProxy
) -> None:
    """``s3kv_store`` goes past the proxy, so that only what is tested is disturbed."""
    Results(s3kv_store).save("a", accuracy=0.5)
    s3kv_faults.inject(CutBody(at=at), method="GET")
    assert Results(s3kv_faults.store()).load("a") == {"accuracy": 0.5}


def test_an_outage_is_an_error(s3kv_faults: FaultProxy) -> None:
    """After as many tries as the store is told to make."""
    s3kv_faults.inject(Answer.error(503, "ServiceUnavailable"), times=None)
    store = s3kv_faults.store(s3_request_retries={"max_retries": 3, "initial_delay": "1ms"})
    with pytest.raises(s3kv.RetriesExhausted):
        Results(store).load("a")
    assert len(s3kv_faults.requests) == 3


def test_a_store_that_hangs_is_given_up_in_time(s3kv_faults: FaultProxy) -> None:
    """No answer comes as long as the fault is not released."""
    s3kv_faults.inject(Stall(), times=None)
    with pytest.raises(TimeoutError):
        Results(s3kv_faults.store(timeout=0.2)).load("a")


if __name__ == "__main__":
    # pytest would warn that s3kv was imported, above, before it could look at its fixtures.
    sys.exit(pytest.main([__file__, "-vpno:cacheprovider", "-Wignore:Module already imported"]))
