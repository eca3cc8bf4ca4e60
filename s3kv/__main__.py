"""``python -m s3kv``: the command line, where the command is not on the path."""

from .cli.main import main

raise SystemExit(main())
