"""What a provider of credentials said, as an error may show it."""

from __future__ import annotations

import re

from ..errors import CredentialsError

# A provider's answer that could not be read is part of its error, and may hold what it was to keep.
_NAMED = re.compile(
    r"(?i)([\"']?(?:secret\w*|\w*secret_?access_?key|\w*token|password)[\"']?\s*[:=]\s*[\"']?)([^\s\"',}<]+)"
)
_LONG = re.compile(r"[A-Za-z0-9/+]{40,}={0,2}")


def masked(text: str) -> str:
    """``text`` without anything that looks like a secret key or a token."""
    return _LONG.sub(_mask_random, _NAMED.sub(r"\1…", text))


def _mask_random(match: re.Match[str]) -> str:
    """A key is a mixture of all sorts; a path rarely is."""
    run = match[0]
    kinds = (str.isupper, str.islower, str.isdigit)
    return "…" if all(any(map(kind, run)) for kind in kinds) else run


def failure_of(what: str, error: BaseException) -> CredentialsError:
    """The error for a provider that failed.

    Its cause is the provider's exception, unless that one would show a secret in a traceback.
    """
    said = str(error) if type(error).__module__.startswith("botocore") else ""
    if not said:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    clean = masked(said)
    failure = CredentialsError(f"no credentials from {what}: {clean[:500]}")
    failure.__cause__ = error if _harmless(error) else None
    failure.__suppress_context__ = True
    return failure


def _harmless(error: BaseException) -> bool:
    """Whether a traceback of an exception, with all that led to it, shows nothing secret."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = str(current)
        if masked(text) != text:
            return False
        current = current.__cause__ or current.__context__
    return True
