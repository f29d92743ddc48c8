"""Samples that a device has kept from another time, or stamped with a wrong clock."""

from typing import Final, NamedTuple

import numpy as np

from worker.metrics.series import BoolArray, IntArray

_APART: Final = 24 * 3600 * 1000  # ms: nights and rest days of a tour are shorter or part much
_TIME: Final = 5 * 60 * 1000  # ms of recording that a stray group has less than
_SHARE: Final = 100  # a stray group holds less than one in so many samples …
_FAR: Final = 30 * _APART  # … or, where no tour rests for so long, …
_FAR_SHARE: Final = 2  # … less than one in so many; …
_FEWEST: Final = 10  # … or fewer samples than these, …
_FEW_SHARE: Final = 10  # … and less than one in so many
_CONTINUED: Final = 90 * 1000  # ms: samples further apart record nothing between them


class Stray(NamedTuple):
    """A group of samples that is no part of the ride: its first and last ms, and their number."""

    first: int
    last: int
    samples: int


def find_strays(timestamps: IntArray) -> tuple[list[Stray], BoolArray]:
    """The groups of samples that are not the ride, and which samples are in them; (n,) bool.

    ``timestamps``: (n,) ms, ascending. A group is apart from all others by more than 24 h. It is
    a stray if it has less than 5 minutes of recording and less than 1 % of the samples. For a ride
    that is short or sparse: or less than ten samples, and 10 %; or, where it is apart by more than
    30 days, less than half of them. Where that would leave nothing, nothing is a stray.
    """
    stray = np.zeros(len(timestamps), bool)
    steps = np.diff(timestamps)
    ends = np.append(np.flatnonzero(steps > _APART) + 1, len(timestamps))
    if len(ends) == 1:
        return [], stray
    starts = np.concatenate(([0], ends[:-1]))
    recorded = np.concatenate(([0], np.cumsum(np.where(steps > _CONTINUED, 0, steps))))
    share = np.where(_apart(timestamps, starts, ends) > _FAR, _FAR_SHARE, _SHARE)
    sizes = ends - starts
    few = sizes * share < len(timestamps)
    few |= (sizes < _FEWEST) & (sizes * _FEW_SHARE < len(timestamps))
    chosen = few & (recorded[ends - 1] - recorded[starts] < _TIME)
    if chosen.all():
        return [], stray
    stray = np.repeat(chosen, ends - starts)
    bounds = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
    found = [Stray(int(timestamps[a]), int(timestamps[b - 1]), b - a) for a, b in bounds]
    return found, stray


def _apart(timestamps: IntArray, starts: IntArray, ends: IntArray) -> IntArray:
    """The ms between each group and the nearest other one; (groups,), of two groups or more."""
    between = timestamps[starts[1:]] - timestamps[ends[:-1] - 1]
    edge = [np.iinfo(np.int64).max]
    return np.minimum(np.concatenate((edge, between)), np.concatenate((between, edge)))
