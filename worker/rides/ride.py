"""A ride's samples, and the 1 Hz series that its figures share: each made once, when needed."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from shared.samples.columns import BoolArray, FloatArray, IntArray, Samples, without_marks
from worker.metrics.coverage import Stretches, recorded_stretches
from worker.metrics.distance import Way, ridden_way, way_along
from worker.metrics.elevation import plausible_altitude
from worker.metrics.places import Places, follow_places
from worker.metrics.series import Series, resample
from worker.metrics.spikes import find_speed_spikes, find_spikes
from worker.metrics.strays import find_strays

_NEAR: Final = 120  # seconds, from which the positions tell whether a rider is at rest


class Ride:
    """``stored``: all that is kept of the ride and not cropped away, in order of time.

    ``samples``: those that count, without strays and with the marks of "no value" missing;
    ``vouched``: ranges (Unix seconds, the end excluded) in which the rider says no power is a
    spike.
    """

    def __init__(self, stored: Samples, vouched: Sequence[tuple[float, float]] = ()) -> None:
        self.stored = stored
        self.strays, stray = find_strays(stored.timestamps)
        self.samples = without_marks(stored.select(~stray) if self.strays else stored)
        self._vouched = vouched

    @property
    def timestamps(self) -> IntArray:
        """(n,) ms since the Unix epoch."""
        return self.samples.timestamps

    @cached_property
    def spikes(self) -> BoolArray:
        """Which samples have a power that no athlete produces."""
        return find_spikes(self.timestamps, self.samples.channel("power"), self._vouched)

    @cached_property
    def power(self) -> Series:
        """Watts."""
        return self._series("power")

    @cached_property
    def believed_power(self) -> Series:
        """Watts, with spikes as missing readings: what bests are made of."""
        if not self.spikes.any():
            return self.power
        real = np.where(self.spikes, np.nan, self.samples.channel("power"))
        return resample(self.timestamps, real)

    @cached_property
    def heartrate(self) -> Series:
        """Beats a minute."""
        return self._series("heartrate")

    @cached_property
    def cadence(self) -> Series:
        """Revolutions a minute."""
        return self._series("cadence")

    @cached_property
    def speeds(self) -> FloatArray:
        """Metres a second of each sample, NaN where not measured or no bicycle's speed."""
        speeds = self.samples.channel("speed")
        spikes = find_speed_spikes(self.timestamps, speeds)
        return np.where(spikes, np.nan, speeds) if spikes.any() else speeds

    @cached_property
    def speed(self) -> Series:
        """Metres a second."""
        return self._resampled(self.speeds)

    @cached_property
    def altitude(self) -> Series:
        """Metres above the first height, wrong ones left out."""
        return plausible_altitude(self.timestamps, self.samples.channel("altitude"))

    @cached_property
    def recorded(self) -> Stretches:
        """First and last second of each stretch without a gap."""
        return recorded_stretches(self.timestamps, self.samples.channels.values())

    @cached_property
    def way(self) -> Way | None:
        """Metres ridden; None without a reading to tell."""
        if "distance" not in self.samples.channels:
            return way_along(self.places)
        channel = self.samples.channel
        return ridden_way(self.timestamps, channel("distance"), channel("lat"), channel("lng"))

    @cached_property
    def places(self) -> Places | None:
        """The way along the positions; None without two of them."""
        return self._places_of(self.samples)

    def places_around(self, seconds: IntArray) -> Places | None:
        """The way along the positions within two minutes of some Unix seconds, ascending."""
        if not len(seconds):
            return None
        times = self.timestamps / 1000
        after = np.searchsorted(seconds, times - _NEAR)  # the first second that is near, or beyond
        near = np.append(seconds, np.inf)[after] <= times + _NEAR
        return self.places if near.all() else self._places_of(self.samples.select(near))

    def _places_of(self, samples: Samples) -> Places | None:
        return follow_places(samples.timestamps, samples.channel("lat"), samples.channel("lng"))

    @cached_property
    def _clock(self) -> Series | None:
        """The seconds and segments of all samples, if each has one of its own and none is filled.

        A channel that all samples have needs no more than these: on most rides, every channel.
        """
        order = np.arange(len(self.timestamps), dtype=np.float64)
        series = resample(self.timestamps, order)
        return series if np.array_equal(series.values, order) else None

    def _series(self, channel: str) -> Series:
        return self._resampled(self.samples.channel(channel))

    def _resampled(self, values: FloatArray) -> Series:
        clock = self._clock
        if clock is None or np.isnan(values).any():
            return resample(self.timestamps, values)
        return Series(clock.seconds, values, clock.segments)
