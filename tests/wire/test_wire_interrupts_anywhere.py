"""Ctrl-C between any two steps: the interpreter looks for it after nearly every call that it makes.

Each program here does the same thing again and again, with a new store, and has Ctrl-C come one step later
each time, until the thing is done before it comes. The store must be of use afterwards, whatever was cut
off, and the program must end: no thread may have been left behind that waits for somebody who has gone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wire.memory_s3 import MemoryS3
from tests.wire.test_wire_interrupts import running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")

PROGRAM = """
import faulthandler, signal, tempfile
import concurrent.futures.thread, queue

faulthandler.dump_traceback_later(60, exit=True)
# What the collector runs cannot pass Ctrl-C on.
sys.unraisablehook = lambda found: (
    None if found.exc_type is KeyboardInterrupt else sys.__unraisablehook__(found)
)
folder = tempfile.mkdtemp(dir=sys.argv[2])
KEYS = [f"key {{number}}" for number in range(12)]

def act(store):
    {act}

def interrupted_at(step):
    # Whether it came before the end.
    count = 0

    def look(frame, event, argument):
        nonlocal count
        if event in ("call", "c_return"):
            count += 1
            if count == step:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)

    store = opened(context={{"s3_request_concurrency": {{"limit": 4}}}})
    {warm}
    try:
        sys.setprofile(look)
        act(store)
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    assert store.get("key 1") == b"value", step
    assert store.get_many(KEYS[:3]) == dict.fromkeys(KEYS[:3], b"value"), step
    until = time.monotonic() + 5
    while store._core._calls:
        # A future that nobody has.
        assert time.monotonic() < until, step
        time.sleep(0.001)
    store.close()
    return count >= step

act(store)
step = 1
while interrupted_at(step):
    step += {stride}
say("steps", step)
"""

# What is done, and every how many steps it is interrupted.
ACTS = {
    "get": ("store.get('key 1')", 1),
    "put": ("store.put('put', b'value')", 1),
    "list": ("store.list()", 1),
    "scan": ("[entry for entry in store.scan()]", 1),
    "modify": ("store.modify('modified', lambda value: b'value')", 1),
    "get_many": ("store.get_many(KEYS)", 3),
    "iter_many, left in the middle": ("next(iter(store.iter_many(KEYS)))", 5),
    "a large put": ("store.put('large', b'x' * 17_000_000)", 5),
    "a future": ("store.futures.get('key 1')", 1),
    "upload_prefix": ("store.upload_prefix(sys.argv[3], 'up/')", 23),
    "download_prefix": ("store.download_prefix('key', folder)", 11),
}


@pytest.mark.parametrize("warm", [False, True], ids=["the first call", "a later call"])
@pytest.mark.parametrize(("act", "stride"), ACTS.values(), ids=ACTS)
def test_ctrl_c_between_any_two_steps_breaks_nothing(
    act: str, stride: int, warm: bool, tmp_path: Path
) -> None:
    """Before there is any thread, while they are started, and with those that there are."""
    files = tmp_path / "files"
    files.mkdir()
    for number in range(6):
        (files / str(number)).write_bytes(b"value")
    bucket = MemoryS3(**{f"key {number}": b"value" for number in range(12)})
    code = PROGRAM.format(act=act, stride=stride, warm="act(store)" if warm else "pass")
    with bucket.server() as server, running(code, server.url, str(tmp_path), str(files)) as program:
        words = program.line()
        assert words[:1] == ["steps"], program.end()
        assert int(words[1]) > 20
        assert program.end() == ("", "")
    assert bucket.uploads == {}
