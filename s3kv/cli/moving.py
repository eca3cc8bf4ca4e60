"""Commands that move objects: cat, get, put, cp, rm."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from ..executor import LISTEN
from ..keyrange import KeyRange
from ..keys import check_key
from ..local_files import check_name
from ..progress import Progress
from ..trees import TransferReport
from .failures import NothingThere, UsageError
from .output import Output, wants_progress, write_json, write_lines
from .places import Place, Places


def cat(options: Namespace) -> None:
    """Write an object to standard output."""
    with Places(options) as places:
        _write_out(places.find_object(options.url))


def _write_out(place: Place) -> None:
    store = place.store
    full = check_key(store.path, place.key)
    store._download(place.key, full, Output(), Progress())


# ---------------------------------------------------------------------------------------------- get


def get(options: Namespace) -> None:
    """Download an object to a file, or everything under a URL to a folder."""
    _check_recursive(options, "dry_run", "all")
    if options.path == "-" and (options.recursive or options.json):
        raise UsageError("standard output is for the bytes of one object, without --recursive and --json")
    with Places(options) as places:
        if options.recursive:
            place = places.find(options.url)
            report = place.store.download_prefix(
                place.folder,
                options.path,
                changed_only=not options.all,
                dry_run=options.dry_run,
                progress=wants_progress(options),
            )
            if not report.transferred and not report.skipped:
                raise NothingThere(f"nothing is under {place.url(place.folder)}")
            _tell(report, options, lambda key: f"get {place.url(key)}")
            return
        place = places.find_object(options.url)
        if options.path == "-":
            _write_out(place)
            return
        path = _file_for(place, options.path)
        stamp = place.store.download(place.key, path, progress=wants_progress(options))
        if options.json:
            write_json({"key": place.key, "path": path, "etag": stamp.generation or None})


def _file_for(place: Place, path: str) -> str:
    """Where an object is to go: in a folder, under the last part of its key."""
    if not os.path.isdir(path):
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            # Said now: what would be said later names a file that nobody has heard of.
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", folder)
        return path
    if not place.last:
        raise UsageError(f"{place.url()} ends with a slash: say what the file is to be called")
    check_name(place.last)
    return os.path.join(path, place.last)


# ---------------------------------------------------------------------------------------------- put


def put(options: Namespace) -> None:
    """Upload a file, standard input, or everything in a folder."""
    _check_recursive(options, "dry_run", "all", "delete")
    with Places(options) as places:
        if options.recursive:
            _put_folder(places, options)
            return
        if options.path == "-":
            place = places.find_target(options.url, "")
            if sys.stdin is None:
                raise UsageError("there is no standard input")
            etag = _put_stream(place, sys.stdin.buffer, options)
        else:
            # Looked at first: of a folder, as shells complete it, there is no name to be found.
            mode = os.stat(options.path).st_mode
            if stat.S_ISDIR(mode):
                raise UsageError(f"{options.path} is a folder: add --recursive")
            place = places.find_target(options.url, os.path.basename(options.path))
            if stat.S_ISREG(mode):
                stamp = place.store.upload(
                    options.path,
                    place.key,
                    if_absent=options.if_absent,
                    content_type=options.content_type,
                    progress=wants_progress(options),
                )
                etag = stamp.generation
            else:
                # A pipe, which says nothing of what will come.
                with open(options.path, "rb") as file:
                    etag = _put_stream(place, file, options)
        if options.json:
            write_json({"key": place.key, "etag": etag})


def _put_stream(place: Place, file: BinaryIO, options: Namespace) -> str:
    return place.store.put(
        place.key, _patient(file), if_absent=options.if_absent, content_type=options.content_type
    ).generation


class _Pipe:
    """A file of the system's that may keep its reader waiting, but not from seeing Ctrl-C.

    A signal that comes right before a read is seen, but does not end the read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        """What there is, at most so many bytes, and at least one; none at the end."""
        while not select.select([self._descriptor], [], [], LISTEN)[0]:
            continue
        return os.read(self._descriptor, size)


def _patient(file: BinaryIO) -> BinaryIO | _Pipe:
    """The file, or what reads from it without being deaf meanwhile."""
    try:
        descriptor = file.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        # It is none of the system's.
        return file
    # Windows can wait for nothing but sockets so.
    return file if stat.S_ISREG(mode) or os.name != "posix" else _Pipe(descriptor)


def _put_folder(places: Places, options: Namespace) -> None:
    if options.path == "-" or options.if_absent or options.content_type:
        raise UsageError("--recursive takes a folder, without --if-absent and --content-type")
    place = places.find(options.url)
    report = place.store.upload_prefix(
        options.path,
        place.folder,
        changed_only=not options.all,
        delete=options.delete,
        dry_run=options.dry_run,
        progress=wants_progress(options),
    )
    _tell(report, options, lambda key: f"put {place.url(key)}")


def _check_recursive(options: Namespace, *names: str) -> None:
    for name in names:
        if getattr(options, name) and not options.recursive:
            raise UsageError(f"--{name.replace('_', '-')} goes with --recursive")


def _tell(report: TransferReport, options: Namespace, line: Callable[[str], str]) -> None:
    """Say what became of a folder."""
    if options.json:
        write_json(report._asdict())
        return
    lines = []
    if report.dry_run:
        lines += [f"would {line(key)}" for key in report.transferred]
        lines += [f"would delete {line(key).partition(' ')[2]}" for key in report.deleted]
    write_lines([*lines, repr(report)[1:-1]])


# ---------------------------------------------------------------------------------------------- cp, rm


def cp(options: Namespace) -> None:
    """Have the store copy an object."""
    with Places(options) as places:
        source = places.find_object(options.source)
        target = places.find_target(options.url, source.last)
        stamp = target.store._copy_from(source.store, source.key, target.key, if_absent=options.if_absent)
        if options.json:
            write_json({"key": target.key, "etag": stamp.generation or None})


def rm(options: Namespace) -> None:
    """Delete an object, or everything under a URL."""
    with Places(options) as places:
        if options.recursive:
            _remove_all(places.find(options.url), options)
            return
        place = places.find_object(options.url)
        if place.key.endswith("/"):
            raise UsageError(f"{place.url()} is a folder: add --recursive")
        if options.dry_run:
            _tell_removed(place, [place.key] if place.key in place.store else [], options)
            return
        place.store.delete(place.key)
        if options.json:
            write_json({"deleted": 1, "dry_run": False})


def _remove_all(place: Place, options: Namespace) -> None:
    keys = _doomed(place)
    if options.dry_run:
        _tell_removed(place, keys, options)
        return
    count = place.store.delete_many(keys, progress=wants_progress(options))
    if options.json:
        write_json({"deleted": count, "dry_run": False})
    else:
        write_lines([f"{count:,} deleted"])


def _doomed(place: Place) -> Iterator[str]:
    """The key that a URL names, unless it ends with a slash, and all keys in the folder of that name."""
    scan = place.store.scan
    if place.key != place.folder:
        yield from (entry.key for entry in scan(place.key, range=KeyRange(place.key, f"{place.key}\0")))
    yield from (entry.key for entry in scan(place.folder))


def _tell_removed(place: Place, keys: Iterable[str], options: Namespace) -> None:
    if options.json:
        write_json({"deleted": 0, "dry_run": True, "keys": list(keys)})
        return
    for key in keys:
        write_lines([f"would delete {place.url(key)}"])
