"""Files and large values on real servers: in one request or in parts, they arrive whole or not at all."""

from __future__ import annotations

import io
import os
import random
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import s3kv
from s3kv import StorageGeneration
from s3kv.testing import DropResponse, FaultProxy
from tests.contract.behind import Behind

feature = pytest.mark.feature

MIB = 1024**2
OpenStore = Callable[..., s3kv.Store]


@cache
def noise(size: int) -> bytes:
    """Return bytes of which no two parts are the same, the same on every run."""
    return random.Random(size).randbytes(size)


class Pipe:
    """A reader of which nothing is known but ``read``, and whose reads are short."""

    def __init__(self, value: bytes, fails_at: int | None = None) -> None:
        self._file = io.BytesIO(value)
        self._fails_at = fails_at

    def read(self, size: int) -> bytes:
        if self._fails_at is not None and self._file.tell() >= self._fails_at:
            raise OSError("the disk is on fire")
        return self._file.read(min(size, 1_000_003))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values count as large from 6 MiB on, and parts be 5 MiB, the least that servers take."""
    monkeypatch.setattr("s3kv.payload.PART_BYTES", 5 * MIB)
    for module in ("payload", "writing", "many"):
        monkeypatch.setattr(f"s3kv.{module}.LARGE_VALUE", 6 * MIB)


LARGE = 12 * MIB + 345

FORMS: dict[str, Callable[[bytes], Any]] = {"bytes": bytes, "file": io.BytesIO, "pipe": Pipe}


def uploads(raw: Any, store: s3kv.Store) -> list[Any]:
    """Return the uploads that have been begun and are neither completed nor aborted."""
    listed = raw.list_multipart_uploads(Bucket=store.bucket)
    return [upload for upload in listed.get("Uploads", []) if upload["Key"].startswith(store.path)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_value_in_any_form_arrives_whole(
    store_by: s3kv.Store, behind: Behind, form: Callable[[bytes], Any], small: None
) -> None:
    """Empty, small or in parts, with its type and metadata."""
    for size in (0, 100, LARGE):
        store_by.put("key", form(noise(size)), content_type="text/x", metadata={"colour": "red"})
        assert behind.get(store_by, "key") == noise(size)
        info = store_by.stat("key")
        assert (info.size, info.content_type, info.metadata) == (size, "text/x", {"colour": "red"})


def test_large_values_are_large_as_the_constants_have_it(store: s3kv.Store, tmp_path: Path) -> None:
    """This once without a fixture that makes them small: a file of five parts."""
    path = tmp_path / "file"
    path.write_bytes(b"before" + noise(33 * MIB))
    with path.open("rb") as file:
        file.seek(6)
        store.put("key", file)
    assert store.stat("key").size == 33 * MIB
    assert store.get("key", byte_range=slice(33 * MIB - 100, None)) == noise(33 * MIB)[-100:]
    assert store.get("key") == noise(33 * MIB)


def test_the_generation_of_a_large_value_is_the_one_that_is_there(
    store: s3kv.Store, behind: Behind, small: None
) -> None:
    """So that it can be a condition, also where the server does not tell it, or tells another."""
    stamp = store.put("key", noise(LARGE))
    assert stamp.generation == behind.head(store, "key")["ETag"] == store.stat("key").etag
    store.put("key", b"small", if_equal=stamp.generation)
    assert store.get("key") == b"small"


def test_a_pipe_of_the_system_arrives_whole(store: s3kv.Store, small: None) -> None:
    """Its length is not known before its end."""
    receiver, sender = os.pipe()

    def feed() -> None:
        with open(sender, "wb") as file:
            file.write(noise(LARGE))

    feeding = threading.Thread(target=feed)
    feeding.start()
    with open(receiver, "rb", buffering=0) as file:
        store.put("key", file)
    feeding.join()
    assert store.get("key") == noise(LARGE)


def test_many_values_may_be_files_and_large(store: s3kv.Store, small: None) -> None:
    """Of those with the same key the last one stays."""
    items: list[tuple[str, Any]] = [
        ("a", b"1"),
        ("b", noise(LARGE)),
        ("a", Pipe(noise(LARGE))),
        ("c", io.BytesIO(b"22")),
        ("b", b"333"),
        ("d", io.BytesIO(noise(LARGE))),
    ]
    stamps = store.put_many(items)
    assert stamps.keys() == {"a", "b", "c", "d"}
    found = store.get_many(list("abcd"))
    assert found == {"a": noise(LARGE), "b": b"333", "c": b"22", "d": noise(LARGE)}


@pytest.mark.parametrize("at", [0, 1000, 11 * MIB], ids=["at once", "early", "midway"])
def test_a_file_that_cannot_be_read_leaves_nothing(
    store: s3kv.Store, raw: Any, behind: Behind, at: int, small: None
) -> None:
    """What was there stays, and no upload is left behind."""
    store.put("key", b"old")
    with pytest.raises(OSError, match="on fire"):
        store.put("key", Pipe(noise(20 * MIB), fails_at=at))
    assert behind.get(store, "key") == b"old"
    assert uploads(raw, store) == []


@feature("multipart-initiated")
def test_an_upload_whose_id_was_lost_is_forgotten(
    open_store: OpenStore, credentials: None, server: Any, raw: Any, behind: Behind, small: None
) -> None:
    """One that was begun by a request whose answer never came; the others for the same key stay."""
    with FaultProxy(server.info.endpoint) as proxy:
        store = open_store(endpoint=proxy.endpoint, s3_request_retries={"initial_delay": "10ms"})
        other = raw.create_multipart_upload(Bucket=store.bucket, Key=f"{store.path}key")["UploadId"]
        # Of two that were begun in the same second nobody could tell.
        time.sleep(3)
        proxy.inject(DropResponse(), operation="CreateMultipartUpload")
        store.put("key", noise(LARGE))
        assert proxy.requests[0].operation == proxy.requests[1].operation == "CreateMultipartUpload"
    assert behind.get(store, "key") == noise(LARGE)
    assert [upload["UploadId"] for upload in uploads(raw, store)] == [other]


def test_a_text_file_is_refused(store: s3kv.Store, behind: Behind) -> None:
    """Nothing is written."""
    with pytest.raises(TypeError, match="binary"):
        store.put("key", io.StringIO("text"))
    assert behind.keys(store) == []


# -------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("mode", [None, False], ids=["default", "look"])
@pytest.mark.parametrize("form", [FORMS["bytes"], FORMS["pipe"]], ids=["bytes", "pipe"])
def test_a_large_value_is_written_if_its_condition_holds_and_only_then(
    mode: bool | None,
    form: Callable[[bytes], Any],
    open_store: OpenStore,
    credentials: None,
    raw: Any,
    behind: Behind,
    small: None,
) -> None:
    """Also where the server ignores conditions: s3kv looks first; no upload is left behind."""
    store = open_store() if mode is None else open_store(use_conditional_write=mode)
    _check_conditions(store, form, behind)
    assert uploads(raw, store) == []


@feature("multipart-if-none-match")
@feature("multipart-if-match")
def test_the_conditions_of_a_large_value_can_be_left_to_the_server(
    open_store: OpenStore, credentials: None, raw: Any, behind: Behind, small: None
) -> None:
    """Where it honours them at the completion, which is what ``use_conditional_write`` promises."""
    store = open_store(use_conditional_write=True)
    _check_conditions(store, bytes, behind)
    assert uploads(raw, store) == []


def _check_conditions(store: s3kv.Store, form: Callable[[bytes], Any], behind: Behind) -> None:
    with pytest.raises(s3kv.ConditionFailed):
        store.put("key", form(noise(LARGE)), if_equal=f'"{"0" * 32}"')
    assert behind.keys(store) == []
    store.put("key", form(noise(LARGE)), if_absent=True, metadata={"colour": "red"})
    assert store.stat("key").metadata == {"colour": "red"}
    with pytest.raises(s3kv.ConditionFailed):
        store.put("key", form(noise(LARGE - 1)), if_absent=True)
    refused = store.write("key", form(noise(LARGE - 1)), if_equal=StorageGeneration.NO_VALUE)
    assert refused.generation == StorageGeneration.UNKNOWN
    assert behind.get(store, "key") == noise(LARGE)
    there = store.stat("key").etag
    store.put("key", form(noise(LARGE - 2)), if_equal=there)
    with pytest.raises(s3kv.ConditionFailed):
        store.put("key", form(noise(LARGE - 1)), if_equal=there)
    assert behind.get(store, "key") == noise(LARGE - 2)


def test_modify_may_make_a_value_large_and_small_again(store: s3kv.Store, small: None) -> None:
    """Whatever way it is sent."""
    store.modify("key", lambda old: (old or b"") + noise(LARGE))
    store.modify("key", lambda old: (old or b"")[-100:])
    assert store.get("key") == noise(LARGE)[-100:]
