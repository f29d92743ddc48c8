"""Rides under way, for those who watch: samples as they arrive, and figures as they grow."""
