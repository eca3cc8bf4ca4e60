"""Use stores for a long time while requests go wrong at random, and check every answer.

    python -m tests.soak [--seconds 600] [--seed N] [--server memory] [--threads 6]

Prints what was done and what was wrong; the exit status is 1 if anything was, or if threads, descriptors
or memory have grown.
"""

from __future__ import annotations

import argparse
import sys
import time

from .run import soak
from .servers import NAMES


def main() -> int:
    """Read the command line, and run it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: another each time")
    parser.add_argument("--server", choices=NAMES, default="memory", help="in front of which (memory)")
    parser.add_argument("--threads", type=int, default=6, help="how many (6)")
    arguments = parser.parse_args()
    report = soak(arguments.server, arguments.seconds, arguments.seed, arguments.threads, tell=True)
    print(report)
    return 1 if report.wrong or report.grown else 0


if __name__ == "__main__":
    sys.exit(main())
