"""Events: read, lease, hand to their job, acknowledge, or bury. It knows no ride."""
