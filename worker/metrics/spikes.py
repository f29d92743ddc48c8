"""Power readings that no rider produces."""

from typing import Final

import numpy as np

from worker.metrics.series import BoolArray, FloatArray, IntArray

_IMPOSSIBLE: Final = 2500.0  # watts: over the best track sprinters
_SUSPECT: Final = 1500.0  # watts: possible, but not out of nothing
_OUT_OF_NOTHING: Final = 5.0  # times the median around
_AROUND: Final = 15_000  # ms to either side


def find_spikes(timestamps: IntArray, power: FloatArray) -> BoolArray:
    """Which readings are spikes; (n,) bool.

    ``timestamps``: (n,) ms, ascending; ``power``: (n,) watts, NaN where not measured. Above
    2,500 W; or above 1,500 W and five times the median of the other readings of the 30 s around.
    Looked for before anything is averaged or filled, which would hide some and smear others.
    """
    spikes = power > _IMPOSSIBLE
    for at in np.flatnonzero((power > _SUSPECT) & ~spikes).tolist():
        first = np.searchsorted(timestamps, timestamps[at] - _AROUND, side="left")
        end = np.searchsorted(timestamps, timestamps[at] + _AROUND, side="right")
        others = np.concatenate((power[first:at], power[at + 1 : end]))
        others = others[~np.isnan(others)]
        spikes[at] = len(others) > 0 and power[at] > _OUT_OF_NOTHING * np.median(others)
    return np.asarray(spikes)
