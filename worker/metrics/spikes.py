"""Power readings that no rider produces."""

from typing import Final

import numpy as np

from worker.metrics.series import BoolArray, Series

_IMPOSSIBLE: Final = 2500.0  # watts: over the best track sprinters
_SUSPECT: Final = 1500.0  # watts: possible, but not out of nothing
_OUT_OF_NOTHING: Final = 5.0  # times the median around
_AROUND: Final = 15  # seconds to either side


def find_spikes(power: Series) -> BoolArray:
    """Which seconds are spikes; (n,) bool.

    Above 2,500 W; or above 1,500 W and five times the median of the 30 s around, within the
    segment. Flagged, never altered; what ranks efforts leaves them out.
    """
    spikes = np.asarray(power.values > _IMPOSSIBLE)
    for at in np.flatnonzero((power.values > _SUSPECT) & ~spikes).tolist():
        first, end = max(at - _AROUND, 0), at + _AROUND + 1
        same = power.segments[first:end] == power.segments[at]
        around = np.median(power.values[first:end][same])
        spikes[at] = power.values[at] > _OUT_OF_NOTHING * around
    return spikes
