"""What a provider of credentials said, as an error may show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..errors import CredentialsError
from .value import Credentials

# A provider's answer that could not be read is part of its error, and may hold what it was to keep.
_NAMED = re.compile(
    r"(?i)([\"']?(?:secret\w*|\w*secret_?access_?key|\w*token|password)[\"']?\s*[:=]\s*[\"']?)([^\s\"',}<]+)"
)
_LONG = re.compile(r"[A-Za-z0-9/+]{40,}={0,2}")


# RFC 9110, section 5.5: what a header's value may hold, spaces left out.
_VISIBLE = re.compile(r"[!-~]+").fullmatch


def checked(what: str, access_key: object, secret_key: object, token: object) -> Credentials:
    """Credentials that requests can be signed with.

    Raises:
        CredentialsError: a part is missing, or no header can carry it.
    """
    for name, part in (
        ("access key id", access_key),
        ("secret access key", secret_key),
        ("session token", token or None),
    ):
        if part is None and name == "session token":
            continue
        if not part:
            raise CredentialsError(f"no credentials from {what}: the {name} is missing")
        if not isinstance(part, str) or not _VISIBLE(part):
            raise CredentialsError(
                f"no credentials from {what}: the {name} is not the visible ASCII text that it should be"
            )
    return Credentials(str(access_key), str(secret_key), str(token) if token else None)


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without these secrets, and without anything that looks like a secret key or a token."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    return _LONG.sub(_mask_random, _NAMED.sub(r"\1…", text))


def _mask_random(match: re.Match[str]) -> str:
    """A key is a mixture of all sorts; a path rarely is."""
    run = match[0]
    kinds = (str.isupper, str.islower, str.isdigit)
    return "…" if all(any(map(kind, run)) for kind in kinds) else run


def failure_of(what: str, error: BaseException, secrets: Sequence[str] = ()) -> CredentialsError:
    """The error for a provider that failed.

    Its cause is the provider's exception, unless that one would show a secret in a traceback.

    Args:
        what: The provider.
        error: Its exception.
        secrets: What must not be shown.
    """
    said = str(error) if type(error).__module__.startswith("botocore") else ""
    if not said:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    clean = masked(said, secrets)
    failure = CredentialsError(f"no credentials from {what}: {clean[:500]}")
    failure.__cause__ = error if _harmless(error, secrets) else None
    failure.__suppress_context__ = True
    return failure


def _harmless(error: BaseException, secrets: Sequence[str]) -> bool:
    """Whether an exception, with all that led to it, holds nothing secret.

    A traceback shows its text only; but Dask, say, pickles causes too, with all that they hold.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = f"{current} {current.args!r} {vars(current)!r}"
        if masked(text, secrets) != text:
            return False
        current = current.__cause__ or current.__context__
    return True
