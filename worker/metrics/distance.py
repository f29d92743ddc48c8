"""The way that was ridden: by the odometer, and by the places where there is none."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from worker.metrics.coverage import Stretches
from worker.metrics.places import FASTEST, Places, follow_places, line_length
from worker.metrics.returns import find_astray
from worker.metrics.series import LONGEST_FILL, FloatArray, IntArray, fill_limit

_ABSENCE: Final = 300.0  # seconds after which readings that came back are no slip
_BACKLASH: Final = 10.0  # metres that an odometer corrects itself by
_STANDSTILL: Final = 60.0  # seconds without a new reading, after which the places are asked
_MOVED: Final = 100.0  # metres between places that contradict an odometer standing still
_FEWEST_PLACES: Final = 3  # the two ends of a pause alone are no way that was ridden


@dataclass(frozen=True, eq=False)
class Way:
    """Metres ridden up to some moments. ``times``: (n,) s, ascending; ``metres``: (n,)."""

    times: FloatArray
    metres: FloatArray

    def total(self) -> float:
        """Metres from the start of the ride."""
        return float(self.metres[-1])

    def recorded(self, stretches: Stretches) -> float:
        """The metres that were ridden in the recorded stretches, and not in the gaps between.

        A stretch's last second reaches into the gap: what the odometer says of it counts up to
        the speed of the second before, so that a pause takes nothing away.
        """
        firsts, lasts = stretches
        moments = np.stack([lasts[:-1] - 1, lasts[:-1], firsts[1:]])
        before, at, after = np.interp(moments, self.times, self.metres)
        return self.total() - float(np.sum(np.maximum(after - at - (at - before), 0.0)))


def ridden_way(
    timestamps: IntArray, distance: FloatArray, lat: FloatArray, lng: FloatArray
) -> Way | None:
    """The way of a ride; None without a reading to measure it by.

    ``timestamps``: (n,) ms, ascending; ``distance``: (n,) m, of an odometer; ``lat``, ``lng``: (n,)
    degrees; NaN where not measured. The odometer's increments count; stretches in which it says
    nothing, or stands still while the places move on, are filled by the places.
    """
    measured = ~np.isnan(distance)
    if not measured.any():
        return way_along(follow_places(timestamps, lat, lng))
    times = timestamps[measured] / 1000
    way = _by_odometer(times, distance[measured], timestamps[[0, -1]] / 1000)
    way = _filled(way, timestamps, lat, lng)
    return way if len(times) > 1 or way.total() > way.metres[1] else None


def way_along(places: Places | None) -> Way | None:
    """The way of a ride that has no odometer."""
    return Way(places.seconds.astype(np.float64), places.metres) if places else None


def _by_odometer(times: FloatArray, readings: FloatArray, ends: FloatArray) -> Way:
    """The increments summed, between the ends of the ride (s): from zero, and with the last held.

    A fall is a reset and counts as what the new reading says, if it can have been ridden since;
    an increment that nobody can have ridden counts for nothing; the first reading likewise.
    """
    times = np.concatenate(([min(ends[0], times[0] - 1)], times))
    readings = np.concatenate(([0.0], readings))
    steps = np.diff(readings)
    if steps.min() < 0 or steps.max() > FASTEST:  # else each can have been ridden in a second
        times, readings, steps = _without_slips(times, readings, steps)
    metres = np.concatenate(([0.0], np.cumsum(steps)))
    times, metres = np.append(times, ends[1]), np.append(metres, metres[-1])
    return Way(times, np.maximum.accumulate(metres))


def _without_slips(
    times: FloatArray, readings: FloatArray, steps: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The readings that did not slip away and come back, and the increments that count."""
    reach = _reach(times)
    wrong = np.flatnonzero((steps < -_BACKLASH) | (steps > reach))
    if not len(wrong):
        return times, readings, steps
    follows = partial(_follows, times, readings)
    kept = ~find_astray(times, wrong + 1, follows, _ABSENCE)
    times, readings = times[kept], readings[kept]
    steps, reach = np.diff(readings), _reach(times)
    steps = np.where(steps < -_BACKLASH, readings[1:], steps)
    steps[steps > reach] = 0.0
    return times, readings, steps


def _follows(times: FloatArray, readings: FloatArray, before: int, after: int) -> bool:
    reach = FASTEST * max(times[after] - times[before], 1.0)
    return bool(-_BACKLASH <= readings[after] - readings[before] <= reach)


def _reach(times: FloatArray) -> FloatArray:
    """Metres that a rider can get on from each time to the next, readings of a second as one."""
    return np.asarray(FASTEST * np.maximum(np.diff(times), 1.0))


def _filled(way: Way, timestamps: IntArray, lat: FloatArray, lng: FloatArray) -> Way:
    """The way with the places' metres where these say more than an odometer that is not there."""
    parts, done, extra = [], 0, 0.0
    for first, last, margin in _doubtful(way):
        begin, stop = np.searchsorted(timestamps, np.rint(way.times[[first, last]] * 1000))
        chosen = slice(begin, stop + 1)
        least = way.metres[last] - way.metres[first] + margin
        places = _longer_way(timestamps[chosen], lat[chosen], lng[chosen], least)
        if places:
            parts.append(Way(way.times[done : first + 1], way.metres[done : first + 1] + extra))
            extra += way.metres[first]
            parts.append(Way(places.seconds.astype(np.float64), places.metres + extra))
            extra += places.metres[-1] - way.metres[last]
            done = last
    parts.append(Way(way.times[done:], way.metres[done:] + extra))
    return Way(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.metres for part in parts]),
    )


def _longer_way(
    timestamps: IntArray, lat: FloatArray, lng: FloatArray, least: float
) -> Places | None:
    """The way along the places if it is longer than so many metres.

    The line from each position to the next is never shorter than what is made of it: where it
    does not do, there is nothing to follow, as in most pauses.
    """
    fixed = ~np.isnan(lat) & ~np.isnan(lng)
    if np.count_nonzero(fixed) < _FEWEST_PLACES or line_length(lat[fixed], lng[fixed]) <= least:
        return None
    places = follow_places(timestamps, lat, lng)
    enough = places and places.readings >= _FEWEST_PLACES and places.metres[-1] > least
    return places if enough else None


def _doubtful(way: Way) -> list[tuple[int, int, float]]:
    """Where the odometer was silent or stood still: from which reading to which, and the margin.

    The margin is what the places must say more, in metres: nothing where there was no reading,
    but an odometer that stands still is believed against a receiver that wanders.
    """
    marks = np.ones(len(way.metres), bool)
    marks[1:-1] = way.metres[1:-1] > way.metres[:-2]
    moved = np.flatnonzero(marks)
    apart = np.diff(way.times[moved])
    if not len(apart) or apart.max() <= LONGEST_FILL:
        return []
    silent = np.diff(moved) == 1
    limits = np.where(silent, fill_limit(np.diff(way.times)), _STANDSTILL)
    chosen = np.flatnonzero(apart > limits)
    margins = np.where(silent, 0.0, _MOVED)[chosen]
    return list(
        zip(moved[chosen].tolist(), moved[chosen + 1].tolist(), margins.tolist(), strict=True)
    )
