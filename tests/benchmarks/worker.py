"""The process of one contender: does what it is told line by line, and answers in lines of JSON.

The first line on standard input is the task. A contender that cannot take part is answered with
``absent``, else with ``ready``, after it has shown that it works. Then each line is a number of units of
work, and is answered with what a round of that many took.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from .contenders import client_version
from .jobs import Job, make_job
from .task import Absent, Place, Task


def peak_memory() -> int:
    """The most memory that this process has had resident so far, in bytes."""
    try:
        # Not ru_maxrss, which on Linux includes that of the process that forked this one.
        status = Path("/proc/self/status").read_text()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def run_round(job: Job, units: int) -> dict[str, Any]:
    """Do one timed round."""
    gc.collect()
    cpu, started = time.process_time(), time.perf_counter()
    done = job.run(units)
    seconds = time.perf_counter() - started
    # Of all threads of the process.
    cpu = time.process_time() - cpu
    peak = peak_memory()
    job.after()
    return {"units": done, "seconds": seconds, "cpu": cpu, "peak": peak}


def prepare(line: str) -> tuple[Job | None, dict[str, Any]]:
    """Make the job that the first line asks for, and show that it works."""
    fields = json.loads(line)
    check = fields.pop("check")
    task = Task(**{**fields, "place": Place(**fields["place"])})
    try:
        job = make_job(task)
    except ImportError as error:
        # One of a module within the client, or of its version, is worth telling.
        known = error.name == task.client
        return None, {"absent": "not installed" if known else f"not installed: {error}"}
    except Absent as error:
        return None, {"absent": str(error)}
    if check:
        job.check()
    else:
        job.warm()
    baseline = peak_memory()
    return job, {"ready": True, "version": client_version(task.client), "baseline": baseline}


def main() -> None:
    """Serve standard input."""
    # Whatever a client prints must not come between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def answer(what: dict[str, Any]) -> None:
            answers.write(json.dumps(what) + "\n")
            answers.flush()

        try:
            job, first = prepare(sys.stdin.readline())
            answer(first)
            if job is not None:
                for line in sys.stdin:
                    answer(run_round(job, int(line)))
        except Exception as error:
            traceback.print_exc()
            answer({"failed": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
    # Without the clients' own farewells: there is nothing to save, and some hang.
    os._exit(0)


if __name__ == "__main__":
    main()
