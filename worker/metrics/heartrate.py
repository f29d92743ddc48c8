"""Heart rate."""

from typing import Final

import numpy as np

from worker.metrics.series import FloatArray, IntArray, holding_times

_LONGEST_STEP: Final = 15.0  # seconds that one reading may stand for


def average_heartrate(timestamps: IntArray, heartrate: FloatArray) -> float | None:
    """Mean heart rate in bpm, weighted by the time to the next reading of it; None without any.

    ``timestamps``: (n,) ms, of all samples; ``heartrate``: (n,), NaN where not measured. A reading
    stands for 15 s at most, or for the fill limit where heart rate is recorded more sparsely.
    """
    measured = ~np.isnan(heartrate)
    if not measured.any():
        return None
    weights = holding_times(timestamps[measured], _LONGEST_STEP)
    return float(np.average(heartrate[measured], weights=weights))
