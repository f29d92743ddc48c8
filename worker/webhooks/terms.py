"""How long and how often a delivery is tried, and how many at a time. Pure."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Terms:
    """Seconds, and numbers of deliveries in one worker.

    ``attempt``: for one attempt in all; ``patience``: from the first attempt to the last;
    ``pauses``: after the first attempt, the second and so on; ``longest_wish``: for which a
    receiver may be left alone at its wish. ``rest``: a webhook that fails or is slow is left alone
    for so many times as long as it took, so that it takes up no more than that share of a worker.
    ``margin``: for what became of an attempt to be noted.
    """

    attempt: float = 10.0
    patience: float = 24 * 3600.0
    pauses: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
    longest_wish: float = 3600.0
    rest: float = 5.0
    slow: float = 1.0
    poll: float = 1.0
    ending: float = 5.0
    most: int = 64
    most_of_user: int = 4
    margin: float = 5.0

    @property
    def lease(self) -> float:
        """After which another worker takes over what this one has not noted by then."""
        return self.attempt + self.margin

    def pause(self, attempts: int, wish: float | None, random: Random) -> float:
        """How long to wait after so many attempts, a fifth more or less: not all at one time."""
        own = self.pauses[min(attempts, len(self.pauses)) - 1] * random.uniform(0.8, 1.2)
        return max(own, min(wish or 0, self.longest_wish))

    def rest_after(self, seconds: float, is_success: bool) -> float:
        """How long to leave a webhook alone after an attempt that took so long."""
        return 0 if is_success and seconds < self.slow else self.rest * seconds
