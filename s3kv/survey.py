"""How to list a range of keys from many places at once: what to fetch next, and what is complete.

Nobody knows beforehand where the keys are. The range begins as one segment, which is listed page by page.
Whenever more could be fetched at the same time, segments that have shown more than a page are cut: at the
folders that the store tells of when it is asked for them, else at characters that keys have been seen to
have, at the first place where the segment's keys can still differ. Cuts need not meet keys; each part is
listed from its cut on, to where the next begins, so every key is found exactly once, wherever the cuts
are. No I/O here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import ge
from typing import NamedTuple

from .listing_xml import Columns

# Characters that keys are likely to have.
_LIKELY = frozenset("0123456789")
# Parts that one segment is cut into at most, and pages that may wait for those before them.
_MOST_PARTS = 32
_MOST_WAITING = 256


class OutOfOrder(Exception):
    """The store does not list keys in the order of their bytes; never seen by users."""


class Segment:
    """A part of the range.

    Attributes:
        last: Keys up to and including this one have been seen, or are not wanted.
        end: Keys after this one are not wanted; None for no end.
        token: What asks for the next page where no key does.
        flying: A page is being fetched.
        done: There is nothing more.
        pages: What was found and not handed out.
        grown: It has shown more since it was cut last.
    """

    __slots__ = ("done", "end", "flying", "grown", "last", "pages", "token")

    def __init__(self, last: str, end: str | None) -> None:
        self.last = last
        self.end = end
        self.token: str | None = None
        self.flying = False
        self.done = False
        self.pages: deque[Columns] = deque()
        self.grown = False


class Job(NamedTuple):
    """What to fetch.

    Attributes:
        prefix: Keys that begin with this.
        last: Keys after this one.
        token: What continues a listing; None for none.
        segment: What the page is for; None for a look at folders, with the delimiter ``/``.
    """

    prefix: str
    last: str
    token: str | None
    segment: Segment | None


class Survey:
    """The segments of a range. Belongs to one thread.

    Args:
        prefix: What every key begins with.
        last: Keys up to and including this one are not wanted; empty for all.
        end: Keys after this one are not wanted; None for no end.
    """

    def __init__(self, prefix: str, last: str, end: str | None) -> None:
        self._prefix = prefix
        self._segments: deque[Segment] = deque([Segment(last, end)])
        self._characters = set(_LIKELY)
        self._waiting = 0
        # Folders that were looked into, and found; how many looks are under way; depths without folders.
        self._looked: set[str] = set()
        self._folders: list[str] = []
        self._looking = 0
        self._flat: set[int] = set()

    @property
    def finished(self) -> bool:
        """Everything was found and handed out."""
        return not self._segments

    def job(self) -> Job | None:
        """What is to be fetched now; None when there is nothing at the moment."""
        while True:
            for segment in self._segments:
                if segment.flying or segment.done:
                    continue
                if self._waiting >= _MOST_WAITING and segment is not self._segments[0]:
                    # Too many pages wait already for those at the front.
                    return None
                segment.flying = True
                return Job(self._prefix, "" if segment.token else segment.last, segment.token, segment)
            if self._waiting >= _MOST_WAITING:
                return None
            look = self._look()
            if look is not None:
                return look
            if self._looking or not self._cut():
                return None

    def take(self, job: Job, page: Columns) -> None:
        """Take a page that was fetched.

        Raises:
            OutOfOrder: its keys are not in order, or not those that follow.
        """
        if job.segment is None:
            self._looking -= 1
            if not page.prefixes:
                self._flat.add(job.prefix.count("/"))
            self._folders = sorted({*self._folders, *page.prefixes})
            return
        segment, keys = job.segment, page.keys
        segment.flying = False
        if keys and (keys[0] <= job.last or any(map(ge, keys, keys[1:]))):
            raise OutOfOrder
        if not segment.done:
            self._fill(segment, page)

    def _fill(self, segment: Segment, page: Columns) -> None:
        """Take the page that follows what a segment has."""
        keys = page.keys
        segment.token = None if keys else page.next_token
        segment.done = page.next_token is None
        if not keys:
            return
        self._characters.update(keys[0][len(self._prefix) :], keys[-1][len(self._prefix) :])
        if segment.end is not None and keys[0] > segment.end:
            segment.done = True
            self._pass_on(segment, page)
            return
        segment.last = keys[-1]
        segment.grown = True
        if segment.end is not None and keys[-1] >= segment.end:
            segment.done = True
            page = _first(page, bisect_right(keys, segment.end))
        if page.keys:
            segment.pages.append(page)
            self._waiting += 1

    def ready(self) -> Iterator[Columns]:
        """The pages that may be handed out, in order."""
        segments = self._segments
        while segments:
            first = segments[0]
            while first.pages:
                self._waiting -= 1
                yield first.pages.popleft()
            if not first.done:
                return
            segments.popleft()

    def _pass_on(self, empty: Segment, page: Columns) -> None:
        """Use a page that has nothing for the segment it was fetched for: it tells what comes next."""
        following = iter(self._segments)
        for segment in following:
            if segment is empty:
                break
        for segment in following:
            if segment.end is not None and segment.end < page.keys[0]:
                segment.done = True
                continue
            if not segment.flying and not segment.done and not segment.grown:
                self._fill(segment, page)
            return

    # ---------------------------------------------------------------- cuts

    def _look(self) -> Job | None:
        """A look at the folders around the last key of a segment that goes on; None for no more of them."""
        for segment in self._segments:
            if segment.done or not segment.grown:
                continue
            last, place = segment.last, len(self._prefix)
            while True:
                stem = last[:place]
                if stem not in self._looked and stem.count("/") not in self._flat:
                    self._looked.add(stem)
                    self._looking += 1
                    return Job(stem, last, None, None)
                place = last.find("/", place) + 1
                if not place:
                    break
        return None

    def _cut(self) -> bool:
        """Cut a segment at folders, else at likely characters; False when there is none to be cut."""
        for segment in self._segments:
            if segment.done or not segment.grown:
                continue
            segment.grown = False
            folders, end = self._folders, segment.end
            after = bisect_right(folders, segment.last)
            before = len(folders) if end is None else bisect_left(folders, end)
            points = folders[after:before] or self._points(segment)
            if points:
                self._cut_at(points)
                return True
        return False

    def _points(self, segment: Segment) -> list[str]:
        """Where a segment may be cut: after its last key, before its end, as far apart as possible."""
        last, end = segment.last, segment.end
        place = len(self._prefix)
        if end is not None:
            # Up to here its keys cannot differ.
            while place < min(len(last), len(end)) and last[place] == end[place]:
                place += 1
        likely = sorted(self._characters)
        while place <= len(last):
            stem, after = last[:place], last[place : place + 1]
            points = [stem + each for each in likely if each > after]
            points = [point for point in points if point > last and (end is None or point < end)]
            if points:
                return points
            place += 1
        return []

    def _cut_at(self, points: Iterable[str]) -> None:
        """Cut whatever segments these points, which are in order, are in."""
        segments: deque[Segment] = deque()
        rest = deque(sorted(points))
        for segment in self._segments:
            segments.append(segment)
            inside = []
            while rest and (segment.end is None or rest[0] < segment.end):
                point = rest.popleft()
                if point > segment.last and not segment.done:
                    inside.append(point)
            if inside:
                step = -(-len(inside) // _MOST_PARTS)
                inside = inside[::step]
                ends = [*inside[1:], segment.end]
                segment.end = inside[0]
                segments += [Segment(point, end) for point, end in zip(inside, ends, strict=True)]
        self._segments = segments


def _first(page: Columns, count: int) -> Columns:
    """The first entries of a page."""
    return page._replace(
        keys=page.keys[:count],
        sizes=page.sizes[:count],
        etags=page.etags[:count],
        times=page.times[:count],
    )
