"""Aerobic decoupling: how much heart rate drifts against power."""

import numpy as np

from worker.metrics.series import FloatArray, Series


def decoupling(power: Series, heartrate: Series) -> float | None:
    """Percent by which power per heartbeat falls from the first to the second half of the ride.

    (r₁ − r₂)/r₁·100 with r = mean power / mean heart rate, over the seconds that have both, halved
    by their number. None if there are too few, or no power or heart beats in the first half.
    """
    watts, beats = _together(power, heartrate)
    half = len(watts) // 2
    if not half:
        return None
    first = watts[:half].mean() / beats[:half].mean()
    second = watts[half:].mean() / beats[half:].mean()
    return float((first - second) / first * 100) if first else None


def _together(power: Series, heartrate: Series) -> tuple[FloatArray, FloatArray]:
    """The values of the seconds that have both."""
    if np.array_equal(power.seconds, heartrate.seconds):
        return power.values, heartrate.values
    at = np.searchsorted(heartrate.seconds, power.seconds)
    beats = np.append(heartrate.seconds, -1)[at] == power.seconds
    return power.values[beats], heartrate.values[at[beats]]
