"""Aerobic decoupling: how much heart rate drifts against power."""

import numpy as np

from worker.metrics.series import Series


def decoupling(power: Series, heartrate: Series) -> float | None:
    """Percent by which power per heartbeat falls from the first to the second half of the ride.

    (r₁ − r₂)/r₁·100 with r = mean power / mean heart rate, over the seconds that have both, halved
    by their number. None if there are too few, or no power or heart beats in the first half.
    """
    seconds, at_power, at_heartrate = np.intersect1d(
        power.seconds, heartrate.seconds, assume_unique=True, return_indices=True
    )
    half = len(seconds) // 2
    if not half:
        return None
    watts, beats = power.values[at_power], heartrate.values[at_heartrate]
    first = watts[:half].mean() / beats[:half].mean()
    second = watts[half:].mean() / beats[half:].mean()
    return float((first - second) / first * 100) if first else None
