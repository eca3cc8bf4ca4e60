"""What a store of zarr's lists: keys, folders, and how much there is in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice

from .handle import Handle, folder

# So many keys of a listing are taken at once: what a page has.
_PAGE = 1000

# Inside the class, ``list`` is the method.
_List = list


class Listing(Handle):
    """The methods that list."""

    def list(self) -> AsyncIterator[str]:
        """Every key, a page of up to 1,000 at a time."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Every key that starts with ``prefix``, whole, a page of up to 1,000 at a time."""
        entries = self._store.scan(prefix)

        def page() -> _List[str]:
            return [entry.key for entry in islice(entries, _PAGE)]

        while keys := await self._awaiting.later(page):
            for key in keys:
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names one level below a folder: of its keys, and of its folders, without ``/``."""
        for name in await self._awaiting.later(self._names, folder(prefix.rstrip("/"))):
            yield name

    async def is_empty(self, prefix: str) -> bool:
        """Whether there is no key below a folder."""
        return await self._awaiting.later(self._nothing_in, folder(prefix))

    async def getsize_prefix(self, prefix: str) -> int:
        """How many bytes all keys below a folder have, by listing them."""
        return await self._awaiting.later(self._total, folder(prefix))

    def _names(self, folder: str) -> _List[str]:
        folders, entries = self._store.list_dir(folder)
        skip = len(folder)
        names = [name[skip:-1] for name in folders] + [entry.key[skip:] for entry in entries]
        # A folder's own key, with which some tools mark it, has no name; and it may share one with a key.
        return [name for name in dict.fromkeys(names) if name]

    def _nothing_in(self, folder: str) -> bool:
        return next(self._store.scan(folder), None) is None

    def _total(self, folder: str) -> int:
        store = self._store
        return sum(
            int(size) for page in store._pages_fast(store._wanted(folder, None)) for size in page.sizes
        )
