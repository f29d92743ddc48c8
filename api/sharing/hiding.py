"""What is hidden of a ride shown to others: where it begins and ends, and named places. Pure.

A circle hides its point and all within the distance that was asked for. Its middle is moved away
from the point, by a salt of the rider's and not by chance: else the middle, found from where tracks
end, would be the front door, and many rides would tell it better than one.

Where a position is hidden, so are speed and odometer: from the last position shown they would lead
along the road to the door.
"""

import hashlib
import hmac
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.samples.columns import BoolArray, FloatArray, IntArray, Samples, without_marks

HIDDEN: Final = ("lat", "lng", "distance", "speed")
_EARTH: Final = 6_371_000.0  # metres
_DEGREE: Final = math.radians(1) * _EARTH
_SHIFT: Final = 0.6  # of the distance: as far as the middle may be moved
# The widest a hidden stretch reaches from the point that it hides.
REACH: Final = 1 + 2 * _SHIFT
Fix = tuple[int, float, float]  # ms, degrees
# Ends of one ride, pauses among them; a ride of more is nowhere to be seen.
MOST_ENDS: Final = 200
PAUSE: Final = 15 * 60_000  # ms without a position, after which the ride begins anew


@dataclass(frozen=True)
class Place:
    """A point (degrees), and how far around it nothing is shown (m)."""

    lat: float
    lng: float
    radius: float


@dataclass(frozen=True)
class Circle:
    """What lies within is hidden: degrees, and metres."""

    lat: float
    lng: float
    radius: float

    def contains(self, lat: FloatArray, lng: FloatArray) -> BoolArray:
        """Which positions lie in it; NaN lies nowhere."""
        return np.asarray(metres_between(self.lat, self.lng, lat, lng) <= self.radius)


EVERYWHERE: Final = Circle(0.0, 0.0, math.inf)


def circle_around(place: Place, salt: bytes, cell: tuple[float, float]) -> Circle:
    """The circle that hides a place; ``cell``: what must be the same for it to be the same one."""
    digest = hmac.digest(salt, struct.pack("<dd", *cell), hashlib.sha256)
    turn, out = (number / 2**64 for number in struct.unpack_from("<QQ", digest))
    shift = _SHIFT * place.radius * math.sqrt(out)
    north, east = shift * math.cos(2 * math.pi * turn), shift * math.sin(2 * math.pi * turn)
    lng = place.lng + east / (_DEGREE * max(math.cos(math.radians(place.lat)), 0.01))
    return Circle(place.lat + north / _DEGREE, lng, (1 + _SHIFT) * place.radius)


def circles_around_places(places: Iterable[Place], salt: bytes) -> list[Circle]:
    """Those of named places."""
    return [circle_around(each, salt, (each.lat, each.lng)) for each in places]


def circles_around_ends(samples: Samples, metres: float, salt: bytes) -> list[Circle]:
    """Those of where the ride begins and ends, also before and after a long pause.

    Of all rides from one door they are the same: by about a kilometre, not by the first position.
    """
    times, lat, lng = fixes(samples)
    if not (len(times) and metres):
        return []
    pauses = np.flatnonzero(np.diff(times) > PAUSE)
    ends = np.unique(np.concatenate(([0], pauses, pauses + 1, [len(times) - 1])))
    if len(ends) > MOST_ENDS:
        return [EVERYWHERE]
    return [end_circle(float(lat[at]), float(lng[at]), metres, salt) for at in ends.tolist()]


def end_circle(lat: float, lng: float, metres: float, salt: bytes) -> Circle:
    """The circle that hides an end of a ride."""
    return circle_around(Place(lat, lng, metres), salt, (round(lat, 2), round(lng, 2)))


class Trail:
    """How far the positions of a ride that goes on may be shown: nobody knows where it will end.

    What is near a mark is held back; the next mark is where the rider is once ``metres`` from the
    last one. So wherever the ride ends, an end there hides nothing that was shown. How much more is
    held back differs from mark to mark, by the salt: a fixed distance would tell from the last
    position shown how far it was to the door.
    """

    def __init__(self, metres: float, salt: bytes) -> None:
        self._metres = metres
        self._salt = salt
        self._mark: Fix | None = None

    def extend(self, times: IntArray, lat: FloatArray, lng: FloatArray) -> None:
        """Further positions, in order of time."""
        if not self._metres:
            return
        # One by one, as each mark depends on the one before: a track that leaps has very many.
        for fix in zip(times.tolist(), lat.tolist(), lng.tolist(), strict=True):
            if self._mark is None or self._is_away(self._mark, fix):
                self._mark = fix

    def _is_away(self, mark: Fix, fix: Fix) -> bool:
        """Whether a later position is so far from the mark; on a plane, which does for that."""
        if fix[0] < mark[0]:
            return False
        north, east = fix[1] - mark[1], (fix[2] - mark[2] + 180) % 360 - 180
        east *= math.cos(math.radians(mark[1]))
        return math.hypot(north, east) * _DEGREE >= self._metres

    def circle(self) -> Circle | None:
        """What is held back now."""
        if self._mark is None:
            return None
        time, lat, lng = self._mark
        digest = hmac.digest(self._salt, struct.pack("<q", time), hashlib.sha256)
        more = struct.unpack_from("<Q", digest)[0] / 2**64
        return Circle(lat, lng, (REACH + 1 + more) * self._metres)


def find_hidden(samples: Samples, circles: Sequence[Circle]) -> BoolArray:
    """Which samples (in order of time) lie in a circle; without a position, those beside such."""
    lat, lng = _positions(samples)
    inside = np.zeros(len(samples), bool)
    for circle in circles:
        inside |= circle.contains(lat, lng)
    fixed = np.flatnonzero(~np.isnan(lat))
    if not len(fixed) or not inside.any():
        return inside
    at = np.searchsorted(fixed, np.arange(len(samples)))
    after = fixed[np.minimum(at, len(fixed) - 1)]
    before = fixed[np.maximum(at - 1, 0)]
    return np.asarray(inside | (np.isnan(lat) & (inside[before] | inside[after])))


@dataclass(frozen=True)
class Veil:
    """What is hidden of a ride, by time: so that channels can be read without the positions.

    ``times``: when shown and hidden stretches begin in turn (ms), a shown one first; ``offsets``:
    the metres to take off the odometer in each shown stretch; ``metres``: ridden in what is shown,
    None without anything to tell it by.
    """

    times: IntArray
    offsets: FloatArray
    metres: float | None

    @property
    def hides(self) -> bool:
        """Whether anything is hidden."""
        return len(self.times) > 1

    def apply(self, samples: Samples) -> Samples:
        """The samples, without what is hidden of them."""
        if not self.hides:
            return samples
        stretch = np.searchsorted(self.times, samples.timestamps, side="right") - 1
        hidden = stretch % 2 == 1
        channels = dict(samples.channels)
        for name in HIDDEN:
            if name in channels:
                channels[name] = np.where(hidden, np.nan, channels[name])
        if "distance" in channels:
            rebased = channels["distance"] - self.offsets[np.maximum(stretch, 0) // 2]
            channels["distance"] = np.round(rebased, 2)
        return Samples(samples.timestamps, channels)


def veil_over(samples: Samples, circles: Sequence[Circle]) -> Veil:
    """The veil over a ride; ``samples``: its positions and odometer, in order of time."""
    hidden = find_hidden(samples, circles)
    padded = np.concatenate(([False], hidden))  # before the first sample: shown, and nothing there
    changes = np.flatnonzero(np.diff(padded))
    start = samples.timestamps[:1] - 1
    times = np.concatenate((start, samples.timestamps[changes]))
    return Veil(times, *_odometer(samples, hidden, changes))


def _odometer(
    samples: Samples, hidden: BoolArray, changes: IntArray
) -> tuple[FloatArray, float | None]:
    """What to take off in each shown stretch, and the metres of all of them."""
    distance = samples.channels.get("distance")
    offsets, ridden = [], 0.0
    for start, end in _shown_stretches(len(samples), changes):
        stretch = slice(start, end)
        if distance is None or np.isnan(distance[stretch]).all():
            offsets.append(0.0)
            ridden += _along(samples.select(stretch)) if distance is None else 0.0
            continue
        readings = distance[stretch][~np.isnan(distance[stretch])]
        # A ride of which nothing is hidden keeps its odometer.
        offsets.append(float(readings[0]) - ridden if hidden.any() else 0.0)
        ridden += max(float(readings[-1] - readings[0]), 0.0)
    has_any = distance is not None or "lat" in samples.channels
    return np.array(offsets), round(ridden, 1) if has_any else None


def _shown_stretches(count: int, changes: IntArray) -> list[tuple[int, int]]:
    edges = [0, *changes.tolist()]
    if len(edges) % 2:
        edges.append(count)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _along(samples: Samples) -> float:
    _, lat, lng = fixes(samples)
    return float(np.sum(metres_between(lat[:-1], lng[:-1], lat[1:], lng[1:])))


def metres_between(
    lat: float | FloatArray, lng: float | FloatArray, lats: FloatArray, lngs: FloatArray
) -> FloatArray:
    """Along great circles."""
    one, other = np.radians(lat), np.radians(lats)
    half = np.sin((other - one) / 2) ** 2
    half = half + np.cos(one) * np.cos(other) * np.sin(np.radians(lngs - lng) / 2) ** 2
    return np.asarray(2 * _EARTH * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def fixes(samples: Samples) -> tuple[IntArray, FloatArray, FloatArray]:
    """Times and positions of the samples that have one."""
    lat, lng = _positions(samples)
    fixed = ~np.isnan(lat)
    return samples.timestamps[fixed], lat[fixed], lng[fixed]


def _positions(samples: Samples) -> tuple[FloatArray, FloatArray]:
    """Both halves, or neither; without the marks of a receiver without a fix."""
    named = {name: samples.channel(name) for name in ("lat", "lng")}
    sound = without_marks(Samples(samples.timestamps, named)).channels
    half = np.isnan(sound["lat"]) | np.isnan(sound["lng"])
    return np.where(half, np.nan, sound["lat"]), np.where(half, np.nan, sound["lng"])
