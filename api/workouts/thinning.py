"""A ride thinned to the pixels of a chart: what each channel was in equal stretches of time. Pure.

The lowest and the highest reading of a stretch are kept beside the mean, so that no peak is lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.samples.channels import CHANNEL
from shared.samples.columns import FloatArray, IntArray, Samples, without_marks

# Of these, a stretch has its first reading: a mean would lie beside the road.
FIRST_OF: Final = frozenset({"lat", "lng", "distance"})
_DECIMALS: Final = {"lat": 6, "lng": 6, "distance": 0}


@dataclass(frozen=True)
class Grid:
    """``count`` stretches of ``step`` ms, the first from ``start`` (ms) on."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        """When the last one ends."""
        return self.start + self.step * self.count

    def places(self, timestamps: IntArray) -> IntArray:
        """Which stretch each timestamp is in; all are within the grid."""
        return (timestamps - self.start) // self.step


@dataclass(frozen=True, eq=False)
class Thinned:
    """A channel: (count,) each; NaN in a stretch without a reading."""

    values: FloatArray
    low: FloatArray
    high: FloatArray


def grid_over(start: int, end: int, points: int) -> Grid:
    """At most so many stretches, of whole seconds, from a moment (ms) to one that is included."""
    seconds = max((end - start) // 1000 + 1, 1)
    step = -(-seconds // points)
    return Grid(start, step * 1000, -(-seconds // step))


def thin(windows: Iterable[Samples], grid: Grid, channels: Iterable[str]) -> dict[str, Thinned]:
    """The named channels over the grid. ``windows``: of the ride, in order of time."""
    columns = {name: _Column(grid.count, first=name in FIRST_OF) for name in channels}
    for window in windows:
        within = without_marks(window.between(grid.start, grid.end))
        places = grid.places(within.timestamps)
        for name, column in columns.items():
            column.add(places, within.channel(name))
    return {name: column.thinned(decimals_of(name)) for name, column in columns.items()}


def decimals_of(name: str) -> int:
    """How exactly a chart shows a channel."""
    return _DECIMALS.get(name, CHANNEL[name].decimals)


class _Column:
    """What is known of a channel so far."""

    def __init__(self, count: int, *, first: bool) -> None:
        self._takes_first = first
        self._first = np.full(count, np.nan)
        self._totals = np.zeros(count)
        self._counts = np.zeros(count)
        self._low = np.full(count, np.inf)
        self._high = np.full(count, -np.inf)

    def add(self, places: IntArray, values: FloatArray) -> None:
        """Readings in order of time."""
        measured = ~np.isnan(values)
        places, values = places[measured], values[measured]
        if not len(places):
            return
        starts = np.concatenate(([0], np.flatnonzero(np.diff(places)) + 1))
        at = places[starts]
        self._first[at] = np.where(self._counts[at] > 0, self._first[at], values[starts])
        self._totals[at] += np.add.reduceat(values, starts)
        self._counts[at] += np.diff(np.append(starts, len(places)))
        self._low[at] = np.minimum(self._low[at], np.minimum.reduceat(values, starts))
        self._high[at] = np.maximum(self._high[at], np.maximum.reduceat(values, starts))

    def thinned(self, decimals: int) -> Thinned:
        """Rounded as a chart shows it."""
        known = self._counts > 0
        means = np.where(known, self._totals / np.maximum(self._counts, 1), np.nan)
        values = self._first if self._takes_first else means

        def shown(each: FloatArray) -> FloatArray:
            return np.asarray(np.round(np.where(known, each, np.nan), decimals), np.float64)

        return Thinned(shown(values), shown(self._low), shown(self._high))
