"""Readings of power and speed that no rider produces."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.metrics.series import BoolArray, FloatArray, IntArray, whole_seconds

_IMPOSSIBLE_POWER: Final = 2500.0  # watts: over the best track sprinters
_SUSPECT_POWER: Final = 1500.0  # watts: possible, but not out of nothing
_POWER_LEAP: Final = 3.0  # times what stands on both sides
_IMPOSSIBLE_SPEED: Final = 60.0  # m/s
_SUSPECT_SPEED: Final = 20.0  # m/s
_SPEED_LEAP: Final = 2.0
_LONE: Final = 2  # seconds at most

Ranges = Sequence[tuple[float, float]]


def find_spikes(timestamps: IntArray, power: FloatArray, vouched: Ranges = ()) -> BoolArray:
    """Which readings of power are spikes; (n,) bool.

    ``timestamps``: (n,) ms, ascending; ``power``: (n,) watts, NaN where not measured;
    ``vouched``: ranges (Unix seconds, the end excluded) whose readings the rider says are real.
    A spike is over 2,500 W; or it is one or two lone seconds over 1,500 W and three times what
    stands on both sides. A sprint ramps up and fades. Looked for before anything is averaged or
    filled, which would hide some and smear others.
    """
    spikes = power > _IMPOSSIBLE_POWER
    spikes |= _lone(timestamps, power, _SUSPECT_POWER, _POWER_LEAP)
    if vouched and spikes.any():
        spikes &= ~within(timestamps / 1000, vouched)
    return spikes


def find_speed_spikes(timestamps: IntArray, speed: FloatArray) -> BoolArray:
    """Which readings of speed (m/s) no bicycle reaches; (n,) bool.

    Over 60 m/s; or one or two lone seconds over 20 m/s and twice what stands on both sides.
    """
    spikes = speed > _IMPOSSIBLE_SPEED
    return np.asarray(spikes | _lone(timestamps, speed, _SUSPECT_SPEED, _SPEED_LEAP))


def within(seconds: FloatArray | IntArray, ranges: Ranges) -> BoolArray:
    """Which Unix seconds, ascending, lie in some of the ranges, without their ends; (n,) bool."""
    edges = np.zeros(len(seconds) + 1, np.int64)
    np.add.at(edges, np.searchsorted(seconds, [start for start, _ in ranges]), 1)
    np.add.at(edges, np.searchsorted(seconds, [end for _, end in ranges]), -1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def _lone(timestamps: IntArray, values: FloatArray, suspect: float, leap: float) -> BoolArray:
    """Readings over ``suspect`` in runs of two seconds at most, ``leap`` times both neighbours.

    At an end of the ride the one side there is decides.
    """
    lone = np.zeros(len(values), bool)
    if not (values > suspect).any():
        return lone
    measured = np.flatnonzero(~np.isnan(values))
    readings, seconds = values[measured], whole_seconds(timestamps[measured])
    suspicious = readings > suspect
    edges = np.diff(np.concatenate(([False], suspicious, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    sides = np.concatenate(([np.nan], readings, [np.nan]))
    beside = np.fmax(sides[starts], sides[ends + 1])  # NaN only where neither is
    limits = np.where(seconds[ends - 1] - seconds[starts] < _LONE, leap * beside, np.inf)
    lone[measured[suspicious]] = readings[suspicious] > np.repeat(limits, ends - starts)
    return lone
