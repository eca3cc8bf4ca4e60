"""What a store does with many keys: listings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import repeat
from typing import Any

from .core import Core
from .errors import MalformedResponse
from .handle import Handle, check_text
from .keyrange import KeyRange, just_before
from .keys import key_text
from .listing_xml import Columns, guess_token
from .operations.listing import (
    PageRequest,
    entries_of,
    fetch_page,
    following,
    pages,
    pick,
    read_listing,
    relative,
)
from .pipeline.batch import Entry
from .pipeline.operation import Operation
from .survey import OutOfOrder, Survey
from .values import ListEntry

# After so few pages at least, and so many at most, there may be more at once, and that only if those have
# taken so many seconds each.
_FEW, _MANY = 2, 64
_SLOW = 0.01

# Inside the class, ``list`` is the method.
_List = list


class Ahead:
    """Gets one page after the other; while one is read, the next is on its way.

    Belongs to one thread.

    Args:
        core: The bucket.
        timeout: Seconds that each page has; None for no limit.
        keys_only: Only the keys have to be read.
    """

    def __init__(self, core: Core, timeout: float | None, *, keys_only: bool) -> None:
        self._core = core
        self._timeout = timeout
        self._keys_only = keys_only
        self._next: tuple[PageRequest, Operation] | None = None

    def page(self, request: PageRequest) -> Columns:
        """A page, and the one after it begun; where pages are slow, that is left to others."""
        core = self._core
        monotonic = core.clock.monotonic
        started = monotonic()
        if self._next is not None and self._next[0] == request:
            task, self._next = self._next[1], None
        else:
            self.close()
            task = core.start(fetch_page, None, self._timeout, request)
        try:
            fetched = core.finish(task)
        except BaseException:
            # Ctrl-C may have come before it was waited for.
            core.drop(task)
            raise
        token = guess_token(fetched.response.body) if monotonic() - started < _SLOW else None
        if token is not None:
            after = following(request, token)
            self._next = after, core.start(fetch_page, None, self._timeout, after)
        return read_listing(core, fetched, keys_only=self._keys_only)

    def close(self) -> None:
        """Give up what is on its way."""
        if self._next is not None:
            self._core.drop(self._next[1])
            self._next = None


class Listings(Handle):
    """The methods of a store that list keys."""

    __slots__ = ()

    def list(
        self, prefix: str = "", *, range: KeyRange | None = None, strip_prefix_length: int = 0
    ) -> _List[str]:
        """All keys that start with ``prefix``, sorted.

        Args:
            prefix: Relative to the store's path; default: every key.
            range: Only keys of this range, relative to the store's path; default: all.
            strip_prefix_length: So many characters are cut off the front of each key, and keys that are not
                longer than that are left out. Default 0: neither.

        Returns:
            The keys (list of str).

        Raises:
            ValueError: a negative ``strip_prefix_length``.
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamps = store.put_many({"run-1/a": b"", "run-1/b": b"", "run-2/a": b""})
            >>> store.list("run-1/")
            ['run-1/a', 'run-1/b']
            >>> store.list("run-1/", strip_prefix_length=6)
            ['a', 'b']
            >>> store.list(range=s3kv.KeyRange("run-1/b"))
            ['run-1/b', 'run-2/a']
        """
        cut = strip_prefix_length
        if isinstance(cut, bool) or not isinstance(cut, int):
            raise TypeError(f"strip_prefix_length is a number of characters, not {type(cut).__name__}")
        if cut < 0:
            raise ValueError(f"strip_prefix_length is {cut}: allowed is 0 or more")
        self._core.recorder.count("list")
        keys: _List[str] = []
        for page in self._pages_fast(self._wanted(prefix, range), keys_only=True):
            keys += page.keys
        keys.sort()
        return [key[cut:] for key in keys if len(key) > cut] if cut else keys

    def scan(
        self,
        prefix: str = "",
        *,
        range: KeyRange | None = None,
        start_after: str | bytes | None = None,
        parallel: bool = False,
    ) -> Iterator[ListEntry]:
        """The objects whose keys start with ``prefix``, in the store's order of keys.

        A page of up to 1,000 is fetched when the iterator gets to it; nothing before that. In parallel,
        many are fetched at once, from all over the range, and up to some 256 wait for those before them:
        many times faster where a page takes its time, for two to four times as many requests.

        Args:
            prefix: Relative to the store's path; default: every key.
            range: Only keys of this range, relative to the store's path; default: all.
            start_after: Leave out keys up to and including this one (str, or UTF-8 bytes), which need not
                be there. Default None: none.
            parallel: Fetch pages side by side. Default False. Stores that do not list in the order of keys,
                such as SeaweedFS, are listed page by page all the same.

        Returns:
            An iterator of :class:`ListEntry`: key, size, ETag and time of the last write.

        Raises:
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`; while it is
                iterated.

        Example:
            >>> stamps = store.put_many({"run-1": bytes(10), "run-2": bytes(20)})
            >>> for entry in store.scan("run-"):
            ...     print(entry.key, entry.size)
            run-1 10
            run-2 20
        """
        after = None if start_after is None else check_text(key_text(start_after))
        self._core.recorder.count("list")
        find = self._pages_side_by_side if parallel else self._pages
        pages = find(self._wanted(prefix, range), after)
        return (entry for page in pages for entry in entries_of(page))

    def _wanted(self, prefix: str, range: KeyRange | None) -> KeyRange:
        wanted = KeyRange.prefix(check_text(prefix))
        if range is None:
            return wanted
        if not isinstance(range, KeyRange):
            raise TypeError(f"range is a KeyRange, not {type(range).__name__}")
        return wanted & range

    def _pages(
        self,
        wanted: KeyRange,
        after: str | None,
        fetch: Callable[[PageRequest], Columns] | None = None,
    ) -> Iterator[Columns]:
        """What there is in a range, a page at a time.

        Args:
            after: Leave out keys up to and including this one.
            fetch: Gets one page; default: when it is asked for.
        """
        fetch = fetch or self._page
        path, memory = self._path, self._core.memory
        self._check_open()
        if wanted.empty or (after is not None and wanted.exclusive_max and after >= wanted.exclusive_max):
            return
        prefix = path + wanted.common_prefix
        start = path + wanted.inclusive_min
        if after is not None and after >= wanted.inclusive_min:
            start = path + after
        elif len(start) > len(prefix):
            start = just_before(start)
        # A start outside the prefix is refused by some stores; and before it, it leaves nothing out.
        if not start.startswith(prefix) or start == prefix or memory.unordered:
            start = ""

        def in_range(key: str) -> bool:
            return key in wanted and (after is None or key > after)

        last = ""
        for whole in pages(PageRequest(prefix, start_after=start), fetch):
            if whole.keys and whole.keys[0] < last:
                memory.unordered = True
            if start and memory.unordered:
                # Only now this store has turned out to be one that leaves out too much then.
                if last:
                    raise _out_of_order()
                yield from self._pages(wanted, after, fetch)
                return
            page = relative(whole, len(path))
            keys = page.keys
            if not keys:
                continue
            last = whole.keys[-1]
            if not memory.unordered and in_range(keys[0]) and in_range(keys[-1]):
                yield page
                continue
            part = pick(page, [place for place, key in enumerate(keys) if in_range(key)])
            if wanted.exclusive_max and not memory.unordered and keys[-1] >= wanted.exclusive_max:
                # Whoever gets it is to know that it is the last.
                yield part._replace(next_token=None)
                return
            yield part

    def _pages_fast(self, wanted: KeyRange, *, keys_only: bool = False) -> Iterator[Columns]:
        """All there is in a range: a page ahead, or side by side when it turns out that this pays.

        Args:
            keys_only: Only the keys have to be read.
        """
        self._check_open()
        clock = self._core.clock
        started = clock.monotonic()
        before: _List[_List[str]] = []
        with closing(Ahead(self._core, self._timeout, keys_only=keys_only)) as ahead:
            for number, page in enumerate(self._pages(wanted, None, ahead.page), 1):
                yield page
                if number > _MANY:
                    # It is fast, and what came first need not be remembered any more.
                    before.clear()
                    continue
                before.append(page.keys)
                if number < _FEW or clock.monotonic() - started <= number * _SLOW:
                    continue
                if page.keys and page.next_token and not self._core.memory.unordered:
                    break
            else:
                return
        yield from self._pages_side_by_side(wanted, page.keys[-1], keys_only=keys_only, before=before)

    def _pages_side_by_side(
        self,
        wanted: KeyRange,
        after: str | None,
        *,
        keys_only: bool = False,
        before: _List[_List[str]] | None = None,
    ) -> Iterator[Columns]:
        """As :meth:`_pages`, with many pages fetched at once.

        Args:
            keys_only: Only the keys have to be read.
            before: The keys up to ``after`` that have been handed out; default: none are wanted.
        """
        core, path = self._core, self._path
        self._check_open()
        if wanted.empty:
            return
        prefix = path + wanted.common_prefix
        last = just_before(path + wanted.inclusive_min) if wanted.inclusive_min else ""
        if after is not None and after >= wanted.inclusive_min:
            last = path + after
        last = last if last.startswith(prefix) and last != prefix else ""
        end = path + wanted.exclusive_max if wanted.exclusive_max else None
        survey = Survey(prefix, last, end)

        def begin(_: Any) -> Entry[Any] | None:
            job = survey.job()
            if job is None:
                return None
            page = PageRequest(job.prefix, "" if job.segment else "/", job.last, job.token)
            return core.entry(job, fetch_page, None, self._timeout, page)

        handed_out = False
        try:
            with closing(core.batch(begin, repeat(None), self._timeout)) as batch:
                for entry in batch:
                    if entry.error is not None:
                        raise entry.error
                    page = read_listing(core, entry.result, keys_only=keys_only)
                    if core.memory.unordered:
                        raise OutOfOrder
                    survey.take(entry.item, page)
                    for found in survey.ready():
                        within = self._within(relative(found, len(path)), wanted, after)
                        if within.keys:
                            handed_out = True
                            yield within
                    if survey.finished:
                        return
        except OutOfOrder:
            if handed_out:
                raise _out_of_order() from None
        if before is None:
            yield from self._pages(wanted, after)
            return
        # Others may be anywhere, also before those.
        known = {key for keys in before for key in keys}
        for page in self._pages(wanted, None):
            yield pick(page, [place for place, key in enumerate(page.keys) if key not in known])

    def _within(self, page: Columns, wanted: KeyRange, after: str | None) -> Columns:
        """The entries of a page, which is in order, that are wanted."""
        keys = page.keys
        places = [i for i, key in enumerate(keys) if key in wanted and (after is None or key > after)]
        return page if len(places) == len(keys) else pick(page, places)

    def list_dir(self, prefix: str = "") -> tuple[_List[str], _List[ListEntry]]:
        """One level of keys, as if ``/`` separated folders.

        Args:
            prefix: A folder, with its ``/`` at the end; default: the top.

        Returns:
            The sub-folders, each with its ``/``, and the objects at this level; both sorted.

        Raises:
            PermissionDenied, BucketNotFound, RetriesExhausted, …: see :mod:`s3kv.errors`.

        Example:
            >>> stamps = store.put_many({"run-1/a": b"1", "run-2/a": b"2", "notes": b"3"})
            >>> folders, entries = store.list_dir()
            >>> folders, [entry.key for entry in entries]
            (['run-1/', 'run-2/'], ['notes'])
        """
        self._core.recorder.count("list")
        first = PageRequest(self._prefix(prefix), delimiter="/")
        skip = len(self._path)
        prefixes: set[str] = set()
        entries: _List[ListEntry] = []
        for page in pages(first, self._page):
            prefixes.update(name[skip:] for name in page.prefixes)
            entries.extend(entries_of(relative(page, skip)))
        return sorted(prefixes), sorted(entries, key=_entry_key)

    def _any(self, prefix: str) -> bool:
        """Whether there is any key that starts with ``prefix``."""
        first = PageRequest(self._prefix(prefix), most=1)
        return any(page.keys for page in pages(first, self._page))

    def _page(self, request: PageRequest) -> Columns:
        return read_listing(self._core, self._run(fetch_page, None, request))

    def _prefix(self, prefix: str) -> str:
        return self._path + check_text(prefix)


def _out_of_order() -> MalformedResponse:
    """The error for keys of which some would come twice or never; the next listing knows of it."""
    return MalformedResponse(
        "the store does not list keys in order, which was not known when this listing began; list again",
        operation="ListObjectsV2",
    )


def _entry_key(entry: ListEntry) -> str:
    return entry.key
