"""A ride's best efforts: those that are ranked, and its power curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.metrics.bests import (
    OTHER_DURATIONS,
    POWER_DURATIONS,
    Effort,
    best_efforts,
    best_unbroken_efforts,
    curve_durations,
    cut,
)
from worker.metrics.series import whole_seconds
from worker.rides.ride import Ride

_RANKED: Final = frozenset(POWER_DURATIONS)


@dataclass(frozen=True)
class Efforts:
    """``bests``: metric → its best efforts; ``power_curve``: as many durations as are drawn."""

    bests: dict[str, list[Effort]]
    power_curve: list[Effort]

    def unranked(self) -> "Efforts":
        """Those of a ride that is excluded from records: it keeps its curve."""
        return Efforts({}, self.power_curve)


def rank_efforts(ride: Ride, excluded: Sequence[tuple[float, float]] = ()) -> Efforts:
    """The efforts of a ride, without excluded ranges (Unix seconds).

    Spikes are missing readings here: a few seconds of them are bridged, more are a gap.
    """
    if not len(ride.timestamps):
        return Efforts({"heartrate": [], "speed": [], "power": []}, [])
    first, last = whole_seconds(ride.timestamps[[0, -1]]).tolist()
    others, drawn = np.array(OTHER_DURATIONS), curve_durations(last - first + 1)
    curve = best_efforts(ride.believed_power, drawn, first, last, excluded)
    bests = {
        "heartrate": best_unbroken_efforts(cut(ride.heartrate, excluded), others),
        "speed": best_efforts(ride.speed, others, first, last, excluded),
        "power": [effort for effort in curve if effort.duration in _RANKED],
    }
    return Efforts(bests, curve)
