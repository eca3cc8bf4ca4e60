"""The command ``s3kv bench``."""

from __future__ import annotations

import os
from argparse import Namespace

from ...errors import BucketNotFound, CredentialsError, PermissionDenied, S3KVError
from ..failures import DONE, NO_ACCESS, UsageError, printable
from ..output import complain, write_json, write_lines
from ..places import Places
from .measure import begin, clean_up, measure
from .report import draw, lines_of, load_chart_library
from .verdict import judge


def bench(options: Namespace) -> int:
    """Measure how fast a store is, and say what limits it."""
    make_figure = None
    if options.chart is not None:
        try:
            make_figure = load_chart_library()
        except S3KVError as error:
            # Before anything is measured.
            raise UsageError(str(error)) from error
    members = {}
    if options.concurrency is not None:
        members["s3_request_concurrency"] = {"limit": options.concurrency}

    def say(text: str) -> None:
        if not options.json:
            complain(text)

    with Places(options, **members) as places:
        place = places.find(options.url)
        prefix = f"{place.folder}.s3kv-bench-{os.urandom(8).hex()}/"
        store = place.store + prefix
        say(f"everything goes under {place.url(prefix)}")
        left, refused = "", False
        try:
            try:
                begin(store)
            except (BucketNotFound, CredentialsError, PermissionDenied):
                refused = True
                raise
            result = measure(store, seconds=options.seconds, size=options.size, say=say)
        finally:
            if not refused:
                say("removing what was written")
                left = clean_up(store)
            if left:
                complain(f"remove {place.url(prefix)} yourself: {printable(left)}")
    verdict = judge(result)
    if options.json:
        write_json(
            {"url": place.url(), **result.to_json(), "limit": verdict.limit, "explanation": verdict.text}
        )
    else:
        write_lines(lines_of(result, verdict))
    if make_figure is not None:
        draw(result, verdict, place.url(), options.chart, make_figure)
    return NO_ACCESS if left else DONE
