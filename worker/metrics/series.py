"""From samples to a 1 Hz series: the one treatment of time that every figure shares."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LONGEST_FILL: Final = 10  # missing seconds that are filled where a channel has a reading a second
_USUAL_INTERVALS: Final = 3  # as many may be filled where readings are further apart …
_LONGEST_SPARSE_FILL: Final = 90  # … but never more seconds than these
_FEWEST_INTERVALS: Final = 3  # fewer do not tell what is usual
_ROW: Final = 32
_FEW: Final = 256  # numbers that a plain loop is quicker with


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

    def select(self, chosen: BoolArray | slice) -> "Series":
        """The chosen seconds; (n,) bool, or a slice."""
        return Series(self.seconds[chosen], self.values[chosen], self.segments[chosen])


def resample(timestamps: IntArray, values: FloatArray) -> Series:
    """The 1 Hz series of a channel.

    ``timestamps``: (n,) ms, ascending; ``values``: (n,), NaN where nothing was measured.
    Timestamps are rounded to whole seconds, several readings of a second averaged. Missing
    seconds are filled linearly up to the channel's fill limit; a longer gap is left out and ends
    the segment. Missing is never zero.
    """
    measured = ~np.isnan(values)
    if not measured.all():
        timestamps, values = timestamps[measured], values[measured]
    known, readings = _per_second(timestamps, values)
    if not len(known):
        return Series(known, readings, known)
    steps = np.diff(known)
    if len(steps) == known[-1] - known[0]:  # no second is missing
        return Series(known, readings, np.zeros_like(known))
    firsts, lasts = stretches(known)
    lengths = lasts - firsts + 1
    segments = np.repeat(np.arange(len(firsts)), lengths)
    starts = np.cumsum(lengths) - lengths
    seconds = np.arange(lengths.sum()) + np.repeat(firsts - starts, lengths)
    return Series(seconds, np.interp(seconds, known, readings), segments)


def whole_seconds(timestamps: IntArray) -> IntArray:
    """The Unix second that each timestamp (ms) is nearest to; half a second belongs to the next."""
    return (timestamps + 500) // 1000


def stretches(seconds: IntArray) -> tuple[IntArray, IntArray]:
    """The first and the last second of each stretch without a gap over the fill limit.

    ``seconds``: (n,) whole seconds, ascending, of one channel's readings; n > 0.
    """
    steps = np.diff(seconds)
    breaks = np.flatnonzero(steps > LONGEST_FILL + 1)
    if len(breaks):
        breaks = breaks[steps[breaks] > fill_limit(steps) + 1]
    firsts = seconds[np.concatenate(([0], breaks + 1))]
    return firsts, seconds[np.append(breaks, len(seconds) - 1)]


def fill_limit(steps: IntArray | FloatArray) -> float:
    """How many missing seconds are filled, from the steps (s) between a channel's readings.

    10 s; where the channel is recorded more sparsely, three times its usual interval (the
    median), to 90 s at most. A ride recorded every 30 s is so a ride and not a row of gaps.
    """
    if len(steps) < _FEWEST_INTERVALS or steps.max() <= LONGEST_FILL:
        return LONGEST_FILL  # what is below it in any case needs no median
    if 2 * np.count_nonzero(_USUAL_INTERVALS * steps <= LONGEST_FILL) > len(steps):
        return LONGEST_FILL  # the median is among them
    return sparse_fill_limit(float(np.median(steps)))


def sparse_fill_limit(interval: float) -> float:
    """How many missing seconds are filled where readings are usually so many seconds apart."""
    return max(min(_USUAL_INTERVALS * interval, _LONGEST_SPARSE_FILL), LONGEST_FILL)


def holding_times(timestamps: IntArray, longest: float = 0.0) -> FloatArray:
    """Seconds that each reading stands for: until the next, at most the fill limit; (n,).

    ``timestamps``: (n,) ms, ascending, of one channel's readings alone: what other sensors send
    in between shortens nothing. ``longest``: seconds that a reading may stand for in any case.
    The last one stands for a second.
    """
    steps = np.diff(timestamps) / 1000
    limit = max(fill_limit(steps), longest)
    return np.append(np.minimum(steps, limit), min(1.0, limit))


def window_means(series: Series, length: int) -> FloatArray:
    """The mean of every full window of ``length`` seconds that lies within one segment."""
    if len(series) < length:
        return np.empty(0)
    sums = np.concatenate(([0.0], np.cumsum(series.values)))
    whole = series.segments[length - 1 :] == series.segments[: len(series) - length + 1]
    return np.asarray((sums[length:] - sums[:-length])[whole] / length)


def find_gaps(series: Series) -> tuple[IntArray, IntArray]:
    """The index of the first second after each gap, and the missing seconds before it."""
    steps = np.diff(series.seconds)
    before = np.flatnonzero(steps > 1)
    return before + 1, steps[before] - 1


def linear_recurrence(a: FloatArray, b: FloatArray) -> FloatArray:
    """d of d[t] = a[t]·d[t-1] + b[t], d[-1] = 0, for 0 ≤ a ≤ 1; (n,).

    In rows of 32, all rows at once; the ends of the rows follow a recurrence of their own. There
    is no division, so nothing can overflow.
    """
    if len(a) <= _FEW:
        return _short_recurrence(a, b)
    reach, level = _in_rows(a), _in_rows(b)
    for before, kept, after in zip(level[:-1], reach[1:], level[1:], strict=True):
        after += kept * before
    reach = np.multiply.accumulate(reach)
    carried = linear_recurrence(reach[-1], level[-1])
    level[:, 1:] += reach[:, 1:] * carried[:-1]
    return np.asarray(level.T.reshape(-1)[: len(a)])


def _in_rows(values: FloatArray) -> FloatArray:
    """The rows as columns, the last one filled up with zeros."""
    rows = np.zeros((-(-len(values) // _ROW), _ROW))
    rows.reshape(-1)[: len(values)] = values
    return rows.T.copy()


def _short_recurrence(a: FloatArray, b: FloatArray) -> FloatArray:
    found, level = [], 0.0
    for kept, added in zip(a.tolist(), b.tolist(), strict=True):
        level = kept * level + added
        found.append(level)
    return np.array(found)


def centred_means(series: Series, before: int, after: int) -> FloatArray:
    """The mean of each second with some before and after it, of those in its segment; (n,)."""
    first, end = windows_within(series, before, after)
    return np.asarray(_sums(series.values, first, end) / (end - first))


def windows_within(series: Series, before: int, after: int) -> tuple[IntArray, IntArray]:
    """For each second, the first index and the end of the window around it in its segment."""
    begins = np.flatnonzero(np.diff(series.segments, prepend=-1))
    ends = np.append(begins[1:], len(series))
    at, lengths = np.arange(len(series)), ends - begins
    first = np.maximum(at - before, np.repeat(begins, lengths))
    return first, np.minimum(at + after + 1, np.repeat(ends, lengths))


def _per_second(timestamps: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Whole seconds, each once, and the mean reading of each."""
    seconds = whole_seconds(timestamps)
    if not len(seconds) or bool(np.all(np.diff(seconds) > 0)):
        return seconds, values
    starts = np.concatenate(([0], np.flatnonzero(np.diff(seconds)) + 1))
    counts = np.diff(np.append(starts, len(seconds)))
    return seconds[starts], np.add.reduceat(values, starts) / counts


def _sums(values: FloatArray, first: IntArray, end: IntArray) -> FloatArray:
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray(sums[end] - sums[first])
