"""Rides as files: from the bytes of FIT, TCX and GPX files to recordings."""
