"""What is in objects: read and written as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from ..errors import BatchError, ByteRangeError, Changed, ConditionFailed, KeyNotFound
from ..store import Store
from .listing import Listing
from .os_errors import exists_already, is_folder, os_error, os_errors
from .parallel import run_all
from .paths import Place
from .plan import Plan

OnError = Literal["raise", "omit", "return"]
# A range as fsspec has it: of a slice, clamped to the object.
Span = tuple[int | None, int | None]

# So often is an object looked at again that was replaced meanwhile.
_MOST_CHANGES = 4


class Contents(Listing):
    """The methods that read and write whole objects, or ranges of them."""

    def _find_object(self, path: Any) -> tuple[Store, Place, str]:
        """The store, key and path of an object; the slash at the end of its key, if there is one, stays.

        Raises:
            IsADirectoryError: the path is that of a bucket.
        """
        stripped = self._strip(path)
        store, place = self._find_store(stripped)
        if not place.key:
            raise is_folder(stripped)
        given = str(path)
        slashes = given[len(given.rstrip("/")) :]
        return store, place._replace(key=place.key + slashes), stripped + slashes

    # ---------------------------------------------------------------- reading

    def cat_file(self, path: Any, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object, or a range of them.

        Args:
            path: The object.
            start: The first byte; negative: from the end. Default None: the beginning.
            end: One past the last byte; negative: from the end. Default None: the end. As with slices,
                what is outside the object is left out.

        Raises:
            FileNotFoundError: there is no such object.
        """
        store, place, path = self._find_object(path)
        with os_errors(path):
            return _read(store, place.key, (start, end))

    def cat(self, path: Any, recursive: bool = False, on_error: OnError = "raise", **options: Any) -> Any:
        """The bytes of one object, or a dict of those of many, which are fetched many at a time.

        Args:
            path: A path, a pattern, or a list of these.
            recursive: Take the paths for folders, and read all that is in them. Default False.
            on_error: ``"raise"`` (default) the first error, ``"omit"`` the paths that fail, or
                ``"return"`` the error in place of the bytes.
            **options: As for :meth:`cat_file`.

        Raises:
            FileNotFoundError: there is no such object, or nothing that the path stands for.
        """
        plan = Plan(self)
        paths = plan.expand_path(path, recursive=recursive)
        if len(paths) == 1 and not isinstance(path, list) and paths[0] == self._strip(path):
            return self.cat_file(paths[0], **options)
        paths = [each for each in paths if not plan.is_known_folder(each)]
        values = self._cat_ranges(paths, **options) if options else self._cat_whole(paths)
        return dict(_as_wanted(zip(paths, values, strict=True), on_error))

    def _cat_whole(self, paths: Sequence[str]) -> list[bytes | Exception]:
        keys: dict[str, list[str]] = {}
        found: dict[str, bytes | Exception] = {}
        for path in paths:
            try:
                _, place, _ = self._find_object(path)
                keys.setdefault(place.bucket, []).append(place.key)
            except OSError as error:
                found[path] = error
        for bucket, names in keys.items():
            try:
                values: dict[str, Any] = dict(self._stores[bucket].get_many(names))
            except BatchError as error:
                values = {**error.results, **error.errors}
            found |= {
                f"{bucket}/{name}": _told(value, f"{bucket}/{name}") for name, value in values.items()
            }
        return [found[path] for path in paths]

    def _cat_ranges(
        self, paths: Sequence[str], start: int | None = None, end: int | None = None
    ) -> list[bytes | Exception]:
        many = len(paths)
        values: list[bytes | Exception] = self.cat_ranges(list(paths), [start] * many, [end] * many)
        return values

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: OnError = "return",
    ) -> list[Any]:
        """Ranges of one or more objects, many at a time; those of one object are of one version of it.

        Args:
            paths: The object of each range.
            starts: As for :meth:`cat_file`, a list, or one for all.
            ends: As for :meth:`cat_file`, a list, or one for all.
            max_gap: Has no effect: ranges of one object that are less than 4 KiB apart are fetched together
                in any case.
            on_error: ``"return"`` (default) errors in place of bytes; else, raise the first.

        Returns:
            The bytes of each range, in the order of ``paths``.
        """
        if not isinstance(paths, list):
            raise TypeError(f"paths is a list, not {type(paths).__name__}")
        starts, ends = (_for_each(limits, len(paths)) for limits in (starts, ends))
        if not len(starts) == len(ends) == len(paths):
            raise ValueError(
                f"there are {len(paths)} paths, {len(starts)} starts and {len(ends)} ends: allowed is the "
                "same number of each"
            )
        wanted: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            wanted.setdefault(path, []).append(number)
        results: list[Any] = [None] * len(paths)

        def spans(path: str) -> list[Span]:
            return [(starts[number], ends[number]) for number in wanted[path]]

        def keep(path: str, values: Sequence[bytes | Exception]) -> None:
            for number, value in zip(wanted[path], values, strict=True):
                results[number] = value

        def begin(path: str) -> Future[list[bytes | Exception]]:
            store, _, _ = self._find_object(path)
            return store._core.later(self._spans, path, spans(path))

        valid = []
        for path in wanted:
            try:
                self._find_object(path)
                valid.append(path)
            except OSError as error:
                keep(path, [error] * len(wanted[path]))
        if len(valid) == 1:
            keep(valid[0], self._spans(valid[0], spans(valid[0])))
        else:
            run_all(valid, begin, lambda path, future: keep(path, future.result()))
        if on_error != "return":
            for value in results:
                if isinstance(value, Exception):
                    raise value
        return results

    def _spans(self, path: str, spans: Sequence[Span]) -> list[bytes | Exception]:
        """Ranges of one object, each or its error."""
        store, place, path = self._find_object(path)
        slices = [_as_slice(span) for span in spans]
        try:
            if len(spans) == 1:
                return [_read(store, place.key, spans[0])]
            if None not in slices:
                try:
                    return list(store.get_ranges(place.key, [each for each in slices if each is not None]))
                except ByteRangeError:
                    # One of them is not wholly inside the object.
                    pass
            return list(_read_all_clamped(store, place.key, spans))
        except Exception as error:
            return [_told(error, path)] * len(spans)

    def head(self, path: Any, size: int = 1024) -> bytes:
        """The first bytes of an object, 1,024 by default."""
        return self.cat_file(path, 0, size)

    def tail(self, path: Any, size: int = 1024) -> bytes:
        """The last bytes of an object, 1,024 by default."""
        return self.cat_file(path, -size) if size else b""

    # ---------------------------------------------------------------- writing

    def pipe_file(
        self,
        path: Any,
        value: Any,
        mode: Literal["overwrite", "create"] = "overwrite",
        *,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Write an object.

        Args:
            path: The object.
            value: Its bytes, as for ``Store.put``.
            mode: ``"create"`` to write only if there is none, in one step where the store decides on
                conditions. Default ``"overwrite"``.
            content_type: As for ``Store.put``.
            metadata: As for ``Store.put``.

        Raises:
            FileExistsError: there is one, and ``mode`` is ``"create"``.
        """
        check_mode(mode)
        if self._intrans:
            with self._deferred(path, mode, content_type, metadata) as file:
                file.write(value)
            return
        store, place, path = self._find_object(path)
        with os_errors(path):
            try:
                store.put(
                    place.key,
                    value,
                    if_absent=mode == "create",
                    content_type=content_type,
                    metadata=metadata,
                )
            except ConditionFailed as error:
                raise exists_already(path) from error
        self._drop_around(path)

    def _deferred(
        self, path: Any, mode: str, content_type: str | None, metadata: dict[str, str] | None
    ) -> Any:
        """A file whose object is written at the end of the transaction, under the key as it is given."""
        # ``open`` would drop the slash at its end.
        file = self._open(
            self._find_object(path)[2],
            "xb" if mode == "create" else "wb",
            autocommit=False,
            content_type=content_type,
            metadata=metadata,
        )
        self.transaction.files.append(file)
        return file

    def pipe(self, path: Any, value: Any = None, **options: Any) -> None:
        """Write one object, or many at a time.

        Args:
            path: The object; or a dict from paths to bytes.
            value: The bytes, if it is one object. Default None: ``path`` has them.
            **options: As for :meth:`pipe_file`.
        """
        if not isinstance(path, dict):
            self.pipe_file(self._strip(path), value, **options)
            return
        values = {self._strip(each): data for each, data in path.items()}
        if self._intrans or options:
            for each, data in values.items():
                self.pipe_file(each, data, **options)
            return
        items: dict[str, dict[str, Any]] = {}
        for each, data in values.items():
            _, place, _ = self._find_object(each)
            items.setdefault(place.bucket, {})[place.key] = data
        for bucket, pairs in items.items():
            try:
                with os_errors(bucket):
                    self._stores[bucket].put_many(pairs)
            finally:
                for key in pairs:
                    self._drop_around(f"{bucket}/{key}")

    def touch(self, path: Any, truncate: bool = True, **options: Any) -> None:
        """Write an empty object.

        Args:
            path: The object.
            truncate: Write it whatever is there. Default True; with False, only if there is none.
            **options: As for :meth:`pipe_file`.

        Raises:
            NotImplementedError: there is one, and ``truncate`` is false: S3 cannot give an object a new
                time without writing it anew.
        """
        if truncate:
            self.pipe_file(path, b"", **options)
            return
        try:
            self.pipe_file(path, b"", "create", **options)
        except FileExistsError as error:
            raise NotImplementedError(
                f"{path!r} exists: S3 gives an object a new time only with new contents"
            ) from error


def check_mode(mode: object) -> None:
    """Refuse what is no mode of writing."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode is {mode!r}: allowed are 'overwrite' and 'create'")


def _for_each(limits: Any, count: int) -> list[Any]:
    """A list of limits, or one limit that is meant for all."""
    return list(limits) if isinstance(limits, Iterable) else [limits] * count


def _as_wanted(found: Iterator[tuple[str, Any]], on_error: str) -> Iterator[tuple[str, Any]]:
    for path, value in found:
        if isinstance(value, Exception):
            if on_error == "raise":
                raise value
            if on_error != "return":
                continue
        yield path, value


def _told(value: Any, path: str) -> Any:
    """A value, or the error for a path as one of a file system."""
    if not isinstance(value, Exception):
        return value
    error = os_error(value, path)
    if error is not value:
        error.__cause__ = value
    return error


def _as_slice(span: Span) -> slice | None:
    """The same range for a store, where no look at the object is needed to tell it."""
    start, end = span
    if end is None:
        return slice(start or 0, None)
    if end < 0 or (start is not None and (start < 0 or start > end)):
        return None
    return slice(start or 0, end)


def _read(store: Store, key: str, span: Span) -> bytes:
    """What there is of a range in an object."""
    found = _as_slice(span)
    if found is None:
        return _read_clamped(store, key, span)
    try:
        return store.get(key, byte_range=None if found == slice(0, None) else found)
    except ByteRangeError:
        pass
    start, end = found.start, found.stop
    if start < 0:
        # Longer than the object.
        return store.get(key)
    if end is None:
        return b""
    try:
        # It ends before the range does, unless it was replaced this moment.
        return store.get(key, byte_range=slice(start, None))[: end - start]
    except ByteRangeError:
        return b""


def _read_clamped(store: Store, key: str, span: Span) -> bytes:
    """As :func:`_read`, where the size has to be known first."""
    for _ in range(_MOST_CHANGES):
        info = store.stat(key)
        start, end, _ = slice(*span).indices(info.size)
        if start >= end:
            return b""
        found = store.read(key, byte_range=slice(start, end), if_equal=info.etag or None)
        if found.state == "value":
            return found.value
        if found.state == "missing":
            raise KeyNotFound("the object was deleted while it was read", operation="GetObject", key=key)
    raise _changed(key)


def _read_all_clamped(store: Store, key: str, spans: Sequence[Span]) -> list[bytes]:
    """What there is of each range in an object, side by side, of the version whose size was looked at."""
    for _ in range(_MOST_CHANGES):
        info = store.stat(key)
        limits = [slice(*span).indices(info.size)[:2] for span in spans]
        inside = [slice(start, end) for start, end in limits if start < end]
        try:
            found = iter(store._get_ranges(key, inside, info.etag or None))
        except (ByteRangeError, Changed):
            # It is another version by now.
            continue
        return [next(found) if start < end else b"" for start, end in limits]
    raise _changed(key)


def _changed(key: str) -> Changed:
    return Changed(
        "the object was replaced again and again while it was read", operation="GetObject", key=key
    )
