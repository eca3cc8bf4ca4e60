"""The suites that fsspec publishes for file systems, without exceptions.

They are thousands of requests, which rclone answers four times as fast as the local server does.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.credentials import Credentials
from fsspec.tests import abstract

from s3kv.fsspec import S3KVFileSystem
from s3kv.testing import LocalServer
from tests.adapters.fsspec_fixtures import opened, storage_options
from tests.servers.rclone import RcloneServer

_BUCKET = "suite"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bucket(_no_configuration_of_this_machine: None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a server, and return the name of a bucket and the storage options for it."""
    if RcloneServer.available() is not None:
        with LocalServer() as local:
            yield local.bucket, storage_options(local)
        return
    with RcloneServer() as server:
        server.create_bucket(_BUCKET)
        info = server.info
        yield (
            _BUCKET,
            {
                "endpoint": info.endpoint,
                "aws_region": info.region,
                "aws_credentials": Credentials(info.access_key, info.secret_key),
            },
        )


class OurFixtures(abstract.AbstractFixtures):
    """What the suites need to know of this file system."""

    @pytest.fixture
    def fs(self, bucket: tuple[str, dict[str, Any]]) -> Iterator[S3KVFileSystem]:
        """Return the file system under test."""
        yield from opened(bucket[1])

    @pytest.fixture
    def fs_path(self, bucket: tuple[str, dict[str, Any]]) -> str:
        """Return a folder to work in."""
        return f"{bucket[0]}/{next(_numbers)}"

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
