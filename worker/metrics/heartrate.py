"""Heart rate."""

from typing import Final

import numpy as np

from worker.metrics.series import FloatArray, IntArray, time_to_next

_LONGEST_STEP: Final = 15.0  # seconds that one reading may stand for


def without_contact_missing(heartrate: FloatArray) -> FloatArray:
    """Heart rate in bpm, with 0 as NaN: a strap without contact measured nothing."""
    return np.where(heartrate == 0, np.nan, heartrate)


def average_heartrate(timestamps: IntArray, heartrate: FloatArray) -> float | None:
    """Mean heart rate in bpm, weighted by the time to the next sample; None without any.

    ``timestamps``: (n,) ms, of all samples; ``heartrate``: (n,), NaN where not measured.
    """
    measured = ~np.isnan(heartrate)
    if not measured.any():
        return None
    weights = time_to_next(timestamps, _LONGEST_STEP)[measured]
    return float(np.average(heartrate[measured], weights=weights))
