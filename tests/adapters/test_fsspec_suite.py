"""The suites that fsspec publishes for file systems, without exceptions."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

import pytest
from fsspec.tests import abstract

from s3kv.fsspec import S3KVFileSystem
from tests.adapters.fsspec_fixtures import fs, options, place

__all__ = ["fs", "options", "place"]


class OurFixtures(abstract.AbstractFixtures):
    """What the suites need to know of this file system."""

    @pytest.fixture
    def fs(self, fs: S3KVFileSystem) -> S3KVFileSystem:
        """Return the file system under test."""
        return fs

    @pytest.fixture
    def fs_path(self, place: str) -> str:
        """Return a folder to work in."""
        return place

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        """Return what joins paths."""
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        """Folders come and go with the objects in them."""
        return False


class TestCopy(abstract.AbstractCopyTests, OurFixtures):
    """Copies between paths."""


class TestGet(abstract.AbstractGetTests, OurFixtures):
    """Copies to this machine."""


class TestPut(abstract.AbstractPutTests, OurFixtures):
    """Copies from this machine."""


class TestOpen(abstract.AbstractOpenTests, OurFixtures):
    """Files."""


class TestPipe(abstract.AbstractPipeTests, OurFixtures):
    """Bytes."""


def test_no_suite_is_left_out() -> None:
    """A newer fsspec may publish more."""
    published = {name for name in vars(abstract) if name.startswith("Abstract") and name.endswith("Tests")}
    ours = {base.__name__ for suite in _suites() for base in suite.__mro__}
    assert published <= ours


def _suites() -> list[Any]:
    return [TestCopy, TestGet, TestPut, TestOpen, TestPipe]
