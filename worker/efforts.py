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
    fill,
    never_rising,
)
from worker.metrics.spikes import find_spikes
from worker.ride import Ride


@dataclass(frozen=True)
class Efforts:
    """``bests``: metric → its best efforts; ``power_curve``: as many durations as are drawn."""

    bests: dict[str, list[Effort]]
    power_curve: list[Effort]


NO_EFFORTS = Efforts({}, [])


def rank_efforts(ride: Ride, excluded: Sequence[tuple[float, float]] = ()) -> Efforts:
    """The efforts of a ride, without spikes and excluded ranges (Unix seconds)."""
    power = fill(ride.power, find_spikes(ride.power))
    curve = best_efforts(cut(power, excluded), curve_durations(len(power)))
    others = {"heartrate": ride.heartrate, "speed": ride.speed}
    bests = {
        metric: best_efforts(cut(series, excluded), np.array(OTHER_DURATIONS))
        for metric, series in others.items()
    }
    bests["power"] = [effort for effort in curve if effort.duration in POWER_DURATIONS]
    ranked = {metric: never_rising(efforts) for metric, efforts in bests.items()}
    return Efforts(ranked, never_rising(curve))
