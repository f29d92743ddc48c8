"""Intervals of a ride without laps: stretches of steady power, found by its change points."""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from worker.metrics.series import FloatArray, Series

_BLOCK: Final = 10  # seconds: pedal strokes and corners are no intervals
_FEWEST_BLOCKS: Final = 3  # between two changes
_SHORTEST: Final = 60  # seconds of an interval
_PENALTY: Final = 6.0  # times the variance of a block, and the logarithm of their number
_STEP: Final = 0.12  # of the mean power, by which a change is one
_LEAST_STEP: Final = 15.0  # watts
_HARDER: Final = 1.05  # times the ride's mean power
_UNEVEN: Final = 0.25  # of an interval's power, as the deviation of its blocks
_NORMAL_DIFFERENCE: Final = 0.954  # median of the difference of two normal numbers, in deviations


class Interval(NamedTuple):
    """A steady effort: its first Unix second, its seconds, and its mean power in watts."""

    started: int
    duration: int
    power: float


def find_intervals(power: Series) -> list[Interval]:
    """The steady efforts of a ride, in order.

    Change points are found by splitting: a stretch is cut in two where that explains most of its
    variance, while it explains more than chance would and the power differs by 12 % or more. A
    part is an interval if it takes a minute or more, is above the mean of the ride, and is steady.
    """
    if not len(power):
        return []
    mean = float(power.values.mean())
    return [
        Interval(int(power.seconds[start]), end - start, float(power.values[start:end].mean()))
        for first, last in _segments(power)
        for start, end in _parts(power.values, first, last, max(_STEP * mean, _LEAST_STEP))
        if _is_interval(power.values[start:end], mean)
    ]


def _segments(power: Series) -> list[tuple[int, int]]:
    """Those that may hold an interval, as first index and end."""
    begins = np.flatnonzero(np.diff(power.segments, prepend=-1, append=-1)).tolist()
    return [(start, end) for start, end in pairwise(begins) if end - start >= _SHORTEST]


def _is_interval(watts: FloatArray, mean: float) -> bool:
    if len(watts) < _SHORTEST or watts.mean() < _HARDER * mean:
        return False
    return bool(_blocks(watts).std() <= _UNEVEN * watts.mean())


def _parts(watts: FloatArray, first: int, last: int, step: float) -> list[tuple[int, int]]:
    """Between the change points of a segment, to the second."""
    blocks = _blocks(watts[first:last])
    changes = sorted(_changes(blocks, step))
    seconds = [first + _refine(watts[first:last], change * _BLOCK) for change in changes]
    return list(pairwise([first, *seconds, last]))


def _changes(blocks: FloatArray, step: float) -> list[int]:
    """The blocks at which the mean changes."""
    variance = (np.median(np.abs(np.diff(blocks))) / _NORMAL_DIFFERENCE) ** 2
    least = _PENALTY * max(float(variance), 1.0) * np.log(len(blocks))
    found, waiting = [], [(0, len(blocks))]
    while waiting:
        start, end = waiting.pop()
        gain, at = _best_cut(blocks[start:end], _FEWEST_BLOCKS)
        before, after = blocks[start : start + at], blocks[start + at : end]
        if gain > least and abs(after.mean() - before.mean()) >= step:
            found.append(start + at)
            waiting += [(start, start + at), (start + at, end)]
    return found


def _refine(watts: FloatArray, change: int) -> int:
    """The second of a change, from the block it was found in."""
    start, end = max(change - 2 * _BLOCK, 0), change + 2 * _BLOCK
    return start + _best_cut(watts[start:end], 1)[1]


def _best_cut(values: FloatArray, fewest: int) -> tuple[float, int]:
    """By how much a cut lowers the sum of squares at most, and where; each part has ``fewest``."""
    count = len(values)
    if count < 2 * fewest:
        return -1.0, 1
    at = np.arange(fewest, count - fewest + 1)
    sums = np.cumsum(values)
    before, total = sums[at - 1], sums[-1]
    gains = before**2 / at + (total - before) ** 2 / (count - at) - total**2 / count
    best = int(gains.argmax())
    return float(gains[best]), int(at[best])


def _blocks(watts: FloatArray) -> FloatArray:
    """The means of whole blocks."""
    count = len(watts) // _BLOCK
    return np.asarray(watts[: count * _BLOCK].reshape(count, _BLOCK).mean(axis=1))
