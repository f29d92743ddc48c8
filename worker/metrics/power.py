"""Power and the work done."""

import math
from typing import Final

import numpy as np

from worker.metrics.series import (
    FloatArray,
    IntArray,
    Series,
    find_gaps,
    holding_times,
    linear_recurrence,
    window_means,
)

_WINDOW: Final = 30  # seconds
_KEPT: Final = 25 / 26  # of the weighted mean, from one second to the next
_NEGLIGIBLE: Final = 0.1  # watts
_ROW: Final = 256  # seconds, over which a weight fades to 1/23,000
_FADING: Final = _KEPT ** np.arange(_ROW)
_GROWING: Final = (1 - _KEPT) / _FADING


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
    return float(np.mean(_to_the_fourth(means)) ** 0.25) if len(means) else None


def x_power(power: Series) -> float | None:
    """xPower in watts (Skiba), as GoldenCheetah computes it; None without power.

    Fourth-power mean of the exponentially weighted mean, in which a second weighs 1/26. It begins
    at zero and decays through gaps; the seconds of its decay count until it is negligible.
    """
    if not len(power):
        return None
    gaps, missing = find_gaps(power)
    smooth = _weighted_means(power.values, gaps, missing)
    total, seconds = _decay(smooth[gaps - 1], missing)
    mean = (float(np.sum(_to_the_fourth(smooth))) + total) / (len(power) + seconds)
    return float(mean**0.25)


def variability_index(normalized: float | None, average: float | None) -> float | None:
    """Normalized over average power; None without either, or without any pedalling."""
    return normalized / average if normalized is not None and average else None


def intensity_factor(normalized: float | None, ftp: float | None) -> float | None:
    """Normalized power over functional threshold power; None without either."""
    return normalized / ftp if normalized is not None and ftp else None


def training_stress_score(seconds: int, intensity: float | None) -> float | None:
    """Training Stress Score: 100 for an hour at threshold. ``seconds``: those with power."""
    return None if intensity is None else 100 * seconds / 3600 * intensity**2


def total_energy(timestamps: IntArray, power: FloatArray) -> float | None:
    """Work in kilojoules; None without power.

    ``timestamps``: (n,) ms, of all samples; ``power``: (n,) watts, NaN where not measured. Each
    reading holds until the next reading of power, at most for the fill limit.
    """
    measured = ~np.isnan(power)
    if not measured.any():
        return None
    return float(np.sum(power[measured] * holding_times(timestamps[measured])) / 1000)


def _weighted_means(watts: FloatArray, gaps: IntArray, missing: IntArray) -> FloatArray:
    """The exponentially weighted mean at each second; (n,).

    Without gaps as running sums of growing weights, in rows short enough for them, which takes a
    fifth of the time of the recurrence.
    """
    if len(gaps) or len(watts) < _ROW:
        kept = np.full(len(watts), _KEPT)
        kept[gaps] **= missing + 1
        return linear_recurrence(kept, (1 - _KEPT) * watts)
    rows = np.zeros((-(-len(watts) // _ROW), _ROW))
    rows.reshape(-1)[: len(watts)] = watts
    means = np.cumsum(rows * _GROWING, axis=1) * _FADING
    carried = linear_recurrence(np.full(len(rows), _KEPT**_ROW), means[:, -1])
    means[1:] += carried[:-1, None] * (_KEPT * _FADING)
    return np.asarray(means.reshape(-1)[: len(watts)])


def _decay(levels: FloatArray, missing: IntArray) -> tuple[float, int]:
    """What decaying from each level adds to the sum of fourth powers, and to the seconds.

    A geometric series, until the level is negligible or the gap of ``missing`` seconds ends.
    """
    audible = np.maximum(levels, _NEGLIGIBLE) / _NEGLIGIBLE
    needed = np.ceil(np.log(audible) / -math.log(_KEPT))
    seconds = np.minimum(needed, missing)
    ratio = _KEPT**4
    added = levels**4 * ratio * (1 - ratio**seconds) / (1 - ratio)
    return float(np.sum(added)), int(np.sum(seconds))


def _to_the_fourth(values: FloatArray) -> FloatArray:
    """By squaring, which takes a tenth of the time of a general power."""
    return np.asarray(np.square(np.square(values)))
