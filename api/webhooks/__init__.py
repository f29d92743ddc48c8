"""Telling other programs of rides: webhooks, their deliveries, and what has changed."""
