"""Progress bars of tqdm's own, as somebody at a terminal sees them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tqdm import tqdm

import s3kv
from tests.wire.memory_s3 import MemoryS3, Turn
from tests.wire.scripted import ScriptedServer, error

Open = Callable[..., s3kv.Store]


class Terminal(io.StringIO):
    """Takes what is written, as a terminal would."""

    def isatty(self) -> bool:
        return True

    @property
    def last(self) -> str:
        """The line as it stands in the end."""
        return self.getvalue().strip().rpartition("\r")[2]


def sit_down(patch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of standard error; tqdm draws every step, without a thread.

    Not a fixture: pytest puts its own standard error in place when the test is called.
    """
    made = Terminal()
    patch.setattr(sys, "stderr", made)
    patch.setattr(tqdm, "monitor_interval", 0)
    return made


def test_batches_show_how_many_of_how_many(monkeypatch: pytest.MonkeyPatch, open_: Open) -> None:
    """Keys, their rate, and their bytes."""
    terminal = sit_down(monkeypatch)
    values = {f"key{number}": b"x" * 500_000 for number in range(4)}
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        store.put_many(values, progress=True)
        assert terminal.last.startswith("put: 100%")
        assert "4/4" in terminal.last
        assert "2.0 MB" in terminal.last
        assert store.get_many(list(values), progress=True) == values
        assert terminal.last.startswith("get: 100%")
        assert "key/s" in terminal.last
        assert list(store.iter_many(iter(["key0"]), progress=True)) == [("key0", values["key0"])]
        assert "get: 1key" in terminal.last


def test_transfers_show_bytes_of_a_total(
    monkeypatch: pytest.MonkeyPatch, open_: Open, tmp_path: Path
) -> None:
    """With units, and their rate."""
    terminal = sit_down(monkeypatch)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    bucket = MemoryS3()
    with bucket.server() as server:
        store = open_(server)
        store.upload(path, "key", progress=True)
        assert terminal.last.startswith("upload: 100%")
        assert "3.00M/3.00M" in terminal.last
        assert "B/s" in terminal.last
        store.download("key", tmp_path / "copy", progress=True)
        assert terminal.last.startswith("download: 100%")
        assert "3.00M/3.00M" in terminal.last
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_a_bar_ends_where_its_batch_fails(monkeypatch: pytest.MonkeyPatch, open_: Open) -> None:
    """What comes after it is on a line of its own."""
    terminal = sit_down(monkeypatch)
    bucket = MemoryS3(a=b"1")
    bucket.looks = [Turn(acts=False, told=error(403, "AccessDenied"))]
    with bucket.server() as server:
        with pytest.raises(s3kv.BatchError):
            open_(server).get_many(["a"], progress=True)
        assert terminal.getvalue().endswith("\n")
        assert "1/1" in terminal.last


def test_nothing_is_drawn_where_nobody_looks(
    open_: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in a file nor in a pipe."""
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with MemoryS3(a=b"1").server() as server:
        store = open_(server)
        store.get_many(["a"], progress=True)
        store.download("a", tmp_path / "a", progress=True)
        assert isinstance(server, ScriptedServer)
    assert file.getvalue() == ""
