"""Speed, and time spent moving."""

from typing import Final

import numpy as np

from worker.metrics.places import Places
from worker.metrics.series import Series

_MOVING: Final = 0.5  # m/s


def average_speed(metres: float, seconds: int, highest: float | None) -> float | None:
    """Metres in recorded time over seconds of it, in m/s, and never above the highest speed.

    None without recorded time.
    """
    if not seconds:
        return None
    return metres / seconds if highest is None else min(metres / seconds, highest)


def moving_time(speed: Series, places: Places | None = None) -> int | None:
    """Seconds faster than 0.5 m/s, or not at rest by the places where speed is unknown.

    None where neither is known.
    """
    if not len(speed) and places is None:
        return None
    moving = int(np.count_nonzero(speed.values > _MOVING))
    if places is None:
        return moving
    unknown = ~np.isin(places.seconds, speed.seconds, assume_unique=True)
    return moving + int(np.count_nonzero(unknown & places.moving))
