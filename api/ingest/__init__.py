"""Samples on their way in: parsed, checked, and written to Redis."""
