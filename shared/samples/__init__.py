"""Samples: the table of channels, columns in memory, and their stored forms."""
