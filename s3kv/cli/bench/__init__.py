"""``s3kv bench``: how fast somebody's own store is, and what limits it."""
