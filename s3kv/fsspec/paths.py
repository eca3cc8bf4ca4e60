"""Paths of fsspec, ``bucket/key``, and what they name in a bucket."""

from __future__ import annotations

import io
from typing import NamedTuple


class Place(NamedTuple):
    """What a path names.

    Attributes:
        bucket: The bucket's name.
        key: The object's key; empty for the bucket itself.
    """

    bucket: str
    key: str

    @property
    def below(self) -> str:
        """What the keys of everything in this folder start with."""
        return f"{self.key}/" if self.key else ""


def place_of(path: str) -> Place:
    """What a path without protocol names.

    Raises:
        io.UnsupportedOperation: it is empty, and so stands for all buckets.
    """
    bucket, _, key = path.partition("/")
    if not bucket:
        raise io.UnsupportedOperation(
            "a path has the form bucket/key: s3kv does not list or change buckets"
        )
    return Place(bucket, key)


def path_of(bucket: str, key: str) -> str:
    """The path of an object, or of a folder if ``key`` ends with a ``/``."""
    return f"{bucket}/{key}".rstrip("/")


def nameless(folder: str) -> bool:
    """Whether a folder, given with its ``/``, has an empty name: what is between the slashes of ``a//b``.

    Its path could not be told from that of the folder it is in, whose part it is therefore taken for.
    """
    return folder == "/" or folder.endswith("//")
