"""Best efforts: the highest mean over each duration (mean-maximal)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from worker.metrics.series import FloatArray, IntArray, Series

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


def best_efforts(series: Series, durations: IntArray) -> list[Effort]:
    """The best effort of each duration that some segment holds; ``durations`` ascend.

    Never across a segment boundary.
    """
    sums, seconds = _walled_sums(series)
    efforts = []
    for duration in durations[durations <= len(series)].tolist():
        totals = sums[duration:] - sums[:-duration]
        start = int(totals.argmax())
        if totals[start] > _WALL / 2:
            efforts.append(Effort(duration, float(totals[start]) / duration, int(seconds[start])))
    return efforts


def never_rising(efforts: list[Effort]) -> list[Effort]:
    """The efforts, where a longer one was better than a shorter one counting for both.

    10, 0, 10 W: the mean of two seconds is 5 W, but whoever held 6.7 W for three held it for two.
    """
    efforts = list(efforts)
    for at in range(len(efforts) - 1, 0, -1):
        longer, effort = efforts[at], efforts[at - 1]
        if longer.value > effort.value:
            efforts[at - 1] = effort._replace(value=longer.value, started=longer.started)
    return efforts


def cut(series: Series, ranges: Sequence[tuple[float, float]]) -> Series:
    """The series without the seconds of some ranges (Unix seconds, the end excluded).

    A range that was cut out ends a segment, as a gap does.
    """
    if not ranges:
        return series
    edges = np.zeros(len(series) + 1, dtype=np.int64)
    np.add.at(edges, np.searchsorted(series.seconds, [start for start, _ in ranges]), 1)
    np.add.at(edges, np.searchsorted(series.seconds, [end for _, end in ranges]), -1)
    out = np.cumsum(edges[:-1]) > 0
    return Series(series.seconds, series.values, series.segments + np.cumsum(out)).select(~out)


def _walled_sums(series: Series) -> tuple[FloatArray, IntArray]:
    """Running sums with a wall between segments: a window across one can never be the best."""
    boundaries = np.flatnonzero(np.diff(series.segments)) + 1
    values = np.insert(series.values, boundaries, _WALL)
    return np.concatenate(([0.0], np.cumsum(values))), np.insert(series.seconds, boundaries, 0)
