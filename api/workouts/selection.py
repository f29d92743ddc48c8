"""Which of a ride's samples are asked for, and how dense: a window after the other. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from api.workouts.held_samples import HeldRide
from api.workouts.store import Crop, Workout
from shared.samples.columns import FloatArray, Samples, downsample_windows

_SAMPLES_AT_ONCE: Final = 1000
_SAMPLES_OF_MEANS: Final = 16_000  # at once: many of them make one
_POSITION: Final = frozenset({"lat", "lng"})


@dataclass(frozen=True)
class Selection:
    """``channels``: all for None. ``start``, ``end``: ms, the end excluded.

    ``resolution``: the seconds that are averaged over. ``removed``: ranges (ms) of which a fold
    has yet to delete the samples. ``shown``: takes out of samples what is not for everybody.
    """

    channels: Sequence[str] | None = None
    start: float | None = None
    end: float | None = None
    resolution: int | None = None
    removed: Sequence[tuple[int, int]] = ()
    shown: Callable[[Samples], Samples] | None = None

    def of(self, workout: Workout) -> "Selection":
        """Without what its rider has cropped away or removed."""
        crop = workout.crop or Crop()
        starts = [each for each in (self.start, crop.from_) if each is not None]
        ends = [each for each in (self.end, crop.to) if each is not None]
        removed = [(each.from_, each.to) for each in workout.removed_ranges]
        start, end = max(starts, default=None), min(ends, default=None)
        return replace(self, start=start, end=end, removed=removed)

    def sources(self, channels: Sequence[str] | None) -> Sequence[str] | None:
        """What is to be read for them: of a mean position both halves, even if one is asked for.

        Only together do they tell a receiver without a fix, whose 0/0 is no part of a mean.
        """
        if channels is None or self.resolution is None or _POSITION.isdisjoint(channels):
            return channels
        return list({*channels, *_POSITION})


@dataclass(frozen=True)
class Outline:
    """What is to be known before the first sample is rendered.

    ``whole``: channel → whether every value is a whole number, and so rendered as one.
    """

    count: int
    whole: dict[str, bool]


class View:
    """The selected samples of a ride; they are decoded anew each time they are iterated over.

    The first time when it is made, for its outline. Raises MalformedEntry, LeaveToNewer.
    """

    def __init__(self, ride: HeldRide, selection: Selection) -> None:
        self._ride = ride
        self._selection = selection
        held = ride.channels
        wanted = held if selection.channels is None else dict.fromkeys(selection.channels)
        self.outline = self._outline([name for name in wanted if name in held])

    def windows(self, channels: Sequence[str]) -> Iterator[Samples]:
        """The named channels in order of time; every window has each of them."""
        resolution = self._selection.resolution
        size = _SAMPLES_OF_MEANS if resolution else _SAMPLES_AT_ONCE
        sources = self._selection.sources(channels) or channels
        windows = map(self._narrow, self._ride.windows(sources, size))
        for window in downsample_windows(windows, resolution) if resolution else windows:
            columns = {name: window.channel(name) for name in channels}
            yield from Samples(window.timestamps, columns).slices(_SAMPLES_AT_ONCE)

    def _narrow(self, samples: Samples) -> Samples:
        chosen = samples.between(self._selection.start, self._selection.end)
        kept = chosen.outside(self._selection.removed)
        return self._selection.shown(kept) if self._selection.shown else kept

    def _outline(self, channels: Sequence[str]) -> Outline:
        count, whole = 0, dict.fromkeys(channels, True)
        for window in self.windows(channels):
            count += len(window)
            for name, values in window.channels.items():
                whole[name] = whole[name] and are_whole(values)
        return Outline(count, whole)


def are_whole(values: FloatArray) -> bool:
    """Whether every value that is not NaN is a whole number."""
    return bool(np.all(np.isnan(values) | (values == np.rint(values))))
