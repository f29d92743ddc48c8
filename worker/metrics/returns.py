"""Readings that go astray for seconds and come back: of odometers, receivers and barometers."""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np

from worker.metrics.series import BoolArray, FloatArray, IntArray

_DEPTH: Final = 3  # how many stretches back the readings may return to

Follows = Callable[[int, int], bool]


def find_astray(times: FloatArray, breaks: IntArray, follows: Follows, longest: float) -> BoolArray:
    """Which readings are on an excursion that cannot have been; (n,) bool.

    ``times``: (n,) s, ascending; ``breaks``: the indices of the readings that do not follow the
    one before; ``follows(i, j)``: whether reading j may follow reading i. Between two breaks is a
    stretch; where a later one follows an earlier one again within ``longest`` seconds, those
    between are astray. A change that lasts (a reset, another place) leaves nothing out.
    """
    astray = np.zeros(len(times), bool)
    if not len(breaks):
        return astray
    edges = [0, *breaks.tolist(), len(times)]
    seconds = dict(zip(edges[1:], times[breaks].tolist(), strict=False))
    kept: list[tuple[int, int]] = []
    for start, end in pairwise(edges):
        for back in range(2, min(_DEPTH, len(kept)) + 1):
            left = kept[-back][1] - 1
            if seconds[start] - seconds[left + 1] <= longest and follows(left, start):
                astray[left + 1 : start] = True
                del kept[1 - back :]
                break
        kept.append((start, end))
    return astray
