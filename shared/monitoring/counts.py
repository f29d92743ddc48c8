"""What an API process counts of its requests: plain numbers, which cost a request next to nothing.

``Figures`` carries them over to Prometheus every second.
"""

import time
from collections import Counter, defaultdict
from typing import Final

_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class RequestCounts:
    """Requests by what they asked for and what they got, and what came with uploads."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str, str]] = Counter()  # method, route, status
        self.seconds = defaultdict[tuple[str, str], float](float)  # method, route
        self.batches = 0
        self.samples = 0

    def note_batch(self, samples: int) -> None:
        """A batch of so many samples was stored."""
        self.batches += 1
        self.samples += samples

    def note_answer(self, method: str, route: str, status: int, began: float) -> None:
        """A request was answered; ``began``: by ``time.perf_counter``.

        ``route``: the template of its path, for each path would be a series of its own.
        """
        method = method if method in _METHODS else "other"
        self.answered[method, route, str(status)] += 1
        self.seconds[method, route] += time.perf_counter() - began
