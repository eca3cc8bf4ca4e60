"""What the file system is made of: its options, its stores, its paths and its cache of listings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, cast

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]

from ..context import Context
from ..spec.aws_credentials import Given
from ..store import Store
from .paths import Place, place_of
from .stores import stores_for

Info = dict[str, Any]

# What fsspec gives to file systems that have an event loop.
_NOT_FOR_US = ("asynchronous", "loop")


class _ByIdentity(type(AbstractFileSystem)):  # type: ignore[misc]
    """Keeps instances as fsspec does, by what their options look like; contexts by what they are.

    Two contexts that look the same may still be two limits, or hold two pairs of keys.
    """

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        if isinstance(options.get("context"), Context):
            options["_context_id"] = id(options["context"])
        made = super().__call__(*arguments, **options)
        made.storage_options.pop("_context_id", None)
        return made


class Base(AbstractFileSystem, metaclass=_ByIdentity):  # type: ignore[misc]
    """The options, stores and paths of :class:`S3KVFileSystem`, which describes them.

    Mutable state: ``dircache``, fsspec's cache of listings, and ``_changes``, how often some of it was
    dropped; both changed by single steps of the interpreter.
    """

    protocol = "s3kv"
    root_marker = ""

    def __init__(
        self,
        *,
        context: Context | Mapping[str, Any] | None = None,
        session: Any = None,
        timeout: float | None = None,
        default_block_size: int | None = None,
        default_cache_type: str = "readahead",
        use_listings_cache: bool = False,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        _context_id: int | None = None,
        **members: Any,
    ) -> None:
        if self._cached:
            # fsspec hands out an instance that there is already.
            return
        super().__init__(
            use_listings_cache=use_listings_cache,
            listings_expiry_time=listings_expiry_time,
            max_paths=max_paths,
        )
        members = {name: value for name, value in members.items() if name not in _NOT_FOR_US}
        if context is not None and not isinstance(context, Context):
            members["context"] = context
            context = None
        self._stores = stores_for(members, context, session, timeout)
        self._block_size = default_block_size
        self._cache_type = default_cache_type
        self._changes = 0
        if use_listings_cache:
            self._stores.caching[id(self)] = self

    def close(self) -> None:
        """Close the connections; what is under way ends with ``StoreClosed``. The next use opens new ones.

        File systems with the same options share their connections, so this closes them for all of them.
        """
        self._stores.close()

    def __reduce__(self) -> Any:
        options = self.storage_options
        if options.get("session") is not None:
            raise TypeError("a file system with session= cannot be pickled: a session may hold secrets")
        credentials = options.get("aws_credentials")
        if credentials is not None and not isinstance(credentials, (str, Mapping)):
            # Raises the TypeError for what may hold a secret.
            Given(credentials).__reduce__()
        return super().__reduce__()

    # ---------------------------------------------------------------- paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The path as fsspec hands it around: no protocol, no slashes at either end."""
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return super()._strip_protocol(path).lstrip("/")

    def _strip(self, path: Any) -> str:
        return cast(str, self._strip_protocol(path))

    def _find_store(self, path: str) -> tuple[Store, Place]:
        """The store of a path, and the bucket and key that it names.

        Raises:
            io.UnsupportedOperation: the path is empty.
        """
        place = place_of(path)
        return self._stores[place.bucket], place

    # ---------------------------------------------------------------- the cache of listings

    def invalidate_cache(self, path: str | None = None) -> None:
        """Drop cached listings: of a path, what is below it and the folders it is in; default: all.

        As with any write, those of all file systems with the same stores: there is one for each thread.
        """
        super().invalidate_cache(path)
        for each in self._stores.all_caching():
            each._drop_at(None if path is None else self._strip(path))

    def _drop_at(self, path: str | None) -> None:
        self._changes += 1
        if path is None:
            self.dircache.clear()
            return
        for folder in list(self.dircache):
            if path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/"):
                self._drop(folder)

    def _drop_around(self, path: str) -> None:
        """Drop the cached listings that an object is in, which was written or deleted.

        What is below its path stays as it is. To look through all listings for that, for each of many
        objects, would take as many steps as there are of both, multiplied.
        """
        super().invalidate_cache(path)
        for each in self._stores.all_caching():
            each._changes += 1
            folder = self._strip(path)
            while folder:
                each._drop(folder)
                folder = folder.rpartition("/")[0]

    def _drop(self, folder: str) -> None:
        # Another thread may do so at the same time.
        with contextlib.suppress(KeyError):
            del self.dircache[folder]
