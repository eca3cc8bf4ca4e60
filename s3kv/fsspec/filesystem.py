"""The file system."""

from __future__ import annotations

from ..errors import S3KVError

try:
    from .transfers import Transfers
except ImportError as error:
    if (error.name or "").partition(".")[0] != "fsspec":
        raise
    raise S3KVError("s3kv.fsspec needs the 'fsspec' extra: pip install 's3kv[fsspec]'") from error


class S3KVFileSystem(Transfers):
    """Buckets on Amazon S3 or a compatible store as a file system of fsspec, protocol ``s3kv``.

    Paths are ``s3kv://bucket/key``; the keys of an object may have any characters, but paths do not end
    with ``/``. Folders are what keys have in common up to a ``/``. Every method blocks until it is done and
    may be called from any thread; there is no event loop, and no cache of listings unless it is asked for.
    ``close`` is the only method beyond those of ``fsspec.AbstractFileSystem``.

    A file that is written becomes an object when it is closed, and not at all when its ``with`` block ends
    with an exception. Errors are those of file systems: ``FileNotFoundError``, ``PermissionError``,
    ``FileExistsError``, ``TimeoutError``, ``ConnectionError`` and other ``OSError``; ``__cause__`` is the
    error of s3kv where that is another.

    Args:
        context: As for :class:`s3kv.Store`.
        session: As for :class:`s3kv.Store`.
        timeout: As for :class:`s3kv.Store`; of a file that is written, for each of its parts.
        default_block_size: Bytes, for files that are opened without a ``block_size``. Default None: 5 MiB
            to read ahead, 8 MiB in a part that is written.
        default_cache_type: The name of one of fsspec's caches, for files that are read. Default
            ``"readahead"``.
        use_listings_cache: Keep listings until something is written below them through this file system,
            or one of the same options in another thread. Default False.
        listings_expiry_time: Seconds after which a listing that is kept is asked for again. Default None:
            never.
        max_paths: How many listings are kept. Default None: all.
        **members: Members of the spec, as for :class:`s3kv.Spec`, other than ``bucket`` and ``path``.

    Raises:
        SpecError: a wrong member; names it and what is allowed.
        TypeError, ValueError: a wrong session or timeout, as of a store.

    Example:
        >>> import fsspec
        >>> spec = store.spec()
        >>> options = {name: spec[name] for name in ("endpoint", "aws_region", "aws_credentials")}
        >>> fs = fsspec.filesystem("s3kv", **options)
        >>> folder = f"s3kv://{store.bucket}/{store.path}"
        >>> with fs.open(folder + "a.txt", "w") as file:
        ...     file.write("hello")
        5
        >>> fs.cat(folder + "a.txt"), store["a.txt"]
        (b'hello', b'hello')
        >>> fs.close()
    """
