"""One request as it is, for whoever wants to see how the store answers it."""

from __future__ import annotations

from ..call import Call
from ..messages import Request
from ..pipeline.life import Life, Resources, live


def ask(resources: Resources, call: Call, request: Request) -> Life:
    """The answer to a request, whatever its status.

    Raises:
        S3KVError: there was none.
    """
    return (yield from live(request, resources, call))
