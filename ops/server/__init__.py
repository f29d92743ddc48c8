"""A server for others: what its stack needs, installing without containers, upgrading."""
