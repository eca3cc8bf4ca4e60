"""Who decides whether the condition of a write holds."""

from __future__ import annotations

from enum import Enum


class Deciding(Enum):
    """Who decides whether the condition of a write holds."""

    HEADERS = "headers"
    """The store, by the headers of the write alone: atomic."""
    BOTH = "both"
    """A look at the object first, then the headers, which the store may ignore."""
    LOOK = "look"
    """The look at the object alone: another writer may come in between."""


def deciding(use_conditional_write: bool | None, *, aws: bool) -> Deciding:
    """Who decides, by what the spec says and whose endpoint it is.

    Args:
        use_conditional_write: The spec's member; None for not given.
        aws: The endpoint is Amazon's, which is known to honour the headers.
    """
    if use_conditional_write is None:
        return Deciding.HEADERS if aws else Deciding.BOTH
    return Deciding.HEADERS if use_conditional_write else Deciding.LOOK
