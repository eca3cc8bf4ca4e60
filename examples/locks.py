"""Conditional writes: claims, counters and locks that several processes share.

On a local S3 server (the ``server`` extra), or below a folder of yours:

    python examples/locks.py
    python examples/locks.py s3://my-bucket/some/folder/

The store has to decide on conditions itself, as Amazon S3 does: ``doctor(write=True)`` says what others do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import time

import s3kv


class Lease:
    """A lock for some seconds at most, so that a process that dies blocks nobody; clocks must agree."""

    def __init__(self, store: s3kv.Store, key: str) -> None:
        self._store, self._key = store, key
        self._held = s3kv.StorageGeneration.UNKNOWN

    def acquire(self, seconds: float) -> bool:
        """Take it if it is free, or its time is up; of several who try, one succeeds."""
        found = self._store.read(self._key)
        if found.state == "value" and json.loads(found.value)["until"] > time.time():
            return False
        # Of a key that does not exist the generation is NO_VALUE.
        return self._write(time.time() + seconds, found.stamp.generation)

    def release(self) -> bool:
        """Let go of it; False if it was lost. Not by a DELETE, which is less safe than a write."""
        return self._held.has_etag and self._write(0, self._held)

    def _write(self, until: float, before: s3kv.StorageGeneration) -> bool:
        value = json.dumps({"until": until, "turn": secrets.token_hex(8)}).encode()
        self._held = self._store.write(self._key, value, if_equal=before).generation
        return self._held.has_etag


def tour(store: s3kv.Store) -> None:
    """Write below ``store``, while others get in the way."""
    # A claim: the first one has it.
    stamp = store.put("task", b"mine", if_absent=True)
    with contextlib.suppress(s3kv.ConditionFailed):
        store.put("task", b"no, mine", if_absent=True)
    # Changed only if nobody else has changed it since.
    store["task"] = b"taken away"  # somebody else
    with contextlib.suppress(s3kv.ConditionFailed):
        store.put("task", b"done", if_equal=stamp.generation)
    print(f"  what the other wrote is still there: {store['task']!r}")

    # A counter: the function is called again when somebody else comes in between.
    seen: list[bytes | None] = []

    def increment(old: bytes | None) -> bytes:
        seen.append(old)
        if len(seen) == 1:
            store["counter"] = b"41"  # somebody else
        return b"%d" % (int(old or 0) + 1)

    store.modify("counter", increment)
    print(f"  the counter: {store['counter']!r}, after it was seen as {seen}")

    # A lock. After an OutcomeUnknown, which any of this may raise, nobody knows: look again.
    ours, theirs = Lease(store, "lock"), Lease(store, "lock")
    turns = [ours.acquire(60), theirs.acquire(60), ours.release()]
    turns += [theirs.acquire(0), ours.acquire(60), theirs.release()]  # they are too slow
    print(f"  the lock: {turns}")


def main() -> None:
    """Open a store as the arguments say, and take the tour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3://bucket/folder/; default: a local server")
    url = parser.parse_args().url
    with contextlib.ExitStack() as stack:
        if url:
            store = stack.enter_context(s3kv.Store(url))
        else:
            from s3kv.testing import LocalServer

            store = stack.enter_context(stack.enter_context(LocalServer()).store())
        # A folder of its own, so that nothing that is already there is touched.
        folder = store / f"s3kv-example-{secrets.token_hex(4)}/"
        print(f"\n{folder!r}\n")
        tour(folder)
        folder.clear()
    print("\nDone.")


if __name__ == "__main__":
    main()
