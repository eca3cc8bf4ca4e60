"""zarr arrays on S3: the ``zarr`` extra."""

from __future__ import annotations

from ..errors import S3KVError

try:
    import zarr.abc.store as _abc

    _abc.OffsetByteRequest  # noqa: B018  (zarr 2 has no such thing.)
except (ImportError, AttributeError) as error:
    raise S3KVError(
        "s3kv.zarr needs zarr 3, the 'zarr' extra: pip install 's3kv[zarr]' (Python 3.11 or newer)"
    ) from error

from .store import ZarrStore

__all__ = ["ZarrStore"]
