"""Watches the processes of one server from outside, in case the test process dies.

A fixture's teardown and ``atexit`` cover every ordinary end, Ctrl-C included. They do not run when
the test process is killed by a signal Python has no handler for (a CI job's time limit, the
out-of-memory killer). So each server has this small script running in a session of its own, holding
the read end of a pipe: when the pipe closes without the word ``done``, the test process is gone,
and what it left running is stopped here.

It is run as a script, by path and isolated from site-packages, so that it starts in milliseconds;
nothing in it may import the rest of the package.

Arguments: the paths to remove. Lines on standard input: the id of a process group to watch, the
same with a minus sign to forget it, or ``done``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

GRACE_SECONDS = 2.0


def signal_groups(groups: list[int], signum: int) -> None:
    """Send a signal to every group that still exists."""
    for group in groups:
        try:
            os.killpg(group, signum)
        except (ProcessLookupError, PermissionError):
            continue  # Gone, or (on macOS) only zombies are left in it.


def remove(path: str) -> None:
    """Remove a directory or a file, or find it gone."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def main(paths: list[str]) -> None:
    """Read group ids until ``done``; at an end of file without it, clean up."""
    # A terminal that closes, or a runner that signals every process it can see, must not end the
    # guard before the processes it guards.
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        if line.strip() == "done":
            return
        group = int(line)
        if group > 0:
            groups.append(group)
        elif -group in groups:
            groups.remove(-group)
    signal_groups(groups, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    signal_groups(groups, signal.SIGKILL)
    time.sleep(0.2)  # The kernel frees open files only once the killed processes have run again.
    for path in paths:
        remove(path)


if __name__ == "__main__":
    main(sys.argv[1:])
