"""Distance, speed, and time spent moving."""

from typing import Final

import numpy as np

from worker.metrics.series import FloatArray, Series

_EARTH_RADIUS: Final = 6_371_008.8  # metres, IUGG mean
_MOVING: Final = 0.5  # m/s


def recorded_distance(distance: FloatArray) -> float | None:
    """Metres from the first to the last reading of the device; None without two of them."""
    measured = distance[~np.isnan(distance)]
    return max(float(measured[-1] - measured[0]), 0.0) if len(measured) > 1 else None


def travelled_distance(lat: FloatArray, lng: FloatArray) -> float | None:
    """Metres along the positions, by great circles; None without two of them.

    ``lat``, ``lng``: (n,) degrees, NaN where not measured. 0/0 is a receiver without a fix.
    """
    fixed = ~np.isnan(lat) & ~np.isnan(lng) & ~((lat == 0) & (lng == 0))
    if np.count_nonzero(fixed) < 2:
        return None
    north, east = np.radians(lat[fixed]), np.radians(lng[fixed])
    half_north, half_east = np.diff(north) / 2, np.diff(east) / 2
    chord = np.sin(half_north) ** 2
    chord += np.cos(north[:-1]) * np.cos(north[1:]) * np.sin(half_east) ** 2
    return float(np.sum(2 * _EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))))


def moving_time(speed: Series) -> int | None:
    """Seconds faster than 0.5 m/s; None where speed is unknown."""
    return int(np.count_nonzero(speed.values > _MOVING)) if len(speed) else None
