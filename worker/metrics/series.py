"""From samples to a 1 Hz series: the one treatment of time that every figure shares."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LONGEST_FILL: Final = 10  # missing seconds that are filled; more of them end a segment


@dataclass(frozen=True, eq=False)
class Series:
    """One channel at 1 Hz.

    ``seconds``: (n,) int64, Unix seconds, ascending. ``values``: (n,) float64, no NaN.
    ``segments``: (n,) int64, ascending: equal within a stretch without a longer gap.
    """

    seconds: IntArray
    values: FloatArray
    segments: IntArray

    def __len__(self) -> int:
        return len(self.seconds)

    def select(self, chosen: BoolArray) -> "Series":
        """The chosen seconds; (n,) bool."""
        return Series(self.seconds[chosen], self.values[chosen], self.segments[chosen])


def resample(timestamps: IntArray, values: FloatArray) -> Series:
    """The 1 Hz series of a channel.

    ``timestamps``: (n,) ms, ascending; ``values``: (n,), NaN where nothing was measured.
    Timestamps are rounded to whole seconds, several readings of a second averaged. Up to
    LONGEST_FILL missing seconds are filled linearly; a longer gap is left out and ends the
    segment. Missing is never zero.
    """
    measured = ~np.isnan(values)
    known, readings = _per_second(timestamps[measured], values[measured])
    if not len(known):
        return Series(known, readings, known)
    steps = np.diff(known)
    if len(steps) == known[-1] - known[0]:  # no second is missing
        return Series(known, readings, np.zeros_like(known))
    breaks = np.flatnonzero(steps > LONGEST_FILL + 1)
    firsts = known[np.concatenate(([0], breaks + 1))]
    lengths = known[np.append(breaks, len(known) - 1)] - firsts + 1
    segments = np.repeat(np.arange(len(firsts)), lengths)
    starts = np.cumsum(lengths) - lengths
    seconds = np.arange(lengths.sum()) + np.repeat(firsts - starts, lengths)
    return Series(seconds, np.interp(seconds, known, readings), segments)


def window_means(series: Series, length: int) -> FloatArray:
    """The mean of every full window of ``length`` seconds that lies within one segment."""
    if len(series) < length:
        return np.empty(0)
    sums = np.concatenate(([0.0], np.cumsum(series.values)))
    whole = series.segments[length - 1 :] == series.segments[: len(series) - length + 1]
    return np.asarray((sums[length:] - sums[:-length])[whole] / length)


def linear_recurrence(a: FloatArray, b: FloatArray) -> FloatArray:
    """d of d[t] = a[t]·d[t−1] + b[t], d[−1] = 0, for 0 ≤ a ≤ 1; (n,).

    By doubling: log₂ n steps over whole arrays, each joining stretches twice as long. There is no
    division, so nothing can overflow.
    """
    a, b = a.copy(), b.copy()
    reach = 1
    while reach < len(a):
        b[reach:] += a[reach:] * b[:-reach]
        a[reach:] *= a[:-reach]
        reach *= 2
    return b


def time_to_next(timestamps: IntArray, cap: float) -> FloatArray:
    """Seconds from each sample to the next, at most ``cap``; the last one stands for a second."""
    steps: FloatArray = np.append(np.diff(timestamps) / 1000, 1.0)
    return np.minimum(steps, cap)


def _per_second(timestamps: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Whole seconds, each once, and the mean reading of each."""
    seconds = (timestamps + 500) // 1000
    if not len(seconds) or bool(np.all(np.diff(seconds) > 0)):
        return seconds, values
    starts = np.concatenate(([0], np.flatnonzero(np.diff(seconds)) + 1))
    counts = np.diff(np.append(starts, len(seconds)))
    return seconds[starts], np.add.reduceat(values, starts) / counts
