"""What s3kv costs beside other S3 clients: ``python -m tests.benchmarks``.

Each contender runs in a process of its own, and all of a row take turns within the same run, so that a
machine that is slow for a moment is slow for everybody. Servers run on 127.0.0.1, in other processes.
"""
