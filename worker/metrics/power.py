"""Power and the work done."""

from typing import Final

import numpy as np

from worker.metrics.series import FloatArray, IntArray, Series, time_to_next, window_means

_WINDOW: Final = 30  # seconds
_LONGEST_STEP: Final = 10.0  # seconds that one reading may stand for


def average_power(power: Series) -> float | None:
    """Mean power in watts, coasting included; None without power."""
    return float(power.values.mean()) if len(power) else None


def max_power(power: Series) -> float | None:
    """The highest power of a second, in watts; None without power."""
    return float(power.values.max()) if len(power) else None


def normalized_power(power: Series) -> float | None:
    """Normalized Power in watts; None for less than 30 s of power.

    Fourth-power mean of the 30 s moving average (Allen & Coggan, Training and Racing with a Power
    Meter). Only full windows count, and none spans two segments. Coasting is zero; gaps are not.
    """
    means = window_means(power, _WINDOW)
    return float(np.mean(means**4) ** 0.25) if len(means) else None


def total_energy(timestamps: IntArray, power: FloatArray) -> float | None:
    """Work in kilojoules; None without power.

    ``timestamps``: (n,) ms; ``power``: (n,) watts, NaN where not measured. Each reading holds
    until the next one, for 10 s at most.
    """
    measured = ~np.isnan(power)
    if not measured.any():
        return None
    steps = time_to_next(timestamps[measured], _LONGEST_STEP)
    return float(np.sum(power[measured] * steps) / 1000)
