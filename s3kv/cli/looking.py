"""Commands that look: ls, stat, presign, doctor."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ..listing_xml import Columns
from ..operations.listing import PageRequest, entries_of, pages
from ..values import ListEntry, ObjectInfo
from .failures import DONE, NO_ACCESS, NothingThere, printable
from .output import JsonList, json_time, shown_size, shown_time, write_json, write_lines
from .places import Place, Places


def ls(options: Namespace) -> None:
    """List what begins with a URL, page by page."""
    with Places(options) as places:
        place = places.find(options.url)
        document = JsonList() if options.json else None
        found = False
        for entries in _everything(place) if options.recursive else _one_level(place):
            found = found or bool(entries)
            if document is not None:
                document.add(_described(entry) for entry in entries)
            elif options.long or options.human:
                write_lines(_long(place, entry, human=options.human) for entry in entries)
            else:
                write_lines(place.url(_key_of(entry)) for entry in entries)
        if document is not None:
            document.end()
        if not found and place.key:
            raise NothingThere(f"nothing begins with {place.url()}")


# An object, or a folder by its key.
_Listed = ListEntry | str


def _everything(place: Place) -> Iterator[list[_Listed]]:
    store = place.store
    for page in store._pages_fast(store._wanted(place.key, None)):
        yield list(entries_of(page))


def _one_level(place: Place) -> Iterator[list[_Listed]]:
    store = place.store
    # A store that lists in no order may tell of a folder on several pages.
    seen: set[str] = set()
    page: Columns
    for page in pages(PageRequest(place.key, delimiter="/"), store._page):
        folders = [name for name in page.prefixes if name not in seen]
        seen.update(folders)
        yield sorted([*folders, *entries_of(page)], key=_key_of)


def _key_of(entry: _Listed) -> str:
    return entry if isinstance(entry, str) else entry.key


def _described(entry: _Listed) -> dict[str, Any]:
    """An entry with the keys of ``stat``; what a listing does not tell is null."""
    if isinstance(entry, str):
        return _members(entry)
    return _members(entry.key, entry.size, entry.etag or None, json_time(entry.last_modified))


def _members(
    key: str,
    size: int | None = None,
    etag: str | None = None,
    last_modified: str | None = None,
    content_type: str | None = None,
    metadata: dict[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "key": key,
        "size": size,
        "etag": etag,
        "last_modified": last_modified,
        "content_type": content_type,
        "metadata": metadata,
    }


def _long(place: Place, entry: _Listed, *, human: bool) -> str:
    size, time = "-", "-"
    if isinstance(entry, ListEntry):
        size, time = shown_size(entry.size, human=human), shown_time(entry.last_modified)
    return f"{size:>14}  {time:<20}  {place.url(_key_of(entry))}"


def stat(options: Namespace) -> None:
    """Show what the store says of an object."""
    with Places(options) as places:
        place = places.find_object(options.url)
        info: ObjectInfo = place.store.stat(place.key)
    if options.json:
        write_json(_members(*info[:3], json_time(info.last_modified), info.content_type, info.metadata))
        return
    rows = [
        ("url", place.url()),
        ("size", f"{info.size} bytes"),
        ("etag", info.etag),
        ("last modified", shown_time(info.last_modified)),
        ("content type", info.content_type or "-"),
        *((f"metadata {name}", value) for name, value in sorted(info.metadata.items())),
    ]
    width = max(len(name) for name, _ in rows)
    write_lines(printable(f"{name:<{width}}  {value}") for name, value in rows)


def presign(options: Namespace) -> None:
    """Make a URL with which anybody may use an object for a time."""
    with Places(options) as places:
        place = places.find_object(options.url)
        url = place.store.presign(place.key, method=options.method, expires=options.expires)
    if options.json:
        write_json({"url": url, "method": options.method, "expires": options.expires})
    else:
        write_lines([url])


def doctor(options: Namespace) -> int:
    """Say what works with a store."""
    with Places(options) as places:
        place = places.find(options.url)
        report = (place.store + place.key).doctor(write=options.write)
    if options.json:
        write_json(report.to_json())
    else:
        # The advice is for callers from Python.
        write_lines([str(report).replace("doctor(write=True)", "--write")])
    return DONE if report.ok else NO_ACCESS
