"""The command ``s3kv``: from its arguments to its exit status."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import IO, NoReturn

from .failures import DONE, INTERRUPTED, is_unexpected, lines_of, status_of
from .options import parse
from .output import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        arguments: Those after the command's name; default: the process's own.

    Returns:
        The exit status: 0 done, 1 not found or a condition did not hold, 2 wrong usage, 3 no access, no
        network or refused by the store, 130 interrupted.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
    except SystemExit as finished:
        # argparse has said what there was to say: help, a version, or what is wrong.
        return int(finished.code or 0)
    with _diagnosis(options), _output():
        try:
            status = _command(options)(options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            # Nobody is to wait until somebody reads the rest.
            _forget(sys.stdout)
            return INTERRUPTED
        except BrokenPipeError:
            # Whoever read the output has had enough: head, or a pager that was left.
            _forget(sys.stdout)
            return INTERRUPTED
        except Exception as error:
            # What has been written so far comes first, if it can be written.
            try:
                sys.stdout.flush()
            except OSError:
                _forget(sys.stdout)
            # Whoever does not read the errors is told by the status alone.
            with contextlib.suppress(OSError):
                if options.verbose and is_unexpected(error):
                    import traceback

                    traceback.print_exception(error)
                for line in lines_of(error):
                    complain(line)
            return status_of(error)
    return DONE if status is None else status


def _command(options: Namespace) -> Callable[[Namespace], int | None]:
    """The function that carries out a command; its module is only loaded for that."""
    module, _, name = options.function.partition(":")
    function: Callable[[Namespace], int | None] = getattr(import_module(module, __package__), name)
    return function


@contextlib.contextmanager
def _diagnosis(options: Namespace) -> Iterator[None]:
    """Show each request on standard error, if that is wanted."""
    if not options.verbose:
        yield
        return
    import logging

    logger = logging.getLogger("s3kv")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("s3kv: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """Have something to write to, and let no character be one that cannot be written."""
    if sys.stdout is None:
        # The process was started without one, which only matters to commands that write something.
        with contextlib.redirect_stdout(_Closed()):
            yield
        return
    for stream in filter(None, (sys.stdout, sys.stderr)):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (getattr(stream, "encoding", "") or "").lower() != "utf-8":
            reconfigure(errors="backslashreplace")
    yield


class _Closed(io.TextIOBase):
    """Standard output where there is none."""

    @property
    def buffer(self) -> _Closed:
        """Where bytes would be written."""
        return self

    def write(self, _: object) -> NoReturn:
        raise OSError(errno.EBADF, "there is no standard output")


def _forget(stream: IO[str]) -> None:
    """Let nobody complain at exit that the rest cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
