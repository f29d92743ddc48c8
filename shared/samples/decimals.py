"""Measured values as whole numbers of their last decimal, where that loses nothing.

Devices send decimals (8.186 m/s). Held as 8186 thousandths they take two bytes in a stream and
compress well in the archive; dividing by 1000 gives back the very same float.
"""

import numpy as np

from shared.samples.columns import FloatArray, IntArray

_LARGEST_EXACT = 2.0**53


def to_whole(values: FloatArray, decimals: int | IntArray) -> tuple[IntArray, list[bool]]:
    """``values`` times 10^decimals as int64, and for each row whether that loses nothing.

    ``values``: (rows, n), no NaN; ``decimals``: one for all, or (rows, 1). Where ``from_whole``
    would change any bit of a row, its whole numbers mean nothing.
    """
    factors = 10.0**decimals
    with np.errstate(over="ignore"):
        scaled = np.rint(values * factors)
    small = np.abs(scaled) < _LARGEST_EXACT
    if not small.all():
        scaled = np.where(small, scaled, 0.0)
    whole = scaled.astype(np.int64)
    same = (whole / factors).view(np.int64) == values.view(np.int64)
    return whole, (same & small).all(axis=1).tolist()


def from_whole(whole: IntArray, decimals: int) -> FloatArray:
    """The values that ``to_whole`` was given."""
    return np.asarray(whole / 10.0**decimals, dtype=np.float64)
