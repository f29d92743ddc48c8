"""A process that is stuck ends itself, and whoever started it starts another.

Compose, systemd and `make run` start anew what has ended; none of them ends what hangs.
"""

import faulthandler
import time
from typing import Final

_BEATS: Final = 10  # of a limit, at most: each starts a thread of C


class Watchdog:
    """Ends the process if ``beat`` is not called for ``limit`` seconds.

    What every thread was doing goes to standard error, and the process ends with 1, even where it
    hangs in C. Before the first beat nothing is watched.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._next = 0.0

    def beat(self) -> None:
        """Something was done: the limit begins anew."""
        now = time.monotonic()
        if now >= self._next:
            faulthandler.dump_traceback_later(self._limit, exit=True)
            self._next = now + self._limit / _BEATS
