"""Backups of the database and of what waits for it, and the ways back."""
