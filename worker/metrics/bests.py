"""Best efforts: the highest mean over each duration (mean-maximal)."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.metrics.series import FloatArray, IntArray, Series
from worker.metrics.spikes import Ranges, within

_MINUTE: Final = 60
_HOUR: Final = 3600
POWER_DURATIONS: Final = (
    *(1, 5, 10, 15, 30),
    *(_MINUTE * minutes for minutes in (1, 2, 3, 5, 8, 10, 12, 15, 20, 30, 45)),
    *(_HOUR, _HOUR * 3 // 2, 2 * _HOUR, 3 * _HOUR, 4 * _HOUR),
)
OTHER_DURATIONS: Final = (5 * _MINUTE, 20 * _MINUTE, _HOUR)
# Lower than any sum of real values can make up for.
_WALL: Final = -1e9
# An array with every elapsed second may have so many times the recorded ones, and these more.
_DENSE: Final = 4
_SMALL: Final = 100_000
_MOST_SMALL: Final = 2**30  # the difference of two such sums fits 32 bits

SmallArray = NDArray[np.int32]


class Effort(NamedTuple):
    """A best effort: its duration in seconds, its mean, and the Unix second it began."""

    duration: int
    value: float
    started: int


_SPACED: Final = np.rint(np.geomspace(2 * _MINUTE, 24 * _HOUR, 101)).astype(np.int64)
_CURVE: Final = np.unique(np.concatenate((np.arange(1, 121), _SPACED, POWER_DURATIONS)))


def curve_durations(longest: int) -> IntArray:
    """Every second to two minutes, about 100 log-spaced durations beyond, the bests among them.

    Up to ``longest`` seconds; the same for every ride, so that two curves can be compared.
    """
    return np.asarray(_CURVE[longest >= _CURVE])


def best_efforts(
    series: Series, durations: IntArray, first: int, last: int, excluded: Ranges = ()
) -> list[Effort]:
    """The highest mean over exactly so many elapsed seconds; ``durations`` ascend.

    ``first``, ``last``: the Unix seconds of the ride's ends, between which every window lies;
    ``excluded``: ranges (Unix seconds, the end excluded) that no window touches. Unrecorded
    seconds inside a window count as zero: a stop takes no best away, and none claims what was not
    ridden.
    """
    if not excluded:
        return _best_between(series, durations, first, last)
    found: dict[int, Effort] = {}
    for begin, end in _parts(first, last, excluded):
        start, stop = np.searchsorted(series.seconds, [begin, end + 1])
        part = series.select(slice(start, stop))
        for effort in _best_between(part, durations, begin, end):
            best = found.get(effort.duration)
            if best is None or effort.value > best.value:
                found[effort.duration] = effort
    return [found[duration] for duration in sorted(found)]


def best_unbroken_efforts(series: Series, durations: IntArray) -> list[Effort]:
    """As ``best_efforts``, but within segments: of what has no zero, such as heart rate."""
    sums, seconds = _walled_sums(series)
    efforts = []
    for duration in durations[durations <= len(series)].tolist():
        totals = sums[duration:] - sums[:-duration]
        start = int(totals.argmax())
        if totals[start] > _WALL / 2:
            efforts.append(Effort(duration, float(totals[start]) / duration, int(seconds[start])))
    return efforts


def cut(series: Series, ranges: Ranges) -> Series:
    """The series without the seconds of some ranges (Unix seconds, the end excluded).

    A range that was cut out ends a segment, as a gap does.
    """
    if not ranges:
        return series
    out = within(series.seconds, ranges)
    return Series(series.seconds, series.values, series.segments + np.cumsum(out)).select(~out)


def _parts(first: int, last: int, excluded: Ranges) -> list[tuple[int, int]]:
    """First and last second of what the excluded ranges leave of the ride."""
    parts = []
    for start, end in sorted(excluded):
        parts.append((first, min(math.ceil(start) - 1, last)))
        first = max(first, math.ceil(end))
    return [(begin, end) for begin, end in [*parts, (first, last)] if begin <= end]


def _best_between(series: Series, durations: IntArray, first: int, last: int) -> list[Effort]:
    span = last - first + 1
    if not len(series):
        return []
    durations = durations[durations <= span]
    if span > _DENSE * len(series) + _SMALL:
        return [_best_sparse(series, duration, last) for duration in durations.tolist()]
    values = series.values
    if len(series) < span:
        values = np.zeros(span)
        values[series.seconds - first] = series.values
    return _best_dense(_running_sums(values), durations, first)


def _running_sums(values: FloatArray) -> FloatArray | SmallArray:
    """From zero on; as small whole numbers where they are, which is as exact and reads half.

    A meter says whole watts, so that only filled seconds have fractions.
    """
    sums = np.concatenate(([0.0], np.cumsum(values)))
    if not -_MOST_SMALL < sums.min() <= sums.max() < _MOST_SMALL:
        return sums
    whole = sums.astype(np.int32)
    return whole if np.array_equal(whole, sums) else sums


def _best_dense(sums: FloatArray | SmallArray, durations: IntArray, first: int) -> list[Effort]:
    """From the running sums of every elapsed second."""
    efforts, seconds = list[Effort](), len(sums) - 1
    room = np.empty_like(sums)  # for all durations: fresh memory would cost more than the sums
    for duration in durations.tolist():
        count = seconds - duration + 1
        totals = np.subtract(sums[duration:], sums[:count], out=room[:count])
        start = int(totals.argmax())
        efforts.append(Effort(duration, float(totals[start]) / duration, first + start))
    return efforts


def _best_sparse(series: Series, duration: int, last: int) -> Effort:
    """From the recorded seconds alone, where these are few among those that elapsed.

    Some best window begins with a recorded second, or is the last that the ride holds.
    """
    starts = np.minimum(series.seconds, last - duration + 1)
    sums = np.concatenate(([0.0], np.cumsum(series.values)))
    ends = np.searchsorted(series.seconds, starts + duration)
    totals = sums[ends] - sums[np.searchsorted(series.seconds, starts)]
    best = int(totals.argmax())
    return Effort(duration, float(totals[best]) / duration, int(starts[best]))


def _walled_sums(series: Series) -> tuple[FloatArray, IntArray]:
    """Running sums with a wall between segments: a window across one can never be the best."""
    boundaries = np.flatnonzero(np.diff(series.segments)) + 1
    values = np.insert(series.values, boundaries, _WALL)
    return np.concatenate(([0.0], np.cumsum(values))), np.insert(series.seconds, boundaries, 0)
