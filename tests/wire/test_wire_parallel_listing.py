"""Listings side by side: faster than page by page, and exact whatever the store does meanwhile."""

from __future__ import annotations

import bisect
import random
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest

import s3kv
from s3kv import KeyRange
from s3kv.errors import StoreClosed
from s3kv.retry import RetryPolicy
from tests.wire.conftest import OpenStore
from tests.wire.helpers import Background, Stopwatch
from tests.wire.scripted import READ, Forever, Peer, ScriptedServer, Step, error, listing
from tests.wire.test_wire_interrupts import running

FLAT = [f"k{number:05}" for number in range(2000)]
FOLDERS = [f"data/{number // 50:03}/part-{number:05}" for number in range(2000)]
ODD = sorted(f"é{a}/漢 {b}+%/{c}😀" for a in "aß~" for b in range(30) for c in range(10))
SHAPES = {"flat": FLAT, "folders": FOLDERS, "characters": ODD}

# Short pauses, and so many attempts that a page is not refused each time.
PATIENT = RetryPolicy(max_retries=32, initial_delay=0.001, max_delay=0.002)


class Lister(Step):
    """A store of keys whose pages are short.

    Args:
        keys: What there is.
        page: How many are on a page.
        seconds: How long a page takes.

    Attributes:
        asked: The queries so far.
        faults: Asked for what to answer instead of a page, by the number of the request; None for nothing.
        meanwhile: Called at each request with its number.
    """

    def __init__(self, keys: Iterable[str], page: int = 50, seconds: float = 0.0) -> None:
        self.keys = sorted(keys)
        self.page = page
        self.seconds = seconds
        self.asked: list[dict[str, str]] = []
        self.faults: Callable[[int], bytes | None] = lambda number: None
        self.meanwhile: Callable[[int], object] = lambda number: None
        self._lock = threading.Lock()

    def server(self) -> ScriptedServer:
        """Return a server of it."""
        return ScriptedServer(then=[Forever(READ, self)], lenient=True)

    def run(self, peer: Peer) -> None:
        """Answer the request that was read last."""
        told = parse_qs(peer.requests[-1].query, keep_blank_values=True)
        query = {name: values[0] for name, values in told.items()}
        with self._lock:
            number = len(self.asked)
            self.asked.append(query)
            self.meanwhile(number)
            keys = list(self.keys)
        time.sleep(self.seconds)
        peer.send(self.faults(number) or self._answer(keys, query))

    def _answer(self, keys: list[str], query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        found: list[str] = []
        folders: list[str] = []
        token = None
        for key in keys[bisect.bisect_left(keys, max(prefix, after)) :]:
            if not key.startswith(prefix):
                break
            if key <= after or (folders and key.startswith(folders[-1])):
                continue
            if len(found) + len(folders) == self.page:
                # The keys below a folder are not to come again.
                token = max([*found[-1:], *(each + "\U0010ffff" for each in folders[-1:])])
                break
            slash = key.find(delimiter, len(prefix)) if delimiter else -1
            if slash < 0:
                found.append(key)
            else:
                folders.append(key[: slash + 1])
        extra = "".join(
            f"<CommonPrefixes><Prefix>{quote(each)}</Prefix></CommonPrefixes>" for each in folders
        )
        return listing(*map(quote, found), token=token, extra=extra)


def scanned(store: s3kv.Store, *arguments: object, **options: object) -> list[str]:
    """Return the keys of a parallel scan."""
    return [entry.key for entry in store.scan(*arguments, parallel=True, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["flat", "folders"])
@pytest.mark.parametrize("way", ["scan", "list", "len", "upload"])
def test_it_is_much_faster_than_page_by_page(
    shape: str, way: str, open_store: OpenStore, tmp_path: Path
) -> None:
    """Twice at least, where a page takes 60 ms; some ten times on an idle machine."""
    keys = SHAPES[shape]
    lister = Lister(keys, 20, 0.06)
    for key in (keys[0], keys[-1]):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"")
    with lister.server() as server:
        store = open_store(server)
        with Stopwatch() as watch:
            if way == "scan":
                assert scanned(store) == keys
            elif way == "list":
                assert store.list() == keys
            elif way == "len":
                assert len(store) == len(keys)
            else:
                report = store.upload_prefix(tmp_path, delete=True, dry_run=True)
                assert report.deleted == tuple(keys[1:-1])
    assert watch.seconds < 100 * 0.06 / 2
    # So short pages end within folders, which are asked for as well.
    assert len(lister.asked) < 7 * 100


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("page", [1, 7, 50, 5000])
def test_it_is_exact(shape: str, page: int, open_store: OpenStore) -> None:
    """Whatever the keys, and however short the pages."""
    keys = SHAPES[shape][: 300 if page == 1 else None]
    with Lister(keys, page).server() as server:
        assert scanned(open_store(server)) == keys


@pytest.mark.parametrize("shape", SHAPES)
def test_prefix_range_start_and_path_select(shape: str, open_store: OpenStore) -> None:
    """As they do page by page; keys are relative to the path."""
    keys, choose = SHAPES[shape], random.Random(1)
    with Lister(keys, 20).server() as server:
        for _ in range(3):
            first, after, end = sorted(choose.choices(keys, k=3))
            wanted = KeyRange(first, end)
            assert scanned(open_store(server), range=wanted, start_after=after) == [
                key for key in keys if after < key < end
            ]
            for cut in (1, len(first) // 2):
                path = first[:cut]
                below = [key for key in keys if key.startswith(path)]
                assert scanned(open_store(server), path) == below
                assert scanned(open_store(server, path=path)) == [key[cut:] for key in below]


def test_a_page_that_is_refused_for_a_moment_is_asked_for_again(open_store: OpenStore) -> None:
    """Every fourth is."""
    lister = Lister(FOLDERS, 20)
    lister.faults = lambda number: error(503, "SlowDown") if number % 4 == 3 else None
    with lister.server() as server:
        assert scanned(open_store(server, policy=PATIENT)) == FOLDERS


def test_a_page_that_fails_ends_it(open_store: OpenStore) -> None:
    """What was found before it is in order."""
    lister = Lister(FLAT, 20)
    lister.faults = lambda number: error(403, "AccessDenied") if number >= 30 else None
    found: list[str] = []
    with lister.server() as server:
        entries = open_store(server).scan(parallel=True)
        with pytest.raises(s3kv.PermissionDenied):
            found.extend(entry.key for entry in entries)
    assert found == FLAT[: len(found)]
    assert len(found) < len(FLAT)


def test_keys_that_come_and_go_meanwhile_break_nothing(open_store: OpenStore) -> None:
    """Those that are there all the time are found once, in order, the others at most once."""
    lister = Lister(FLAT, 20)
    choose = random.Random(2)
    steady = set(FLAT[::2])

    def change(number: int) -> None:
        for _ in range(5):
            lister.keys = sorted({*lister.keys, f"k{choose.randrange(2000):05}new"})
            gone = choose.choice(FLAT[1::2])
            lister.keys = [key for key in lister.keys if key != gone]

    lister.meanwhile = change
    with lister.server() as server:
        found = scanned(open_store(server))
    assert found == sorted(set(found))
    assert steady <= set(found)


def test_one_request_at_a_time_is_enough(open_store: OpenStore) -> None:
    """Where no more are allowed."""
    with Lister(FOLDERS[:500], 20).server() as server:
        members = {"bucket": "bucket", "endpoint": server.url, "aws_region": "us-east-1"}
        with s3kv.Store(
            members, aws_credentials={"type": "anonymous"}, s3_request_concurrency={"limit": 1}
        ) as store:
            assert scanned(store) == FOLDERS[:500]
        assert len(server.connections) == 1


def test_a_scan_that_is_dropped_half_way_sends_no_more(open_store: OpenStore) -> None:
    """And leaves no thread and no socket, which the suite looks for; the store goes on."""
    lister = Lister(FLAT, 20, 0.01)
    with lister.server() as server:
        store = open_store(server)
        scan = store.scan(parallel=True)
        assert [next(scan).key for _ in range(100)] == FLAT[:100]
        del scan
        time.sleep(0.1)
        asked = len(lister.asked)
        time.sleep(0.1)
        assert len(lister.asked) == asked
        assert store.list("k000") == FLAT[:100]


def test_nothing_is_asked_for_before_the_first_step(open_store: OpenStore) -> None:
    """As page by page."""
    lister = Lister(FLAT)
    with lister.server() as server:
        scan = open_store(server).scan(parallel=True)
        assert server.connections == []
        assert next(scan).key == FLAT[0]


def test_a_store_that_is_closed_ends_it(open_store: OpenStore) -> None:
    """At once."""
    lister = Lister(FLAT, 2, 0.02)
    with lister.server() as server:
        store = open_store(server)
        call = Background(lambda: scanned(store))
        time.sleep(0.1)
        store.close()
        assert isinstance(call.error(2), StoreClosed)


INTERRUPTED = """
say("ready")
try:
    list(store.scan(parallel=True))
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
say(len(store.list("k000")))
"""


def test_ctrl_c_ends_it() -> None:
    """At once; the next listing is complete."""
    lister = Lister(FLAT, 2, 0.05)
    with lister.server() as server, running(INTERRUPTED, server.url) as program:
        assert program.line() == ["ready"]
        time.sleep(0.3)
        sent = program.interrupt()
        words = program.line()
        assert words[:1] == ["interrupted"], program.end()
        assert float(words[1]) - sent < 0.5
        assert program.end(5) == ("100\n", "")


def test_a_store_out_of_order_is_listed_page_by_page(open_store: OpenStore) -> None:
    """Every key is found; cuts would lose some."""
    lister = Lister(FLAT[:200], 1000)
    shuffled = random.Random(3).sample(FLAT[:200], 200)
    lister.faults = lambda number: listing(*shuffled)
    with lister.server() as server:
        assert sorted(scanned(open_store(server))) == FLAT[:200]


def test_a_store_whose_order_shows_late_loses_no_key(open_store: OpenStore) -> None:
    """Two slow pages in order, then others: what is before those two has not been seen."""
    lister = Lister(FLAT[:200], 1000, 0.02)
    told = [listing(*FLAT[80:90], token="2"), listing(*FLAT[90:100], token="3")]
    rest = [*FLAT[:80], *FLAT[95:200]]
    random.Random(3).shuffle(rest)
    lister.faults = lambda number: told[number] if number < 2 else listing(*rest)
    with lister.server() as server:
        assert open_store(server).list() == FLAT[:200]


def test_a_store_that_takes_no_notice_of_where_to_start_loses_no_key(open_store: OpenStore) -> None:
    """Nor of a delimiter: it sends one page after the other, slowly."""
    lister = Lister(FLAT[:200], 1000, 0.02)
    pages = [FLAT[at : at + 50] for at in range(0, 200, 50)]

    def answered(number: int) -> bytes:
        place = int(lister.asked[number].get("continuation-token", "0"))
        return listing(*pages[place], token=str(place + 1) if place < 3 else None)

    lister.faults = answered
    with lister.server() as server:
        assert open_store(server).list() == FLAT[:200]
