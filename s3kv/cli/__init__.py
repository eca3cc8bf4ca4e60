"""The command line: ``s3kv ls s3://bucket/``, and so on; see :mod:`s3kv.cli.main`."""
