"""Tables on S3 with pandas: written, read by column and by partition, and looked at as files.

Without arguments it starts a local S3 server in this process (the extras ``fsspec`` and ``server``, and
pandas and pyarrow). With a folder of a bucket it does the same there, below a name of its own:

    python examples/pandas_parquet.py
    python examples/pandas_parquet.py s3kv://my-bucket/some/folder --region eu-central-1
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pandas as pd  # type: ignore[import-untyped]


def tour(folder: str, options: dict[str, Any]) -> None:
    """Write tables below ``folder``, and read what is wanted of them."""
    random = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", "2026-12-31", name="day")
    table = pd.DataFrame(
        {"year": days.year, "rain": random.gamma(0.5, 4.0, len(days)).round(1)}, index=days
    )

    # One object. Only the columns that are asked for are fetched.
    table.to_parquet(f"{folder}/rain.parquet", storage_options=options)
    rain = pd.read_parquet(f"{folder}/rain.parquet", columns=["rain"], storage_options=options)
    print(f"  {len(rain):,} days, {rain.rain.sum():,.0f} mm")

    # A folder with an object for each year. Only those that a filter asks for are fetched.
    table.to_parquet(f"{folder}/by-year", partition_cols=["year"], storage_options=options)
    year = pd.read_parquet(f"{folder}/by-year", filters=[("year", "=", 2025)], storage_options=options)
    print(f"  the wettest day of 2025: {year.rain.idxmax():%d %B}, {year.rain.max()} mm")

    # The same, as files.
    fs, path = fsspec.url_to_fs(folder, **options)
    for name, info in fs.find(path, detail=True).items():
        print(f"  {info['size']:>8,} bytes  {name.removeprefix(path + '/')}")
    with fs.open(f"{path}/notes.txt", "w") as file:
        file.write("Becomes an object when the file is closed, and not at all after an exception.\n")
    fs.rm(path, recursive=True)
    fs.close()


def main() -> int:
    """Write and read where the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="s3kv://bucket/folder; default: a local server")
    parser.add_argument("--region", help="the bucket's region")
    parser.add_argument("--endpoint", help="the URL of an S3-compatible store")
    arguments = parser.parse_args()
    options = {"aws_region": arguments.region, "endpoint": arguments.endpoint}
    options = {name: value for name, value in options.items() if value is not None}
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if not url:
            from s3kv.testing import LocalServer

            server = stack.enter_context(LocalServer())
            url = f"s3kv://{server.bucket}"
            options = {name: server.spec[name] for name in ("endpoint", "aws_region", "aws_credentials")}
        # A folder of its own, so that nothing that is already there is touched.
        folder = f"{url.rstrip('/')}/s3kv-pandas-{secrets.token_hex(4)}"
        print(f"\n{folder}\n")
        try:
            tour(folder, options)
        except OSError as error:
            print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print("\nDone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
