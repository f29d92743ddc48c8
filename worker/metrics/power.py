"""Power and the work done."""

import math
from typing import Final

import numpy as np

from worker.metrics.series import (
    BoolArray,
    FloatArray,
    IntArray,
    Series,
    linear_recurrence,
    time_to_next,
    window_means,
)

_WINDOW: Final = 30  # seconds
_TIME_CONSTANT: Final = 25.0  # seconds
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


def x_power(power: Series) -> float | None:
    """xPower in watts (Skiba); None without power.

    Fourth-power mean of the exponentially weighted mean with a time constant of 25 s, which
    begins with the first reading of each segment.
    """
    if not len(power):
        return None
    weight = 1 - math.exp(-1 / _TIME_CONSTANT)
    begins = np.append(True, np.diff(power.segments) > 0)
    smooth = linear_recurrence(
        np.where(begins, 0.0, 1 - weight), np.where(begins, 1.0, weight) * power.values
    )
    return float(np.mean(smooth**4) ** 0.25)


def variability_index(normalized: float | None, average: float | None) -> float | None:
    """Normalized over average power; None without either, or without any pedalling."""
    return normalized / average if normalized is not None and average else None


def intensity_factor(normalized: float | None, ftp: float | None) -> float | None:
    """Normalized power over functional threshold power; None without either."""
    return normalized / ftp if normalized is not None and ftp else None


def training_stress_score(seconds: int, intensity: float | None) -> float | None:
    """Training Stress Score: 100 for an hour at threshold. ``seconds``: recorded time."""
    return None if intensity is None else 100 * seconds / 3600 * intensity**2


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
