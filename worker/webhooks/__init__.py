"""Webhooks: what was noted beside the changes is delivered, and holds up nobody."""
