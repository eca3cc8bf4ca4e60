"""A short soak: what takes ten minutes elsewhere is tried for some seconds here."""

from __future__ import annotations

import pytest

from .run import soak


@pytest.mark.parametrize(("server", "seconds"), [("memory", 8), ("moto", 5)])
def test_nothing_is_lost_or_made_up_in_the_long_run(server: str, seconds: float) -> None:
    """Every answer is right, every object is there, and the process holds no more than it must."""
    report = soak(server, seconds, seed=20261123)
    print(report)
    assert report.wrong == []
    assert report.grown == []
    assert report.maybes["RetriesExhausted"] == 0
    # Enough was done, and enough went wrong of every kind.
    assert report.operations.total() > 100
    assert len(report.operations) >= 15
    assert report.faults.total() > 30
    assert len(report.faults) >= 6
    # moto closes each connection by itself.
    assert report.severed > 5 or server == "moto"
    assert report.retries > 10
