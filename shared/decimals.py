"""Measured values as whole numbers of their last decimal, where that loses nothing.

Devices send decimals (8.186 m/s). Held as 8186 thousandths they take two bytes in a stream and
compress well in the archive; dividing by 1000 gives back the very same float.
"""

import numpy as np

from shared.telemetry import FloatArray, IntArray

_LARGEST_EXACT = 2.0**53


def to_whole(values: FloatArray, decimals: int) -> IntArray | None:
    """``values`` (no NaN) times 10^decimals as int64; None if that would change any bit of them."""
    with np.errstate(over="ignore"):
        scaled = np.rint(values * 10.0**decimals)
    if not bool(np.all(np.abs(scaled) < _LARGEST_EXACT)):
        return None
    whole = scaled.astype(np.int64)
    same = np.array_equal(from_whole(whole, decimals).view(np.int64), values.view(np.int64))
    return whole if same else None


def from_whole(whole: IntArray, decimals: int) -> FloatArray:
    """The values that ``to_whole`` was given."""
    return np.asarray(whole / 10.0**decimals, dtype=np.float64)
