"""Small objects, one ``get`` each: the two rows of ``python -m tests.benchmarks`` that are about that.

python -m tests.benchmarks.small_gets [--rounds 5] [--clients s3kv boto3]
"""

from __future__ import annotations

import sys

from .__main__ import main

if __name__ == "__main__":
    sys.exit(main(["--only", "threads", "one-caller", *sys.argv[1:]]))
