"""How long a worker waits for what: one object, so that a test can be impatient."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """In seconds."""

    # How long a worker may hold an event before another one takes it over.
    lease: float = 60.0
    # How long to pause while most jobs fail, before the next one is tried.
    breaker_pause: float = 30.0
    # How long a read waits for new events; also how soon a stop is noticed.
    block: float = 1.0
    # Between looks for abandoned events; never longer than a lease.
    claim_every: float = 5.0
    # How long an event that was left to a newer worker is passed over.
    pass_over: float = 60.0
    # The longest pause between attempts while the servers are away.
    longest_pause: float = 5.0
    # How long one event waits for a node of a cluster while others could be handled: longer than
    # it takes until another node has its place.
    patience: float = 20.0
