"""What holds for every test: no configuration of this machine, no hang, nothing left behind."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Generator, Iterator

# Before anything imports botocore: the tests compare signatures with its own signer's, whose clock they
# set, and not with that of the AWS Common Runtime, which it prefers where that is installed.
os.environ["BOTO_DISABLE_CRT"] = "true"

import pytest
from hypothesis import settings

from tests.leaks import Held, LeftBehind

# One test, the start of its server included. Only a hang takes this long, on any machine.
HANG_SECONDS = 300.0

_STDERR = pytest.StashKey[int]()

# A busy machine must not fail a test, and what fails must fail again;
# ``--hypothesis-profile explore`` looks where nobody has looked yet.
settings.register_profile("s3kv", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("s3kv")


def pytest_configure(config: pytest.Config) -> None:
    """Keep standard error as it is now: pytest captures the descriptor while a test runs.

    And have Ctrl-C mean something, which shells take away from what they run in the background.
    """
    config.stash[_STDERR] = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the copy."""
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the run when a test hangs, and show where each thread was.

    Not with an exception, which a thread that waits in C would never see.
    """
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_enter_pdb() -> None:
    """Let a developer think for as long as it takes."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def _no_configuration_of_this_machine() -> Iterator[None]:
    """Take away whatever could decide where requests go, how they are signed or who is trusted.

    For the session, since fixtures of that scope send requests too; a test sets what it needs with
    ``monkeypatch``, on top of this.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            upper = name.upper()
            if upper.startswith(("AWS_", "BOTO_", "TENSORSTORE_", "S3KV_", "SSL_CERT_")) or upper.endswith(
                ("_PROXY", "_CA_BUNDLE")
            ):
                patch.delenv(name)
        # An unset variable would mean the files in the home directory.
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
            patch.setenv(name, os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(autouse=True)
def _nothing_left_behind(
    caplog: pytest.LogCaptureFixture, _no_configuration_of_this_machine: None
) -> Iterator[None]:
    """Fail a test that leaves a connection or a thread.

    What fixtures of a wider scope hold was there before; they end what they open during a test.
    """
    before = Held.now()
    yield
    for record in caplog.get_records("call"):
        # pytest keeps the log for its report, and an exception in it keeps what its frames hold.
        record.msg, record.args, record.exc_info = record.getMessage(), (), None
    leaks = before.leaks()
    if leaks:
        # Not pytest.fail, which a test that is expected to fail would be excused for.
        raise LeftBehind("; ".join(leaks))
