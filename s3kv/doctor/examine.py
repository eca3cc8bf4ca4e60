"""The examination: what is looked at, and in which order."""

from __future__ import annotations

from ..handle import Handle
from ..messages import Origin
from .conditions import expect_conditions, try_conditions
from .connecting import look_at_connection
from .credentials import look_at_credentials
from .permissions import (
    Listed,
    try_deleting,
    try_listing,
    try_reading,
    try_reading_back,
    try_writing,
)
from .place import expected_endpoint, locate, look_at_addressing, look_at_endpoint, look_at_region
from .probe import Probe
from .report import Check, Report
from .surroundings import look_at_checksums, look_at_limits, look_at_proxy, look_at_tls, look_at_versions
from .timing import look_at_clock, look_at_latency

_TRIES = "doctor(write=True) tries it with a key of its own"


def examine(store: Handle, *, write: bool) -> Report:
    """Look at a store, and try what may be done with it.

    Args:
        write: Also write, under a key of its own, which is removed again.

    Raises:
        StoreClosed: the store was closed meanwhile.
    """
    probe = Probe(store)
    core = probe.core
    found = [look_at_versions(), look_at_limits(probe), look_at_credentials(probe)]
    credentials = found[-1]
    place = expected_endpoint(core)
    way = _look_at_way(probe, place.origin)
    endpoint, unknown = locate(probe)
    if endpoint is not None:
        if endpoint.origin != place.origin:
            way = _look_at_way(probe, endpoint.origin)
        place = endpoint
    if credentials.outcome == "failure" and probe.stopped is None:
        probe.stopped = "there are no credentials to sign with"
    listed = Listed()
    listing = try_listing(probe, listed)
    first = None if listed.answer is None else listed.answer.response
    found += [look_at_endpoint(core, place), look_at_addressing(core, place)]
    found.append(unknown or look_at_region(probe, place, first))
    found += [*way, listing]
    # Before anything is written, which takes longer.
    latency = look_at_latency(probe, listed)
    if write:
        found += _try_writing(probe, listed)
    else:
        found += [
            try_reading(probe, listed),
            Check("write", "warning", "not tried", _TRIES),
            expect_conditions(probe, _TRIES),
        ]
    found += [look_at_clock(probe, listed), latency, look_at_checksums()]
    return Report(found)


def _look_at_way(probe: Probe, origin: Origin) -> list[Check]:
    """The way to the store: proxy, certificates, a connection."""
    found = [look_at_proxy(probe, origin), look_at_tls(probe, origin)]
    for check in found:
        if check.outcome == "failure":
            probe.stopped = f"no connection can be opened (see {check.name})"
    found.append(look_at_connection(probe, origin))
    return found


def _try_writing(probe: Probe, listed: Listed) -> list[Check]:
    """Try to write, with and without conditions, and remove what was written."""
    probe.more_time()
    found: list[Check] = []
    try:
        writing = try_writing(probe)
        found.append(writing)
        if writing.outcome == "ok":
            found.append(try_reading_back(probe))
            found += try_conditions(probe)
        else:
            found += [
                try_reading(probe, listed),
                expect_conditions(probe, "see to it that objects can be written"),
            ]
        if probe.written:
            found.append(try_deleting(probe))
    except BaseException:
        # Ctrl-C, for one, which waits for nothing.
        if probe.written:
            probe.remove()
        raise
    return found
