"""Samples in memory: a column a channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.samples.channels import CHANNEL, CHANNEL_NAMES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_NO_FIX = 0.5e-7  # degrees: a receiver without a fix says 0/0


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

    def between(self, start: float | None, end: float | None) -> "Samples":
        """Those from a timestamp on and before another one; they are in order of time."""
        first = 0 if start is None else int(np.searchsorted(self.timestamps, start))
        last = None if end is None else int(np.searchsorted(self.timestamps, end))
        return self.select(slice(first, last))

    def outside(self, ranges: Sequence[tuple[int, int]]) -> "Samples":
        """Those in none of the ranges, which are in order and apart, each without its end."""
        edges = np.array(ranges, np.int64).ravel()
        is_outside = np.searchsorted(edges, self.timestamps, side="right") % 2 == 0
        return self if is_outside.all() else self.select(is_outside)

    def slices(self, size: int) -> Iterator["Samples"]:
        """The samples, at most so many at a time."""
        for start in range(0, len(self), size):
            yield self.select(slice(start, start + size))


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


def count_overwritten(archived: Samples, fresh: Samples) -> int:
    """How many timestamps have values of a channel that another one replaces, as ``merge`` decides.

    ``fresh`` is in order of arrival, after what is ``archived``. Where the archive has the value
    that is kept, nothing is replaced: neither by what was sent again unchanged, nor by what was
    merged into it before.
    """
    arrived = concatenate([archived, fresh])
    order = np.argsort(arrived.timestamps, kind="stable")
    times = arrived.timestamps[order]
    repeats = times[1:] == times[:-1]
    if not repeats.any():
        return 0
    several = np.append(False, repeats) | np.append(repeats, False)
    order, times = order[several], times[several]
    begins = np.append(True, times[1:] != times[:-1])
    first, runs = np.flatnonzero(begins), np.cumsum(begins) - 1
    last = np.append(first[1:], len(order)) - 1
    is_archived = order[first] < len(archived)
    overwritten = np.zeros(len(first), bool)
    for column in arrived.channels.values():
        values = column[order]
        kept = _last_measured(values, first, last)
        others = runs[(values != kept[runs]) & ~np.isnan(values)]
        overwritten[others] |= ~(is_archived & (values[first] == kept))[others]
    return int(np.count_nonzero(overwritten))


def without_marks(samples: Samples) -> Samples:
    """The samples with the marks of "no value" as NaN: a heart rate of 255, a position of 0/0."""
    channels = {name: _without(values, name) for name, values in samples.channels.items()}
    if "lat" in channels and "lng" in channels:
        unfixed = np.abs(channels["lat"]) < _NO_FIX
        if unfixed.any():
            unfixed &= np.abs(channels["lng"]) < _NO_FIX
            for name in ("lat", "lng"):
                channels[name] = np.where(unfixed, np.nan, channels[name])
    return Samples(samples.timestamps, channels)


def _without(values: FloatArray, name: str) -> FloatArray:
    """NaN where a value is, to the channel's decimals, one of its marks."""
    half = 0.5 / 10 ** CHANNEL[name].decimals
    for mark in CHANNEL[name].no_value:
        beyond = values > mark - half if mark > 0 else values < mark + half
        if beyond.any():  # most marks lie beyond all that is measured
            values = np.where(np.abs(values - mark) < half, np.nan, values)
    return values


def downsample(samples: Samples, seconds: int) -> Samples:
    """Means over whole multiples of ``seconds``, to each channel's decimals.

    The input is in order of time. Each mean stands at the beginning of its stretch of time;
    stretches without samples are left out, and a channel never measured in one is NaN there: a
    mark of "no value" is no measurement. Longitudes are averaged on their circle.
    """
    return concatenate(list(downsample_windows(iter([samples]), seconds)))


def downsample_windows(windows: Iterator[Samples], seconds: int) -> Iterator[Samples]:
    """The same of samples that come a window after the other, all in order of time.

    What a stretch adds up to is kept until it is over: it may reach over any number of windows.
    """
    last = _Sums(no_samples(), no_samples(), no_samples(), no_samples())
    for window in windows:
        if len(window):
            sums = last.followed_by(_sums(without_marks(window), seconds))
            yield sums.select(slice(None, -1)).means()
            last = sums.select(slice(-1, None))
    yield last.means()


class _Sums(NamedTuple):
    """What the measured values of each stretch add up to, and how many they are.

    Of longitudes also what their distances from Greenwich add up to, and the degrees that all of
    them would be further east if those in the west were counted eastwards: to 360° instead of 0°.
    """

    totals: Samples
    counts: Samples
    distances: Samples
    eastwards: Samples

    def followed_by(self, later: "_Sums") -> "_Sums":
        """Both; the last stretch of the one may be the first of the other."""
        pairs = zip(self, later, strict=True)
        return _Sums(*(_added_up(concatenate(pair)) for pair in pairs))

    def select(self, chosen: slice) -> "_Sums":
        return _Sums(*(each.select(chosen) for each in self))

    def means(self) -> Samples:
        columns = {name: self._means_of(name) for name in self.totals.channels}
        rounded = {
            name: np.round(values, CHANNEL[name].decimals) for name, values in columns.items()
        }
        return Samples(self.totals.timestamps, rounded)

    def _means_of(self, name: str) -> FloatArray:
        totals, counts = self.totals.channels[name], self.counts.channels[name]
        if name == "lng":  # around the date line
            far = self.distances.channels[name] > 90 * counts
            totals = np.where(far, totals + self.eastwards.channels[name], totals)
        means = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
        return np.where(means > 180, means - 360, means) if name == "lng" else means


def _sums(samples: Samples, seconds: int) -> _Sums:
    length = seconds * 1000
    stretches = samples.timestamps // length * length
    channels, lng = samples.channels, samples.channel("lng")
    counted = {name: ~np.isnan(values) * 1.0 for name, values in channels.items()}
    eastwards = np.where(lng < 0, 360.0, 0.0)
    parts = (channels, counted, {"lng": np.abs(lng)}, {"lng": eastwards})
    return _Sums(*(_added_up(Samples(stretches, each)) for each in parts))


def _added_up(samples: Samples) -> Samples:
    """The sums of the values of each timestamp; NaN counts as nothing."""
    times = samples.timestamps
    if not len(times):
        return samples
    starts = np.concatenate(([0], np.flatnonzero(np.diff(times)) + 1))
    columns = {
        name: np.add.reduceat(np.where(np.isnan(values), 0.0, values), starts)
        for name, values in samples.channels.items()
    }
    return Samples(times[starts], columns)
