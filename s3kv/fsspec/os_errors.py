"""The errors of s3kv as errors of a file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BatchError, BucketNotFound, Changed, CredentialsError, KeyNotFound, S3KVError

_STALE = getattr(errno, "ESTALE", errno.EIO)


def os_error(error: Exception, path: str) -> Exception:
    """What to raise instead of an error; the same where it is right already.

    An ``OSError`` (``PermissionDenied``, ``DeadlineExceeded``, …), or a ``ValueError``, is.

    Args:
        path: The path that it is about.
    """
    if isinstance(error, BatchError):
        key, first = next(iter(error.errors.items()))
        return os_error(first, f"{path.partition('/')[0]}/{key}")
    if not isinstance(error, S3KVError) or isinstance(error, (OSError, ValueError)):
        return error
    if isinstance(error, (KeyNotFound, BucketNotFound)):
        return not_found(path)
    if isinstance(error, CredentialsError):
        return PermissionError(errno.EACCES, str(error), path)
    if isinstance(error, Changed):
        return OSError(_STALE, str(error), path)
    return OSError(errno.EIO, str(error), path)


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Turn the errors of a block into those of a file system."""
    try:
        yield
    except S3KVError as error:
        found = os_error(error, path)
        if found is error:
            raise
        raise found from error


def not_found(path: str) -> FileNotFoundError:
    """Neither an object nor a folder has this path."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def exists_already(path: str) -> FileExistsError:
    """There is an object with this path."""
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def is_folder(path: str) -> IsADirectoryError:
    """An object is wanted, and the path is that of a folder or a bucket."""
    return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def stale(path: str) -> OSError:
    """The object is another version by now."""
    return OSError(_STALE, "the object was replaced while the file was open", path)
