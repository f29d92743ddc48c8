"""Events: read, lease, hand to the job of their kind, acknowledge or give up. It knows no ride."""
