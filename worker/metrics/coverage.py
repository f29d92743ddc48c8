"""How much of the ride was recorded."""

import numpy as np

from worker.metrics.series import LONGEST_FILL, IntArray, Series


def elapsed_seconds(timestamps: IntArray) -> int:
    """Whole seconds of the clock from the first sample to the last, both counted."""
    if not len(timestamps):
        return 0
    first, last = (timestamps[[0, -1]] + 500) // 1000
    return int(last - first + 1)


def coverage(power: Series, elapsed: int) -> float:
    """The share of the elapsed seconds that has power, 0 to 1."""
    return len(power) / elapsed if elapsed else 0.0


def gaps(timestamps: IntArray) -> list[tuple[int, int]]:
    """The samples (ms) before and after each stretch of more than 10 missing seconds."""
    seconds = (timestamps + 500) // 1000
    wide = np.flatnonzero(np.diff(seconds) > LONGEST_FILL + 1)
    return [(int(timestamps[at]), int(timestamps[at + 1])) for at in wide]
