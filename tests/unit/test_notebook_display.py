"""How stores and results look in a notebook, and when a progress bar is shown."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.credentials import Credentials

import s3kv
from s3kv.progress import Progress, show_progress
from s3kv.tables import bytes_text, size_text, time_text

ETAG = '"9e107d9d372bb6826bd81d3542a419d6"'
STAMP = s3kv.TimestampedStorageGeneration(s3kv.StorageGeneration(ETAG), 1.5)
EVIL = "<script>alert('&amp;')</script>"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYNOTEBOOKKEY"


def cells(shown: str) -> dict[str, str]:
    """Return the rows of a table of two columns, once a parser has found it well-formed."""
    rows = [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(shown).iter("tr")]
    assert all(len(row) == 2 for row in rows)
    return {row[0]: row[1] for row in rows}


def test_a_store_is_shown_as_what_it_is() -> None:
    """Its place, its credentials' kind, its timeout; no request is sent."""
    with pytest.MonkeyPatch.context() as patch:

        def connect(*_: object) -> None:
            raise AssertionError("a connection")

        patch.setattr(socket.socket, "connect", connect)
        with s3kv.Store("s3://bucket/a%20b/", timeout=30) as store:
            shown = cells(store._repr_html_())
    assert shown == {
        "s3kv.Store": "",
        "URL": "s3://bucket/a%20b/",
        "bucket": "bucket",
        "path": "a b/",
        "region": "to be asked of the bucket",
        "credentials": "default",
        "timeout": "30 s",
    }
    assert "s3kv.Store (closed)" in cells(store._repr_html_())


def test_a_store_with_an_endpoint_shows_that() -> None:
    """There is no URL then; what is in the spec is text."""
    with s3kv.Store(
        bucket="bucket",
        path=EVIL,
        endpoint="http://127.0.0.1:9000/s3",
        aws_region="eu-west-1",
        aws_credentials={"type": "profile", "profile": EVIL},
    ) as store:
        text = store._repr_html_()
    shown = cells(text)
    assert "URL" not in shown
    assert shown["endpoint"] == "http://127.0.0.1:9000/s3"
    assert shown["region"] == "eu-west-1"
    assert shown["path"] == EVIL
    assert shown["credentials"] == f"profile: {EVIL}"
    assert "<script" not in text


def test_no_secret_of_a_store_is_shown() -> None:
    """Of an object of botocore's, only that it is one."""
    given = Credentials("AKIDNOTEBOOK", SECRET, "a-session-token")
    with s3kv.Store("s3://bucket/", aws_credentials=given) as store:
        shown = store._repr_html_()
    assert cells(shown)["credentials"] == "<botocore Credentials>"
    for part in (SECRET, "AKIDNOTEBOOK", "a-session-token"):
        assert part not in shown


def test_a_read_result_is_shown_with_the_beginning_of_its_value() -> None:
    """As Python writes bytes; a large value is not copied into the page."""
    shown = cells(s3kv.ReadResult("value", b"<b>&\x00\xff", STAMP)._repr_html_())
    assert shown == {
        "read": "",
        "state": "value",
        "size": "6 bytes",
        "generation": ETAG,
        "time": "1970-01-01 00:00:01 UTC",
        "value": repr(b"<b>&\x00\xff"),
    }
    large = s3kv.ReadResult("value", bytes(10_000_000), STAMP)._repr_html_()
    assert len(large) < 3000
    assert cells(large)["size"] == "10,000,000 bytes (10.0 MB)"
    assert cells(large)["value"].endswith("…")


def test_a_result_without_a_value_shows_none() -> None:
    """Its generation has a name."""
    for generation, name in (
        (s3kv.StorageGeneration.NO_VALUE, "StorageGeneration.NO_VALUE"),
        (s3kv.StorageGeneration.UNKNOWN, "StorageGeneration.UNKNOWN"),
    ):
        stamp = s3kv.TimestampedStorageGeneration(generation, 0.0)
        shown = cells(s3kv.ReadResult("missing", b"", stamp)._repr_html_())
        assert shown.keys() == {"read", "state", "generation", "time"}
        assert shown["generation"] == name
        assert cells(stamp._repr_html_())["generation"] == name


def test_objects_are_shown_with_what_is_known_of_them() -> None:
    """Nothing that a store says is markup."""
    when = datetime(2026, 1, 31, 23, 59, 59, tzinfo=timezone.utc)
    entry = s3kv.ListEntry(f"a  b\n{EVIL}", 1, ETAG, when)
    text = entry._repr_html_()
    assert "<script" not in text
    assert cells(text) == {
        "object": "",
        "key": f"a  b\n{EVIL}",
        "size": "1 byte",
        "etag": ETAG,
        "last modified": str(when),
    }
    assert cells(s3kv.ListEntry("k", 0, "", None)._repr_html_()).keys() == {"object", "key", "size"}
    info = s3kv.ObjectInfo("k", 1234, ETAG, None, EVIL, {"owner": EVIL})
    shown = cells(info._repr_html_())
    assert shown["size"] == "1,234 bytes (1.2 KB)"
    assert shown["content type"] == shown["metadata: owner"] == EVIL


def test_texts_of_tables_are_short() -> None:
    """Whatever the number."""
    assert [size_text(size) for size in (0, 999, 1000, 5 * 10**12, 10**16)] == [
        "0 bytes",
        "999 bytes",
        "1,000 bytes (1.0 KB)",
        "5,000,000,000,000 bytes (5.0 TB)",
        "10,000,000,000,000,000 bytes (10,000.0 TB)",
    ]
    assert time_text(1e300) == "1e+300 s since 1970"
    assert bytes_text(b"ab", 2) == "b'ab'"
    assert bytes_text(b"abc", 2) == "b'ab' …"


# ----------------------------------------------------------------------------------------- bars


class Bar:
    """Stands in for tqdm's.

    Attributes:
        made: All bars so far.
    """

    made: list[Bar]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.n = 0
        self.texts: list[str] = []
        self.closed = False
        Bar.made.append(self)

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.texts.append(text)

    def update(self, count: int) -> None:
        assert not self.closed
        self.n += count

    def reset(self, total: int) -> None:
        self.options["total"], self.n = total, 0

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """Return the bars that are made, there being a tqdm of our own and a terminal."""
    module = ModuleType("tqdm.auto")
    module.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    Bar.made = []
    return Bar.made


def test_a_batch_counts_keys_and_tells_their_bytes(
    bars: list[Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many a second, too, once a second has passed."""
    now = 0.0
    monkeypatch.setattr("s3kv.progress.monotonic", lambda: now)
    with show_progress(True, "get", ["a", "b"]) as bar:
        assert len(bars) == 1
        bar.step(1_500_000)
        now = 3.0
        bar.step(1_500_000)
    (made,) = bars
    assert made.options == {"total": 2, "desc": "get", "unit": "key"}
    assert made.texts == ["1.5 MB", "3.0 MB, 1.0 MB/s"]
    assert (made.n, made.closed) == (2, True)


def test_a_transfer_counts_bytes_of_a_total(bars: list[Bar]) -> None:
    """tqdm then tells the rate and the time left; an object that is begun anew starts at nothing."""
    with show_progress(True, "download", None) as bar:
        assert bars == []
        bar.expect(100)
        bar.step(60, 0)
        bar.expect(80)
        bar.step(80, 0)
        bar.step(0)
    (made,) = bars
    assert made.options == {"total": 80, "desc": "download", "unit": "B", "unit_scale": True}
    assert (made.n, made.closed) == (80, True)


def test_what_has_no_number_is_counted_all_the_same(bars: list[Bar]) -> None:
    """The bar appears with the first that is done."""
    with show_progress(True, "download", None) as bar:
        bar.step(10, 0)
        bar.step(0)
    (made,) = bars
    assert made.options["total"] is None
    assert made.n == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_bar_is_closed_whatever_happens(error: type[BaseException], bars: list[Bar]) -> None:
    """And one that was never shown needs no closing."""
    with pytest.raises(error), show_progress(True, "get", ["a"]):
        raise error
    assert bars[0].closed
    with pytest.raises(error), show_progress(True, "upload", None):
        raise error
    assert len(bars) == 1


def test_nothing_is_shown_before_the_work_begins(bars: list[Bar]) -> None:
    """A call that is refused leaves no bar behind."""
    with s3kv.Store("s3://bucket/") as store, pytest.raises(ValueError, match="on_missing"):
        store.get_many(["a"], on_missing="never", progress=True)  # type: ignore[arg-type]
    assert bars == []


def _shell(**attributes: Any) -> Callable[[], Any]:
    return lambda: SimpleNamespace(**attributes)


@pytest.mark.parametrize(
    ("find", "seen"),
    [(_shell(kernel=object()), True), (_shell(), False), (lambda: None, False), (None, False)],
)
def test_a_bar_is_seen_in_a_notebook(
    find: Callable[[], Any] | None, seen: bool, bars: list[Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPython that is merely loaded, or on a terminal that is none, makes no notebook."""
    module = ModuleType("IPython")
    if find is not None:
        module.get_ipython = find  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert (type(show_progress(True, "get", [])) is not Progress) == seen
    assert type(show_progress(False, "get", [])) is Progress


def test_a_program_without_standard_error_sees_no_bar(
    bars: list[Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those without a console on Windows."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "stderr", None)
    assert type(show_progress(True, "get", [])) is Progress
