"""How much to measure, and beside what."""

from dataclasses import dataclass

from bench.peer import Peer


@dataclass(frozen=True)
class Options:
    """``seconds``: of each load. ``rides``: how many are folded, completed or left in a backlog."""

    runs: int
    seconds: float
    rides: int
    peer: Peer | None = None
