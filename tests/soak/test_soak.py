"""A short soak: what takes ten minutes elsewhere is tried for some seconds here."""

from __future__ import annotations

import pytest

from .run import Report, soak


@pytest.mark.parametrize(("server", "seconds"), [("memory", 10), ("moto", 6)])
def test_nothing_is_lost_or_made_up_in_the_long_run(server: str, seconds: float) -> None:
    """Every answer is right, every object is there, and the process holds no more than it must."""
    report = soak(server, seconds, seed=20261123)
    print(report)
    assert report.wrong == [], report
    _check_that_it_was_one(report)


def _check_that_it_was_one(report: Report) -> None:
    """Enough went wrong of every kind."""
    assert report.operations.total() > 200
    assert len(report.operations) >= 20
    assert report.faults.total() > 50
    assert len(report.faults) >= 8
    assert report.retries > 20
    assert report.end.threads <= report.warm.threads + 5
