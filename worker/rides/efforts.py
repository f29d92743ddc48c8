"""A ride's best efforts: those that are ranked, and its power curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.metrics.bests import (
    OTHER_DURATIONS,
    POWER_DURATIONS,
    Effort,
    best_efforts,
    curve_durations,
    cut,
    never_rising,
)
from worker.metrics.series import resample
from worker.rides.ride import Ride


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

    Spikes are missing readings here: a short one is bridged, a longer one ends a segment.
    """
    power = ride.power
    if ride.spikes.any():
        real = np.where(ride.spikes, np.nan, ride.samples.channel("power"))
        power = resample(ride.timestamps, real)
    curve = never_rising(best_efforts(cut(power, excluded), curve_durations(len(power))))
    others = {"heartrate": ride.heartrate, "speed": ride.speed}
    bests = {
        metric: never_rising(best_efforts(cut(series, excluded), np.array(OTHER_DURATIONS)))
        for metric, series in others.items()
    }
    bests["power"] = [effort for effort in curve if effort.duration in POWER_DURATIONS]
    return Efforts(bests, curve)
