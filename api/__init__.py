"""The thin HTTP layer: authenticate, parse, append or query, respond."""
