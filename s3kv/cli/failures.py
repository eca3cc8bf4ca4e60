"""What a command says, and exits with, when something went wrong."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import (
    BatchError,
    BucketNotFound,
    ByteRangeError,
    ConditionFailed,
    InvalidKey,
    KeyNotFound,
    S3KVError,
    SpecError,
)

DONE = 0
NOT_FOUND = 1
USAGE = 2
NO_ACCESS = 3
INTERRUPTED = 130

# Of the keys of a batch that failed, so many are named.
_MOST_NAMED = 20


class UsageError(Exception):
    """The command was called wrongly."""


class NothingThere(Exception):
    """There is nothing at a URL."""


_STATUSES: tuple[tuple[int, tuple[type[Exception], ...]], ...] = (
    (NOT_FOUND, (NothingThere, KeyNotFound, BucketNotFound, ConditionFailed, FileNotFoundError)),
    (USAGE, (UsageError, SpecError, InvalidKey, ByteRangeError)),
    (NO_ACCESS, (S3KVError,)),
    (USAGE, (ValueError, ImportError, IsADirectoryError, NotADirectoryError, FileExistsError)),
)


def status_of(error: Exception) -> int:
    """The exit status for an error; of many, the gravest."""
    if isinstance(error, BatchError):
        return max((status_of(each) for each in error.errors.values()), default=NO_ACCESS)
    for status, kinds in _STATUSES:
        if isinstance(error, kinds):
            return status
    return NO_ACCESS


def lines_of(error: Exception) -> Iterator[str]:
    """What to say of an error: one line, and of a batch one for each of the first keys that failed."""
    if not isinstance(error, BatchError):
        yield _line(error)
        return
    count = len(error.errors)
    others = f", {len(error.results):,} did not" if error.results else ""
    yield f"{count:,} {'key' if count == 1 else 'keys'} failed{others}"
    for number, (key, each) in enumerate(error.errors.items()):
        if number == _MOST_NAMED:
            yield f"  and {count - number:,} more"
            return
        yield f"  {printable(key)}: {_line(each)}"


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, S3KVError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return printable(f"{where}{error.strerror}")
    if is_unexpected(error):
        return printable(f"unexpected {type(error).__name__}: {error}; --verbose shows where")
    return printable(str(error) or type(error).__name__)


def is_unexpected(error: Exception) -> bool:
    """Whether an error is nobody's but this package's."""
    return not isinstance(error, (S3KVError, OSError, UsageError, NothingThere, ValueError, ImportError))


def printable(text: str) -> str:
    """Text as a line of a terminal: no line ends, and nothing that a terminal would obey."""
    return "".join(
        c if c.isprintable() else " " if c in "\r\n\t" else c.encode("unicode_escape").decode("ascii")
        for c in text.strip()
    )
