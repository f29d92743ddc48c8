"""Rides: start, list, change, end, and read back."""
