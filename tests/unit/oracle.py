"""TensorStore's verdict on a spec beside this package's, and short ways to write specs."""

from __future__ import annotations

from typing import Any

import tensorstore

from s3kv.errors import SpecError
from s3kv.spec.spec import Spec
from tests.unit.specs import Json

REFUSED = "refused"


def theirs_of(spec: Any, include_defaults: bool = False) -> Any:
    """What TensorStore writes for a spec or URL."""
    try:
        return tensorstore.KvStore.Spec(spec).to_json(include_defaults=include_defaults)
    except (ValueError, OverflowError):
        return REFUSED


def ours_of(spec: Any) -> Any:
    """What this package writes for it."""
    try:
        return Spec(spec).to_json()
    except SpecError:
        return REFUSED


def s3(**members: Any) -> Json:
    """A spec of the bucket that all have."""
    return {"driver": "s3", "bucket": "bucket", **members}


def credentials(kind: str, **members: Any) -> Json:
    """One with credentials of a type."""
    return s3(aws_credentials={"type": kind, **members})


def retries(**members: Any) -> Json:
    """One with a description of retries."""
    return s3(s3_request_retries=members)


def delay(text: Any) -> Json:
    """One with an initial delay."""
    return retries(initial_delay=text)


def limit(value: Any) -> Json:
    """One with a limit on requests."""
    return s3(s3_request_concurrency={"limit": value})


def rates(**members: Any) -> Json:
    """One with a description of rates."""
    return s3(experimental_s3_rate_limiter=members)
