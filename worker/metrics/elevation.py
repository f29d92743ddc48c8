"""Climbing and descending."""

from typing import Final

import numpy as np

from worker.metrics.series import FloatArray, Series

_SMOOTHING: Final = 10  # seconds
_HYSTERESIS: Final = 3.0  # metres


def elevation_gain_and_loss(altitude: Series) -> tuple[float, float] | None:
    """Metres climbed and metres descended; None without altitude.

    The 10 s mean within each segment, then a 3 m hysteresis over all: the way from the last
    counted height to a turning point counts once it is 3 m or more, so that a barometer's noise
    is no climb.
    """
    if not len(altitude):
        return None
    return _climb(_smooth(altitude))


def _smooth(altitude: Series) -> FloatArray:
    """The centred 10 s mean; at the ends of a segment, of what there is."""
    before, after = (_SMOOTHING - 1) // 2, _SMOOTHING // 2
    begins = np.flatnonzero(np.diff(altitude.segments, prepend=-1))
    ends = np.append(begins[1:], len(altitude))
    at, lengths = np.arange(len(altitude)), ends - begins
    first = np.maximum(at - before, np.repeat(begins, lengths))
    end = np.minimum(at + after + 1, np.repeat(ends, lengths))
    sums = np.concatenate(([0.0], np.cumsum(altitude.values)))
    return np.asarray((sums[end] - sums[first]) / (end - first))


def _climb(heights: FloatArray) -> tuple[float, float]:
    gain = loss = 0.0
    counted = float(heights[0])
    for height in _turning_points(heights).tolist():
        rise = height - counted
        if abs(rise) >= _HYSTERESIS:
            gain, loss = gain + max(rise, 0.0), loss + max(-rise, 0.0)
            counted = height
    return gain, loss


def _turning_points(values: FloatArray) -> FloatArray:
    """The first and the last value, and those between where the direction changes."""
    steps = np.sign(np.diff(values))
    moving = np.flatnonzero(steps)
    turns = moving[1:][steps[moving[1:]] != steps[moving[:-1]]]
    return np.asarray(values[np.concatenate(([0], turns, [len(values) - 1]))])
