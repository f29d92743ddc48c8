"""Time in zones."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.metrics.series import Series

# Upper bounds as shares of FTP: Coggan's seven zones; the last has none.
POWER_ZONES: Final = (0.55, 0.75, 0.90, 1.05, 1.20, 1.50)
# Upper bounds as shares of the threshold heart rate: Coggan's five zones.
HEARTRATE_ZONES: Final = (0.68, 0.83, 0.94, 1.05)


def time_in_zones(series: Series, threshold: float, bounds: Sequence[float]) -> list[int]:
    """Seconds in each zone; a value on a bound belongs to the zone below it.

    ``bounds``: the upper bounds of all zones but the last, ascending, as shares of ``threshold``.
    """
    zones = np.searchsorted(np.array(bounds) * threshold, series.values, side="left")
    return [int(count) for count in np.bincount(zones, minlength=len(bounds) + 1)]
