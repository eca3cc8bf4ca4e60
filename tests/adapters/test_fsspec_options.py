"""How a file system is described, found, shared, pickled, closed and forked."""

from __future__ import annotations

import builtins
import gc
import importlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
import requests
from botocore.credentials import Credentials

import s3kv
from s3kv.fsspec import S3KVFileSystem
from s3kv.fsspec.stores import Stores
from s3kv.testing import FaultProxy, LocalServer
from tests.adapters.fsspec_fixtures import asked, behind, fs, options, place, proxied, proxy

__all__ = ["behind", "fs", "options", "place", "proxied", "proxy"]

AWS = {"aws_region": "eu-central-1", "aws_credentials": {"type": "anonymous"}}


@pytest.fixture(autouse=True)
def _forget_instances() -> Iterator[None]:
    """Let go of what fsspec keeps."""
    yield
    S3KVFileSystem.clear_instance_cache()
    gc.collect()


def make_credentials() -> Credentials:
    """Return credentials, as a user's function does."""
    return Credentials("key", "secret")


# ---------------------------------------------------------------- found and described


def test_the_protocol_is_found_by_its_name() -> None:
    """By the entry point of the installed package, without an import of s3kv."""
    code = (
        "import fsspec, sys; assert 's3kv' not in sys.modules; fs, path = fsspec.url_to_fs("
        "'s3kv://bucket/a/b', aws_region='eu-central-1'); print(type(fs).__module__, path)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stdout.split() == ["s3kv.fsspec.filesystem", "bucket/a/b"], run.stderr


def test_importing_it_loads_neither_boto3_nor_an_event_loop() -> None:
    """They cost time that nobody asked for."""
    code = "import s3kv.fsspec, sys; print({'boto3', 'requests'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "set()"


def test_without_fsspec_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a bare ImportError."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "fsspec":
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **more)

    for name in [name for name in sys.modules if name.startswith("s3kv.fsspec")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(s3kv.S3KVError, match=r"s3kv\[fsspec\]"):
        importlib.import_module("s3kv.fsspec")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bucket": "b"}, "bucket is not a storage option"),
        ({"path": "p/"}, "path is not a storage option"),
        ({"region": "eu-central-1"}, "region"),
        ({"endpoint": "ftp://host"}, "endpoint"),
        ({"aws_credentials": {"type": "wrong"}}, "aws_credentials"),
        ({"context": {"wrong": {}}}, "wrong"),
    ],
)
def test_a_wrong_option_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    """Before a path is looked at."""
    with pytest.raises(s3kv.SpecError, match=message):
        S3KVFileSystem(**wrong)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"timeout": 0}, ValueError, "timeout is 0"),
        ({"timeout": "1"}, TypeError, "timeout is a number"),
        ({"session": 3}, TypeError, "session is a requests.Session"),
    ],
)
def test_what_is_wrong_for_a_store_is_refused_at_once(
    wrong: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """Not when the first bucket is opened, where a ValueError might be taken for something else's."""
    with pytest.raises(kind, match=message):
        S3KVFileSystem(**wrong)


def test_every_member_of_the_spec_is_an_option(options: dict[str, Any], place: str) -> None:
    """And those that event loops would need do no harm."""
    made = S3KVFileSystem(
        **options,
        driver="s3",
        requester_pays=True,
        use_conditional_write=False,
        s3_request_concurrency={"limit": 2},
        s3_request_retries={"max_retries": 3},
        experimental_s3_rate_limiter={"read_rate": 1000},
        data_copy_concurrency={"limit": 1},
        timeout=30,
        asynchronous=True,
        loop=None,
    )
    made.pipe_file(f"{place}/k", b"1")
    assert made.cat_file(f"{place}/k") == b"1"
    made.close()


def test_the_timeout_is_that_of_each_operation(
    proxied: S3KVFileSystem, proxy: FaultProxy, place: str
) -> None:
    """A TimeoutError."""
    from s3kv.testing import Stall

    proxy.inject(Stall(), times=None)
    spec = {name: value for name, value in proxy.spec.items() if name not in ("driver", "bucket")}
    slow = S3KVFileSystem(**spec, timeout=0.2)
    with pytest.raises(TimeoutError):
        slow.info(f"{place}/k")
    proxy.clear()
    slow.close()


def test_without_credentials_there_is_no_permission(options: dict[str, Any], place: str) -> None:
    """A PermissionError that says who was asked."""
    made = S3KVFileSystem(**{**options, "aws_credentials": {"type": "environment"}})
    with pytest.raises(PermissionError, match="AWS_ACCESS_KEY_ID") as caught:
        made.info(f"{place}/k")
    assert isinstance(caught.value.__cause__, s3kv.CredentialsError)
    made.close()


# ---------------------------------------------------------------- shared


def test_threads_share_connections(options: dict[str, Any]) -> None:
    """Though fsspec makes each of them a file system of its own."""
    made: list[Any] = []
    together = threading.Barrier(3)

    def make() -> None:
        made.append(S3KVFileSystem(**options))
        together.wait()

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each in made}) == 3
    assert len({id(each._stores) for each in made}) == 1


def test_buckets_share_what_is_described_in_place(options: dict[str, Any]) -> None:
    """One limit of requests, one fetch of credentials."""
    made = S3KVFileSystem(
        **{**options, "aws_credentials": {"type": "environment"}}, s3_request_concurrency={"limit": 3}
    )
    one, other = (made._stores[bucket] for bucket in ("bucket-one", "bucket-two"))
    assert made._stores["bucket-one"] is one
    assert one._core.resolved.s3_request_concurrency is other._core.resolved.s3_request_concurrency
    assert one._core.credentials is other._core.credentials
    made.close()


def test_a_context_is_shared_with_stores_and_is_not_another_that_looks_the_same(
    options: dict[str, Any],
) -> None:
    """Two limits of the same number are two limits; two pairs of keys must never be taken for one."""
    contexts = [s3kv.Context({"aws_credentials": Credentials(key, "secret")}) for key in ("one", "two")]
    assert repr(contexts[0]) == repr(contexts[1])
    members = {**options, "aws_credentials": "aws_credentials"}
    one, other, again = (S3KVFileSystem(**members, context=context) for context in (*contexts, contexts[0]))
    assert one is again
    assert one != other
    assert "_context_id" not in one.storage_options
    store = s3kv.Store(bucket="bucket-one", context=contexts[0], **members)
    assert store._core.credentials is one._stores["bucket-one"]._core.credentials
    assert store._core.credentials is not other._stores["bucket-one"]._core.credentials
    store.close()
    one.close()
    other.close()


def test_a_context_may_be_described(options: dict[str, Any]) -> None:
    """As in the spec; a member may refer to it."""
    members = {**options, "aws_credentials": "aws_credentials#mine"}
    made = S3KVFileSystem(**members, context={"aws_credentials#mine": {"type": "anonymous"}})
    assert made._stores["bucket-one"].spec()["aws_credentials"] == "aws_credentials#mine"
    made.close()


def test_different_credentials_objects_are_different_file_systems(options: dict[str, Any]) -> None:
    """The same one is the same."""
    one, other = Credentials("one", "secret"), Credentials("two", "secret")
    members = {name: value for name, value in options.items() if name != "aws_credentials"}
    systems = [S3KVFileSystem(**members, aws_credentials=each) for each in (one, other, one)]
    assert systems[0] is systems[2]
    assert systems[0] is not systems[1]
    assert systems[0]._stores is not systems[1]._stores


# ---------------------------------------------------------------- pickled


def test_a_file_system_travels_with_its_options(fs: S3KVFileSystem, place: str) -> None:
    """And is the one that there is already, where there is one."""
    assert pickle.loads(pickle.dumps(fs)) is fs
    assert S3KVFileSystem.from_json(fs.to_json()) is fs
    data = pickle.dumps(fs)
    S3KVFileSystem.clear_instance_cache()
    copy = pickle.loads(data)
    assert copy is not fs
    assert copy.storage_options == fs.storage_options
    copy.pipe_file(f"{place}/k", b"1")
    assert fs.cat_file(f"{place}/k") == b"1"


def test_a_pickle_holds_no_secret(options: dict[str, Any]) -> None:
    """What may hold one is refused; a function travels by its name."""
    members = {name: value for name, value in options.items() if name != "aws_credentials"}
    context = s3kv.Context({"aws_credentials": Credentials("key", "secret")})
    with requests.Session() as session:
        for wrong in (
            {"aws_credentials": Credentials("key", "secret")},
            {"aws_credentials": lambda: None},
            {"context": context},
            {"session": session},
        ):
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(S3KVFileSystem(**members, **wrong))
    copy = pickle.loads(pickle.dumps(S3KVFileSystem(**members, aws_credentials=make_credentials)))
    assert copy.storage_options["aws_credentials"] is make_credentials


# ---------------------------------------------------------------- closed


def test_a_closed_file_system_opens_again_when_it_is_used(fs: S3KVFileSystem, place: str) -> None:
    """fsspec keeps it, and would hand it to others."""
    fs.pipe_file(f"{place}/k", b"1")
    store = fs._stores[place.partition("/")[0]]
    fs.close()
    with pytest.raises(s3kv.S3KVError, match="closed"):
        store.get("k")
    assert fs.cat_file(f"{place}/k") == b"1"


def test_nothing_is_kept_when_nobody_has_the_file_system(options: dict[str, Any], place: str) -> None:
    """The stores go with it."""
    made = S3KVFileSystem(**options, timeout=77)
    made.exists(f"{place}/k")
    S3KVFileSystem.clear_instance_cache()
    del made
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Stores) and each._timeout == 77]


def test_no_request_is_sent_before_one_is_needed(proxied: S3KVFileSystem, proxy: FaultProxy) -> None:
    """Not by opening."""
    assert proxied._strip_protocol(["s3kv://b/a/", "/b/a", "b//a"]) == ["b/a", "b/a", "b//a"]
    assert proxied.unstrip_protocol("b/a") == "s3kv://b/a"
    assert asked(proxy) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_with_connections_of_its_own(
    fs: S3KVFileSystem, behind: s3kv.Store, place: str
) -> None:
    """With the same file system."""
    fs.pipe_file(f"{place}/k", b"1")
    child = os.fork()
    if not child:
        status = 1
        try:
            fs.pipe({f"{place}/child": fs.cat_file(f"{place}/k")})
            fs.cp(f"{place}/k", f"{place}/copy")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fs.find(place) == [f"{place}/{name}" for name in ("child", "copy", "k")]


def test_urls_may_be_chained(
    local_server: LocalServer, fs: S3KVFileSystem, options: dict[str, Any]
) -> None:
    """A cache of files in front; and patterns in what is opened."""
    fsspec.register_implementation("s3kv", S3KVFileSystem, clobber=True)
    path = f"{local_server.bucket}/chained"
    fs.pipe_file(f"{path}/k", b"1")
    with fsspec.open(f"simplecache::s3kv://{path}/k", s3kv=options) as file:
        assert file.read() == b"1"
    [found] = fsspec.open_files(f"s3kv://{path}/*", **options)
    assert found.path == f"{path}/k"
