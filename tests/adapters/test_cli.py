"""The command line on a real server: each command, its output and its exit status."""

from __future__ import annotations

import io
import itertools
import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import s3kv
from s3kv.cli.main import main
from s3kv.cli.places import encoded
from s3kv.spec.url import parse_url
from s3kv.testing import LocalServer
from tests.adapters.cli_helpers import Folder, Run, at, running_on

_numbers = itertools.count()


@pytest.fixture
def folder(local_server: LocalServer) -> Folder:
    """Return a place of this test's own."""
    return Folder(local_server, f"cli-{next(_numbers)}/")


@pytest.fixture
def store(folder: Folder) -> Iterator[s3kv.Store]:
    """Return a store of that place."""
    with folder.server.store(path=folder.path) as opened:
        yield opened


@pytest.fixture
def run(folder: Folder, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command on the server."""
    return running_on(folder.server.endpoint, capsys)


# -------------------------------------------------------------------------------------------------- ls


def test_ls_shows_one_level(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """Objects and folders in one order, each by a URL that other commands take."""
    store.put_many({"a": b"", "b/x": b"", "b/y/z": b"", "c d": b"", "b-c": b""})
    assert run("ls", folder.url()).lines == [folder.url(key) for key in ("a", "b-c", "b/", "c%20d")]
    assert run("ls", folder.url("b/")).lines == [folder.url("b/x"), folder.url("b/y/")]
    assert run("ls", folder.url("b")).lines == [folder.url("b-c"), folder.url("b/")]
    assert run("ls", "-r", folder.url("b")).lines == [folder.url(key) for key in ("b-c", "b/x", "b/y/z")]


def test_ls_shows_sizes_and_dates(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """Of objects; folders have none."""
    store.put_many({"small": b"12", "large": bytes(1_600_000), "sub/x": b""})
    rows = [line.split() for line in run("ls", "--long", folder.url()).lines]
    assert [(row[0], row[-1]) for row in rows] == [
        ("1600000", folder.url("large")),
        ("2", folder.url("small")),
        ("-", folder.url("sub/")),
    ]
    moment = store.stat("small").last_modified
    assert moment is not None
    assert rows[1][1] == f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    assert rows[2][1] == "-"
    human = run("ls", "--human", folder.url()).out
    assert "1.5 MiB" in human
    assert " 2 B " in human


@pytest.mark.parametrize("recursive", [True, False])
def test_ls_as_json_is_one_document(run: Run, folder: Folder, store: s3kv.Store, recursive: bool) -> None:
    """With the keys of stat; what a listing does not tell is null, of a folder all but its key."""
    stamp = store.put("é/a b", b"12")
    store.put("b", b"")
    found = run("ls", "--json", *["--recursive"] * recursive, folder.url()).json
    first, second = found
    assert first["key"] == f"{folder.path}b"
    assert set(first) == {"key", "size", "etag", "last_modified", "content_type", "metadata"}
    if recursive:
        assert (second["key"], second["size"], second["etag"]) == (
            f"{folder.path}é/a b",
            2,
            stamp.generation,
        )
        assert second["last_modified"].endswith("+00:00")
        assert second["content_type"] is second["metadata"] is None
    else:
        assert second == {**dict.fromkeys(first), "key": f"{folder.path}é/"}


def test_ls_of_nothing_says_so(run: Run, folder: Folder) -> None:
    """With status 1, as ls does; an empty bucket is no error."""
    ended = run("ls", folder.url("nothing"))
    assert ended == (1, "", f"s3kv: nothing begins with {folder.url('nothing')}\n")
    assert run("ls", "--json", folder.url("nothing")).json == []
    with LocalServer() as empty:
        assert run("ls", f"s3://{empty.bucket}", "--endpoint", empty.endpoint) == (0, "", "")


ODD = ["a b", "a%20b", "a%", "a?b#c|d", "'\"`\\", "é/ü", "new\nline", "\x1b[31m", "//a//", "../x", "\u2028"]


@pytest.mark.parametrize("key", ODD)
def test_a_url_that_is_shown_leads_back(key: str) -> None:
    """And is one word on one line of a terminal."""
    shown = encoded(key)
    assert parse_url(f"s3://bucket/{shown}") == ("bucket", key)
    assert shown.isprintable()
    assert len(shown.split()) == 1


@pytest.mark.parametrize("key", ["a b", "a%20b", "a?b#c|d", "'\"", "é/ü", "../x"])
def test_odd_keys_go_around(run: Run, folder: Folder, store: s3kv.Store, key: str) -> None:
    """What ls shows, cat takes."""
    store.put(key, b"value")
    (url,) = run("ls", "-r", folder.url()).lines
    assert run("cat", url).out == "value"


# -------------------------------------------------------------------------------- stat, presign, doctor


def test_stat_tells_what_the_store_says(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """For people, and as one document."""
    stamp = store.put("key", b"12345", content_type="text/x", metadata={"colour": "red"})
    found = run("stat", "--json", folder.url("key")).json
    moment = store.stat("key").last_modified
    assert found == {
        "key": f"{folder.path}key",
        "size": 5,
        "etag": stamp.generation,
        "last_modified": moment and moment.isoformat(),
        "content_type": "text/x",
        "metadata": {"colour": "red"},
    }
    shown = run("stat", folder.url("key"))
    assert shown.status == 0
    for word in (folder.url("key"), "5 bytes", stamp.generation, "text/x", "metadata colour", "red"):
        assert word in shown.out


def test_presign_makes_a_url(run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed with the credentials there are, for a method and a time."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    asked: list[tuple[str, str, int]] = []
    presign = s3kv.Store.presign

    def spy(store: s3kv.Store, key: str, *, method: str, expires: int) -> str:
        asked.append((key, method, expires))
        return presign(store, key, method=method, expires=expires)

    monkeypatch.setattr(s3kv.Store, "presign", spy)
    signed = ["--endpoint", folder.server.endpoint, "--aws-region", "us-east-1"]
    arguments = ("presign", folder.url("key"), "--expires", "60", "--method", "PUT", *signed)
    url = run(*arguments, where=False).out
    assert url.startswith(f"{folder.server.endpoint}/{folder.server.bucket}/{folder.path}key?")
    assert "X-Amz-Expires=60" in url
    assert "X-Amz-Credential=AKIDEXAMPLE" in url
    assert asked == [(f"{folder.path}key", "PUT", 60)]
    found = run(*arguments, "--json", where=False).json
    assert (found["method"], found["expires"]) == ("PUT", 60)
    assert found["url"].startswith(url[:50])
    for expires, allowed in (("604801", "1 to 604,800"), ("0", "at least 1"), ("soon", "a whole number")):
        refused = run("presign", folder.url("key"), "--expires", expires)
        assert refused.status == 2
        assert allowed in refused.err
    assert run("presign", folder.url("key"), "--method", "POST").status == 2


def test_doctor_tells_what_works(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """Writes only where that is asked for; leaves nothing behind."""
    looked = run("doctor", folder.url())
    assert looked.status == 0
    assert "list" in looked.out
    assert "not tried" in looked.out
    assert "doctor(" not in looked.out
    tried = {
        check["name"]: check["outcome"] for check in run("doctor", "--write", "--json", folder.url()).json
    }
    assert tried["list"] == tried["write"] == "ok"
    assert store.list() == []


def test_doctor_fails_where_something_fails(run: Run, folder: Folder) -> None:
    """With status 3, and says what."""
    ended = run("doctor", "s3://there-is-no-such-bucket/")
    assert ended.status == 3
    assert "failure" in ended.out


# -------------------------------------------------------------------------------------------- cat, get


def test_cat_writes_the_bytes(
    folder: Folder,
    store: s3kv.Store,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As they are, and nothing else; large ones in parts, in order."""
    for module in ("reading", "files"):
        monkeypatch.setattr(f"s3kv.{module}.PART_BYTES", 10_000)
    value = os.urandom(123_456)
    store.put_many({"small": bytes(range(256)), "large": value, "empty": b""})
    for key, wanted in (("small", bytes(range(256))), ("large", value), ("empty", b"")):
        capsysbinary.readouterr()
        for command in (["cat", folder.url(key)], ["get", folder.url(key), "-"]):
            assert main([*command, *at(folder.server.endpoint)]) == 0
            assert capsysbinary.readouterr() == (wanted, b"")


@pytest.mark.parametrize("command", ["cat", "stat", "get"])
def test_a_missing_object_is_not_found(run: Run, folder: Folder, command: str, tmp_path: Path) -> None:
    """Status 1, and one line that names it."""
    ended = run(command, folder.url("nothing"), *[str(tmp_path)] * (command == "get"))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("s3kv: ")
    assert f"{folder.path}nothing" in ended.err
    assert ended.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_get_downloads_to_a_file_or_into_a_folder(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path
) -> None:
    """Under the last part of its key there; quietly, unless JSON is asked for."""
    stamp = store.put("sub/name", b"value")
    assert run("get", folder.url("sub/name"), tmp_path / "file") == (0, "", "")
    found = run("get", "--json", folder.url("sub/name"), tmp_path).json
    assert found == {
        "key": f"{folder.path}sub/name",
        "path": str(tmp_path / "name"),
        "etag": stamp.generation,
    }
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "file": b"value",
        "name": b"value",
    }


def test_get_refuses_what_would_lead_elsewhere(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path
) -> None:
    """Names that are none, folders that are not there."""
    for key, status in (("sub/..", 3), ("a\\b", 3), ("slash/", 2)):
        store.put(key, b"evil")
        assert run("get", folder.url(key.replace("\\", "%5C")), tmp_path).status == status
    store.put("key", b"")
    missing = run("get", folder.url("key"), tmp_path / "none" / "file")
    assert missing == (1, "", f"s3kv: {tmp_path / 'none'}: there is no such folder\n")
    assert run("get", folder.url("key"), f"{tmp_path / 'none'}/").status == 1
    assert run("get", "--json", folder.url("key"), "-").status == 2
    assert run("get", "-r", folder.url(), "-").status == 2
    assert run("get", "--dry-run", folder.url("key"), tmp_path).status == 2
    assert os.listdir(tmp_path) == []


def test_get_downloads_everything_under_a_url(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path
) -> None:
    """As a folder, whether the URL has its slash or not; what is the same is left alone."""
    store.put_many({"d/a": b"1", "d/e/b": b"22", "dd": b"3"})
    would = run("get", "--recursive", "--dry-run", folder.url("d"), tmp_path / "to")
    assert would.lines == [
        f"would get {folder.url('d/a')}",
        f"would get {folder.url('d/e/b')}",
        "2 would be transferred, 3 bytes, 0 unchanged",
    ]
    assert not (tmp_path / "to").exists()
    assert run("get", "-r", folder.url("d"), tmp_path / "to").out == "2 transferred, 3 bytes, 0 unchanged\n"
    again = run("get", "-r", "--json", folder.url("d/"), tmp_path / "to").json
    assert (again["transferred"], again["bytes"], again["dry_run"]) == ([], 0, False)
    assert again["skipped"] == [f"{folder.path}d/a", f"{folder.path}d/e/b"]
    assert (
        len(run("get", "-r", "--all", "--json", folder.url("d"), tmp_path / "to").json["transferred"]) == 2
    )
    assert (tmp_path / "to" / "e" / "b").read_bytes() == b"22"
    assert run("get", "-r", folder.url("nothing"), tmp_path / "to").status == 1


def test_get_names_each_key_that_failed(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path
) -> None:
    """A line for each; the others arrive."""
    store.put_many({"good": b"", "../bad": b"", "../worse": b""})
    ended = run("get", "-r", folder.url(), tmp_path)
    assert ended.status == 3
    assert ended.err.splitlines()[0] == "s3kv: 2 keys failed, 1 did not"
    assert len(ended.err.splitlines()) == 3
    assert "../worse: " in ended.err
    assert os.listdir(tmp_path) == ["good"]


# ------------------------------------------------------------------------------------------------- put


def test_put_uploads_a_file(run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path) -> None:
    """Under a key, or into a folder under its name; with the type that is said, or guessed."""
    (tmp_path / "name.json").write_text("{}")
    path = str(tmp_path / "name.json")
    assert run("put", path, folder.url("key")) == (0, "", "")
    found = run("put", "--json", path, folder.url("sub/")).json
    assert found == {"key": f"{folder.path}sub/name.json", "etag": store.stat("key").etag}
    run("put", path, folder.url("other"), "--content-type", "text/x")
    types = [store.stat(key).content_type for key in ("key", "sub/name.json", "other")]
    assert types == ["application/json", "application/json", "text/x"]


def test_put_to_a_bucket_alone_takes_the_files_name(run: Run, folder: Folder, tmp_path: Path) -> None:
    """As to any folder."""
    name = f"{folder.path.rstrip('/')}-file"
    (tmp_path / name).write_text("x")
    assert run("put", tmp_path / name, f"s3://{folder.server.bucket}").status == 0
    assert run("cat", f"s3://{folder.server.bucket}/{name}").out == "x"


def test_put_only_if_there_is_none(run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path) -> None:
    """Status 1 if there is one, which is left as it was."""
    (tmp_path / "file").write_text("new")
    assert run("put", "--if-absent", tmp_path / "file", folder.url("key")).status == 0
    store.put("key", b"old")
    ended = run("put", "--if-absent", tmp_path / "file", folder.url("key"))
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert store.get("key") == b"old"


def test_put_reads_standard_input(
    run: Run, folder: Folder, store: s3kv.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To its end, whatever its length."""
    for value in (b"", b"value", bytes(range(256)) * 100_000):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(value)))
        assert run("put", "-", folder.url("key"), "--content-type", "text/x").status == 0
        assert store.get("key") == value
    assert store.stat("key").content_type == "text/x"
    assert "called" in run("put", "-", folder.url("sub/")).err
    monkeypatch.setattr(sys, "stdin", None)
    assert run("put", "-", folder.url("key")).status == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_put_reads_a_pipe_to_its_end(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which grows while it is read, and is no changed file for that; with looks at signals in between."""
    waits: list[float] = []

    def spy(read: Any, write: Any, other: Any, seconds: float) -> Any:
        waits.append(seconds)
        return select.select(read, write, other, seconds)

    monkeypatch.setattr("s3kv.cli.moving.select", SimpleNamespace(select=spy))
    os.mkfifo(tmp_path / "pipe")

    def feed() -> None:
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            for _ in range(100):
                pipe.write(b"x" * 10_000)

    feeding = threading.Thread(target=feed)
    feeding.start()
    assert run("put", tmp_path / "pipe", folder.url("key")).status == 0
    feeding.join()
    assert store.get("key") == b"x" * 1_000_000
    assert waits
    assert max(waits) <= 0.25


def test_put_refuses_what_it_cannot_do(run: Run, folder: Folder, tmp_path: Path) -> None:
    """A folder without --recursive, a file that is not there, options that do not go together."""
    for path, url in (
        (tmp_path, folder.url("key")),
        (f"{tmp_path}/", folder.url("key")),
        # As a shell completes it: its name is not looked for.
        (f"{tmp_path}/", folder.url()),
    ):
        assert run("put", path, url) == (2, "", f"s3kv: {path} is a folder: add --recursive\n")
    missing = run("put", tmp_path / "none", folder.url("key"))
    assert (missing.status, missing.err) == (1, f"s3kv: {tmp_path / 'none'}: No such file or directory\n")
    assert run("put", "-r", tmp_path / "none", folder.url("key")).status == 1
    assert run("put", "-r", "-", folder.url("key")).status == 2
    assert run("put", "-r", "--if-absent", tmp_path, folder.url()).status == 2
    assert run("put", "--delete", tmp_path, folder.url()).status == 2


def test_put_uploads_a_folder(run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path) -> None:
    """And makes the store the same, if that is wanted."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    store.put_many({"d/old": b"", "dd": b""})
    would = run("put", "-r", "--delete", "--dry-run", tmp_path, folder.url("d"))
    assert would.lines == [
        f"would put {folder.url('d/sub/a')}",
        f"would delete {folder.url('d/old')}",
        "1 would be transferred, 1 bytes, 0 unchanged, 1 would be deleted",
    ]
    assert store.list() == ["d/old", "dd"]
    done = run("put", "-r", "--delete", "--json", tmp_path, folder.url("d")).json
    assert (done["transferred"], done["deleted"]) == ([f"{folder.path}d/sub/a"], [f"{folder.path}d/old"])
    assert store.list() == ["d/sub/a", "dd"]


# --------------------------------------------------------------------------------------------- cp, rm


def test_cp_copies_on_the_server(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """To another key, or into a folder; in the same bucket or another."""
    store.put("key", b"value", content_type="text/x")
    assert run("cp", folder.url("key"), folder.url("copy")) == (0, "", "")
    found = run("cp", "--json", folder.url("key"), folder.url("sub/")).json
    assert found == {"key": f"{folder.path}sub/key", "etag": store.stat("copy").etag}
    assert store.stat("sub/key").content_type == "text/x"
    with LocalServer() as other, other.store() as there:
        # All buckets of this process are in one memory, behind any of its servers.
        assert run("cp", folder.url("key"), f"s3://{other.bucket}/x").status == 0
        assert there.get("x") == b"value"
    assert run("cp", "--if-absent", folder.url("key"), folder.url("copy")).status == 1
    assert run("cp", folder.url("nothing"), folder.url("copy")).status == 1
    assert run("cp", folder.url("key"), f"s3://{folder.server.bucket}/").status == 0


def test_rm_deletes_an_object(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """One that is not there is no error."""
    store.put_many({"a": b"", "ab": b""})
    assert run("rm", "--dry-run", folder.url("a")).out == f"would delete {folder.url('a')}\n"
    assert store.list() == ["a", "ab"]
    assert run("rm", folder.url("a")) == (0, "", "")
    assert run("rm", folder.url("a")) == (0, "", "")
    assert run("rm", "--json", folder.url("a")).json == {"deleted": 1, "dry_run": False}
    assert run("rm", "--dry-run", folder.url("a")) == (0, "", "")
    assert store.list() == ["ab"]


def test_rm_deletes_a_folder_only_if_that_is_said(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """And nothing that only begins with its name."""
    store.put_many({"d/a": b"", "d/b/c": b"", "d/": b"", "dd": b"", "d-": b""})
    refused = run("rm", folder.url("d/"))
    assert (refused.status, "--recursive" in refused.err) == (2, True)
    assert run("rm", f"s3://{folder.server.bucket}").status == 2
    dry = run("rm", "-r", "--dry-run", folder.url("d"))
    assert dry.lines == [f"would delete {folder.url(key)}" for key in ("d/", "d/a", "d/b/c")]
    found = run("rm", "-r", "--dry-run", "--json", folder.url("d")).json
    assert found["keys"] == [f"{folder.path}{key}" for key in ("d/", "d/a", "d/b/c")]
    assert len(store) == 5
    assert run("rm", "-r", folder.url("d")).out == "3 deleted\n"
    assert store.list() == ["d-", "dd"]
    assert run("rm", "-r", "--json", folder.url("d")).json == {"deleted": 0, "dry_run": False}


def test_rm_deletes_an_object_recursively_too(run: Run, folder: Folder, store: s3kv.Store) -> None:
    """Alone, or with the folder of the same name; a slash at the end leaves the object."""
    store.put_many({"a": b"", "a.txt": b"", "d": b"", "d/a": b"", "d-": b"", "e": b"", "e/": b""})
    assert run("rm", "-r", "--dry-run", folder.url("a")).lines == [f"would delete {folder.url('a')}"]
    assert run("rm", "-r", "--json", folder.url("a")).json == {"deleted": 1, "dry_run": False}
    assert run("rm", "-r", folder.url("d")).out == "2 deleted\n"
    assert run("rm", "-r", folder.url("e/")).out == "1 deleted\n"
    assert store.list() == ["a.txt", "d-", "e"]


def test_progress_is_shown_on_a_terminal_only(
    run: Run, folder: Folder, store: s3kv.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not beside JSON, nor where it is not wanted."""
    wanted: list[bool] = []
    download = s3kv.Store.download

    def spy(self: s3kv.Store, *arguments: Any, progress: bool) -> Any:
        wanted.append(progress)
        return download(self, *arguments)

    monkeypatch.setattr(s3kv.Store, "download", spy)
    store.put("key", b"")
    command = ("get", folder.url("key"), tmp_path / "file")
    run(*command)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)
    for more in ([], ["--json"], ["--no-progress"]):
        run(*command, *more)
    assert wanted == [False, True, False, False]
