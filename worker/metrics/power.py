"""Power and the work done."""

from typing import Final

import numpy as np

from worker.metrics.series import (
    BoolArray,
    FloatArray,
    IntArray,
    Series,
    time_to_next,
    window_means,
)

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

    ``timestamps``: (n,) ms, of all samples; ``power``: (n,) watts, NaN where not measured. Each
    reading holds until the next, for 10 s at most.
    """
    measured = ~np.isnan(power)
    if not measured.any():
        return None
    steps = _holding_times(timestamps, measured)
    return float(np.sum(power[measured] * steps) / 1000)


def _holding_times(timestamps: IntArray, measured: BoolArray) -> FloatArray:
    """Seconds that each reading stands for.

    Until the next reading, past samples of other sensors. But where the meter falls silent for
    longer than a reading may hold, only until the next sample: a drop-out is not stretched.
    """
    to_reading = time_to_next(timestamps[measured], np.inf)
    to_sample = time_to_next(timestamps, _LONGEST_STEP)[measured]
    return np.where(to_reading <= _LONGEST_STEP, to_reading, to_sample)
