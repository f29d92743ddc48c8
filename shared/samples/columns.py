"""Samples in memory: a column a channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.samples.channels import CHANNEL_NAMES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Samples:
    """Readings in columns.

    ``timestamps``: (n,) int64, ms since the Unix epoch.
    ``channels``: name → (n,) float64 in the channel's unit; NaN is "not measured", never zero.
    """

    timestamps: IntArray
    channels: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.timestamps)

    def channel(self, name: str) -> FloatArray:
        """The channel's values, all NaN where it was never measured."""
        values = self.channels.get(name)
        return np.full(len(self), np.nan) if values is None else values

    def select(self, chosen: BoolArray | IntArray | slice) -> "Samples":
        """The chosen samples, in the same order."""
        columns = {name: values[chosen] for name, values in self.channels.items()}
        return Samples(self.timestamps[chosen], columns)


def no_samples() -> Samples:
    """An empty batch."""
    return Samples(np.empty(0, np.int64), {})


def concatenate(parts: Sequence[Samples]) -> Samples:
    """All parts one after the other; a channel missing from a part is NaN there."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in CHANNEL_NAMES if any(name in part.channels for part in parts)]
    if not parts:
        return no_samples()
    return Samples(
        np.concatenate([part.timestamps for part in parts]),
        {name: np.concatenate([part.channel(name) for part in parts]) for name in names},
    )


def merge(samples: Samples) -> Samples:
    """Samples in order of time, one for each timestamp; the input is in order of arrival.

    Where a timestamp arrived more than once, the last arrival that measured a channel gives its
    value: a later upload corrects what it measured and takes nothing else away.
    """
    times = samples.timestamps
    if bool(np.all(times[1:] > times[:-1])):
        return samples
    order = np.argsort(times, kind="stable")
    times = times[order]
    last = np.append(times[1:] != times[:-1], True).nonzero()[0]  # last arrival of each timestamp
    first = np.concatenate(([0], last[:-1] + 1))
    channels = {
        name: _last_measured(values[order], first, last)
        for name, values in samples.channels.items()
    }
    return Samples(times[last], channels)


def _last_measured(values: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """The last value that is not NaN in each run ``first[i]…last[i]``; NaN where there is none."""
    positions = np.where(np.isnan(values), -1, np.arange(len(values)))
    latest = np.maximum.accumulate(positions)[last]
    return np.where(latest >= first, values[latest], np.nan)


def downsample(samples: Samples, seconds: int) -> Samples:
    """Means over whole multiples of ``seconds``; the input is in order of time.

    Each mean stands at the beginning of its stretch of time; stretches without samples are left
    out, and a channel never measured in one is NaN there.
    """
    if not len(samples):
        return samples
    stretch = samples.timestamps // (seconds * 1000)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(stretch)) + 1))
    return Samples(
        stretch[starts] * (seconds * 1000),
        {name: _means(values, starts) for name, values in samples.channels.items()},
    )


def _means(values: FloatArray, starts: IntArray) -> FloatArray:
    """The mean of the values that are not NaN from each start to the next."""
    measured = ~np.isnan(values)
    totals = np.add.reduceat(np.where(measured, values, 0.0), starts)
    counts = np.add.reduceat(measured.astype(np.int64), starts)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
