"""The way along the places of a receiver: wrong ones left out, its wandering at rest not counted.

Positions are turned into metres in three dimensions, so that neither the date line nor the poles
are special.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.metrics.returns import find_astray
from worker.metrics.series import (
    BoolArray,
    FloatArray,
    IntArray,
    Series,
    centred_means,
    resample,
    windows_within,
)

FASTEST: Final = 60.0  # m/s: what implies more has not been ridden
_EARTH_RADIUS: Final = 6_371_008.8  # metres, IUGG mean
_ABSENCE: Final = 300.0  # seconds after which a receiver that comes back has been away
_MOVING: Final = 0.5  # m/s
_LOOK: Final = 10  # seconds before and after, over which a rider at rest stays in place
_LOOK_READINGS: Final = 5  # readings before and after, where these are further apart
_LONGEST_LOOK: Final = 90  # seconds
_WANDERING: Final = 12.0  # metres around its mean that a receiver at rest wanders
_ARRIVED: Final = 2.0  # metres from where it rests
_SHORTEST_REST: Final = 3  # seconds
_QUIET: Final = 0.4  # metres of noise below which the places are taken as they are
_NOISE_OF_RETURNS: Final = 5.1  # square metres, in the median, for a metre of noise
_MOST_SMOOTHING: Final = 3  # seconds to either side …
_SLOW: Final = 2.0  # m/s below which …
_SLOW_SMOOTHING: Final = 7  # … so many seconds are taken, for noise weighs more there

Points = NDArray[np.float64]  # (n, 3) metres


@dataclass(frozen=True, eq=False)
class Places:
    """A way second by second. ``seconds``: (n,) Unix; ``metres``: (n,) from its beginning.

    ``moving``: (n,) bool, not at rest; ``readings``: how many positions it is made from.
    """

    seconds: IntArray
    metres: FloatArray
    moving: BoolArray
    readings: int


def follow_places(timestamps: IntArray, lat: FloatArray, lng: FloatArray) -> Places | None:
    """The way along the positions; None without two of them.

    ``timestamps``: (n,) ms, ascending; ``lat``, ``lng``: (n,) degrees, NaN where not measured.
    Positions that imply more than 60 m/s are left out; where the receiver stays at such a place,
    the leap to it is no way.
    """
    measured = ~np.isnan(lat) & ~np.isnan(lng)
    times, points = timestamps[measured], _points(lat[measured], lng[measured])
    kept = ~_astray(times / 1000, points)
    times, points = times[kept], points[kept]
    if len(times) < 2:
        return None
    axes = [resample(times, axis) for axis in points.T]
    track = np.stack([axis.values for axis in axes], axis=1)
    series = _parted(axes[0], track)
    speeds, around = _net_speeds(series, track - track[0], _look(times))
    resting = np.zeros(len(series), bool)
    noise = _noise(series, track)
    for start, end in _find_rests(series, track, (speeds <= _MOVING) & (around < _WANDERING)):
        resting[start:end] = True
        track[start:end] = track[start:end].mean(axis=0)
    steps = _distances(_smoothed(series, track, noise, speeds <= _SLOW))
    steps[steps > FASTEST * np.diff(series.seconds)] = 0.0
    metres = np.concatenate(([0.0], np.cumsum(steps)))
    return Places(series.seconds, metres, ~resting, len(times))


def line_length(lat: FloatArray, lng: FloatArray) -> float:
    """Metres from each position to the next, wrong ones and wandering included."""
    return float(_distances(_points(lat, lng)).sum())


def _points(lat: FloatArray, lng: FloatArray) -> Points:
    north, east = np.radians(lat), np.radians(lng)
    flat = np.cos(north)
    unit = np.stack([flat * np.cos(east), flat * np.sin(east), np.sin(north)], axis=1)
    return np.asarray(_EARTH_RADIUS * unit)


def _distances(points: Points) -> FloatArray:
    """Metres by great circles from each point to the next; (n - 1,)."""
    chords = np.sqrt(np.sum(np.diff(points, axis=0) ** 2, axis=1))
    return np.asarray(2 * _EARTH_RADIUS * np.arcsin(np.minimum(chords / 2 / _EARTH_RADIUS, 1)))


def _astray(times: FloatArray, points: Points) -> BoolArray:
    leaps = np.flatnonzero(_distances(points) > FASTEST * np.maximum(np.diff(times), 1.0))
    if not len(leaps):
        return np.zeros(len(times), bool)
    follows = partial(_follows, times.tolist(), points.tolist())
    return find_astray(times, leaps + 1, follows, _ABSENCE)


def _follows(times: list[float], points: list[list[float]], before: int, after: int) -> bool:
    reach = FASTEST * max(times[after] - times[before], 1.0)
    return math.dist(points[before], points[after]) <= reach


def _parted(series: Series, track: Points) -> Series:
    """The series with segments that end at leaps too, the seconds filled within one alone."""
    leaps = _distances(track) > FASTEST * np.diff(series.seconds)
    parted = series.segments + np.concatenate(([0], np.cumsum(leaps)))
    return Series(series.seconds, series.values, parted)


def _look(times: IntArray) -> int:
    usual = float(np.median(np.diff(times))) / 1000
    return int(min(max(_LOOK_READINGS * usual, _LOOK), _LONGEST_LOOK))


def _net_speeds(series: Series, track: Points, look: int) -> tuple[FloatArray, FloatArray]:
    """How fast the receiver gets on, in m/s, and how far it lies around its mean, in metres.

    From the means of the seconds before and after each, which its noise hardly moves. The second
    number tells who stands from who rides small rounds.
    """
    first, end = windows_within(series, look, look)
    at = np.arange(len(series))
    moved = _norms(_means(track, at, end) - _means(track, first, at + 1))
    squares = np.sum(track**2, axis=1)[:, None]
    spread = _means(squares, first, end)[:, 0] - np.sum(_means(track, first, end) ** 2, axis=1)
    seconds = np.maximum(end - first - 1, 1) / 2
    return moved / seconds, np.sqrt(np.maximum(spread, 0.0))


def _find_rests(series: Series, track: Points, at_rest: BoolArray) -> Iterator[tuple[int, int]]:
    """Where the receiver rests, as first index and end, in order and apart."""
    segments = np.concatenate(([0], np.where(at_rest, series.segments + 1, 0), [0]))
    edges = np.flatnonzero(np.diff(segments))
    done = 0
    for start, end in pairwise(edges.tolist()):
        if at_rest[start] and end - start >= _SHORTEST_REST and end > done:
            first, last = _to_its_ends(series, track, start, end)
            yield max(first, done), last
            done = last


def _to_its_ends(series: Series, track: Points, start: int, end: int) -> tuple[int, int]:
    """A rest with the seconds before and after it at the same place."""
    centre = track[start:end].mean(axis=0)
    wandering = np.sqrt(np.mean(np.sum((track[start:end] - centre) ** 2, axis=1)))
    first, last = max(start - _LONGEST_LOOK, 0), min(end + _LONGEST_LOOK, len(track))
    near = _norms(track[first:last] - centre) <= _ARRIVED + 2 * wandering
    near &= series.segments[first:last] == series.segments[start]
    away = np.flatnonzero(~near) + first
    left, right = away[away < start], away[away >= end]
    return (int(left[-1]) + 1 if len(left) else first), (int(right[0]) if len(right) else last)


def _noise(series: Series, track: Points) -> float:
    """By how many metres the positions err from one second to the next, in each direction.

    Where they err, the way bends back at once: second differences that follow each other have
    opposite signs. A rider's turns go on for seconds.
    """
    bends = np.diff(track, n=2, axis=0)
    within = series.segments[3:] == series.segments[:-3]
    returns = -np.sum(bends[1:] * bends[:-1], axis=1)[within]
    return float(np.sqrt(max(np.median(returns) / _NOISE_OF_RETURNS, 0.0))) if len(returns) else 0.0


def _smoothed(series: Series, track: Points, noise: float, slow: BoolArray) -> Points:
    """The places as means over as many seconds as their noise asks for: none where it is small."""
    if noise < _QUIET:
        return track
    reach = min(max(round(noise), 1), _MOST_SMOOTHING)
    quick, still = (_smoothed_over(series, track, each) for each in (reach, _SLOW_SMOOTHING))
    return np.where(slow[:, None], still, quick)


def _smoothed_over(series: Series, track: Points, reach: int) -> Points:
    axes = (Series(series.seconds, axis, series.segments) for axis in track.T)
    return np.stack([centred_means(axis, reach, reach) for axis in axes], axis=1)


def _means(values: Points, first: IntArray, end: IntArray) -> Points:
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
    return np.asarray((sums[end] - sums[first]) / (end - first)[:, None])


def _norms(vectors: Points) -> FloatArray:
    return np.asarray(np.sqrt(np.sum(vectors**2, axis=1)))
