"""Intervals of a ride without laps: stretches of steady power, found by its change points."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from worker.metrics.series import BoolArray, FloatArray, IntArray, Series

_BLOCK: Final = 10  # seconds: pedal strokes and corners are no intervals
_BESIDE: Final = 3  # blocks before and after a change that tell it
_SHORTEST: Final = 60  # seconds of an interval
_PENALTY: Final = 6.0  # times the variance of a block, and the logarithm of their number
_STEP: Final = 0.12  # of the mean power, by which a change is one
_LEAST_STEP: Final = 15.0  # watts
_HARDER: Final = 1.05  # times the ride's mean power
_UNEVEN: Final = 0.25  # of an interval's power, as the deviation of its blocks
_LAG: Final = 2  # blocks, over which power differs by chance and not by intent
_NORMAL_DIFFERENCE: Final = 0.954  # median of the difference of two normal numbers, in deviations


class Interval(NamedTuple):
    """A steady effort: its first Unix second, its seconds, and its mean power in watts."""

    started: int
    duration: int
    power: float

    def of(self, series: Series) -> Series:
        """What another channel has of it."""
        start = int(series.seconds.searchsorted(self.started))
        end = int(series.seconds.searchsorted(self.started + self.duration))
        return series.select(slice(start, end))


def find_intervals(power: Series) -> list[Interval]:
    """The steady efforts of a ride, in order.

    Blocks of 10 s are united to parts, the most alike neighbours first, until the parts differ by
    12 % or more and by more than chance would have it. A part is an interval if it takes about a
    minute or more, is above the mean of the ride, and is steady. None goes over a gap.
    """
    blocks = _blocks_of(power)
    if not len(blocks.means):
        return []
    mean = float(power.values.mean())
    edges = _unite(blocks, max(_STEP * mean, _LEAST_STEP))
    bounds = _to_the_second(power.values, blocks, _efforts(blocks, edges, _HARDER * mean))
    return [
        Interval(int(power.seconds[start]), end - start, float(power.values[start:end].mean()))
        for start, end in bounds.tolist()
        if end - start > _SHORTEST - _BLOCK
    ]


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Of the segments that may hold an interval.

    ``starts``, ``ends``: (n,) index of each block's first second, and beyond its last; ``means``:
    (n,) watts; ``opens``: (n + 1,) bool, at the beginning of a segment, or beyond all.
    """

    starts: IntArray
    ends: IntArray
    means: FloatArray
    opens: BoolArray


def _blocks_of(power: Series) -> _Blocks:
    """Whole blocks; the seconds that a segment has beyond them belong to its last one."""
    breaks = np.flatnonzero(power.segments[1:] != power.segments[:-1]) + 1
    begins, stops = np.append(0, breaks), np.append(breaks, len(power))
    long = stops - begins >= _SHORTEST
    begins, stops = begins[long], stops[long]
    counts = (stops - begins) // _BLOCK
    after = np.cumsum(counts)
    starts = np.arange(counts.sum()) * _BLOCK + np.repeat(
        begins - (after - counts) * _BLOCK, counts
    )
    ends = starts + _BLOCK
    sums = np.append(0.0, np.cumsum(power.values))
    means = (sums[ends] - sums[starts]) / _BLOCK
    opens = np.zeros(len(starts) + 1, bool)
    opens[0], opens[after], ends[after - 1] = True, True, stops
    return _Blocks(starts, ends, means, opens)


def _unite(blocks: _Blocks, step: float) -> IntArray:
    """The parts of the ride, as the number of each one's first block, and of the end.

    Two neighbours are united if that adds no more to the sum of squares than chance would, or if
    their means differ by less than ``step``. In each round those are that are more alike than
    either is to its other neighbour.
    """
    later = np.abs(blocks.means[_LAG:] - blocks.means[:-_LAG])
    variance = (np.partition(later, len(later) // 2)[len(later) // 2] / _NORMAL_DIFFERENCE) ** 2
    least = _PENALTY * max(float(variance), 1.0) * math.log(len(blocks.means))
    sums = np.concatenate(([0.0], np.cumsum(blocks.means)))
    edges = _candidates(sums, blocks.opens)
    while len(edges) > 2:
        counts, works = edges[1:] - edges[:-1], sums[edges]
        means = (works[1:] - works[:-1]) / counts
        changes, before, after = np.abs(means[1:] - means[:-1]), counts[:-1], counts[1:]
        costs = changes * changes * before * after / (before + after)
        apart = (costs > least) & (changes >= step)
        costs[apart | blocks.opens[edges[1:-1]]] = np.inf
        united = _lowest(costs)
        if not united.any():
            break
        edges = edges[np.concatenate(([True], ~united, [True]))]
    return edges


def _lowest(costs: FloatArray) -> BoolArray:
    """Which are lower than what stands beside them; of equals in a row, the last."""
    lowest = costs < np.inf
    rising = costs[:-1] < costs[1:]
    lowest[:-1] &= rising
    lowest[1:] &= ~rising
    return lowest


def _candidates(sums: FloatArray, opens: BoolArray) -> IntArray:
    """Where the mean of the half minute after differs most from that of the one before."""
    some = _BESIDE
    changes = np.abs(sums[2 * some :] - 2 * sums[some:-some] + sums[: -2 * some])
    rising = changes[:-1] < changes[1:]
    chosen = opens.copy()
    chosen[some + 1 : -some - 1] |= rising[:-1] & ~rising[1:]
    return np.flatnonzero(chosen)


def _efforts(blocks: _Blocks, edges: IntArray, least: float) -> IntArray:
    """First block and end of the parts that are hard and steady enough; (n, 2)."""
    counts = np.diff(edges)
    means = np.add.reduceat(blocks.means, edges[:-1]) / counts
    squares = np.add.reduceat(blocks.means**2, edges[:-1]) / counts
    steady = squares - means**2 <= (_UNEVEN * means) ** 2
    chosen = steady & (means >= least)
    return np.stack([edges[:-1][chosen], edges[1:][chosen]], axis=1)


def _to_the_second(watts: FloatArray, blocks: _Blocks, efforts: IntArray) -> IntArray:
    """First index and end of efforts of blocks: where the power changes within two blocks of it."""
    found = np.stack([blocks.starts[efforts[:, 0]], blocks.ends[efforts[:, 1] - 1]], axis=1)
    inside = ~blocks.opens[efforts]
    reach = 2 * _BLOCK
    around = watts[found[inside][:, None] + np.arange(-reach, reach)]
    before = np.cumsum(around, axis=1)
    total, at = before[:, -1:], np.arange(1, 2 * reach)
    before = before[:, :-1]
    gains = before**2 / at + (total - before) ** 2 / (2 * reach - at)
    found[inside] += gains.argmax(axis=1) + 1 - reach
    return found
